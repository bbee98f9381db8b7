#include "ops/rules.h"

#include <algorithm>
#include <cstring>

namespace atled::nn {

void expect_float(const atled_tensor* t, const char* name) {
  if (!is_floating(t->dtype))
    fail(ATLED_E_DTYPE,
         "expected %s to be float16, bfloat16, float32 or float64, got %s; convert it, for example %s.to(float32)",
         name, dtype_name(t->dtype), name);
}

void expect_dtype_of(const atled_tensor* t, const char* name, const atled_tensor* other, const char* other_name) {
  if (t && t->dtype != other->dtype)
    fail(ATLED_E_DTYPE, "expected %s of %s's dtype %s, got %s; convert one of them, for example %s.to(%s.dtype)", name,
         other_name, dtype_name(other->dtype), dtype_name(t->dtype), name, other_name);
}

void expect_index(const atled_tensor* t, const char* name) {
  if (t->dtype != ATLED_INT64 && t->dtype != ATLED_INT32)
    fail(ATLED_E_DTYPE, "expected %s to be int32 or int64, got %s; convert it: %s.to(int64)", name,
         dtype_name(t->dtype), name);
}

void expect_ndim(const atled_tensor* t, const char* name, int ndim, const char* layout) {
  if (t->dl.ndim != ndim) fail(ATLED_E_SHAPE, "expected %s of shape %s, got %s", name, layout, shape_text(t).c_str());
}

void expect_shape(const atled_tensor* t, const char* name, int ndim, const int64_t* shape) {
  if (!t) return;
  if (t->dl.ndim != ndim || (ndim > 0 && memcmp(t->dl.shape, shape, sizeof(int64_t) * static_cast<size_t>(ndim)) != 0))
    fail(ATLED_E_SHAPE, "expected %s of shape %s, got %s", name, shape_text(ndim, shape).c_str(),
         shape_text(t).c_str());
}

void expect_vector(const atled_tensor* t, const char* name, int64_t size) { expect_shape(t, name, 1, &size); }

void float_rule(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* first = arg_tensor(frame, 0);
  const char* first_name = frame->op->args[0].name;
  expect_float(first, first_name);
  for (int i = 1; i < frame->op->nargs; ++i) {
    const atled_tensor* t = arg_tensor(frame, i);
    expect_shape(t, frame->op->args[i].name, first->dl.ndim, first->dl.shape);
    expect_dtype_of(t, frame->op->args[i].name, first, first_name);
  }
  same_spec(outs[0], first);
}

Shape arg_shape(const atled_frame* frame, int i) {
  const atled_value& v = frame->args[i];
  if (v.n > ATLED_MAX_NDIM)
    fail(ATLED_E_SHAPE, "expected %s of at most %d dimensions, got %u", frame->op->args[i].name, ATLED_MAX_NDIM, v.n);
  for (uint32_t k = 0; k < v.n; ++k)
    if (v.u.ints[k] < 0)
      fail(ATLED_E_VALUE, "expected %s without negative sizes, got %s", frame->op->args[i].name,
           shape_text(static_cast<int>(v.n), v.u.ints).c_str());
  return {static_cast<int>(v.n), v.u.ints};
}

Reduction arg_reduction(const atled_frame* frame, int i) {
  const char* text = frame->args[i].u.str;
  if (!strcmp(text, "mean")) return Reduction::kMean;
  if (!strcmp(text, "sum")) return Reduction::kSum;
  if (!strcmp(text, "none")) return Reduction::kNone;
  fail(ATLED_E_VALUE, "expected reduction to be 'none', 'mean' or 'sum', got '%s'", text);
}

Pair arg_pair(const atled_frame* frame, int i, Pair fallback) {
  const atled_value& v = frame->args[i];
  if (is_none(v) || v.n == 0) return fallback;
  return {v.u.ints[0], v.u.ints[v.n > 1 ? 1 : 0]};
}

namespace {

// With sizes up to this, nothing that is computed of two of them overflows.
constexpr int64_t kMostOfWindow = int64_t{1} << 31;

void expect_sizes(const int64_t* sizes, int n, int64_t low, const char* name) {
  for (int i = 0; i < n; ++i)
    if (sizes[i] < low || sizes[i] > kMostOfWindow)
      fail(ATLED_E_VALUE, "expected %s of at %s %lld, got %s", name, sizes[i] < low ? "least" : "most",
           static_cast<long long>(sizes[i] < low ? low : kMostOfWindow), shape_text(n, sizes).c_str());
}

}  // namespace

void expect_at_least(Pair pair, int64_t low, const char* name) {
  const int64_t sizes[] = {pair.h, pair.w};
  expect_sizes(sizes, 2, low, name);
}

int64_t window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, bool ceil_mode) {
  const int64_t span = dilation * (kernel - 1) + 1, room = size + 2 * padding - span + (ceil_mode ? stride - 1 : 0);
  if (room < 0)
    fail(ATLED_E_SHAPE, "expected the padded input to hold a window of %lld, got a size of %lld + 2 * %lld",
         static_cast<long long>(span), static_cast<long long>(size), static_cast<long long>(padding));
  int64_t count = room / stride + 1;
  // The last window must start inside the input or the left padding.
  if (ceil_mode && (count - 1) * stride >= size + padding) --count;
  return count;
}

namespace {

// Sizes of depth, rows and columns; of an image the depth is `depth`.
Triple arg_triple(const atled_frame* frame, int i, int dims, int64_t depth) {
  if (dims == 2) {
    const Pair pair = arg_pair(frame, i, {depth, depth});
    return {depth, pair.h, pair.w};
  }
  const atled_value& v = frame->args[i];
  if (is_none(v) || v.n == 0) return {depth, depth, depth};
  const int64_t* sizes = v.u.ints;
  return v.n < 3 ? Triple{sizes[0], sizes[0], sizes[0]} : Triple{sizes[0], sizes[1], sizes[2]};
}

void expect_at_least(Triple sizes, int64_t low, const char* name, int dims) {
  if (dims == 2) return expect_at_least(Pair{sizes.h, sizes.w}, low, name);
  const int64_t all[] = {sizes.d, sizes.h, sizes.w};
  expect_sizes(all, 3, low, name);
}

}  // namespace

Convolution convolution(int dims, Shape input, Shape weight, const atled_frame* frame, int first) {
  const bool deep = dims == 3;
  if (input.ndim != dims + 2)
    fail(ATLED_E_SHAPE, "expected input of shape %s, got %s", deep ? "(N, C, D, H, W)" : "(N, C, H, W)",
         shape_text(input.ndim, input.dims).c_str());
  if (weight.ndim != dims + 2)
    fail(ATLED_E_SHAPE, "expected weight of shape (out_channels, in_channels / groups, %skernel_h, kernel_w), got %s",
         deep ? "kernel_d, " : "", shape_text(weight.ndim, weight.dims).c_str());
  Convolution s{};
  s.dims = dims;
  s.n = input.dims[0], s.c = input.dims[1], s.k = weight.dims[0];
  s.d = deep ? input.dims[2] : 1, s.h = input.dims[dims], s.w = input.dims[dims + 1];
  s.kd = deep ? weight.dims[2] : 1, s.kh = weight.dims[dims], s.kw = weight.dims[dims + 1];
  s.stride = arg_triple(frame, first, dims, 1);
  s.padding = arg_triple(frame, first + 1, dims, 0);
  s.dilation = arg_triple(frame, first + 2, dims, 1);
  s.groups = arg_int(frame, first + 3);
  expect_at_least(s.stride, 1, "stride", dims);
  expect_at_least(s.padding, 0, "padding", dims);
  expect_at_least(s.dilation, 1, "dilation", dims);
  expect_at_least({s.kd, s.kh, s.kw}, 1, "the kernel's size", dims);
  if (s.c < 1)
    fail(ATLED_E_SHAPE, "expected at least one input channel, got %s", shape_text(input.ndim, input.dims).c_str());
  if (s.groups < 1) fail(ATLED_E_VALUE, "expected groups of at least 1, got %lld", static_cast<long long>(s.groups));
  if (s.c != weight.dims[1] * s.groups)
    fail(ATLED_E_SHAPE, "expected input.shape[1] == weight.shape[1] * groups, got %s and %s with groups=%lld",
         shape_text(input.ndim, input.dims).c_str(), shape_text(weight.ndim, weight.dims).c_str(),
         static_cast<long long>(s.groups));
  if (s.k % s.groups != 0)
    fail(ATLED_E_SHAPE, "expected weight.shape[0] to be a multiple of groups, got %lld and %lld",
         static_cast<long long>(s.k), static_cast<long long>(s.groups));
  s.od = window_count(s.d, s.kd, s.stride.d, s.padding.d, s.dilation.d, false);
  s.oh = window_count(s.h, s.kh, s.stride.h, s.padding.h, s.dilation.h, false);
  s.ow = window_count(s.w, s.kw, s.stride.w, s.padding.w, s.dilation.w, false);
  return s;
}

void set_channels_last(atled_spec& spec) {
  const int64_t c = spec.shape[1], h = spec.shape[2], w = spec.shape[3];
  const int64_t strides[4] = {c * h * w, 1, w * c, c};
  std::copy(strides, strides + 4, spec.strides);
  spec.has_strides = 1;
}

bool is_channels_last(const atled_tensor* t) { return !is_contiguous(t) && lies_channels_last(t); }

bool lies_channels_last(const atled_tensor* t) {
  if (t->dl.ndim != 4) return false;
  atled_spec spec;
  set_spec(spec, t->dtype, t->dl.ndim, t->dl.shape);
  set_channels_last(spec);
  for (int i = 0; i < 4; ++i)
    if (t->dl.shape[i] != 1 && t->dl.strides[i] != spec.strides[i]) return false;
  return true;
}

Pooling pooling(Shape input, const atled_frame* frame, int kernel, bool dilated) {
  if (input.ndim < 3)
    fail(ATLED_E_SHAPE, "expected input of shape (N, C, H, W) or (C, H, W), got %s",
         shape_text(input.ndim, input.dims).c_str());
  Pooling s{};
  s.planes = 1;
  for (int i = 0; i < input.ndim - 2; ++i) s.planes *= input.dims[i];
  s.h = input.dims[input.ndim - 2], s.w = input.dims[input.ndim - 1];
  s.kernel = arg_pair(frame, kernel, {1, 1});
  s.stride = arg_pair(frame, kernel + 1, s.kernel);
  s.padding = arg_pair(frame, kernel + 2);
  s.dilation = dilated ? arg_pair(frame, kernel + 3, {1, 1}) : Pair{1, 1};
  const bool ceil_mode = arg_bool(frame, kernel + (dilated ? 4 : 3));
  expect_at_least(s.kernel, 1, "kernel_size");
  expect_at_least(s.stride, 1, "stride");
  expect_at_least(s.padding, 0, "padding");
  expect_at_least(s.dilation, 1, "dilation");
  if (s.padding.h > s.kernel.h / 2 || s.padding.w > s.kernel.w / 2)
    fail(ATLED_E_VALUE, "expected padding of at most half the kernel_size, got (%lld, %lld) and (%lld, %lld)",
         static_cast<long long>(s.padding.h), static_cast<long long>(s.padding.w), static_cast<long long>(s.kernel.h),
         static_cast<long long>(s.kernel.w));
  s.oh = window_count(s.h, s.kernel.h, s.stride.h, s.padding.h, s.dilation.h, ceil_mode);
  s.ow = window_count(s.w, s.kernel.w, s.stride.w, s.padding.w, s.dilation.w, ceil_mode);
  return s;
}

}  // namespace atled::nn
