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

// Where each bag begins, and where the last one ends.
std::vector<int64_t> bag_bounds(const atled_frame* f) {
  const atled_tensor* input = arg_tensor(f, 0);
  std::vector<int64_t> bounds;
  if (input->dl.ndim == 2) {
    for (int64_t b = 0; b <= input->dl.shape[0]; ++b) bounds.push_back(b * input->dl.shape[1]);
    return bounds;
  }
  const bool last = arg_bool(f, 6);
  const int64_t size = numel(input);
  const Tensor offsets = converted(arg_tensor(f, 2), ATLED_INT64);
  const int64_t *from = data<int64_t>(offsets), n = numel(offsets);
  bounds.assign(from, from + n);
  if (!last) bounds.push_back(size);
  if (n == 0) return bounds;
  if (from[0] != 0 || from[n - 1] > size || (last && from[n - 1] != size))
    fail(ATLED_E_VALUE, "expected offsets from 0 to %s%lld, got %lld to %lld", last ? "" : "at most ",
         static_cast<long long>(size), static_cast<long long>(from[0]), static_cast<long long>(from[n - 1]));
  for (int64_t i = 1; i < n; ++i)
    if (from[i] < from[i - 1])
      fail(ATLED_E_VALUE, "expected ascending offsets, got %lld before %lld at position %lld",
           static_cast<long long>(from[i - 1]), static_cast<long long>(from[i]), static_cast<long long>(i));
  return bounds;
}

// The rows of a bag are added in their order.
template <class T>
void bags_as(atled_frame* f) {
  using A = Wide<T>;
  const Tensor weight = contiguous(arg_tensor(f, 1)), each = converted(arg_tensor(f, 3), dtype_of<A>);
  const int64_t rows = weight->dl.shape[0], dim = weight->dl.shape[1], skip = padding_row(f, 5, rows);
  const bool mean = arg_bool(f, 4);
  const std::vector<int64_t> bounds = bag_bounds(f);
  const Tensor indices = checked_indices(arg_tensor(f, 0), rows);
  const int64_t *index = data<int64_t>(indices), bags = static_cast<int64_t>(bounds.size()) - 1;
  const T* table = data<T>(weight);
  const A* share = data_or_null<A>(each);
  T* out = data<T>(out_tensor(f));
  const auto add = share ? ATLED_PICK(sum_rows<T, A, true>) : ATLED_PICK(sum_rows<T, A, false>);
  const auto write = ATLED_PICK(assign_as<A, T, 1>);
  const int64_t size = bags > 0 ? numel(indices) / bags + 1 : 1;
  parallel_for(bags, row_grain(size * dim), [&](int64_t begin, int64_t end) {
    std::vector<A> sum(static_cast<size_t>(dim)), shares;
    std::vector<int64_t> counted;
    for (int64_t b = begin; b < end; ++b) {
      int64_t first = bounds[static_cast<size_t>(b)], n = bounds[static_cast<size_t>(b) + 1] - first;
      const int64_t* of = index + first;
      const A* by = share ? share + first : nullptr;
      if (skip >= 0) {
        counted.clear();
        shares.clear();
        for (int64_t k = 0; k < n; ++k) {
          if (of[k] == skip) continue;
          counted.push_back(of[k]);
          if (by) shares.push_back(by[k]);
        }
        of = counted.data();
        by = shares.data();
        n = static_cast<int64_t>(counted.size());
      }
      add(table, dim, of, by, n, skip < 0 ? index + numel(indices) : of + n, sum.data());
      if (mean && n > 1)
        for (A& s : sum) s /= static_cast<A>(n);
      write(sum.data(), 1, out + b * dim, dim);
    }
  });
}

void bags(atled_frame* f) {
  visit_float(arg_tensor(f, 1)->dtype, [&](auto tag) { bags_as<typename decltype(tag)::type>(f); });
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
  add_kernel("nn::embedding_bag", ATLED_DEVICE_CPU, kernel<bags>);
  add_kernel("nn::embedding_backward", ATLED_DEVICE_CPU, kernel<backward>);
}

}  // namespace atled::nn
