// Direct convolution for what no library covers: float64, and every dtype where oneDNN is not built in. Contiguous
// data; T is float or double; the sums do not depend on the number of threads.
#pragma once

#include "ops/rules.h"

namespace atled::nn {

// bias may be NULL.
template <class T>
void direct_convolution(const Convolution& s, const T* input, const T* weight, const T* bias, T* output);
template <class T>
void direct_convolution_input(const Convolution& s, const T* grad, const T* weight, T* grad_input);
template <class T>
void direct_convolution_weight(const Convolution& s, const T* grad, const T* input, T* grad_weight);

}  // namespace atled::nn
