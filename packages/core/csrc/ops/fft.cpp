// Discrete Fourier transforms: along one dimension, and complex ones along several, by kernels; the others are composed
// of these.
#include <cstring>
#include <string>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

const Op conj_op{"core::conj"};
const Op fftn_op{"fft::fftn"}, ifftn_op{"fft::ifftn"}, rfft_op{"fft::rfft"}, irfft_op{"fft::irfft"};

// Complex numbers of the input's precision; half precision is transformed in float32, integers in the default float.
int spectrum_dtype(int dtype) {
  if (is_complex(dtype)) return dtype;
  return compute_dtype(float_dtype(dtype)) == ATLED_FLOAT64 ? ATLED_COMPLEX128 : ATLED_COMPLEX64;
}

bool is_text(const atled_value& v, const char* text) {
  return v.tag == ATLED_STRING && std::string(v.u.str, v.n) == text;
}

void check_norm(const atled_value& norm) {
  if (is_none(norm) || is_text(norm, "backward") || is_text(norm, "ortho") || is_text(norm, "forward")) return;
  fail(ATLED_E_VALUE, "expected norm to be backward, ortho or forward, got '%s'",
       std::string(norm.u.str, norm.n).c_str());
}

// Which dimensions are transformed, and of how many points each.
struct Transform {
  // Half: input holds the not redundant half of the last dimension's points.
  explicit Transform(const atled_frame* f, bool half = false) : input(arg_tensor(f, 0)) {
    const atled_value &size = f->args[1], &dim = f->args[2];
    check_norm(f->args[3]);
    if (dim.tag == ATLED_INT_VALUE) {
      if (input->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected input of at least one dimension, got a 0-d tensor");
      const int d = wrap_dim(dim.u.i, input->dl.ndim);
      add(d, is_none(size) ? own(d, half) : size.u.i);
      return;
    }
    const int sizes = is_none(size) ? -1 : static_cast<int>(size.n);
    const int count = !is_none(dim) ? static_cast<int>(dim.n) : sizes >= 0 ? sizes : input->dl.ndim;
    if (sizes >= 0 && sizes != count)
      fail(ATLED_E_SHAPE, "expected as many sizes in s as dimensions in dim, got %d and %d", sizes, count);
    if (count > input->dl.ndim)
      fail(ATLED_E_SHAPE, "expected input of at least %d dimensions, got shape %s", count, shape_text(input).c_str());
    int chosen[ATLED_MAX_NDIM];
    if (!is_none(dim)) unique_dims(dim, input->dl.ndim, chosen, "dim");
    for (int i = 0; i < count; ++i) {
      const int d = is_none(dim) ? input->dl.ndim - count + i : chosen[i];
      const int64_t asked = sizes < 0 ? -1 : size.u.ints[i];
      add(d, asked == -1 ? own(d, half && i == count - 1) : asked);
    }
  }

  int64_t own(int d, bool half) const { return half ? 2 * (input->dl.shape[d] - 1) : input->dl.shape[d]; }

  void add(int d, int64_t size) {
    if (size < 1) fail(ATLED_E_VALUE, "expected at least one point to transform, got %lld", (long long)size);
    dims[n] = d;
    points[n++] = size;
  }

  int last() const {
    if (n == 0) fail(ATLED_E_SHAPE, "expected at least one dimension to transform");
    return n - 1;
  }

  const atled_tensor* input;
  int n = 0;
  int64_t dims[ATLED_MAX_NDIM], points[ATLED_MAX_NDIM];
};

void complex_rule(const atled_frame* f, atled_spec* outs) {
  const Transform t(f);
  set_spec(outs[0], spectrum_dtype(t.input->dtype), t.input->dl.ndim, t.input->dl.shape);
  for (int i = 0; i < t.n; ++i) outs[0].shape[t.dims[i]] = t.points[i];
}

void to_half_rule(const atled_frame* f, atled_spec* outs) {
  expect_real(arg_tensor(f, 0), "input");
  complex_rule(f, outs);
  int64_t& points = outs[0].shape[Transform(f).dims[0]];
  points = points / 2 + 1;
}

void from_half_rule(const atled_frame* f, atled_spec* outs) {
  const Transform t(f, true);
  set_spec(outs[0], real_dtype(spectrum_dtype(t.input->dtype)), t.input->dl.ndim, t.input->dl.shape);
  outs[0].shape[t.dims[0]] = t.points[0];
}

Tensor run(const Op& op, atled_tensor* input, const Transform& t, int n, const atled_value& norm) {
  const auto count = static_cast<size_t>(n);
  return op(input, ints_value(t.points, count), ints_value(t.dims, count), norm);
}

void fft2(atled_frame* f) {
  const Transform t(f);
  set_out(f, 0, run(fftn_op, arg_tensor(f, 0), t, t.n, f->args[3]));
}

void ifft2(atled_frame* f) {
  const Transform t(f);
  set_out(f, 0, run(ifftn_op, arg_tensor(f, 0), t, t.n, f->args[3]));
}

Tensor to_half(const atled_frame* f, const atled_value& norm) {
  expect_real(arg_tensor(f, 0), "input");
  const Transform t(f);
  const int last = t.last();
  Tensor half = rfft_op(arg_tensor(f, 0), t.points[last], t.dims[last], norm);
  return last == 0 ? std::move(half) : run(fftn_op, half, t, last, norm);
}

Tensor from_half(const atled_frame* f, Tensor half, const atled_value& norm) {
  const Transform t(f, true);
  const int last = t.last();
  if (last > 0) half = run(ifftn_op, half, t, last, norm);
  return irfft_op(half, t.points[last], t.dims[last], norm);
}

void rfftn(atled_frame* f) { set_out(f, 0, to_half(f, f->args[3])); }
void irfftn(atled_frame* f) { set_out(f, 0, from_half(f, Tensor::borrow(arg_tensor(f, 0)), f->args[3])); }

// What a forward transform divides by, its inverse does not.
atled_value other_norm(const atled_value& norm) {
  const char* other = is_text(norm, "ortho") ? "ortho" : is_text(norm, "forward") ? "backward" : "forward";
  atled_value v = none();
  v.u.str = other;
  v.n = static_cast<uint32_t>(strlen(other));
  v.tag = ATLED_STRING;
  return v;
}

void hfft(atled_frame* f) { set_out(f, 0, from_half(f, conj_op(arg_tensor(f, 0)), other_norm(f->args[3]))); }
void ihfft(atled_frame* f) { set_out(f, 0, conj_op(to_half(f, other_norm(f->args[3])))); }

// ---- frequencies ----

void expect_points(int64_t n) {
  if (n < 1) fail(ATLED_E_VALUE, "expected n >= 1, got %lld", (long long)n);
}

Tensor counted(const atled_frame* f, int64_t begin, int64_t end) {
  static const Op arange{"core::arange"};
  return arange(begin, end, 1, dtype_value(ATLED_FLOAT64), f->args[3]);
}

// (n, d, *, dtype, device): the counted cycles by the length n d, rounded once.
Tensor per_length(const atled_frame* f, const Tensor& count) {
  static const Op div{"core::div"}, to{"core::to"};
  const int dtype = f->args[2].tag == ATLED_DTYPE ? static_cast<int>(f->args[2].u.i) : default_dtype();
  if (!is_floating(dtype) && !is_complex(dtype))
    fail(ATLED_E_DTYPE, "expected a floating-point dtype, got %s", dtype_name(dtype));
  return to(div(count, static_cast<double>(arg_int(f, 0)) * arg_double(f, 1)), dtype_value(dtype));
}

void fftfreq(atled_frame* f) {
  static const Op cat{"core::cat"};
  const int64_t n = arg_int(f, 0);
  expect_points(n);
  Tensor up = counted(f, 0, n - n / 2), down = counted(f, -(n / 2), 0);
  atled_tensor* parts[2] = {up, down};
  set_out(f, 0, per_length(f, cat(tensors_value(parts, 2), 0)));
}

void rfftfreq(atled_frame* f) {
  const int64_t n = arg_int(f, 0);
  expect_points(n);
  set_out(f, 0, per_length(f, counted(f, 0, n / 2 + 1)));
}

// Each dimension rolled by half of its length: up for fftshift, and back.
void shift(atled_frame* f, bool back) {
  static const Op roll{"core::roll"};
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& dim = f->args[1];
  const int n = is_none(dim) ? input->dl.ndim : static_cast<int>(dim.n);
  int64_t dims[ATLED_MAX_NDIM], by[ATLED_MAX_NDIM];
  if (n > ATLED_MAX_NDIM) fail(ATLED_E_SHAPE, "expected at most %d dimensions, got %d", ATLED_MAX_NDIM, n);
  for (int i = 0; i < n; ++i) {
    dims[i] = is_none(dim) ? i : wrap_dim(dim.u.ints[i], input->dl.ndim);
    const int64_t length = input->dl.ndim ? input->dl.shape[dims[i]] : 1;
    by[i] = back ? (length + 1) / 2 : length / 2;
  }
  const auto count = static_cast<size_t>(n);
  set_out(f, 0, roll(input, ints_value(by, count), ints_value(dims, count)));
}

void fftshift(atled_frame* f) { shift(f, false); }
void ifftshift(atled_frame* f) { shift(f, true); }

void define_along_one() {
  define({"fft::fft(Tensor input, int? n=None, int dim=-1, str? norm=None) -> Tensor",
          "The discrete Fourier transform along dim: out[k] is the sum of input[j] exp(-2 pi i j k / n) over j.\n\n"
          "n: input is cut or padded with zeros to as many points, its own length unless given; InvalidValueError "
          "below 1. norm: \"backward\" (unscaled, the default), \"ortho\" (divided by sqrt(n)) or \"forward\" (by n), "
          "else InvalidValueError.\n\n"
          ">>> at.fft.fft(at.tensor([0.0, 1.0, 0.0, 0.0]))\n"
          "tensor([ 1.+0.j,  0.-1.j, -1.+0.j,  0.+1.j])",
          shape<complex_rule>});
  define({"fft::ifft(Tensor input, int? n=None, int dim=-1, str? norm=None) -> Tensor",
          "The inverse of fft; norm is its counterpart: \"backward\" divides by n, \"forward\" by nothing.\n\n"
          ">>> at.fft.ifft(at.tensor([4.0, 0.0, 0.0, 0.0])).real\n"
          "tensor([1., 1., 1., 1.])",
          shape<complex_rule>});
  define({"fft::rfft(Tensor input, int? n=None, int dim=-1, str? norm=None) -> Tensor",
          "The n // 2 + 1 points of fft that a real input's spectrum is known by; the others are their conjugates.\n\n"
          "n, dim and norm: as in fft.\n\n"
          ">>> at.fft.rfft(at.tensor([1.0, 0.0, 0.0, 0.0])).real\n"
          "tensor([1., 1., 1.])",
          shape<to_half_rule>});
  define({"fft::irfft(Tensor input, int? n=None, int dim=-1, str? norm=None) -> Tensor",
          "The inverse of rfft: n real points, 2 (m - 1) of m unless given.\n\n"
          "The imaginary part of the first point, and for an even n of the last, does not count.\n\n"
          ">>> at.fft.irfft(at.tensor([4.0, 0.0, 0.0]))\ntensor([1., 1., 1., 1.])",
          shape<from_half_rule>});
}

void define_along_several() {
  define({"fft::fftn(Tensor input, int[]? s=None, int[]? dim=None, str? norm=None) -> Tensor",
          "fft along each of dim, of s points each: cut or padded with zeros, -1 is input's own length.\n\n"
          "Without dim, along the last len(s) dimensions, or all. norm divides by the number of all points or its "
          "root. ShapeError where s and dim are of two lengths.\n\n"
          ">>> at.fft.fftn(at.ones(2, 2)).real\n"
          "tensor([[4., 0.],\n"
          "        [0., 0.]])",
          shape<complex_rule>});
  define({"fft::ifftn(Tensor input, int[]? s=None, int[]? dim=None, str? norm=None) -> Tensor",
          "The inverse of fftn; norm as in ifft.\n\n"
          ">>> at.fft.ifftn(at.ones(2, 2)).real\n"
          "tensor([[1., 0.],\n"
          "        [0., 0.]])",
          shape<complex_rule>});
  define({"fft::rfftn(Tensor input, int[]? s=None, int[]? dim=None, str? norm=None) -> Tensor",
          "rfft along the last of dim and fft along the others; s, dim and norm as in fftn.\n\n"
          ">>> at.fft.rfftn(at.ones(2, 4)).shape\n(2, 3)",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::irfftn(Tensor input, int[]? s=None, int[]? dim=None, str? norm=None) -> Tensor",
          "The inverse of rfftn; the last of s is 2 (m - 1) of m points unless given.\n\n"
          ">>> at.fft.irfftn(at.ones(2, 3)).shape\n(2, 4)",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::fft2(Tensor input, int[]? s=None, int[] dim=[-2, -1], str? norm=None) -> Tensor",
          "fftn along two dimensions, the last two unless given.\n\n"
          ">>> at.fft.fft2(at.tensor([[1.0, 2.0], [3.0, 4.0]])).real\n"
          "tensor([[10., -2.],\n"
          "        [-4.,  0.]])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::ifft2(Tensor input, int[]? s=None, int[] dim=[-2, -1], str? norm=None) -> Tensor",
          "ifftn along two dimensions, the last two unless given: the inverse of fft2.\n\n"
          ">>> at.fft.ifft2(at.tensor([[10.0, -2.0], [-4.0, 0.0]])).real\n"
          "tensor([[1., 2.],\n"
          "        [3., 4.]])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::rfft2(Tensor input, int[]? s=None, int[] dim=[-2, -1], str? norm=None) -> Tensor",
          "rfftn along two dimensions, the last two unless given.\n\n"
          ">>> at.fft.rfft2(at.ones(2, 4)).real\n"
          "tensor([[8., 0., 0.],\n"
          "        [0., 0., 0.]])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::irfft2(Tensor input, int[]? s=None, int[] dim=[-2, -1], str? norm=None) -> Tensor",
          "irfftn along two dimensions, the last two unless given: the inverse of rfft2.\n\n"
          ">>> at.fft.irfft2(at.tensor([[8.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))\n"
          "tensor([[1., 1., 1., 1.],\n"
          "        [1., 1., 1., 1.]])",
          nullptr, ATLED_OP_COMPOSITE});
}

void define_hermitian() {
  define({"fft::hfft(Tensor input, int? n=None, int dim=-1, str? norm=None) -> Tensor",
          "fft of a Hermitian signal of n points (2 (m - 1) of m unless given), of which input is the first half.\n\n"
          ">>> at.fft.hfft(at.tensor([1.0, 0.0, 0.0]))\ntensor([1., 1., 1., 1.])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::ihfft(Tensor input, int? n=None, int dim=-1, str? norm=None) -> Tensor",
          "The inverse of hfft: the first n / 2 + 1 points of a real input's ifft.\n\n"
          ">>> at.fft.ihfft(at.tensor([4.0, 0.0, 0.0, 0.0])).abs()\ntensor([1., 1., 1.])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::hfftn(Tensor input, int[]? s=None, int[]? dim=None, str? norm=None) -> Tensor",
          "hfft along the last of dim and fft along the others; s, dim and norm as in fftn.\n\n"
          ">>> at.fft.hfftn(at.ones(2, 3)).shape\n(2, 4)",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::ihfftn(Tensor input, int[]? s=None, int[]? dim=None, str? norm=None) -> Tensor",
          "The inverse of hfftn: ihfft along the last of dim and ifft along the others.\n\n"
          ">>> at.fft.ihfftn(at.ones(2, 4)).shape\n(2, 3)",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::hfft2(Tensor input, int[]? s=None, int[] dim=[-2, -1], str? norm=None) -> Tensor",
          "hfftn along two dimensions, the last two unless given.\n\n"
          ">>> at.fft.hfft2(at.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))\n"
          "tensor([[1., 1., 1., 1.],\n"
          "        [1., 1., 1., 1.]])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::ihfft2(Tensor input, int[]? s=None, int[] dim=[-2, -1], str? norm=None) -> Tensor",
          "ihfftn along two dimensions, the last two unless given: the inverse of hfft2.\n\n"
          ">>> at.fft.ihfft2(at.ones(2, 4)).abs()\n"
          "tensor([[1., 0., 0.],\n"
          "        [0., 0., 0.]])",
          nullptr, ATLED_OP_COMPOSITE});
}

void define_frequencies() {
  const uint32_t factory = ATLED_OP_FACTORY | ATLED_OP_FUNCTION | ATLED_OP_COMPOSITE;
  define({"fft::fftfreq(int n, float d=1.0, *, dtype? dtype=None, device? device=None) -> Tensor",
          "The frequencies of fft's n points, in cycles for each unit of the sample spacing d.\n\n"
          "dtype: the default float unless given. InvalidValueError for n below 1.\n\n"
          ">>> at.fft.fftfreq(4)\n"
          "tensor([ 0.0000,  0.2500, -0.5000, -0.2500])",
          nullptr, factory});
  define({"fft::rfftfreq(int n, float d=1.0, *, dtype? dtype=None, device? device=None) -> Tensor",
          "The frequencies of rfft's n / 2 + 1 points, in cycles for each unit of the sample spacing d.\n\n"
          ">>> at.fft.rfftfreq(4)\ntensor([0.0000, 0.2500, 0.5000])",
          nullptr, factory});
  define({"fft::fftshift(Tensor input, int[]? dim=None) -> Tensor",
          "fft's points in the order of their frequencies, 0 in the middle; along dim, or all dimensions.\n\n"
          ">>> at.fft.fftshift(at.fft.fftfreq(4))\ntensor([-0.5000, -0.2500,  0.0000,  0.2500])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"fft::ifftshift(Tensor input, int[]? dim=None) -> Tensor",
          "The inverse of fftshift, for even and odd sizes.\n\n"
          ">>> at.fft.ifftshift(at.tensor([-1, 0, 1]))\n"
          "tensor([ 0,  1, -1])",
          nullptr, ATLED_OP_COMPOSITE});
}

void define_fft() {
  define_along_one();
  define_along_several();
  define_hermitian();
  define_frequencies();
}
ATLED_OPS(define_fft);

void add_fft() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  for (const char* op : {"fft::hfft", "fft::hfftn", "fft::hfft2"}) any(op, kernel<hfft>);
  for (const char* op : {"fft::ihfft", "fft::ihfftn", "fft::ihfft2"}) any(op, kernel<ihfft>);
  any("fft::rfftn", kernel<rfftn>);
  any("fft::irfftn", kernel<irfftn>);
  any("fft::fft2", kernel<fft2>);
  any("fft::ifft2", kernel<ifft2>);
  any("fft::rfft2", kernel<rfftn>);
  any("fft::irfft2", kernel<irfftn>);
  any("fft::fftfreq", kernel<fftfreq>);
  any("fft::rfftfreq", kernel<rfftfreq>);
  any("fft::fftshift", kernel<fftshift>);
  any("fft::ifftshift", kernel<ifftshift>);
}
ATLED_KERNELS(add_fft);

}  // namespace

}  // namespace atled::core
