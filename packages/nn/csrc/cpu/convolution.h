// Convolution where no library computes it: float64, and every dtype where oneDNN is not built in. Contiguous data; T
// is float or double; the sums do not depend on the number of threads.
#pragma once

#include "ops/rules.h"

namespace atled::nn {

// Whether groups have enough channels for products of matrices; the direct loops are faster for few.
bool as_products(const Convolution& s);
// bias may be NULL.
template <class T>
void product_convolution(const Convolution& s, const Tensor& input, const Tensor& weight, const T* bias, T* output);
template <class T>
void product_convolution_input(const Convolution& s, const Tensor& grad, const Tensor& weight, T* grad_input);
template <class T>
void product_convolution_weight(const Convolution& s, const Tensor& grad, const Tensor& input, T* grad_weight);

template <class T>
void direct_convolution(const Convolution& s, const T* input, const T* weight, const T* bias, T* output);
template <class T>
void direct_convolution_input(const Convolution& s, const T* grad, const T* weight, T* grad_input);
template <class T>
void direct_convolution_weight(const Convolution& s, const T* grad, const T* input, T* grad_weight);

}  // namespace atled::nn
