// Products of bfloat16 matrices by the processor's own instructions, which add products of pairs in float32.
#pragma once

#include "cpu/gemm.h"

namespace atled::core {

// Whether multiply_bf16 can do such a product, and is worth it.
bool wants_bf16(int64_t m, int64_t n, int64_t k);

// p with bfloat16 matrices x and y, and c, alpha and beta in float32.
void multiply_bf16(const Products& p);

}  // namespace atled::core
