// Random permutations: the CPU's, of which all elements are found at once. Exchange i brings to place i what lies at
// its partner's: what the last exchange before it left there that had the same partner, or else what lay there at
// first. An exchange leaves what it finds at its own place, which is told likewise. Exchanges of the same partner
// become neighbours by a stable sort; a chain of them has one or two links on average, the logarithm of n at most in
// practice.
#include <algorithm>

#include "cuda/draw.cuh"
#include "cuda/radix_sort.h"
#include "functors/shuffle.h"

namespace atled::core::cuda {

namespace {

using Count = unsigned long long;
constexpr uint32_t kNone = 0xffffffff;

// digits[i]: byte i of the stream, counted for each pile. A thread has a word of four bytes, and writes them all.
__global__ void __launch_bounds__(kThreads)
    digit_kernel(uint32_t* digits, Count* counts, int64_t n, uint64_t seed, uint64_t offset) {
  __shared__ uint32_t mine[kPiles];
  static_assert(kThreads == kPiles);
  mine[threadIdx.x] = 0;
  __syncthreads();
  for (int64_t i = thread_index(); i * 4 < n; i += thread_count()) {
    const Words4 words = philox(seed, offset + static_cast<uint64_t>(i / 4));
    const uint32_t half = i & 2 ? words.w[2] : words.w[0], other = i & 2 ? words.w[3] : words.w[1],
                   word = i & 1 ? other : half;
    Vector<uint32_t, 4> all;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      all.item[k] = word >> 8 * k & 0xff;
      if (4 * i + k < n) atomicAdd(mine + all.item[k], 1u);
    }
    reinterpret_cast<Vector<uint32_t, 4>*>(digits)[i] = all;
  }
  __syncthreads();
  atomicAdd(counts + threadIdx.x, static_cast<Count>(mine[threadIdx.x]));
}
__global__ void __launch_bounds__(32) begin_kernel(int64_t* begins, const Count* counts) {
  if (threadIdx.x != 0) return;
  int64_t sum = 0;
  for (int pile = 0; pile < kPiles; ++pile) {
    begins[pile] = sum;
    sum += static_cast<int64_t>(counts[pile]);
  }
}

__global__ void __launch_bounds__(kThreads) count_kernel(uint32_t* places, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) places[i] = static_cast<uint32_t>(i);
}

// digits: of the piles in order; NULL for one pile.
__global__ void __launch_bounds__(kThreads)
    partner_kernel(uint32_t* partners, const uint32_t* digits, const int64_t* begins, int64_t n,
                   const StreamNumbers stream) {
  for (int64_t i = thread_index(); i < n; i += thread_count())
    partners[i] = static_cast<uint32_t>(partner(stream, digits ? begins[digits[i]] : 0, i));
}

// sorted: partners in order, exchanges[k] being that of sorted[k]. before[i]: the exchange of i's partner that comes
// before i; found[i]: that of place i, which left there what exchange i finds. found is kNone throughout at first.
__global__ void __launch_bounds__(kThreads)
    link_kernel(const uint32_t* sorted, const uint32_t* exchanges, uint32_t* before, uint32_t* found, int64_t n) {
  for (int64_t k = thread_index(); k < n; k += thread_count()) {
    const uint32_t place = sorted[k], i = exchanges[k];
    const uint32_t next = k + 1 < n && sorted[k + 1] == place ? exchanges[k + 1] : kNone;
    before[i] = next;
    if (k == 0 || sorted[k - 1] != place) found[place] = i == place ? next : i;
  }
}

// order: what lies at each place at first; NULL: its number.
__global__ void __launch_bounds__(kThreads)
    follow_kernel(int64_t* out, const uint32_t* partners, const uint32_t* before, const uint32_t* found,
                  const uint32_t* order, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    uint32_t place = partners[i];
    for (uint32_t next = before[i]; next != kNone; next = found[place]) place = next;
    out[i] = order ? order[place] : place;
  }
}

void permute(int64_t* out, int64_t n, const Stream& stream, DLDevice where) {
  expect_sortable(n);
  const cudaStream_t current = current_stream(where.device_id);
  const bool whole = n <= kShuffledWhole;
  const int64_t step = (n + 3) / 4 * 4;
  const Tensor room = Tensor::empty(ATLED_UINT32, {(whole ? 5 : 6) * step}, where);
  uint32_t *partners = data<uint32_t>(room), *places = partners + step, *digits = places + step,
           *sorted = digits + step, *exchanges = sorted + step, *order = exchanges + step;
  const uint32_t blocks = blocks_for(n, kThreads);
  launch(count_kernel, blocks, kThreads, current, places, n);
  Tensor piles;
  if (!whole) {
    piles = Tensor::empty(ATLED_INT64, {2 * kPiles}, where);
    int64_t* begins = data<int64_t>(piles);
    Count* counts = reinterpret_cast<Count*>(begins + kPiles);
    expect(cudaMemsetAsync(counts, 0, kPiles * sizeof(Count), current), "fill with zeros");
    launch(digit_kernel, blocks_for((n + 3) / 4, kThreads, 2048), kThreads, current, sorted, counts, n, stream.seed,
           stream.offset + static_cast<uint64_t>(shuffle_counters(n)));
    launch(begin_kernel, dim3(1), 32, current, begins, static_cast<const Count*>(counts));
    sort_pairs(sorted, digits, places, order, n, 8, where);
  }
  launch(partner_kernel, blocks, kThreads, current, partners, whole ? nullptr : static_cast<const uint32_t*>(digits),
         whole ? nullptr : data<const int64_t>(piles), n, static_cast<StreamNumbers>(stream));
  sort_pairs(partners, sorted, places, exchanges, n, std::max(1, bits_below(static_cast<uint64_t>(n))), where);
  uint32_t *before = places, *found = digits;
  expect(cudaMemsetAsync(found, 0xff, static_cast<size_t>(n) * sizeof(uint32_t), current), "fill");
  launch(link_kernel, blocks, kThreads, current, static_cast<const uint32_t*>(sorted),
         static_cast<const uint32_t*>(exchanges), before, found, n);
  launch(follow_kernel, blocks, kThreads, current, out, static_cast<const uint32_t*>(partners),
         static_cast<const uint32_t*>(before), static_cast<const uint32_t*>(found),
         whole ? nullptr : static_cast<const uint32_t*>(order), n);
}

void randperm(atled_frame* f) {
  const int64_t n = arg_int(f, 0);
  atled_tensor* out = out_tensor(f);
  const DLDevice where = out->dl.device;
  const Stream stream(f->args[1], permutation_counters(n));
  if (n == 0) return;
  DeviceGuard device(where.device_id);
  if (out->dtype == ATLED_INT64 && is_contiguous(out)) return permute(data<int64_t>(out), n, stream, where);
  const Tensor numbers = Tensor::empty(ATLED_INT64, {n}, where);
  permute(data<int64_t>(numbers), n, stream, where);
  assign(out, numbers.get());
}

void add_shuffle() { cuda_kernel("core::randperm", kernel<randperm>); }
ATLED_CUDA_KERNELS(add_shuffle);

}  // namespace

}  // namespace atled::core::cuda
