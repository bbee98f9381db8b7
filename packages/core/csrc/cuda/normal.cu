#include "cuda/special.cuh"
#include "functors/normal.h"

namespace atled::core::cuda {

namespace {

ATLED_OF_DOUBLE(Erfinv, special::erfinv(x));
ATLED_OF_DOUBLE(Erfcx, special::erfcx(x));
ATLED_OF_DOUBLE(Ndtr, special::ndtr(x));
ATLED_OF_DOUBLE(LogNdtr, special::log_ndtr(x));
ATLED_OF_DOUBLE(Ndtri, special::ndtri(x));
ATLED_OF_DOUBLE(Entr, special::entr(x));
ATLED_OF_DOUBLES(Xlog1py, special::xlog1py(x, y));

void add_normal() {
  cuda_kernel("core::erfinv", run_float, &of_double<Erfinv>);
  cuda_kernel("special::erfcx", run_float, &of_double<Erfcx>);
  cuda_kernel("special::ndtr", run_float, &of_double<Ndtr>);
  cuda_kernel("special::log_ndtr", run_float, &of_double<LogNdtr>);
  cuda_kernel("special::ndtri", run_float, &of_double<Ndtri>);
  cuda_kernel("special::entr", run_float, &of_double<Entr>);
  cuda_kernel("special::xlog1py", run_float, &of_doubles<Xlog1py>);
}
ATLED_CUDA_KERNELS(add_normal);

}  // namespace

}  // namespace atled::core::cuda
