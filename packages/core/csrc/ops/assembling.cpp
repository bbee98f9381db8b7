// Composites that put tensors together or take them apart; for every device.
#include <algorithm>
#include <vector>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

constexpr int64_t kMostSections = int64_t{1} << 24;

const Op cat_op{"core::cat"};
const Op reshape_op{"core::reshape"};
const Op flip_op{"core::flip"};
const Op transpose_op{"core::transpose"};
const Op narrow_op{"core::narrow"};
const Op zeros_op{"core::new_zeros"};

Tensor reshaped(atled_tensor* t, std::initializer_list<int64_t> shape) {
  return reshape_op(t, ints_value(shape.begin(), shape.size()));
}

// cat of the tensors, each brought to a rank first.
template <class Lift>
Tensor joined(const atled_value& tensors, Lift lift, int dim) {
  std::vector<Tensor> owned;
  std::vector<atled_tensor*> list;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    owned.push_back(lift(tensors.u.tensors[i]));
    list.push_back(owned.back());
  }
  return cat_op(tensors_value(list.data(), list.size()), dim);
}

template <int N>
Tensor at_least(atled_tensor* t) {
  static const Op lift{N == 1 ? "core::atleast_1d" : N == 2 ? "core::atleast_2d" : "core::atleast_3d"};
  return lift(t);
}

void hstack(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  const bool vectors = tensors.n > 0 && tensors.u.tensors[0]->dl.ndim <= 1;
  set_out(f, 0, joined(tensors, at_least<1>, vectors ? 0 : 1));
}
void vstack(atled_frame* f) { set_out(f, 0, joined(f->args[0], at_least<2>, 0)); }
void dstack(atled_frame* f) { set_out(f, 0, joined(f->args[0], at_least<3>, 2)); }
void column_stack(atled_frame* f) {
  auto column = [](atled_tensor* t) { return t->dl.ndim > 1 ? Tensor::borrow(t) : reshaped(t, {numel(t), 1}); };
  set_out(f, 0, joined(f->args[0], column, 1));
}

Tensor flipped(atled_tensor* t, int64_t dim) { return flip_op(t, ints_value(&dim, 1)); }

void expect_rank(const atled_tensor* t, int ndim) {
  if (t->dl.ndim < ndim)
    fail(ATLED_E_SHAPE, "expected at least %d dimensions, got shape %s", ndim, shape_text(t).c_str());
}

void fliplr(atled_frame* f) {
  expect_rank(arg_tensor(f, 0), 2);
  set_out(f, 0, flipped(arg_tensor(f, 0), 1));
}
void flipud(atled_frame* f) {
  expect_rank(arg_tensor(f, 0), 1);
  set_out(f, 0, flipped(arg_tensor(f, 0), 0));
}

void rot90(atled_frame* f) {
  static const Op clone{"core::clone"};
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& dims = f->args[2];
  expect_rank(input, 2);
  if (dims.n != 2) fail(ATLED_E_SHAPE, "expected two dims, got %u", dims.n);
  int pair[2];
  unique_dims(dims, input->dl.ndim, pair);
  const int64_t turns = (arg_int(f, 1) % 4 + 4) % 4;
  if (turns == 0) return set_out(f, 0, clone(input));
  if (turns == 2) return set_out(f, 0, flip_op(input, dims));
  // Rows are copied as they lie, and exchanged with columns after that, in a view.
  set_out(f, 0, transpose_op(flipped(input, turns == 1 ? pair[1] : pair[0]), pair[0], pair[1]));
}

// Every combination of the vectors, from meshgrid's grids.
void cartesian_prod(atled_frame* f) {
  static const Op meshgrid{"core::meshgrid"}, stack{"core::stack"};
  const atled_value& tensors = f->args[0];
  if (tensors.n == 1) return set_out(f, 0, Tensor::borrow(tensors.u.tensors[0]));
  atled_value grids = none();
  meshgrid.run(0, &grids, {tensors});
  std::vector<Tensor> columns;
  std::vector<atled_tensor*> list;
  for (uint32_t i = 0; i < grids.n; ++i) {
    columns.push_back(reshaped(grids.u.tensors[i], {-1}));
    list.push_back(columns.back());
  }
  api.values_release(&grids, 1);
  set_out(f, 0, stack(tensors_value(list.data(), list.size()), 1));
}

// Rows of blocks, each between zeros.
void block_diag(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  int64_t width = 0, left = 0;
  std::vector<Tensor> rows;
  std::vector<atled_tensor*> list;
  std::vector<Tensor> blocks;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    if (tensors.u.tensors[i]->dl.ndim > 2)
      fail(ATLED_E_SHAPE, "expected matrices, got shape %s", shape_text(tensors.u.tensors[i]).c_str());
    blocks.push_back(at_least<2>(tensors.u.tensors[i]));
    width += blocks.back()->dl.shape[1];
  }
  for (const Tensor& block : blocks) {
    const int64_t height = block->dl.shape[0], own = block->dl.shape[1];
    const int64_t before[2] = {height, left}, after[2] = {height, width - left - own};
    Tensor zeros_before = zeros_op(block, ints_value(before, 2)), zeros_after = zeros_op(block, ints_value(after, 2));
    atled_tensor* row[3] = {zeros_before, block, zeros_after};
    rows.push_back(cat_op(tensors_value(row, 3), 1));
    list.push_back(rows.back());
    left += own;
  }
  set_out(f, 0, cat_op(tensors_value(list.data(), list.size()), 0));
}

void split_at(atled_frame* f, int dim) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& cuts = f->args[1];
  const int64_t n = input->dl.shape[dim];
  std::vector<Tensor> pieces;
  auto take = [&](int64_t begin, int64_t end) {
    pieces.push_back(narrow_op(input, dim, begin, std::max<int64_t>(0, end - begin)));
  };
  if (cuts.n == 1) {
    const int64_t sections = cuts.u.ints[0];
    // Past the elements all sections are empty, yet each takes memory.
    if (sections < 1 || sections > kMostSections)
      fail(ATLED_E_VALUE, "expected from 1 to %lld sections, got %lld", (long long)kMostSections, (long long)sections);
    int64_t begin = 0;
    for (int64_t i = 0; i < sections; ++i) {
      const int64_t size = n / sections + (i < n % sections);
      take(begin, begin + size);
      begin += size;
    }
  } else {
    int64_t begin = 0;
    for (uint32_t i = 0; i <= cuts.n; ++i) {
      int64_t end = i < cuts.n ? cuts.u.ints[i] : n;
      end = std::clamp<int64_t>(end < 0 ? end + n : end, 0, n);
      take(std::min(begin, n), end);
      begin = end;
    }
  }
  set_out_list(f, 0, pieces);
}

void tensor_split(atled_frame* f) {
  expect_rank(arg_tensor(f, 0), 1);
  split_at(f, wrap_dim(arg_int(f, 2), arg_tensor(f, 0)->dl.ndim));
}
void hsplit(atled_frame* f) {
  expect_rank(arg_tensor(f, 0), 1);
  split_at(f, arg_tensor(f, 0)->dl.ndim == 1 ? 0 : 1);
}
void vsplit(atled_frame* f) {
  expect_rank(arg_tensor(f, 0), 2);
  split_at(f, 0);
}
void dsplit(atled_frame* f) {
  expect_rank(arg_tensor(f, 0), 3);
  split_at(f, 2);
}

// setitem with a spec that leaves all dimensions but one whole.
Tensor replaced(atled_tensor* input, int dim, std::initializer_list<int64_t> entry, const atled_value& src) {
  static const Op setitem{"core::setitem"};
  int64_t spec[4 * ATLED_MAX_NDIM];
  for (int d = 0; d < dim; ++d) {
    const int64_t whole[4] = {3, 0, 0, 0};
    std::copy(whole, whole + 4, spec + 4 * d);
  }
  std::copy(entry.begin(), entry.end(), spec + 4 * dim);
  return setitem(input, ints_value(spec, static_cast<size_t>(4 * dim + 4)), tensors_value(nullptr, 0), src);
}

void expect_shape(const atled_tensor* src, const Layout& wanted) {
  bool fits = src->dl.ndim == wanted.ndim;
  for (int d = 0; d < wanted.ndim && fits; ++d) fits = src->dl.shape[d] == wanted.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected src of shape %s, got %s", shape_text(wanted.ndim, wanted.shape).c_str(),
         shape_text(src).c_str());
}

void select_scatter(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  expect_rank(input, 1);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t n = input->dl.shape[dim], index = arg_int(f, 3);
  if (index < -n || index >= n)
    fail(ATLED_E_BOUNDS, "expected index for dim %d in [%lld, %lld), got %lld", dim, -(long long)n, (long long)n,
         (long long)index);
  Layout wanted(input);
  wanted.erase(dim);
  expect_shape(arg_tensor(f, 1), wanted);
  set_out(f, 0, replaced(input, dim, {1, index < 0 ? index + n : index, 0, 0}, f->args[1]));
}

void slice_scatter(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  expect_rank(input, 1);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t n = input->dl.shape[dim], step = arg_int(f, 5);
  if (step < 1) fail(ATLED_E_VALUE, "expected step >= 1, got %lld", (long long)step);
  auto place = [&](int i, int64_t otherwise) {
    const int64_t at = arg_is_none(f, i) ? otherwise : arg_int(f, i);
    return std::clamp<int64_t>(at < 0 ? at + n : at, 0, n);
  };
  const int64_t start = place(3, 0), end = std::max(start, place(4, n));
  Layout wanted(input);
  wanted.shape[dim] = end > start ? (end - start - 1) / step + 1 : 0;
  expect_shape(arg_tensor(f, 1), wanted);
  set_out(f, 0, replaced(input, dim, {0, start, end, step}, f->args[1]));
}

void masked_scatter(atled_frame* f) {
  static const Op expand{"core::expand"}, nonzero{"core::nonzero"}, put{"core::index_put"};
  atled_tensor *input = arg_tensor(f, 0), *source = arg_tensor(f, 2);
  Tensor mask = expand(arg_tensor(f, 1), ints_value(input->dl.shape, static_cast<size_t>(input->dl.ndim)));
  if (mask->dtype != ATLED_BOOL) fail(ATLED_E_DTYPE, "expected a mask of bool, got %s", dtype_name(mask->dtype));
  const int64_t count = nonzero(mask)->dl.shape[0];
  if (count > numel(source))
    fail(ATLED_E_SHAPE, "expected source of at least %lld elements, as many as mask is true, got %lld",
         (long long)count, (long long)numel(source));
  Tensor values = narrow_op(reshaped(source, {-1}), 0, 0, count);
  atled_tensor* indices[1] = {mask};
  set_out(f, 0, put(input, tensors_value(indices, 1), values));
}

void add_assembling() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::hstack", kernel<hstack>);
  any("core::vstack", kernel<vstack>);
  any("core::dstack", kernel<dstack>);
  any("core::column_stack", kernel<column_stack>);
  any("core::fliplr", kernel<fliplr>);
  any("core::flipud", kernel<flipud>);
  any("core::rot90", kernel<rot90>);
  any("core::cartesian_prod", kernel<cartesian_prod>);
  any("core::block_diag", kernel<block_diag>);
  any("core::tensor_split", kernel<tensor_split>);
  any("core::hsplit", kernel<hsplit>);
  any("core::vsplit", kernel<vsplit>);
  any("core::dsplit", kernel<dsplit>);
  any("core::select_scatter", kernel<select_scatter>);
  any("core::slice_scatter", kernel<slice_scatter>);
  any("core::masked_scatter", kernel<masked_scatter>);
}

ATLED_KERNELS(add_assembling);

}  // namespace
}  // namespace atled::core
