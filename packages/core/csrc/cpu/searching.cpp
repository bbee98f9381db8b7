#include "ops/searching.h"

#include <algorithm>
#include <vector>

#include "cpu/assign.h"
#include "cpu/indexed.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "cpu/select.h"

namespace atled::core {
namespace {

constexpr int64_t kSideBySide = 8;  // searches that wait for memory together

// The keys of a line as they lie, or made when they are looked at.
template <class T>
struct StoredKeys {
  const KeyOf<T>* keys;
  KeyOf<T> operator()(int64_t i) const { return keys[i]; }
};
template <class T>
struct MadeKeys {
  const T* x;
  KeyOf<T> operator()(int64_t i) const { return key_of(x[i], false); }
};

// places[j], j < m: how many of the n rising keys of a line are below wanted[j], or equal to it (kRight).
template <bool kRight, class K, class Line>
void search(const Line& line, int64_t n, const K* wanted, int64_t m, int64_t* places) {
  auto before = [](K here, K key) { return kRight ? here <= key : here < key; };
  for (int64_t j = 0; j < m; ++j) places[j] = 0;
  if (n == 0) return;
  // All halve at the same time, without branches.
  for (int64_t length = n; length > 1;) {
    const int64_t half = length / 2;
    for (int64_t j = 0; j < m; ++j) places[j] += before(line(places[j] + half - 1), wanted[j]) ? half : 0;
    length -= half;
  }
  for (int64_t j = 0; j < m; ++j) places[j] += before(line(places[j]), wanted[j]);
}

template <bool kRight, class T, class Make>
void search_all(const SearchLines& lines, const T* wanted, const atled_tensor* out, const Make& line_of) {
  using K = KeyOf<T>;
  parallel(lines.count, 2048, [&](int64_t begin, int64_t end) {
    K keys[kSideBySide];
    int64_t places[kSideBySide];
    while (begin < end) {
      const int64_t line = begin / lines.per_line;
      const int64_t m = std::min({kSideBySide, end - begin, (line + 1) * lines.per_line - begin});
      for (int64_t j = 0; j < m; ++j) keys[j] = key_of(wanted[begin + j], false);
      search<kRight>(line_of(line), lines.n, keys, m, places);
      for (int64_t j = 0; j < m; ++j) {
        if (out->dtype == ATLED_INT32) {
          data<int32_t>(out)[begin + j] = static_cast<int32_t>(places[j]);
        } else {
          data<int64_t>(out)[begin + j] = places[j];
        }
      }
      begin += m;
    }
  });
}

template <bool kRight, class T>
void search_in(const atled_tensor* sorted, const SearchLines& lines, const T* wanted, const atled_tensor* out) {
  const int64_t total = numel(sorted), step = sorted->dl.ndim > 1 ? lines.n : 0;
  const T* x = data<T>(sorted);
  if (total > lines.count)
    return search_all<kRight>(lines, wanted, out, [&](int64_t line) { return MadeKeys<T>{x + line * step}; });
  std::vector<KeyOf<T>> keys(static_cast<size_t>(total));
  for (int64_t i = 0; i < total; ++i) keys[static_cast<size_t>(i)] = key_of(x[i], false);
  search_all<kRight>(lines, wanted, out, [&](int64_t line) { return StoredKeys<T>{keys.data() + line * step}; });
}

// The sequences in the order that sorter says.
Tensor ordered(atled_tensor* sequence, atled_tensor* sorter) {
  const int ndim = sequence->dl.ndim;
  const int64_t n = sequence->dl.shape[ndim - 1];
  const Tensor from = contiguous(sequence), places = checked_indices(sorter, n, ndim - 1);
  const Tensor to = Tensor::empty_like(from);
  visit_size(itemsize(from->dtype), [&](auto tag) {
    using U = typename decltype(tag)::type;
    for (int64_t i = 0; i < numel(to); ++i) {
      const int64_t place = data<int64_t>(places)[i];
      data<U>(to)[i] = data<U>(from)[i / n * n + (place < 0 ? place + n : place)];
    }
  });
  return to;
}

void searchsorted(atled_frame* f) {
  atled_tensor *sequence = arg_tensor(f, 0), *out = out_tensor(f);
  const atled_value &input = f->args[1], &sorter = f->args[5];
  const bool right = to_the_right(f);
  Tensor sorted = Tensor::borrow(sequence);
  if (!is_none(sorter)) sorted = ordered(sequence, sorter.u.tensor);
  const int dtype = searched_dtype(sequence, input);
  sorted = contiguous(sorted, dtype);
  Tensor wanted = Tensor::empty(dtype, out->dl.ndim, out->dl.shape);
  assign(wanted, input);
  const SearchLines lines(sorted, out);
  if (lines.count == 0) return;
  visit_real(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    (right ? search_in<true, T> : search_in<false, T>)(sorted, lines, data<T>(wanted), out);
  });
}

void add_searching() { cpu_kernel("core::searchsorted", kernel<searchsorted>); }
ATLED_KERNELS(add_searching);

}  // namespace
}  // namespace atled::core
