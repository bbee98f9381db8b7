// Convolution by oneDNN on contiguous row-major data. Each returns false where oneDNN has no implementation for the
// dtype or the sizes; the caller then computes otherwise.
#pragma once

#include "ops/rules.h"

namespace atled::nn::onednn {

// bias may be NULL.
bool convolution(const Convolution& s, int dtype, const void* input, const void* weight, const void* bias,
                 void* output);
bool convolution_input(const Convolution& s, int dtype, const void* grad, const void* weight, void* grad_input);
bool convolution_weight(const Convolution& s, int dtype, const void* grad, const void* input, void* grad_weight);

}  // namespace atled::nn::onednn
