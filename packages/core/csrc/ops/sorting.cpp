// Orders: NaN counts as larger than every number, so it comes last in ascending and first in descending order.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

void expect_order(const atled_tensor* t) {
  if (is_complex(t->dtype)) fail(ATLED_E_DTYPE, "expected real numbers, got complex ones, which have no order");
}

void sort_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_order(input);
  wrap_dim(arg_int(f, 1), input->dl.ndim);
  for (int i = 0; i < f->op->nouts; ++i) same_spec(outs[i], input);
  outs[f->op->nouts - 1].dtype = ATLED_INT64;
}

void topk_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_order(input);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t k = arg_int(f, 1), n = input->dl.ndim ? input->dl.shape[dim] : 1;
  // A tensor of no dimensions has no shape for no elements.
  const int64_t least = input->dl.ndim ? 0 : 1;
  if (k < least || k > n)
    fail(ATLED_E_VALUE, "expected k in [%lld, %lld] for dim %d, got %lld", (long long)least, (long long)n, dim,
         (long long)k);
  for (int i = 0; i < 2; ++i) {
    same_spec(outs[i], input);
    if (input->dl.ndim) outs[i].shape[dim] = k;
  }
  outs[1].dtype = ATLED_INT64;
}

void kthvalue_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  expect_order(input);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  const int64_t k = arg_int(f, 1), n = input->dl.ndim ? input->dl.shape[dim] : 1;
  if (k < 1 || k > n)
    fail(ATLED_E_VALUE, "expected k in [1, %lld] for dim %d, got %lld", (long long)n, dim, (long long)k);
  const DimSet over = input->dl.ndim ? DimSet{1} << dim : 0;
  reduced(input, over, arg_bool(f, 3), input->dtype, outs[0]);
  reduced(input, over, arg_bool(f, 3), ATLED_INT64, outs[1]);
}

void searchsorted_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* sorted = arg_tensor(f, 0);
  const atled_value& input = f->args[1];
  expect_order(sorted);
  const int dtype = arg_bool(f, 2) ? ATLED_INT32 : ATLED_INT64;
  if (sorted->dl.ndim == 0) fail(ATLED_E_SHAPE, "expected sorted_sequence of at least one dimension, got a 0-d tensor");
  if (const atled_tensor* sorter = arg_tensor(f, 5)) {
    bool same = sorter->dl.ndim == sorted->dl.ndim;
    for (int d = 0; d < sorted->dl.ndim && same; ++d) same = sorter->dl.shape[d] == sorted->dl.shape[d];
    if (!same)
      fail(ATLED_E_SHAPE, "expected sorter of sorted_sequence's shape %s, got %s", shape_text(sorted).c_str(),
           shape_text(sorter).c_str());
  }
  if (input.tag != ATLED_TENSOR) {
    if (sorted->dl.ndim != 1)
      fail(ATLED_E_SHAPE, "expected sorted_sequence of one dimension for a number, got shape %s",
           shape_text(sorted).c_str());
    return set_spec(outs[0], dtype, {});
  }
  const atled_tensor* t = input.u.tensor;
  expect_order(t);
  bool fits = sorted->dl.ndim == 1 || sorted->dl.ndim == t->dl.ndim;
  for (int d = 0; d + 1 < sorted->dl.ndim && fits; ++d) fits = sorted->dl.shape[d] == t->dl.shape[d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected sorted_sequence and input to agree but for the last dimension, got %s and %s",
         shape_text(sorted).c_str(), shape_text(t).c_str());
  set_spec(outs[0], dtype, t->dl.ndim, t->dl.shape);
}

void define_sorting() {
  define(
      {"sort(Tensor input, int dim=-1, bool descending=False, *, bool stable=False) -> (Tensor values, Tensor indices)",
       "The elements of each line along a dimension in order, and where they were.\n\n"
       "input: real; NaN counts as the largest. Equal elements keep their order (stable or not). Returns values of "
       "input's dtype and int64 indices.\n\n"
       ">>> at.tensor([3, 1, 2]).sort()\n"
       "atled.core.sort_result(values=tensor([1, 2, 3]), indices=tensor([1, 2, 0]))",
       shape<sort_rule>});
  define({"argsort(Tensor input, int dim=-1, bool descending=False, *, bool stable=False) -> Tensor",
          "The indices that sort each line along a dimension: int64.\n\n"
          "input: real. The order is sort's: NaN counts as the largest, equal elements keep theirs.\n\n"
          ">>> at.tensor([3, 1, 2]).argsort()\ntensor([1, 2, 0])",
          shape<sort_rule>});
  define(
      {"topk(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
       "The k largest (or smallest) elements of each line along a dimension, in order, and where they are.\n\n"
       "input: real; NaN counts as the largest. Of equal elements, the first ones. InvalidValueError for k outside [0, "
       "n].\n\n"
       ">>> at.tensor([3, 1, 2]).topk(2)\n"
       "atled.core.topk_result(values=tensor([3, 2]), indices=tensor([0, 2]))",
       shape<topk_rule>});
  define({"kthvalue(Tensor input, int k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
          "The k-th smallest element (from 1) of each line along a dimension, and where it is.\n\n"
          "input: real; NaN counts as the largest. Of equal elements, the place in stable order. InvalidValueError for "
          "k outside [1, n].\n\n"
          ">>> at.tensor([30, 10, 20]).kthvalue(2)\n"
          "atled.core.kthvalue_result(values=tensor(20), indices=tensor(2))",
          shape<kthvalue_rule>});
  define({"msort(Tensor input) -> Tensor",
          "The elements in order along the first dimension, as sort(dim=0).values.\n\n"
          ">>> at.tensor([[3, 1], [1, 2]]).msort()\ntensor([[1, 1],\n        [3, 2]])",
          nullptr, ATLED_OP_COMPOSITE});
  define(
      {"searchsorted(Tensor sorted_sequence, Tensor|Scalar input, *, bool out_int32=False, bool right=False, str? "
       "side=None, "
       "Tensor? sorter=None) -> Tensor",
       "Where input's elements belong in a sorted sequence: before equal ones, or behind them with right (side "
       "\"right\").\n\n"
       "sorted_sequence: one dimension, or input's shape but for the last; it is not checked to be in order. sorter: "
       "indices that sort it. Returns input's shape, int64 or int32. InvalidValueError where right and side "
       "disagree.\n\n"
       ">>> at.searchsorted(at.tensor([1, 3, 5]), at.tensor([0, 3, 9]))\ntensor([0, 1, 3])\n"
       ">>> at.searchsorted(at.tensor([1, 3, 5]), at.tensor([0, 3, 9]), side=\"right\")\n"
       "tensor([0, 2, 3])",
       shape<searchsorted_rule>, ATLED_OP_FUNCTION});
  define({"bucketize(Tensor|Scalar input, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
          "searchsorted with the sequence last: which bucket each element falls into.\n\n"
          "boundaries: a sorted vector. Bucket i ends with boundaries[i], which belongs to it, or with right to the "
          "next.\n\n"
          ">>> at.bucketize(at.tensor([0, 3, 9]), at.tensor([1, 3]))\ntensor([0, 1, 2])",
          nullptr, ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION});
  define({"unique_all(Tensor input) -> (Tensor values, Tensor indices, Tensor inverse_indices, Tensor counts)",
          "The different elements in order, where each occurs first, which one each element is, and how often each "
          "occurs.\n\n"
          "input: any dtype; NaNs count as different. inverse_indices has input's shape.\n\n"
          ">>> at.unique_all(at.tensor([3, 1, 3])).indices\ntensor([1, 0])"});
  define(
      {"unique_consecutive_all(Tensor input, bool inverse=True, bool counts=True) -> (Tensor values, "
       "Tensor inverse_indices, Tensor counts)",
       "The flattened input without repetitions of the element before; what is not asked for is empty.", nullptr,
       ATLED_OP_PRIVATE});
  define({"unique_values(Tensor input) -> Tensor",
          "The different elements in order.\n\n"
          "input: any dtype; NaNs count as different.\n\n"
          ">>> at.unique_values(at.tensor([3, 1, 3]))\ntensor([1, 3])"});
  define({"unique_counts(Tensor input) -> (Tensor values, Tensor counts)",
          "The different elements in order, and how often each occurs.\n\n"
          "input: any dtype; NaNs count as different.\n\n"
          ">>> at.unique_counts(at.tensor([3, 1, 3])).counts\ntensor([1, 2])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"unique_inverse(Tensor input) -> (Tensor values, Tensor inverse_indices)",
          "The different elements in order, and which one each element is.\n\n"
          "input: any dtype; NaNs count as different. values[inverse_indices] is input.\n\n"
          ">>> at.unique_inverse(at.tensor([3, 1, 3])).inverse_indices\ntensor([1, 0, 1])",
          nullptr, ATLED_OP_COMPOSITE});
}

ATLED_OPS(define_sorting);

}  // namespace
}  // namespace atled::core
