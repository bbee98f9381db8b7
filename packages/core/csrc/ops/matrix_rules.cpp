#include "ops/matrix_rules.h"

#include "ops/rules.h"
#include "ops/settled.h"

namespace atled::core {

void expect_matrices(const atled_tensor* t, const char* name) {
  if (t->dl.ndim < 2)
    fail(ATLED_E_SHAPE, "expected %s of at least two dimensions, got shape %s", name, shape_text(t).c_str());
}

void expect_square(const atled_tensor* t, const char* name) {
  expect_matrices(t, name);
  if (rows_of(t) != columns_of(t))
    fail(ATLED_E_SHAPE, "expected %s to hold square matrices, got shape %s", name, shape_text(t).c_str());
}

int lapack_dtype(const atled_tensor* t, const char* name) {
  if (t->dtype < ATLED_FLOAT32)
    fail(ATLED_E_DTYPE,
         "expected %s to be float32, float64, complex64 or complex128, got %s; cast it with %s.to(float32)", name,
         dtype_name(t->dtype), name);
  return t->dtype;
}

int lapack_dtype(const atled_tensor* a, const char* a_name, const atled_tensor* b, const char* b_name) {
  return promote(lapack_dtype(a, a_name), lapack_dtype(b, b_name));
}

namespace {

void append(atled_spec& spec, std::initializer_list<int64_t> dims) {
  if (spec.ndim + static_cast<int>(dims.size()) > ATLED_MAX_NDIM)
    fail(ATLED_E_SHAPE, "expected at most %d dimensions", ATLED_MAX_NDIM);
  for (int64_t n : dims) spec.shape[spec.ndim++] = n;
}

}  // namespace

void batch_spec(atled_spec& spec, int dtype, const atled_tensor* t, int drop, std::initializer_list<int64_t> dims) {
  set_spec(spec, dtype, t->dl.ndim - drop, t->dl.shape);
  append(spec, dims);
}

void joined_spec(atled_spec& spec, int dtype, const atled_tensor* a, int a_own, const atled_tensor* b, int b_own,
                 std::initializer_list<int64_t> dims) {
  set_spec(spec, dtype, a->dl.ndim - a_own, a->dl.shape);
  int ndim = spec.ndim;
  if (!broadcast_into(spec.shape, ndim, b->dl.shape, b->dl.ndim - b_own))
    fail(ATLED_E_SHAPE, "expected batch dimensions that broadcast, got shapes %s and %s", shape_text(a).c_str(),
         shape_text(b).c_str());
  spec.ndim = ndim;
  append(spec, dims);
}

void joined_spec(atled_spec& spec, int dtype, const atled_tensor* a, const atled_tensor* b,
                 std::initializer_list<int64_t> dims) {
  joined_spec(spec, dtype, a, 2, b, 2, dims);
}

bool holds_vectors(const atled_tensor* a, const atled_tensor* b) {
  if (b->dl.ndim == 1) return true;
  if (b->dl.ndim != a->dl.ndim - 1) return false;
  for (int d = 0; d < b->dl.ndim; ++d)
    if (b->dl.shape[d] != a->dl.shape[d]) return false;
  return true;
}

void expect_success(const Tensor& info, const char* format) {
  static const Op to{"core::to"};
  if (info->dl.device.device_type == ATLED_DEVICE_META || info->keys & ATLED_KEY_OPAQUE) return;
  const Tensor here =
      info->dl.device.device_type == kDLCPU ? info : to(info, none(), device_value(DLDevice{kDLCPU, 0}));
  const int32_t* codes = settled_data<int32_t>(here);
  for (int64_t i = 0, n = numel(here); i < n; ++i) {
    if (codes[i] == 0) continue;
    char text[256];
    snprintf(text, sizeof text, format, static_cast<int>(codes[i]));
    if (info->dl.ndim == 0) fail(ATLED_E_LINALG, "%s", text);
    int64_t index[ATLED_MAX_NDIM], rest = i;
    for (int d = info->dl.ndim - 1; d >= 0; --d) {
      index[d] = rest % info->dl.shape[d];
      rest /= info->dl.shape[d];
    }
    fail(ATLED_E_LINALG, "%s at batch index %s", text, shape_text(info->dl.ndim, index).c_str());
  }
}

}  // namespace atled::core
