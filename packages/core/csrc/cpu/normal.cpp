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
// In double for float, too: the results that are far from 1 lose digits otherwise.
struct Erfcx {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return static_cast<T>(fmath::erfcx(static_cast<double>(x)));
  }
};
struct LogNdtr {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return static_cast<T>(fmath::log_ndtr(static_cast<double>(x)));
  }
};
struct ErfInv {
  ATLED_FN float operator()(float x) const { return fmath::erfinv(x); }
};
const LoopTable ndtr_loops = LoopTable().unary<Ndtr>(Floats{});
const LoopTable erfcx_loops = LoopTable().unary<Erfcx>(Floats{});
const LoopTable log_ndtr_loops = LoopTable().unary<LogNdtr>(Floats{});
const LoopTable erfinv_loops =
    LoopTable().unary<ErfInv>(Types<float>{}).unary_plain<OfDouble<special::erfinv>>(Types<double>{});

void add_normal() {
  cpu_kernel("core::erfinv", run_special_table, erfinv_loops);
  cpu_kernel("special::erfcx", run_special_table, erfcx_loops);
  cpu_kernel("special::ndtr", run_special_table, ndtr_loops);
  cpu_kernel("special::log_ndtr", run_special_table, log_ndtr_loops);
  special_kernel<special::ndtri>("special::ndtri");
  special_kernel<special::entr>("special::entr");
  special_kernel<special::xlog1py>("special::xlog1py");
}
ATLED_KERNELS(add_normal);

}  // namespace

}  // namespace atled::core
