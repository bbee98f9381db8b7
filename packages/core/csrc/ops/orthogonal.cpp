// Orthogonal factorizations: QR, and Householder reflectors as LAPACK stores them.
#include <algorithm>
#include <string>

#include "dispatch/register.h"
#include "ops/matrix_rules.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void qr_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_matrices(a, "A");
  const int dtype = lapack_dtype(a, "A");
  const std::string mode(f->args[1].u.str, f->args[1].n);
  const int64_t m = rows_of(a), n = columns_of(a), k = std::min(m, n);
  if (mode == "reduced" || mode == "complete") {
    const int64_t width = mode == "reduced" ? k : m;
    batch_spec(outs[0], dtype, a, 1, {width});
    batch_spec(outs[1], dtype, a, 2, {width, n});
  } else if (mode == "r") {
    set_spec(outs[0], dtype, {0});
    batch_spec(outs[1], dtype, a, 2, {k, n});
  } else {
    fail(ATLED_E_VALUE, "expected mode to be reduced, complete or r, got '%s'", mode.c_str());
  }
}

void geqrf_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  expect_matrices(a, "input");
  batch_spec(outs[0], lapack_dtype(a, "input"), a, 0, {});
  batch_spec(outs[1], a->dtype, a, 2, {std::min(rows_of(a), columns_of(a))});
}

// Reflectors (*, m, n) and their factors tau (*, k), k <= n <= m.
int reflectors_dtype(const atled_tensor* a, const atled_tensor* tau, const char* name) {
  expect_matrices(a, name);
  const int64_t m = rows_of(a), n = columns_of(a);
  bool fits = tau->dl.ndim == a->dl.ndim - 1 && n <= m && tau->dl.shape[tau->dl.ndim - 1] <= n;
  for (int d = 0; d < a->dl.ndim - 2 && fits; ++d) fits = tau->dl.shape[d] == a->dl.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected %s (*, m, n) and tau (*, k) with k <= n <= m, got shapes %s and %s", name,
         shape_text(a).c_str(), shape_text(tau).c_str());
  return lapack_dtype(a, name, tau, "tau");
}

void householder_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* a = arg_tensor(f, 0);
  batch_spec(outs[0], reflectors_dtype(a, arg_tensor(f, 1), "A"), a, 0, {});
}

void ormqr_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *a = arg_tensor(f, 0), *other = arg_tensor(f, 2);
  const int dtype = promote(reflectors_dtype(a, arg_tensor(f, 1), "input"), lapack_dtype(other, "other"));
  expect_matrices(other, "other");
  const bool left = arg_bool(f, 3);
  bool fits = other->dl.ndim == a->dl.ndim && rows_of(a) == (left ? rows_of(other) : columns_of(other));
  for (int d = 0; d < a->dl.ndim - 2 && fits; ++d) fits = other->dl.shape[d] == a->dl.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected other of input's batch dimensions with input.shape[-2] %s, got shapes %s and %s",
         left ? "rows" : "columns", shape_text(a).c_str(), shape_text(other).c_str());
  batch_spec(outs[0], dtype, other, 0, {});
}

// qr(input, some) -> (Q, R)
void qr(atled_frame* f) {
  static const Op op{"linalg::qr"};
  atled_value mode = none();
  mode.tag = ATLED_STRING;
  mode.u.str = arg_bool(f, 1) ? "reduced" : "complete";
  mode.n = static_cast<uint32_t>(std::char_traits<char>::length(mode.u.str));
  op.run(0, f->outs, {f->args[0], mode});
}

void define_orthogonal() {
  define(
      {"linalg::qr(Tensor A, str mode=\"reduced\") -> (Tensor Q, Tensor R)",
       "A = Q R with orthonormal columns in Q and an upper triangle R, whose diagonal may have any signs.\n\n"
       "A (*, m, n): float32, float64 or complex. mode: \"reduced\" gives Q (*, m, k) and R (*, k, n) with k = min(m, "
       "n), \"complete\" Q (*, m, m) and R (*, m, n), \"r\" R alone and an empty Q.\n\n"
       ">>> at.linalg.qr(at.tensor([[3.0], [4.0]])).R.abs()\ntensor([[5.]])",
       shape<qr_rule>});
  define({"qr(Tensor input, bool some=True) -> (Tensor Q, Tensor R)",
          "linalg.qr under its older name: reduced, or complete without some.\n\n"
          ">>> at.qr(at.tensor([[1.0], [1.0]])).R.abs()\ntensor([[1.4142]])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"geqrf(Tensor input) -> (Tensor a, Tensor tau)",
          "QR in LAPACK's compact form: R above, Householder's vectors below the diagonal, and their factors.\n\n"
          "input (*, m, n): float32, float64 or complex. Returns a of its shape and tau (*, min(m, n)), for "
          "householder_product and ormqr.\n\n"
          ">>> at.geqrf(at.tensor([[1.0], [1.0]])).a[0].abs()\ntensor([1.4142])",
          shape<geqrf_rule>});
  define({"linalg::householder_product(Tensor A, Tensor tau) -> Tensor",
          "The first n columns of the product of the reflections I - tau_i v_i v_i^H, v_i below A's diagonal.\n\n"
          "A (*, m, n), tau (*, k), k <= n <= m, as geqrf answers them: the product is then Q.\n\n"
          ">>> q = at.linalg.householder_product(*at.geqrf(at.tensor([[1.0], [1.0]])))\n>>> q.abs()\n"
          "tensor([[0.7071],\n        [0.7071]])",
          shape<householder_rule>});
  alias("linalg::householder_product", "core::orgqr");
  define({"ormqr(Tensor input, Tensor tau, Tensor other, bool left=True, bool transpose=False) -> Tensor",
          "Q other, or other Q without left, where Q (m x m) is the product of the reflections; with transpose, of "
          "Q^H.\n\n"
          "input (*, m, n) and tau (*, k) as geqrf answers them.\n\n"
          ">>> a = at.tensor([[1.0], [1.0]])\n>>> at.ormqr(*at.geqrf(a), a, transpose=True)[0].abs()\n"
          "tensor([1.4142])",
          shape<ormqr_rule>});
}

ATLED_OPS(define_orthogonal);

void add_composites() { add_kernel("core::qr", ATLED_DEVICE_ANY, kernel<qr>); }

ATLED_KERNELS(add_composites);

}  // namespace
}  // namespace atled::core
