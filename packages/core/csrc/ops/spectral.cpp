// Eigenvalues, singular values, and what is made of them.
#include <algorithm>
#include <limits>
#include <string>

#include "dispatch/register.h"
#include "ops/matrix_rules.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void svd_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_matrices(a, "A");
  const int dtype = lapack_dtype(a, "A");
  const bool full = arg_bool(f, 1);
  const int64_t m = rows_of(a), n = columns_of(a), k = std::min(m, n);
  batch_spec(outs[0], dtype, a, 1, {full ? m : k});
  batch_spec(outs[1], real_dtype(dtype), a, 2, {k});
  batch_spec(outs[2], dtype, a, 2, {full ? n : k, n});
}

void svdvals_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_matrices(a, "A");
  batch_spec(outs[0], real_dtype(lapack_dtype(a, "A")), a, 2, {std::min(rows_of(a), columns_of(a))});
}

void eigvalsh_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_square(a, "A");
  const std::string uplo(f->args[1].u.str, f->args[1].n);
  if (uplo != "L" && uplo != "U" && uplo != "l" && uplo != "u")
    fail(ATLED_E_VALUE, "expected UPLO to be L or U, got '%s'", uplo.c_str());
  batch_spec(outs[0], real_dtype(lapack_dtype(a, "A")), a, 1, {});
}

void eigh_rule(const atled_frame* f, atled_spec* outs) {
  eigvalsh_rule(f, outs);
  batch_spec(outs[1], arg_tensor(f, 0)->dtype, arg_tensor(f, 0), 0, {});
}

int complex_dtype(int dtype) {
  return dtype == ATLED_FLOAT32 || dtype == ATLED_COMPLEX64 ? ATLED_COMPLEX64 : ATLED_COMPLEX128;
}

void eigvals_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_square(a, "A");
  batch_spec(outs[0], complex_dtype(lapack_dtype(a, "A")), a, 1, {});
}

void eig_rule(const atled_frame* f, atled_spec* outs) {
  eigvals_rule(f, outs);
  batch_spec(outs[1], outs[0].dtype, arg_tensor(f, 0), 0, {});
}

void pinv_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  arg_bool(f, 2) ? expect_square(a, "A") : expect_matrices(a, "A");
  batch_spec(outs[0], lapack_dtype(a, "A"), a, 2, {columns_of(a), rows_of(a)});
}

const Op svd_op{"linalg::svd"};
const Op svdvals_op{"linalg::svdvals"};
const Op eigh_op{"linalg::eigh"};
const Op eigvalsh_op{"linalg::eigvalsh"};
const Op transpose_op{"core::matrix_transpose"};
const Op matmul_op{"core::matmul"};
const Op mul_op{"core::mul"};
const Op abs_op{"core::abs"};
const Op amax_op{"core::amax"};
const Op maximum_op{"core::maximum"};
const Op gt_op{"core::gt"};
const Op where_op{"core::where"};
const Op unsqueeze_op{"core::unsqueeze"};

Tensor adjoint(const Tensor& t) {
  static const Op conj{"core::conj"};
  const Tensor flipped = transpose_op(t);
  return is_complex(t->dtype) ? conj(flipped) : flipped;
}

double epsilon(int dtype) {
  return real_dtype(dtype) == ATLED_FLOAT64 ? std::numeric_limits<double>::epsilon()
                                            : static_cast<double>(std::numeric_limits<float>::epsilon());
}

// A bound for each matrix, as a column beside `like`: what was given (a number or a tensor of the batch's shape).
Tensor bound(const atled_value& given, double otherwise, const Tensor& like) {
  static const Op full_like{"core::full_like"};
  if (is_none(given)) return full_like(like, otherwise);
  if (given.tag != ATLED_TENSOR) return full_like(like, given);
  return given.u.tensor->dl.ndim == 0 ? Tensor::borrow(given.u.tensor) : unsqueeze_op(given, -1);
}

// Which singular values (*, k) count: those above max(atol, rtol * largest). By default rtol is eps * max(m, n), or 0
// where an atol above 0 is given.
Tensor counted(const Tensor& a, const Tensor& s, const atled_value& atol, const atled_value& rtol) {
  const int64_t last = -1;
  const Tensor largest = columns_of(s) == 0 ? s : amax_op(s, ints_value(&last, 1), true);
  const bool absolute = !is_none(atol) && (atol.tag == ATLED_TENSOR || as_double(atol) > 0);
  const double usual = absolute ? 0 : epsilon(a->dtype) * static_cast<double>(std::max(rows_of(a), columns_of(a)));
  const Tensor least = bound(atol, 0, largest), part = mul_op(largest, bound(rtol, usual, largest));
  return gt_op(s, maximum_op(part, least));
}

struct Spectrum {
  Tensor u, s, vh;
};

Spectrum decomposed(const Tensor& a) {
  atled_value outs[3] = {none(), none(), none()};
  svd_op.run(0, outs, {value(a), value(false)});
  return {Tensor::steal(outs[0].u.tensor), Tensor::steal(outs[1].u.tensor), Tensor::steal(outs[2].u.tensor)};
}

// sum of v_i u_i^H / s_i over the singular (or eigen-) values that count.
void pinv(atled_frame* f) {
  static const Op reciprocal{"core::reciprocal"}, copy{"core::copy_"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0)), u, s, v;
  if (arg_bool(f, 2)) {
    atled_value outs[2] = {none(), none()};
    eigh_op.run(0, outs, {value(a)});
    s = Tensor::steal(outs[0].u.tensor);
    u = v = Tensor::steal(outs[1].u.tensor);
  } else {
    Spectrum parts = decomposed(a);
    u = parts.u;
    s = parts.s;
    v = adjoint(parts.vh);
  }
  const Tensor inverse = where_op(counted(a, arg_bool(f, 2) ? abs_op(s) : s, f->args[3], f->args[1]), reciprocal(s), 0);
  const Tensor result = matmul_op(mul_op(v, unsqueeze_op(inverse, -2)), adjoint(u));
  atled_value copied = none();
  copy.run(0, &copied, {f->outs[0], value(result)});
  api.release(copied.u.tensor);
}

void pinverse(atled_frame* f) {
  static const Op op{"linalg::pinv"};
  set_out(f, 0, op(f->args[0], f->args[1]));
}

void matrix_rank(atled_frame* f) {
  static const Op sum{"core::sum"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0));
  expect_matrices(a, "A");
  const Tensor s = arg_bool(f, 2) ? abs_op(eigvalsh_op(a)) : svdvals_op(a);
  const int64_t last = -1;
  set_out(f, 0, sum(counted(a, s, f->args[1], f->args[3]), ints_value(&last, 1)));
}

// svd(input, some, compute_uv) -> (U, S, V); without vectors, U and V are zeros.
void svd(atled_frame* f) {
  static const Op zeros{"core::zeros"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0));
  expect_matrices(a, "input");
  if (arg_bool(f, 2)) {
    atled_value outs[3] = {none(), none(), none()};
    svd_op.run(0, outs, {value(a), value(!arg_bool(f, 1))});
    set_out(f, 0, Tensor::steal(outs[0].u.tensor));
    set_out(f, 1, Tensor::steal(outs[1].u.tensor));
    set_out(f, 2, adjoint(Tensor::steal(outs[2].u.tensor)));
    return;
  }
  auto blank = [&](int64_t n) {
    atled_spec spec;
    batch_spec(spec, a->dtype, a, 2, {n, n});
    return zeros(ints_value(spec.shape, static_cast<size_t>(spec.ndim)), dtype_value(a->dtype),
                 device_value(a->dl.device));
  };
  set_out(f, 1, svdvals_op(a));
  set_out(f, 0, blank(rows_of(a)));
  set_out(f, 2, blank(columns_of(a)));
}

void define_spectral() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE;
  define(
      {"linalg::svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
       "The singular value decomposition A = U diag(S) Vh: orthonormal U and Vh, S descending.\n\n"
       "A (*, m, n): float32, float64 or complex. Returns U (*, m, m), S (*, k), real, Vh (*, n, n), k = min(m, n); "
       "without full_matrices U (*, m, k) and Vh (*, k, n). driver, which picks among CUDA's methods, changes "
       "nothing here. LinAlgError where A holds NaN or infinities.\n\n"
       "Columns of U and rows of Vh are determined up to a common sign (complex: a factor of magnitude 1): a gradient "
       "through them makes sense for functions that this does not change.\n\n"
       ">>> at.linalg.svd(at.tensor([[0.0, 2.0], [1.0, 0.0]])).S\ntensor([2., 1.])",
       shape<svd_rule>});
  define({"linalg::svdvals(Tensor A, *, str? driver=None) -> Tensor",
          "The singular values of each matrix, descending.\n\n"
          "A (*, m, n): float32, float64 or complex. Returns (*, min(m, n)), real. LinAlgError where A holds NaN or "
          "infinities.\n\n"
          ">>> at.linalg.svdvals(at.tensor([[1.0, 1.0], [0.0, 0.0]]))\ntensor([1.4142, 0.0000])",
          shape<svdvals_rule>});
  define({"svd(Tensor input, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, Tensor V)",
          "linalg.svd under its older name: reduced unless some is False, and with V rather than its adjoint.\n\n"
          "compute_uv=False: U and V are zeros.\n\n"
          ">>> at.svd(at.tensor([[1.0], [1.0]])).S\ntensor([1.4142])",
          nullptr, composite});
  define({"linalg::eigh(Tensor A, str UPLO=\"L\") -> (Tensor eigenvalues, Tensor eigenvectors)",
          "Eigenvalues, ascending, and orthonormal eigenvectors (columns) of symmetric or Hermitian matrices.\n\n"
          "A (*, n, n): float32, float64 or complex; only the lower (UPLO=\"U\": upper) triangle is read. LinAlgError "
          "where A holds NaN or infinities. Eigenvectors are determined up to a sign (complex: a factor of magnitude "
          "1).\n\n"
          ">>> at.linalg.eigh(at.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues\ntensor([1., 2.])",
          shape<eigh_rule>});
  define({"linalg::eigvalsh(Tensor A, str UPLO=\"L\") -> Tensor",
          "The eigenvalues of symmetric or Hermitian matrices, ascending.\n\n"
          "A (*, n, n), of which one triangle is read, as for eigh. Returns (*, n), real.\n\n"
          ">>> at.linalg.eigvalsh(at.tensor([[2.0, 0.0], [0.0, 1.0]]))\ntensor([1., 2.])",
          shape<eigvalsh_rule>});
  define({"linalg::eig(Tensor A) -> (Tensor eigenvalues, Tensor eigenvectors)",
          "Eigenvalues, in no order, and eigenvectors (columns of norm 1) of square matrices; always complex.\n\n"
          "A (*, n, n): float32, float64 or complex. LinAlgError where A holds NaN or infinities.\n\n"
          ">>> at.linalg.eig(at.tensor([[2.0, 0.0], [0.0, 2.0]])).eigenvalues\n"
          "tensor([2.+0.j, 2.+0.j])",
          shape<eig_rule>});
  define({"linalg::eigvals(Tensor A) -> Tensor",
          "The eigenvalues of square matrices, in no order; always complex.\n\n"
          "A (*, n, n): float32, float64 or complex. Returns (*, n). LinAlgError where A holds NaN or infinities.\n\n"
          ">>> at.linalg.eigvals(at.tensor([[0.0, 2.0], [-1.0, 0.0]])).imag.abs()\n"
          "tensor([1.4142, 1.4142])",
          shape<eigvals_rule>});
  define(
      {"linalg::pinv(Tensor A, Tensor|Scalar? rtol=None, bool hermitian=False, *, Tensor|Scalar? atol=None) -> Tensor",
       "The pseudoinverse (Moore-Penrose) of each matrix, from its singular values (hermitian: eigenvalues).\n\n"
       "A (*, m, n). Those not above max(atol, rtol * largest) count as zero; rtol is eps * max(m, n) by default, 0 "
       "where atol is given. atol and rtol: numbers, or tensors of the batch's shape.\n\n"
       ">>> at.linalg.pinv(at.tensor([[2.0], [0.0]]))\ntensor([[0.5000, 0.0000]])",
       shape<pinv_rule>});
  define({"pinverse(Tensor input, float rcond=1e-15) -> Tensor",
          "linalg.pinv with rtol=rcond.\n\n"
          ">>> at.pinverse(at.tensor([[2.0], [0.0]]))\ntensor([[0.5000, 0.0000]])",
          nullptr, composite});
  define(
      {"linalg::matrix_rank(Tensor A, Tensor|Scalar? atol=None, bool hermitian=False, *, Tensor|Scalar? rtol=None) -> "
       "Tensor",
       "How many singular values (hermitian: magnitudes of eigenvalues) are above max(atol, rtol * largest): int64.\n\n"
       "A (*, m, n); atol and rtol as for pinv. Returns (*).\n\n"
       ">>> at.linalg.matrix_rank(at.tensor([[1.0, 2.0], [2.0, 4.0]]))\ntensor(1)",
       nullptr, composite});
}

ATLED_OPS(define_spectral);

void add_composites() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("linalg::pinv", kernel<pinv>);
  any("core::pinverse", kernel<pinverse>);
  any("linalg::matrix_rank", kernel<matrix_rank>);
  any("core::svd", kernel<svd>);
}

ATLED_KERNELS(add_composites);

}  // namespace
}  // namespace atled::core
