// Copies and conversions between every pair of dtypes.
#include "cuda/elementwise.cuh"
#include "cuda/transpose.h"
#include "functors/arithmetic.h"

namespace atled::core::cuda {

namespace {

template <class To, class From>
struct Convert {
  ATLED_FN To operator()(From x) const { return Cast<To, From>{}(x); }
};

template <class To, class From>
void convert(Elementwise& e) {
  e.run_as_is<To, From>(Convert<To, From>{});
}

// float8 has kernels with the other floating dtypes; from and to all others it goes by way of float32.
template <class Float8, class Other>
void convert_float8(Elementwise& e, bool from) {
  from ? convert<Other, Float8>(e) : convert<Float8, Other>(e);
}

void assign_float8(const atled_tensor* out, atled_tensor* in) {
  const bool from = is_float8(in->dtype);
  const int other = from ? out->dtype : in->dtype;
  if (!is_floating(other) || is_float8(other)) {
    const Tensor wide = Tensor::empty(ATLED_FLOAT32, in->dl.ndim, in->dl.shape, in->dl.device);
    assign(wide, in);
    return assign(out, wide);
  }
  Elementwise e;
  e.output(out, out->dtype).input(in, in->dtype);
  visit_float8(from ? in->dtype : out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    other == ATLED_FLOAT16    ? convert_float8<T, Half>(e, from)
    : other == ATLED_BFLOAT16 ? convert_float8<T, BFloat16>(e, from)
    : other == ATLED_FLOAT32  ? convert_float8<T, float>(e, from)
                              : convert_float8<T, double>(e, from);
  });
}

}  // namespace

void assign(const atled_tensor* out, const atled_value& value) {
  if (value.tag == ATLED_TENSOR && value.u.tensor->dtype != out->dtype &&
      (is_float8(out->dtype) || is_float8(value.u.tensor->dtype)))
    return assign_float8(out, value.u.tensor);
  Elementwise e;
  e.output(out, out->dtype);
  if (value.tag == ATLED_TENSOR && value.u.tensor->dtype != out->dtype) {
    e.input(value.u.tensor, value.u.tensor->dtype);
    return visit_dtype(out->dtype, [&](auto to) {
      visit_dtype(value.u.tensor->dtype,
                  [&](auto from) { convert<typename decltype(to)::type, typename decltype(from)::type>(e); });
    });
  }
  e.operand(value, out->dtype);
  if (value.tag == ATLED_TENSOR && transpose(out, value.u.tensor)) return;
  visit_size(itemsize(out->dtype), [&](auto tag) {
    using T = typename decltype(tag)::type;
    e.run_as_is<T, T>(Positive{});
  });
}

}  // namespace atled::core::cuda
