// Distances and norms between vectors, and other products of vectors.
#include <cstring>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

const Op norm_op{"core::norm"};
const Op sub_op{"core::sub"};
const Op mul_op{"core::mul"};
const Op div_op{"core::div"};
const Op add_op{"core::add"};
const Op gt_op{"core::gt"};
const Op where_op{"core::where"};
const Op roll_op{"core::roll"};
const Op cat_op{"core::cat"};
const Op flip_op{"core::flip"};
const Op reshape_op{"core::reshape"};
const Op expand_op{"core::expand"};
const Op cumprod_op{"core::cumprod"};
const Op new_ones_op{"core::new_ones"};
const Op narrow_op{"core::narrow"};

void cdist_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  const double p = arg_double(f, 2);
  const int na = a->dl.ndim, nb = b->dl.ndim;
  if (na < 2 || nb < 2 || a->dl.shape[na - 1] != b->dl.shape[nb - 1])
    fail(ATLED_E_SHAPE, "expected x1 and x2 of shapes (..., P, M) and (..., R, M), got %s and %s",
         shape_text(a).c_str(), shape_text(b).c_str());
  if (!(p >= 0)) fail(ATLED_E_VALUE, "expected p >= 0, got %g", p);
  const int dtype = promote(a->dtype, b->dtype);
  if (!is_floating(dtype)) fail(ATLED_E_DTYPE, "expected floating vectors, got %s", dtype_name(dtype));
  if (!arg_is_none(f, 3)) {
    const char* modes[] = {"use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist",
                           "donot_use_mm_for_euclid_dist"};
    bool known = false;
    for (const char* mode : modes) known |= std::strcmp(mode, f->args[3].u.str) == 0;
    if (!known)
      fail(ATLED_E_VALUE, "expected compute_mode \"%s\", \"%s\" or \"%s\", got \"%s\"", modes[0], modes[1], modes[2],
           f->args[3].u.str);
  }
  Layout batch(a);
  batch.ndim = na - 2;
  if (!broadcast_into(batch.shape, batch.ndim, b->dl.shape, nb - 2))
    fail(ATLED_E_SHAPE, "expected the batches of x1 and x2 to broadcast, got %s and %s", shape_text(a).c_str(),
         shape_text(b).c_str());
  batch.push(a->dl.shape[na - 2], 0);
  batch.push(b->dl.shape[nb - 2], 0);
  set_spec(outs[0], dtype, batch.ndim, batch.shape);
}

void dist(atled_frame* f) { set_out(f, 0, norm_op(sub_op(f->args[0], f->args[1]), f->args[2])); }

void renorm(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const double p = arg_double(f, 1), most = arg_double(f, 3);
  expect_floating(input, "input");
  if (input->dl.ndim < 2)
    fail(ATLED_E_SHAPE, "expected input of at least two dimensions, got shape %s", shape_text(input).c_str());
  if (f->args[3].tag == ATLED_COMPLEX_VALUE) fail(ATLED_E_DTYPE, "expected a real maxnorm, got a complex one");
  if (!(p > 0)) fail(ATLED_E_VALUE, "expected p > 0, got %g", p);
  if (!(most >= 0)) fail(ATLED_E_VALUE, "expected maxnorm >= 0, got %g", most);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  int64_t others[ATLED_MAX_NDIM];
  size_t count = 0;
  for (int d = 0; d < input->dl.ndim; ++d)
    if (d != dim) others[count++] = d;
  const Tensor norms = norm_op(input, f->args[1], ints_value(others, count), true);
  // Where nothing is scaled, a norm of 0 is not divided by.
  const Tensor above = gt_op(norms, most);
  const Tensor factor = where_op(above, div_op(most, where_op(above, add_op(norms, 1e-7), 1)), 1);
  set_out(f, 0, mul_op(input, factor));
}

// The dimension, counted from the end, that both have their three components in.
int64_t cross_dim(const atled_tensor* a, const atled_tensor* b, const atled_value& dim) {
  if (is_none(dim)) {
    for (int d = 0; d < a->dl.ndim; ++d)
      if (a->dl.shape[d] == 3) return d - a->dl.ndim;
    fail(ATLED_E_SHAPE, "expected a dimension of size 3, got shape %s", shape_text(a).c_str());
  }
  const int ndim = a->dl.ndim > b->dl.ndim ? a->dl.ndim : b->dl.ndim;
  const int64_t at = wrap_dim(as_int(dim), ndim) - ndim;
  for (const atled_tensor* t : {a, b})
    if (t->dl.ndim + at < 0 || t->dl.shape[t->dl.ndim + at] != 3)
      fail(ATLED_E_SHAPE, "expected vectors of three components in dim %lld, got shapes %s and %s",
           (long long)as_int(dim), shape_text(a).c_str(), shape_text(b).c_str());
  return at;
}

void cross(atled_frame* f) {
  atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  const int64_t dim = cross_dim(a, b, f->args[2]);
  cross_dim(a, b, value(dim));
  auto rolled = [&](atled_tensor* t, int64_t by) { return roll_op(t, ints_value(&by, 1), ints_value(&dim, 1)); };
  set_out(f, 0, sub_op(mul_op(rolled(a, -1), rolled(b, -2)), mul_op(rolled(a, -2), rolled(b, -1))));
}

void vander(atled_frame* f) {
  atled_tensor* x = arg_tensor(f, 0);
  if (x->dl.ndim != 1) fail(ATLED_E_SHAPE, "expected x of one dimension, got shape %s", shape_text(x).c_str());
  const int64_t n = numel(x), columns = arg_is_none(f, 1) ? n : arg_int(f, 1);
  if (columns < 0) fail(ATLED_E_VALUE, "expected N >= 0, got %lld", (long long)columns);
  const int64_t tall[2] = {n, 1}, wide[2] = {n, columns > 0 ? columns - 1 : 0}, last = 1;
  const Tensor ones = new_ones_op(x, ints_value(tall, 2));
  const Tensor powers = expand_op(reshape_op(x, ints_value(tall, 2)), ints_value(wide, 2));
  atled_tensor* parts[2] = {ones, powers};
  // Running products of 1, x, x, ...
  Tensor out = narrow_op(cumprod_op(cat_op(tensors_value(parts, 2), 1), 1), 1, 0, columns);
  set_out(f, 0, arg_bool(f, 2) ? out : flip_op(out, ints_value(&last, 1)));
}

void define_distance() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE, function = ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION;
  define({"cdist(Tensor x1, Tensor x2, float p=2.0, str? compute_mode=None) -> Tensor",
          "The p-norm distance of every vector of x1 to every one of x2.\n\n"
          "x1: floating (..., P, M), x2: (..., R, M), whose batches broadcast; p >= 0, inf too. Returns (..., P, R). "
          "compute_mode is PyTorch's and changes nothing: distances are always summed up from differences.\n\n"
          ">>> at.cdist(at.zeros(1, 2), at.tensor([[3.0, 4.0]]))\ntensor([[5.]])",
          shape<cdist_rule>, ATLED_OP_FUNCTION});
  define({"dist(Tensor input, Tensor other, Scalar p=2) -> Tensor",
          "The p-norm of input - other over all elements, a 0-d tensor.\n\n"
          "input and other broadcast. p: any number, inf too (the largest difference); with 0, how many differ.\n\n"
          ">>> at.dist(at.tensor([1.0, 2.0]), at.tensor([4.0, 6.0]))\n"
          "tensor(5.)",
          nullptr, composite});
  define({"renorm(Tensor input, Scalar p, int dim, Scalar maxnorm) -> Tensor",
          "input with those slices of a dimension scaled down to a p-norm of maxnorm whose norm is above it.\n\n"
          "input: at least 2-d, else ShapeError. InvalidValueError unless p > 0 and maxnorm >= 0. A scaled slice is "
          "multiplied by maxnorm / (norm + 1e-7).\n\n"
          ">>> at.renorm(at.tensor([[3.0, 4.0], [0.0, 0.5]]), p=2, dim=0, maxnorm=1)\n"
          "tensor([[0.6000, 0.8000],\n"
          "        [0.0000, 0.5000]])",
          nullptr, composite | ATLED_OP_INPLACE});
  define({"cross(Tensor input, Tensor other, int? dim=None) -> Tensor",
          "The cross products of vectors of three components along dim (the first of size 3 unless given).\n\n"
          "input and other broadcast. ShapeError where dim is not of size 3.\n\n"
          ">>> at.cross(at.tensor([1, 0, 0]), at.tensor([0, 1, 0]))\n"
          "tensor([0, 0, 1])",
          nullptr, composite});
  define({"vander(Tensor x, int? N=None, bool increasing=False) -> Tensor",
          "Vandermonde's matrix: the powers of each element of a vector, a row for each, falling unless increasing.\n\n"
          "x (n,), else ShapeError. Returns (n, N), where N is n unless given.\n\n"
          ">>> at.vander(at.tensor([2, 3]), 3)\n"
          "tensor([[4, 2, 1],\n"
          "        [9, 3, 1]])",
          nullptr, function});
}
ATLED_OPS(define_distance);

void add_distance() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::dist", kernel<dist>);
  any("core::renorm", kernel<renorm>);
  any("core::cross", kernel<cross>);
  any("core::vander", kernel<vander>);
}
ATLED_KERNELS(add_distance);

}  // namespace
}  // namespace atled::core
