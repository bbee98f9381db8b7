// Forms that the Python array API standard gives to ops which PyTorch has otherwise. Composites, for every device.
#include <algorithm>
#include <vector>

#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

const Op cat_op{"core::cat"};
const Op ravel_op{"core::ravel"};
const Op take_along_dim_op{"core::take_along_dim"};
const Op unsqueeze_op{"core::unsqueeze"};

void concat(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  if (!arg_is_none(f, 1)) return set_out(f, 0, cat_op(tensors, f->args[1]));
  std::vector<Tensor> flat;
  std::vector<atled_tensor*> list;
  for (uint32_t i = 0; i < tensors.n; ++i) {
    flat.push_back(ravel_op(tensors.u.tensors[i]));
    list.push_back(flat.back());
  }
  set_out(f, 0, cat_op(tensors_value(list.data(), list.size()), 0));
}

void take_along_axis(atled_frame* f) {
  set_out(f, 0, take_along_dim_op(arg_tensor(f, 0), arg_tensor(f, 1), arg_int(f, 2)));
}

void expand_dims(atled_frame* f) {
  const atled_value& given = f->args[1];
  Tensor t = Tensor::borrow(arg_tensor(f, 0));
  std::vector<int> dims;
  for (uint32_t i = 0; i < given.n; ++i)
    dims.push_back(wrap_dim(given.u.ints[i], t->dl.ndim + static_cast<int>(given.n)));
  std::sort(dims.begin(), dims.end());
  const auto twice = std::adjacent_find(dims.begin(), dims.end());
  if (twice != dims.end()) fail(ATLED_E_VALUE, "expected each new dimension once, got dim %d twice", *twice);
  for (const int dim : dims) t = unsqueeze_op(t, dim);
  set_out(f, 0, std::move(t));
}

void define_standard() {
  define({"concat(Tensor[] tensors, int? dim=0) -> Tensor",
          "cat, which with dim=None joins the flattened tensors.\n\n"
          "tensors: dtypes promote. ShapeError where other sizes than dim's differ.\n\n"
          ">>> at.concat([at.tensor([[1, 2]]), at.tensor([[3, 4]])])\ntensor([[1, 2],\n        [3, 4]])\n"
          ">>> at.concat([at.tensor([[1, 2]]), at.tensor([5])], axis=None)\ntensor([1, 2, 5])",
          nullptr, ATLED_OP_COMPOSITE | ATLED_OP_FUNCTION});
  alias("core::concat", "core::concatenate");
  define({"take_along_axis(Tensor input, Tensor indices, int dim=-1) -> Tensor",
          "take_along_dim along the last dimension unless another is given.\n\n"
          ">>> at.take_along_axis(at.tensor([[3, 1], [5, 7]]), at.tensor([[1], [0]]))\ntensor([[1],\n"
          "        [5]])",
          nullptr, ATLED_OP_COMPOSITE});
  define({"expand_dims(Tensor input, int[] dim) -> Tensor",
          "unsqueeze at one or more dimensions of the result.\n\n"
          "input: any dtype. Returns a view.\n\n>>> at.expand_dims(at.zeros(3), (0, 2)).shape\n(1, 3, 1)",
          nullptr, ATLED_OP_COMPOSITE});
}

void add_standard() {
  add_kernel("core::concat", ATLED_DEVICE_ANY, kernel<concat>);
  add_kernel("core::expand_dims", ATLED_DEVICE_ANY, kernel<expand_dims>);
  add_kernel("core::take_along_axis", ATLED_DEVICE_ANY, kernel<take_along_axis>);
}

ATLED_OPS(define_standard);
ATLED_KERNELS(add_standard);

}  // namespace
}  // namespace atled::core
