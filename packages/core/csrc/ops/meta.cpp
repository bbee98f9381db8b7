// Tensors of device "meta" have no data: what ops without a shape rule do with them.
#include <algorithm>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

bool is_mask(const atled_tensor* index) { return index->dtype == ATLED_BOOL; }

// The shape of t[indices], placed as NumPy does it: where the first index tensor stands if they stand side by side,
// else in front.
Layout indexed(const atled_tensor* t, const atled_value& indices) {
  int64_t shape[ATLED_MAX_NDIM];
  int ndim = 0, first = -1, last = -1, tensors = 0;
  const int count = static_cast<int>(indices.n);
  if (count > t->dl.ndim)
    fail(ATLED_E_BOUNDS, "expected at most %d indices for shape %s, got more", t->dl.ndim, shape_text(t).c_str());
  for (int i = 0; i < count; ++i) {
    const atled_tensor* index = indices.u.tensors[i];
    if (!index) continue;
    if (is_mask(index)) fail(ATLED_E_DEVICE, "expected masks with data, on which the result's shape depends");
    if (!is_integer(index->dtype))
      fail(ATLED_E_DTYPE, "expected indices of an integer dtype for dim %d, got %s", i, dtype_name(index->dtype));
    if (!broadcast_into(shape, ndim, index->dl.shape, index->dl.ndim))
      fail(ATLED_E_SHAPE, "expected indices that broadcast, got %s and %s", shape_text(ndim, shape).c_str(),
           shape_text(index).c_str());
    if (first < 0) first = i;
    last = i;
    ++tensors;
  }
  const int place = last - first + 1 == tensors ? first : 0;
  Layout out;
  for (int i = 0; i <= t->dl.ndim; ++i) {
    if (i == place)
      for (int k = 0; k < ndim; ++k) out.push(shape[k], 0);
    if (i < t->dl.ndim && (i >= count || !indices.u.tensors[i])) out.push(t->dl.shape[i], 0);
  }
  return out;
}

void index(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const Layout out = indexed(input, f->args[1]);
  set_out(f, 0, Tensor::empty(input->dtype, out.ndim, out.shape, input->dl.device));
}

void setitem_(atled_frame* f) {
  static const Op slice{"core::slice"};
  const atled_value& indices = f->args[2];
  const Tensor view = slice(arg_tensor(f, 0), f->args[1]);
  atled_tensor** end = indices.u.tensors + indices.n;
  if (f->args[3].tag != ATLED_TENSOR ||
      std::any_of(indices.u.tensors, end, [](const atled_tensor* t) { return t && is_mask(t); }))
    return;
  const Layout out = indexed(view, indices);
  const Tensor target = Tensor::empty(view->dtype, out.ndim, out.shape, view->dl.device);
  expect_broadcastable(f->args[3].u.tensor, target);
}

void copy_(atled_frame* f) { expect_broadcastable(arg_tensor(f, 1), arg_tensor(f, 0)); }

void add_meta() {
  add_kernel("core::index", ATLED_DEVICE_META, kernel<index>);
  add_kernel("core::setitem_", ATLED_DEVICE_META, kernel<setitem_>);
  add_kernel("core::copy_", ATLED_DEVICE_META, kernel<copy_>);
}

ATLED_KERNELS(add_meta);

}  // namespace
}  // namespace atled::core
