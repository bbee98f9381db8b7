// Attention without a matrix of scores: a block of queries goes over blocks of keys, and keeps of each query the
// largest score and the sum of powers so far (Milakov & Gimelshein 2018; Dao 2023, FlashAttention-2).
#include "cpu/attention.h"

#include <cmath>

#include "plugin.h"

namespace atled::nn {
namespace {

template <class S>
class Forward {
 public:
  explicit Forward(atled_frame* f) : o_(f, 0, 4), out_(data<S>(out_tensor(f, 0))), lse_(data<T>(out_tensor(f, 1))) {
    const int64_t work = o_.keys * (o_.size + o_.value_size);
    if (o_.length <= kFewQueries)
      parallel_for(o_.batches * o_.heads, grain_of(o_.length * work),
                   [&](int64_t from, int64_t to) { rows(from, to); });
    else
      parallel_for(o_.batches * o_.heads * o_.query_blocks(), grain_of(o_.block * work),
                   [&](int64_t from, int64_t to) { blocks(from, to); });
  }

 private:
  using T = Wide<S>;
  static constexpr T kNothing = -std::numeric_limits<T>::infinity();

  void blocks(int64_t begin, int64_t end) const {
    const auto turn = ATLED_PICK(turn_rows<T>);
    const auto weigh = ATLED_PICK(weigh<T>);
    const auto add_values = ATLED_PICK(multiply<T, true>);
    const int64_t step = o_.block, width = o_.padded(o_.value_size), all_blocks = o_.query_blocks();
    const Room<T> room(
        {o_.size * step, step * width, kBlockKeys * step, kBlockKeys * o_.size, kBlockKeys * width, step * o_.size});
    T *turned = room[0], *sums = room[1], *scores = room[2];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t at = task / all_blocks, b = at / o_.heads, h = at % o_.heads, g = h / o_.shared;
      const int64_t first = task % all_blocks * step, n = std::min(step, o_.length - first), all = o_.padded(n);
      const Lines<T> queries = taken<S, T>(o_.query.at(b, h, first), o_.query.row, n, o_.size, o_.size, room[5]);
      turn(queries.data, queries.step, n, o_.size, o_.scale * Powers<T>::kUnit, turned, step, all);
      T most[kMostQueries], total[kMostQueries] = {}, factors[kMostQueries];
      std::fill_n(most, all, kNothing);
      std::fill_n(sums, n * width, T(0));
      for (int64_t key = 0; key < o_.keys_seen(first, n); key += kBlockKeys) {
        const auto block = o_.block_of(b, h, first, n, key, kBlockKeys);
        o_.scores(block, taken<S, T>(o_.key.at(b, g, key), o_.key.row, block.keys, o_.size, o_.size, room[3]), turned,
                  scores);
        weigh(scores, step, block.keys, all, most, total, factors);
        const Lines<T> values =
            taken<S, T>(o_.value.at(b, g, key), o_.value.row, block.keys, o_.value_size, width, room[4]);
        o_.each_strip(block, n, [&](int64_t j, int64_t some, int64_t seen) {
          add_values(Into::kRescale, scores + j, step, values.data, values.step, seen, sums + j * width, width, some,
                     width, factors + j);
        });
      }
      for (int64_t q = 0; q < n; ++q) finish(at * o_.length + first + q, sums + q * width, most[q], total[q]);
    }
  }

  // One query after the other, for few of them: features are in lanes then.
  void rows(int64_t begin, int64_t end) const {
    const auto take = ATLED_PICK(take_rows<S, T>);
    const auto row_scores = ATLED_PICK(row_scores<T>);
    const auto weigh = ATLED_PICK(row_weigh<T>);
    const auto add_values = ATLED_PICK(row_values<T>);
    constexpr int64_t kSome = 4 * kBlockKeys;
    const int64_t converted = std::is_same_v<S, T> ? 0 : kSome;
    const Room<T> room(
        {o_.length * o_.size, o_.length * o_.value_size, kSome, converted * o_.size, converted * o_.value_size});
    T *queries = room[0], *sums = room[1], *scores = room[2];
    auto wide = [&](const S* x, int64_t step, int64_t n, int64_t size, T* to) -> Lines<T> {
      if constexpr (std::is_same_v<S, T>) {
        return {x, step};
      } else {
        take(x, step, n, size, to, size);
        return {to, size};
      }
    };
    for (int64_t at = begin; at < end; ++at) {
      const int64_t b = at / o_.heads, h = at % o_.heads, g = h / o_.shared;
      take(o_.query.at(b, h, 0), o_.query.row, o_.length, o_.size, queries, o_.size);
      for (int64_t i = 0; i < o_.length * o_.size; ++i) queries[i] *= o_.scale * Powers<T>::kUnit;
      std::fill_n(sums, o_.length * o_.value_size, T(0));
      T most[kFewQueries], total[kFewQueries] = {};
      std::fill_n(most, kFewQueries, kNothing);
      for (int64_t key = 0; key < o_.keys_seen(0, o_.length); key += kSome) {
        const int64_t count = o_.block_of(b, h, 0, o_.length, key, kSome).keys;
        const Lines<T> keys = wide(o_.key.at(b, g, key), o_.key.row, count, o_.size, room[3]);
        const Lines<T> values = wide(o_.value.at(b, g, key), o_.value.row, count, o_.value_size, room[4]);
        for (int64_t q = 0; q < o_.length; ++q) {
          const auto row = o_.block_of(b, h, q, 1, key, count);
          if (row.keys <= 0) continue;
          row_scores(queries + q * o_.size, keys.data, keys.step, row.keys, o_.size, scores);
          if (o_.bias) o_.add_bias(row, scores, 1);
          const T factor = weigh(scores, row.keys, most[q], total[q]);
          add_values(scores, values.data, values.step, row.keys, o_.value_size, factor, sums + q * o_.value_size);
        }
      }
      for (int64_t q = 0; q < o_.length; ++q) finish(at * o_.length + q, sums + q * o_.value_size, most[q], total[q]);
    }
  }

  void finish(int64_t row, T* sums, T most, T total) const {
    ATLED_PICK(put_row<T, S>)(sums, total == 0 ? T(0) : 1 / total, o_.value_size, out_ + row * o_.value_size);
    lse_[row] = total == 0 ? kNothing : most / Powers<T>::kUnit + std::log(total);
  }

  HeadOperands<S> o_;
  S* out_;
  T* lse_;
};

void forward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { Forward<typename decltype(tag)::type>{f}; });
}

}  // namespace

void add_attention() { add_kernel("nn::fused_attention", ATLED_DEVICE_CPU, kernel<forward>); }

}  // namespace atled::nn
