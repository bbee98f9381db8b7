#include <algorithm>

#include "cpu/assign.h"
#include "cpu/indexed.h"
#include "dispatch/register.h"
#include "ops/joined.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void cat(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  atled_tensor* out = out_tensor(f);
  const int dim = wrap_dim(arg_int(f, 1), out->dl.ndim);
  Layout piece(out);
  for (uint32_t i = 0; i < tensors.n; ++i) {
    atled_tensor* t = tensors.u.tensors[i];
    if (numel(t) == 0) continue;
    piece.shape[dim] = t->dl.shape[dim];
    assign(piece.view(out), t);
    piece.offset += piece.shape[dim] * piece.strides[dim];
  }
}

void stack(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  atled_tensor* out = out_tensor(f);
  const int dim = wrap_dim(arg_int(f, 1), out->dl.ndim);
  Layout piece(out);
  const int64_t step = out->dl.strides[dim];
  piece.erase(dim);
  for (uint32_t i = 0; i < tensors.n; ++i, piece.offset += step) assign(piece.view(out), tensors.u.tensors[i]);
}

void flip(atled_frame* f) { assign(out_tensor(f), flipped(arg_tensor(f, 0), f->args[1])); }

void copy_piece(atled_tensor* to, atled_tensor* from) { assign(to, from); }

void roll(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  if (numel(out) == 0) return;
  const atled_value& dims = f->args[2];
  const Tensor input = is_none(dims) ? contiguous(arg_tensor(f, 0)) : Tensor::borrow(arg_tensor(f, 0));
  roll_into(out, input, f->args[1], dims, copy_piece);
}

void repeat(atled_frame* f) { repeat_into(out_tensor(f), arg_tensor(f, 0), copy_piece); }

void repeat_indices(atled_frame* f) {
  if (!is_integer(arg_tensor(f, 0)->dtype) || arg_tensor(f, 0)->dl.ndim > 1)
    fail(ATLED_E_DTYPE, "expected repeats of an integer dtype in one dimension, got %s of shape %s",
         dtype_name(arg_tensor(f, 0)->dtype), shape_text(arg_tensor(f, 0)).c_str());
  const Tensor counts = contiguous(arg_tensor(f, 0), ATLED_INT64);
  const int64_t n = numel(counts), *count = data<int64_t>(counts);
  int64_t total = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (count[i] < 0) fail(ATLED_E_VALUE, "expected repeats >= 0, got %lld", (long long)count[i]);
    if (__builtin_add_overflow(total, count[i], &total))
      fail(ATLED_E_MEMORY, "expected fewer than 2^63 repeats in all");
  }
  Tensor out = Tensor::empty(ATLED_INT64, {total});
  int64_t* to = data<int64_t>(out);
  for (int64_t i = 0; i < n; ++i) to = std::fill_n(to, count[i], i);
  set_out(f, 0, out);
}

void expect_size(const atled_frame* f, int64_t size) {
  if (!arg_is_none(f, 3) && arg_int(f, 3) != size)
    fail(ATLED_E_VALUE, "expected output_size to be %lld, which the repeats come to, got %lld", (long long)size,
         (long long)arg_int(f, 3));
}

void repeat_interleave(atled_frame* f) {
  static const Op flatten{"core::flatten"}, unsqueeze{"core::unsqueeze"}, expand{"core::expand"},
      reshape{"core::reshape"}, indices{"core::repeat_indices"}, select{"core::index_select"};
  Tensor input = Tensor::borrow(arg_tensor(f, 0));
  const atled_value& repeats = f->args[1];
  if (arg_is_none(f, 2) || input->dl.ndim == 0) input = flatten(input);
  const int dim = arg_is_none(f, 2) ? 0 : wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t n = input->dl.shape[dim];
  if (repeats.tag == ATLED_TENSOR) {
    Tensor counts = Tensor::borrow(repeats.u.tensor);
    if (numel(counts) == 1 && n != 1) counts = expand(flatten(counts), ints_value(&n, 1));
    if (numel(counts) != n)
      fail(ATLED_E_SHAPE, "expected %lld repeats, one for each entry of dim %d, got %lld", (long long)n, dim,
           (long long)numel(counts));
    const Tensor places = indices(counts);
    expect_size(f, numel(places));
    return set_out(f, 0, select(input, dim, places));
  }
  if (repeats.tag != ATLED_INT_VALUE || repeats.u.i < 0)
    fail(ATLED_E_VALUE, "expected repeats to be an integer >= 0, got %g", as_double(repeats));
  Layout wide(input), merged(input);
  wide.insert(dim + 1, repeats.u.i, 0);
  const Tensor spread = expand(unsqueeze(input, dim + 1), ints_value(wide.shape, static_cast<size_t>(wide.ndim)));
  merged.shape[dim] = n * repeats.u.i;
  expect_size(f, merged.shape[dim]);
  set_out(f, 0, reshape(spread, ints_value(merged.shape, static_cast<size_t>(merged.ndim))));
}

void meshgrid(atled_frame* f) {
  static const Op view{"core::reshape"}, expand{"core::expand"};
  const atled_value& tensors = f->args[0];
  const std::string indexing(f->args[1].u.str, f->args[1].n);
  if (indexing != "ij" && indexing != "xy")
    fail(ATLED_E_VALUE, "expected indexing \"ij\" or \"xy\", got \"%s\"", indexing.c_str());
  const bool swap = indexing == "xy" && tensors.n > 1;
  Layout grid;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    if (tensors.u.tensors[i]->dl.ndim > 1)
      fail(ATLED_E_SHAPE, "expected tensors of at most one dimension, got shape %s",
           shape_text(tensors.u.tensors[i]).c_str());
    grid.push(numel(tensors.u.tensors[i]), 0);
  }
  if (swap) std::swap(grid.shape[0], grid.shape[1]);
  std::vector<Tensor> grids;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    int64_t shape[ATLED_MAX_NDIM];
    std::fill_n(shape, grid.ndim, int64_t{1});
    shape[swap && i < 2 ? 1 - i : i] = numel(tensors.u.tensors[i]);
    Tensor line = view(tensors.u.tensors[i], ints_value(shape, static_cast<size_t>(grid.ndim)));
    grids.push_back(expand(line, ints_value(grid.shape, static_cast<size_t>(grid.ndim))));
  }
  set_out_list(f, 0, grids);
}

void add_joining() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("core::cat", kernel<cat>);
  cpu("core::stack", kernel<stack>);
  cpu("core::flip", kernel<flip>);
  cpu("core::roll", kernel<roll>);
  cpu("core::repeat", kernel<repeat>);
  cpu("core::tile", kernel<repeat>);
  cpu("core::repeat_indices", kernel<repeat_indices>);
  add_kernel("core::repeat_interleave", ATLED_DEVICE_ANY, kernel<repeat_interleave>);
  add_kernel("core::meshgrid", ATLED_DEVICE_ANY, kernel<meshgrid>);
}

ATLED_KERNELS(add_joining);

}  // namespace
}  // namespace atled::core
