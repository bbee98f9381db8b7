// A stand-in for cuBLASLt, libcublasLt.so.13: the functions of cuda/cublaslt.h, which read the descriptors as NVIDIA's
// do and multiply element by element when the stream is waited for. What NVIDIA's library would refuse, or would read
// or write wrongly, ends the process.
//
// It asks for workspace for every product longer than 32 and fills it, has no algorithm for addresses that are no
// multiple of 4, and rounds to TensorFloat-32 where that is allowed. Products of float8 it has only as Hopper's
// instructions take them, and none where ATLED_EMULATED_FLOAT8 is 0, as on older GPUs.
#include "cuda/cublaslt.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "atled/dtype.hpp"

using namespace atled::core::cuda::lt;

namespace atled::core::cuda::lt {

struct Context {
  int device;
};
struct DescOpaque {
  ComputeType compute;
  DataType scale;
  int32_t a_op = kPlain, b_op = kPlain;
  uint32_t epilogue = kEpilogueDefault;
  const void *bias = nullptr, *a_scale = nullptr, *b_scale = nullptr;
  void* aux = nullptr;
  int64_t aux_ld = 0;
};
struct LayoutOpaque {
  DataType type;
  uint64_t rows, columns;
  int64_t ld;
  int32_t batches = 1;
  int64_t step = 0;
};
struct PreferenceOpaque {
  uint64_t workspace = 0;
  uint32_t reductions = 7, align[4] = {256, 256, 256, 256};
};

}  // namespace atled::core::cuda::lt

namespace {

[[noreturn]] void refuse(const char* why) {
  std::fprintf(stderr, "emulated cuBLASLt: %s\n", why);
  std::abort();
}
void expect(bool holds, const char* what) {
  if (!holds) refuse(what);
}

// The emulator in the library that calls.
struct Emulator {
  int (*enqueue)(cudaStream_t, void (*)(void*), void*);
  int (*current_device)();
  int (*device_of)(const void*);
};
const Emulator& emulator(const void* caller) {
  static const Emulator found = [&] {
    Dl_info info{};
    expect(dladdr(caller, &info) != 0, "called from nowhere");
    void* library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    expect(library != nullptr, "the caller is no library");
    Emulator e{};
    auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
      expect(function != nullptr, "the caller is not the emulator");
    };
    find(e.enqueue, "atled_emulator_enqueue");
    find(e.current_device, "atled_emulator_current_device");
    find(e.device_of, "atled_emulator_device_of");
    return e;
  }();
  return found;
}
#define ATLED_CALLER emulator(__builtin_return_address(0))

template <class T>
void copy_attribute(T* to, const void* from, size_t size) {
  expect(size == sizeof(T), "an attribute of another size");
  std::memcpy(to, from, sizeof(T));
}

int size_of(DataType type) {
  switch (type) {
    case kReal8FE4M3:
    case kReal8FE5M2:
      return 1;
    case kReal16F:
    case kReal16BF:
      return 2;
    case kReal32F:
      return 4;
    case kReal64F:
    case kComplex32F:
      return 8;
    case kComplex64F:
      return 16;
  }
  refuse("a type that is not known");
}
bool is_float8(DataType type) { return size_of(type) == 1; }

// A product, taken out of its descriptors and checked; also what an algorithm was chosen for.
struct Problem {
  ComputeType compute;
  DataType type, b_type, out_type, scale;
  int32_t a_op, b_op, batches;
  uint32_t epilogue;
  int64_t m, n, k;  // column-major: m rows
  int64_t a_ld, b_ld, c_ld, d_ld, aux_ld, a_step, b_step, c_step, d_step;

  bool operator==(const Problem& other) const { return std::memcmp(this, &other, sizeof other) == 0; }
};

Problem problem_of(Desc desc, Layout a, Layout b, Layout c, Layout d) {
  Problem p;
  std::memset(&p, 0, sizeof p);
  p.compute = desc->compute;
  p.scale = desc->scale;
  p.type = a->type;
  p.b_type = b->type;
  p.out_type = d->type;
  p.a_op = desc->a_op;
  p.b_op = desc->b_op;
  p.epilogue = desc->epilogue;
  expect(c->type == d->type, "results of several types");
  const bool float8 = is_float8(p.type);
  const bool to_half = p.out_type == kReal16F || p.out_type == kReal16BF;
  if (float8) {
    expect(is_float8(p.b_type) && (p.type == kReal8FE4M3 || p.b_type == kReal8FE4M3), "factors of types not taken");
    expect(to_half || p.out_type == kReal32F, "float8 with a result of a type not taken");
    expect(p.a_op == kTransposed && p.b_op == kPlain, "float8 in another layout than transposed and plain");
    expect(!desc->a_scale == !desc->b_scale, "a scale of one factor of float8 alone");
    expect(a->rows % 16 == 0 && a->ld % 16 == 0 && b->ld % 16 == 0, "float8 in rows that are no multiple of 16");
    expect(d->rows * static_cast<uint64_t>(size_of(p.out_type)) % 16 == 0,
           "results in rows that are no multiple of 16");
    expect(d->batches == 1, "a batch of float8");
  } else {
    expect(!desc->a_scale && !desc->b_scale, "scales of another type than float8");
    const bool widens = (p.type == kReal16F || p.type == kReal16BF) && p.out_type == kReal32F;
    expect(p.b_type == p.type && (p.out_type == p.type || widens), "matrices of several types");
  }
  const bool twice = p.type == kReal64F || p.type == kComplex64F;
  const bool single = p.type == kReal32F || p.type == kComplex32F;
  expect(p.compute == (twice ? kCompute64F : kCompute32F) || (single && p.compute == kCompute32FFastTF32),
         "a compute type that does not fit the matrices'");
  const bool half = p.type == kReal16F || p.type == kReal16BF;
  expect(p.scale == (half || float8 ? kReal32F : p.type), "a scale type that does not fit the matrices'");
  const uint32_t active = p.epilogue & ~kEpilogueBias;
  expect(p.epilogue == kEpilogueDefault || active == kEpilogueRelu || active == kEpilogueGeluAux || active == 0,
         "an unknown epilogue");
  expect(p.epilogue == kEpilogueDefault || half || p.type == kReal32F || (float8 && to_half),
         "an epilogue that the type does not have");
  expect(!(p.epilogue & kEpilogueBias) || desc->bias, "a bias that is not there");
  p.m = static_cast<int64_t>(d->rows);
  p.n = static_cast<int64_t>(d->columns);
  p.k = static_cast<int64_t>(p.a_op == kPlain ? a->columns : a->rows);
  auto is = [](Layout l, bool plain, int64_t rows, int64_t columns) {
    return static_cast<int64_t>(plain ? l->rows : l->columns) == rows &&
           static_cast<int64_t>(plain ? l->columns : l->rows) == columns;
  };
  expect(is(a, p.a_op == kPlain, p.m, p.k) && is(b, p.b_op == kPlain, p.k, p.n) && is(c, true, p.m, p.n),
         "matrices whose sizes do not fit");
  p.batches = d->batches;
  expect(p.batches <= 65535, "more products than a launch takes");
  for (Layout l : {a, b, c}) expect(l->batches == p.batches, "batches of several sizes");
  expect(p.batches == 1 || d->step >= (p.n - 1) * d->ld + p.m || (d->step >= p.m && d->ld >= d->step * p.batches),
         "results that overlap");
  p.a_ld = a->ld;
  p.b_ld = b->ld;
  p.c_ld = c->ld;
  p.d_ld = d->ld;
  p.aux_ld = active == kEpilogueGeluAux ? desc->aux_ld : 0;
  expect(p.aux_ld % 8 == 0 && (p.aux_ld >= p.m || active != kEpilogueGeluAux), "a leading dimension of the argument");
  expect(active != kEpilogueGeluAux || (desc->aux && p.batches == 1), "no place for the argument");
  p.a_step = a->step;
  p.b_step = b->step;
  p.c_step = c->step;
  p.d_step = d->step;
  return p;
}

// What an Algo points to.
struct Choice {
  Problem problem;
  uint32_t align[6];  // a, b, c, d, bias, aux
  size_t workspace;
};

uint32_t alignment(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | 256;
  return static_cast<uint32_t>(address & (~address + 1));
}

// ---- the product ----

float rounded(float x, ComputeType compute) {
  if (compute != kCompute32FFastTF32) return x;
  const uint32_t bits = atled::float_to_bits(x);
  return atled::bits_to_float((bits + 0xfffu + (bits >> 13 & 1)) & ~0x1fffu);
}
double rounded(double x, ComputeType) { return x; }
template <class T>
std::complex<T> rounded(std::complex<T> x, ComputeType compute) {
  return {rounded(x.real(), compute), rounded(x.imag(), compute)};
}

// A, B and T lie in memory, S is what factors are; sums are in double precision.
template <class A, class B, class T, class S>
void run(const Problem& p, S alpha, const void* a_data, const void* b_data, S beta, const void* c_data, void* d_data,
         const void* bias_data, void* aux_data) {
  using Wide = std::conditional_t<std::is_floating_point_v<S>, double, std::complex<double>>;
  const auto* bias = static_cast<const T*>(bias_data);
  for (int64_t batch = 0; batch < p.batches; ++batch) {
    const A* a = static_cast<const A*>(a_data) + batch * p.a_step;
    const B* b = static_cast<const B*>(b_data) + batch * p.b_step;
    const T* c = static_cast<const T*>(c_data) + batch * p.c_step;
    T* d = static_cast<T*>(d_data) + batch * p.d_step;
    for (int64_t j = 0; j < p.n; ++j)
      for (int64_t i = 0; i < p.m; ++i) {
        Wide sum{};
        for (int64_t k = 0; k < p.k; ++k) {
          const S left = rounded(static_cast<S>(a[p.a_op == kPlain ? i + k * p.a_ld : k + i * p.a_ld]), p.compute);
          const S right = rounded(static_cast<S>(b[p.b_op == kPlain ? k + j * p.b_ld : j + k * p.b_ld]), p.compute);
          sum += static_cast<Wide>(left) * static_cast<Wide>(right);
        }
        sum *= static_cast<Wide>(alpha);
        if (beta != S{}) sum += static_cast<Wide>(beta) * static_cast<Wide>(static_cast<S>(c[i + j * p.c_ld]));
        if (bias) sum += static_cast<Wide>(static_cast<S>(bias[i]));
        if constexpr (std::is_same_v<Wide, double>) {
          if (p.epilogue & kEpilogueRelu) sum = sum > 0 ? sum : 0;  // of NaN, too
          if (p.aux_ld) {
            static_cast<T*>(aux_data)[i + j * p.aux_ld] = static_cast<T>(static_cast<S>(sum));
            sum *= 0.5 * (1 + std::tanh(0.7978845608028654 * (sum + 0.044715 * sum * sum * sum)));
          }
        }
        d[i + j * p.d_ld] = static_cast<T>(static_cast<S>(sum));
      }
  }
}

// Calls f with a number of each matrix's type, and one of the factors'.
template <class F>
void with_types(const Problem& p, F&& f) {
  if (is_float8(p.type) || p.type != p.out_type) {
    auto with_factors = [&](auto result) {
      const float factor = 0;
      if (p.type == kReal16F) return f(atled::Half{}, atled::Half{}, result, factor);
      if (p.type == kReal16BF) return f(atled::BFloat16{}, atled::BFloat16{}, result, factor);
      if (p.type == kReal8FE5M2) return f(atled::Float8E5M2{}, atled::Float8E4M3FN{}, result, factor);
      if (p.b_type == kReal8FE5M2) return f(atled::Float8E4M3FN{}, atled::Float8E5M2{}, result, factor);
      f(atled::Float8E4M3FN{}, atled::Float8E4M3FN{}, result, factor);
    };
    if (p.out_type == kReal16F) return with_factors(atled::Half{});
    if (p.out_type == kReal16BF) return with_factors(atled::BFloat16{});
    return with_factors(float{});
  }
  auto alike = [&](auto element, auto factor) { f(element, element, element, factor); };
  switch (p.type) {
    case kReal16F:
      return alike(atled::Half{}, float{});
    case kReal16BF:
      return alike(atled::BFloat16{}, float{});
    case kReal32F:
      return alike(float{}, float{});
    case kReal64F:
      return alike(double{}, double{});
    case kComplex32F:
      return alike(std::complex<float>{}, std::complex<float>{});
    case kComplex64F:
      return alike(std::complex<double>{}, std::complex<double>{});
    default:
      refuse("types that do not go together");
  }
}

}  // namespace

// ---- the library ----

// How often an algorithm was chosen, for tests.
static std::atomic<int> choices{0};
extern "C" __attribute__((visibility("default"))) int atled_emulator_choices() { return choices; }

#define ATLED_ENTRY extern "C" __attribute__((visibility("default"))) Status

ATLED_ENTRY cublasLtCreate(Handle* out) {
  *out = new Context{ATLED_CALLER.current_device()};
  return kSuccess;
}
ATLED_ENTRY cublasLtMatmulDescCreate(Desc* out, ComputeType compute, DataType scale) {
  *out = new DescOpaque{compute, scale};
  return kSuccess;
}
ATLED_ENTRY cublasLtMatmulDescDestroy(Desc desc) {
  delete desc;
  return kSuccess;
}
ATLED_ENTRY cublasLtMatmulDescSetAttribute(Desc desc, DescAttribute attribute, const void* from, size_t size) {
  switch (attribute) {
    case kDescTransA:
      copy_attribute(&desc->a_op, from, size);
      break;
    case kDescTransB:
      copy_attribute(&desc->b_op, from, size);
      break;
    case kDescEpilogue:
      copy_attribute(&desc->epilogue, from, size);
      break;
    case kDescBiasPointer:
      copy_attribute(&desc->bias, from, size);
      break;
    case kDescAuxPointer:
      copy_attribute(&desc->aux, from, size);
      break;
    case kDescAuxLd:
      copy_attribute(&desc->aux_ld, from, size);
      break;
    case kDescScaleA:
      copy_attribute(&desc->a_scale, from, size);
      break;
    case kDescScaleB:
      copy_attribute(&desc->b_scale, from, size);
      break;
    default:
      refuse("an unknown attribute of a product");
  }
  return kSuccess;
}
ATLED_ENTRY cublasLtMatrixLayoutCreate(Layout* out, DataType type, uint64_t rows, uint64_t columns, int64_t ld) {
  expect(rows > 0 && columns > 0 && rows <= INT32_MAX && columns <= INT32_MAX, "a matrix of a size that is not taken");
  expect(ld >= static_cast<int64_t>(rows) && ld <= INT32_MAX, "a leading dimension less than the rows, or too large");
  *out = new LayoutOpaque{type, rows, columns, ld};
  return kSuccess;
}
ATLED_ENTRY cublasLtMatrixLayoutDestroy(Layout layout) {
  delete layout;
  return kSuccess;
}
ATLED_ENTRY cublasLtMatrixLayoutSetAttribute(Layout layout, LayoutAttribute attribute, const void* from, size_t size) {
  switch (attribute) {
    case kLayoutBatchCount:
      copy_attribute(&layout->batches, from, size);
      break;
    case kLayoutBatchStride:
      copy_attribute(&layout->step, from, size);
      break;
    default:
      refuse("an unknown attribute of a matrix");
  }
  return kSuccess;
}
ATLED_ENTRY cublasLtMatmulPreferenceCreate(Preference* out) {
  *out = new PreferenceOpaque;
  return kSuccess;
}
ATLED_ENTRY cublasLtMatmulPreferenceDestroy(Preference preference) {
  delete preference;
  return kSuccess;
}
ATLED_ENTRY cublasLtMatmulPreferenceSetAttribute(Preference preference, PreferenceAttribute attribute, const void* from,
                                                 size_t size) {
  switch (attribute) {
    case kPreferenceWorkspace:
      copy_attribute(&preference->workspace, from, size);
      break;
    case kPreferenceReductions:
      copy_attribute(&preference->reductions, from, size);
      break;
    case kPreferenceAlignA:
    case kPreferenceAlignB:
    case kPreferenceAlignC:
    case kPreferenceAlignD:
      copy_attribute(&preference->align[attribute - kPreferenceAlignA], from, size);
      break;
    default:
      refuse("an unknown attribute of a preference");
  }
  return kSuccess;
}

ATLED_ENTRY cublasLtMatmulAlgoGetHeuristic(Handle handle, Desc desc, Layout a, Layout b, Layout c, Layout d,
                                           Preference preference, int asked, HeuristicResult* results, int* found) {
  expect(asked >= 1, "no algorithm was asked for");
  expect(handle->device == ATLED_CALLER.current_device(), "a handle of another device");
  expect(preference->reductions == kReductionInComputeType, "reductions that narrow or that do not keep an order");
  ++choices;
  auto* choice = new Choice{};  // kept: an algorithm may be copied
  choice->problem = problem_of(desc, a, b, c, d);
  std::memcpy(choice->align, preference->align, sizeof preference->align);
  choice->align[4] = alignment(desc->bias);
  choice->align[5] = alignment(desc->aux);
  *found = 1;
  const char* allowed = std::getenv("ATLED_EMULATED_FLOAT8");
  if (is_float8(a->type) && allowed && *allowed == '0') return *found = 0, kNotSupported;
  for (uint32_t align : preference->align) {
    expect(align >= static_cast<uint32_t>(std::min(size_of(a->type), 4)), "an alignment less than an element's");
    expect(!is_float8(a->type) || align >= 16, "float8 at an address that is no multiple of 16");
    if (align < 4) *found = 0;
  }
  if (*found == 0) return kNotSupported;
  choice->workspace = choice->problem.k > 32 ? 1000 : 0;
  expect(choice->workspace <= preference->workspace, "no workspace for a product that wants some");
  std::memset(&results[0], 0, sizeof results[0]);
  std::memcpy(results[0].algo.data, &choice, sizeof choice);
  results[0].workspace = choice->workspace;
  results[0].waves = 1;
  return kSuccess;
}

ATLED_ENTRY cublasLtMatmul(Handle handle, Desc desc, const void* alpha, const void* a, Layout a_layout, const void* b,
                           Layout b_layout, const void* beta, const void* c, Layout c_layout, void* d, Layout d_layout,
                           const Algo* algo, void* workspace, size_t workspace_size, cudaStream_t stream) {
  const Emulator& device = ATLED_CALLER;
  expect(handle->device == device.current_device(), "a handle of another device");
  const Problem p = problem_of(desc, a_layout, b_layout, c_layout, d_layout);
  expect(algo != nullptr, "no algorithm");
  const Choice* choice;
  std::memcpy(&choice, algo->data, sizeof choice);
  expect(choice->problem == p, "an algorithm that was chosen for another product");
  const void* bias = p.epilogue & kEpilogueBias ? desc->bias : nullptr;
  void* aux = p.aux_ld ? desc->aux : nullptr;
  expect(!aux || (aux != d && aux != c), "an argument that is kept where the result is");
  const void* pointers[] = {a, b, c, d, bias, aux};
  for (int i = 0; i < 6; ++i) {
    if (i >= 4 && !pointers[i]) continue;
    expect(device.device_of(pointers[i]) == handle->device, "memory that is not the device's");
    expect(alignment(pointers[i]) >= choice->align[i], "an address less aligned than the algorithm was chosen for");
  }
  expect(workspace_size >= choice->workspace, "less workspace than the algorithm needs");
  expect(choice->workspace == 0 || (device.device_of(workspace) == handle->device && alignment(workspace) >= 256),
         "workspace that is not the device's, or not aligned");
  auto* work = new std::function<void()>;
  const void *a_scale = desc->a_scale, *b_scale = desc->b_scale;
  for (const void* scale : {a_scale, b_scale})
    expect(!scale || device.device_of(scale) == handle->device, "a scale that is not the device's");
  with_types(p, [&](auto left, auto right, auto element, auto factor) {
    using A = decltype(left);
    using B = decltype(right);
    using T = decltype(element);
    using S = decltype(factor);
    S by, times;
    std::memcpy(&by, alpha, sizeof by);
    std::memcpy(&times, beta, sizeof times);
    const size_t room = choice->workspace;
    *work = [=] {
      if (room) std::memset(workspace, 0xab, room);
      S all = by;
      if (a_scale) all *= *static_cast<const float*>(a_scale) * *static_cast<const float*>(b_scale);
      run<A, B, T, S>(p, all, a, b, times, c, d, bias, aux);
    };
  });
  auto later = [](void* given) { (*static_cast<std::function<void()>*>(given))(); };
  expect(device.enqueue(stream, later, work) == 0, "a stream that takes no work");
  return kSuccess;
}
