#include "functors/reduction.h"

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/reduce.h"

namespace atled::core {

namespace {

struct ReduceTable {
  ReduceLoops loops[ATLED_NUM_DTYPES] = {};
  template <template <class> class R, bool kLevels, class... T>
  ReduceTable& add(Types<T...>) {
    ((loops[dtype_of<T>] = reduce_loops<R<T>, kLevels>()), ...);
    return *this;
  }
  template <template <class> class R, bool kLevels>
  ReduceTable& add_half() {
    loops[ATLED_FLOAT16] = reduce_loops<R<float>, kLevels, Half>();
    return *this;
  }
};

using Fast = Types<float, double, BFloat16, int32_t, int64_t>;
using Plain = Types<bool, uint8_t, int8_t, uint16_t, int16_t, uint32_t, uint64_t>;

const ReduceTable sum_loops =
    ReduceTable().add<Sum, true>(Fast{}).add_half<Sum, true>().add<Sum, false>(Plain{}).add<Sum, false>(Complexes{});
const ReduceTable prod_loops =
    ReduceTable().add<Prod, true>(Fast{}).add_half<Prod, true>().add<Prod, false>(Plain{}).add<Prod, false>(
        Complexes{});
const ReduceTable amax_loops =
    ReduceTable().add<Largest, true>(Fast{}).add_half<Largest, true>().add<Largest, false>(Plain{});
const ReduceTable amin_loops =
    ReduceTable().add<Smallest, true>(Fast{}).add_half<Smallest, true>().add<Smallest, false>(Plain{});
const ReduceTable any_loops = ReduceTable()
                                  .add<AnyTrue, false>(Fast{})
                                  .add<AnyTrue, false>(Types<Half>{})
                                  .add<AnyTrue, false>(Plain{})
                                  .add<AnyTrue, false>(Complexes{});
const ReduceTable all_loops = ReduceTable()
                                  .add<AllTrue, false>(Fast{})
                                  .add<AllTrue, false>(Types<Half>{})
                                  .add<AllTrue, false>(Plain{})
                                  .add<AllTrue, false>(Complexes{});
const ReduceTable count_loops = ReduceTable()
                                    .add<CountTrue, false>(Fast{})
                                    .add<CountTrue, false>(Types<Half>{})
                                    .add<CountTrue, false>(Plain{})
                                    .add<CountTrue, false>(Complexes{});

DimSet dims_of(const atled_frame* frame) { return reduced_dims(frame->args[1], arg_tensor(frame, 0)->dl.ndim); }

template <const ReduceTable& kTable>
void plain(atled_frame* frame) {
  const atled_tensor* input = arg_tensor(frame, 0);
  reduce(input, dims_of(frame), out_tensor(frame), kTable.loops[input->dtype]);
}

// In the dtype that was asked for, which need not be the one that its own sums come in.
template <const ReduceTable& kTable>
void summed(atled_frame* frame) {
  const atled_tensor* out = out_tensor(frame);
  Tensor input = Tensor::borrow(arg_tensor(frame, 0));
  const DimSet dims = dims_of(frame);
  if (sum_dtype(input->dtype, none()) == out->dtype) return reduce(input, dims, out, kTable.loops[input->dtype]);
  if (input->dtype != out->dtype) input = contiguous(input, out->dtype);
  const int dtype = sum_dtype(out->dtype, none());
  if (dtype == out->dtype) return reduce(input, dims, out, kTable.loops[out->dtype]);
  const Tensor wide = Tensor::empty(dtype, out->dl.ndim, out->dl.shape);
  reduce(input, dims, wide, kTable.loops[out->dtype]);
  assign(out, wide);
}

void add_reduction() {
  fused_kernel("core::sum", kernel<summed<sum_loops>>);
  fused_kernel("core::prod", kernel<summed<prod_loops>>);
  fused_kernel("core::amax", kernel<plain<amax_loops>>);
  fused_kernel("core::amin", kernel<plain<amin_loops>>);
  fused_kernel("core::any", kernel<plain<any_loops>>);
  fused_kernel("core::all", kernel<plain<all_loops>>);
  fused_kernel("core::count_nonzero", kernel<plain<count_loops>>);
}
ATLED_KERNELS(add_reduction);

}  // namespace

}  // namespace atled::core
