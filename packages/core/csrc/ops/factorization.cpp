// Factorizations by elimination: Cholesky, LU and LDL, and what is made of them.
#include <algorithm>
#include <vector>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/matrix_rules.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void cholesky_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_square(a, "input");
  batch_spec(outs[0], lapack_dtype(a, "input"), a, 0, {});
  batch_spec(outs[1], ATLED_INT32, a, 2, {});
}

void lu_factor_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_matrices(a, "A");
  batch_spec(outs[0], lapack_dtype(a, "A"), a, 0, {});
  batch_spec(outs[1], ATLED_INT32, a, 2, {std::min(rows_of(a), columns_of(a))});
  batch_spec(outs[2], ATLED_INT32, a, 2, {});
}

void ldl_factor_rule(const atled_frame* f, atled_spec* outs) {
  expect_square(arg_tensor(f, 0), "A");
  lu_factor_rule(f, outs);
}

void permutation_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* pivots = arg_tensor(f, 0);
  const int64_t n = arg_int(f, 1);
  if (pivots->dl.ndim == 0 || pivots->dl.shape[pivots->dl.ndim - 1] > n)
    fail(ATLED_E_SHAPE, "expected at most n pivots for matrices of n = %lld rows, got shape %s", (long long)n,
         shape_text(pivots).c_str());
  if (pivots->dtype != ATLED_INT32 && pivots->dtype != ATLED_INT64)
    fail(ATLED_E_DTYPE, "expected pivots to be int32, got %s", dtype_name(pivots->dtype));
  batch_spec(outs[0], ATLED_INT64, pivots, 1, {n});
}

constexpr char kNotPositive[] =
    "expected a positive-definite matrix, got one whose leading minor of order %d is not positive";

// cholesky(input, *, upper) -> L
void cholesky(atled_frame* f) {
  static const Op op{"linalg::cholesky_ex"};
  atled_value outs[2] = {none(), none()};
  op.run(0, outs, {f->args[0], f->args[1], in_vmap(f->args[0])});
  Tensor factor = Tensor::steal(outs[0].u.tensor), info = Tensor::steal(outs[1].u.tensor);
  expect_success(info, kNotPositive);
  set_out(f, 0, factor);
}

struct Factors {
  Tensor lu, pivots, info;
};

Factors factored(const atled_value& a, const atled_value& pivot, atled_value check_errors) {
  static const Op op{"linalg::lu_factor_ex"};
  atled_value outs[3] = {none(), none(), none()};
  op.run(0, outs, {a, pivot, check_errors});
  return {Tensor::steal(outs[0].u.tensor), Tensor::steal(outs[1].u.tensor), Tensor::steal(outs[2].u.tensor)};
}

constexpr char kZeroPivot[] = "expected a matrix of full rank, got one whose pivot %d is zero";

void lu_factor(atled_frame* f) {
  Factors made = factored(f->args[0], f->args[1], in_vmap(f->args[0]));
  expect_success(made.info, kZeroPivot);
  set_out(f, 0, made.lu);
  set_out(f, 1, made.pivots);
}

// PyTorch's lu: (LU, pivots), with get_infos also info.
void lu_infos(atled_frame* f) {
  const bool get_infos = arg_bool(f, 2);
  Factors made = factored(f->args[0], f->args[1], get_infos ? value(false) : in_vmap(f->args[0]));
  std::vector<Tensor> all = {made.lu, made.pivots};
  if (get_infos) {
    all.push_back(made.info);
  } else {
    expect_success(made.info, kZeroPivot);
  }
  set_out_list(f, 0, all);
}

Tensor sliced_to(const Tensor& t, int dim, int64_t n) {
  static const Op narrow{"core::narrow"};
  return t->dl.shape[t->dl.ndim + dim] == n ? t : narrow(t, dim, 0, n);
}

Tensor lower_of(const Tensor& lu) {
  static const Op tril{"core::tril"}, eye{"core::eye"}, add{"core::add"};
  const int64_t m = rows_of(lu), k = std::min(m, columns_of(lu));
  const Tensor unit = eye(m, k, 0, dtype_value(lu->dtype), device_value(lu->dl.device));
  return add(tril(sliced_to(lu, -1, k), -1), unit);
}

Tensor upper_of(const Tensor& lu) {
  static const Op triu{"core::triu"};
  return triu(sliced_to(lu, -2, std::min(rows_of(lu), columns_of(lu))));
}

// The matrix P with A = P L U: row i of L U is row order[i] of A.
Tensor permutation_of(const Tensor& pivots, int64_t rows, int dtype) {
  static const Op to_order{"linalg::_pivots_to_permutation"}, arange{"core::arange"}, eq{"core::eq"}, to{"core::to"},
      unsqueeze{"core::unsqueeze"};
  const Tensor order = to_order(pivots, rows);
  const Tensor places = arange(0, rows, 1, none(), device_value(pivots->dl.device));
  return to(eq(unsqueeze(order, -2), unsqueeze(places, -1)), dtype_value(dtype));
}

Tensor nothing_like(const Tensor& t) {
  return Tensor::empty(t->dtype, 1, std::initializer_list<int64_t>{0}.begin(), t->dl.device);
}

void set_unpacked(atled_frame* f, const Tensor& lu, const Tensor& pivots, bool data, bool permutation) {
  set_out(f, 0, permutation ? permutation_of(pivots, rows_of(lu), lu->dtype) : nothing_like(lu));
  set_out(f, 1, data ? lower_of(lu) : nothing_like(lu));
  set_out(f, 2, data ? upper_of(lu) : nothing_like(lu));
}

void lu_unpack(atled_frame* f) {
  expect_matrices(arg_tensor(f, 0), "LU_data");
  set_unpacked(f, Tensor::borrow(arg_tensor(f, 0)), Tensor::borrow(arg_tensor(f, 1)), arg_bool(f, 2), arg_bool(f, 3));
}

void lu(atled_frame* f) {
  Factors made = factored(f->args[0], f->args[1], value(false));
  set_unpacked(f, made.lu, made.pivots, true, arg_bool(f, 1));
}

void ldl_factor(atled_frame* f) {
  static const Op op{"linalg::ldl_factor_ex"};
  atled_value outs[3] = {none(), none(), none()};
  op.run(0, outs, {f->args[0], f->args[1], in_vmap(f->args[0])});
  Tensor ld = Tensor::steal(outs[0].u.tensor), pivots = Tensor::steal(outs[1].u.tensor);
  expect_success(Tensor::steal(outs[2].u.tensor), kZeroPivot);
  set_out(f, 0, ld);
  set_out(f, 1, pivots);
}

void define_factorization() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE;
  define({"linalg::cholesky_ex(Tensor input, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)",
          "cholesky that does not raise: info is 0, or the order of the leading minor that is not positive.\n\n"
          "input (*, n, n), L of its shape, info (*). Where info is not 0, what L holds is undefined. With "
          "check_errors, LinAlgError after all.\n\n"
          ">>> at.linalg.cholesky_ex(at.tensor([[1.0, 2.0], [2.0, 1.0]])).info\n"
          "tensor(2, dtype=int32)",
          shape<cholesky_rule>});
  define({"linalg::cholesky(Tensor input, *, bool upper=False) -> Tensor",
          "The factor L of positive-definite matrices, input = L L^H; or with upper U, input = U^H U.\n\n"
          "input (*, n, n): float32, float64 or complex; only its lower (upper) triangle is read. LinAlgError, naming "
          "the matrix, where one is not positive-definite.\n\n"
          ">>> at.linalg.cholesky(at.tensor([[4.0, 2.0], [2.0, 5.0]]))\ntensor([[2., 0.],\n        [1., 2.]])",
          nullptr, composite});
  define({"cholesky(Tensor input, bool upper=False) -> Tensor",
          "linalg.cholesky under its older name, where upper may be positional.\n\n"
          ">>> at.cholesky(at.tensor([[4.0, 2.0], [2.0, 5.0]]), True)\n"
          "tensor([[2., 1.],\n"
          "        [0., 2.]])",
          nullptr, composite});
  define(
      {"linalg::lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> (Tensor LU, Tensor pivots, "
       "Tensor info)",
       "lu_factor that does not raise: info is 0, or which pivot, counted from 1, is zero.\n\n"
       "A (*, m, n), LU of its shape, pivots (*, min(m, n)), info (*). With check_errors, LinAlgError after all.\n\n"
       ">>> at.linalg.lu_factor_ex(at.tensor([[0.0, 2.0], [0.0, 3.0]])).info\n"
       "tensor(1, dtype=int32)",
       shape<lu_factor_rule>});
  define({"linalg::lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)",
          "The LU factorization with partial pivoting, in compact form: U above, the rest of L below the diagonal.\n\n"
          "A (*, m, n), LU of its shape; pivots (*, min(m, n)), counted from 1: the row that row i was exchanged with. "
          "LinAlgError where a pivot is zero. lu_solve solves with it, lu_unpack takes it apart.\n\n"
          ">>> LU, pivots = at.linalg.lu_factor(at.tensor([[2.0, 4.0], [4.0, 2.0]]))\n"
          ">>> LU.tolist(), pivots.tolist()\n"
          "([[4.0, 2.0], [0.5, 3.0]], [2, 2])",
          nullptr, composite});
  define({"lu(Tensor input, bool pivot=True, bool get_infos=False) -> Tensor[]",
          "(LU, pivots) as of linalg.lu_factor; with get_infos also info, and no error.\n\n"
          ">>> at.lu(at.tensor([[4.0, 2.0], [2.0, 4.0]]))[0]\n"
          "tensor([[4.0000, 2.0000],\n"
          "        [0.5000, 3.0000]])",
          nullptr, composite});
  define({"linalg::lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)",
          "The LU factorization A = P L U: a permutation, a unit lower and an upper triangular matrix.\n\n"
          "A (*, m, n): float32, float64 or complex. Without pivot, P is empty.\n\n"
          ">>> at.linalg.lu(at.tensor([[0.0, 2.0], [1.0, 3.0]])).U\ntensor([[1., 3.],\n        [0., 2.]])",
          nullptr, composite});
  define(
      {"lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True) -> (Tensor P, "
       "Tensor L, Tensor U)",
       "P, L and U, with A = P L U, of what lu_factor gave; those that are not asked for are empty.\n\n"
       "LU_data (*, m, n), LU_pivots (*, k): P (*, m, m), L (*, m, min(m, n)), U (*, min(m, n), n). BoundsError for a "
       "pivot that is no row.\n\n"
       ">>> P, L, U = at.lu_unpack(*at.linalg.lu_factor(at.tensor([[2.0, 4.0], [4.0, 2.0]])))\n"
       ">>> P @ L @ U\n"
       "tensor([[2., 4.],\n"
       "        [4., 2.]])",
       nullptr, composite | ATLED_OP_FUNCTION});
  define({"linalg::_pivots_to_permutation(Tensor pivots, int n) -> Tensor",
          "Which row of the matrix each of its n rows was before the exchanges.", shape<permutation_rule>,
          ATLED_OP_PRIVATE});
  define(
      {"linalg::ldl_factor_ex(Tensor A, *, bool hermitian=False, bool check_errors=False) -> (Tensor LD, Tensor "
       "pivots, Tensor info)",
       "ldl_factor that does not raise: info is 0, or which block of D, counted from 1, is singular.\n\n"
       "A (*, n, n), LD of its shape, pivots (*, n), info (*). With check_errors, LinAlgError after all.\n\n"
       ">>> at.linalg.ldl_factor_ex(at.zeros(2, 2)).info\n"
       "tensor(1, dtype=int32)",
       shape<ldl_factor_rule>});
  define({"linalg::ldl_factor(Tensor A, *, bool hermitian=False) -> (Tensor LD, Tensor pivots)",
          "The factorization L D L^T (hermitian: L D L^H) of symmetric matrices by Bunch and Kaufman (1977), in "
          "LAPACK's compact form.\n\n"
          "A (*, n, n): only its lower triangle is read. D has blocks of 1 x 1 and 2 x 2, the latter with negative "
          "pivots. LinAlgError where a block is singular. For ldl_solve.\n\n"
          ">>> at.linalg.ldl_factor(at.tensor([[4.0, 2.0], [2.0, 5.0]])).LD\n"
          "tensor([[4.0000, 0.0000],\n"
          "        [0.5000, 4.0000]])",
          nullptr, composite});
}

ATLED_OPS(define_factorization);

void add_composites() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("linalg::cholesky", kernel<cholesky>);
  any("core::cholesky", kernel<cholesky>);
  any("linalg::lu_factor", kernel<lu_factor>);
  any("core::lu", kernel<lu_infos>);
  any("linalg::lu", kernel<lu>);
  any("core::lu_unpack", kernel<lu_unpack>);
  any("linalg::ldl_factor", kernel<ldl_factor>);
}

ATLED_KERNELS(add_composites);

}  // namespace
}  // namespace atled::core
