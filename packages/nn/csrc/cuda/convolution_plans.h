// Convolutions by cuDNN, and what is kept between them. Throws Error; any thread may call it.
#pragma once

#include "cuda/cudnn.h"
#include "ops/rules.h"

namespace atled::nn {

// One convolution, or one of its gradients. The weight, the input and the output (or what their gradients are) lie
// whole in memory: in row-major order, or with the channels last. None of them is empty.
struct ConvolutionCall {
  cudnn::Kind kind;  // kForward, kBackwardInput or kBackwardWeight
  Convolution sizes;
  int dtype;
  int device;  // the current one
  bool channels_last;
  void *weight, *input, *output;
  // convolve() settles these:
  bool rounds = false;  // to TensorFloat-32
  bool timed = false;   // the fastest of several algorithms is taken
};

// NULL, or why cuDNN cannot do it: it is then still to be done. Only algorithms that add in a fixed order are taken.
const char* convolve(ConvolutionCall call);

// Whether float32 may be rounded to TensorFloat-32 (8 bits of exponent, 10 of mantissa); sums are float32 all the same.
// On unless set.
void allow_tf32_in_convolutions(bool allowed);

// Whether the first convolution of its sizes runs several algorithms to take the fastest. Off unless set.
void time_convolutions(bool wanted);

}  // namespace atled::nn
