// Composites that write at places of a tensor or turn places into coordinates; for every device.
#include <algorithm>
#include <vector>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"
#include "ops/scattering.h"
#include "ops/settled.h"

namespace atled::core {
namespace {

const Op reshape_op{"core::reshape"};
const Op expand_op{"core::expand"};
const Op index_op{"core::index"};
const Op index_put_op{"core::index_put"};
const Op narrow_op{"core::narrow"};
const Op cat_op{"core::cat"};
const Op sum_op{"core::sum"};
const Op as_strided_op{"core::as_strided"};
const Op arange_op{"core::arange"};
const Op to_op{"core::to"};

Tensor reshaped(atled_tensor* t, int ndim, const int64_t* shape) {
  return reshape_op(t, ints_value(shape, static_cast<size_t>(ndim)));
}
Tensor flat(atled_tensor* t) {
  const int64_t all = -1;
  return reshaped(t, 1, &all);
}

void expect_integers(const atled_tensor* t, const char* name) {
  if (!is_integer(t->dtype))
    fail(ATLED_E_DTYPE, "expected %s to be of an integer dtype, got %s", name, dtype_name(t->dtype));
}

Tensor placed(atled_tensor* input, atled_tensor* index, atled_tensor* source, bool accumulate) {
  if (numel(index) != numel(source))
    fail(ATLED_E_SHAPE, "expected as many elements of source as of index, got shapes %s and %s",
         shape_text(source).c_str(), shape_text(index).c_str());
  const Tensor places = flat(index);
  atled_tensor* indices[1] = {places};
  const Tensor written = index_put_op(flat(input), tensors_value(indices, 1), flat(source), accumulate);
  return reshaped(written, input->dl.ndim, input->dl.shape);
}

void put(atled_frame* f) {
  expect_integers(arg_tensor(f, 1), "index");
  set_out(f, 0, placed(arg_tensor(f, 0), arg_tensor(f, 1), arg_tensor(f, 2), arg_bool(f, 3)));
}

void index_reduce(atled_frame* f) {
  static const Op scatter_reduce{"core::scatter_reduce"};
  atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 2), *source = arg_tensor(f, 3);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  expect_integers(index, "index");
  Layout wanted(input);
  if (index->dl.ndim > 1)
    fail(ATLED_E_SHAPE, "expected index of at most one dimension, got shape %s", shape_text(index).c_str());
  if (wanted.ndim > 0) wanted.shape[dim] = numel(index);
  bool fits = source->dl.ndim == wanted.ndim;
  for (int d = 0; d < wanted.ndim && fits; ++d) fits = source->dl.shape[d] == wanted.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected source of shape %s, got %s", shape_text(wanted.ndim, wanted.shape).c_str(),
         shape_text(source).c_str());
  int64_t column[ATLED_MAX_NDIM];
  for (int d = 0; d < wanted.ndim; ++d) column[d] = d == dim ? wanted.shape[d] : 1;
  const Tensor places =
      expand_op(reshaped(index, wanted.ndim, column), ints_value(wanted.shape, static_cast<size_t>(wanted.ndim)));
  set_out(f, 0, scatter_reduce(input, dim, places, source, f->args[4], f->args[5]));
}

void as_strided_scatter(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *src = arg_tensor(f, 1);
  const Tensor numbers = arange_op(0, numel(input), 1, dtype_value(ATLED_INT64), device_value(input->dl.device));
  const Tensor places = as_strided_op(numbers, f->args[2], f->args[3], arg_is_none(f, 4) ? value(0) : f->args[4]);
  bool fits = src->dl.ndim == places->dl.ndim;
  for (int d = 0; d < places->dl.ndim && fits; ++d) fits = src->dl.shape[d] == places->dl.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected src of shape %s, got %s", shape_text(places).c_str(), shape_text(src).c_str());
  set_out(f, 0, placed(input, places, src, false));
}

void nonzero_static(atled_frame* f) {
  static const Op nonzero{"core::nonzero"}, full{"core::new_full"};
  const int64_t size = arg_int(f, 1);
  if (size < 0) fail(ATLED_E_VALUE, "expected size >= 0, got %lld", (long long)size);
  const Tensor found = nonzero(arg_tensor(f, 0));
  const int64_t n = found->dl.shape[0];
  if (n >= size) return set_out(f, 0, narrow_op(found, 0, 0, size));
  const int64_t rest[2] = {size - n, found->dl.shape[1]};
  const Tensor padding = full(found, ints_value(rest, 2), f->args[2]);
  atled_tensor* parts[2] = {found, padding};
  set_out(f, 0, cat_op(tensors_value(parts, 2), 0));
}

void fill(const Tensor& view, const atled_value& number) {
  static const Op fill_op{"core::fill_"};
  atled_value out = none();
  fill_op.run(0, &out, {value(view), number});
  api.release(out.u.tensor);
}

void fill_diagonal_(atled_frame* f) {
  static const Op diagonal{"core::diagonal"};
  atled_tensor* input = arg_tensor(f, 0);
  const int ndim = input->dl.ndim;
  const int64_t *shape = input->dl.shape, *strides = input->dl.strides;
  if (ndim < 2)
    fail(ATLED_E_SHAPE, "expected input of at least two dimensions, got shape %s", shape_text(input).c_str());
  if (ndim == 2) {
    // A tall matrix may have further diagonals, each a row below the end of the one before.
    for (int64_t row = 0; row < shape[0]; row += shape[1] + 1) {
      fill(diagonal(narrow_op(input, 0, row, std::min(shape[1], shape[0] - row))), f->args[1]);
      if (!arg_bool(f, 2)) break;
    }
    return;
  }
  int64_t step = 0;
  for (int d = 0; d < ndim; ++d) {
    step += strides[d];
    if (shape[d] != shape[0])
      fail(ATLED_E_SHAPE, "expected more than two dimensions to be of one size, got shape %s",
           shape_text(input).c_str());
  }
  fill(as_strided_op(input, ints_value(shape, 1), ints_value(&step, 1)), f->args[1]);
}

void sum_to_size(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& size = f->args[1];
  const int lead = input->dl.ndim - static_cast<int>(size.n);
  int64_t dims[ATLED_MAX_NDIM];
  size_t count = 0;
  bool fits = lead >= 0;
  for (int d = 0; d < input->dl.ndim && fits; ++d) {
    const int64_t n = input->dl.shape[d], wanted = d < lead ? 1 : size.u.ints[d - lead];
    fits = wanted == n || wanted == 1;
    if (d < lead || wanted != n) dims[count++] = d;
  }
  if (!fits)
    fail(ATLED_E_SHAPE, "expected a size that broadcasts to input's shape %s, got %s", shape_text(input).c_str(),
         shape_text(static_cast<int>(size.n), size.u.ints).c_str());
  if (count == 0) return set_out(f, 0, Tensor::borrow(input));
  set_out(f, 0, reshape_op(sum_op(input, ints_value(dims, count), true), size));
}

void unravel_index(atled_frame* f) {
  static const Op floor_divide{"core::floor_divide"}, remainder{"core::remainder"};
  const atled_value& shape = f->args[1];
  const int64_t total = unraveled_size(arg_tensor(f, 0), shape);
  Tensor rest = to_op(arg_tensor(f, 0), dtype_value(ATLED_INT64));
  if (rest->dl.device.device_type == kDLCPU && !(rest->keys & ATLED_KEY_OPAQUE)) {
    // Elsewhere looking would mean waiting, and inside vmap there are many.
    const Tensor numbers = flat(rest);
    const int64_t step = numbers->dl.strides[0];
    const int64_t* indices = settled_data<int64_t>(numbers);
    for (int64_t i = 0; i < numel(numbers); ++i) {
      const int64_t index = indices[i * step];
      if (index < 0 || index >= total)
        fail(ATLED_E_BOUNDS, "expected indices in [0, %lld), got %lld", (long long)total, (long long)index);
    }
  }
  std::vector<Tensor> coordinates(shape.n);
  for (uint32_t i = shape.n; i-- > 0;) {
    const int64_t n = std::max<int64_t>(shape.u.ints[i], 1);
    coordinates[i] = remainder(rest, n);
    rest = floor_divide(rest, n);
  }
  set_out_list(f, 0, coordinates);
}

// How many combinations there are; -1 when there are too many to be numbered.
int64_t count_combinations(int64_t n, int64_t r) {
  if (r > n) return 0;
  const int64_t few = std::min(r, n - r);
  double count = 1;
  for (int64_t i = 1; i <= few && count < 1e15; ++i)
    count = count * static_cast<double>(n - few + i) / static_cast<double>(i);
  return count < 1e15 ? static_cast<int64_t>(count + 0.5) : -1;
}

void combinations(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int64_t r = arg_int(f, 1), n = numel(input);
  const bool again = arg_bool(f, 2);
  if (input->dl.ndim != 1)
    fail(ATLED_E_SHAPE, "expected input of one dimension, got shape %s", shape_text(input).c_str());
  if (r < 0) fail(ATLED_E_VALUE, "expected r >= 0, got %lld", (long long)r);
  if (r == 0) return set_out(f, 0, narrow_op(input, 0, 0, 0));
  const bool sane = r < INT64_MAX / 2;
  const int64_t count = !sane ? -1 : again && n == 0 ? 0 : count_combinations(again ? n + r - 1 : n, r);
  if (count < 0 || count > INT64_MAX / 16 / r)
    fail(ATLED_E_MEMORY, "expected fewer combinations of %lld out of %lld", (long long)r, (long long)n);
  Tensor places = Tensor::empty(ATLED_INT64, {count, r});
  int64_t* row = data<int64_t>(places);
  for (int64_t i = 0; count > 0 && i < r; ++i) row[i] = again ? 0 : i;
  for (int64_t c = 1; c < count; ++c, row += r) {
    // The last place that can move on does; those behind it start anew.
    std::copy(row, row + r, row + r);
    int64_t* next = row + r;
    int64_t i = r - 1;
    while (next[i] == (again ? n - 1 : n - r + i)) --i;
    ++next[i];
    for (int64_t k = i + 1; k < r; ++k) next[k] = again ? next[i] : next[k - 1] + 1;
  }
  places = to_op(places, none(), device_value(input->dl.device));
  atled_tensor* indices[1] = {places};
  set_out(f, 0, index_op(input, tensors_value(indices, 1)));
}

void define_placing() {
  constexpr uint32_t composite = ATLED_OP_COMPOSITE, inplace = ATLED_OP_COMPOSITE | ATLED_OP_INPLACE;
  define({"put(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
          "A copy of input with source's elements at positions of the flattened input, or added there.\n\n"
          "index: integers, which may count from the end (BoundsError beyond it); source: input's dtype, as many "
          "elements. Of an index that occurs twice without accumulate, one of the elements counts.\n\n"
          ">>> at.zeros(2, 2).put(at.tensor([1, -1]), at.tensor([5.0, 6.0]))\ntensor([[0., 5.],\n"
          "        [0., 6.]])",
          nullptr, inplace});
  define(
      {"index_reduce(Tensor input, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> "
       "Tensor",
       "A copy of input with source's slices reduced into the slices of a dimension that index names.\n\n"
       "index: a vector of integers (BoundsError outside input's size); source: input's shape, but as many slices as "
       "index. reduce: \"prod\", \"mean\", \"amax\", \"amin\" or \"sum\"; without include_self, what input held there "
       "does not count.\n\n"
       ">>> at.ones(2).index_reduce(0, at.tensor([0, 0]), at.tensor([3.0, 4.0]), \"prod\")\n"
       "tensor([12.,  1.])",
       nullptr, inplace});
  define({"as_strided_scatter(Tensor input, Tensor src, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
          "A contiguous copy of input in which src is what as_strided shows.\n\n"
          "src: input's dtype, of shape size. storage_offset counts in input's storage, as as_strided's does.\n\n"
          ">>> at.zeros(4).as_strided_scatter(at.tensor([1.0, 2.0]), (2,), (2,))\n"
          "tensor([1., 0., 2., 0.])",
          nullptr, composite});
  define({"nonzero_static(Tensor input, *, int size, int fill_value=-1) -> Tensor",
          "The first `size` rows of nonzero, filled up with fill_value: a shape that does not depend on the values.\n\n"
          "Returns int64 (size, input.ndim).\n\n"
          ">>> at.nonzero_static(at.tensor([0, 7, 0, 8]), size=3).tolist()\n[[1], [3], [-1]]",
          nullptr, composite});
  define({"fill_diagonal_(Tensor(a!) input, Scalar fill_value, bool wrap=False) -> Tensor",
          "Writes a number where all indices are equal; with wrap, a tall matrix gets further diagonals.\n\n"
          "input: at least 2-d, beyond that with equal sizes, else ShapeError. A row is left out between wrapped "
          "diagonals. Returns input.\n\n"
          ">>> at.zeros(2, 3).fill_diagonal_(7)\ntensor([[7., 0., 0.],\n        [0., 7., 0.]])",
          nullptr, composite});
  define(
      {"sum_to_size(Tensor input, int[*] size) -> Tensor",
       "The sum over the dimensions in which size would broadcast to input's shape: what a gradient of expand is.\n\n"
       "ShapeError where it would not broadcast.\n\n"
       ">>> at.ones(3, 2).sum_to_size(1, 2)\ntensor([[3., 3.]])",
       nullptr, composite});
  define({"unravel_index(Tensor indices, int[] shape) -> Tensor[]",
          "The coordinates, one tensor for each dimension, of positions in a flattened tensor of that shape.\n\n"
          "indices: integers, not negative; a BoundsError where one is outside. Returns a tuple.\n\n"
          ">>> at.unravel_index(at.tensor([0, 5]), (2, 3))\n(tensor([0, 1]), tensor([0, 2]))",
          nullptr, composite | ATLED_OP_FUNCTION});
  define({"combinations(Tensor input, int r=2, bool with_replacement=False) -> Tensor",
          "The combinations of r elements of a vector, a row for each, in order of their places.\n\n"
          "input: 1-d, else ShapeError. Returns (count, r); with_replacement: an element may come again.\n\n"
          ">>> at.combinations(at.tensor([1, 2, 3]))\ntensor([[1, 2],\n        [1, 3],\n        [2, 3]])\n"
          ">>> at.combinations(at.tensor([1, 2]), with_replacement=True).tolist()\n"
          "[[1, 1], [1, 2], [2, 2]]",
          nullptr, composite | ATLED_OP_FUNCTION});
}
ATLED_OPS(define_placing);

void add_placing() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::put", kernel<put>);
  any("core::index_reduce", kernel<index_reduce>);
  any("core::as_strided_scatter", kernel<as_strided_scatter>);
  any("core::nonzero_static", kernel<nonzero_static>);
  any("core::fill_diagonal_", kernel<fill_diagonal_>);
  any("core::sum_to_size", kernel<sum_to_size>);
  any("core::unravel_index", kernel<unravel_index>);
  any("core::combinations", kernel<combinations>);
}
ATLED_KERNELS(add_placing);

}  // namespace
}  // namespace atled::core
