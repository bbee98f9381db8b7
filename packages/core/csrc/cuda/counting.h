// How often each of some places is named, and sums of what is there: the same on every run, for sums are made in order.
#pragma once

#include "atled/plugin.hpp"

namespace atled::core::cuda {

// counts[at[i]] for i < n, of `bins` places; an at[i] < 0 counts nowhere. counts: uint64.
void count_places(const int64_t* at, int64_t n, uint64_t* counts, int64_t bins, DLDevice device);
// The sum of weights[i] at each place.
void sum_places(const int64_t* at, const double* weights, int64_t n, double* sums, int64_t bins, DLDevice device);

}  // namespace atled::core::cuda
