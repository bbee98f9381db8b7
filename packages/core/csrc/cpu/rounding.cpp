#include "functors/rounding.h"

#include "cpu/halves.h"
#include "functors/arithmetic.h"

namespace atled::core {

namespace {

template <class F>
LoopTable whole() {
  return with_halves<F>(LoopTable().unary<F>(Floats{}).template unary_plain<Positive>(Unsigned{}).share_signed());
}

const LoopTable floor_loops = whole<Floor>();
const LoopTable ceil_loops = whole<Ceil>();
const LoopTable trunc_loops = whole<Trunc>();
const LoopTable round_loops = whole<Round>().unary_plain<Round>(Complexes{});
const LoopTable frac_loops = with_halves<Frac>(LoopTable().unary<Frac>(Floats{}));

template <class T>
void round_decimals(atled_frame* frame, int64_t decimals, int loop_dtype) {
  const RoundDecimals<T> f{static_cast<T>(std::pow(10.0, std::abs(static_cast<double>(decimals)))), decimals > 0};
  Elementwise e;
  e.output(out_tensor(frame), loop_dtype).input(arg_tensor(frame, 0), loop_dtype);
  e.run(ATLED_PICK(unary<T, T, RoundDecimals<T>>), const_cast<RoundDecimals<T>*>(&f));
}

void round(atled_frame* frame) {
  const int64_t decimals = arg_int(frame, 1);
  const int given = arg_tensor(frame, 0)->dtype, dtype = compute_dtype(given);
  if (decimals != 0 && (is_floating(dtype) || decimals < 0))
    return dtype == ATLED_FLOAT32 ? round_decimals<float>(frame, decimals, dtype)
                                  : round_decimals<double>(frame, decimals, ATLED_FLOAT64);
  const int own = round_loops[given] ? given : dtype;
  Elementwise().output(out_tensor(frame), own).input(arg_tensor(frame, 0), own).run(find_loop(round_loops, own));
}

void add_rounding() {
  cpu_kernel("core::floor", run_same, floor_loops);
  cpu_kernel("core::ceil", run_same, ceil_loops);
  cpu_kernel("core::trunc", run_same, trunc_loops);
  fused_kernel("core::round", kernel<round>);
  cpu_kernel("core::frac", run_same, frac_loops);
}
ATLED_KERNELS(add_rounding);

}  // namespace

}  // namespace atled::core
