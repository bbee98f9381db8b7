#include "functors/normal.h"

#include "cpu/special.h"
#include "functors/double_erf.h"
#include "functors/float_math.h"

namespace atled::core {

namespace {

struct Ndtr {
  template <class T>
  ATLED_FN T operator()(T x) const {
    return fmath::ndtr(x);
  }
};
const LoopTable ndtr_loops = LoopTable().unary<Ndtr>(Floats{});

void add_normal() {
  special_kernel<special::erfinv>("core::erfinv");
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
