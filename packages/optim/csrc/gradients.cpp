#include "gradients.h"

#include <atomic>

namespace atled::optim {
namespace {

// Sums in double over blocks of fixed size, so that the number of threads changes nothing.
void grad_norm(atled_frame* f) {
  const RealList lengths(f->args[0], length);
  Tensors grads = lengths;
  const Norm norm(arg_double(f, 1));
  const int dtype = norm_dtype(grads);
  double total = 0;
  static const atled::Op contiguous{"core::contiguous"};
  for (uint32_t i = 0; i < grads.n; ++i) {
    Tensor g = is_contiguous(entry(grads, i)) ? Tensor::borrow(entry(grads, i)) : contiguous(entry(grads, i));
    const int64_t n = numel(g), blocks = (n + kGrain - 1) / kGrain;
    std::vector<double> partial(static_cast<size_t>(blocks));
    visit_float(g->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* at = data<T>(g);
      parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          const int64_t stop = (b + 1) * kGrain < n ? (b + 1) * kGrain : n;
          double lanes[8] = {};
          for (int64_t k = b * kGrain; k < stop; ++k)
            lanes[k & 7] = norm.add(lanes[k & 7], static_cast<double>(Compute<T>(at[k])));
          double sum = 0;
          for (double lane : lanes) sum = norm.join(sum, lane);
          partial[static_cast<size_t>(b)] = sum;
        }
      });
    });
    for (double part : partial) total = norm.join(total, part);
  }
  total = norm.finish(total);
  Tensor out = Tensor::empty(dtype, {});
  if (dtype == ATLED_FLOAT64)
    *data<double>(out) = total;
  else
    *data<float>(out) = static_cast<float>(total);
  set_out(f, 0, std::move(out));
}

// Multiplies every gradient by min(1, max_norm / (norm + 1e-6)).
void scale_by_norm(atled_frame* f) {
  const ScaleCall call(f);
  const double value = call.norm->dtype == ATLED_FLOAT64 ? *data<double>(call.norm) : *data<float>(call.norm);
  const double factor = ScaleCall::factor(value, call.max_norm);
  return_list(f, f->args[0]);
  if (factor == 1) return;
  for (uint32_t i = 0; i < call.grads.n; ++i) {
    atled_tensor* g = entry(call.grads, i);
    visit_float(g->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto by = static_cast<Compute<T>>(factor);
      walk<T>(&g, 1, [&](T* const* at, int64_t n) {
        for (int64_t k = 0; k < n; ++k) at[0][k] = T(Compute<T>(at[0][k]) * by);
      });
    });
  }
}

void unscale(atled_frame* f) {
  const UnscaleCall call(f);
  std::atomic<bool> found{false};
  for (uint32_t i = 0; i < call.grads.n; ++i) {
    atled_tensor* g = entry(call.grads, i);
    visit_float(g->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto by = static_cast<Compute<T>>(call.by);
      walk<T>(&g, 1, [&](T* const* at, int64_t n) {
        Compute<T> sum = 0;  // of differences that are 0 for finite numbers, else NaN
        for (int64_t k = 0; k < n; ++k) {
          const auto x = Compute<T>(at[0][k]);
          sum += x - x;
          at[0][k] = T(x * by);
        }
        if (!finite(sum)) found.store(true, std::memory_order_relaxed);
      });
    });
  }
  Tensor out = Tensor::empty(ATLED_FLOAT32, {});
  *data<float>(out) = found ? 1.0f : 0.0f;
  set_out(f, 0, std::move(out));
}

}  // namespace

void define_gradients() {
  const atled_op* norm = define({"optim::grad_norm(Tensor[] grads, float norm_type=2.0) -> Tensor",
                                 "The p-norm of all elements of all tensors, a 0-d tensor of float32 (float64 if one "
                                 "of them is); inf is the largest element.\n\n"
                                 ">>> at.ops.optim.grad_norm([at.tensor([3.0]), at.tensor([4.0])])\ntensor(5.)"});
  add_kernel(norm, ATLED_DEVICE_CPU, kernel<grad_norm>);
  const atled_op* scale = define(
      {"optim::scale_by_norm_(Tensor(a!)[] grads, Tensor norm, float max_norm) -> Tensor[]",
       "Multiplies the tensors by min(1, max_norm / (norm + 1e-6)), in place. Returns them.\n\n"
       ">>> at.ops.optim.scale_by_norm_([at.tensor([3.0, 4.0])], at.tensor(5.0), 1.0)[0]\ntensor([0.6000, 0.8000])"});
  add_kernel(scale, ATLED_DEVICE_CPU, kernel<scale_by_norm>);
  const atled_op* unscaled = define({"optim::unscale_(Tensor(a!)[] grads, float inv_scale) -> Tensor",
                                     "Multiplies the tensors by inv_scale, in place. Returns a 0-d float32: 1 where "
                                     "some element was infinite or NaN, else 0.\n\n"
                                     ">>> grads = [at.tensor([2.0, float(\"inf\")])]\n"
                                     ">>> at.ops.optim.unscale_(grads, 0.5).item(), grads[0].tolist()\n"
                                     "(1.0, [1.0, inf])"});
  add_kernel(unscaled, ATLED_DEVICE_CPU, kernel<unscale>);
  for (const atled_op* op : {norm, scale, unscaled}) check(layer_group->skip(op, ~uint64_t{0}));
}

}  // namespace atled::optim
