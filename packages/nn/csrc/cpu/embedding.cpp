#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// The indices as int64, checked against the number of rows. BoundsError names the first bad one.
Tensor checked_indices(atled_tensor* t, int64_t rows) {
  const Tensor indices = converted(t, ATLED_INT64);
  const int64_t* index = data<int64_t>(indices);
  const int64_t n = numel(indices);
  for (int64_t i = 0; i < n; ++i)
    if (index[i] < 0 || index[i] >= rows)
      fail(ATLED_E_BOUNDS, "expected input in [0, %lld), got %lld at position %lld", static_cast<long long>(rows),
           static_cast<long long>(index[i]), static_cast<long long>(i));
  return indices;
}

// None means no row; a negative padding_idx counts from the end.
int64_t padding_row(const atled_frame* f, int i, int64_t rows) {
  if (arg_is_none(f, i)) return -1;
  const int64_t row = arg_int(f, i);
  if (row < -rows || row >= rows)
    fail(ATLED_E_BOUNDS, "expected padding_idx in [%lld, %lld), got %lld", -static_cast<long long>(rows),
         static_cast<long long>(rows), static_cast<long long>(row));
  return row < 0 ? row + rows : row;
}

void embedding(atled_frame* f) {
  const Tensor weight = contiguous(arg_tensor(f, 1));
  const int64_t rows = weight->dl.shape[0];
  padding_row(f, 2, rows);
  const Tensor indices = checked_indices(arg_tensor(f, 0), rows);
  const size_t bytes = static_cast<size_t>(weight->dl.shape[1]) * static_cast<size_t>(itemsize(weight->dtype));
  const int64_t* index = data<int64_t>(indices);
  const char* table = data<char>(weight);
  char* out = data<char>(out_tensor(f));
  parallel_for(numel(indices), row_grain(weight->dl.shape[1]), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      memcpy(out + static_cast<size_t>(i) * bytes, table + static_cast<size_t>(index[i]) * bytes, bytes);
  });
}

// Each thread owns a range of columns and adds in the order of the indices: the sum does not depend on the threads.
template <class T>
void backward_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor grad = contiguous(arg_tensor(f, 0));
  const int64_t rows = arg_int(f, 2), skip = padding_row(f, 3, rows), dim = grad->dl.shape[grad->dl.ndim - 1];
  const Tensor indices = checked_indices(arg_tensor(f, 1), rows);
  const bool by_frequency = arg_bool(f, 4);
  const int64_t n = numel(indices), *index = data<int64_t>(indices);
  std::vector<int64_t> counts(by_frequency ? static_cast<size_t>(rows) : 0);
  if (by_frequency)
    for (int64_t i = 0; i < n; ++i) ++counts[static_cast<size_t>(index[i])];
  const T* g = data<T>(grad);
  T* out = data<T>(out_tensor(f));
  std::fill(out, out + rows * dim, T(0));
  // Half-precision sums are kept wide until the end, for the rows that are named alone: the one of row r is slots[r].
  std::vector<A> wide;
  std::vector<int64_t> slots, named;
  A* sums;
  if constexpr (std::is_same_v<A, T>) {
    sums = out;
  } else {
    slots.assign(static_cast<size_t>(rows), -1);
    for (int64_t i = 0; i < n; ++i) {
      int64_t& slot = slots[static_cast<size_t>(index[i])];
      if (slot >= 0) continue;
      slot = static_cast<int64_t>(named.size());
      named.push_back(index[i]);
    }
    wide.assign(named.size() * static_cast<size_t>(dim), A(0));
    sums = wide.data();
  }
  const auto add = ATLED_PICK(accumulate_scaled<T, A>);
  parallel_for(dim, std::max<int64_t>(16, row_grain(n)), [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = index[i];
      if (row == skip) continue;
      const A scale = by_frequency ? A(1) / static_cast<A>(counts[static_cast<size_t>(row)]) : A(1);
      const int64_t to = slots.empty() ? row : slots[static_cast<size_t>(row)];
      add(g + i * dim + begin, scale, sums + to * dim + begin, end - begin);
    }
  });
  if constexpr (!std::is_same_v<A, T>)
    for (size_t k = 0; k < named.size(); ++k)
      for (int64_t j = 0; j < dim; ++j)
        out[named[k] * dim + j] = static_cast<T>(wide[k * static_cast<size_t>(dim) + static_cast<size_t>(j)]);
}

void backward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { backward_as<typename decltype(tag)::type>(f); });
}

}  // namespace

void add_embedding() {
  add_kernel("nn::embedding", ATLED_DEVICE_CPU, kernel<embedding>);
  add_kernel("nn::embedding_backward", ATLED_DEVICE_CPU, kernel<backward>);
}

}  // namespace atled::nn
