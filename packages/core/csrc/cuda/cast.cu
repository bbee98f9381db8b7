// Copies and conversions between every pair of dtypes.
#include "cuda/elementwise.cuh"
#include "cuda/transpose.h"
#include "functors/arithmetic.h"

namespace atled::core::cuda {

namespace {

template <class To, class From>
struct Convert {
  ATLED_FN To operator()(From x) const { return Cast<To, From>{}(x); }
};

template <class To, class From>
void convert(Elementwise& e) {
  e.run_as_is<To, From>(Convert<To, From>{});
}

}  // namespace

void assign(const atled_tensor* out, const atled_value& value) {
  Elementwise e;
  e.output(out, out->dtype);
  if (value.tag == ATLED_TENSOR && value.u.tensor->dtype != out->dtype) {
    e.input(value.u.tensor, value.u.tensor->dtype);
    return visit_dtype(out->dtype, [&](auto to) {
      visit_dtype(value.u.tensor->dtype,
                  [&](auto from) { convert<typename decltype(to)::type, typename decltype(from)::type>(e); });
    });
  }
  e.operand(value, out->dtype);
  if (value.tag == ATLED_TENSOR && transpose(out, value.u.tensor)) return;
  visit_size(itemsize(out->dtype), [&](auto tag) {
    using T = typename decltype(tag)::type;
    e.run_as_is<T, T>(Positive{});
  });
}

}  // namespace atled::core::cuda
