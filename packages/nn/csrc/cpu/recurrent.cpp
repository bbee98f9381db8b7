#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// Calls f(at, n) for each row of n elements of a state, of which the first is element `at`.
template <class F>
void each_row(const atled_tensor* state, F&& f) {
  const int64_t n = state->dl.shape[state->dl.ndim - 1];
  if (n == 0) return;
  // An element takes several exponentials.
  parallel_for(numel(state) / n, row_grain(16 * n), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) f(row * n, n);
  });
}

template <class T>
void lstm(atled_frame* f) {
  const Tensor gates = contiguous(arg_tensor(f, 0)), cx = contiguous(arg_tensor(f, 1));
  const T *g = data<T>(gates), *c = data<T>(cx);
  T *hy = data<T>(out_tensor(f, 0)), *cy = data<T>(out_tensor(f, 1));
  const auto run = ATLED_PICK(lstm_values<T>);
  each_row(cx, [&](int64_t at, int64_t n) { run(g + 4 * at, c + at, hy + at, cy + at, n); });
}

template <class T>
void lstm_backward(atled_frame* f) {
  const Tensor grad_h = contiguous(arg_tensor(f, 0)), grad_c = contiguous(arg_tensor(f, 1)),
               gates = contiguous(arg_tensor(f, 2)), cx = contiguous(arg_tensor(f, 3));
  const T *gh = data<T>(grad_h), *gc = data<T>(grad_c), *g = data<T>(gates), *c = data<T>(cx);
  T *to_gates = data<T>(out_tensor(f, 0)), *to_cx = data<T>(out_tensor(f, 1));
  const auto run = ATLED_PICK(lstm_slopes<T>);
  each_row(cx,
           [&](int64_t at, int64_t n) { run(gh + at, gc + at, g + 4 * at, c + at, to_gates + 4 * at, to_cx + at, n); });
}

template <class T>
void gru(atled_frame* f) {
  const Tensor gates_x = contiguous(arg_tensor(f, 0)), gates_h = contiguous(arg_tensor(f, 1)),
               hx = contiguous(arg_tensor(f, 2));
  const T *x = data<T>(gates_x), *h = data<T>(gates_h), *state = data<T>(hx);
  T* hy = data<T>(out_tensor(f));
  const auto run = ATLED_PICK(gru_values<T>);
  each_row(hx, [&](int64_t at, int64_t n) { run(x + 3 * at, h + 3 * at, state + at, hy + at, n); });
}

template <class T>
void gru_backward(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), gates_x = contiguous(arg_tensor(f, 1)),
               gates_h = contiguous(arg_tensor(f, 2)), hx = contiguous(arg_tensor(f, 3));
  const T *g = data<T>(grad), *x = data<T>(gates_x), *h = data<T>(gates_h), *state = data<T>(hx);
  T *to_x = data<T>(out_tensor(f, 0)), *to_h = data<T>(out_tensor(f, 1)), *to_hx = data<T>(out_tensor(f, 2));
  const auto run = ATLED_PICK(gru_slopes<T>);
  each_row(hx, [&](int64_t at, int64_t n) {
    run(g + at, x + 3 * at, h + 3 * at, state + at, to_x + 3 * at, to_h + 3 * at, to_hx + at, n);
  });
}

}  // namespace

void add_recurrent() {
  add_kernel("nn::lstm_cell", ATLED_DEVICE_CPU, kernel<wide_kernel<lstm<float>, lstm<double>, 0>>);
  add_kernel("nn::lstm_cell_backward", ATLED_DEVICE_CPU,
             kernel<wide_kernel<lstm_backward<float>, lstm_backward<double>, 0>>);
  add_kernel("nn::gru_cell", ATLED_DEVICE_CPU, kernel<wide_kernel<gru<float>, gru<double>, 0>>);
  add_kernel("nn::gru_cell_backward", ATLED_DEVICE_CPU,
             kernel<wide_kernel<gru_backward<float>, gru_backward<double>, 0>>);
}

}  // namespace atled::nn
