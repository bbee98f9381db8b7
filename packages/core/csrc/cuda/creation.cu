#include <algorithm>

#include "cuda/generate.cuh"
#include "functors/creation.h"
#include "functors/selection.h"

namespace atled::core::cuda {

namespace {

void zeros(atled_frame* f) { assign(out_tensor(f), value(0)); }
void ones(atled_frame* f) { assign(out_tensor(f), value(1)); }
template <int I>
void full(atled_frame* f) {
  assign(out_tensor(f), f->args[I]);
}

void arange(atled_frame* f) {
  const bool one = arg_is_none(f, 1);
  const atled_value zero = value(0), &start = one ? zero : f->args[0], &step = f->args[2];
  if (start.tag != ATLED_FLOAT_VALUE && step.tag != ATLED_FLOAT_VALUE)
    return generate<int64_t>(out_tensor(f),
                             IntegerRange{static_cast<uint64_t>(start.u.i), static_cast<uint64_t>(step.u.i)});
  generate<double>(out_tensor(f), FloatRange{as_double(start), as_double(step)});
}

std::complex<double> as_complex(const atled_value& v) {
  return {as_double(v), v.tag == ATLED_COMPLEX_VALUE ? v.u.complex[1] : 0.0};
}

void linspace(atled_frame* f) {
  using C = std::complex<double>;
  if (is_complex(out_tensor(f)->dtype))
    return generate<C>(out_tensor(f),
                       Spaced<C>(as_complex(f->args[0]), as_complex(f->args[1]), arg_int(f, 2), arg_bool(f, 5)));
  generate<double>(out_tensor(f), Spaced<double>(arg_double(f, 0), arg_double(f, 1), arg_int(f, 2), arg_bool(f, 5)));
}

void logspace(atled_frame* f) {
  generate<double>(out_tensor(f), LogSpaced{arg_double(f, 3),
                                            Spaced<double>(arg_double(f, 0), arg_double(f, 1), arg_int(f, 2), true)});
}

struct OnDiagonal {
  int64_t columns, k;
  ATLED_FN int64_t operator()(int64_t i) const { return i % columns - i / columns == k; }
};

void eye(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  const int64_t rows = out->dl.shape[0], columns = out->dl.shape[1];
  generate<int64_t>(out, OnDiagonal{columns, std::clamp(arg_int(f, 2), -rows, columns)});
}

// Whether element i of the last two dimensions is kept.
template <bool kLower>
struct InTriangle {
  int64_t rows, columns, k;
  ATLED_FN bool operator()(int64_t i) const {
    const int64_t distance = i % columns - i / columns % rows;
    return kLower ? distance <= k : distance >= k;
  }
};

template <bool kLower>
void triangle(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *out = out_tensor(f);
  const int ndim = out->dl.ndim;
  if (numel(out) == 0) return;
  const int64_t rows = out->dl.shape[ndim - 2], columns = out->dl.shape[ndim - 1];
  const Tensor mask = Tensor::empty(ATLED_BOOL, 2, out->dl.shape + ndim - 2, out->dl.device);
  generate<bool>(mask, InTriangle<kLower>{rows, columns, std::clamp(arg_int(f, 1), -rows - 1, columns + 1)});
  Elementwise e;
  e.output(out, out->dtype).input(mask, ATLED_BOOL).input(input, out->dtype).scalar(value(0), out->dtype);
  visit_size(itemsize(out->dtype), [&](auto tag) {
    using T = typename decltype(tag)::type;
    e.run<T, bool, T, T>(Where{});
  });
}

void add_creation() {
  for (const char* op : {"core::zeros", "core::zeros_like", "core::new_zeros"}) cuda_kernel(op, kernel<zeros>);
  for (const char* op : {"core::ones", "core::ones_like", "core::new_ones"}) cuda_kernel(op, kernel<ones>);
  cuda_kernel("core::full", kernel<full<1>>);
  cuda_kernel("core::full_like", kernel<full<1>>);
  cuda_kernel("core::new_full", kernel<full<2>>);
  cuda_kernel("core::scalar_tensor", kernel<full<0>>);
  cuda_kernel("core::arange", kernel<arange>);
  cuda_kernel("core::linspace", kernel<linspace>);
  cuda_kernel("core::logspace", kernel<logspace>);
  cuda_kernel("core::eye", kernel<eye>);
  cuda_kernel("core::tril", kernel<triangle<true>>);
  cuda_kernel("core::triu", kernel<triangle<false>>);
}
ATLED_CUDA_KERNELS(add_creation);

}  // namespace

}  // namespace atled::core::cuda
