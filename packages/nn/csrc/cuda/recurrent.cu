// The point-wise parts of recurrent cells: a thread for each element of the state.
#include <utility>

#include "cuda/kernel.cuh"
#include "functors/recurrent.h"

namespace atled::nn {

namespace {

// The n elements of a state in rows of `size`: its element i has the gates at(i, count), at(i, count) + size, ...
struct Elements {
  int64_t n, size;
  explicit Elements(const atled_tensor* state) : n(numel(state)), size(state->dl.shape[state->dl.ndim - 1]) {}
  __device__ int64_t at(int64_t i, int64_t count) const { return i / size * size * (count - 1) + i; }
};

template <class T>
static __device__ __forceinline__ Wide<T> wide(T x) {
  return static_cast<Wide<T>>(x);
}

template <class T>
static __device__ __forceinline__ Lstm<Wide<T>> lstm_at(const T* gates, int64_t size, T c) {
  return {wide(gates[0]), wide(gates[size]), wide(gates[2 * size]), wide(gates[3 * size]), wide(c)};
}

template <class T>
static __device__ __forceinline__ Gru<Wide<T>> gru_at(const T* x, const T* h, int64_t size, T state) {
  return {wide(x[0]), wide(x[size]), wide(x[2 * size]), wide(h[0]), wide(h[size]), wide(h[2 * size]), wide(state)};
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    lstm_kernel(const Elements each, const T* gates, const T* cx, T* hy, T* cy) {
  for (int64_t i = thread_index(); i < each.n; i += thread_count()) {
    const Lstm<Wide<T>> s = lstm_at(gates + each.at(i, 4), each.size, cx[i]);
    hy[i] = T(s.hidden());
    cy[i] = T(s.next());
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) lstm_backward_kernel(const Elements each, const T* grad_h, const T* grad_c,
                                                                 const T* gates, const T* cx, T* to_gates, T* to_cx) {
  for (int64_t i = thread_index(); i < each.n; i += thread_count()) {
    const int64_t at = each.at(i, 4), size = each.size;
    const Lstm<Wide<T>> s = lstm_at(gates + at, size, cx[i]);
    const Wide<T> g = wide(grad_h[i]), through = s.through(g, wide(grad_c[i]));
    to_gates[at] = T(s.to_input(through));
    to_gates[at + size] = T(s.to_forget(through));
    to_gates[at + 2 * size] = T(s.to_cell(through));
    to_gates[at + 3 * size] = T(s.to_output(g));
    to_cx[i] = T(s.to_cx(through));
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    gru_kernel(const Elements each, const T* x, const T* h, const T* hx, T* hy) {
  for (int64_t i = thread_index(); i < each.n; i += thread_count()) {
    const int64_t at = each.at(i, 3);
    hy[i] = T(gru_at(x + at, h + at, each.size, hx[i]).hidden());
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) gru_backward_kernel(const Elements each, const T* grad, const T* x,
                                                                const T* h, const T* hx, T* to_x, T* to_h, T* to_hx) {
  for (int64_t i = thread_index(); i < each.n; i += thread_count()) {
    const int64_t at = each.at(i, 3), size = each.size;
    const Gru<Wide<T>> s = gru_at(x + at, h + at, size, hx[i]);
    const Wide<T> g = wide(grad[i]), to_new = s.to_new(g);
    to_x[at] = to_h[at] = T(s.to_reset(to_new));
    to_x[at + size] = to_h[at + size] = T(s.to_update(g));
    to_x[at + 2 * size] = T(to_new);
    to_h[at + 2 * size] = T(to_new * s.r);
    to_hx[i] = T(g * s.z);
  }
}

// Runs a kernel with the pointers of the arguments, the last of which is the state, and of the results.
template <class T, class... P, size_t... I, size_t... O>
void run(const atled_frame* f, void (*kernel)(Elements, P...), std::index_sequence<I...>, std::index_sequence<O...>) {
  const Tensor in[] = {contiguous(arg_tensor(f, static_cast<int>(I)))...};
  const Elements each(in[sizeof...(I) - 1]);
  if (each.n == 0) return;
  const On on(in[0]);
  on.run(kernel, blocks_for(each.n), each, data<const T>(in[I])..., data<T>(out_tensor(f, static_cast<int>(O)))...);
}

template <size_t n>
constexpr auto first = std::make_index_sequence<n>();

void lstm(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    run<T>(f, lstm_kernel<T>, first<2>, first<2>);
  });
}

void lstm_backward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    run<T>(f, lstm_backward_kernel<T>, first<4>, first<2>);
  });
}

void gru(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    run<T>(f, gru_kernel<T>, first<3>, first<1>);
  });
}

void gru_backward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    run<T>(f, gru_backward_kernel<T>, first<4>, first<3>);
  });
}

void add_recurrent() {
  add_cuda_kernel<lstm>("nn::lstm_cell");
  add_cuda_kernel<lstm_backward>("nn::lstm_cell_backward");
  add_cuda_kernel<gru>("nn::gru_cell");
  add_cuda_kernel<gru_backward>("nn::gru_cell_backward");
}
ATLED_CUDA_KERNELS(add_recurrent);

}  // namespace

}  // namespace atled::nn
