#include <algorithm>

#include "cpu/assign.h"
#include "cpu/parallel.h"
#include "cpu/random_levels.h"
#include "dispatch/register.h"
#include "functors/random_kernels.h"
#include "functors/stream.h"

namespace atled::core {
namespace {

struct Cpu {
  template <int kPer, class T, class F>
  static void draw(const atled_tensor*, T* out, int64_t n, const atled_value& generator, F f) {
    const int64_t counters = (n + kPer - 1) / kPer;
    const Stream stream(generator, counters);
    auto run = ATLED_RANDOM(draw<kPer, T, F>);
    parallel(counters, kGrain, [&](int64_t begin, int64_t end) {
      run(out, begin * kPer, std::min(n, end * kPer), stream.seed, stream.offset, f);
    });
  }
  template <class F>
  static void into_contiguous(atled_tensor* target, F&& f) {
    if (is_contiguous(target)) return f(target);
    Tensor whole = Tensor::empty_like(target);
    f(whole.get());
    assign(target, whole);
  }
};

void add_random() {
  RandomKernels<Cpu>::register_all([](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); });
}

ATLED_KERNELS(add_random);

}  // namespace
}  // namespace atled::core
