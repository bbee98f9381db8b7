// Norms, powers, exponentials and products of matrices, made of other ops; for every device.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/matrix_rules.h"
#include "ops/rules.h"
#include "ops/settled.h"
#include "ops/standard.h"

namespace atled::core {
namespace {

const Op norm_op{"core::norm"};
const Op abs_op{"core::abs"};
const Op sum_op{"core::sum"};
const Op amax_op{"core::amax"};
const Op amin_op{"core::amin"};
const Op movedim_op{"core::movedim"};
const Op unsqueeze_op{"core::unsqueeze"};
const Op matmul_op{"core::matmul"};
const Op add_op{"core::add"};
const Op sub_op{"core::sub"};
const Op mul_op{"core::mul"};
const Op div_op{"core::div"};
const Op to_op{"core::to"};
const Op reshape_op{"core::reshape"};
const Op svdvals_op{"linalg::svdvals"};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor cast(const Tensor& t, const atled_value& dtype) { return is_none(dtype) ? t : to_op(t, dtype); }

std::string text_of(const atled_value& v) {
  return v.tag == ATLED_STRING ? std::string(v.u.str, v.n) : std::to_string(as_double(v));
}

Tensor unit_like(const Tensor& a) {
  static const Op eye{"core::eye"};
  return eye(rows_of(a), none(), 0, dtype_value(a->dtype), device_value(a->dl.device));
}

// ---- norms ----

// vector_norm(x, ord, dim, keepdim, dtype)
void vector_norm(atled_frame* f) {
  static const Op flatten{"core::flatten"};
  Tensor x = cast(Tensor::borrow(arg_tensor(f, 0)), f->args[4]);
  if (x->dtype < ATLED_FLOAT16)
    fail(ATLED_E_DTYPE, "expected x to be floating or complex, got %s", dtype_name(x->dtype));
  set_out(f, 0, norm_op(x, f->args[1], f->args[2], f->args[3]));
}

// Over the last dimension of what is not negative: the largest, which is 0 of none, or for p < 0 the smallest.
Tensor extreme(const Tensor& values, double p) {
  const int64_t last = -1;
  const bool empty = values->dl.shape[values->dl.ndim - 1] == 0;
  return (p < 0 ? amin_op : empty ? sum_op : amax_op)(values, ints_value(&last, 1));
}

// Over the last two dimensions, without keeping them.
Tensor norm_of_last(const Tensor& a, const atled_value& ord) {
  const int64_t both[2] = {-2, -1}, last = -1;
  const std::string name = ord.tag == ATLED_STRING ? text_of(ord) : "";
  if (name == "fro") return norm_op(a, 2, ints_value(both, 2));
  if (name == "nuc") return sum_op(svdvals_op(a), ints_value(&last, 1));
  const double p = name.empty() ? as_double(ord) : 0;
  if (std::abs(p) == 2) return extreme(svdvals_op(a), p);
  if (std::abs(p) != 1 && std::abs(p) != kInfinity)
    fail(ATLED_E_VALUE, "expected ord to be 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2, got %s", text_of(ord).c_str());
  const int64_t summed = std::abs(p) == 1 ? -2 : -1;
  return extreme(sum_op(abs_op(a), ints_value(&summed, 1)), p);
}

Tensor norm_of_matrices(Tensor a, const atled_value& ord, const atled_value& dims, bool keepdim,
                        const atled_value& dtype) {
  a = cast(a, dtype);
  expect_matrices(a, "A");
  if (a->dtype < ATLED_FLOAT16)
    fail(ATLED_E_DTYPE, "expected A to be floating or complex, got %s", dtype_name(a->dtype));
  if (dims.n != 2) fail(ATLED_E_VALUE, "expected dim to be two dimensions, got %u", dims.n);
  int places[2];
  unique_dims(dims, a->dl.ndim, places, "dim");
  const int64_t ends[2] = {-2, -1};
  Tensor result = norm_of_last(movedim_op(a, dims, ints_value(ends, 2)), ord);
  if (!keepdim) return result;
  std::sort(places, places + 2);
  return unsqueeze_op(unsqueeze_op(result, places[0]), places[1]);
}

// matrix_norm(A, ord, dim, keepdim, dtype)
void matrix_norm(atled_frame* f) {
  set_out(f, 0, norm_of_matrices(Tensor::borrow(arg_tensor(f, 0)), f->args[1], f->args[2], arg_bool(f, 3), f->args[4]));
}

// norm(A, ord, dim, keepdim, dtype): of vectors or matrices, as dim has one or two entries or ord is given without it.
void norm(atled_frame* f) {
  static const Op vector{"linalg::vector_norm"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0));
  const atled_value &ord = f->args[1], &dim = f->args[2];
  const bool named = ord.tag == ATLED_STRING;
  if (is_none(dim) && !is_none(ord) && a->dl.ndim != 1 && a->dl.ndim != 2)
    fail(ATLED_E_SHAPE, "expected A of one or two dimensions where ord is given and dim is not, got shape %s",
         shape_text(a).c_str());
  const bool matrices = !is_none(ord) && (is_none(dim) ? a->dl.ndim == 2 : dim.n == 2);
  if (matrices || named) {
    const int64_t both[2] = {-2, -1};
    return set_out(f, 0,
                   norm_of_matrices(a, ord, is_none(dim) ? ints_value(both, 2) : dim, arg_bool(f, 3), f->args[4]));
  }
  set_out(f, 0, vector(a, is_none(ord) ? value(2) : ord, dim, f->args[3], f->args[4]));
}

// cond(A, p)
void cond(atled_frame* f) {
  static const Op narrow{"core::narrow"}, squeeze{"core::squeeze"}, inv_op{"linalg::inv_ex"}, where{"core::where"},
      eq{"core::eq"}, full_like{"core::full_like"}, zeros{"core::zeros"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0));
  expect_matrices(a, "A");
  lapack_dtype(a, "A");
  const atled_value& p = f->args[1];
  const bool spectral = is_none(p) || (p.tag != ATLED_STRING && std::abs(as_double(p)) == 2);
  if (!spectral) expect_square(a, "A");
  if (rows_of(a) == 0 || columns_of(a) == 0) {
    atled_spec spec;
    batch_spec(spec, real_dtype(a->dtype), a, 2, {});
    return set_out(f, 0,
                   zeros(ints_value(spec.shape, static_cast<size_t>(spec.ndim)), dtype_value(spec.dtype),
                         device_value(a->dl.device)));
  }
  if (spectral) {
    const Tensor s = svdvals_op(a);
    const int64_t last = columns_of(s) - 1;
    Tensor largest = squeeze(narrow(s, -1, 0, 1), -1), least = squeeze(narrow(s, -1, last, 1), -1);
    const bool inverted = !is_none(p) && as_double(p) < 0;
    return set_out(f, 0, inverted ? div_op(least, largest) : div_op(largest, least));
  }
  atled_value outs[2] = {none(), none()};
  inv_op.run(0, outs, {value(a)});
  const Tensor inverse = Tensor::steal(outs[0].u.tensor), info = Tensor::steal(outs[1].u.tensor);
  const Tensor product =
      mul_op(norm_of_last(a, p), norm_of_last(where(eq(unsqueeze_op(unsqueeze_op(info, -1), -1), 0), inverse, 0), p));
  set_out(f, 0, where(eq(info, 0), product, full_like(product, kInfinity)));
}

// ---- powers and the exponential ----

void matrix_power(atled_frame* f) {
  static const Op inv{"linalg::inv"}, expand{"core::expand"}, clone{"core::clone"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0));
  expect_square(a, "A");
  int64_t n = arg_int(f, 1);
  if (n == 0) return set_out(f, 0, clone(expand(unit_like(a), ints_value(a->dl.shape, size_t(a->dl.ndim)))));
  Tensor square = n < 0 ? inv(a) : a, result;
  for (uint64_t left = n < 0 ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n);;
       square = matmul_op(square, square)) {
    if (left & 1) result = result ? matmul_op(result, square) : square;
    if ((left >>= 1) == 0) break;
  }
  set_out(f, 0, result->dl.data == a->dl.data ? clone(result) : result);
}

// The [m/m] Pade approximant of exp, from its even and odd parts (Higham 2005, table 2.3 and equations 2.9 to 2.11).
constexpr double kPade3[] = {120, 60, 12, 1};
constexpr double kPade5[] = {30240, 15120, 3360, 420, 30, 1};
constexpr double kPade7[] = {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1};
constexpr double kPade9[] = {17643225600., 8821612800., 2075673600, 302702400, 30270240, 2162160, 110880, 3960, 90, 1};
constexpr double kPade13[] = {64764752532480000.,
                              32382376266240000.,
                              7771770303897600.,
                              1187353796428800.,
                              129060195264000.,
                              10559470521600.,
                              670442572800.,
                              33522128640.,
                              1323241920,
                              40840800,
                              960960,
                              16380,
                              182,
                              1};

struct Approximant {
  const double* b;
  int degree;
  double bound;  // of the 1-norm: up to it the approximant is exact to rounding
};
constexpr Approximant kDouble[] = {{kPade3, 3, 1.495585217958292e-2},
                                   {kPade5, 5, 2.539398330063230e-1},
                                   {kPade7, 7, 9.504178996162932e-1},
                                   {kPade9, 9, 2.097847961257068},
                                   {kPade13, 13, 5.371920351148152}};
// Bounds for single precision: Higham's code expm for floats.
constexpr Approximant kSingle[] = {
    {kPade3, 3, 4.258730016922831e-1}, {kPade5, 5, 1.880152677804762}, {kPade7, 7, 3.925724783138660}};

// The sum of b[first + 2 k] powers[k + skipped].
Tensor combined(const std::vector<Tensor>& powers, const double* b, size_t skipped = 0) {
  Tensor sum;
  for (size_t k = skipped; k < powers.size(); ++k) {
    const Tensor term = mul_op(powers[k], b[2 * (k - skipped)]);
    sum = sum ? add_op(sum, term) : term;
  }
  return sum;
}

Tensor exponential(const Tensor& a, const Approximant& pade) {
  static const Op solve{"linalg::solve_ex"};
  const Tensor square = matmul_op(a, a);
  std::vector<Tensor> powers = {unit_like(a)};  // 1, A^2, A^4, ...
  for (int k = 2; k < std::min(pade.degree, 8); k += 2)
    powers.push_back(k == 2 ? square : matmul_op(powers.back(), square));
  if (pade.degree == 9) powers.push_back(matmul_op(powers.back(), square));
  Tensor odd = combined(powers, pade.b + 1), even = combined(powers, pade.b);
  if (pade.degree == 13) {
    // What is above A^6 has it as a factor.
    odd = add_op(matmul_op(powers[3], combined(powers, pade.b + 9, 1)), odd);
    even = add_op(matmul_op(powers[3], combined(powers, pade.b + 8, 1)), even);
  }
  odd = matmul_op(a, odd);
  atled_value outs[2] = {none(), none()};
  solve.run(0, outs, {value(sub_op(even, odd)), value(add_op(even, odd))});
  const Tensor info = Tensor::steal(outs[1].u.tensor);
  return Tensor::steal(outs[0].u.tensor);
}

// Scaling and squaring; the matrix of largest norm says how, for all of a batch.
void matrix_exp(atled_frame* f) {
  static const Op copy{"core::copy_"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0)), result;
  const int64_t rows = -2;
  double largest = 0;
  if (numel(a) > 0) {
    const Tensor norms = amax_op(sum_op(abs_op(a), ints_value(&rows, 1)));
    const Tensor here = to_op(norms, dtype_value(ATLED_FLOAT64), device_value(DLDevice{kDLCPU, 0}));
    largest = *settled_data<double>(here);
  }
  const bool single = real_dtype(a->dtype) == ATLED_FLOAT32;
  const Approximant *first = single ? kSingle : kDouble, *last = single ? kSingle + 2 : kDouble + 4;
  const Approximant* pade = std::find_if(first, last, [&](const Approximant& p) { return largest <= p.bound; });
  int squarings = 0;
  if (largest > pade->bound && std::isfinite(largest))
    squarings = std::max(0, static_cast<int>(std::ceil(std::log2(largest / pade->bound))));
  result = exponential(squarings ? mul_op(a, std::ldexp(1.0, -squarings)) : a, *pade);
  for (int i = 0; i < squarings; ++i) result = matmul_op(result, result);
  atled_value copied = none();
  copy.run(0, &copied, {f->outs[0], value(result)});
  api.release(copied.u.tensor);
}

void square_rule(const atled_frame* f, atled_spec* outs) {
  expect_square(arg_tensor(f, 0), "A");
  batch_spec(outs[0], lapack_dtype(arg_tensor(f, 0), "A"), arg_tensor(f, 0), 0, {});
}

// ---- products ----

// The cheapest order of a chain of products (Cormen et al., Introduction to Algorithms, section 15.2).
struct Chain {
  std::vector<Tensor> matrices;
  std::vector<std::vector<size_t>> cut;

  explicit Chain(std::vector<Tensor> given) : matrices(std::move(given)) {
    const size_t n = matrices.size();
    std::vector<double> sizes = {static_cast<double>(rows_of(matrices[0]))};
    for (const Tensor& m : matrices) sizes.push_back(static_cast<double>(columns_of(m)));
    std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0));
    cut.assign(n, std::vector<size_t>(n, 0));
    for (size_t length = 1; length < n; ++length)
      for (size_t i = 0; i + length < n; ++i) {
        const size_t j = i + length;
        cost[i][j] = kInfinity;
        for (size_t k = i; k < j; ++k) {
          const double total = cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1];
          if (total >= cost[i][j]) continue;
          cost[i][j] = total;
          cut[i][j] = k;
        }
      }
  }
  Tensor product(size_t i, size_t j) const {
    return i == j ? matrices[i] : matmul_op(product(i, cut[i][j]), product(cut[i][j] + 1, j));
  }
};

std::vector<Tensor> listed(const atled_value& tensors) {
  std::vector<Tensor> all;
  for (uint32_t i = 0; i < tensors.n; ++i) all.push_back(Tensor::borrow(tensors.u.tensors[i]));
  return all;
}

void multi_dot(atled_frame* f) {
  static const Op squeeze{"core::squeeze"};
  std::vector<Tensor> all = listed(f->args[0]);
  const size_t n = all.size();
  if (n < 2) fail(ATLED_E_ARGUMENT, "expected at least two tensors, got %zu", n);
  const bool row = all[0]->dl.ndim == 1, column = all[n - 1]->dl.ndim == 1;
  if (row) all[0] = unsqueeze_op(all[0], 0);
  if (column) all[n - 1] = unsqueeze_op(all[n - 1], 1);
  for (size_t i = 0; i < n; ++i) {
    if (all[i]->dl.ndim != 2)
      fail(ATLED_E_SHAPE, "expected matrices (or vectors, at the ends), got shape %s at %zu",
           shape_text(all[i]).c_str(), i);
    if (i > 0 && columns_of(all[i - 1]) != rows_of(all[i]))
      fail(ATLED_E_SHAPE, "expected tensors[%zu].shape[-1] == tensors[%zu].shape[-2], got %s and %s", i - 1, i,
           shape_text(all[i - 1]).c_str(), shape_text(all[i]).c_str());
  }
  Tensor result = Chain(std::move(all)).product(0, n - 1);
  if (column) result = squeeze(result, -1);
  set_out(f, 0, row ? squeeze(result, 0) : result);
}

void chain_matmul(atled_frame* f) {
  static const Op clone{"core::clone"};
  if (f->args[0].n == 0) fail(ATLED_E_ARGUMENT, "expected at least one matrix, got none");
  if (f->args[0].n == 1) return set_out(f, 0, clone(f->args[0].u.tensors[0]));
  multi_dot(f);
}

// ---- small things ----

// cross(input, other, dim)
Tensor cross_over(Tensor a, Tensor b, int64_t dim) {
  static const Op roll{"core::roll"};
  const int64_t one = 1, two = 2;
  const atled_value along = ints_value(&dim, 1);
  auto turned = [&](const Tensor& t, const int64_t& by) { return roll(t, ints_value(&by, 1), along); };
  // (a x b)_i = a_{i+1} b_{i+2} - a_{i+2} b_{i+1}
  return sub_op(mul_op(turned(a, two), turned(b, one)), mul_op(turned(a, one), turned(b, two)));
}

void expect_three(const Tensor& a, const Tensor& b, int64_t dim) {
  for (const Tensor& t : {a, b}) {
    const int d = wrap_dim(dim, t->dl.ndim);
    if (t->dl.ndim == 0 || t->dl.shape[d] != 3)
      fail(ATLED_E_SHAPE, "expected size 3 in dim %lld, got shapes %s and %s", (long long)dim, shape_text(a).c_str(),
           shape_text(b).c_str());
  }
}

void cross(atled_frame* f) {
  static const Op broadcast{"core::broadcast_tensors"};
  Tensor a = Tensor::borrow(arg_tensor(f, 0)), b = Tensor::borrow(arg_tensor(f, 1));
  if (a->dl.ndim != b->dl.ndim && arg_int(f, 2) >= 0)
    fail(ATLED_E_SHAPE, "expected as many dimensions of input as of other, or a negative dim, got shapes %s and %s",
         shape_text(a).c_str(), shape_text(b).c_str());
  expect_three(a, b, arg_int(f, 2));
  set_out(f, 0, cross_over(a, b, arg_int(f, 2)));
}

// Rows (1, x, x^2, ...) for each x: running products of 1, x, x, ...
Tensor powers_of(const Tensor& x, const atled_value& count) {
  static const Op ones{"core::new_ones"}, expand{"core::expand"}, cat{"core::cat"}, cumprod{"core::cumprod"},
      narrow{"core::narrow"};
  const int ndim = x->dl.ndim;
  const int64_t n = is_none(count) ? x->dl.shape[ndim - 1] : as_int(count);
  if (n < 0) fail(ATLED_E_VALUE, "expected N >= 0, got %lld", (long long)n);
  int64_t shape[ATLED_MAX_NDIM + 1];
  std::copy(x->dl.shape, x->dl.shape + ndim, shape);
  shape[ndim] = 1;
  const atled_value sizes = ints_value(shape, static_cast<size_t>(ndim) + 1);
  const Tensor first = ones(x, sizes);
  shape[ndim] = std::max<int64_t>(n - 1, 0);
  const Tensor others = expand(unsqueeze_op(x, -1), sizes);
  atled_tensor* parts[2] = {first, others};
  return narrow(cumprod(cat(tensors_value(parts, 2), -1), -1), -1, 0, n);
}

void vander(atled_frame* f) {
  Tensor x = Tensor::borrow(arg_tensor(f, 0));
  if (x->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected x of at least one dimension, got a 0-d tensor");
  set_out(f, 0, powers_of(x, f->args[1]));
}

void diagonal(atled_frame* f) {
  static const Op op{"core::diagonal"};
  set_out(f, 0, op(f->args[0], f->args[1], f->args[2], f->args[3]));
}

void trace(atled_frame* f) {
  static const Op op{"core::diagonal"};
  expect_matrices(arg_tensor(f, 0), "x");
  const int64_t last = -1;
  const atled_value dtype = standard_sum_dtype(arg_tensor(f, 0)->dtype, f->args[2]);
  set_out(f, 0, sum_op(op(f->args[0], f->args[1], -2, -1), ints_value(&last, 1), false, dtype));
}

void define_matrix_functions() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE, function = ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION;
  define(
      {"linalg::vector_norm(Tensor x, Scalar ord=2, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> "
       "Tensor",
       "sum(|x|^ord)^(1/ord) over dim, or over all elements; ord may be inf, -inf or 0 (how many are not 0).\n\n"
       "x: floating or complex; computed in dtype where it is given. Returns real numbers.\n\n"
       ">>> at.linalg.vector_norm(at.tensor([3.0, -4.0]))\ntensor(5.)\n"
       ">>> at.linalg.vector_norm(at.tensor([3.0, -4.0]), float(\"inf\"))\ntensor(4.)",
       nullptr, composite});
  define(
      {"linalg::matrix_norm(Tensor A, Scalar|str ord=\"fro\", int[] dim=[-2, -1], bool keepdim=False, *, dtype? "
       "dtype=None) -> Tensor",
       "The norm of each matrix over two dimensions.\n\n"
       "ord: \"fro\" (the root of the sum of squares), \"nuc\" (the sum of singular values), 2 and -2 (the largest and "
       "smallest of them), 1 and -1 (of the sums of columns), inf and -inf (of the sums of rows); of none, the largest "
       "is 0 and the smallest a ShapeError. A: floating or complex.\n\n"
       ">>> at.linalg.matrix_norm(at.tensor([[3.0, 0.0], [0.0, 4.0]]))\ntensor(5.)\n"
       ">>> at.linalg.matrix_norm(at.tensor([[3.0, 0.0], [0.0, 4.0]]), 1)\ntensor(4.)",
       nullptr, composite});
  define(
      {"linalg::norm(Tensor A, Scalar|str? ord=None, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> "
       "Tensor",
       "vector_norm of all elements, or over one dim; matrix_norm where ord is given for two dims or a matrix.\n\n"
       "A: floating or complex, else DTypeError. ord: as for vector_norm and matrix_norm.\n\n"
       ">>> at.linalg.norm(at.tensor([[3.0, 4.0], [0.0, 0.0]])), at.linalg.norm(at.tensor([[3.0, 4.0], [0.0, 0.0]]), "
       "1)\n"
       "(tensor(5.), tensor(4.))",
       nullptr, composite});
  define({"linalg::cond(Tensor A, Scalar|str? p=None) -> Tensor",
          "The condition number of each matrix: norm(A, p) * norm(inv(A), p), inf for singular ones.\n\n"
          "p: as matrix_norm's ord; None and 2 give the ratio of the largest to the smallest singular value (A may "
          "then be any matrix), -2 its inverse. ShapeError for another p where A is not square.\n\n"
          ">>> at.linalg.cond(at.tensor([[2.0, 0.0], [0.0, 0.5]]), 1)\ntensor(4.)",
          nullptr, composite});
  define({"linalg::matrix_power(Tensor A, int n) -> Tensor",
          "The n-th power of square matrices; of the inverse where n is negative, the identity where it is 0.\n\n"
          "A (*, n, n): any numbers, for n < 0 float32, float64 or complex. LinAlgError where an inverse is asked for "
          "and there is none.\n\n"
          ">>> at.linalg.matrix_power(at.tensor([[1, 1], [0, 1]]), 3)\ntensor([[1, 3],\n"
          "        [0, 1]])",
          nullptr, composite});
  alias("linalg::matrix_power", "core::matrix_power");
  define({"linalg::matrix_exp(Tensor A) -> Tensor",
          "The exponential of square matrices, the sum of A^k / k!.\n\n"
          "A (*, n, n): float32, float64 or complex. By scaling, a Pade approximant and squaring (Higham 2005, The "
          "scaling and squaring method for the matrix exponential revisited).\n\n"
          ">>> at.linalg.matrix_exp(at.tensor([[0.0, 1.0], [0.0, 0.0]]))\ntensor([[1., 1.],\n"
          "        [0., 1.]])",
          shape<square_rule>});
  alias("linalg::matrix_exp", "core::matrix_exp");
  define({"linalg::multi_dot(Tensor[] tensors) -> Tensor",
          "The product of a chain of matrices, in the order that takes the fewest operations.\n\n"
          "tensors: at least two (ArgumentError), 2-d; the first and the last may be vectors, without that dimension "
          "in the result.\n\n"
          ">>> a, b = at.tensor([1, 2]), at.tensor([[1, 1], [0, 1]])\n"
          ">>> at.linalg.multi_dot([a, b, b])\ntensor([1, 4])",
          nullptr, function});
  define({"chain_matmul(Tensor[*] matrices) -> Tensor",
          "linalg.multi_dot of one or more matrices.\n\n"
          ">>> at.chain_matmul(at.tensor([[1, 2]]), at.tensor([[1, 1], [0, 1]]), at.tensor([[1], [1]]))\n"
          "tensor([[4]])",
          nullptr, function});
  define({"linalg::cross(Tensor input, Tensor other, *, int dim=-1) -> Tensor",
          "The cross products of vectors of 3 along dim; the rest broadcasts.\n\n"
          "input, other: any dtypes, which promote; ShapeError where dim has another size.\n\n"
          ">>> at.linalg.cross(at.tensor([1, 0, 0]), at.tensor([[0, 1, 0], [0, 0, 1]]))\n"
          "tensor([[ 0,  0,  1],\n        [ 0, -1,  0]])",
          nullptr, composite});
  define({"linalg::vander(Tensor x, int? N=None) -> Tensor",
          "Matrices with rows (1, x, x^2, ..., x^(N-1)).\n\nx (*, n); N is n by default.\n\n"
          ">>> at.linalg.vander(at.tensor([2, 3]), 3)\ntensor([[1, 2, 4],\n        [1, 3, 9]])",
          nullptr, composite});
  define({"linalg::diagonal(Tensor A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor",
          "The diagonals of matrices as a new last dimension: a view.\n\n"
          "A (*, m, n): any dtype; offset > 0 is above, < 0 below the main diagonal. As core's diagonal, but of the "
          "last two dimensions unless given.\n\n"
          ">>> at.linalg.diagonal(at.tensor([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]))\ntensor([[1, 4],\n"
          "        [5, 8]])",
          nullptr, composite | ATLED_OP_VIEW});
  define({"linalg::trace(Tensor x, *, int offset=0, dtype? dtype=None) -> Tensor",
          "The sums along the diagonals of matrices (*, m, n), of integers in int64 or, unsigned ones, in uint64.\n\n"
          "offset > 0 is above, < 0 below the main diagonal. Returns (*).\n\n"
          ">>> at.linalg.trace(at.tensor([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]))\ntensor([ 5, 13])",
          nullptr, composite});
}

ATLED_OPS(define_matrix_functions);

void add_matrix_functions() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("linalg::vector_norm", kernel<vector_norm>);
  any("linalg::matrix_norm", kernel<matrix_norm>);
  any("linalg::norm", kernel<norm>);
  any("linalg::cond", kernel<cond>);
  any("linalg::matrix_power", kernel<matrix_power>);
  any("linalg::matrix_exp", kernel<matrix_exp>);
  any("linalg::multi_dot", kernel<multi_dot>);
  any("core::chain_matmul", kernel<chain_matmul>);
  any("linalg::cross", kernel<cross>);
  any("linalg::vander", kernel<vander>);
  any("linalg::diagonal", kernel<diagonal>);
  any("linalg::trace", kernel<trace>);
}

ATLED_KERNELS(add_matrix_functions);

}  // namespace
}  // namespace atled::core
