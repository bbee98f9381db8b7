// Matrix products. Everything but matmul, the add... forms and dot is a composite over matmul.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void expect_rank(const atled_tensor* t, int ndim, const char* name) {
  if (t->dl.ndim != ndim)
    fail(ATLED_E_SHAPE, "expected %s of %d dimension%s, got shape %s", name, ndim, ndim == 1 ? "" : "s",
         shape_text(t).c_str());
}

[[noreturn]] void fail_inner(const char* where, const atled_tensor* a, const atled_tensor* b) {
  fail(ATLED_E_SHAPE, "expected %s, got %s and %s", where, shape_text(a).c_str(), shape_text(b).c_str());
}

void matmul_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  const int m = a->dl.ndim, n = b->dl.ndim;
  if (m == 0 || n == 0) fail_inner("input and other of at least one dimension", a, b);
  if (a->dl.shape[m - 1] != b->dl.shape[n == 1 ? 0 : n - 2])
    fail_inner(n == 1 ? "input.shape[-1] == other.shape[-1]" : "input.shape[-1] == other.shape[-2]", a, b);
  atled_spec& out = outs[0];
  set_spec(out, a->dtype == b->dtype ? a->dtype : promote(a->dtype, b->dtype), m > 2 ? m - 2 : 0, a->dl.shape);
  int batch = out.ndim;
  if (!broadcast_into(out.shape, batch, b->dl.shape, n > 2 ? n - 2 : 0))
    fail_inner("batch dimensions that broadcast", a, b);
  if (batch + 2 > ATLED_MAX_NDIM) fail_inner("fewer dimensions", a, b);
  if (m > 1) out.shape[batch++] = a->dl.shape[m - 2];
  if (n > 1) out.shape[batch++] = b->dl.shape[n - 1];
  out.ndim = batch;
}

// The result's dtype where argument i, out_dtype, asks for one: that of the factors, or float32 of halves.
void take_out_dtype(const atled_frame* f, int i, const atled_tensor* a, const atled_tensor* b, atled_spec& out) {
  if (arg_is_none(f, i)) return;
  const int asked = static_cast<int>(f->args[i].u.i),
            own = a->dtype == b->dtype ? a->dtype : promote(a->dtype, b->dtype);
  const bool halves = own == ATLED_FLOAT16 || own == ATLED_BFLOAT16;
  if (asked != own && !(halves && asked == ATLED_FLOAT32))
    fail(ATLED_E_DTYPE, "expected out_dtype to be that of the product, %s%s, got %s; convert the matrices",
         dtype_name(own), halves ? ", or float32" : "", dtype_name(asked));
  if (out.dtype != own && out.dtype != asked)
    fail(ATLED_E_DTYPE, "expected input to fit out_dtype %s, got what makes a sum of %s; convert input",
         dtype_name(asked), dtype_name(out.dtype));
  out.dtype = asked;
}

void mm_rule(const atled_frame* f, atled_spec* outs) {
  expect_rank(arg_tensor(f, 0), 2, "input");
  expect_rank(arg_tensor(f, 1), 2, "mat2");
  matmul_rule(f, outs);
  take_out_dtype(f, 2, arg_tensor(f, 0), arg_tensor(f, 1), outs[0]);
}

void bmm_rule(const atled_frame* f, atled_spec* outs) {
  expect_rank(arg_tensor(f, 0), 3, "input");
  expect_rank(arg_tensor(f, 1), 3, "mat2");
  if (arg_tensor(f, 0)->dl.shape[0] != arg_tensor(f, 1)->dl.shape[0])
    fail_inner("input.shape[0] == mat2.shape[0]", arg_tensor(f, 0), arg_tensor(f, 1));
  matmul_rule(f, outs);
  take_out_dtype(f, 2, arg_tensor(f, 0), arg_tensor(f, 1), outs[0]);
}

void mv_rule(const atled_frame* f, atled_spec* outs) {
  expect_rank(arg_tensor(f, 0), 2, "input");
  expect_rank(arg_tensor(f, 1), 1, "vec");
  matmul_rule(f, outs);
}

void dot_rule(const atled_frame* f, atled_spec* outs) {
  expect_rank(arg_tensor(f, 0), 1, "input");
  expect_rank(arg_tensor(f, 1), 1, "tensor");
  matmul_rule(f, outs);
}

// (input, a, b) -> a b of the given ranks plus input, if any, which broadcasts.
template <int A, int B>
void sum_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *a = arg_tensor(f, 1), *b = arg_tensor(f, 2);
  expect_rank(a, A, f->op->args[1].name);
  expect_rank(b, B, f->op->args[2].name);
  if (A == 3 && a->dl.shape[0] != b->dl.shape[0]) fail_inner("batches of one size", a, b);
  const int inner = B == 1 ? 0 : B - 2;
  if (a->dl.shape[A - 1] != b->dl.shape[inner]) {
    const std::string where = std::string(f->op->args[1].name) + ".shape[-1] == " + f->op->args[2].name +
                              (B == 1 ? ".shape[-1]" : ".shape[-2]");
    fail_inner(where.c_str(), a, b);
  }
  set_spec(outs[0], promoted(f, 7), A - 1, a->dl.shape);
  if (B > 1) outs[0].shape[outs[0].ndim++] = b->dl.shape[B - 1];
  if (!input) return;
  int64_t shape[ATLED_MAX_NDIM];
  int ndim = outs[0].ndim;
  for (int d = 0; d < ndim; ++d) shape[d] = outs[0].shape[d];
  bool fits = input->dl.ndim <= ndim && broadcast_into(shape, ndim, input->dl.shape, input->dl.ndim);
  for (int d = 0; d < ndim && fits; ++d) fits = shape[d] == outs[0].shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected input to broadcast to shape %s, got %s",
         shape_text(outs[0].ndim, outs[0].shape).c_str(), shape_text(input).c_str());
}

// The same, with out_dtype if there is one, and *, beta, alpha.
template <int A, int B>
void add_rule(const atled_frame* f, atled_spec* outs) {
  sum_rule<A, B>(f, outs);
  const int first = static_cast<int>(f->op->nargs) - 2;
  if (first == 4) take_out_dtype(f, 3, arg_tensor(f, 1), arg_tensor(f, 2), outs[0]);
  for (int i = first; i < first + 2; ++i)
    if (promote_scalar(outs[0].dtype, f->args[i]) != outs[0].dtype)
      fail(ATLED_E_DTYPE, "expected %s to fit %s, got a number of a higher kind", f->op->args[i].name,
           dtype_name(outs[0].dtype));
}

void relu_rule(const atled_frame* f, atled_spec* outs) {
  sum_rule<2, 2>(f, outs);
  if (outs[0].dtype < ATLED_FLOAT16 || is_complex(outs[0].dtype))
    fail(ATLED_E_DTYPE, "expected real floating numbers, got %s", dtype_name(outs[0].dtype));
}

void gelu_rule(const atled_frame* f, atled_spec* outs) {
  relu_rule(f, outs);
  outs[1] = outs[0];
}

void define_products() {
  define({"matmul(Tensor input, Tensor other) -> Tensor",
          "The matrix product over the last two dimensions; those before broadcast.\n\n"
          "input (*, m, k), other (*, k, n): any dtypes, which promote. A 1-d input is a row, a 1-d other a column, "
          "without that dimension in the result. Returns (*, m, n), zeros where k is 0. ShapeError for 0-d tensors and "
          "where the inner sizes differ.\n\n"
          ">>> at.matmul(at.tensor([[1, 2], [3, 4]]), at.tensor([10, 1]))\ntensor([12, 34])",
          shape<matmul_rule>});
  define({"mm(Tensor input, Tensor mat2, dtype? out_dtype=None) -> Tensor",
          "The product of two matrices.\n\n"
          "input (m, k), mat2 (k, n). Returns (m, n), of the dtype that they promote to. With out_dtype float32, "
          "matrices of float16 or bfloat16 are multiplied as they are and their sums, in float32, are not rounded; "
          "gradients are rounded to the matrices' dtype before they are multiplied. DTypeError for another "
          "out_dtype.\n\n"
          ">>> a = at.full((1, 3), 100.0).half()\n>>> at.mm(a, a.t() * 10, out_dtype=at.float32)\ntensor([[300000.]])",
          shape<mm_rule>});
  define({"bmm(Tensor input, Tensor mat2, dtype? out_dtype=None) -> Tensor",
          "The products of two batches of matrices, one by one.\n\n"
          "input (b, m, k), mat2 (b, k, n), which do not broadcast (matmul does). Returns (b, m, n). out_dtype: as for "
          "mm.\n\n"
          ">>> at.bmm(at.tensor([[[1, 2]], [[3, 4]]]), at.tensor([[[1], [1]], [[10], [1]]])).tolist()\n"
          "[[[3]], [[34]]]",
          shape<bmm_rule>});
  define({"mv(Tensor input, Tensor vec) -> Tensor",
          "A matrix times a vector.\n\n"
          "input (m, k), vec (k,): any dtypes, which promote. Returns (m,).\n\n"
          ">>> at.mv(at.tensor([[1, 2], [3, 4]]), at.tensor([10, 1]))\ntensor([12, 34])",
          shape<mv_rule>});
  define({"dot(Tensor input, Tensor tensor) -> Tensor",
          "The sum of the products of two vectors' elements (not conjugated: see vdot).\n\n"
          "input, tensor (n,), which do not broadcast: any dtypes, which promote. Returns a 0-d tensor, 0 for empty "
          "vectors.\n\n"
          ">>> at.tensor([1, 2]).dot(at.tensor([3, 4]))\ntensor(11)",
          shape<dot_rule>});
  define(
      {"addmm(Tensor input, Tensor mat1, Tensor mat2, dtype? out_dtype=None, *, Scalar beta=1, Scalar alpha=1) -> "
       "Tensor",
       "beta * input + alpha * (mat1 @ mat2); with beta 0, input's values do not count, even NaN.\n\n"
       "mat1 (m, k), mat2 (k, n); input broadcasts to (m, n). out_dtype: as for mm; input is of that dtype or of the "
       "matrices'. DTypeError for a beta or alpha of a higher kind than the result, such as 0.5 for integers.\n\n"
       ">>> at.addmm(at.tensor([100, 200]), at.tensor([[1, 2]]), at.tensor([[1, 0], [0, 1]]), alpha=10)\n"
       "tensor([[110, 220]])",
       shape<add_rule<2, 2>>, ATLED_OP_INPLACE});
  define({"addmm_relu(Tensor? input, Tensor mat1, Tensor mat2) -> Tensor",
          "relu(input + mat1 @ mat2), on some devices in one pass.\n\n"
          "mat1 (m, k), mat2 (k, n); input, if any, broadcasts to (m, n).",
          shape<relu_rule>, ATLED_OP_PRIVATE});
  define({"addmm_gelu(Tensor? input, Tensor mat1, Tensor mat2) -> (Tensor out, Tensor before)",
          "gelu(input + mat1 @ mat2) in its tanh approximation, and the sum before it; on some devices in one pass.\n\n"
          "mat1 (m, k), mat2 (k, n); input, if any, broadcasts to (m, n).",
          shape<gelu_rule>, ATLED_OP_PRIVATE});
  define({"addmv(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
          "beta * input + alpha * (mat @ vec), as addmm for a vector.\n\n"
          "mat (m, k), vec (k,); input broadcasts to (m,).\n\n"
          ">>> at.addmv(at.tensor([100, 200]), at.tensor([[1, 2], [3, 4]]), at.tensor([1, 1]), beta=2)\n"
          "tensor([203, 407])",
          shape<add_rule<2, 1>>, ATLED_OP_INPLACE});
  define(
      {"baddbmm(Tensor input, Tensor batch1, Tensor batch2, dtype? out_dtype=None, *, Scalar beta=1, Scalar alpha=1) "
       "-> Tensor",
       "beta * input + alpha * (batch1 @ batch2), as addmm for each pair of matrices.\n\n"
       "batch1 (b, m, k), batch2 (b, k, n); input broadcasts to (b, m, n). out_dtype: as for addmm.\n\n"
       ">>> at.baddbmm(at.tensor([100]), at.tensor([[[1, 2]], [[3, 4]]]), at.tensor([[[1], [1]], [[2], "
       "[2]]])).tolist()\n"
       "[[[103]], [[114]]]",
       shape<add_rule<3, 3>>, ATLED_OP_INPLACE});
}

void define_composites() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE;
  define({"addbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
          "beta * input + alpha * the sum of batch1[i] @ batch2[i] over the batch.\n\n"
          "batch1 (b, m, k), batch2 (b, k, n); input broadcasts to (m, n). With beta 0, its values do not count.\n\n"
          ">>> at.addbmm(at.tensor([100]), at.tensor([[[1, 2]], [[3, 4]]]), at.tensor([[[1], [1]], [[2], [2]]]))\n"
          "tensor([[117]])",
          nullptr, composite | ATLED_OP_INPLACE});
  define({"addr(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
          "beta * input + alpha * outer(vec1, vec2); with beta 0, input's values do not count.\n\n"
          "vec1 (m,), vec2 (n,); input broadcasts to (m, n).\n\n"
          ">>> at.addr(at.tensor([100, 200]), at.tensor([1, 2]), at.tensor([3, 4]))\n"
          "tensor([[103, 204],\n        [106, 208]])",
          nullptr, composite | ATLED_OP_INPLACE});
  define({"outer(Tensor input, Tensor vec2) -> Tensor",
          "Every element of one vector times every element of another.\n\n"
          "input (m,), vec2 (n,): any dtypes, which promote. Returns (m, n). ShapeError for other than vectors.\n\n"
          ">>> at.outer(at.tensor([1, 2]), at.tensor([1, 10, 100]))\ntensor([[  1,  10, 100],\n"
          "        [  2,  20, 200]])",
          nullptr, composite});
  alias("core::matmul", "linalg::matmul");
  alias("core::outer", "core::ger");
  alias("core::outer", "linalg::outer");
  define({"vdot(Tensor input, Tensor other) -> Tensor",
          "dot with input conjugated, which for real vectors is dot.\n\n"
          "input, other (n,): any dtypes, which promote. Returns a 0-d tensor.\n\n"
          ">>> at.vdot(at.tensor([1j, 2]), at.tensor([1j, 3]))\ntensor(7.+0.j)",
          nullptr, composite});
  define({"vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor",
          "The sum of conj(x) * y along a dimension of size n; the other dimensions broadcast.\n\n"
          "x, y: any dtypes, which promote, integers too; both have n entries in dim. Returns the broadcast shape "
          "without it.\n\n"
          ">>> at.vecdot(at.tensor([[1, 2], [3, 4]]), at.tensor([1, 10]))\ntensor([21, 43])",
          nullptr, composite});
  define({"inner(Tensor input, Tensor other) -> Tensor",
          "The sums of products over the last dimension of both, for every pair of rows.\n\n"
          "input (*, k), other (*', k). Returns (*, *'); with a 0-d tensor, the product element by element.\n\n"
          ">>> at.inner(at.tensor([[1, 2], [3, 4]]), at.tensor([[1, 1], [10, 1]]))\ntensor([[ 3, 12],\n"
          "        [ 7, 34]])",
          nullptr, composite});
  define({"tensordot(Tensor a, Tensor b, int dims=2, *, int[]? dims_a=None, int[]? dims_b=None) -> Tensor",
          "The sum of products over the last `dims` dimensions of a and the first of b, or over the pairs that two "
          "lists name.\n\n"
          "Returns a's other dimensions, then b's; the dtypes promote. ShapeError where paired sizes differ.\n\n"
          ">>> a = at.arange(4).reshape(2, 2)\n>>> at.tensordot(a, a, 1)\ntensor([[ 2,  3],\n"
          "        [ 6, 11]])\n>>> at.tensordot(a, a, dims=([0, 1], [0, 1]))\ntensor(14)",
          nullptr, composite});
  alias("core::vecdot", "linalg::vecdot");
}

void define_matmul() {
  define_products();
  define_composites();
}

ATLED_OPS(define_matmul);

}  // namespace
}  // namespace atled::core
