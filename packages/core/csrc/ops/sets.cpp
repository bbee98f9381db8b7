// Membership, and the different slices of a dimension.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

const Op to_op{"core::to"};
const Op full_op{"core::full"};
const Op eq_op{"core::eq"};
const Op any_op{"core::any"};
const Op logical_or_op{"core::logical_or"};
const Op logical_not_op{"core::logical_not"};
const Op reshape_op{"core::reshape"};
const Op unsqueeze_op{"core::unsqueeze"};
const Op select_op{"core::select"};
const Op clamp_op{"core::clamp"};
const Op take_op{"core::take"};
const Op msort_op{"core::msort"};
const Op searchsorted_op{"core::searchsorted"};

constexpr int64_t kFewElements = 8;  // so many are compared one after another

Tensor as_tensor(const atled_value& v, int dtype, DLDevice device) {
  if (v.tag != ATLED_TENSOR) return full_op(ints_value(nullptr, 0), v, dtype_value(dtype), device_value(device));
  return to_op(v, dtype_value(dtype));
}

void isin(atled_frame* f) {
  const atled_value &a = f->args[0], &b = f->args[1];
  if (a.tag != ATLED_TENSOR && b.tag != ATLED_TENSOR)
    fail(ATLED_E_ARGUMENT, "expected elements, test_elements or both to be tensors, got two numbers");
  const atled_tensor* given = a.tag == ATLED_TENSOR ? a.u.tensor : b.u.tensor;
  const int dtype = promoted(f, 0b11);
  const DLDevice device = given->dl.device;
  const int64_t all = -1, last = -1;
  const Tensor elements = as_tensor(a, dtype, device);
  const Tensor tested = reshape_op(as_tensor(b, dtype, device), ints_value(&all, 1));
  const int64_t n = numel(tested);
  Tensor found;
  if (n == 0) {
    found = full_op(ints_value(elements->dl.shape, static_cast<size_t>(elements->dl.ndim)), false,
                    dtype_value(ATLED_BOOL), device_value(device));
  } else if (n <= kFewElements) {
    found = eq_op(elements, select_op(tested, 0, 0));
    for (int64_t i = 1; i < n; ++i) found = logical_or_op(found, eq_op(elements, select_op(tested, 0, i)));
  } else if (is_complex(dtype)) {
    found = any_op(eq_op(unsqueeze_op(elements, -1), tested), ints_value(&last, 1));
  } else {
    const Tensor sorted = msort_op(tested);
    const Tensor place = clamp_op(searchsorted_op(sorted, elements), 0, n - 1);
    found = eq_op(take_op(sorted, place), elements);
  }
  set_out(f, 0, arg_bool(f, 3) ? logical_not_op(found) : found);
}

void define_sets() {
  define(
      {"isin(Tensor|Scalar elements, Tensor|Scalar test_elements, *, bool assume_unique=False, bool invert=False) "
       "-> Tensor",
       "Which elements are among test_elements, or with invert are not: bool of elements' shape.\n\n"
       "Dtypes promote; NaN is equal to nothing. assume_unique is PyTorch's and changes nothing.\n\n"
       ">>> at.isin(at.tensor([1, 2, 3]), at.tensor([3, 1]))\ntensor([ True, False,  True])",
       nullptr, ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION});
  define(
      {"unique_dim(Tensor input, int dim, bool consecutive=False) -> (Tensor values, Tensor inverse_indices, Tensor "
       "counts)",
       "The different slices of a dimension in lexicographic order, which one each slice is, and how often each "
       "occurs; with consecutive, the slices without repetitions of the one before.",
       nullptr, ATLED_OP_PRIVATE});
}
ATLED_OPS(define_sets);

void add_sets() { add_kernel("core::isin", ATLED_DEVICE_ANY, kernel<isin>); }
ATLED_KERNELS(add_sets);

}  // namespace
}  // namespace atled::core
