// The products that are made of matmul; for every device.
#include <algorithm>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

const Op matmul_op{"core::matmul"};
const Op mul_op{"core::mul"};
const Op add_op{"core::add"};
const Op conj_op{"core::conj"};
const Op reshape_op{"core::reshape"};
const Op permute_op{"core::permute"};
const Op unsqueeze_op{"core::unsqueeze"};
const Op squeeze_op{"core::squeeze"};
const Op movedim_op{"core::movedim"};

Tensor reshaped(atled_tensor* t, const Layout& to) {
  return reshape_op(t, ints_value(to.shape, static_cast<size_t>(to.ndim)));
}

Tensor conjugated(atled_tensor* t) { return is_complex(t->dtype) ? conj_op(t) : Tensor::borrow(t); }

void expect_vectors(const atled_tensor* a, const atled_tensor* b) {
  if (a->dl.ndim != 1 || b->dl.ndim != 1)
    fail(ATLED_E_SHAPE, "expected two vectors, got shapes %s and %s", shape_text(a).c_str(), shape_text(b).c_str());
}

Tensor outer_of(atled_tensor* a, atled_tensor* b) {
  expect_vectors(a, b);
  return mul_op(unsqueeze_op(a, 1), b);
}

void outer(atled_frame* f) { set_out(f, 0, outer_of(arg_tensor(f, 0), arg_tensor(f, 1))); }

bool is_number(const atled_value& v, double x) { return v.tag != ATLED_COMPLEX_VALUE && as_double(v) == x; }

// beta * input + alpha * t; with beta 0, input's values do not count.
Tensor scaled_sum(const atled_value& input, Tensor t, const atled_value& beta, const atled_value& alpha) {
  const atled_tensor* given = input.u.tensor;
  int64_t shape[ATLED_MAX_NDIM];
  int ndim = t->dl.ndim;
  std::copy_n(t->dl.shape, ndim, shape);
  if (given->dl.ndim > ndim || !broadcast_into(shape, ndim, given->dl.shape, given->dl.ndim) ||
      !std::equal(shape, shape + ndim, t->dl.shape))
    fail(ATLED_E_SHAPE, "expected input to broadcast to shape %s, got %s", shape_text(t).c_str(),
         shape_text(given).c_str());
  if (!is_number(alpha, 1)) t = mul_op(t, alpha);
  if (is_number(beta, 0)) return t;
  return is_number(beta, 1) ? add_op(input, t) : add_op(mul_op(input, beta), t);
}

void addr(atled_frame* f) {
  set_out(f, 0, scaled_sum(f->args[0], outer_of(arg_tensor(f, 1), arg_tensor(f, 2)), f->args[3], f->args[4]));
}

void addbmm(atled_frame* f) {
  static const Op bmm{"core::bmm"}, sum{"core::sum"};
  Tensor products = bmm(arg_tensor(f, 1), arg_tensor(f, 2));
  const int64_t batch = 0;
  set_out(f, 0,
          scaled_sum(f->args[0], sum(products, ints_value(&batch, 1), false, dtype_value(products->dtype)), f->args[3],
                     f->args[4]));
}

void vdot(atled_frame* f) {
  static const Op dot{"core::dot"};
  set_out(f, 0, dot(conjugated(arg_tensor(f, 0)), arg_tensor(f, 1)));
}

void vecdot(atled_frame* f) {
  const int64_t dim = arg_int(f, 2), last = -1;
  auto moved = [&](const Tensor& t) {
    return dim == -1 ? t : movedim_op(t, ints_value(&dim, 1), ints_value(&last, 1));
  };
  Tensor x = unsqueeze_op(moved(conjugated(arg_tensor(f, 0))), -2);
  Tensor y = unsqueeze_op(moved(Tensor::borrow(arg_tensor(f, 1))), -1);
  const int64_t ones[2] = {-1, -2};
  set_out(f, 0, squeeze_op(matmul_op(x, y), ints_value(ones, 2)));
}

// Sums over a's dimensions `over_a` and b's `over_b`.
Tensor contract(atled_tensor* a, atled_tensor* b, const int* over_a, const int* over_b, int n) {
  int64_t order_a[ATLED_MAX_NDIM], order_b[ATLED_MAX_NDIM];
  Layout rows, columns, out;
  int64_t depth = 1, height = 1, width = 1;
  int at = 0;
  for (int d = 0; d < a->dl.ndim; ++d)
    if (std::find(over_a, over_a + n, d) == over_a + n) {
      order_a[at++] = d;
      height *= a->dl.shape[d];
      out.push(a->dl.shape[d], 0);
    }
  for (int i = 0; i < n; ++i) {
    if (a->dl.shape[over_a[i]] != b->dl.shape[over_b[i]])
      fail(ATLED_E_SHAPE, "expected a.shape[%d] == b.shape[%d], got %s and %s", over_a[i], over_b[i],
           shape_text(a).c_str(), shape_text(b).c_str());
    order_a[at++] = over_a[i];
    order_b[i] = over_b[i];
    depth *= a->dl.shape[over_a[i]];
  }
  at = n;
  for (int d = 0; d < b->dl.ndim; ++d)
    if (std::find(over_b, over_b + n, d) == over_b + n) {
      order_b[at++] = d;
      width *= b->dl.shape[d];
      out.push(b->dl.shape[d], 0);
    }
  rows.push(height, 0);
  rows.push(depth, 0);
  columns.push(depth, 0);
  columns.push(width, 0);
  Tensor x = reshaped(permute_op(a, ints_value(order_a, static_cast<size_t>(a->dl.ndim))), rows);
  Tensor y = reshaped(permute_op(b, ints_value(order_b, static_cast<size_t>(b->dl.ndim))), columns);
  return reshaped(matmul_op(x, y), out);
}

void tensordot(atled_frame* f) {
  atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  const atled_value &dims_a = f->args[3], &dims_b = f->args[4];
  int over_a[ATLED_MAX_NDIM], over_b[ATLED_MAX_NDIM];
  if (is_none(dims_a) != is_none(dims_b)) fail(ATLED_E_ARGUMENT, "expected dims_a and dims_b together");
  if (!is_none(dims_a)) {
    if (dims_a.n != dims_b.n)
      fail(ATLED_E_SHAPE, "expected as many dims of a as of b, got %u and %u", dims_a.n, dims_b.n);
    unique_dims(dims_a, a->dl.ndim, over_a, "dims_a");
    unique_dims(dims_b, b->dl.ndim, over_b, "dims_b");
    return set_out(f, 0, contract(a, b, over_a, over_b, static_cast<int>(dims_a.n)));
  }
  const int64_t n = arg_int(f, 2);
  if (n < 0 || n > a->dl.ndim || n > b->dl.ndim)
    fail(ATLED_E_SHAPE, "expected dims in [0, %d], got %lld", std::min(a->dl.ndim, b->dl.ndim), (long long)n);
  for (int i = 0; i < static_cast<int>(n); ++i) {
    over_a[i] = a->dl.ndim - static_cast<int>(n) + i;
    over_b[i] = i;
  }
  set_out(f, 0, contract(a, b, over_a, over_b, static_cast<int>(n)));
}

void inner(atled_frame* f) {
  atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  if (a->dl.ndim == 0 || b->dl.ndim == 0) return set_out(f, 0, mul_op(a, b));
  const int over_a = a->dl.ndim - 1, over_b = b->dl.ndim - 1;
  set_out(f, 0, contract(a, b, &over_a, &over_b, 1));
}

void add_products() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::outer", kernel<outer>);
  any("core::addr", kernel<addr>);
  any("core::addbmm", kernel<addbmm>);
  any("core::vdot", kernel<vdot>);
  any("core::vecdot", kernel<vecdot>);
  any("core::tensordot", kernel<tensordot>);
  any("core::inner", kernel<inner>);
}

ATLED_KERNELS(add_products);

}  // namespace
}  // namespace atled::core
