#include <algorithm>
#include <vector>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "cpu/select.h"
#include "ops/layout.h"

namespace atled::core {
namespace {

constexpr int64_t kManyRanks = 8;  // from so many on, sorting is quicker

struct Sorted {
  Tensor values, indices;
};
Sorted sorted(atled_tensor* rows) {
  static const Op sort{"core::sort"};
  atled_value outs[2] = {none(), none()};
  sort.run(0, outs, {value(rows), value(-1)});
  return {Tensor::steal(outs[0].u.tensor), Tensor::steal(outs[1].u.tensor)};
}

template <class T>
bool is_nan(T x) {
  if constexpr (is_small_float<T>) {
    return is_nan_key<T>(key_of(x, false));
  } else {
    return x != x;
  }
}

// The first NaN of a line, or n.
template <class T>
int64_t first_nan(const T* x, int64_t n) {
  if constexpr (std::is_integral_v<T>) {
    return n;
  } else {
    constexpr int64_t kBlock = 4096;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t end = std::min(n, begin + kBlock);
      int found = 0;
      for (int64_t i = begin; i < end; ++i) found |= is_nan(x[i]);
      if (!found) continue;
      for (int64_t i = begin; i < end; ++i)
        if (is_nan(x[i])) return i;
    }
    return n;
  }
}

// The same over the thread pool: the first of the chunks' firsts.
template <class T>
int64_t first_nan_of_many(const T* x, int64_t n) {
  if (std::is_integral_v<T> || n <= kSelectChunk) return first_nan(x, n);
  const int64_t chunks = (n + kSelectChunk - 1) / kSelectChunk;
  std::vector<int64_t> firsts(static_cast<size_t>(chunks), n);
  parallel(chunks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int64_t start = c * kSelectChunk, length = std::min(kSelectChunk, n - start),
                    at = first_nan(x + start, length);
      if (at < length) firsts[static_cast<size_t>(c)] = start + at;
    }
  });
  return *std::min_element(firsts.begin(), firsts.end());
}

// One line's values and indices at m ranks.
template <class T>
void rank_line(const T* x, int64_t n, const int64_t* ranks, int64_t m, bool propagate_nan, T* values, int64_t* indices,
               std::vector<Item<KeyOf<T>>>& room) {
  const int64_t nan = propagate_nan ? first_nan_of_many(x, n) : n;
  for (int64_t j = 0; j < m; ++j) {
    if (nan < n) {
      indices[j] = nan;
    } else {
      const bool pair = j + 1 < m && ranks[j + 1] == ranks[j] + 1;
      select_ranks(x, n, ranks[j], pair ? 2 : 1, indices + j, room);
      if (pair) {
        values[j] = x[indices[j]];
        ++j;
      }
    }
    values[j] = x[indices[j]];
  }
}

void check_ranks(const atled_tensor* ranks, int64_t n) {
  const int64_t* rank = data<int64_t>(ranks);
  for (int64_t i = 0; i < numel(ranks); ++i)
    if (rank[i] < 0 || rank[i] >= n)
      fail(ATLED_E_BOUNDS, "expected ranks in [0, %lld), got %lld", (long long)n, (long long)rank[i]);
}

void ranked(atled_frame* f) {
  const Tensor rows = contiguous(arg_tensor(f, 0)), ranks = contiguous(arg_tensor(f, 1));
  atled_tensor *values = out_tensor(f, 0), *indices = out_tensor(f, 1);
  const int64_t n = rows->dl.shape[rows->dl.ndim - 1], m = ranks->dl.shape[ranks->dl.ndim - 1];
  check_ranks(ranks, n);
  if (numel(values) == 0) return;
  if (n > UINT32_MAX) fail(ATLED_E_SHAPE, "expected lines of less than 2^32 elements, got %lld", (long long)n);
  const int64_t step = ranks->dl.ndim > 1 ? m : 0, count = numel(rows) / n;
  Sorted whole;
  if (m > kManyRanks) whole = sorted(rows);
  visit_real(rows->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel(count, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
      std::vector<Item<KeyOf<T>>> room;
      for (int64_t line = begin; line < end; ++line) {
        const T* x = data<T>(rows) + line * n;
        const int64_t* rank = data<int64_t>(ranks) + line * step;
        T* value = data<T>(values) + line * m;
        int64_t* index = data<int64_t>(indices) + line * m;
        if (!whole.values) {
          rank_line(x, n, rank, m, arg_bool(f, 2), value, index, room);
          continue;
        }
        const int64_t nan = arg_bool(f, 2) ? first_nan(x, n) : n;
        for (int64_t j = 0; j < m; ++j) {
          index[j] = nan < n ? nan : data<int64_t>(whole.indices)[line * n + rank[j]];
          value[j] = x[index[j]];
        }
      }
    });
  });
}

// input with a dimension as the last, contiguous.
Tensor rows_along(atled_tensor* input, int dim) {
  Layout turned(input);
  if (turned.ndim == 0) turned.push(1, 1);
  const int64_t n = turned.shape[dim], stride = turned.strides[dim];
  turned.erase(dim);
  turned.push(n, stride);
  return contiguous(turned.view(input));
}

void kthvalue(atled_frame* f) {
  const Tensor rows = rows_along(arg_tensor(f, 0), wrap_dim(arg_int(f, 2), arg_tensor(f, 0)->dl.ndim));
  const int64_t n = rows->dl.shape[rows->dl.ndim - 1], k = arg_int(f, 1) - 1;
  if (n > UINT32_MAX) fail(ATLED_E_SHAPE, "expected lines of less than 2^32 elements, got %lld", (long long)n);
  visit_real(rows->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel(numel(rows) / n, std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
      std::vector<Item<KeyOf<T>>> room;
      for (int64_t line = begin; line < end; ++line)
        rank_line(data<T>(rows) + line * n, n, &k, 1, false, data<T>(out_tensor(f, 0)) + line,
                  data<int64_t>(out_tensor(f, 1)) + line, room);
    });
  });
}

// The longest run of a sorted line: where it ends.
template <class T>
int64_t longest_run(const T* x, int64_t n) {
  int64_t best = 0, end = 0, length = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto key = key_of(x[i], false);
    // NaNs, all last, are all different.
    const bool more = i > 0 && key == key_of(x[i - 1], false) && !is_nan_key<T>(key);
    length = more ? length + 1 : 1;
    if (length > best) {
      best = length;
      end = i;
    }
  }
  return end;
}

void mode(atled_frame* f) {
  const Sorted order = sorted(rows_along(arg_tensor(f, 0), wrap_dim(arg_int(f, 1), arg_tensor(f, 0)->dl.ndim)));
  const int64_t n = order.values->dl.shape[order.values->dl.ndim - 1];
  visit_real(order.values->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel(numel(order.values) / n, std::max<int64_t>(1, 16384 / n), [&](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) {
        const int64_t at = line * n + longest_run(data<T>(order.values) + line * n, n);
        data<T>(out_tensor(f, 0))[line] = data<T>(order.values)[at];
        data<int64_t>(out_tensor(f, 1))[line] = data<int64_t>(order.indices)[at];
      }
    });
  });
}

void add_order_statistics() {
  cpu_kernel("core::ranked", kernel<ranked>);
  cpu_kernel("core::kthvalue", kernel<kthvalue>);
  cpu_kernel("core::mode", kernel<mode>);
}
ATLED_KERNELS(add_order_statistics);

}  // namespace
}  // namespace atled::core
