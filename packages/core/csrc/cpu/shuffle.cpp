// Random permutations. Long ones are first dealt out to 256 piles by a random byte each, and the piles shuffled: all
// that the second half touches lies in a cache, and piles are shuffled at once (Rao, "Generation of random permutation
// of given number of elements using random sampling numbers", 1961; Sandelius, "A simple randomization procedure",
// 1962).
#include "functors/shuffle.h"

#include <cstring>
#include <vector>

#include "cpu/assign.h"
#include "cpu/parallel.h"
#include "cpu/random_levels.h"
#include "dispatch/register.h"

namespace atled::core {
namespace {

constexpr int64_t kHand = int64_t{1} << 16;  // elements that are dealt out one after the other

void count_up(int64_t* at, int64_t n) {
  parallel(n, kHand, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) at[i] = i;
  });
}

// Calls f(hand, digits) with the random bytes of each hand's elements.
template <class F>
void for_each_hand(int64_t n, const Stream& stream, F&& f) {
  auto draw = cpu_level() == kAvx512 ? random::Avx512::draw_bytes
              : cpu_level() == kAvx2 ? random::Avx2::draw_bytes
                                     : random::Baseline::draw_bytes;
  parallel((n + kHand - 1) / kHand, 1, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> digits(static_cast<size_t>(kHand));
    for (int64_t hand = begin; hand < end; ++hand) {
      const int64_t first = hand * kHand;
      draw(digits.data(), first, std::min(kHand, n - first), stream.seed, stream.offset);
      f(hand, digits.data());
    }
  });
}

// Deals 0 to n - 1 out into at, pile after pile; returns where each pile begins.
std::vector<int64_t> deal(int64_t* at, int64_t n, const Stream& stream) {
  const int64_t hands = (n + kHand - 1) / kHand;
  std::vector<int64_t> places(static_cast<size_t>(hands * kPiles)), begins(kPiles + 1);
  for_each_hand(n, stream, [&](int64_t hand, const uint8_t* digits) {
    int64_t* count = places.data() + hand * kPiles;
    for (int64_t i = 0; i < std::min(kHand, n - hand * kHand); ++i) ++count[digits[i]];
  });
  int64_t place = 0;
  for (int pile = 0; pile < kPiles; ++pile) {
    begins[static_cast<size_t>(pile)] = place;
    for (int64_t hand = 0; hand < hands; ++hand) {
      int64_t& mine = places[static_cast<size_t>(hand * kPiles + pile)];
      place += mine;
      mine = place - mine;
    }
  }
  begins[kPiles] = n;
  for_each_hand(n, stream, [&](int64_t hand, const uint8_t* digits) {
    int64_t* next = places.data() + hand * kPiles;
    const int64_t first = hand * kHand;
    for (int64_t i = 0; i < std::min(kHand, n - first); ++i) at[next[digits[i]]++] = first + i;
  });
  return begins;
}

void randperm(atled_frame* f) {
  const int64_t n = arg_int(f, 0);
  const Stream stream(f->args[1], permutation_counters(n));
  Tensor order = out_tensor(f)->dtype == ATLED_INT64 && is_contiguous(out_tensor(f)) ? Tensor::borrow(out_tensor(f))
                                                                                     : Tensor::empty(ATLED_INT64, {n});
  int64_t* at = data<int64_t>(order);
  auto shuffle = ATLED_RANDOM(shuffle<int64_t>);
  if (n <= kShuffledWhole) {
    count_up(at, n);
    shuffle(at, 0, n, stream.seed, stream.offset);
  } else {
    Stream bytes = stream;
    bytes.offset += static_cast<uint64_t>(shuffle_counters(n));
    const std::vector<int64_t> begins = deal(at, n, bytes);
    parallel(kPiles, 1, [&](int64_t first, int64_t last) {
      for (int64_t pile = first; pile < last; ++pile)
        shuffle(at, begins[static_cast<size_t>(pile)], begins[static_cast<size_t>(pile) + 1], stream.seed,
                stream.offset);
    });
  }
  if (order.get() != out_tensor(f)) assign(out_tensor(f), order);
}

void add_shuffle() { add_kernel("core::randperm", ATLED_DEVICE_CPU, kernel<randperm>); }

ATLED_KERNELS(add_shuffle);

}  // namespace
}  // namespace atled::core
