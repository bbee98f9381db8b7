// Linear systems: solutions, inverses, determinants.
#include <string>
#include <vector>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/matrix_rules.h"
#include "ops/rules.h"
#include "ops/settled.h"

namespace atled::core {
namespace {

[[noreturn]] void fail_rows(const char* expected, const atled_tensor* a, const atled_tensor* b) {
  fail(ATLED_E_SHAPE, "expected %s, got %s and %s", expected, shape_text(a).c_str(), shape_text(b).c_str());
}

// A X = B, or X A = B unless left: A square, B matrices.
void expect_fit(const atled_tensor* a, const atled_tensor* b, bool left) {
  if (left ? rows_of(b) != columns_of(a) : columns_of(b) != rows_of(a))
    fail_rows(left ? "A.shape[-1] == B.shape[-2]" : "A.shape[-2] == B.shape[-1]", a, b);
}

void solve_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  const bool left = arg_bool(f, 2);
  expect_square(a, "A");
  const int dtype = lapack_dtype(a, "A", b, "B");
  if (b->dl.ndim > 0 && holds_vectors(a, b)) {
    if (!left)
      fail(ATLED_E_SHAPE, "expected B to hold matrices where left is False, got shape %s", shape_text(b).c_str());
    if (b->dl.shape[b->dl.ndim - 1] != columns_of(a)) fail_rows("A.shape[-1] == B.shape[-1]", a, b);
    joined_spec(outs[0], dtype, a, 2, b, 1, {columns_of(a)});
  } else {
    expect_matrices(b, "B");
    expect_fit(a, b, left);
    joined_spec(outs[0], dtype, a, b, {rows_of(b), columns_of(b)});
  }
  batch_spec(outs[1], ATLED_INT32, a, 2, {});
}

void inv_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_square(a, "A");
  batch_spec(outs[0], lapack_dtype(a, "A"), a, 0, {});
  batch_spec(outs[1], ATLED_INT32, a, 2, {});
}

void expect_pivots(const atled_tensor* matrices, const atled_tensor* pivots) {
  const int n = matrices->dl.ndim - 1;
  bool fits = pivots->dl.ndim == n;
  for (int d = 0; d < n && fits; ++d) fits = pivots->dl.shape[d] == matrices->dl.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected pivots of shape %s, got %s", shape_text(n, matrices->dl.shape).c_str(),
         shape_text(pivots).c_str());
  if (pivots->dtype != ATLED_INT32)
    fail(ATLED_E_DTYPE, "expected pivots to be int32, got %s", dtype_name(pivots->dtype));
}

// (factors, pivots, B, ...)
void factors_rule(const atled_frame* f, atled_spec* outs, bool left) {
  const atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 2);
  const char* name = f->op->args[0].name;
  expect_square(a, name);
  expect_pivots(a, arg_tensor(f, 1));
  expect_matrices(b, "B");
  expect_fit(a, b, left);
  joined_spec(outs[0], lapack_dtype(a, name, b, "B"), a, b, {rows_of(b), columns_of(b)});
}
void lu_solve_rule(const atled_frame* f, atled_spec* outs) { factors_rule(f, outs, arg_bool(f, 3)); }
void ldl_solve_rule(const atled_frame* f, atled_spec* outs) { factors_rule(f, outs, true); }

void solve_triangular_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  expect_square(a, "A");
  expect_matrices(b, "B");
  expect_fit(a, b, arg_bool(f, 3));
  joined_spec(outs[0], lapack_dtype(a, "A", b, "B"), a, b, {rows_of(b), columns_of(b)});
}

void det_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_square(a, "A");
  batch_spec(outs[0], lapack_dtype(a, "A"), a, 2, {});
}

void slogdet_rule(const atled_frame* f, atled_spec* outs) {
  det_rule(f, outs);
  batch_spec(outs[1], real_dtype(outs[0].dtype), arg_tensor(f, 0), 2, {});
}

// (A, B, rcond, driver) -> solution, rank, singular values
void lstsq_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  expect_matrices(a, "A");
  expect_matrices(b, "B");
  if (rows_of(a) != rows_of(b)) fail_rows("A.shape[-2] == B.shape[-2]", a, b);
  const int dtype = lapack_dtype(a, "A", b, "B");
  joined_spec(outs[0], dtype, a, b, {columns_of(a), columns_of(b)});
  joined_spec(outs[1], ATLED_INT64, a, b, {});
  joined_spec(outs[2], real_dtype(dtype), a, b, {std::min(rows_of(a), columns_of(a))});
}

// ---- composites ----

const Op matmul_op{"core::matmul"};
const Op transpose_op{"core::matrix_transpose"};
const Op unsqueeze_op{"core::unsqueeze"};
const Op squeeze_op{"core::squeeze"};
const Op reshape_op{"core::reshape"};
const Op triangular_op{"linalg::solve_triangular"};

constexpr char kSingular[] = "expected an invertible matrix, got a singular one";

Tensor adjoint(const Tensor& t) {
  static const Op conj{"core::conj"};
  const Tensor flipped = transpose_op(t);
  return is_complex(t->dtype) ? conj(flipped) : flipped;
}

Tensor inverse(const atled_value& a) {
  static const Op op{"linalg::inv_ex"};
  atled_value outs[2] = {none(), none()};
  op.run(0, outs, {a, in_vmap(a)});
  Tensor result = Tensor::steal(outs[0].u.tensor);
  expect_success(Tensor::steal(outs[1].u.tensor), kSingular);
  return result;
}

Tensor solution(const atled_value& a, const atled_value& b, bool left) {
  static const Op op{"linalg::solve_ex"};
  atled_value outs[2] = {none(), none()};
  op.run(0, outs, {a, b, value(left), in_vmap(a, b)});
  Tensor result = Tensor::steal(outs[0].u.tensor);
  expect_success(Tensor::steal(outs[1].u.tensor), kSingular);
  return result;
}

void inv(atled_frame* f) { set_out(f, 0, inverse(f->args[0])); }
void solve(atled_frame* f) { set_out(f, 0, solution(f->args[0], f->args[1], arg_bool(f, 2))); }

// lu_solve(b, LU_data, LU_pivots)
void lu_solve(atled_frame* f) {
  static const Op op{"linalg::lu_solve"};
  set_out(f, 0, op(f->args[1], f->args[2], f->args[0]));
}

// triangular_solve(b, A, upper, transpose, unitriangular) -> (solution, A)
void triangular_solve(atled_frame* f) {
  Tensor a = Tensor::borrow(arg_tensor(f, 1));
  expect_matrices(a, "A");
  const bool transpose = arg_bool(f, 3), upper = arg_bool(f, 2) != transpose;
  set_out(f, 0, triangular_op(transpose ? transpose_op(a) : a, f->args[0], upper, true, f->args[4]));
  static const Op clone{"core::clone"};
  set_out(f, 1, clone(a));
}

// L L^H x = b, or U^H U x = b.
Tensor cholesky_solution(const Tensor& factor, const Tensor& b, bool upper) {
  expect_square(factor, "L");
  const Tensor flipped = adjoint(factor);
  const Tensor half = triangular_op(upper ? flipped : factor, b, false);
  return triangular_op(upper ? factor : flipped, half, true);
}

void cholesky_solve(atled_frame* f) {
  set_out(f, 0, cholesky_solution(Tensor::borrow(arg_tensor(f, 1)), Tensor::borrow(arg_tensor(f, 0)), arg_bool(f, 2)));
}

void cholesky_inverse(atled_frame* f) {
  static const Op eye{"core::eye"};
  Tensor factor = Tensor::borrow(arg_tensor(f, 0));
  expect_square(factor, "L");
  const Tensor unit = eye(rows_of(factor), none(), 0, dtype_value(factor->dtype), device_value(factor->dl.device));
  set_out(f, 0, cholesky_solution(factor, unit, arg_bool(f, 1)));
}

struct SignAndLog {
  Tensor sign, log;
};
SignAndLog sign_and_log(const atled_value& a) {
  static const Op op{"linalg::slogdet"};
  atled_value outs[2] = {none(), none()};
  op.run(0, outs, {a});
  return {Tensor::steal(outs[0].u.tensor), Tensor::steal(outs[1].u.tensor)};
}

void logdet(atled_frame* f) {
  static const Op log{"core::log"}, add{"core::add"}, clone{"core::clone"};
  SignAndLog parts = sign_and_log(f->args[0]);
  set_out(f, 0, add(log(parts.sign), parts.log));
}

// (A, B, rcond, driver) -> (solution, residuals, rank, singular_values); what the driver does not compute is empty.
void lstsq(atled_frame* f) {
  static const Op op{"linalg::_lstsq"}, sub{"core::sub"}, abs{"core::abs"}, square{"core::square"}, sum{"core::sum"},
      amin{"core::amin"}, to{"core::to"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0)), b = Tensor::borrow(arg_tensor(f, 1));
  expect_matrices(a, "A");
  const bool vectors = holds_vectors(a, b);
  if (vectors) b = unsqueeze_op(b, -1);
  const std::string driver = is_none(f->args[3]) ? "gelsy" : std::string(f->args[3].u.str, f->args[3].n);
  if (driver != "gels" && driver != "gelsy" && driver != "gelsd" && driver != "gelss")
    fail(ATLED_E_VALUE, "expected driver to be gels, gelsy, gelsd or gelss, got '%s'", driver.c_str());
  atled_value name = none();
  name.tag = ATLED_STRING;
  name.u.str = driver.c_str();
  name.n = static_cast<uint32_t>(driver.size());
  atled_value outs[3] = {none(), none(), none()};
  op.run(0, outs, {value(a), value(b), f->args[2], name});
  Tensor x = Tensor::steal(outs[0].u.tensor), rank = Tensor::steal(outs[1].u.tensor),
         values = Tensor::steal(outs[2].u.tensor);
  const int64_t m = rows_of(a), n = columns_of(a), zero = 0, rows = -2;
  auto nothing = [&](int dtype) { return Tensor::empty(dtype, 1, &zero, a->dl.device); };
  Tensor residuals = nothing(real_dtype(x->dtype));
  bool full = m > n;
  // Inside vmap, whose results are of one shape, the rank is not looked at.
  if (full && numel(rank) > 0 && a->dl.device.device_type != ATLED_DEVICE_META && !(rank->keys & ATLED_KEY_OPAQUE)) {
    const Tensor least = to(amin(rank), none(), device_value(DLDevice{kDLCPU, 0}));
    full = *settled_data<int64_t>(least) == n;
  }
  if (full) residuals = sum(square(abs(sub(matmul_op(a, x), b))), ints_value(&rows, 1));
  set_out(f, 0, vectors ? squeeze_op(x, -1) : x);
  set_out(f, 1, residuals);
  set_out(f, 2, driver == "gels" ? nothing(ATLED_INT64) : rank);
  set_out(f, 3, driver == "gelsd" || driver == "gelss" ? values : nothing(real_dtype(x->dtype)));
}

int64_t product(const int64_t* shape, int n) {
  int64_t total = 1;
  for (int d = 0; d < n; ++d) total *= shape[d];
  return total;
}

Tensor reshaped(const Tensor& t, const std::vector<int64_t>& shape) {
  return reshape_op(t, ints_value(shape.data(), shape.size()));
}

void tensorinv(atled_frame* f) {
  Tensor a = Tensor::borrow(arg_tensor(f, 0));
  const int64_t ind = arg_int(f, 1);
  const int ndim = a->dl.ndim;
  const int64_t* shape = a->dl.shape;
  if (ind < 1 || ind > ndim) fail(ATLED_E_VALUE, "expected ind in [1, %d], got %lld", ndim, (long long)ind);
  const int k = static_cast<int>(ind);
  const int64_t rows = product(shape, k), columns = product(shape + k, ndim - k);
  if (rows != columns)
    fail(ATLED_E_SHAPE, "expected the products of A.shape[:ind] and A.shape[ind:] to be equal, got shape %s and ind=%d",
         shape_text(a).c_str(), k);
  std::vector<int64_t> flipped(shape + k, shape + ndim);
  flipped.insert(flipped.end(), shape, shape + k);
  set_out(f, 0, reshaped(inverse(value(reshaped(a, {rows, columns}))), flipped));
}

void tensorsolve(atled_frame* f) {
  static const Op movedim{"core::movedim"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0)), b = Tensor::borrow(arg_tensor(f, 1));
  if (!is_none(f->args[2])) {
    std::vector<int64_t> ends;
    for (uint32_t i = 0; i < f->args[2].n; ++i) ends.push_back(a->dl.ndim - static_cast<int64_t>(f->args[2].n) + i);
    a = movedim(a, f->args[2], ints_value(ends.data(), ends.size()));
  }
  if (b->dl.ndim > a->dl.ndim) fail_rows("A of at least B's dimensions", a, b);
  const std::vector<int64_t> shape(a->dl.shape + b->dl.ndim, a->dl.shape + a->dl.ndim);
  const int64_t rows = numel(b), columns = product(shape.data(), static_cast<int>(shape.size()));
  if (product(a->dl.shape, b->dl.ndim) != rows || columns != rows)
    fail_rows("A.shape == B.shape + a shape of as many elements", a, b);
  set_out(f, 0, reshaped(solution(value(reshaped(a, {rows, columns})), value(reshaped(b, {rows})), true), shape));
}

void define_solving() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE;
  define(
      {"linalg::solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor "
       "info)",
       "solve that does not raise: info (int32, for each of A's matrices) is 0, or which pivot, counted from 1, is "
       "zero.\n\n"
       "Where info is not 0, the result is of no use. With check_errors it raises as solve does.\n\n"
       ">>> at.linalg.solve_ex(at.tensor([[1.0, 1.0], [1.0, 1.0]]), at.ones(2)).info\n"
       "tensor(2, dtype=int32)",
       shape<solve_rule>});
  define({"linalg::solve(Tensor A, Tensor B, *, bool left=True) -> Tensor",
          "X with A X = B, or with left=False X A = B, by LU factorization.\n\n"
          "A (*, n, n), B (*, n, k), whose batch dimensions broadcast, or (*, n) or (n,): one vector each. float32, "
          "float64 or complex. LinAlgError, naming the matrix, where one is singular.\n\n"
          ">>> at.linalg.solve(at.tensor([[2.0, 0.0], [0.0, 4.0]]), at.ones(2))\ntensor([0.5000, 0.2500])",
          nullptr, composite});
  define({"linalg::inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)",
          "inv that does not raise: info (int32, for each matrix) is 0, or which pivot, counted from 1, is zero.\n\n"
          "Where info is not 0, the inverse is of no use. With check_errors it raises as inv does.\n\n"
          ">>> at.linalg.inv_ex(at.tensor([[[2.0]], [[0.0]]])).info\ntensor([0, 1], dtype=int32)",
          shape<inv_rule>});
  define(
      {"linalg::inv(Tensor A) -> Tensor",
       "The inverse of each matrix.\n\n"
       "A (*, n, n): float32, float64 or complex. LinAlgError, naming the matrix, where one is singular. To solve "
       "with it, solve is faster and more exact.\n\n"
       ">>> at.linalg.inv(at.tensor([[2.0, 0.0], [0.0, 4.0]]))\ntensor([[0.5000, 0.0000],\n        [0.0000, 0.2500]])",
       nullptr, composite});
  alias("linalg::inv", "core::inverse");
  define({"linalg::lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False) -> Tensor",
          "X with A X = B (A^H X = B with adjoint; X A = B, X A^H = B without left) from A's lu_factor.\n\n"
          "LU (*, n, n), pivots (*, n), B (*, n, k); batch dimensions broadcast. For several right-hand sides that "
          "come one after the other: A is factored once.\n\n"
          ">>> factors = at.linalg.lu_factor(at.tensor([[2.0, 0.0], [0.0, 4.0]]))\n"
          ">>> at.linalg.lu_solve(*factors, at.ones(2, 1)).tolist()\n[[0.5], [0.25]]",
          shape<lu_solve_rule>});
  define({"lu_solve(Tensor b, Tensor LU_data, Tensor LU_pivots) -> Tensor",
          "linalg.lu_solve under its older name, the right-hand sides first.\n\n"
          ">>> factors = at.linalg.lu_factor(at.tensor([[2.0, 0.0], [0.0, 4.0]]))\n"
          ">>> at.lu_solve(at.ones(2, 1), *factors).tolist()\n[[0.5], [0.25]]",
          nullptr, composite});
  define(
      {"linalg::solve_triangular(Tensor A, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> "
       "Tensor",
       "X with A X = B, or with left=False X A = B, for triangular A.\n\n"
       "A (*, n, n), of which only the upper (or lower) triangle is read, with unitriangular without its diagonal, "
       "which counts as 1; B (*, n, k). A zero on the diagonal gives infinities.\n\n"
       ">>> at.linalg.solve_triangular(at.eye(2) * 4, at.ones(2, 1), upper=True)\n"
       "tensor([[0.2500],\n        [0.2500]])",
       shape<solve_triangular_rule>});
  define(
      {"triangular_solve(Tensor b, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> "
       "(Tensor solution, Tensor cloned_coefficient)",
       "linalg.solve_triangular under its older name, the right-hand sides first, and a copy of A.\n\n"
       "transpose: solves with A^T instead.\n\n"
       ">>> at.triangular_solve(at.ones(2, 1), at.tensor([[4.0, 0.0], [0.0, 2.0]])).solution.tolist()\n"
       "[[0.25], [0.5]]",
       nullptr, composite});
  define({"cholesky_solve(Tensor B, Tensor L, bool upper=False) -> Tensor",
          "X with A X = B, where A = L L^H (upper: L^H L).\n\n"
          "B (*, n, k), L (*, n, n) as cholesky answers it; batch dimensions broadcast.\n\n"
          ">>> factor = at.linalg.cholesky(at.tensor([[4.0, 0.0], [0.0, 16.0]]))\n"
          ">>> at.cholesky_solve(at.ones(2, 1), factor).tolist()\n[[0.25], [0.0625]]",
          nullptr, composite});
  define({"cholesky_inverse(Tensor L, bool upper=False) -> Tensor",
          "The inverse of A = L L^H (upper: L^H L) from its factor.\n\n"
          "L (*, n, n) as cholesky answers it: float32, float64 or complex.\n\n"
          ">>> at.cholesky_inverse(at.tensor([[2.0, 0.0], [0.0, 4.0]]))\ntensor([[0.2500, 0.0000],\n"
          "        [0.0000, 0.0625]])",
          nullptr, composite});
  define(
      {"linalg::ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> Tensor",
       "X with A X = B from A's ldl_factor.\n\n"
       "LD (*, n, n), pivots (*, n), B (*, n, k); batch dimensions broadcast. hermitian: as it was for ldl_factor.\n\n"
       ">>> factors = at.linalg.ldl_factor(at.tensor([[2.0, 0.0], [0.0, -4.0]]))\n"
       ">>> at.linalg.ldl_solve(*factors, at.ones(2, 1)).tolist()\n[[0.5], [-0.25]]",
       shape<ldl_solve_rule>});
  define({"linalg::det(Tensor A) -> Tensor",
          "The determinant of each matrix.\n\n"
          "A (*, n, n): float32, float64 or complex. Returns (*), 1 where n is 0. It over- and underflows sooner than "
          "slogdet.\n\n"
          ">>> at.linalg.det(at.tensor([[2.0, 1.0], [0.0, 3.0]]))\ntensor(6.)",
          shape<det_rule>});
  alias("linalg::det", "core::det");
  define(
      {"linalg::slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)",
       "The determinant as sign * exp(logabsdet), which does not overflow; of singular matrices 0 and -inf, and where "
       "A has a NaN, NaN and NaN.\n\n"
       "A (*, n, n): float32, float64 or complex. sign has A's dtype (complex: of magnitude 1), logabsdet is real.\n\n"
       ">>> at.linalg.slogdet(at.tensor([[-1e30, 0.0], [0.0, 1e30]]))\n"
       "atled.core.slogdet_result(sign=tensor(-1.), logabsdet=tensor(138.1551))",
       shape<slogdet_rule>});
  alias("linalg::slogdet", "core::slogdet");
  define({"logdet(Tensor input) -> Tensor",
          "The logarithm of the determinant: -inf where it is 0, NaN where it is negative.\n\n"
          "input (*, n, n): float32, float64 or complex. Returns (*); linalg.slogdet tells the sign as well.\n\n"
          ">>> at.logdet(at.tensor([[2.0, 0.0], [0.0, 3.0]]))\ntensor(1.7918)",
          nullptr, composite});
  define(
      {"linalg::_lstsq(Tensor A, Tensor B, float? rcond, str driver) -> (Tensor solution, Tensor rank, Tensor "
       "singular_values)",
       "lstsq of matrices, its results whether the driver fills them or not.", shape<lstsq_rule>, ATLED_OP_PRIVATE});
  define(
      {"linalg::lstsq(Tensor A, Tensor B, float? rcond=None, *, str? driver=None) -> (Tensor solution, Tensor "
       "residuals, Tensor rank, Tensor singular_values)",
       "X that makes |A X - B| smallest, and of those the smallest X.\n\n"
       "A (*, m, n), B (*, m, k) or (*, m). driver: LAPACK's gelsy (the default: QR with pivots), gels (QR; A of full "
       "rank), gelsd or gelss (singular values). Those below rcond times the largest, eps * max(m, n) by default, "
       "count as zero. residuals are the squared norms of A X - B where m > n and A has full rank. What the driver "
       "does not compute is empty.\n\n"
       ">>> a = at.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])\n"
       ">>> at.linalg.lstsq(a, at.tensor([1.0, 3.0, 5.0])).solution.round(decimals=3)\n"
       "tensor([1., 2.])",
       nullptr, composite | ATLED_OP_FUNCTION});
  define({"linalg::tensorinv(Tensor A, int ind=2) -> Tensor",
          "The inverse of A as a map between tensors: tensordot(result, A, ind) is the identity.\n\n"
          "The product of A.shape[:ind] must be that of A.shape[ind:] (ShapeError); the result has the shape "
          "A.shape[ind:] + A.shape[:ind]. LinAlgError when there is none.\n\n"
          ">>> at.linalg.tensorinv(at.tensor([[2.0, 0.0], [0.0, 4.0]]), ind=1)\n"
          "tensor([[0.5000, 0.0000],\n        [0.0000, 0.2500]])",
          nullptr, composite});
  define(
      {"linalg::tensorsolve(Tensor A, Tensor B, int[]? dims=None) -> Tensor",
       "X with tensordot(A, X, X.ndim) = B; dims of A are moved to its end first.\n\n"
       "A's shape is B's and then X's, whose products must be equal (ShapeError). LinAlgError when A is singular.\n\n"
       ">>> a = at.diag(at.tensor([1.0, 2.0, 4.0, 8.0])).reshape(4, 2, 2)\n"
       ">>> at.linalg.tensorsolve(a, at.ones(4))\ntensor([[1.0000, 0.5000],\n"
       "        [0.2500, 0.1250]])",
       nullptr, composite});
}

ATLED_OPS(define_solving);

void add_composites() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("linalg::solve", kernel<solve>);
  any("linalg::inv", kernel<inv>);
  any("core::lu_solve", kernel<lu_solve>);
  any("core::triangular_solve", kernel<triangular_solve>);
  any("core::cholesky_solve", kernel<cholesky_solve>);
  any("core::cholesky_inverse", kernel<cholesky_inverse>);
  any("core::logdet", kernel<logdet>);
  any("linalg::lstsq", kernel<lstsq>);
  any("linalg::tensorinv", kernel<tensorinv>);
  any("linalg::tensorsolve", kernel<tensorsolve>);
}

ATLED_KERNELS(add_composites);

}  // namespace
}  // namespace atled::core
