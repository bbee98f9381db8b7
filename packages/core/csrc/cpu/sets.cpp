#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu/assign.h"
#include "dispatch/register.h"
#include "functors/copy.h"
#include "functors/order.h"
#include "ops/layout.h"

namespace atled::core {
namespace {

// The slices of a dimension as rows of keys; complex numbers have two keys each.
template <class R>
class KeyRows {
 public:
  using K = KeyOf<R>;
  KeyRows(const R* x, int64_t rows, int64_t width)
      : width_(width), keys_(static_cast<size_t>(rows * width)), whole_(static_cast<size_t>(rows), true) {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < width; ++i) {
        const K key = key_of(x[row * width + i], false);
        keys_[static_cast<size_t>(row * width + i)] = key;
        // A NaN is not equal to itself, so neither is its row.
        if (!std::is_integral_v<R> && key == static_cast<K>(~K{0})) whole_[static_cast<size_t>(row)] = false;
      }
  }
  const K* row(int64_t i) const { return keys_.data() + i * width_; }
  bool less(int64_t a, int64_t b) const {
    return std::lexicographical_compare(row(a), row(a) + width_, row(b), row(b) + width_);
  }
  bool equal(int64_t a, int64_t b) const {
    return whole_[static_cast<size_t>(a)] && std::equal(row(a), row(a) + width_, row(b));
  }

 private:
  int64_t width_;
  std::vector<K> keys_;
  std::vector<bool> whole_;
};

Tensor vector_of(const std::vector<int64_t>& numbers) {
  Tensor t = Tensor::empty(ATLED_INT64, {static_cast<int64_t>(numbers.size())});
  std::copy(numbers.begin(), numbers.end(), data<int64_t>(t));
  return t;
}

template <class R>
void find_unique(atled_frame* f, const R* x, int64_t rows, int64_t width, int dim) {
  static const Op index_select{"core::index_select"};
  const KeyRows<R> keys(x, rows, width);
  std::vector<int64_t> order(static_cast<size_t>(rows)), firsts, counts;
  std::iota(order.begin(), order.end(), int64_t{0});
  if (!arg_bool(f, 2))
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return keys.less(a, b); });
  const Tensor inverse = Tensor::empty(ATLED_INT64, {rows});
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || !keys.equal(order[i], order[i - 1])) {
      firsts.push_back(order[i]);
      counts.push_back(0);
    }
    ++counts.back();
    data<int64_t>(inverse)[order[i]] = static_cast<int64_t>(firsts.size()) - 1;
  }
  set_out(f, 0, index_select(arg_tensor(f, 0), dim, vector_of(firsts)));
  set_out(f, 1, inverse);
  set_out(f, 2, vector_of(counts));
}

void unique_dim(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected input of at least one dimension, got shape ()");
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  Layout turned(input);
  const int64_t n = turned.shape[dim], stride = turned.strides[dim];
  turned.erase(dim);
  turned.insert(0, n, stride);
  const Tensor rows = contiguous(turned.view(input));
  const int64_t width = n > 0 ? numel(rows) / n : 0;
  visit_dtype(rows->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (is_complex_type<T>) {
      find_unique(f, data<typename T::value_type>(rows), n, 2 * width, dim);
    } else {
      find_unique(f, data<T>(rows), n, width, dim);
    }
  });
}

void add_sets() { add_kernel("core::unique_dim", ATLED_DEVICE_CPU, kernel<unique_dim>); }
ATLED_KERNELS(add_sets);

}  // namespace
}  // namespace atled::core
