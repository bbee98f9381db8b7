#include "cuda/elementwise.cuh"
#include "functors/integers.h"

namespace atled::core::cuda {

namespace {

const LaunchTable gcd_launches = LaunchTable().binary<Gcd>(Integers{});
const LaunchTable lcm_launches = LaunchTable().binary<Lcm>(Integers{});

void add_integers() {
  cuda_kernel("core::gcd", run_same, &gcd_launches);
  cuda_kernel("core::lcm", run_same, &lcm_launches);
}
ATLED_CUDA_KERNELS(add_integers);

}  // namespace

}  // namespace atled::core::cuda
