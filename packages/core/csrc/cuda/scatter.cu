#include "cuda/index_error.h"
#include "cuda/indexed.h"
#include "cuda/reduce.cuh"
#include "functors/scatter.h"
#include "ops/scattering.h"

namespace atled::core::cuda {

namespace {

void gather(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 2);
  if (numel(index) == 0) return;
  Places(input, wrap_dim(arg_int(f, 1), input->dl.ndim), index, false).read(out_tensor(f));
}

// What the scatters have in common: an output that starts as input, and places in it.
struct Call {
  explicit Call(atled_frame* f) : input(arg_tensor(f, 0)), index(arg_tensor(f, 2)), out(out_tensor(f)) {
    dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
    empty = numel(index) == 0;
    const atled_value& src = f->args[3];
    if (src.tag == ATLED_TENSOR)
      source = src.u.tensor->version == out->version ? contiguous_copy(src.u.tensor) : Tensor::borrow(src.u.tensor);
    if (index->version == out->version) index_copy = contiguous_copy(index);
    if (out->dl.data != input->dl.data) assign(out, input);
  }
  Places places(const atled_tensor* target) const {
    return Places(target, dim, index_copy ? index_copy.get() : index, true);
  }
  static Tensor number(const atled_value& v, const atled_tensor* target) {
    Tensor one = Tensor::empty(target->dtype, {}, target->dl.device);
    assign(one, v);
    return one;
  }

  atled_tensor *input, *index, *out;
  Tensor source, index_copy;
  int dim;
  bool empty;
};

void scatter(atled_frame* f) {
  const atled_value &src = f->args[3], &number = f->args[4], &reduce = f->args[5];
  if (is_none(src) == is_none(number)) fail(ATLED_E_ARGUMENT, "expected either src or value");
  const bool adds = is_text(reduce, "add"), multiplies = is_text(reduce, "multiply");
  if (!is_none(reduce) && !adds && !multiplies)
    fail(ATLED_E_VALUE, "expected reduce to be None, \"add\" or \"multiply\", got \"%s\"", reduce.u.str);
  Call call(f);
  if (call.empty) return;
  const Tensor source = call.source ? call.source : Call::number(is_none(src) ? number : src, call.out);
  const Places places = call.places(call.out);
  if (is_none(reduce)) return places.write(source);
  places.combine(source, adds ? Combine::kSum : Combine::kProduct);
}

void scatter_add(atled_frame* f) {
  Call call(f);
  if (!call.empty) call.places(call.out).combine(call.source, Combine::kSum);
}

template <class T, class Small>
void divide_as(const atled_tensor* out, const atled_tensor* counts) {
  Elementwise e;
  e.output(out, dtype_of<Small>).input(out, dtype_of<Small>).input(counts, ATLED_INT64);
  e.run<T, T, int64_t>(scattering::DivideByCount{});
}

void divide(const atled_tensor* out, const atled_tensor* counts) {
  visit_dtype(out->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (is_small_float<T>) {
      divide_as<float, float>(out, counts);
    } else {
      divide_as<T, T>(out, counts);
    }
  });
}

void scatter_reduce(atled_frame* f) {
  const atled_value& reduce = f->args[4];
  const int dtype = out_tensor(f)->dtype;
  const bool mean = is_text(reduce, "mean");
  Combine how = Combine::kSum;
  atled_value identity = value(0);
  if (is_text(reduce, "prod")) {
    how = Combine::kProduct;
    identity = value(1);
  } else if (is_text(reduce, "amax")) {
    how = Combine::kLargest;
    identity = least(dtype);
  } else if (is_text(reduce, "amin")) {
    how = Combine::kSmallest;
    identity = greatest(dtype);
  } else if (!mean && !is_text(reduce, "sum")) {
    fail(ATLED_E_VALUE, "expected reduce to be \"sum\", \"prod\", \"mean\", \"amax\" or \"amin\", got \"%s\"",
         reduce.u.str);
  }
  const bool include_self = arg_bool(f, 5);
  Call call(f);
  if (call.empty) return;
  const Places places = call.places(call.out);
  if (!include_self) places.write(Call::number(identity, call.out));
  places.combine(call.source, how);
  if (!mean) return;
  const Tensor counts = Tensor::empty(ATLED_INT64, call.out->dl.ndim, call.out->dl.shape, call.out->dl.device);
  assign(counts, value(include_self ? 1 : 0));
  call.places(counts).combine(Call::number(value(1), counts), Combine::kSum);
  divide(call.out, counts);
}

void add_scatter() {
  cuda_kernel("core::gather", indexing_kernel<gather>);
  cuda_kernel("core::scatter", indexing_kernel<scatter>);
  cuda_kernel("core::scatter_add", indexing_kernel<scatter_add>);
  cuda_kernel("core::scatter_reduce", indexing_kernel<scatter_reduce>);
}
ATLED_CUDA_KERNELS(add_scatter);

}  // namespace

}  // namespace atled::core::cuda
