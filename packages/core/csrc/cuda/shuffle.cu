// Random permutations: the CPU's, made by all threads at once. Each exchange waits for the earlier ones that touch one
// of its two elements, and only for those: in every round, those go ahead that come first among all that claim either
// element (Shun, Gu, Blelloch, Fineman and Gibbons, "Sequential random permutation, list contraction and tree
// contraction are highly parallel", 2015). Three quarters are left after a round; one block does the last ones.
#include <cmath>
#include <utility>

#include "cuda/draw.cuh"
#include "functors/shuffle.h"

namespace atled::core::cuda {

namespace {

constexpr int kLastThreads = 1024;
constexpr int64_t kLast = 1 << 14;  // exchanges that are left to one block

using Count = unsigned long long;

struct Shuffle {
  int64_t* at;
  Count* claims;          // 1 + the largest exchange that wants an element, 0 where none does
  const int64_t* begins;  // of piles; NULL: one from 0 on
  StreamNumbers stream;

  __device__ int64_t other(int64_t i) const {
    if (!begins) return partner(stream, 0, i);
    int low = 0;  // the last pile that begins at i or before
    for (int half = kPiles / 2; half > 0; half /= 2)
      if (begins[low + half] <= i) low += half;
    return partner(stream, begins[low], i);
  }
  __device__ void claim(int64_t i) const {
    atomicMax(claims + i, static_cast<Count>(i + 1));
    atomicMax(claims + other(i), static_cast<Count>(i + 1));
  }
  __device__ bool exchange(int64_t i) const {
    const int64_t j = other(i);
    const auto mine = static_cast<Count>(i + 1);
    // Volatile: what other threads claimed lies beyond the cache.
    if (*static_cast<volatile Count*>(claims + i) != mine || *static_cast<volatile Count*>(claims + j) != mine)
      return false;
    const int64_t kept = *static_cast<volatile int64_t*>(at + i);
    *static_cast<volatile int64_t*>(at + i) = *static_cast<volatile int64_t*>(at + j);
    *static_cast<volatile int64_t*>(at + j) = kept;
    *static_cast<volatile Count*>(claims + i) = 0;
    *static_cast<volatile Count*>(claims + j) = 0;
    return true;
  }
  // Exchanges of `waiting`, by the whole warps from `first` on; those that still wait are added to `next`.
  __device__ void round(const int64_t* waiting, int64_t count, int64_t* next, Count* next_count, int64_t first,
                        int64_t step) const {
    const int lane = threadIdx.x % 32;
    for (int64_t from = first - lane; from < count; from += step) {
      const int64_t k = from + lane;
      const bool waits = k < count && !exchange(waiting[k]);
      const uint32_t all = __ballot_sync(0xffffffff, waits);
      Count place = 0;
      if (lane == 0 && all) place = atomicAdd(next_count, static_cast<Count>(__popc(all)));
      place = __shfl_sync(0xffffffff, place, 0);
      if (waits) next[place + __popc(all & ((1u << lane) - 1))] = waiting[k];
    }
  }
};

__global__ void __launch_bounds__(kThreads)
    start_kernel(const Shuffle s, int64_t* waiting, Count* count, int64_t n, bool count_up) {
  if (thread_index() == 0) *count = static_cast<Count>(n);
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    waiting[i] = i;
    s.claims[i] = 0;
    if (count_up) s.at[i] = i;
  }
}

__global__ void __launch_bounds__(kThreads) claim_kernel(const Shuffle s, const int64_t* waiting, const Count* count) {
  for (int64_t k = thread_index(); k < static_cast<int64_t>(*count); k += thread_count()) s.claim(waiting[k]);
}
__global__ void __launch_bounds__(kThreads)
    exchange_kernel(const Shuffle s, const int64_t* waiting, const Count* count, int64_t* next, Count* next_count) {
  s.round(waiting, static_cast<int64_t>(*count), next, next_count, thread_index(), thread_count());
}

// One block, until nothing waits.
__global__ void __launch_bounds__(kLastThreads)
    last_kernel(const Shuffle s, int64_t* waiting, const Count* count, int64_t* next) {
  __shared__ Count still;
  auto left = static_cast<int64_t>(*count);
  while (left > 0) {
    if (threadIdx.x == 0) still = 0;
    for (int64_t k = threadIdx.x; k < left; k += kLastThreads) s.claim(waiting[k]);
    __syncthreads();
    s.round(waiting, left, next, &still, threadIdx.x, kLastThreads);
    __syncthreads();
    left = static_cast<int64_t>(still);
    int64_t* const former = waiting;
    waiting = next;
    next = former;
    __syncthreads();
  }
}

// digits[i]: byte i of the stream, counted for each pile.
__global__ void __launch_bounds__(kThreads)
    digit_kernel(uint8_t* digits, Count* counts, int64_t n, uint64_t seed, uint64_t offset) {
  __shared__ uint32_t mine[kPiles];
  static_assert(kThreads == kPiles);
  mine[threadIdx.x] = 0;
  __syncthreads();
  for (int64_t i = thread_index(); i * 16 < n; i += thread_count()) {
    const Words4 words = philox(seed, offset + static_cast<uint64_t>(i));
    for (int k = 0; k < 16 && 16 * i + k < n; ++k) {
      const uint32_t digit = words.w[k / 4] >> 8 * (k % 4) & 0xff;
      digits[16 * i + k] = static_cast<uint8_t>(digit);
      atomicAdd(mine + digit, 1u);
    }
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

void randperm(atled_frame* f) {
  static const Op argsort{"core::argsort"};
  const int64_t n = arg_int(f, 0);
  const DLDevice where = out_tensor(f)->dl.device;
  const Stream stream(f->args[1], permutation_counters(n));
  if (n == 0) return;
  DeviceGuard device(where.device_id);
  const cudaStream_t current = current_stream(where.device_id);
  const bool whole = n <= kShuffledWhole;
  const int rounds = n <= kLast ? 0 : static_cast<int>(std::log2(static_cast<double>(n) / kLast) / 0.415) + 1;

  const Tensor room = Tensor::empty(ATLED_INT64, {3 * n}, where),
               counted = Tensor::empty(ATLED_INT64, {rounds + 1}, where);
  Tensor order = Tensor::empty(ATLED_INT64, {n}, where), begins;
  Shuffle s{data<int64_t>(order), data<Count>(room), nullptr, stream};
  int64_t *waiting = data<int64_t>(room) + n, *next = waiting + n;
  if (!whole) {
    const Tensor digits = Tensor::empty(ATLED_UINT8, {n}, where), counts = Tensor::empty(ATLED_INT64, {kPiles}, where);
    begins = Tensor::empty(ATLED_INT64, {kPiles}, where);
    expect(cudaMemsetAsync(counts->dl.data, 0, kPiles * sizeof(Count), current), "fill with zeros");
    launch(digit_kernel, blocks_for((n + 15) / 16, kThreads, 1024), kThreads, current, data<uint8_t>(digits),
           data<Count>(counts), n, stream.seed, stream.offset + static_cast<uint64_t>(shuffle_counters(n)));
    launch(begin_kernel, dim3(1), 32, current, data<int64_t>(begins), data<const Count>(counts));
    order = argsort(digits, -1, false, true);
    s.at = data<int64_t>(order);
    s.begins = data<const int64_t>(begins);
  }
  auto* count = data<Count>(counted);
  expect(cudaMemsetAsync(count, 0, static_cast<size_t>(rounds + 1) * sizeof(Count), current), "fill with zeros");
  const uint32_t blocks = blocks_for(n, kThreads);
  launch(start_kernel, blocks, kThreads, current, s, waiting, count, n, whole);
  for (int round = 0; round < rounds; ++round) {
    launch(claim_kernel, blocks, kThreads, current, s, static_cast<const int64_t*>(waiting),
           static_cast<const Count*>(count + round));
    launch(exchange_kernel, blocks, kThreads, current, s, static_cast<const int64_t*>(waiting),
           static_cast<const Count*>(count + round), next, count + round + 1);
    std::swap(waiting, next);
  }
  launch(last_kernel, dim3(1), kLastThreads, current, s, waiting, static_cast<const Count*>(count + rounds), next);
  assign(out_tensor(f), order.get());
}

void add_shuffle() { cuda_kernel("core::randperm", kernel<randperm>); }
ATLED_CUDA_KERNELS(add_shuffle);

}  // namespace

}  // namespace atled::core::cuda
