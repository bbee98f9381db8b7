#include "ops/rules.h"

#include <atomic>
#include <cstring>

namespace atled::core {

namespace {

enum Kind { kBool, kInt, kFloat, kComplex };

Kind kind_of(int dtype) {
  if (dtype == ATLED_BOOL) return kBool;
  if (dtype <= ATLED_INT64) return kInt;
  return is_complex(dtype) ? kComplex : kFloat;
}

Kind kind_of(const atled_value& scalar) {
  switch (scalar.tag) {
    case ATLED_BOOL_VALUE:
      return kBool;
    case ATLED_INT_VALUE:
      return kInt;
    case ATLED_FLOAT_VALUE:
      return kFloat;
    default:
      return kComplex;
  }
}

int signed_of_size(int bytes) {
  return bytes == 1 ? ATLED_INT8 : bytes == 2 ? ATLED_INT16 : bytes == 4 ? ATLED_INT32 : ATLED_INT64;
}

// -1 when the two have no common integer type.
int promote_integers(int a, int b) {
  if (is_signed(a) == is_signed(b)) return itemsize(a) >= itemsize(b) ? a : b;
  const int with_sign = is_signed(a) ? a : b, without = is_signed(a) ? b : a;
  if (itemsize(with_sign) > itemsize(without)) return with_sign;
  return itemsize(without) == 8 ? -1 : signed_of_size(2 * itemsize(without));
}

int promote_or_none(int a, int b) {
  if (a == b) return a;
  if (is_float8(a) || is_float8(b)) return -1;  // as in PyTorch
  const Kind ka = kind_of(a), kb = kind_of(b);
  if (ka != kb) {
    const int high = ka > kb ? a : b, low = ka > kb ? b : a;
    return high == ATLED_COMPLEX64 && low == ATLED_FLOAT64 ? ATLED_COMPLEX128 : high;
  }
  if (ka == kInt) return promote_integers(a, b);
  if (ka == kComplex) return ATLED_COMPLEX128;
  if (itemsize(a) == itemsize(b)) return ATLED_FLOAT32;  // float16 with bfloat16
  return itemsize(a) > itemsize(b) ? a : b;
}

bool is_operand(const atled_arg& arg) {
  if (arg.tag == ATLED_TENSOR || arg.flags & ATLED_ARG_SCALAR_TOO) return true;
  return !(arg.flags & ATLED_ARG_KEYWORD) && strncmp(arg.type, "Scalar", 6) == 0;
}

bool same_shape(const atled_tensor* t, const atled_spec& spec) {
  return t->dl.ndim == spec.ndim && memcmp(t->dl.shape, spec.shape, sizeof(int64_t) * spec.ndim) == 0;
}

// "input and other", "input, min and max"
std::string names_of(const atled_frame* frame, ArgSet args) {
  std::string text;
  const char* last = nullptr;
  for (uint32_t i = 0; i < frame->op->nargs; ++i) {
    if (!(args >> i & 1) || frame->args[i].tag != ATLED_TENSOR) continue;
    if (last) text += (text.empty() ? "" : ", ") + std::string(last);
    last = frame->op->args[i].name;
  }
  return text.empty() ? std::string(last ? last : "") : text + " and " + last;
}

[[noreturn]] void fail_broadcast(const atled_frame* frame, ArgSet args) {
  std::string shapes;
  const atled_tensor* last = nullptr;
  for (uint32_t i = 0; i < frame->op->nargs; ++i) {
    if (!(args >> i & 1) || frame->args[i].tag != ATLED_TENSOR) continue;
    if (last) shapes += (shapes.empty() ? "" : ", ") + shape_text(last);
    last = frame->args[i].u.tensor;
  }
  fail(ATLED_E_SHAPE, "expected %s to broadcast, got %s and %s", names_of(frame, args).c_str(), shapes.c_str(),
       shape_text(last).c_str());
}

// Strides of a gapless tensor whose dimensions lie in memory in the same order as t's.
void order_like(const atled_tensor* t, atled_spec& spec) {
  int order[ATLED_MAX_NDIM];
  const int ndim = spec.ndim;
  auto magnitude = [&](int d) {
    const int64_t s = t->dl.strides[d];
    return s < 0 ? -s : s;
  };
  bool moved = false;
  for (int i = 0; i < ndim; ++i) {
    order[i] = i;
    if (spec.shape[i] == 1 || magnitude(i) == 0) continue;
    // Insertion sort, outermost first. Dimensions of one element or stride 0 say nothing and stay where they are.
    int place = i;
    for (int j = i - 1; j >= 0; --j) {
      const int d = order[j];
      if (spec.shape[d] == 1 || magnitude(d) == 0) continue;
      if (magnitude(d) >= magnitude(i)) break;
      order[place] = d;
      order[j] = i;
      place = j;
      moved = true;
    }
  }
  spec.has_strides = moved;
  if (!moved) return;
  int64_t step = 1;
  for (int k = ndim - 1; k >= 0; --k) {
    spec.strides[order[k]] = step;
    step *= spec.shape[order[k]] > 0 ? spec.shape[order[k]] : 1;
  }
}

void rule(const atled_frame* frame, atled_spec& spec, int (*result)(int)) {
  const ArgSet args = operands(frame->op);
  spec.dtype = result(promoted(frame, args));
  broadcast(frame, args, spec);
}

}  // namespace

int default_complex() { return default_dtype() == ATLED_FLOAT64 ? ATLED_COMPLEX128 : ATLED_COMPLEX64; }

bool can_promote(int a, int b) { return promote_or_none(a, b) >= 0; }

int promote(int a, int b) {
  const int dtype = promote_or_none(a, b);
  if (dtype < 0)
    fail(ATLED_E_DTYPE, "expected dtypes with a common dtype, got %s and %s; cast one of them", dtype_name(a),
         dtype_name(b));
  return dtype;
}

int promote_scalar(int dtype, const atled_value& scalar) {
  const Kind kind = kind_of(scalar);
  if (kind <= kind_of(dtype)) return dtype;
  if (kind == kInt) return ATLED_INT64;
  if (kind == kFloat) return default_dtype();
  if (dtype == ATLED_FLOAT64) return ATLED_COMPLEX128;
  return is_floating(dtype) ? static_cast<int>(ATLED_COMPLEX64) : default_complex();
}

int scalar_dtype(const atled_value& scalar) {
  return kind_of(scalar) == kBool ? static_cast<int>(ATLED_BOOL) : promote_scalar(ATLED_BOOL, scalar);
}

ArgSet operands(const atled_op* op) {
  ArgSet set = 0;
  for (uint32_t i = 0; i < op->nargs; ++i) set |= static_cast<ArgSet>(is_operand(op->args[i])) << i;
  return set;
}

int promoted(const atled_frame* frame, ArgSet args) {
  int dtype = -1;
  ArgSet scalars = 0;
  for (uint32_t i = 0; i < frame->op->nargs; ++i) {
    if (!(args >> i & 1)) continue;
    const atled_value& v = frame->args[i];
    if (v.tag == ATLED_TENSOR) {
      const int next = v.u.tensor->dtype;
      dtype = dtype < 0 || dtype == next ? next : promote(dtype, next);
    } else if (is_scalar(v)) {
      scalars |= 1u << i;
    }
  }
  if (dtype < 0)
    fail(ATLED_E_ARGUMENT, "expected a Tensor among the arguments, got Python scalars; make one with tensor(...)");
  for (uint32_t i = 0; scalars >> i; ++i)
    if (scalars >> i & 1) dtype = promote_scalar(dtype, frame->args[i]);
  return dtype;
}

bool broadcast_into(int64_t* shape, int& ndim, const int64_t* other, int other_ndim) {
  if (other_ndim > ndim) {
    const int shift = other_ndim - ndim;
    for (int i = ndim - 1; i >= 0; --i) shape[i + shift] = shape[i];
    for (int i = 0; i < shift; ++i) shape[i] = 1;
    ndim = other_ndim;
  }
  for (int i = 1; i <= other_ndim; ++i) {
    int64_t& n = shape[ndim - i];
    const int64_t m = other[other_ndim - i];
    if (n == m || m == 1) continue;
    if (n != 1) return false;
    n = m;
  }
  return true;
}

void broadcast(const atled_frame* frame, ArgSet args, atled_spec& spec) {
  const atled_tensor* first = nullptr;
  bool contiguous = true, equal = true;
  spec.has_strides = 0;
  for (uint32_t i = 0; i < frame->op->nargs; ++i) {
    if (!(args >> i & 1) || frame->args[i].tag != ATLED_TENSOR) continue;
    const atled_tensor* t = frame->args[i].u.tensor;
    contiguous &= is_contiguous(t);
    if (!first) {
      first = t;
      spec.ndim = t->dl.ndim;
      for (int d = 0; d < t->dl.ndim; ++d) spec.shape[d] = t->dl.shape[d];
    } else if (!same_shape(t, spec)) {
      equal = false;
      int ndim = spec.ndim;
      if (!broadcast_into(spec.shape, ndim, t->dl.shape, t->dl.ndim)) fail_broadcast(frame, args);
      spec.ndim = ndim;
    }
  }
  if (!first) fail(ATLED_E_ARGUMENT, "expected a Tensor among the arguments");
  if (contiguous) return;
  if (equal) return is_contiguous(first) ? void() : order_like(first, spec);
  for (uint32_t i = 0; i < frame->op->nargs; ++i) {
    if (!(args >> i & 1) || frame->args[i].tag != ATLED_TENSOR) continue;
    const atled_tensor* t = frame->args[i].u.tensor;
    if (!same_shape(t, spec)) continue;
    if (!is_contiguous(t)) order_like(t, spec);
    return;
  }
}

void like(const atled_tensor* t, atled_spec& spec) {
  spec.ndim = t->dl.ndim;
  spec.has_strides = 0;
  for (int d = 0; d < t->dl.ndim; ++d) spec.shape[d] = t->dl.shape[d];
  if (!is_contiguous(t)) order_like(t, spec);
}

void same_rule(const atled_frame* frame, atled_spec* outs) {
  rule(frame, outs[0], [](int dtype) { return dtype; });
}

void float_rule(const atled_frame* frame, atled_spec* outs) { rule(frame, outs[0], float_dtype); }

void real_float_rule(const atled_frame* frame, atled_spec* outs) {
  float_rule(frame, outs);
  if (is_complex(outs[0].dtype)) fail(ATLED_E_DTYPE, "expected real numbers, got complex");
}

void bool_rule(const atled_frame* frame, atled_spec* outs) {
  rule(frame, outs[0], [](int) { return static_cast<int>(ATLED_BOOL); });
}

void like_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* t = arg_tensor(frame, 0);
  outs[0].dtype = t->dtype;
  like(t, outs[0]);
}

DimSet reduced_dims(const atled_value& dim, int ndim) {
  const DimSet all = ndim >= 64 ? ~DimSet{0} : (DimSet{1} << ndim) - 1;
  if (is_none(dim) || (dim.tag == ATLED_INTS && dim.n == 0)) return all;
  const bool one = dim.tag != ATLED_INTS;
  DimSet set = 0;
  for (uint32_t i = 0; i < (one ? 1 : dim.n); ++i) {
    const DimSet bit = DimSet{1} << wrap_dim(one ? dim.u.i : dim.u.ints[i], ndim);
    if (set & bit) fail(ATLED_E_VALUE, "expected each dim once, got %lld again", (long long)dim.u.ints[i]);
    set |= bit;
  }
  return set & all;
}

void reduced(const atled_tensor* input, DimSet dims, bool keepdim, int dtype, atled_spec& spec) {
  spec.dtype = dtype;
  spec.has_strides = 0;
  spec.ndim = 0;
  for (int d = 0; d < input->dl.ndim; ++d) {
    const bool gone = dims >> d & 1;
    if (gone && !keepdim) continue;
    spec.shape[spec.ndim++] = gone ? 1 : input->dl.shape[d];
  }
}

int sum_dtype(int dtype, const atled_value& asked) {
  if (asked.tag == ATLED_DTYPE) return static_cast<int>(asked.u.i);
  return dtype < ATLED_UINT64 || dtype == ATLED_INT64 ? static_cast<int>(ATLED_INT64) : dtype;
}

void expect_floating(const atled_tensor* t, const char* name) {
  if (t->dtype < ATLED_FLOAT16)
    fail(ATLED_E_DTYPE, "expected %s to be floating, got %s; cast it with %s.to(float32)", name, dtype_name(t->dtype),
         name);
}

void expect_integral(const atled_tensor* t, const char* name) {
  if (t->dtype >= ATLED_FLOAT16)
    fail(ATLED_E_DTYPE, "expected %s to be an integer or bool, got %s", name, dtype_name(t->dtype));
}

void expect_real(const atled_tensor* t, const char* name) {
  if (is_complex(t->dtype)) fail(ATLED_E_DTYPE, "expected %s to be real, got %s", name, dtype_name(t->dtype));
}

}  // namespace atled::core
