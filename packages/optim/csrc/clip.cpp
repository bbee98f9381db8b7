// Clipping by the norm of all gradients together (Pascanu et al. 2013). The norm stays a tensor, so that no device is
// waited for.
#include <cmath>
#include <limits>

#include "lists.h"

namespace atled::optim {
namespace {

// The p-norm of all elements; sums in double over blocks of fixed size, so that the number of threads changes nothing.
void grad_norm(atled_frame* f) {
  Tensors grads = f->args[0];
  const double p = arg_double(f, 1);
  if (!(p > 0)) fail(ATLED_E_VALUE, "expected norm_type > 0 (inf for the largest element), got %g", p);
  const bool largest = std::isinf(p);
  int dtype = ATLED_FLOAT32;
  double total = 0;
  static const atled::Op contiguous{"core::contiguous"};
  for (uint32_t i = 0; i < grads.n; ++i) {
    if (!is_floating(entry(grads, i)->dtype))
      fail(ATLED_E_DTYPE, "expected gradients of a floating-point dtype, got %s", dtype_name(entry(grads, i)->dtype));
    if (entry(grads, i)->dtype == ATLED_FLOAT64) dtype = ATLED_FLOAT64;
    Tensor g = is_contiguous(entry(grads, i)) ? Tensor::borrow(entry(grads, i)) : contiguous(entry(grads, i));
    const int64_t n = numel(g), blocks = (n + kGrain - 1) / kGrain;
    std::vector<double> partial(static_cast<size_t>(blocks));
    visit_floating(g->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* at = data<T>(g);
      parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          const int64_t stop = (b + 1) * kGrain < n ? (b + 1) * kGrain : n;
          double lanes[8] = {};
          for (int64_t k = b * kGrain; k < stop; ++k) {
            const double x = std::fabs(static_cast<double>(Compute<T>(at[k])));
            double& lane = lanes[k & 7];
            lane = largest ? (x > lane || x != x ? x : lane) : lane + (p == 2 ? x * x : p == 1 ? x : std::pow(x, p));
          }
          double sum = 0;
          for (double lane : lanes) sum = largest ? (lane > sum || lane != lane ? lane : sum) : sum + lane;
          partial[static_cast<size_t>(b)] = sum;
        }
      });
    });
    for (double part : partial) total = largest ? (part > total || part != part ? part : total) : total + part;
  }
  if (!largest) total = p == 2 ? std::sqrt(total) : p == 1 ? total : std::pow(total, 1 / p);
  Tensor out = Tensor::empty(dtype, {});
  if (dtype == ATLED_FLOAT64)
    *data<double>(out) = total;
  else
    *data<float>(out) = static_cast<float>(total);
  set_out(f, 0, std::move(out));
}

// Multiplies every gradient by min(1, max_norm / (norm + 1e-6)).
void scale_by_norm(atled_frame* f) {
  Tensors grads = f->args[0];
  const atled_tensor* norm = arg_tensor(f, 1);
  if (numel(norm) != 1 || (norm->dtype != ATLED_FLOAT32 && norm->dtype != ATLED_FLOAT64))
    fail(ATLED_E_ARGUMENT, "expected norm to be one float32 or float64, got %s of shape %s", dtype_name(norm->dtype),
         shape_text(norm).c_str());
  const double value = norm->dtype == ATLED_FLOAT64 ? *data<double>(norm) : static_cast<double>(*data<float>(norm));
  const double factor = arg_double(f, 2) / (value + 1e-6);
  check_params(grads);
  return_list(f, grads);
  if (factor >= 1) return;
  for (uint32_t i = 0; i < grads.n; ++i) {
    atled_tensor* g = entry(grads, i);
    visit_floating(g->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto by = static_cast<Compute<T>>(factor);
      walk<T>(&g, 1, [&](T* const* at, int64_t n) {
        for (int64_t k = 0; k < n; ++k) at[0][k] = T(Compute<T>(at[0][k]) * by);
      });
    });
  }
}

}  // namespace

void define_clip() {
  const atled_op* norm = define({"optim::grad_norm(Tensor[] grads, float norm_type=2.0) -> Tensor",
                                 "The p-norm of all elements of all tensors, a 0-d tensor of float32 (float64 if one "
                                 "of them is); inf is the largest element."});
  add_kernel(norm, ATLED_DEVICE_CPU, kernel<grad_norm>);
  const atled_op* scale =
      define({"optim::scale_by_norm_(Tensor(a!)[] grads, Tensor norm, float max_norm) -> Tensor[]",
              "Multiplies the tensors by min(1, max_norm / (norm + 1e-6)), in place. Returns them."});
  add_kernel(scale, ATLED_DEVICE_CPU, kernel<scale_by_norm>);
  check(layer_group->skip(norm, ~uint64_t{0}));
  check(layer_group->skip(scale, ~uint64_t{0}));
}

}  // namespace atled::optim
