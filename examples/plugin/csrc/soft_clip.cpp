// soft_clip(x, limit) = x / (1 + |x| / limit): squashes each element smoothly into (-limit, limit).
#include <atled/plugin.hpp>
#include <cmath>

namespace {

// Checks the arguments and says what the output will be: the input's shape and dtype.
void soft_clip_shape(const atled_frame* frame, atled_spec* outs) {
  const atled_tensor* input = atled::arg_tensor(frame, 0);
  const double limit = atled::arg_double(frame, 1);
  if (!atled::is_floating(input->dtype))
    atled::fail(ATLED_E_DTYPE, "expected input of a floating-point dtype, got %s; use input.to(float32)",
                atled::dtype_name(input->dtype));
  if (!(limit > 0)) atled::fail(ATLED_E_VALUE, "expected limit > 0, got %g", limit);
  atled::same_spec(outs[0], input);
}

// n elements of the output (data[0]) and the input (data[1]); strides are in bytes.
template <class T>
void soft_clip_loop(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const T limit = static_cast<T>(*static_cast<const double*>(ctx));
  for (int64_t i = 0; i < n; ++i) {
    const T x = *reinterpret_cast<const T*>(data[1] + i * strides[1]);
    *reinterpret_cast<T*>(data[0] + i * strides[0]) = x / (1 + std::abs(x) / limit);
  }
}

// Core's iterator takes care of strides, threads and the conversion of float16 and bfloat16.
void soft_clip_cpu(atled_frame* frame) {
  double limit = atled::arg_double(frame, 1);
  const bool wide = atled::arg_tensor(frame, 0)->dtype == ATLED_FLOAT64;
  const int dtype = wide ? ATLED_FLOAT64 : ATLED_FLOAT32;
  atled::check(atled::kernel_group->elementwise(frame, dtype, dtype,
                                                wide ? soft_clip_loop<double> : soft_clip_loop<float>, &limit));
}

void init() {
  const atled_op* op = atled::define({"sample::soft_clip(Tensor input, float limit=1.0) -> Tensor",
                                      "Squashes each element of a floating-point tensor smoothly into (-limit, limit).",
                                      atled::shape<soft_clip_shape>, ATLED_OP_ELEMENTWISE | ATLED_OP_INPLACE});
  atled::add_kernel(op, ATLED_DEVICE_CPU, atled::kernel<soft_clip_cpu>);
}

}  // namespace

ATLED_PLUGIN("atled-sample", "0.1.0", init)
