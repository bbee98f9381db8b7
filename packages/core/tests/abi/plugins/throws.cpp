// Kernels that fail in every way a plugin can: each must become a Python exception, never a crash.
#include <atled/plugin.hpp>
#include <stdexcept>
#include <vector>

namespace {

void standard(atled_frame*) { throw std::runtime_error("thrown in a kernel"); }
void memory(atled_frame*) { throw std::bad_alloc(); }
void number(atled_frame*) { throw 42; }
void typed(atled_frame*) { atled::fail(ATLED_E_SHAPE, "expected a square, got %s", "a circle"); }
void inner(atled_frame* f) {
  static const atled::Op matmul{"core::matmul"};
  atled::set_out(f, 0, matmul(atled::arg_tensor(f, 0), atled::arg_tensor(f, 0)));
}
void bad_shape(const atled_frame*, atled_spec*) { throw std::runtime_error("thrown in a shape rule"); }
void silent(atled_frame*) {}

void init() {
  auto add = [](const char* schema, atled_kernel run) {
    atled::add_kernel(atled::define({schema, "Fails."}), ATLED_DEVICE_CPU, run);
  };
  add("throws::standard(Tensor input) -> Tensor", atled::kernel<standard>);
  add("throws::memory(Tensor input) -> Tensor", atled::kernel<memory>);
  add("throws::number(Tensor input) -> Tensor", atled::kernel<number>);
  add("throws::typed(Tensor input) -> Tensor", atled::kernel<typed>);
  add("throws::inner(Tensor input) -> Tensor", atled::kernel<inner>);
  add("throws::silent(Tensor input) -> Tensor", atled::kernel<silent>);
  atled::define({"throws::bad_shape(Tensor input) -> Tensor", "Fails.", atled::shape<bad_shape>});
  atled::add_kernel("throws::bad_shape", ATLED_DEVICE_CPU, atled::kernel<silent>);
  atled::define({"throws::no_kernel(Tensor input) -> Tensor", "Has no kernel."});
}

}  // namespace

ATLED_PLUGIN("atled-throws", "0.1.0", init)
