#include "functors/integers.h"

#include "cpu/kernels.h"

namespace atled::core {

namespace {

const LoopTable gcd_loops = LoopTable().binary_plain<Gcd>(Integers{});
const LoopTable lcm_loops = LoopTable().binary_plain<Lcm>(Integers{});

void add_integers() {
  cpu_kernel("core::gcd", run_same, gcd_loops);
  cpu_kernel("core::lcm", run_same, lcm_loops);
}
ATLED_KERNELS(add_integers);

}  // namespace

}  // namespace atled::core
