// The kernels of the namespace fft: which lines of which tensors are transformed, along one dimension after the other.
#include <algorithm>
#include <cmath>

#include "cpu/assign.h"
#include "cpu/fft_transform.h"
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

// The dimensions that a frame's op transforms, as in its shape rule.
struct Dims {
  explicit Dims(const atled_frame* f) {
    const atled_tensor* input = arg_tensor(f, 0);
    const atled_value &size = f->args[1], &dim = f->args[2];
    if (dim.tag == ATLED_INT_VALUE) {
      list[n++] = wrap_dim(dim.u.i, input->dl.ndim);
      return;
    }
    if (is_none(dim)) {
      const int count = is_none(size) ? input->dl.ndim : static_cast<int>(size.n);
      for (int d = input->dl.ndim - count; d < input->dl.ndim; ++d) list[n++] = d;
      return;
    }
    for (uint32_t i = 0; i < dim.n; ++i) list[n++] = wrap_dim(dim.u.ints[i], input->dl.ndim);
  }

  int n = 0;
  int list[ATLED_MAX_NDIM];
};

// What a transform of so many points is multiplied by; backward is the norm that scales nothing.
double scale_of(const atled_value& norm, double points, bool inverse) {
  const char first = is_none(norm) ? 'b' : norm.u.str[0];
  if (first == 'o') return 1 / std::sqrt(points);
  return (first == 'b') == inverse ? 1 / points : 1;
}

// input as a tensor of T or complex T.
template <class T>
Tensor in_precision(atled_tensor* input) {
  const bool complex = is_complex(input->dtype);
  const int dtype = complex ? dtype_of<std::complex<T>> : dtype_of<T>;
  return input->dtype == dtype ? Tensor::borrow(input) : contiguous(input, dtype);
}

// All lines along dim that from and to both have, transformed to length points.
template <class T>
fft::Job<T> job_along(const atled_tensor* from, const atled_tensor* to, int dim) {
  const int64_t in = is_complex(from->dtype) ? 2 : 1, out = is_complex(to->dtype) ? 2 : 1;
  fft::Job<T> job{{data<T>(from), from->dl.strides[dim] * in, from->dl.shape[dim], in == 2},
                  {data<T>(to), to->dl.strides[dim] * out, to->dl.shape[dim], out == 2},
                  {},
                  to->dl.shape[dim]};
  for (int d = 0; d < from->dl.ndim; ++d)
    if (d != dim)
      job.lines.push(std::min(from->dl.shape[d], to->dl.shape[d]), from->dl.strides[d] * in, to->dl.strides[d] * out);
  return job;
}

// A real line of an even length, read as half as many complex points.
template <class T>
void read_in_pairs(fft::Job<T>& job) {
  if (job.n % 2 != 0 || job.source.complex || job.source.point != 1 || job.source.held < job.n) return;
  job.n /= 2;
  job.source = {job.source.data, 2, job.n, true};
  job.unfold = true;
}

template <class T, bool inverse>
void complex_transform(const atled_frame* f) {
  const Dims dims(f);
  atled_tensor* out = out_tensor(f);
  if (dims.n == 0) return assign(out, arg_tensor(f, 0));
  Tensor from = in_precision<T>(arg_tensor(f, 0));
  double points = 1;
  bool grows = false;
  for (int i = 0; i < dims.n; ++i) {
    points *= static_cast<double>(out->dl.shape[dims.list[i]]);
    grows |= i + 1 < dims.n && out->dl.shape[dims.list[i]] > from->dl.shape[dims.list[i]];
  }
  if (grows) assign_zero(out);
  for (int i = dims.n - 1; i >= 0; --i) {
    fft::Job<T> job = job_along<T>(from, out, dims.list[i]);
    job.source.swapped = job.target.swapped = inverse;
    if (!inverse) read_in_pairs(job);
    if (i == 0) job.scale = static_cast<T>(scale_of(f->args[3], points, inverse));
    fft::transform(job);
    from = Tensor::borrow(out);
  }
}

template <class T>
void to_half(const atled_frame* f) {
  const Tensor input = in_precision<T>(arg_tensor(f, 0));
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t n = arg_is_none(f, 1) ? input->dl.shape[dim] : arg_int(f, 1);
  fft::Job<T> job = job_along<T>(input, out_tensor(f), dim);
  job.n = n;
  job.scale = static_cast<T>(scale_of(f->args[3], static_cast<double>(n), false));
  read_in_pairs(job);
  fft::transform(job);
}

template <class T>
void from_half(const atled_frame* f) {
  const Tensor input = in_precision<T>(arg_tensor(f, 0));
  atled_tensor* out = out_tensor(f);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t n = out->dl.shape[dim];
  fft::Job<T> job = job_along<T>(input, out, dim);
  job.scale = static_cast<T>(scale_of(f->args[3], static_cast<double>(n), true));
  job.source.held = std::min(job.source.held, n / 2 + 1);
  job.source.swapped = job.target.swapped = true;
  job.source.mirrored = true;
  if (n % 2 == 0 && job.target.point == 1) {
    job.source.mirrored = false;
    job.target = {job.target.data, 2, n / 2, true, true};
    job.n = n / 2;
    job.fold = true;
  }
  fft::transform(job);
}

using InPrecision = void (*)(const atled_frame*);

// The kernel of the precision that the shape rule chose.
template <InPrecision Single, InPrecision Double>
void either(atled_frame* f) {
  const bool wide = real_dtype(out_tensor(f)->dtype) == ATLED_FLOAT64;
  (wide ? Double : Single)(f);
}

void add_fft_kernels() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  const atled_kernel forward = kernel<either<complex_transform<float, false>, complex_transform<double, false>>>;
  const atled_kernel inverse = kernel<either<complex_transform<float, true>, complex_transform<double, true>>>;
  cpu("fft::fft", forward);
  cpu("fft::ifft", inverse);
  cpu("fft::fftn", forward);
  cpu("fft::ifftn", inverse);
  cpu("fft::rfft", kernel<either<to_half<float>, to_half<double>>>);
  cpu("fft::irfft", kernel<either<from_half<float>, from_half<double>>>);
}

ATLED_KERNELS(add_fft_kernels);

}  // namespace
}  // namespace atled::core
