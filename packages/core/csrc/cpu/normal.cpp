#include "functors/normal.h"

#include "cpu/special.h"

namespace atled::core {

namespace {

void add_normal() {
  special_kernel<special::erfinv>("core::erfinv");
  special_kernel<special::erfcx>("special::erfcx");
  special_kernel<special::ndtr>("special::ndtr");
  special_kernel<special::log_ndtr>("special::log_ndtr");
  special_kernel<special::ndtri>("special::ndtri");
  special_kernel<special::entr>("special::entr");
  special_kernel<special::xlog1py>("special::xlog1py");
}
ATLED_KERNELS(add_normal);

}  // namespace

}  // namespace atled::core
