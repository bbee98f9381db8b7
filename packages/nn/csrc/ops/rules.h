// Checks and shape arithmetic that the op families share. All throw Error; safe from any thread.
#pragma once

#include <cstdint>
#include <string>

#include "atled/plugin.hpp"

namespace atled::nn {

// DTypeError unless t is float16, bfloat16, float32 or float64.
void expect_float(const atled_tensor* t, const char* name);
// DTypeError unless t (NULL is fine) has the dtype of `other`.
void expect_dtype_of(const atled_tensor* t, const char* name, const atled_tensor* other, const char* other_name);
// DTypeError unless t is int32 or int64.
void expect_index(const atled_tensor* t, const char* name);
void expect_ndim(const atled_tensor* t, const char* name, int ndim, const char* layout);
// ShapeError unless t (NULL is fine) has exactly this shape.
void expect_shape(const atled_tensor* t, const char* name, int ndim, const int64_t* shape);
void expect_vector(const atled_tensor* t, const char* name, int64_t size);

// What half-precision floats are computed in: float32; float64 for float64.
inline int compute_dtype(int dtype) { return dtype == ATLED_FLOAT64 ? ATLED_FLOAT64 : ATLED_FLOAT32; }

// The rule of element-wise ops on floats: every tensor argument has the first one's shape and dtype.
void float_rule(const atled_frame* frame, atled_spec* outs);

// A shape given as an int[] argument.
struct Shape {
  int ndim;
  const int64_t* dims;
};
Shape arg_shape(const atled_frame* frame, int i);

enum class Reduction { kNone, kMean, kSum };
Reduction arg_reduction(const atled_frame* frame, int i);

// ---- two-dimensional windows: convolution and pooling ----

struct Pair {
  int64_t h, w;
};
// An int[2] argument; `fallback` stands for None and for an empty list.
Pair arg_pair(const atled_frame* frame, int i, Pair fallback = {0, 0});
void expect_at_least(Pair pair, int64_t low, const char* name);

// One dimension of a sliding window. InvalidValueError when the window does not fit.
int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, bool ceil_mode);

struct Triple {
  int64_t d, h, w;
};
// Convolution of volumes: input (n, c, d, h, w), weight (k, c / groups, kd, kh, kw), output (n, k, od, oh, ow); or of
// images, which are volumes of one plane: the tensors then have no depth, and dims is 2.
struct Convolution {
  int dims;
  int64_t n, c, d, h, w, k, kd, kh, kw, od, oh, ow;
  Triple stride, padding, dilation;
  int64_t groups;

  int64_t inputs() const { return d * h * w; }  // of one channel
  int64_t outputs() const { return od * oh * ow; }
  int64_t taps() const { return kd * kh * kw; }
};
// The arguments from `first` on are stride, padding, dilation and groups.
Convolution convolution(int dims, Shape input, Shape weight, const atled_frame* frame, int first);

// Whether images (n, c, h, w) lie whole in memory with the channels last, and not in row-major order, which can be the
// same.
bool is_channels_last(const atled_tensor* t);
bool lies_channels_last(const atled_tensor* t);  // in row-major order, too
void set_channels_last(atled_spec& spec);

// Two-dimensional pooling over (..., h, w).
struct Pooling {
  int64_t planes, h, w, oh, ow;
  Pair kernel, stride, padding, dilation;
};
// `kernel` is the position of kernel_size; stride and padding follow it; then dilation, if `dilated`; then ceil_mode.
Pooling pooling(Shape input, const atled_frame* frame, int kernel, bool dilated);

inline Shape shape_of(const atled_tensor* t) { return {t->dl.ndim, t->dl.shape}; }

}  // namespace atled::nn
