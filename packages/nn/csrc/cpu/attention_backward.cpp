// Attention's gradients: weights are computed again from their rows' logarithms of sums (Dao 2023, FlashAttention-2). A
// thread has some keys of a head, all or a part of them, and goes over the queries that see them, so that each sum has
// one order.
#include "cpu/attention.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// With as many heads of keys the keys of each stay together; of fewer, parts have at least so many keys.
constexpr int64_t kEnoughHeads = 8, kFewestKeys = 256;

template <class S>
class Backward {
 public:
  explicit Backward(atled_frame* f)
      : o_(f, 1, 7),
        grad_(arg_tensor(f, 0)),
        attended_(arg_tensor(f, 5)),
        lse_(contiguous(arg_tensor(f, 6))),
        to_query_(data<S>(out_tensor(f, 0))),
        to_key_(data<S>(out_tensor(f, 1))),
        to_value_(data<S>(out_tensor(f, 2))) {
    o_.by_query(grad_);
    o_.by_query(attended_);
    const int64_t groups = o_.batches * o_.heads / o_.shared;
    const int64_t wanted = (kEnoughHeads + groups - 1) / std::max<int64_t>(groups, 1);
    parts_ = std::clamp<int64_t>(o_.keys / kFewestKeys, 1, wanted);
    part_ = (o_.keys + parts_ - 1) / parts_;
    const int64_t rows = o_.batches * o_.heads * o_.length;
    if (parts_ > 1) partial_ = Tensor::empty(dtype_of<T>, {parts_, rows, o_.size});
    const int64_t work = o_.shared * o_.length * part_ * (o_.size + o_.value_size) * 2;
    parallel_for(groups * parts_, grain_of(work), [&](int64_t from, int64_t to) { heads(from, to); });
    if (parts_ > 1) parallel_for(rows, row_grain(o_.size), [&](int64_t from, int64_t to) { join(from, to, rows); });
  }

 private:
  using T = Wide<S>;

  void heads(int64_t begin, int64_t end) const {
    const int64_t step = o_.block, width = o_.padded(o_.size), value_width = o_.padded(o_.value_size);
    const Room<T> room({part_ * width, part_ * value_width, o_.size * step, o_.value_size * step, kBlockKeys * step,
                        kBlockKeys * step, step * width, step * width, step * value_width, kBlockKeys * width,
                        kBlockKeys * o_.value_size, step * o_.value_size});
    const auto put = ATLED_PICK(put_row<T, S>);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t at = task / parts_, groups = o_.heads / o_.shared, b = at / groups, g = at % groups;
      const int64_t first = task % parts_ * part_, last = std::min(o_.keys, first + part_);
      std::fill_n(room[kToKey], (last - first) * width, T(0));
      std::fill_n(room[kToValue], (last - first) * value_width, T(0));
      for (int64_t h = g * o_.shared; h < (g + 1) * o_.shared; ++h)
        for (int64_t query = 0; query < o_.length; query += step)
          queries(b, h, query, std::min(step, o_.length - query), first, last, task % parts_, room);
      for (int64_t k = first; k < last; ++k) {
        const int64_t row = at * o_.keys + k;
        put(room[kToKey] + (k - first) * width, o_.scale, o_.size, to_key_ + row * o_.size);
        put(room[kToValue] + (k - first) * value_width, T(1), o_.value_size, to_value_ + row * o_.value_size);
      }
    }
  }

  enum Piece {
    kToKey,
    kToValue,
    kQueryColumns,
    kGradColumns,
    kWeights,
    kSlopes,
    kToQuery,
    kQueries,
    kGrads,
    kKeys,
    kValues,
    kAttended
  };

  // What n queries from `query` on give to keys [first, last), and get from them.
  void queries(int64_t b, int64_t h, int64_t query, int64_t n, int64_t first, int64_t last, int64_t part,
               const Room<T>& room) const {
    const auto turn = ATLED_PICK(turn_rows<T>);
    const auto weigh = ATLED_PICK(weigh_again<T>);
    const auto multiply = ATLED_PICK(multiply<T, false>);
    const auto multiply_across = ATLED_PICK(multiply<T, true>);
    const auto put = ATLED_PICK(put_row<T, S>);
    const int64_t step = o_.block, all = o_.padded(n), width = o_.padded(o_.size),
                  value_width = o_.padded(o_.value_size);
    const int64_t g = h / o_.shared, row = (b * o_.heads + h) * o_.length + query;
    const Lines<T> rows = taken<S, T>(o_.query.at(b, h, query), o_.query.row, n, o_.size, width, room[kQueries]),
                   grads = taken<S, T>(grad_.at(b, h, query), grad_.row, n, o_.value_size, value_width, room[kGrads]);
    T *weights = room[kWeights], *slopes = room[kSlopes], *to_query = room[kToQuery];
    turn(rows.data, rows.step, n, o_.size, o_.scale * Powers<T>::kUnit, room[kQueryColumns], step, all);
    turn(grads.data, grads.step, n, o_.value_size, T(1), room[kGradColumns], step, all);
    T logarithms[kMostQueries], means[kMostQueries];
    statistics(b, h, query, n, grads, room[kAttended], logarithms, means);
    std::fill_n(to_query, n * width, T(0));
    for (int64_t key = first; key < std::min(last, o_.keys_seen(query, n)); key += kBlockKeys) {
      const auto block = o_.block_of(b, h, query, n, key, std::min(kBlockKeys, last - key));
      const Lines<T> keys = taken<S, T>(o_.key.at(b, g, key), o_.key.row, block.keys, o_.size, width, room[kKeys]),
                     values = taken<S, T>(o_.value.at(b, g, key), o_.value.row, block.keys, o_.value_size,
                                          o_.value_size, room[kValues]);
      o_.scores(block, keys, room[kQueryColumns], weights);
      o_.each_strip(block, all, [&](int64_t j, int64_t some, int64_t seen) {
        multiply(Into::kSet, values.data, values.step, room[kGradColumns] + j, step, o_.value_size, slopes + j, step,
                 seen, some, nullptr);
      });
      weigh(weights, slopes, step, block.keys, all, logarithms, means);
      o_.each_strip(block, n, [&](int64_t j, int64_t some, int64_t seen) {
        multiply_across(Into::kAdd, slopes + j, step, keys.data, keys.step, seen, to_query + j * width, width, some,
                        width, nullptr);
      });
      T *to_key = room[kToKey] + (key - first) * width, *to_value = room[kToValue] + (key - first) * value_width;
      o_.each_group(block, [&](int64_t k, int64_t some, int64_t from) {
        multiply(Into::kAdd, weights + k * step + from, step, grads.data + from * grads.step, grads.step, n - from,
                 to_value + k * value_width, value_width, some, value_width, nullptr);
        multiply(Into::kAdd, slopes + k * step + from, step, rows.data + from * rows.step, rows.step, n - from,
                 to_key + k * width, width, some, width, nullptr);
      });
    }
    for (int64_t q = 0; q < n; ++q) {
      if (parts_ == 1) {
        put(to_query + q * width, o_.scale, o_.size, to_query_ + (row + q) * o_.size);
      } else {
        T* to = data<T>(partial_) + (part * o_.batches * o_.heads * o_.length + row + q) * o_.size;
        ATLED_PICK(put_row<T, T>)(to_query + q * width, o_.scale, o_.size, to);
      }
    }
  }

  // The queries' logarithms of sums, times Powers::kUnit, and sums of grad * attended. Queries without keys, and lanes
  // without queries, get what makes all weights 0.
  void statistics(int64_t b, int64_t h, int64_t query, int64_t n, Lines<T> grads, T* room, T* logarithms,
                  T* means) const {
    constexpr T kInfinity = std::numeric_limits<T>::infinity();
    const auto product = ATLED_PICK(row_product<T>);
    const T* lse = data<T>(lse_) + (b * o_.heads + h) * o_.length + query;
    const Lines<T> attended =
        taken<S, T>(attended_.at(b, h, query), attended_.row, n, o_.value_size, o_.value_size, room);
    for (int64_t q = 0; q < n; ++q) {
      logarithms[q] = lse[q] == -kInfinity ? kInfinity : lse[q] * Powers<T>::kUnit;
      means[q] = product(grads.data + q * grads.step, attended.data + q * attended.step, o_.value_size);
    }
    for (int64_t q = n; q < o_.padded(n); ++q) {
      logarithms[q] = kInfinity;
      means[q] = 0;
    }
  }

  // The gradient of query rows [begin, end) from those that the parts gave.
  void join(int64_t begin, int64_t end, int64_t rows) const {
    const auto add = ATLED_PICK(accumulate<T, T>);
    const auto put = ATLED_PICK(put_row<T, S>);
    T* sums = data<T>(partial_);
    for (int64_t row = begin; row < end; ++row) {
      T* sum = sums + row * o_.size;
      for (int64_t part = 1; part < parts_; ++part) add(sums + (part * rows + row) * o_.size, sum, o_.size);
      put(sum, T(1), o_.size, to_query_ + row * o_.size);
    }
  }

  HeadOperands<S> o_;
  HeadLines<S> grad_, attended_;
  Tensor lse_, partial_;
  S *to_query_, *to_key_, *to_value_;
  int64_t parts_ = 1, part_ = 0;  // of a head's keys, and how many keys each has
};

void backward(atled_frame* f) {
  visit_float(arg_tensor(f, 1)->dtype, [&](auto tag) { Backward<typename decltype(tag)::type>{f}; });
}

}  // namespace

void add_attention_backward() { add_kernel("nn::fused_attention_backward", ATLED_DEVICE_CPU, kernel<backward>); }

}  // namespace atled::nn
