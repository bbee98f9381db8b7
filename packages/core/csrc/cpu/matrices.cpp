#include <algorithm>
#include <cstring>

#include "cpu/assign.h"
#include "cpu/indexed.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "dispatch/register.h"
#include "functors/copy.h"
#include "ops/counting.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

// Large tensors in pieces, so that a difference ends it early.
bool equal_elements(atled_tensor* a, atled_tensor* b) {
  static const Op ne{"core::ne"}, any{"core::any"}, narrow{"core::narrow"};
  constexpr int64_t kPiece = 1 << 15;
  const int64_t n = numel(a), length = a->dl.ndim ? a->dl.shape[0] : 1;
  if (n <= 2 * kPiece || length == 1) return !*data<bool>(any(ne(a, b)));
  const int64_t rows = std::max<int64_t>(1, kPiece / (n / length));
  for (int64_t i = 0; i < length; i += rows) {
    const int64_t count = std::min(rows, length - i);
    if (!equal_elements(narrow(a, 0, i, count), narrow(b, 0, i, count))) return false;
  }
  return true;
}

void equal(atled_frame* f) {
  atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  f->outs[0] = value(same_shape(a, b) && equal_elements(a, b));
}

void allclose(atled_frame* f) {
  static const Op isclose{"core::isclose"}, all{"core::all"};
  f->outs[0] = value(*data<bool>(all(isclose(f->args[0], f->args[1], f->args[2], f->args[3], f->args[4]))));
}

void diag_embed(atled_frame* f) {
  static const Op diagonal{"core::diagonal"};
  atled_tensor* out = out_tensor(f);
  assign_zero(out);
  assign(diagonal(out, f->args[1], f->args[2], f->args[3]), arg_tensor(f, 0));
}

template <bool kLower>
void triangle_indices(atled_frame* f) {
  const int64_t rows = arg_int(f, 0), columns = arg_int(f, 1);
  const int64_t shift = std::clamp(arg_int(f, 2), -rows - 1, columns) + (kLower ? 1 : 0);
  atled_tensor* out = out_tensor(f);
  if (numel(out) == 0) return;
  Tensor places = Tensor::empty(ATLED_INT64, {2, out->dl.shape[1]});
  int64_t *row = data<int64_t>(places), *column = row + out->dl.shape[1];
  // The other rows have nothing.
  const int64_t first = kLower ? std::clamp<int64_t>(-shift, 0, rows) : 0;
  const int64_t end_row = kLower ? rows : std::clamp<int64_t>(columns - shift, 0, rows);
  for (int64_t i = first; i < end_row; ++i) {
    const int64_t border = std::clamp<int64_t>(i + shift, 0, columns);
    for (int64_t j = kLower ? 0 : border, end = kLower ? border : columns; j < end; ++j) {
      *row++ = i;
      *column++ = j;
    }
  }
  assign(out, places);
}

// How often each place occurs, into zeros. Where there are few, neighbours go into tables of their own: one addition to
// a place need not wait for the one before.
void count(const int64_t* at, int64_t n, int64_t* counts, int64_t bins) {
  constexpr int64_t kTables = 4, kFew = 2048;
  int64_t i = 0;
  if (bins <= kFew && n >= 4 * kFew) {
    Scratch<int64_t> room((kTables - 1) * bins);
    int64_t* tables[kTables] = {counts, room.data(), room.data() + bins, room.data() + 2 * bins};
    std::fill_n(room.data(), (kTables - 1) * bins, 0);
    for (; i + kTables <= n; i += kTables)
      for (int64_t k = 0; k < kTables; ++k) ++tables[k][at[i + k]];
    for (int64_t b = 0; b < bins; ++b) counts[b] += tables[1][b] + tables[2][b] + tables[3][b];
  }
  for (; i < n; ++i) ++counts[at[i]];
}

template <class T>
void sum_at(const int64_t* at, int64_t n, const T* weights, T* sums) {
  for (int64_t i = 0; i < n; ++i) sums[at[i]] += weights[i];
}

void bincount(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *weights = arg_tensor(f, 1);
  const int64_t n = numel(input), least = arg_int(f, 2);
  expect_countable(input, weights, least);
  const Tensor places = contiguous(input, ATLED_INT64);
  const int64_t* at = data<int64_t>(places);
  int64_t bins = least;
  if (n > 0) {
    const IndexRange range(at, n);
    if (range.low < 0)
      fail(ATLED_E_VALUE, "expected input >= 0, got %lld",
           (long long)*std::find_if(at, at + n, [](int64_t i) { return i < 0; }));
    bins = std::max(bins, std::min(range.high, INT64_MAX - 1) + 1);
  }
  const int dtype = !weights ? ATLED_INT64 : weights->dtype == ATLED_FLOAT32 ? ATLED_FLOAT32 : ATLED_FLOAT64;
  Tensor out = Tensor::empty(dtype, {bins});
  assign_zero(out);
  if (!weights) {
    count(at, n, data<int64_t>(out), bins);
  } else if (dtype == ATLED_FLOAT32) {
    const Tensor weight = contiguous(weights);
    sum_at(at, n, data<float>(weight), data<float>(out));
  } else {
    const Tensor weight = contiguous(weights, ATLED_FLOAT64);
    sum_at(at, n, data<double>(weight), data<double>(out));
  }
  set_out(f, 0, out);
}

// Composites, for every device.

Tensor flat(atled_tensor* t) {
  static const Op reshape{"core::reshape"};
  const int64_t all = -1;
  return reshape(t, ints_value(&all, 1));
}

void diag(atled_frame* f) {
  static const Op diagonal{"core::diagonal"}, clone{"core::clone"}, embed{"core::diag_embed"};
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim == 1) return set_out(f, 0, embed(input, f->args[1]));
  if (input->dl.ndim != 2) fail(ATLED_E_SHAPE, "expected 1 or 2 dimensions, got shape %s", shape_text(input).c_str());
  set_out(f, 0, clone(diagonal(input, f->args[1])));
}

void diagflat(atled_frame* f) {
  static const Op embed{"core::diag_embed"};
  set_out(f, 0, embed(flat(arg_tensor(f, 0)), f->args[1]));
}

void trace(atled_frame* f) {
  static const Op diagonal{"core::diagonal"}, sum{"core::sum"};
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim != 2) fail(ATLED_E_SHAPE, "expected 2 dimensions, got shape %s", shape_text(input).c_str());
  set_out(f, 0, sum(diagonal(input)));
}

// Dimensions (a0, b0, a1, b1, ...) of a times b, joined pair by pair.
void kron(atled_frame* f) {
  static const Op reshape{"core::reshape"}, mul{"core::mul"};
  atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  const int ndim = std::max(a->dl.ndim, b->dl.ndim);
  Layout left, right, out;
  for (int d = 0; d < ndim; ++d) {
    const int i = d - (ndim - a->dl.ndim), j = d - (ndim - b->dl.ndim);
    const int64_t m = i < 0 ? 1 : a->dl.shape[i], n = j < 0 ? 1 : b->dl.shape[j];
    left.push(m, 0);
    left.push(1, 0);
    right.push(1, 0);
    right.push(n, 0);
    out.push(m * n, 0);
  }
  auto shaped = [&](atled_tensor* t, const Layout& to) {
    return reshape(t, ints_value(to.shape, static_cast<size_t>(to.ndim)));
  };
  set_out(f, 0, shaped(mul(shaped(a, left), shaped(b, right)), out));
}

void diagonal_scatter(atled_frame* f) {
  static const Op diagonal{"core::diagonal"}, clone{"core::clone"}, copy{"core::copy_"};
  Tensor out = clone(arg_tensor(f, 0));
  Tensor view = diagonal(out, f->args[2], f->args[3], f->args[4]);
  if (!same_shape(view, arg_tensor(f, 1)))
    fail(ATLED_E_SHAPE, "expected src of shape %s, got %s", shape_text(view).c_str(),
         shape_text(arg_tensor(f, 1)).c_str());
  copy(view, arg_tensor(f, 1));
  set_out(f, 0, out);
}

void add_matrices() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  cpu("core::equal", kernel<equal>);
  cpu("core::allclose", kernel<allclose>);
  cpu("core::diag_embed", kernel<diag_embed>);
  cpu("core::tril_indices", kernel<triangle_indices<true>>);
  cpu("core::triu_indices", kernel<triangle_indices<false>>);
  cpu("core::bincount", kernel<bincount>);
  any("core::diag", kernel<diag>);
  any("core::diagflat", kernel<diagflat>);
  any("core::trace", kernel<trace>);
  any("core::kron", kernel<kron>);
  any("core::diagonal_scatter", kernel<diagonal_scatter>);
}

ATLED_KERNELS(add_matrices);

}  // namespace
}  // namespace atled::core
