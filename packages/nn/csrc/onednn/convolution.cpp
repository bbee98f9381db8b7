#include "onednn/convolution.h"

#include "onednn/job.h"

namespace atled::nn::onednn {
namespace {

using dnnl::memory;
using Forward = dnnl::convolution_forward;
using BackwardInput = dnnl::convolution_backward_data;
using BackwardWeight = dnnl::convolution_backward_weights;

enum Kind : int64_t { kForward = 1, kForwardBias, kBackwardInput, kBackwardWeight };

Key key_of(Kind kind, const Convolution& s, int dtype) {
  return {kind,        dtype,       team_size(), s.dims,       s.n,          s.c,          s.d,        s.h,
          s.w,         s.k,         s.kd,        s.kh,         s.kw,         s.stride.d,   s.stride.h, s.stride.w,
          s.padding.d, s.padding.h, s.padding.w, s.dilation.d, s.dilation.h, s.dilation.w, s.groups};
}

// Without depth, of an image.
memory::dims sizes(const Convolution& s, memory::dims first, Triple rest) {
  if (s.dims == 3) first.push_back(rest.d);
  first.insert(first.end(), {rest.h, rest.w});
  return first;
}

// oneDNN wants the padding that the last window really reaches.
int64_t reach(int64_t outputs, int64_t stride, int64_t kernel, int64_t dilation, int64_t size, int64_t padding) {
  return (outputs - 1) * stride + (kernel - 1) * dilation + 1 - size - padding;
}

bool data_type_of(int dtype, memory::data_type& out) {
  switch (dtype) {
    case ATLED_FLOAT32:
      out = memory::data_type::f32;
      return true;
    case ATLED_BFLOAT16:
      out = memory::data_type::bf16;
      return true;
    case ATLED_FLOAT16:
      out = memory::data_type::f16;
      return true;
    default:
      return false;
  }
}

// The convolution's tensors: row-major, and with the layout left to oneDNN.
struct Descriptions {
  memory::desc src, weight, bias, dst, any_src, any_weight, any_dst;
  memory::dims strides, dilates, padding, padding_end;

  Descriptions(const Convolution& s, memory::data_type type) {
    using Tag = memory::format_tag;
    const bool grouped = s.groups > 1, deep = s.dims == 3;
    const memory::dims in = sizes(s, {s.n, s.c}, {s.d, s.h, s.w}), out = sizes(s, {s.n, s.k}, {s.od, s.oh, s.ow});
    const memory::dims first =
        grouped ? memory::dims{s.groups, s.k / s.groups, s.c / s.groups} : memory::dims{s.k, s.c};
    const memory::dims kernel = sizes(s, first, {s.kd, s.kh, s.kw});
    const Tag images = deep ? Tag::ncdhw : Tag::nchw;
    const Tag weights = grouped ? (deep ? Tag::goidhw : Tag::goihw) : deep ? Tag::oidhw : Tag::oihw;
    src = memory::desc(in, type, images), any_src = memory::desc(in, type, Tag::any);
    dst = memory::desc(out, type, images), any_dst = memory::desc(out, type, Tag::any);
    weight = memory::desc(kernel, type, weights), any_weight = memory::desc(kernel, type, Tag::any);
    bias = memory::desc({s.k}, type, Tag::a);
    const auto &stride = s.stride, &dilation = s.dilation, &before = s.padding;
    strides = sizes(s, {}, stride);
    dilates = sizes(s, {}, {dilation.d - 1, dilation.h - 1, dilation.w - 1});
    padding = sizes(s, {}, before);
    padding_end = sizes(
        s, {},
        {reach(s.od, stride.d, s.kd, dilation.d, s.d, before.d), reach(s.oh, stride.h, s.kh, dilation.h, s.h, before.h),
         reach(s.ow, stride.w, s.kw, dilation.w, s.w, before.w)});
  }
  Forward::primitive_desc forward(bool with_bias) const {
    constexpr auto kTraining = dnnl::prop_kind::forward_training;
    constexpr auto kDirect = dnnl::algorithm::convolution_direct;
    if (with_bias)
      return {engine(), kTraining, kDirect, any_src, any_weight,  bias,
              any_dst,  strides,   dilates, padding, padding_end, attributes()};
    return {engine(), kTraining, kDirect, any_src,     any_weight,  any_dst,
            strides,  dilates,   padding, padding_end, attributes()};
  }
};

}  // namespace

bool convolution(const Convolution& s, int dtype, const void* input, const void* weight, const void* bias,
                 void* output) {
  memory::data_type type;
  if (!data_type_of(dtype, type)) return false;
  const auto job = find_job(key_of(bias ? kForwardBias : kForward, s, dtype), [&] {
    const Descriptions d(s, type);
    const auto pd = d.forward(bias != nullptr);
    std::vector<Operand> operands{{DNNL_ARG_SRC, false, d.src, pd.src_desc()},
                                  {DNNL_ARG_WEIGHTS, false, d.weight, pd.weights_desc()},
                                  {DNNL_ARG_DST, true, d.dst, pd.dst_desc()}};
    if (bias) operands.push_back({DNNL_ARG_BIAS, false, d.bias, d.bias});
    return std::make_shared<const Job>(Forward(pd), pd.scratchpad_desc(), std::move(operands));
  });
  if (!job) return false;
  if (bias)
    job->run({input, weight, output, bias});
  else
    job->run({input, weight, output});
  return true;
}

bool convolution_input(const Convolution& s, int dtype, const void* grad, const void* weight, void* grad_input) {
  memory::data_type type;
  if (!data_type_of(dtype, type)) return false;
  const auto job = find_job(key_of(kBackwardInput, s, dtype), [&] {
    const Descriptions d(s, type);
    const BackwardInput::primitive_desc pd(engine(), dnnl::algorithm::convolution_direct, d.any_src, d.any_weight,
                                           d.any_dst, d.strides, d.dilates, d.padding, d.padding_end, d.forward(false),
                                           attributes());
    return std::make_shared<const Job>(BackwardInput(pd), pd.scratchpad_desc(),
                                       std::vector<Operand>{{DNNL_ARG_DIFF_DST, false, d.dst, pd.diff_dst_desc()},
                                                            {DNNL_ARG_WEIGHTS, false, d.weight, pd.weights_desc()},
                                                            {DNNL_ARG_DIFF_SRC, true, d.src, pd.diff_src_desc()}});
  });
  if (job) job->run({grad, weight, grad_input});
  return job != nullptr;
}

bool convolution_weight(const Convolution& s, int dtype, const void* grad, const void* input, void* grad_weight) {
  memory::data_type type;
  if (!data_type_of(dtype, type)) return false;
  const auto job = find_job(key_of(kBackwardWeight, s, dtype), [&] {
    const Descriptions d(s, type);
    const BackwardWeight::primitive_desc pd(engine(), dnnl::algorithm::convolution_direct, d.any_src, d.any_weight,
                                            d.any_dst, d.strides, d.dilates, d.padding, d.padding_end, d.forward(false),
                                            attributes());
    return std::make_shared<const Job>(
        BackwardWeight(pd), pd.scratchpad_desc(),
        std::vector<Operand>{{DNNL_ARG_DIFF_DST, false, d.dst, pd.diff_dst_desc()},
                             {DNNL_ARG_SRC, false, d.src, pd.src_desc()},
                             {DNNL_ARG_DIFF_WEIGHTS, true, d.weight, pd.diff_weights_desc()}});
  });
  if (job) job->run({grad, input, grad_weight});
  return job != nullptr;
}

}  // namespace atled::nn::onednn
