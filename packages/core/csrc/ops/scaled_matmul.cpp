// The product of two matrices of float8 that were divided by scales.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void expect_matrix(const atled_frame* f, int i) {
  const atled_tensor* t = arg_tensor(f, i);
  const char* name = f->op->args[i].name;
  if (t->dl.ndim != 2) fail(ATLED_E_SHAPE, "expected %s of 2 dimensions, got shape %s", name, shape_text(t).c_str());
  if (!is_float8(t->dtype))
    fail(ATLED_E_DTYPE, "expected %s to be float8_e4m3fn or float8_e5m2, got %s; for other dtypes there is mm", name,
         dtype_name(t->dtype));
}

// One number, or one for each row of mat_a, (m, 1), or column of mat_b, (1, n).
void expect_scale(const atled_frame* f, int i, int64_t rows, int64_t columns) {
  const atled_tensor* t = arg_tensor(f, i);
  const char* name = f->op->args[i].name;
  if (t->dtype != ATLED_FLOAT32) fail(ATLED_E_DTYPE, "expected %s of float32, got %s", name, dtype_name(t->dtype));
  const int64_t shape[2] = {rows, columns};
  if (numel(t) == 1 || (t->dl.ndim == 2 && t->dl.shape[0] == rows && t->dl.shape[1] == columns)) return;
  fail(ATLED_E_SHAPE, "expected %s to be one number for the whole matrix, or of shape %s, got shape %s", name,
       shape_text(2, shape).c_str(), shape_text(t).c_str());
}

void scaled_rule(const atled_frame* f, atled_spec* outs) {
  for (int i = 0; i < 2; ++i) expect_matrix(f, i);
  const atled_tensor *a = arg_tensor(f, 0), *b = arg_tensor(f, 1);
  expect_scale(f, 2, a->dl.shape[0], 1);
  expect_scale(f, 3, 1, b->dl.shape[1]);
  if (a->dl.shape[1] != b->dl.shape[0])
    fail(ATLED_E_SHAPE, "expected mat_a.shape[1] == mat_b.shape[0], got %s and %s", shape_text(a).c_str(),
         shape_text(b).c_str());
  if (a->dtype == ATLED_FLOAT8_E5M2 && b->dtype == ATLED_FLOAT8_E5M2)
    fail(ATLED_E_DTYPE, "expected at most one factor of float8_e5m2, got two; make one float8_e4m3fn");
  const int dtype = arg_is_none(f, 5) ? ATLED_BFLOAT16 : static_cast<int>(f->args[5].u.i);
  if (dtype != ATLED_BFLOAT16 && dtype != ATLED_FLOAT16 && dtype != ATLED_FLOAT32)
    fail(ATLED_E_DTYPE, "expected out_dtype to be bfloat16, float16 or float32, got %s", dtype_name(dtype));
  set_spec(outs[0], dtype, {a->dl.shape[0], b->dl.shape[1]});
  if (arg_is_none(f, 4)) return;
  const atled_tensor* bias = arg_tensor(f, 4);
  if (bias->dl.ndim != 1 || bias->dl.shape[0] != b->dl.shape[1])
    fail(ATLED_E_SHAPE, "expected bias of shape (%lld,), got %s", static_cast<long long>(b->dl.shape[1]),
         shape_text(bias).c_str());
  if (bias->dtype != dtype)
    fail(ATLED_E_DTYPE, "expected bias of the result's dtype %s, got %s", dtype_name(dtype), dtype_name(bias->dtype));
}

void define_scaled_matmul() {
  define(
      {"scaled_mm(Tensor mat_a, Tensor mat_b, Tensor scale_a, Tensor scale_b, Tensor? bias=None, dtype? "
       "out_dtype=None) -> Tensor",
       "The product of two matrices of float8 that were divided by scales: scale_a * scale_b * (mat_a @ mat_b) + bias, "
       "summed in float32.\n\n"
       "mat_a (m, k), mat_b (k, n): float8_e4m3fn, or one of them float8_e5m2; scale_a: one number of float32, or (m, "
       "1), "
       "one for each row; scale_b: one number, or (1, n), one for each column; bias (n,): the result's dtype; "
       "out_dtype: "
       "bfloat16 (None), float16 or float32. Returns (m, n).\n\n"
       ">>> a = at.ones(2, 3).to(at.float8_e4m3fn)\n"
       ">>> at.scaled_mm(a, a.t(), at.tensor(2.0), at.tensor(0.5))\n"
       "tensor([[3., 3.],\n        [3., 3.]], dtype=bfloat16)",
       shape<scaled_rule>, ATLED_OP_FUNCTION | ATLED_OP_FLOAT8});
}
ATLED_OPS(define_scaled_matmul);

}  // namespace
}  // namespace atled::core
