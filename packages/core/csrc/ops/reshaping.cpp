// Composites over the views: what may have to copy, or is another view in disguise. They run on every device.
#include <vector>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

const Op view_op{"core::view"};
const Op contiguous_op{"core::contiguous"};
const Op expand_op{"core::expand"};
const Op unsqueeze_op{"core::unsqueeze"};

Tensor viewed(atled_tensor* input, int ndim, const int64_t* shape) {
  return view_op(input, ints_value(shape, static_cast<size_t>(ndim)));
}

// Layout comes with its shape inferred.
Tensor reshaped(atled_tensor* input, Layout& out) {
  if (strides_for(input, out)) return viewed(input, out.ndim, out.shape);
  Tensor whole = contiguous_op(input);
  return viewed(whole, out.ndim, out.shape);
}

void reshape(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  Layout out;
  infer_shape(f->args[1], input, out);
  if (arg_is_none(f, 2)) return set_out(f, 0, reshaped(input, out));
  if (arg_bool(f, 2)) {
    static const Op clone{"core::clone"};
    Tensor whole = clone(input, none());
    return set_out(f, 0, reshaped(whole, out));
  }
  if (!strides_for(input, out))
    fail(ATLED_E_VALUE, "expected strides that allow a view, as copy=False asks, got shape %s and strides %s",
         shape_text(input).c_str(), shape_text(input->dl.ndim, input->dl.strides).c_str());
  set_out(f, 0, viewed(input, out.ndim, out.shape));
}

void flatten(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int from = wrap_dim(arg_int(f, 1), input->dl.ndim, "start_dim"),
            to = wrap_dim(arg_int(f, 2), input->dl.ndim, "end_dim");
  if (from > to) fail(ATLED_E_VALUE, "expected start_dim <= end_dim, got %d and %d", from, to);
  Layout out;
  int64_t joined = 1;
  for (int i = 0; i < input->dl.ndim; ++i) {
    if (i < from || i > to) {
      out.push(input->dl.shape[i], 0);
      continue;
    }
    joined *= input->dl.shape[i];
    if (i == to) out.push(joined, 0);
  }
  if (input->dl.ndim == 0) out.push(1, 0);
  set_out(f, 0, reshaped(input, out));
}

void ravel(atled_frame* f) {
  Layout out;
  out.push(numel(arg_tensor(f, 0)), 0);
  set_out(f, 0, reshaped(arg_tensor(f, 0), out));
}

void unflatten(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& sizes = f->args[2];
  if (input->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected input of at least one dimension, got a 0-d tensor");
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  const int64_t n = input->dl.shape[dim];
  Layout out;
  int64_t known = 1;
  int open = -1;
  bool fits = sizes.n > 0;
  for (int i = 0; i < dim; ++i) out.push(input->dl.shape[i], 0);
  for (uint32_t i = 0; i < sizes.n; ++i) {
    if (sizes.u.ints[i] == -1 && open < 0) {
      open = out.ndim;
    } else {
      fits = fits && sizes.u.ints[i] >= 0 && !__builtin_mul_overflow(known, sizes.u.ints[i], &known);
    }
    out.push(sizes.u.ints[i], 0);
  }
  if (open >= 0) out.shape[open] = fits && known > 0 && n % known == 0 ? n / known : -1;
  if (!fits || (open >= 0 ? out.shape[open] < 0 : known != n))
    fail(ATLED_E_SHAPE, "expected sizes whose product is %lld, that of dim %d, got %s", (long long)n, dim,
         shape_text(static_cast<int>(sizes.n), sizes.u.ints).c_str());
  for (int i = dim + 1; i < input->dl.ndim; ++i) out.push(input->dl.shape[i], 0);
  set_out(f, 0, viewed(input, out.ndim, out.shape));
}

void view_as(atled_frame* f) {
  const atled_tensor* other = arg_tensor(f, 1);
  set_out(f, 0, viewed(arg_tensor(f, 0), other->dl.ndim, other->dl.shape));
}

void reshape_as(atled_frame* f) {
  const atled_tensor* other = arg_tensor(f, 1);
  Layout out;
  infer_shape(ints_value(other->dl.shape, static_cast<size_t>(other->dl.ndim)), arg_tensor(f, 0), out);
  set_out(f, 0, reshaped(arg_tensor(f, 0), out));
}

Tensor expanded(atled_tensor* input, int ndim, const int64_t* shape) {
  return expand_op(input, ints_value(shape, static_cast<size_t>(ndim)));
}

void expand_as(atled_frame* f) {
  const atled_tensor* other = arg_tensor(f, 1);
  set_out(f, 0, expanded(arg_tensor(f, 0), other->dl.ndim, other->dl.shape));
}

void adjoint(atled_frame* f) {
  static const Op transpose{"core::matrix_transpose"}, conj{"core::conj"};
  Tensor turned = transpose(arg_tensor(f, 0));
  set_out(f, 0, is_complex(turned->dtype) ? conj(turned) : turned);
}

// At least n dimensions: ones in front, except that a third one goes behind.
void at_least(atled_frame* f, int n) {
  Tensor t = Tensor::borrow(arg_tensor(f, 0));
  if (t->dl.ndim >= n) return set_out(f, 0, t);
  const int front = n < 2 ? n : 2;
  while (t->dl.ndim < front) t = unsqueeze_op(t, 0);
  if (n == 3) t = unsqueeze_op(t, 2);
  set_out(f, 0, t);
}
void atleast_1d(atled_frame* f) { at_least(f, 1); }
void atleast_2d(atled_frame* f) { at_least(f, 2); }
void atleast_3d(atled_frame* f) { at_least(f, 3); }

void broadcast_tensors(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  int64_t shape[ATLED_MAX_NDIM];
  int ndim = 0;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    const atled_tensor* t = tensors.u.tensors[i];
    if (!broadcast_into(shape, ndim, t->dl.shape, t->dl.ndim))
      fail(ATLED_E_SHAPE, "expected shapes that broadcast, got %s beside tensor %u of shape %s",
           shape_text(ndim, shape).c_str(), i, shape_text(t).c_str());
  }
  std::vector<Tensor> views;
  for (uint32_t i = 0; i < tensors.n; ++i) views.push_back(expanded(tensors.u.tensors[i], ndim, shape));
  set_out_list(f, 0, views);
}

void add_reshaping() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::reshape", kernel<reshape>);
  any("core::flatten", kernel<flatten>);
  any("core::ravel", kernel<ravel>);
  any("core::unflatten", kernel<unflatten>);
  any("core::view_as", kernel<view_as>);
  any("core::reshape_as", kernel<reshape_as>);
  any("core::expand_as", kernel<expand_as>);
  any("core::adjoint", kernel<adjoint>);
  any("core::atleast_1d", kernel<atleast_1d>);
  any("core::atleast_2d", kernel<atleast_2d>);
  any("core::atleast_3d", kernel<atleast_3d>);
  any("core::broadcast_tensors", kernel<broadcast_tensors>);
}

ATLED_KERNELS(add_reshaping);

}  // namespace
}  // namespace atled::core
