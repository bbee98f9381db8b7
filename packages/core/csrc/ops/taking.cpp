// Composites over gather, index and index_select; for every device.
#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

const Op index_op{"core::index"};
const Op index_select_op{"core::index_select"};
const Op reshape_op{"core::reshape"};
const Op expand_op{"core::expand"};
const Op gather_op{"core::gather"};

Tensor shaped(const Op& op, atled_tensor* t, int ndim, const int64_t* shape) {
  return op(t, ints_value(shape, static_cast<size_t>(ndim)));
}

Tensor flat(atled_tensor* t) {
  const int64_t all = -1;
  return shaped(reshape_op, t, 1, &all);
}

void take(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 1);
  if (!arg_is_none(f, 2)) return set_out(f, 0, index_select_op(input, arg_int(f, 2), index));
  Tensor line = flat(input);
  atled_tensor* indices[1] = {index};
  set_out(f, 0, index_op(line, tensors_value(indices, 1)));
}

void take_along_dim(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 1);
  if (arg_is_none(f, 2)) return set_out(f, 0, gather_op(flat(input), 0, flat(index)));
  if (input->dl.ndim != index->dl.ndim)
    fail(ATLED_E_SHAPE, "expected input and indices of one rank, got shapes %s and %s", shape_text(input).c_str(),
         shape_text(index).c_str());
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  Layout a(input), b(index);
  for (int d = 0; d < a.ndim; ++d) {
    if (d == dim || a.shape[d] == b.shape[d]) continue;
    if (a.shape[d] != 1 && b.shape[d] != 1)
      fail(ATLED_E_SHAPE, "expected input and indices to broadcast but for dim %d, got %s and %s", dim,
           shape_text(input).c_str(), shape_text(index).c_str());
    (a.shape[d] == 1 ? a : b).shape[d] = a.shape[d] == 1 ? b.shape[d] : a.shape[d];
  }
  set_out(f, 0, gather_op(shaped(expand_op, input, a.ndim, a.shape), dim, shaped(expand_op, index, b.ndim, b.shape)));
}

void masked_select(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *mask = arg_tensor(f, 1);
  if (mask->dtype != ATLED_BOOL) fail(ATLED_E_DTYPE, "expected a mask of bool, got %s", dtype_name(mask->dtype));
  Layout common(input);
  if (!broadcast_into(common.shape, common.ndim, mask->dl.shape, mask->dl.ndim))
    fail(ATLED_E_SHAPE, "expected input and mask to broadcast, got %s and %s", shape_text(input).c_str(),
         shape_text(mask).c_str());
  // A 0-d pair counts as one element.
  if (common.ndim == 0) common.push(1, 0);
  Tensor places = shaped(expand_op, mask, common.ndim, common.shape);
  atled_tensor* indices[1] = {places};
  set_out(f, 0, index_op(shaped(expand_op, input, common.ndim, common.shape), tensors_value(indices, 1)));
}

void add_taking() {
  add_kernel("core::take", ATLED_DEVICE_ANY, kernel<take>);
  add_kernel("core::take_along_dim", ATLED_DEVICE_ANY, kernel<take_along_dim>);
  add_kernel("core::masked_select", ATLED_DEVICE_ANY, kernel<masked_select>);
}

ATLED_KERNELS(add_taking);

}  // namespace
}  // namespace atled::core
