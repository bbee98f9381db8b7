#include <algorithm>
#include <cstring>

#include "cpu/assign.h"
#include "cpu/indexed.h"
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

// What is to be written into places of a tensor: its dtype, contiguous, in the places' shape, or one element for all.
struct Values {
  Tensor tensor;
  bool single;
};

// Without the leading dimensions of size 1 that the target has no room for.
Layout lean(const atled_tensor* source, int ndim) {
  Layout layout(source);
  while (layout.ndim > ndim && layout.shape[0] == 1) layout.erase(0);
  return layout;
}

void expect_broadcast(const Layout& source, int ndim, const int64_t* target, const atled_tensor* given) {
  bool fits = source.ndim <= ndim;
  for (int i = 1; i <= source.ndim && fits; ++i) {
    const int64_t n = source.shape[source.ndim - i];
    fits = n == 1 || n == target[ndim - i];
  }
  if (!fits)
    fail(ATLED_E_SHAPE, "expected a value that broadcasts to shape %s, got %s", shape_text(ndim, target).c_str(),
         shape_text(given).c_str());
}

Values values_for(const atled_value& v, const atled_tensor* target, const Layout& places) {
  if (v.tag != ATLED_TENSOR || numel(v.u.tensor) == 1) {
    Tensor one = Tensor::empty(target->dtype, {});
    assign(one, v.tag == ATLED_TENSOR ? value(Layout().view(v.u.tensor)) : v);
    return {one, true};
  }
  const Layout layout = lean(v.u.tensor, places.ndim);
  expect_broadcast(layout, places.ndim, places.shape, v.u.tensor);
  Tensor source = layout.view(v.u.tensor);
  bool ready = is_contiguous(source) && source->dtype == target->dtype && layout.ndim == places.ndim &&
               !may_overlap(source, target);
  for (int i = 0; i < places.ndim && ready; ++i) ready = layout.shape[i] == places.shape[i];
  if (ready) return {source, false};
  Tensor whole = Tensor::empty(target->dtype, places.ndim, places.shape);
  assign(whole, source);
  return {whole, false};
}

void write_indexed(atled_tensor* target, atled_tensor* const* indices, uint32_t n, const atled_value& v,
                   bool accumulate) {
  const Indexed places(target, indices, n);
  const Values values = values_for(v, target, places.result());
  if (accumulate) {
    places.add(data<void>(values.tensor), values.single);
  } else {
    places.write(data<void>(values.tensor), values.single);
  }
}

void write_plain(atled_tensor* target, const atled_value& v) {
  if (v.tag != ATLED_TENSOR) return assign(target, v);
  atled_tensor* source = v.u.tensor;
  const Layout layout = lean(source, target->dl.ndim);
  expect_broadcast(layout, target->dl.ndim, target->dl.shape, source);
  Tensor view = layout.ndim == source->dl.ndim ? Tensor::borrow(source) : layout.view(source);
  if (may_overlap(target, view)) {
    Tensor copy = Tensor::empty_like(view);
    assign(copy, view);
    view = copy;
  }
  assign(target, view);
}

// target[mask] = one number, where the mask covers target or its first dimensions. False when it does not.
bool write_masked(atled_tensor* target, const atled_value& indices, const atled_value& v) {
  if (indices.n != 1 || (v.tag == ATLED_TENSOR && numel(v.u.tensor) != 1)) return false;
  const atled_tensor* mask = indices.u.tensors[0];
  if (mask->dtype != ATLED_BOOL || mask->dl.ndim > target->dl.ndim) return false;
  Layout layout(mask);
  for (int d = 0; d < mask->dl.ndim; ++d)
    if (mask->dl.shape[d] != target->dl.shape[d]) return false;
  while (layout.ndim < target->dl.ndim) layout.push(1, 0);
  Tensor view = layout.view(indices.u.tensors[0]);
  if (may_overlap(view, target)) return false;
  static const Op fill{"core::masked_fill"};
  fill.inplace(target, view, values_for(v, target, Layout()).tensor);
  return true;
}

void set_item(atled_tensor* target, const atled_value& spec, const atled_value& indices, const atled_value& v) {
  bool plain = true;
  for (uint32_t i = 0; i < indices.n; ++i) plain &= indices.u.tensors[i] == nullptr;
  Tensor view = spec.n > 0 ? sliced(target, spec).view(target) : Tensor::borrow(target);
  if (plain) return write_plain(view, v);
  if (!write_masked(view, indices, v)) write_indexed(view, indices.u.tensors, indices.n, v, false);
}

void index(atled_frame* f) {
  const atled_tensor* input = arg_tensor(f, 0);
  const Indexed places(input, f->args[1].u.tensors, f->args[1].n);
  Tensor out = Tensor::empty(input->dtype, places.result().ndim, places.result().shape);
  places.read(data<void>(out));
  set_out(f, 0, out);
}

void setitem_(atled_frame* f) { set_item(arg_tensor(f, 0), f->args[1], f->args[2], f->args[3]); }

// The output starts as a copy of input, unless it is input.
atled_tensor* out_from_input(atled_frame* f) {
  atled_tensor *out = out_tensor(f), *input = arg_tensor(f, 0);
  if (out->dl.data != input->dl.data) assign(out, input);
  return out;
}

void setitem(atled_frame* f) { set_item(out_from_input(f), f->args[1], f->args[2], f->args[3]); }

void index_put(atled_frame* f) {
  if (f->args[2].u.tensor->dtype != arg_tensor(f, 0)->dtype)
    fail(ATLED_E_DTYPE, "expected values of input's dtype %s, got %s; cast them with values.to(input.dtype)",
         dtype_name(arg_tensor(f, 0)->dtype), dtype_name(f->args[2].u.tensor->dtype));
  write_indexed(out_from_input(f), f->args[1].u.tensors, f->args[1].n, f->args[2], arg_bool(f, 3));
}

// The index list that stands for index in one dimension.
struct OneDim {
  explicit OneDim(atled_frame* f)
      : count(static_cast<uint32_t>(wrap_dim(arg_int(f, 1), arg_tensor(f, 0)->dl.ndim)) + 1) {
    indices[count - 1] = arg_tensor(f, 2);
  }
  uint32_t count;
  atled_tensor* indices[ATLED_MAX_NDIM] = {};
};

Tensor at_least_1d(atled_tensor* t) {
  if (t->dl.ndim > 0) return Tensor::borrow(t);
  Layout one;
  one.push(1, 1);
  return one.view(t);
}

void index_select(atled_frame* f) {
  const Tensor input = at_least_1d(arg_tensor(f, 0));
  const OneDim where(f);
  Indexed(input, where.indices, where.count).read(data<void>(out_tensor(f)));
}

void embedding(atled_frame* f) {
  atled_tensor* rows = arg_tensor(f, 1);
  Indexed(arg_tensor(f, 0), &rows, 1).read(data<void>(out_tensor(f)));
}

void index_copy(atled_frame* f) {
  const OneDim where(f);
  const Indexed places(at_least_1d(out_tensor(f)), where.indices, where.count);
  out_from_input(f);
  places.write(data<void>(contiguous(arg_tensor(f, 3))), false);
}

void index_add(atled_frame* f) {
  static const Op mul{"core::mul"};
  const OneDim where(f);
  const Indexed places(at_least_1d(out_tensor(f)), where.indices, where.count);
  const atled_value& alpha = f->args[4];
  Tensor source = Tensor::borrow(arg_tensor(f, 3));
  if (alpha.tag == ATLED_COMPLEX_VALUE || as_double(alpha) != 1) source = mul(source, alpha);
  if (source->dtype != out_tensor(f)->dtype)
    fail(ATLED_E_DTYPE, "expected an alpha that fits %s", dtype_name(out_tensor(f)->dtype));
  source = contiguous(source);
  out_from_input(f);
  places.add(data<void>(source), false);
}

void index_fill(atled_frame* f) {
  const OneDim where(f);
  const Indexed places(at_least_1d(out_tensor(f)), where.indices, where.count);
  const Values values = values_for(f->args[3], out_tensor(f), places.result());
  out_from_input(f);
  places.write(data<void>(values.tensor), true);
}

void nonzero(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int ndim = input->dl.ndim;
  const Tensor places = true_offsets(input, nullptr);
  const int64_t n = numel(places), *place = data<int64_t>(places);
  if (ndim == 1) {
    Layout column(places);
    column.push(1, 1);
    return set_out(f, 0, column.view(places));
  }
  Tensor out = Tensor::empty(ATLED_INT64, {n, ndim});
  int64_t* row = data<int64_t>(out);
  // Places rise, so that most are in the line of the one before, and need no division.
  const int64_t length = ndim > 0 ? input->dl.shape[ndim - 1] : 1;
  int64_t begin = 0, end = 0, line[ATLED_MAX_NDIM];
  for (int64_t i = 0; i < n && ndim > 0; ++i, row += ndim) {
    if (place[i] >= end) {
      int64_t rest = place[i] / length;
      begin = rest * length;
      end = begin + length;
      for (int d = ndim - 2; d >= 0; --d) {
        line[d] = d > 0 ? rest % input->dl.shape[d] : rest;
        rest /= input->dl.shape[d];
      }
    }
    for (int d = 0; d < ndim - 1; ++d) row[d] = line[d];
    row[ndim - 1] = place[i] - begin;
  }
  set_out(f, 0, out);
}

void add_indexing() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("core::index", kernel<index>);
  cpu("core::setitem_", kernel<setitem_>);
  cpu("core::setitem", kernel<setitem>);
  cpu("core::index_put", kernel<index_put>);
  cpu("core::index_select", kernel<index_select>);
  cpu("core::embedding", kernel<embedding>);
  cpu("core::index_copy", kernel<index_copy>);
  cpu("core::index_add", kernel<index_add>);
  cpu("core::index_fill", kernel<index_fill>);
  cpu("core::nonzero", kernel<nonzero>);
}

ATLED_KERNELS(add_indexing);

}  // namespace
}  // namespace atled::core
