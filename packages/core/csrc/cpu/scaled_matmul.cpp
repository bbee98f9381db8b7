#include "ops/scaled_matmul.h"

#include "cpu/assign.h"
#include "dispatch/register.h"

namespace atled::core {
namespace {

const Op matmul_op{"core::matmul"};

void scaled_mm(atled_frame* f) {
  const ScaledProduct p(f);
  Tensor factors[] = {Tensor::borrow(p.a), Tensor::borrow(p.b)};
  for (Tensor& factor : factors) {
    Tensor wide = Tensor::empty(ATLED_FLOAT32, 2, factor->dl.shape);
    assign(wide, factor);
    factor = wide;
  }
  p.finish(matmul_op(factors[0], factors[1]));
}

void add_scaled_matmul() { add_kernel("core::scaled_mm", ATLED_DEVICE_CPU, kernel<scaled_mm>); }
ATLED_KERNELS(add_scaled_matmul);

}  // namespace
}  // namespace atled::core
