// Convolutions whose results are sums of few products, computed as they are defined. Throws Error.
#pragma once

#include "cuda/cudnn.h"
#include "ops/rules.h"

namespace atled::nn {

// Images with few channels, and convolutions of each channel by itself: cuDNN makes products of matrices of them, which
// have next to nothing to multiply, while the images that it lays out anew for that are all that there is to do.
bool has_few_products(cudnn::Kind kind, const Convolution& sizes, int dtype);

// For what has few. The tensors lie in row-major order on the current device; `bias`, of the results' channels, may be
// NULL. Products are added in float32, in an order that only the sizes decide; float32 is not rounded to
// TensorFloat-32.
void convolve_directly(cudnn::Kind kind, const Convolution& sizes, const atled_tensor* weight,
                       const atled_tensor* input, const atled_tensor* output, const atled_tensor* bias);

}  // namespace atled::nn
