// Shape and dtype rules that the families share. All throw Error (ShapeError, DTypeError, ...); safe from any thread.
#pragma once

#include <cstdint>

#include "atled/plugin.hpp"
#include "tensor/dtype.h"

namespace atled::core {

// ---- dtypes ----

// What floats that come from integers or Python are: float32 unless set otherwise (float32 or float64 only).
int default_complex();

// PyTorch's table; where it has no entry (uint16, uint32, uint64) the array API's. DTypeError for uint64 with a signed
// integer.
int promote(int a, int b);
bool can_promote(int a, int b);
// A Python scalar is weak: it changes a tensor's dtype only by being of a higher kind (bool < int < float < complex).
int promote_scalar(int dtype, const atled_value& scalar);
// The dtype of a Python scalar that stands alone: bool, int64, the default float or complex.
int scalar_dtype(const atled_value& scalar);
// The dtype itself if it is floating or complex, else the default float.
inline int float_dtype(int dtype) { return dtype >= ATLED_FLOAT16 ? dtype : default_dtype(); }
// What a reduction or an element-wise function accumulates in: float32 for smaller floats, else the dtype itself.
inline int compute_dtype(int dtype) {
  return dtype == ATLED_FLOAT16 || dtype == ATLED_BFLOAT16 || is_float8(dtype) ? ATLED_FLOAT32 : dtype;
}
// The dtype of the real part.
inline int real_dtype(int dtype) {
  return dtype == ATLED_COMPLEX64 ? ATLED_FLOAT32 : dtype == ATLED_COMPLEX128 ? ATLED_FLOAT64 : dtype;
}

// ---- operands ----

// A set of a frame's arguments, bit i for argument i.
using ArgSet = uint32_t;

// The arguments that an element-wise op combines: those declared Tensor, Tensor?, Tensor|Scalar, and positional
// Scalars. A keyword-only Scalar (alpha, value) is a parameter.
ArgSet operands(const atled_op* op);

// The common dtype of the given arguments: tensors (0-d like any other) by promote, Python scalars weakly.
int promoted(const atled_frame* frame, ArgSet args);
inline int promoted(const atled_frame* frame) { return promoted(frame, operands(frame->op)); }

// The common shape of the given arguments and PyTorch's layout for it (the first operand of the full shape gives the
// order of the dimensions); sets everything but spec.dtype. "expected input and other to broadcast, got (3, 4) and
// (5,)".
void broadcast(const atled_frame* frame, ArgSet args, atled_spec& spec);

// The order of t's dimensions kept, gaps and overlaps dropped: the layout of a fresh tensor like t. Sets all but the
// dtype.
void like(const atled_tensor* t, atled_spec& spec);

// Shapes alone; returns false when they do not broadcast. `shape` is extended in place.
bool broadcast_into(int64_t* shape, int& ndim, const int64_t* other, int other_ndim);

// ---- ready-made rules: OpDef::shape = shape<same_rule> ----

void same_rule(const atled_frame* frame, atled_spec* outs);   // the promoted dtype
void float_rule(const atled_frame* frame, atled_spec* outs);  // the promoted dtype, integers become the default float
void real_float_rule(const atled_frame* frame, atled_spec* outs);  // the same, DTypeError for complex numbers
void bool_rule(const atled_frame* frame, atled_spec* outs);        // bool
void like_rule(const atled_frame* frame, atled_spec* outs);        // args[0]'s shape and dtype

// ---- reductions ----

// The dimensions that a reduction runs over, bit i for dimension i (a 0-d tensor counts none).
using DimSet = uint64_t;

// dim: None or an empty list (all of them), an int, or ints. BoundsError when out of range, InvalidValueError when
// repeated.
DimSet reduced_dims(const atled_value& dim, int ndim);
// The shape that is left; sets everything.
void reduced(const atled_tensor* input, DimSet dims, bool keepdim, int dtype, atled_spec& spec);
// sum, prod, cumsum: bool and integers are summed in int64 (as PyTorch has it; uint64 stays), unless dtype= says
// otherwise.
int sum_dtype(int dtype, const atled_value& asked);

// ---- checks ----

// DTypeError naming the argument: "expected input to be floating, got int64".
void expect_floating(const atled_tensor* t, const char* name);  // or complex
void expect_integral(const atled_tensor* t, const char* name);  // or bool
void expect_real(const atled_tensor* t, const char* name);

}  // namespace atled::core
