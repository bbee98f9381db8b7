#include "functors/normal.h"

#include "cpu/special.h"
#include "functors/double_erf.h"
#include "functors/float_erf.h"

namespace atled::core {

namespace {

struct Ndtr {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return fmath::ndtr(x);
  }
};
struct ErfInv {
  ATLED_FN float operator()(float x) const { return fmath::erfinv(x); }
};
const LoopTable ndtr_loops = LoopTable().unary<Ndtr>(Floats{});
const LoopTable erfinv_loops =
    LoopTable().unary<ErfInv>(Types<float>{}).unary_plain<OfDouble<special::erfinv>>(Types<double>{});

void add_normal() {
  cpu_kernel("core::erfinv", run_special_table, erfinv_loops);
  special_kernel<special::erfcx>("special::erfcx");
  cpu_kernel("special::ndtr", run_special_table, ndtr_loops);
  special_kernel<special::log_ndtr>("special::log_ndtr");
  special_kernel<special::ndtri>("special::ndtri");
  special_kernel<special::entr>("special::entr");
  special_kernel<special::xlog1py>("special::xlog1py");
}
ATLED_KERNELS(add_normal);

}  // namespace

}  // namespace atled::core
