// The one thread pool of the process. Workers start on first use; a forked child starts its own.
#pragma once

#include <cstdint>
#include <type_traits>

#include "atled/abi.h"

namespace atled::core {

// What runs at once: ATLED_NUM_THREADS, else the CPUs that affinity and the cgroup's quota leave.
int num_threads();
// InvalidValueError when n < 1. Holds for calls that start later.
void set_num_threads(int n);

// Calls body(ctx, begin, end) on ranges that make up [0, n), their borders multiples of grain (but for n itself). How
// many ranges there are depends on the number of threads: a result that must not depend on it is computed per grain.
// Nested calls, and calls while another thread uses the pool, run inline. What body throws first is thrown here, when
// all ranges have ended.
void parallel_run(int64_t n, int64_t grain, atled_range body, void* ctx);

template <class F>
void parallel(int64_t n, int64_t grain, F&& f) {
  if (n <= grain) {
    if (n > 0) f(int64_t{0}, n);
    return;
  }
  parallel_run(
      n, grain,
      [](void* ctx, int64_t begin, int64_t end) { (*static_cast<std::remove_reference_t<F>*>(ctx))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

// Of `inner` columns at each of `outer` places, how many one piece of work takes, where columns do not depend on one
// another: long pieces of rows, and still work for every thread.
int64_t column_tile(int64_t outer, int64_t inner, int64_t most);

}  // namespace atled::core
