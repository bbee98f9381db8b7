// Short-time Fourier transforms, composed of framing, windows and the transforms of the namespace fft.
#include <algorithm>
#include <string>

#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

const Op arange_op{"core::arange"}, zeros_op{"core::zeros"}, ones_op{"core::ones"}, cat_op{"core::cat"};
const Op index_select_op{"core::index_select"}, index_add_op{"core::index_add"}, unfold_op{"core::unfold"};
const Op mul_op{"core::mul"}, div_op{"core::div"}, transpose_op{"core::transpose"}, reshape_op{"core::reshape"};
const Op narrow_op{"core::narrow"}, unsqueeze_op{"core::unsqueeze"}, squeeze_op{"core::squeeze"};

bool is_set(const atled_value& v, bool otherwise) { return is_none(v) ? otherwise : v.u.i != 0; }

int64_t or_else(const atled_value& v, int64_t otherwise) { return is_none(v) ? otherwise : as_int(v); }

atled_value text_value(const char* text, size_t n) {
  atled_value v = none();
  v.u.str = text;
  v.n = static_cast<uint32_t>(n);
  v.tag = ATLED_STRING;
  return v;
}

Tensor joined(std::initializer_list<atled_tensor*> parts, int64_t dim) {
  atled_tensor* list[3];
  std::copy(parts.begin(), parts.end(), list);
  return cat_op(tensors_value(list, parts.size()), dim);
}

// Half precision is windowed and transformed in float32.
Tensor widened(atled_tensor* t) {
  static const Op to{"core::to"};
  const int dtype = compute_dtype(t->dtype);
  return dtype == t->dtype ? Tensor::borrow(t) : to(t, dtype_value(dtype));
}

Tensor zeros_beside(atled_tensor* t, int64_t n) {
  int64_t shape[ATLED_MAX_NDIM];
  std::copy(t->dl.shape, t->dl.shape + t->dl.ndim, shape);
  shape[t->dl.ndim - 1] = n;
  return zeros_op(ints_value(shape, static_cast<size_t>(t->dl.ndim)), dtype_value(t->dtype),
                  device_value(t->dl.device));
}

Tensor padded_with_zeros(atled_tensor* t, int64_t before, int64_t after) {
  if (before == 0 && after == 0) return Tensor::borrow(t);
  Tensor left = zeros_beside(t, before), right = zeros_beside(t, after);
  return joined({left, t, right}, -1);
}

// The arguments that stft and istft have in common, from n_fft on.
struct Frames {
  Frames(const atled_frame* f, atled_tensor* input)
      : n_fft(arg_int(f, 1)), hop(or_else(f->args[2], n_fft / 4)), length(or_else(f->args[3], n_fft)) {
    if (n_fft < 1) fail(ATLED_E_VALUE, "expected n_fft >= 1, got %lld", (long long)n_fft);
    if (hop < 1) fail(ATLED_E_VALUE, "expected hop_length >= 1, got %lld", (long long)hop);
    if (length < 1 || length > n_fft)
      fail(ATLED_E_VALUE, "expected win_length in [1, n_fft] = [1, %lld], got %lld", (long long)n_fft,
           (long long)length);
    if (is_none(f->args[4])) {
      const int dtype = real_dtype(compute_dtype(float_dtype(input->dtype)));
      if (length < n_fft) window = ones_op(ints_value(&length, 1), dtype_value(dtype), device_value(input->dl.device));
    } else {
      window = widened(f->args[4].u.tensor);
      if (window->dl.ndim != 1 || window->dl.shape[0] != length)
        fail(ATLED_E_SHAPE, "expected window of shape (%lld,), got %s", (long long)length, shape_text(window).c_str());
    }
    if (window) window = padded_with_zeros(window, (n_fft - length) / 2, n_fft - length - (n_fft - length) / 2);
  }

  int64_t n_fft, hop, length;
  Tensor window;  // of n_fft points, or none for ones
};

// The signals with n more points at each end.
Tensor padded(const Tensor& signals, int64_t n, const atled_value& mode) {
  const std::string name(mode.u.str, mode.n);
  const int64_t last = signals->dl.shape[1] - 1;
  const atled_value device = device_value(signals->dl.device), int64 = dtype_value(ATLED_INT64);
  auto range = [&](int64_t start, int64_t end, int64_t step) { return arange_op(start, end, step, int64, device); };
  if (name == "constant") return padded_with_zeros(signals, n, n);
  if (name != "reflect" && name != "replicate" && name != "circular")
    fail(ATLED_E_VALUE, "expected pad_mode to be reflect, constant, replicate or circular, got '%s'", name.c_str());
  if (last < 0 || (name == "reflect" && n > last) || (name == "circular" && n > last + 1))
    fail(ATLED_E_SHAPE, "expected a signal of more than n_fft / 2 = %lld points for pad_mode %s, got %lld",
         (long long)n, name.c_str(), (long long)(last + 1));
  Tensor inside = range(0, last + 1, 1), before, after;
  if (name == "reflect") {
    before = range(n, 0, -1);
    after = range(last - 1, last - 1 - n, -1);
  } else if (name == "circular") {
    before = range(last + 1 - n, last + 1, 1);
    after = range(0, n, 1);
  } else {
    before = zeros_op(ints_value(&n, 1), int64, device);
    static const Op full{"core::full"};
    after = full(ints_value(&n, 1), last, int64, device);
  }
  return index_select_op(signals, 1, joined({before, inside, after}, 0));
}

atled_value norm_of(bool normalized) { return normalized ? text_value("ortho", 5) : none(); }

// (input, n_fft, hop_length, win_length, window, center, pad_mode, normalized, onesided, return_complex,
// align_to_window)
void stft(atled_frame* f) {
  static const Op rfft{"fft::rfft"}, fft{"fft::fft"}, view_as_real{"core::view_as_real"};
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim != 1 && input->dl.ndim != 2)
    fail(ATLED_E_SHAPE, "expected input of 1 or 2 dimensions, got shape %s", shape_text(input).c_str());
  const Frames frames(f, input);
  const bool complex = is_complex(input->dtype) || (frames.window && is_complex(frames.window->dtype));
  const bool onesided = is_set(f->args[8], !complex), center = arg_bool(f, 5), align = is_set(f->args[10], false);
  if (onesided && complex) fail(ATLED_E_VALUE, "expected onesided=False for a complex input or window");
  if (center && !is_none(f->args[10])) fail(ATLED_E_VALUE, "expected no align_to_window where center is True");
  Tensor signals = input->dl.ndim == 1 ? unsqueeze_op(widened(input), 0) : widened(input);
  if (center) signals = padded(signals, frames.n_fft / 2, f->args[6]);
  const int64_t missing = frames.n_fft - frames.length;
  if (align) signals = padded_with_zeros(signals, missing / 2, missing - missing / 2);
  if (signals->dl.shape[1] < frames.n_fft)
    fail(ATLED_E_SHAPE, "expected a signal of at least n_fft = %lld points, got %lld", (long long)frames.n_fft,
         (long long)signals->dl.shape[1]);
  Tensor framed = unfold_op(signals, 1, frames.n_fft, frames.hop);
  if (frames.window) framed = mul_op(framed, frames.window);
  Tensor out = (onesided ? rfft : fft)(framed, none(), -1, norm_of(arg_bool(f, 7)));
  out = transpose_op(out, 1, 2);
  if (input->dl.ndim == 1) out = squeeze_op(out, 0);
  set_out(f, 0, is_set(f->args[9], true) ? std::move(out) : view_as_real(out));
}

// Sums of the frames (batch, count, n_fft), each begun hop points after the one before.
Tensor overlapped(const Tensor& framed, int64_t hop) {
  const int64_t batch = framed->dl.shape[0], count = framed->dl.shape[1], n = framed->dl.shape[2];
  const int64_t total = n + hop * (count - 1), whole[2] = {batch, total}, flat[2] = {batch, count * n}, all = -1;
  const atled_value device = device_value(framed->dl.device);
  Tensor places = unfold_op(arange_op(0, total, 1, dtype_value(ATLED_INT64), device), 0, n, hop);
  return index_add_op(zeros_op(ints_value(whole, 2), dtype_value(framed->dtype), device), 1,
                      reshape_op(places, ints_value(&all, 1)), reshape_op(framed, ints_value(flat, 2)));
}

// How much the windows, squared, add up to at each of the points [start, start + length) of count frames.
Tensor envelope(const Frames& frames, atled_tensor* like, int64_t count, int64_t start, int64_t length) {
  static const Op expand{"core::expand"}, abs{"core::abs"}, lt{"core::lt"}, zeros_like{"core::zeros_like"};
  static const Op equal{"core::equal"};
  Tensor window = frames.window;
  if (!window) window = ones_op(ints_value(&frames.n_fft, 1), dtype_value(like->dtype), device_value(like->dl.device));
  const int64_t shape[3] = {1, count, frames.n_fft};
  Tensor sums =
      narrow_op(overlapped(expand(mul_op(window, window), ints_value(shape, 3)), frames.hop), 1, start, length);
  Tensor missing = lt(abs(sums), 1e-11);
  atled_value covered = none();
  equal.run(0, &covered, {value(missing), value(zeros_like(missing))});
  if (covered.u.i == 0)
    fail(ATLED_E_VALUE,
         "expected windows that overlap to more than 1e-11 at every point; choose a shorter hop_length, or center");
  return sums;
}

// (input, n_fft, hop_length, win_length, window, center, normalized, onesided, length, return_complex)
void istft(atled_frame* f) {
  static const Op irfft{"fft::irfft"}, ifft{"fft::ifft"};
  atled_tensor* input = arg_tensor(f, 0);
  if (!is_complex(input->dtype)) fail(ATLED_E_DTYPE, "expected input to be complex, got %s", dtype_name(input->dtype));
  if (input->dl.ndim != 2 && input->dl.ndim != 3)
    fail(ATLED_E_SHAPE, "expected input of 2 or 3 dimensions, got shape %s", shape_text(input).c_str());
  const Frames frames(f, input);
  const int64_t points = input->dl.shape[input->dl.ndim - 2], count = input->dl.shape[input->dl.ndim - 1];
  const bool onesided = is_set(f->args[7], points != frames.n_fft), complex = arg_bool(f, 9);
  const int64_t expected = onesided ? frames.n_fft / 2 + 1 : frames.n_fft;
  if (points != expected)
    fail(ATLED_E_SHAPE, "expected input.shape[-2] = %lld frequencies for n_fft %lld, got %lld", (long long)expected,
         (long long)frames.n_fft, (long long)points);
  if (count < 1) fail(ATLED_E_SHAPE, "expected at least one frame, got shape %s", shape_text(input).c_str());
  if (frames.hop > (INT64_MAX - frames.n_fft) / count)
    fail(ATLED_E_VALUE, "expected a result of fewer than 2^63 points, got hop_length %lld", (long long)frames.hop);
  if (onesided && complex) fail(ATLED_E_VALUE, "expected onesided=False for a complex result");
  if (!complex && frames.window && is_complex(frames.window->dtype))
    fail(ATLED_E_DTYPE, "expected a real window for a real result, got %s", dtype_name(frames.window->dtype));
  Tensor spectra = transpose_op(input->dl.ndim == 2 ? unsqueeze_op(input, 0) : Tensor::borrow(input), 1, 2);
  if (!onesided && !complex) spectra = narrow_op(spectra, 2, 0, frames.n_fft / 2 + 1);
  Tensor framed = (complex ? ifft : irfft)(spectra, frames.n_fft, -1, norm_of(arg_bool(f, 6)));
  if (frames.window) framed = mul_op(framed, frames.window);
  Tensor signal = overlapped(framed, frames.hop);

  const int64_t total = signal->dl.shape[1], start = arg_bool(f, 5) ? frames.n_fft / 2 : 0;
  const int64_t asked = or_else(f->args[8], -1);
  const int64_t end = std::min(total, asked >= 0 ? start + asked : total - start), length = end - start;
  if (length < 1)
    fail(ATLED_E_SHAPE, "expected frames of more than the %lld points that center cuts off", (long long)(2 * start));
  Tensor weights = envelope(frames, framed, count, start, length);
  signal = div_op(narrow_op(signal, 1, start, length), weights);
  if (asked > length) signal = padded_with_zeros(signal, 0, asked - length);
  set_out(f, 0, input->dl.ndim == 2 ? squeeze_op(signal, 0) : std::move(signal));
}

void define_spectrogram() {
  define(
      {"stft(Tensor input, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool "
       "center=True, "
       "str pad_mode=\"reflect\", bool normalized=False, bool? onesided=None, bool? return_complex=None, "
       "bool? align_to_window=None) -> Tensor",
       "The spectra of a signal's frames: each of n_fft points, hop_length (n_fft / 4) after the one before, times "
       "window.\n\n"
       "input: (n,) or (batch, n). window: (win_length,), ones unless given, in the middle of n_fft points. center: "
       "frame t is around point t * hop_length, of the signal padded as pad_mode (reflect, constant, replicate, "
       "circular) says; else it begins there, or its window does with align_to_window. normalized: divided by "
       "sqrt(n_fft). onesided: the n_fft / 2 + 1 frequencies that a real signal is known by, for real ones unless set "
       "otherwise. return_complex False gives the parts in a last dimension.\n\n"
       "Returns complex (batch, frequencies, frames), without batch for one signal.\n\n"
       ">>> at.stft(at.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]), 4, hop_length=4, center=False).real\n"
       "tensor([[4., 0.],\n        [0., 0.],\n        [0., 0.]])",
       nullptr, ATLED_OP_COMPOSITE});
  define(
      {"istft(Tensor input, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool "
       "center=True, "
       "bool normalized=False, bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor",
       "The signal whose stft comes closest to input, by least squares (Griffin and Lim, 1984).\n\n"
       "input: complex (batch, frequencies, frames), or without batch; the other arguments as stft had them. length: "
       "how "
       "many points to return, all that frames cover unless given. The windows must overlap at every point.\n\n"
       ">>> x, w = at.ones(400), at.hann_window(64)\n"
       ">>> at.istft(at.stft(x, 64, window=w), 64, window=w).allclose(x)\nTrue",
       nullptr, ATLED_OP_COMPOSITE});
}

ATLED_OPS(define_spectrogram);

void add_spectrogram() {
  add_kernel("core::stft", ATLED_DEVICE_ANY, kernel<stft>);
  add_kernel("core::istft", ATLED_DEVICE_ANY, kernel<istft>);
}

ATLED_KERNELS(add_spectrogram);

}  // namespace
}  // namespace atled::core
