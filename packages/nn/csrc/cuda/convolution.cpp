// Convolution and its gradients: of few products directly, all else by cuDNN.
#include <algorithm>
#include <climits>
#include <string>

#include "atled/cuda.hpp"
#include "cuda/convolution_plans.h"
#include "cuda/direct_convolution.h"
#include "ops/operands.h"

namespace atled::nn {

namespace {

// Images are computed some at a time where there are more elements: few of cuDNN's algorithms count further.
constexpr int64_t kMostElements = INT_MAX;

// Where an image of so many elements begins, in either order.
void* image(const Tensor& t, int64_t index, int64_t elements) {
  return data<char>(t) + index * elements * itemsize(t->dtype);
}

// How a convolution may be computed.
struct Way {
  int dtype;
  bool channels_last;
};

Tensor make_empty(const atled_tensor* like, Way way) {
  atled_spec spec;
  set_spec(spec, way.dtype, like->dl.ndim, like->dl.shape);
  if (way.channels_last) set_channels_last(spec);
  atled_tensor* made = nullptr;
  check(api.empty(&spec, like->dl.device, &made));
  return Tensor::steal(made);
}

bool lies(const atled_tensor* t, Way way) {
  return t->dtype == way.dtype && (way.channels_last ? lies_channels_last(t) : is_contiguous(t));
}

class Job {
 public:
  Job(cudnn::Kind kind, const Convolution& s, atled_tensor* weight, atled_tensor* input, atled_tensor* output,
      atled_tensor* bias = nullptr)
      : kind_(kind), s_(s), tensors_{weight, input, output}, bias_(bias) {}

  void run() {
    atled_tensor* result = tensors_[result_index()];
    if (numel(result) == 0) return;
    for (const atled_tensor* t : tensors_)
      if (numel(t) == 0) {  // sums over nothing
        static const Op fill{"core::fill_"};
        fill(result, 0);
        if (bias_) add_bias();
        return;
      }
    const cuda::DeviceGuard device(result->dl.device.device_id);
    const bool last = is_channels_last(tensors_[kind_ == cudnn::kBackwardInput ? 2 : 1]);
    // What cuDNN has no algorithm for may have one in the other order, or in float32.
    const char* why = attempt({result->dtype, last});
    if (why && last) why = attempt({result->dtype, false});
    if (why && compute_dtype(result->dtype) != result->dtype) why = attempt({compute_dtype(result->dtype), false});
    if (why)
      fail(ATLED_E_NOT_IMPLEMENTED,
           "expected a convolution that cuDNN can compute, got %s of input %s and weight %s: %s",
           dtype_name(result->dtype), shape_text(tensors_[1]).c_str(), shape_text(tensors_[0]).c_str(), why);
  }

 private:
  int result_index() const { return kind_ == cudnn::kForward ? 2 : kind_ == cudnn::kBackwardInput ? 1 : 0; }

  const char* attempt(Way way) {
    static const Op copy{"core::copy_"};
    Tensor laid[3];
    for (int i = 0; i < 3; ++i) {
      const bool fits = lies(tensors_[i], way);
      laid[i] = fits ? Tensor::borrow(tensors_[i]) : make_empty(tensors_[i], way);
      if (!fits && i != result_index()) copy(laid[i], tensors_[i]);
    }
    const bool directly = !way.channels_last && has_few_products(kind_, s_, way.dtype);
    const char* why = nullptr;
    if (directly) {
      const Tensor bias = bias_ ? converted(bias_, way.dtype) : Tensor{};
      convolve_directly(kind_, s_, laid[0], laid[1], laid[2], bias);
    } else {
      why = by_parts(way, laid[0], laid[1], laid[2]);
    }
    const int r = result_index();
    if (!why && laid[r].get() != tensors_[r]) copy(tensors_[r], laid[r]);
    if (!why && bias_ && !directly) add_bias();
    return why;
  }

  void add_bias() {
    static const Op add{"core::add"}, reshape{"core::reshape"};
    const int64_t shape[4] = {s_.k, 1, 1, 1};
    add.inplace(tensors_[2], reshape(bias_, ints_value(shape, static_cast<size_t>(s_.dims) + 1)));
  }

  const char* by_parts(Way way, const Tensor& weight, const Tensor& input, const Tensor& output) {
    static const Op add{"core::add"};
    const int64_t in = s_.c * s_.inputs(), out = s_.k * s_.outputs();
    const int64_t most = std::max<int64_t>(1, kMostElements / std::max(in, out));
    ConvolutionCall call{kind_,           s_,      way.dtype, weight->dl.device.device_id, way.channels_last,
                         weight->dl.data, nullptr, nullptr};
    Tensor part;  // of a sum over images
    for (int64_t first = 0; first < s_.n; first += most) {
      call.sizes.n = std::min(most, s_.n - first);
      call.input = image(input, first, in);
      call.output = image(output, first, out);
      const bool adds = kind_ == cudnn::kBackwardWeight && first > 0;
      if (adds) {
        if (!part) part = make_empty(weight, way);
        call.weight = part->dl.data;
      }
      if (const char* why = convolve(call)) return why;
      if (adds) add.inplace(weight, part);
    }
    return nullptr;
  }

  cudnn::Kind kind_;
  const Convolution& s_;
  atled_tensor* tensors_[3];  // weight, input, output, or what their gradients are
  atled_tensor* bias_;        // of the output, or NULL
};

template <int dims>
void forward(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  const Convolution s = convolution(dims, shape_of(input), shape_of(weight), f, 3);
  Job(cudnn::kForward, s, weight, input, out_tensor(f), arg_tensor(f, 2)).run();
}

template <int dims>
void backward_input(atled_frame* f) {
  atled_tensor *grad = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  const Convolution s = convolution(dims, arg_shape(f, 2), shape_of(weight), f, 3);
  Job(cudnn::kBackwardInput, s, weight, out_tensor(f), grad).run();
}

template <int dims>
void backward_weight(atled_frame* f) {
  atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1);
  const Convolution s = convolution(dims, shape_of(input), arg_shape(f, 2), f, 3);
  Job(cudnn::kBackwardWeight, s, out_tensor(f), input, grad).run();
}

void add_convolution() {
  cuda::cuda_kernel("nn::conv2d", kernel<forward<2>>);
  cuda::cuda_kernel("nn::conv2d_backward_input", kernel<backward_input<2>>);
  cuda::cuda_kernel("nn::conv2d_backward_weight", kernel<backward_weight<2>>);
  cuda::cuda_kernel("nn::conv3d", kernel<forward<3>>);
  cuda::cuda_kernel("nn::conv3d_backward_input", kernel<backward_input<3>>);
  cuda::cuda_kernel("nn::conv3d_backward_weight", kernel<backward_weight<3>>);
}

ATLED_CUDA_KERNELS(add_convolution);

}  // namespace
}  // namespace atled::nn
