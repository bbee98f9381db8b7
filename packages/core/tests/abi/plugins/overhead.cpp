// Calls with and without the ABI, for benchmarks/instructions.py to count instructions and test_overhead.py heap calls.
#include <dlfcn.h>

#include <atled/plugin.hpp>
#include <atomic>
#include <cstdlib>

namespace {

std::atomic<int64_t> heap_calls{0};
std::atomic<bool> counting{false};

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

void note() {
  if (counting.load(std::memory_order_relaxed)) ++heap_calls;
}

struct Operands {
  atled::Tensor a = atled::Tensor::empty(ATLED_FLOAT32, {4}), b = atled::Tensor::empty(ATLED_FLOAT32, {4});
  const atled_op* add = atled::Op("core::add").get();
  atled_value args[3];

  Operands() {
    for (int i = 0; i < 4; ++i) atled::data<float>(a)[i] = atled::data<float>(b)[i] = static_cast<float>(i);
    args[0] = atled::value(a);
    args[1] = atled::value(b);
    args[2] = atled::value(1);
  }
};

int nothing(void*, atled_frame*) { return ATLED_OK; }

void pass(atled_frame* f) { atled::set_out(f, 0, atled::Tensor::borrow(atled::arg_tensor(f, 0))); }

// What a framework in one library would have in place of the ABI: a dispatcher with typed arguments and results that
// decides the same things (layers, one device, the device's kernel, whether the work is worth dropping the GIL).
namespace typed {

using Kernel = atled_tensor* (*)(atled_tensor*, atled_tensor*);
struct Op {
  std::atomic<uint64_t> layer_mask{~uint64_t{0}};
  Kernel kernels[16] = {};
};
struct Words {
  uint64_t include = 0, exclude = 0;
};
__thread Words words __attribute__((tls_model("initial-exec")));
Op op;

[[noreturn]] __attribute__((noinline)) void unusual() { throw atled::Raised{ATLED_E_RUNTIME}; }

atled_tensor* pass(atled_tensor* input, atled_tensor*) {
  atled::api.retain(input);
  return input;
}

__attribute__((noinline)) atled::Tensor call(const Op& called, atled_tensor* a, atled_tensor* b) {
  const uint64_t keys = words.include | a->keys | b->keys;
  if (keys & ~words.exclude & called.layer_mask.load(std::memory_order_relaxed)) unusual();
  if (a->dl.device.device_type != b->dl.device.device_type || a->dl.device.device_id != b->dl.device.device_id)
    unusual();
  const Kernel kernel = called.kernels[a->device_slot];
  if (!kernel || atled::numel(a) + atled::numel(b) > 1 << 15) unusual();
  return atled::Tensor::steal(kernel(a, b));
}

}  // namespace typed

// A callee like api.call behind a pointer that the compiler cannot see through.
int empty_callee(const atled_op*, uint32_t, atled_value* args, atled_value* outs) {
  outs[0].u.tensor = args[0].u.tensor;
  outs[0].tag = ATLED_TENSOR;
  return ATLED_OK;
}
int (*volatile crossing)(const atled_op*, uint32_t, atled_value*, atled_value*) = empty_callee;

void init() {
  const atled_op* op = atled::define({"overhead::nothing(Tensor input, Tensor other) -> ()", "Does nothing."});
  atled::add_kernel(op, ATLED_DEVICE_CPU, nothing);
  op = atled::define({"overhead::pass(Tensor input, Tensor other) -> Tensor", "Gives its input back."});
  atled::add_kernel(op, ATLED_DEVICE_CPU, atled::kernel<pass>);
  typed::op.kernels[0] = typed::pass;
}

}  // namespace

// Effective when the library is preloaded.
ATLED_EXPORT void* malloc(size_t n) {
  static auto real = next<void* (*)(size_t)>("malloc");
  note();
  return real(n);
}
ATLED_EXPORT void* realloc(void* p, size_t n) {
  static auto real = next<void* (*)(void*, size_t)>("realloc");
  note();
  return real(p, n);
}
ATLED_EXPORT void* aligned_alloc(size_t alignment, size_t n) {
  static auto real = next<void* (*)(size_t, size_t)>("aligned_alloc");
  note();
  return real(alignment, n);
}

// What any array library does: the output's memory, the loop, the release.
ATLED_EXPORT int overhead_direct(int64_t n) {
  return atled::guard([&] {
    Operands o;
    for (int64_t i = 0; i < n; ++i) {
      atled::Tensor out = atled::Tensor::empty_like(o.a);
      atled_value outs[1] = {atled::value(out)};
      atled_frame frame{o.add, o.args, outs, 0, 0, 0};
      atled::check(atled::kernel_group->run(&frame, ATLED_DEVICE_CPU));
    }
  });
}

// The same through the dispatcher: layers, shape rule, allocation, kernel.
ATLED_EXPORT int overhead_call(int64_t n) {
  return atled::guard([&] {
    Operands o;
    for (int64_t i = 0; i < n; ++i) {
      atled_value outs[1];
      atled::check(atled::api.call(o.add, 0, o.args, outs));
      atled::api.release(outs[0].u.tensor);
    }
  });
}

// A call whose kernel does nothing and has no result: all of it is the way there.
ATLED_EXPORT int overhead_nothing(int64_t n) {
  return atled::guard([&] {
    Operands o;
    const atled_op* op = atled::Op("overhead::nothing").get();
    for (int64_t i = 0; i < n; ++i) {
      atled_value args[2] = {atled::value(o.a), atled::value(o.b)};
      atled::check(atled::api.call(op, 0, args, nullptr));
    }
  });
}

// Through the ABI: boxes, the table, tags, the kernel's trampoline, status to exception, an owned result.
ATLED_EXPORT int overhead_boxed(int64_t n) {
  return atled::guard([&] {
    Operands o;
    const atled_op* op = atled::Op("overhead::pass").get();
    for (int64_t i = 0; i < n; ++i) {
      atled_value args[2] = {atled::value(o.a), atled::value(o.b)}, out = atled::none();
      atled::check(atled::api.call(op, 0, args, &out));
      const atled::Tensor result = atled::Tensor::steal(out.u.tensor);
    }
  });
}

// The same call without it.
ATLED_EXPORT int overhead_typed(int64_t n) {
  return atled::guard([&] {
    Operands o;
    for (int64_t i = 0; i < n; ++i) const atled::Tensor result = typed::call(typed::op, o.a, o.b);
  });
}

// Boxing, the call through a pointer, the status and the result alone, without a dispatcher.
ATLED_EXPORT int overhead_crossing(int64_t n) {
  return atled::guard([&] {
    Operands o;
    for (int64_t i = 0; i < n; ++i) {
      atled_value args[2] = {atled::value(o.a), atled::value(o.b)}, out = atled::none();
      atled::check(crossing(o.add, 0, args, &out));
      if (out.tag != ATLED_TENSOR) atled::fail(ATLED_E_RUNTIME, "expected a tensor");
    }
  });
}

ATLED_EXPORT int64_t overhead_heap_calls(int64_t n) {
  overhead_call(16);  // fills the allocator's lists
  Operands o;
  heap_calls = 0;
  counting = true;
  for (int64_t i = 0; i < n; ++i) {
    atled_value outs[1];
    if (atled::api.call(o.add, 0, o.args, outs) != ATLED_OK) break;
    atled::api.release(outs[0].u.tensor);
  }
  counting = false;
  return heap_calls;
}

// Shows that the counter counts.
ATLED_EXPORT int64_t overhead_heap_calls_of_one_malloc() {
  heap_calls = 0;
  counting = true;
  void* volatile p = malloc(100);
  counting = false;
  free(p);
  return heap_calls;
}

ATLED_PLUGIN("atled-overhead", "0.1.0", init)
