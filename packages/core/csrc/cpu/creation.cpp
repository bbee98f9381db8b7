#include "functors/creation.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include "cpu/assign.h"
#include "cpu/parallel.h"
#include "dispatch/register.h"
#include "functors/copy.h"

namespace atled::core {
namespace {

constexpr int64_t kGrain = 16384;

void leave(atled_frame*) {}
void zeros(atled_frame* f) { assign_zero(out_tensor(f)); }
void ones(atled_frame* f) { assign(out_tensor(f), value(1)); }
template <int I>
void full(atled_frame* f) {
  const atled_value& number = f->args[I];
  const bool zero = number.tag != ATLED_COMPLEX_VALUE && as_double(number) == 0 && !std::signbit(as_double(number));
  return zero ? assign_zero(out_tensor(f)) : assign(out_tensor(f), number);
}

// out[i] = g(i), computed as R.
template <class R, class G>
void generate(atled_tensor* out, G g) {
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = data<T>(out);
    parallel(numel(out), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = Cast<T, R>{}(g(i));
    });
  });
}

void arange(atled_frame* f) {
  const bool one = arg_is_none(f, 1);
  const atled_value zero = value(0), &start = one ? zero : f->args[0], &step = f->args[2];
  atled_tensor* out = out_tensor(f);
  if (start.tag != ATLED_FLOAT_VALUE && step.tag != ATLED_FLOAT_VALUE) {
    const uint64_t a = static_cast<uint64_t>(start.u.i), s = static_cast<uint64_t>(step.u.i);
    return generate<int64_t>(out, IntegerRange{a, s});
  }
  const double a = as_double(start), s = as_double(step);
  generate<double>(out, FloatRange{a, s});
}

std::complex<double> as_complex(const atled_value& v) {
  return {as_double(v), v.tag == ATLED_COMPLEX_VALUE ? v.u.complex[1] : 0.0};
}

void linspace(atled_frame* f) {
  const int64_t n = arg_int(f, 2);
  const bool endpoint = arg_bool(f, 5);
  using C = std::complex<double>;
  if (is_complex(out_tensor(f)->dtype))
    return generate<C>(out_tensor(f), Spaced<C>(as_complex(f->args[0]), as_complex(f->args[1]), n, endpoint));
  generate<double>(out_tensor(f), Spaced<double>(arg_double(f, 0), arg_double(f, 1), n, endpoint));
}

void logspace(atled_frame* f) {
  const double base = arg_double(f, 3);
  const Spaced<double> exponents(arg_double(f, 0), arg_double(f, 1), arg_int(f, 2), true);
  generate<double>(out_tensor(f), LogSpaced{base, exponents});
}

void eye(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  assign_zero(out);
  const int64_t rows = out->dl.shape[0], columns = out->dl.shape[1];
  const int64_t k = std::clamp(arg_int(f, 2), -rows, columns);
  const int64_t row = std::max<int64_t>(0, -k), column = std::max<int64_t>(0, k);
  const int64_t n = std::min(rows - row, columns - column);
  if (n <= 0) return;
  const int64_t shape[1] = {n}, strides[1] = {columns + 1};
  atled_tensor* diagonal = nullptr;
  check(api.as_view(out, out->dtype, 1, shape, strides, row * columns + column, &diagonal));
  const Tensor owner = Tensor::steal(diagonal);
  assign(diagonal, value(1));
}

// Keeps column j of row i when j - i <= diagonal (lower) or >= (upper); input may be out.
template <bool kLower>
void triangle(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  Tensor input = contiguous(arg_tensor(f, 0));
  const int ndim = out->dl.ndim;
  const int64_t rows = out->dl.shape[ndim - 2], columns = out->dl.shape[ndim - 1], count = numel(out);
  if (count == 0) return;
  const int64_t k = std::clamp(arg_int(f, 1), -rows - 1, columns + 1);
  visit_size(itemsize(out->dtype), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = data<T>(input);
    T* to = data<T>(out);
    parallel(count / columns, std::max<int64_t>(1, kGrain / columns), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t i = r % rows, border = std::clamp<int64_t>(kLower ? i + k + 1 : i + k, 0, columns);
        T* row = to + r * columns;
        const T* source = from + r * columns;
        const int64_t first = kLower ? 0 : border, last = kLower ? border : columns;
        if (row != source) std::copy(source + first, source + last, row + first);
        std::fill(row, row + first, T{});
        std::fill(row + last, row + columns, T{});
      }
    });
  });
}

void add_creation() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  for (const char* op : {"core::empty", "core::empty_like", "core::new_empty", "core::empty_strided"})
    add_kernel(op, ATLED_DEVICE_ANY, kernel<leave>);
  for (const char* op : {"core::zeros", "core::zeros_like", "core::new_zeros"}) cpu(op, kernel<zeros>);
  for (const char* op : {"core::ones", "core::ones_like", "core::new_ones"}) cpu(op, kernel<ones>);
  cpu("core::full", kernel<full<1>>);
  cpu("core::full_like", kernel<full<1>>);
  cpu("core::new_full", kernel<full<2>>);
  cpu("core::scalar_tensor", kernel<full<0>>);
  cpu("core::arange", kernel<arange>);
  cpu("core::linspace", kernel<linspace>);
  cpu("core::logspace", kernel<logspace>);
  cpu("core::eye", kernel<eye>);
  cpu("core::tril", kernel<triangle<true>>);
  cpu("core::triu", kernel<triangle<false>>);
}

ATLED_KERNELS(add_creation);

}  // namespace
}  // namespace atled::core
