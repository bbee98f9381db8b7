// What the product kernels share.
#pragma once

#include "cuda/product_kernels.h"
#include "cuda/reduce.cuh"
#include "functors/products.h"

namespace atled::core::cuda {

// alpha and beta in the type of the sums; 1 and 0 are left out, for they must not change what is not finite.
template <class P>
struct Ending {
  using Acc = typename P::Acc;
  Acc alpha, beta;
  bool scales, adds;

  Ending(std::complex<double> a, std::complex<double> b)
      : alpha(number(a)), beta(number(b)), scales(a != 1.0), adds(b != 0.0) {}
  __device__ __forceinline__ void store(typename P::Stored* out, const typename P::Stored* c, Acc sum) const {
    if (scales) sum = P::plus_product(Acc{}, alpha, sum);
    if (adds) sum = P::plus_product(sum, beta, P::wide(*c));
    *out = P::narrow(sum);
  }

 private:
  static Acc number(std::complex<double> z) {
    if constexpr (std::is_class_v<Acc>) {
      using T = decltype(Acc::re);
      return Acc{static_cast<T>(z.real()), static_cast<T>(z.imag())};
    } else if constexpr (std::is_same_v<P, TruthProducts>) {
      return z != 0.0;
    } else if constexpr (std::is_integral_v<Acc>) {
      return static_cast<Acc>(static_cast<int64_t>(z.real()));
    } else {
      return static_cast<Acc>(z.real());
    }
  }
};

template <class F>
void visit_products(int dtype, F&& f) {
  switch (dtype) {
    case ATLED_BOOL:
      return f(Tag<TruthProducts>{});
    case ATLED_UINT8:
    case ATLED_INT8:
      return f(Tag<IntegerProducts<uint8_t, uint32_t>>{});
    case ATLED_UINT16:
    case ATLED_INT16:
      return f(Tag<IntegerProducts<uint16_t, uint32_t>>{});
    case ATLED_UINT32:
    case ATLED_INT32:
      return f(Tag<IntegerProducts<uint32_t, uint32_t>>{});
    case ATLED_UINT64:
    case ATLED_INT64:
      return f(Tag<IntegerProducts<uint64_t, uint64_t>>{});
    case ATLED_FLOAT16:
      return f(Tag<FloatProducts<Half, float>>{});
    case ATLED_BFLOAT16:
      return f(Tag<FloatProducts<BFloat16, float>>{});
    case ATLED_FLOAT32:
      return f(Tag<FloatProducts<float, float>>{});
    case ATLED_FLOAT64:
      return f(Tag<FloatProducts<double, double>>{});
    case ATLED_COMPLEX64:
      return f(Tag<ComplexProducts<float>>{});
    default:
      return f(Tag<ComplexProducts<double>>{});
  }
}

}  // namespace atled::core::cuda
