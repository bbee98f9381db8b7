#include "cuda/index_error.h"
#include "cuda/indexed.h"
#include "cuda/reduce.cuh"
#include "ops/layout.h"

namespace atled::core::cuda {

namespace {

// Without the leading dimensions of size 1 that the target has no room for; ShapeError if it does not broadcast.
Tensor fitting(atled_tensor* source, const Layout& target) {
  Layout layout(source);
  while (layout.ndim > target.ndim && layout.shape[0] == 1) layout.erase(0);
  bool fits = layout.ndim <= target.ndim;
  for (int i = 1; i <= layout.ndim && fits; ++i) {
    const int64_t n = layout.shape[layout.ndim - i];
    fits = n == 1 || n == target.shape[target.ndim - i];
  }
  if (!fits)
    fail(ATLED_E_SHAPE, "expected a value that broadcasts to shape %s, got %s",
         shape_text(target.ndim, target.shape).c_str(), shape_text(source).c_str());
  return layout.ndim == source->dl.ndim ? Tensor::borrow(source) : layout.view(source);
}

// A value for the places of a target: its dtype, apart from its memory.
Tensor values_for(const atled_value& v, const atled_tensor* target, const Layout& places) {
  if (v.tag != ATLED_TENSOR || numel(v.u.tensor) == 1) {
    Tensor one = Tensor::empty(target->dtype, {}, target->dl.device);
    assign(one, v.tag == ATLED_TENSOR ? value(Layout().view(v.u.tensor)) : v);
    return one;
  }
  const Tensor source = fitting(v.u.tensor, places);
  if (source->dtype == target->dtype && source->version != target->version) return source;
  Tensor copy = Tensor::empty(target->dtype, source->dl.ndim, source->dl.shape, target->dl.device);
  assign(copy, source.get());
  return copy;
}

void write_plain(atled_tensor* target, const atled_value& v) {
  if (v.tag != ATLED_TENSOR) return assign(target, v);
  Tensor view = fitting(v.u.tensor, Layout(target));
  if (view->version == target->version) view = contiguous_copy(view);
  assign(target, view.get());
}

// target[mask] = one number, where the mask covers target or its first dimensions: nothing need be counted. False when
// it does not.
bool write_masked(atled_tensor* target, const atled_value& indices, const atled_value& v) {
  if (indices.n != 1 || (v.tag == ATLED_TENSOR && numel(v.u.tensor) != 1)) return false;
  atled_tensor* mask = indices.u.tensors[0];
  if (mask->dtype != ATLED_BOOL || mask->dl.ndim > target->dl.ndim || mask->version == target->version) return false;
  Layout layout(mask);
  for (int d = 0; d < mask->dl.ndim; ++d)
    if (mask->dl.shape[d] != target->dl.shape[d]) return false;
  while (layout.ndim < target->dl.ndim) layout.push(1, 0);
  static const Op fill{"core::masked_fill"};
  fill.inplace(target, layout.view(mask), values_for(v, target, Layout()));
  return true;
}

void set_item(atled_tensor* target, const atled_value& spec, const atled_value& indices, const atled_value& v) {
  bool plain = true;
  for (uint32_t i = 0; i < indices.n; ++i) plain &= indices.u.tensors[i] == nullptr;
  const Tensor view = spec.n > 0 ? sliced(target, spec).view(target) : Tensor::borrow(target);
  if (plain) return write_plain(view, v);
  if (write_masked(view, indices, v)) return;
  const Places places(view, indices.u.tensors, indices.n);
  places.write(values_for(v, view, places.result()));
}

void index(atled_frame* f) {
  const atled_tensor* input = arg_tensor(f, 0);
  const Places places(input, f->args[1].u.tensors, f->args[1].n);
  const Layout result = places.result();
  Tensor out = Tensor::empty(input->dtype, result.ndim, result.shape, input->dl.device);
  places.read(out);
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
  const atled_tensor *input = arg_tensor(f, 0), *values = arg_tensor(f, 2);
  if (values->dtype != input->dtype)
    fail(ATLED_E_DTYPE, "expected values of input's dtype %s, got %s; cast them with values.to(input.dtype)",
         dtype_name(input->dtype), dtype_name(values->dtype));
  atled_tensor* out = out_from_input(f);
  const Places places(out, f->args[1].u.tensors, f->args[1].n);
  const Tensor source = values_for(f->args[2], out, places.result());
  if (arg_bool(f, 3))
    places.combine(source, Combine::kSum);
  else
    places.write(source);
}

Tensor at_least_1d(atled_tensor* t) {
  if (t->dl.ndim > 0) return Tensor::borrow(t);
  Layout one;
  one.push(1, 1);
  return one.view(t);
}

// t[:, ..., index] with index in one dimension.
Places one_dim(atled_frame* f, const Tensor& t) {
  atled_tensor* indices[ATLED_MAX_NDIM] = {};
  const int dim = wrap_dim(arg_int(f, 1), arg_tensor(f, 0)->dl.ndim);
  const Tensor index = at_least_1d(arg_tensor(f, 2));
  indices[dim] = index;
  return Places(t, indices, static_cast<uint32_t>(dim) + 1);
}

void index_select(atled_frame* f) { one_dim(f, at_least_1d(arg_tensor(f, 0))).read(at_least_1d(out_tensor(f))); }

void embedding(atled_frame* f) {
  atled_tensor* rows = arg_tensor(f, 1);
  Places(arg_tensor(f, 0), &rows, 1).read(out_tensor(f));
}

// source, apart from out's memory.
Tensor source_of(atled_tensor* source, const atled_tensor* out) {
  return at_least_1d(source->version == out->version ? contiguous_copy(source) : Tensor::borrow(source));
}

void index_copy(atled_frame* f) {
  const Tensor source = source_of(arg_tensor(f, 3), out_tensor(f));
  one_dim(f, at_least_1d(out_from_input(f))).write(source);
}

void index_add(atled_frame* f) {
  static const Op mul{"core::mul"};
  const atled_value& alpha = f->args[4];
  Tensor source = Tensor::borrow(arg_tensor(f, 3));
  if (alpha.tag == ATLED_COMPLEX_VALUE || as_double(alpha) != 1) source = mul(source, alpha);
  if (source->dtype != out_tensor(f)->dtype)
    fail(ATLED_E_DTYPE, "expected an alpha that fits %s", dtype_name(out_tensor(f)->dtype));
  source = source_of(source, out_tensor(f));
  one_dim(f, at_least_1d(out_from_input(f))).combine(source, Combine::kSum);
}

void index_fill(atled_frame* f) {
  const Tensor one = values_for(f->args[3], out_tensor(f), Layout());
  one_dim(f, at_least_1d(out_from_input(f))).write(one);
}

void nonzero(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int ndim = input->dl.ndim;
  const Tensor places = true_places(input);
  set_out(f, 0, coordinates(places, ndim, input->dl.shape));
}

void add_indexing() {
  cuda_kernel("core::index", indexing_kernel<index>);
  cuda_kernel("core::setitem_", indexing_kernel<setitem_>);
  cuda_kernel("core::setitem", indexing_kernel<setitem>);
  cuda_kernel("core::index_put", indexing_kernel<index_put>);
  cuda_kernel("core::index_select", indexing_kernel<index_select>);
  cuda_kernel("core::embedding", indexing_kernel<embedding>);
  cuda_kernel("core::index_copy", indexing_kernel<index_copy>);
  cuda_kernel("core::index_add", indexing_kernel<index_add>);
  cuda_kernel("core::index_fill", indexing_kernel<index_fill>);
  cuda_kernel("core::nonzero", kernel<nonzero>);
  cuda_kernel("core::unravel_index", indexing_kernel<unravel_index>);
}
ATLED_CUDA_KERNELS(add_indexing);

}  // namespace

}  // namespace atled::core::cuda
