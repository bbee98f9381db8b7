// Ops that gradients need and users do not: reading and writing a region of a tensor that is given by strides.
//
// `base_stride` says how the tensor's elements lay in memory when the region was described; size, stride and offset (in
// elements, from the tensor's element 0) are the region. Both work on values: no result shares memory with an argument.
#include "view.h"

namespace atled::autograd {

namespace {

const Op copy{"core::copy_"}, fill{"core::fill_"}, clone{"core::clone"};

struct Layout {
  size_t ndim;
  const int64_t* shape;
  const int64_t* stride;
  int64_t lowest = 0, highest = 0;  // offsets of the first and last element in memory
  bool contiguous = true;

  Layout(size_t ndim_, const int64_t* shape_, const atled_value& strides)
      : ndim(ndim_), shape(shape_), stride(strides.u.ints) {
    if (strides.n != ndim) fail(ATLED_E_SHAPE, "expected %zu base strides, got %u", ndim, strides.n);
    int64_t expected = 1;
    for (size_t i = ndim; i-- > 0;) {
      const int64_t span = shape[i] > 0 ? (shape[i] - 1) * stride[i] : 0;
      (span < 0 ? lowest : highest) += span;
      if (shape[i] != 1 && stride[i] != expected) contiguous = false;
      expected *= shape[i];
    }
  }
};

void write(atled_tensor* to, atled_tensor* from) {
  atled_value out = none();
  if (from)
    copy.run(0, &out, {value(to), value(from)});
  else
    fill.run(0, &out, {value(to), value(0)});
  api.release(out.u.tensor);
}

Tensor view(atled_tensor* t, size_t ndim, const int64_t* shape, const int64_t* stride, int64_t offset) {
  atled_tensor* out = nullptr;
  check(api.as_view(t, t->dtype, static_cast<int32_t>(ndim), shape, stride, offset, &out));
  return Tensor::steal(out);
}

// A tensor with the memory layout of the base, holding `values` (zeros for NULL): `memory` owns it, `base` shows it.
struct Laid {
  Tensor memory, base;

  Laid(const Layout& layout, const atled_tensor* like, atled_tensor* values) {
    if (layout.contiguous) {
      base = memory = Tensor::empty(like->dtype, static_cast<int>(layout.ndim), layout.shape, like->dl.device);
    } else {
      memory = Tensor::empty(like->dtype, {layout.highest - layout.lowest + 1}, like->dl.device);
      base = view(memory, layout.ndim, layout.shape, layout.stride, -layout.lowest);
    }
    write(base, values);
  }
};

Tensor region(const Laid& laid, const Layout& layout, const atled_value& size, const atled_value& stride,
              const atled_value& offset) {
  if (size.n != stride.n) fail(ATLED_E_SHAPE, "expected as many strides as sizes, got %u and %u", stride.n, size.n);
  return view(laid.memory, size.n, size.u.ints, stride.u.ints, offset.u.i - layout.lowest);
}

// Adds src to a region of memory whose elements overlap.
void add(const Laid& laid, const Layout& layout, const atled_value& size, const atled_value& stride, int64_t offset,
         atled_tensor* src) {
  static const Op reshape{"core::reshape"}, index_add{"core::index_add"}, to{"core::to"};
  Tensor places = Tensor::empty(ATLED_INT64, {numel(src)});
  int64_t index[ATLED_MAX_NDIM] = {}, *next = data<int64_t>(places);
  for (int64_t n = numel(src); n-- > 0;) {
    int64_t place = offset - layout.lowest;
    for (uint32_t d = 0; d < size.n; ++d) place += index[d] * stride.u.ints[d];
    *next++ = place;
    for (uint32_t d = size.n; d-- > 0 && ++index[d] == size.u.ints[d];) index[d] = 0;
  }
  places = to(places, none(), device_value(src->dl.device));
  const int64_t flat[] = {-1}, whole[] = {layout.highest - layout.lowest + 1}, step[] = {1};
  const Tensor memory = view(laid.memory, 1, whole, step, 0);
  write(memory, index_add(memory, 0, places, reshape(src, ints_value(flat, 1))));
}

// strided_get(input, base_stride, size, stride, offset)
void run_get(atled_frame* frame) {
  atled_tensor* input = arg_tensor(frame, 0);
  const Layout layout(static_cast<size_t>(input->dl.ndim), input->dl.shape, frame->args[1]);
  const Laid laid(layout, input, input);
  set_out(frame, 0, clone(region(laid, layout, frame->args[2], frame->args[3], frame->args[4])));
}

// strided_put(input, src, shape, base_stride, size, stride, offset)
void run_put(atled_frame* frame) {
  atled_tensor *input = arg_tensor(frame, 0), *src = arg_tensor(frame, 1);
  if (!input && !src) fail(ATLED_E_ARGUMENT, "expected input, src or both, got neither");
  const Layout layout(frame->args[2].n, frame->args[2].u.ints, frame->args[3]);
  const Laid laid(layout, input ? input : src, input);
  // Of zeros, the gradient of reading a region: elements that were read twice get the sum.
  if (!input && overlaps(frame->args[4].n, frame->args[4].u.ints, frame->args[5].u.ints))
    add(laid, layout, frame->args[4], frame->args[5], frame->args[6].u.i, src);
  else
    write(region(laid, layout, frame->args[4], frame->args[5], frame->args[6]), src);
  set_out(frame, 0, layout.contiguous ? laid.base : clone(laid.base));
}

// put_<view>(input, shape, ...): zeros of that shape with input written into the view that `op` takes of it.
template <const Op& op>
void run_put_view(atled_frame* frame) {
  atled_tensor* input = arg_tensor(frame, 0);
  const atled_value& shape = frame->args[1];
  Tensor whole = Tensor::empty(input->dtype, static_cast<int>(shape.n), shape.u.ints, input->dl.device);
  write(whole, nullptr);
  atled_value args[8] = {value(whole)}, out = none();
  for (int i = 2; i < frame->op->nargs; ++i) args[i - 1] = frame->args[i];
  check(api.call(op.get(), 0, args, &out));
  const Tensor part = Tensor::steal(out.u.tensor);
  write(part, input);
  set_out(frame, 0, whole);
}

extern const Op select, narrow, slice, diagonal;
const Op select{"core::select"}, narrow{"core::narrow"}, slice{"core::slice"}, diagonal{"core::diagonal"};

template <const Op& op>
void define_put_view(const char* schema) {
  add_kernel(define({schema, "Zeros of that shape, with input in one view of it.", nullptr,
                     ATLED_OP_PRIVATE | ATLED_OP_FUNCTION}),
             ATLED_DEVICE_ANY, kernel<run_put_view<op>>);
}

}  // namespace

void define_ops() {
  define_put_view<select>("autograd::put_select(Tensor input, int[] shape, int dim, int index) -> Tensor");
  define_put_view<narrow>("autograd::put_narrow(Tensor input, int[] shape, int dim, int start, int length) -> Tensor");
  define_put_view<slice>("autograd::put_slice(Tensor input, int[] shape, int[] spec) -> Tensor");
  define_put_view<diagonal>(
      "autograd::put_diagonal(Tensor input, int[] shape, int offset, int dim1, int dim2) -> Tensor");
  const uint32_t traits = ATLED_OP_PRIVATE | ATLED_OP_FUNCTION;
  add_kernel(
      define({"autograd::strided_get(Tensor input, int[] base_stride, int[] size, int[] stride, int offset) -> Tensor",
              "The elements of a region, as a new tensor.", nullptr, traits}),
      ATLED_DEVICE_ANY, kernel<run_get>);
  add_kernel(
      define(
          {"autograd::strided_put(Tensor? input, Tensor? src, int[] shape, int[] base_stride, int[] size, "
           "int[] stride, int offset) -> Tensor",
           "A copy of input of that shape with a region replaced by src (zeros for None); without input, src added to "
           "a region of zeros.",
           nullptr, traits}),
      ATLED_DEVICE_ANY, kernel<run_put>);
}

}  // namespace atled::autograd
