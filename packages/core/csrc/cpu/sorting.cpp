#include <algorithm>
#include <vector>

#include "cpu/assign.h"
#include "cpu/order.h"
#include "cpu/parallel.h"
#include "dispatch/register.h"
#include "functors/copy.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

template <class F>
void visit_real(int dtype, F&& f) {
  visit_dtype(dtype, [&](auto tag) {
    if constexpr (!is_complex_type<typename decltype(tag)::type>) f(tag);
  });
}

// The first `kept` of one line's n elements in order, from keys; `items` has room for n.
template <class K>
void first_of(const K* keys, int64_t n, int64_t kept, bool sorted, std::vector<Keyed<K>>& items) {
  // A buffer of candidates that is thinned out whenever it is full.
  const int64_t room = std::min(n, std::max<int64_t>(4 * kept, 256));
  const auto begin = items.begin();
  int64_t count = 0, i = 0;
  for (; i < room; ++i) items[static_cast<size_t>(count++)] = {keys[i], static_cast<uint32_t>(i)};
  for (;;) {
    if (kept < count) std::nth_element(begin, begin + (kept - 1), begin + count);
    count = std::min(count, kept);
    const K bound = items[static_cast<size_t>(kept - 1)].key;
    for (; i < n && count < room; ++i)
      if (keys[i] < bound) items[static_cast<size_t>(count++)] = {keys[i], static_cast<uint32_t>(i)};
    if (i == n) break;
  }
  if (kept < count) std::nth_element(begin, begin + (kept - 1), begin + count);
  if (sorted) std::sort(begin, begin + kept);
}

// values (may be NULL) and indices of the first `kept` elements of every sorted line; lines lie in the last dimension.
void sort_rows(atled_tensor* input, bool descending, int64_t kept, bool sorted, atled_tensor* values,
               atled_tensor* indices) {
  const int64_t n = input->dl.ndim ? input->dl.shape[input->dl.ndim - 1] : 1, lines = n ? numel(input) / n : 0;
  if (n > UINT32_MAX) fail(ATLED_E_SHAPE, "expected lines of less than 2^32 elements, got %lld", (long long)n);
  if (kept == 0) return;
  visit_real(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using K = KeyOf<T>;
    const T* from = data<T>(input);
    T* value = values ? data<T>(values) : nullptr;
    int64_t* index = data<int64_t>(indices);
    parallel(lines, std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end) {
      const bool whole = kept == n;
      std::vector<K> keys(static_cast<size_t>(n));
      std::vector<Keyed<K>> items(static_cast<size_t>(n)), spare(static_cast<size_t>(whole && n >= 96 ? n : 0));
      for (int64_t line = begin; line < end; ++line) {
        const T* in = from + line * n;
        for (int64_t i = 0; i < n; ++i) keys[static_cast<size_t>(i)] = key_of(in[i], descending);
        if (whole) {
          for (int64_t i = 0; i < n; ++i)
            items[static_cast<size_t>(i)] = {keys[static_cast<size_t>(i)], static_cast<uint32_t>(i)};
          sort_keyed(items.data(), spare.data(), n);
        } else {
          first_of(keys.data(), n, kept, sorted, items);
        }
        for (int64_t i = 0; i < kept; ++i) {
          const int64_t at = items[static_cast<size_t>(i)].index;
          if (value) value[line * kept + i] = in[at];
          index[line * kept + i] = at;
        }
      }
    });
  });
}

Tensor with_last(atled_tensor* t, int dim) {
  Layout layout(t);
  if (layout.ndim == 0) return Tensor::borrow(t);
  const int64_t n = layout.shape[dim], stride = layout.strides[dim];
  layout.erase(dim);
  layout.push(n, stride);
  return layout.view(t);
}

// The same along any dimension, by way of copies in which it is the last.
void sort_lines(atled_tensor* input, int dim, bool descending, int64_t kept, bool sorted, atled_tensor* values,
                atled_tensor* indices) {
  const Tensor rows = contiguous(with_last(input, dim));
  if (dim + 1 >= input->dl.ndim) return sort_rows(rows, descending, kept, sorted, values, indices);
  const Layout shape(with_last(indices, dim));
  Tensor turned_values, turned_indices;
  if (values) turned_values = Tensor::empty(values->dtype, shape.ndim, shape.shape);
  turned_indices = Tensor::empty(ATLED_INT64, shape.ndim, shape.shape);
  sort_rows(rows, descending, kept, sorted, turned_values, turned_indices);
  if (values) assign(with_last(values, dim), turned_values);
  assign(with_last(indices, dim), turned_indices);
}

int64_t length_of(const atled_tensor* t, int dim) { return t->dl.ndim ? t->dl.shape[dim] : 1; }

void sort(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 2), length_of(input, dim), true, out_tensor(f, 0), out_tensor(f, 1));
}

void argsort(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 2), length_of(input, dim), true, nullptr, out_tensor(f));
}

void topk(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 3), arg_int(f, 1), true, out_tensor(f, 0), out_tensor(f, 1));
}

void bucketize(atled_frame* f) {
  static const Op search{"core::searchsorted"};
  atled_value out = none();
  search.run(0, &out, {f->args[1], f->args[0], f->args[2], f->args[3]});
  set_out(f, 0, Tensor::steal(out.u.tensor));
}

void msort(atled_frame* f) {
  static const Op sort_op{"core::sort"};
  atled_value outs[2] = {none(), none()};
  sort_op.run(0, outs, {f->args[0], value(0)});
  set_out(f, 0, Tensor::steal(outs[0].u.tensor));
  api.release(outs[1].u.tensor);
}

void add_sorting() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("core::sort", kernel<sort>);
  cpu("core::argsort", kernel<argsort>);
  cpu("core::topk", kernel<topk>);
  add_kernel("core::bucketize", ATLED_DEVICE_ANY, kernel<bucketize>);
  add_kernel("core::msort", ATLED_DEVICE_ANY, kernel<msort>);
}

ATLED_KERNELS(add_sorting);

}  // namespace
}  // namespace atled::core
