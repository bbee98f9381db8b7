#include "cuda/elementwise.cuh"
#include "functors/arithmetic.h"
#include "functors/rounding.h"

namespace atled::core::cuda {

namespace {

template <class F>
LaunchTable whole() {
  return LaunchTable().unary<F>(Floats{}).template unary<Positive>(Unsigned{}).share_signed();
}

const LaunchTable floor_launches = whole<Floor>();
const LaunchTable ceil_launches = whole<Ceil>();
const LaunchTable trunc_launches = whole<Trunc>();
const LaunchTable round_launches = whole<Round>().unary<Round>(Complexes{});
const LaunchTable frac_launches = LaunchTable().unary<Frac>(Floats{});

template <class T>
void round_decimals(atled_frame* frame, int64_t decimals, int dtype) {
  const T scale = static_cast<T>(std::pow(10.0, std::abs(static_cast<double>(decimals))));
  Elementwise e;
  e.output(out_tensor(frame), dtype).input(arg_tensor(frame, 0), dtype);
  e.run<T, T>(RoundDecimals<T>{scale, decimals > 0});
}

void round(atled_frame* frame) {
  const int64_t decimals = arg_int(frame, 1);
  const int dtype = compute_dtype(arg_tensor(frame, 0)->dtype);
  if (decimals != 0 && (is_floating(dtype) || decimals < 0))
    return dtype == ATLED_FLOAT32 ? round_decimals<float>(frame, decimals, dtype)
                                  : round_decimals<double>(frame, decimals, ATLED_FLOAT64);
  Elementwise e;
  e.output(out_tensor(frame), dtype).input(arg_tensor(frame, 0), dtype);
  find_launch(round_launches, dtype)(e, nullptr);
}

void add_rounding() {
  cuda_kernel("core::floor", run_same, &floor_launches);
  cuda_kernel("core::ceil", run_same, &ceil_launches);
  cuda_kernel("core::trunc", run_same, &trunc_launches);
  cuda_kernel("core::round", kernel<round>);
  cuda_kernel("core::frac", run_same, &frac_launches);
}
ATLED_CUDA_KERNELS(add_rounding);

}  // namespace

}  // namespace atled::core::cuda
