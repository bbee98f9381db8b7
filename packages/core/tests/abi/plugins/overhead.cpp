// The same addition of two tensors of four floats, with and without the boxed call, for counting instructions and heap
// calls.
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

void init() {
  const atled_op* op = atled::define({"overhead::nothing(Tensor input, Tensor other) -> ()", "Does nothing."});
  atled::add_kernel(op, ATLED_DEVICE_CPU, nothing);
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

// A call whose kernel does nothing, so that all of it is the way there: boxed values, layers, devices, the kernel
// table.
ATLED_EXPORT int overhead_nothing(int64_t n) {
  return atled::guard([&] {
    Operands o;
    const atled_op* op = atled::Op("overhead::nothing").get();
    for (int64_t i = 0; i < n; ++i) {
      atled_value args[2] = {o.args[0], o.args[1]};
      atled::check(atled::api.call(op, 0, args, nullptr));
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
