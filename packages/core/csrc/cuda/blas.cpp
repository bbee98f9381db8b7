#include "cuda/blas.h"

#include <atomic>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "atled/plan_key.h"
#include "cuda/cublaslt.h"
#include "cuda/libraries.h"
#include "cuda/runtime.h"

namespace atled::core::cuda {

namespace {

// What a split product or a faster layout may take; NVIDIA's advice for the largest GPUs.
constexpr uint64_t kMostWorkspace = uint64_t{32} << 20;
// Plans that a thread keeps; beyond, as many sizes come and go that none is worth keeping.
constexpr size_t kMostPlans = 4096;
constexpr int kMostDevices = 64;

std::atomic<bool> tf32{false};

struct Types {
  lt::ComputeType compute;
  lt::DataType data, scale;
};

Types types_of(int dtype, bool fast) {
  const lt::ComputeType single = fast ? lt::kCompute32FFastTF32 : lt::kCompute32F;
  switch (dtype) {
    case ATLED_FLOAT8_E4M3FN:
      return {lt::kCompute32F, lt::kReal8FE4M3, lt::kReal32F};
    case ATLED_FLOAT8_E5M2:
      return {lt::kCompute32F, lt::kReal8FE5M2, lt::kReal32F};
    case ATLED_FLOAT16:
      return {lt::kCompute32F, lt::kReal16F, lt::kReal32F};
    case ATLED_BFLOAT16:
      return {lt::kCompute32F, lt::kReal16BF, lt::kReal32F};
    case ATLED_FLOAT32:
      return {single, lt::kReal32F, lt::kReal32F};
    case ATLED_FLOAT64:
      return {lt::kCompute64F, lt::kReal64F, lt::kReal64F};
    case ATLED_COMPLEX64:
      return {single, lt::kComplex32F, lt::kComplex32F};
    default:
      return {lt::kCompute64F, lt::kComplex64F, lt::kComplex64F};
  }
}

void expect(lt::Status status, const char* tried) {
  if (status == lt::kSuccess) return;
  const char* name = status == lt::kNotInitialized ? "NOT_INITIALIZED"
                     : status == lt::kAllocFailed  ? "ALLOC_FAILED"
                     : status == lt::kInvalidValue ? "INVALID_VALUE"
                     : status == lt::kArchMismatch ? "ARCH_MISMATCH"
                     : status == lt::kNotSupported ? "NOT_SUPPORTED"
                                                   : "another status";
  fail(status == lt::kAllocFailed ? ATLED_E_MEMORY : ATLED_E_DEVICE, "cuda: cuBLASLt could not %s: %s (%d)", tried,
       name, status);
}

const lt::Functions& functions() {
  static const lt::Functions all = [] {
    const Library library(lt::kFile);
    lt::Functions f;
#define ATLED_CUBLASLT_FIND(member, name, parameters) library.find(#name, &f.member);
    ATLED_CUBLASLT_FUNCTIONS(ATLED_CUBLASLT_FIND)
#undef ATLED_CUBLASLT_FIND
    return f;
  }();
  return all;
}

// One for each device, for all threads and streams; never destroyed, for at the end of the process the driver may be
// gone.
lt::Handle handle_of(int device) {
  static std::once_flag made[kMostDevices];
  static lt::Handle handles[kMostDevices];
  if (device < 0 || device >= kMostDevices)
    fail(ATLED_E_DEVICE, "cuda: expected a device index in [0, %d), got %d", kMostDevices, device);
  std::call_once(made[device], [&] {
    const lt::Functions& f = functions();
    // What it sets up is no part of a graph that is being captured.
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    cuda::expect(cudaThreadExchangeStreamCaptureMode(&mode), "prepare cuBLASLt");
    const lt::Status status = f.create(&handles[device]);
    cuda::expect(cudaThreadExchangeStreamCaptureMode(&mode), "prepare cuBLASLt");
    expect(status, "start");
  });
  return handles[device];
}

// Owns a descriptor of cuBLASLt's.
template <class T, lt::Status (*lt::Functions::*Destroy)(T)>
class Owned {
 public:
  Owned() = default;
  Owned(Owned&& other) noexcept : it_(std::exchange(other.it_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(it_, other.it_);
    return *this;
  }
  ~Owned() {
    if (it_) (functions().*Destroy)(it_);
  }
  T* out() { return &it_; }
  operator T() const { return it_; }

 private:
  T it_ = nullptr;
};
using Desc = Owned<lt::Desc, &lt::Functions::desc_destroy>;
using Layout = Owned<lt::Layout, &lt::Functions::layout_destroy>;
using Preference = Owned<lt::Preference, &lt::Functions::preference_destroy>;

using Key = PlanKey<11>;

// The largest power of two, up to 256, that an address is a multiple of; cuBLASLt asks for no more.
uint32_t alignment(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | 256;
  return static_cast<uint32_t>(address & (~address + 1));
}

Key key_of(const BlasProduct& p, bool fast) {
  const uint32_t flags = static_cast<uint32_t>(p.dtype) | static_cast<uint32_t>(fast) << 8 |
                         static_cast<uint32_t>(p.x.transposed) << 9 | static_cast<uint32_t>(p.y.transposed) << 10 |
                         static_cast<uint32_t>(p.bias != nullptr) << 11 | static_cast<uint32_t>(p.activation) << 12 |
                         static_cast<uint32_t>(p.device) << 16 | static_cast<uint32_t>(p.x.dtype) << 22 |
                         static_cast<uint32_t>(p.y.dtype) << 27;
  // Alignments are of at most nine bits.
  const uint64_t aligned = uint64_t{alignment(p.x.data)} | uint64_t{alignment(p.y.data)} << 10 |
                           uint64_t{alignment(p.c)} << 20 | uint64_t{alignment(p.out)} << 30 |
                           uint64_t{alignment(p.bias)} << 40 | uint64_t{alignment(p.before)} << 50;
  return Key{
      {flags, static_cast<int64_t>(aligned), p.batches, p.m, p.n, p.k, p.x.ld, p.x.step, p.y.ld, p.y.step, p.out_step}};
}

struct Plan {
  Desc desc;
  Layout a, b, c;
  lt::HeuristicResult choice{};
  bool supported = false;
};

Layout make_layout(const lt::Functions& f, lt::DataType type, int64_t rows, int64_t columns, int64_t ld,
                   int64_t batches, int64_t step) {
  Layout layout;
  expect(f.layout_create(layout.out(), type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), ld),
         "describe a matrix");
  if (batches > 1) {
    const auto count = static_cast<int32_t>(batches);
    expect(f.layout_set(layout, lt::kLayoutBatchCount, &count, sizeof count), "describe a batch");
    expect(f.layout_set(layout, lt::kLayoutBatchStride, &step, sizeof step), "describe a batch");
  }
  return layout;
}

// The addresses that are no part of a key.
void set_pointers(const lt::Functions& f, const Plan& plan, const BlasProduct& p) {
  auto set = [&](lt::DescAttribute attribute, const void* pointer, const char* tried) {
    expect(f.desc_set(plan.desc, attribute, &pointer, sizeof pointer), tried);
  };
  if (p.bias) set(lt::kDescBiasPointer, p.bias, "take a bias");
  if (p.before) set(lt::kDescAuxPointer, p.before, "keep an argument");
  if (!is_float8(p.x.dtype)) return;
  // NULL stands for 1, and takes the place of what an earlier call gave.
  set(lt::kDescScaleA, p.y.scale, "take a scale");
  set(lt::kDescScaleB, p.x.scale, "take a scale");
}

// Row-major matrices are the transposes of column-major ones, and out^T = y^T x^T: so y is cuBLASLt's A, x its B.
Plan make_plan(const lt::Functions& f, lt::Handle handle, const BlasProduct& p, bool fast) {
  const Types types = types_of(p.dtype, fast);
  Plan plan;
  expect(f.desc_create(plan.desc.out(), types.compute, types.scale), "describe a product");
  const int32_t a_op = p.y.transposed ? lt::kTransposed : lt::kPlain;
  const int32_t b_op = p.x.transposed ? lt::kTransposed : lt::kPlain;
  expect(f.desc_set(plan.desc, lt::kDescTransA, &a_op, sizeof a_op), "transpose a matrix");
  expect(f.desc_set(plan.desc, lt::kDescTransB, &b_op, sizeof b_op), "transpose a matrix");
  const uint32_t epilogue =
      (p.bias ? lt::kEpilogueBias : 0) | (p.activation == Activation::kRelu   ? lt::kEpilogueRelu
                                          : p.activation == Activation::kGelu ? lt::kEpilogueGeluAux
                                                                              : 0);
  if (epilogue) expect(f.desc_set(plan.desc, lt::kDescEpilogue, &epilogue, sizeof epilogue), "take an epilogue");
  if (p.before) expect(f.desc_set(plan.desc, lt::kDescAuxLd, &p.n, sizeof p.n), "keep an argument");
  set_pointers(f, plan, p);
  plan.a = make_layout(f, types_of(p.y.dtype, fast).data, p.y.transposed ? p.k : p.n, p.y.transposed ? p.n : p.k,
                       p.y.ld, p.batches, p.y.step);
  plan.b = make_layout(f, types_of(p.x.dtype, fast).data, p.x.transposed ? p.m : p.k, p.x.transposed ? p.k : p.m,
                       p.x.ld, p.batches, p.x.step);
  plan.c = make_layout(f, types.data, p.n, p.m, p.n, p.batches, p.out_step);

  Preference preference;
  expect(f.preference_create(preference.out()), "describe a choice");
  auto prefer = [&](lt::PreferenceAttribute attribute, auto value) {
    expect(f.preference_set(preference, attribute, &value, sizeof value), "describe a choice");
  };
  prefer(lt::kPreferenceWorkspace, kMostWorkspace);
  prefer(lt::kPreferenceReductions, lt::kReductionInComputeType);
  prefer(lt::kPreferenceAlignA, alignment(p.y.data));
  prefer(lt::kPreferenceAlignB, alignment(p.x.data));
  prefer(lt::kPreferenceAlignC, alignment(p.c));
  prefer(lt::kPreferenceAlignD, alignment(p.out));
  int found = 0;
  const lt::Status status =
      f.heuristic(handle, plan.desc, plan.a, plan.b, plan.c, plan.c, preference, 1, &plan.choice, &found);
  // It says either of what it cannot do.
  if (status != lt::kNotSupported && status != lt::kInvalidValue) expect(status, "choose an algorithm");
  plan.supported = status == lt::kSuccess && found > 0 && plan.choice.state == lt::kSuccess;
  return plan;
}

// This thread's: descriptors hold the bias's address, so that no two threads may use one at a time.
Plan& plan_for(const lt::Functions& f, lt::Handle handle, const BlasProduct& p) {
  static thread_local std::unordered_map<Key, Plan, Key::Hash> plans;
  const bool single = p.x.dtype == ATLED_FLOAT32 || p.x.dtype == ATLED_COMPLEX64;
  const bool fast = single && tf32.load(std::memory_order_relaxed);
  const Key key = key_of(p, fast);
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second;
  if (plans.size() >= kMostPlans) plans.clear();
  return plans.emplace(key, make_plan(f, handle, p, fast)).first->second;
}

// A factor, as cuBLASLt reads it for a dtype.
struct Factor {
  Factor(int dtype, std::complex<double> z) {
    if (dtype == ATLED_COMPLEX128) {
      put(z.real(), 0);
      put(z.imag(), 1);
    } else if (dtype == ATLED_FLOAT64) {
      put(z.real(), 0);
    } else {
      put(static_cast<float>(z.real()), 0);
      put(static_cast<float>(z.imag()), 1);
    }
  }
  alignas(16) char bytes[16] = {};

 private:
  template <class T>
  void put(T value, int i) {
    std::memcpy(bytes + static_cast<size_t>(i) * sizeof value, &value, sizeof value);
  }
};

}  // namespace

bool has_blas(int dtype) { return is_complex(dtype) || (is_floating(dtype) && !is_float8(dtype)); }

bool takes_bias(int dtype, const void* bias) { return dtype <= ATLED_FLOAT32 && alignment(bias) >= 16; }
bool takes_activation(Activation activation, int dtype, int64_t n, const void* before) {
  if (activation == Activation::kNone || dtype > ATLED_FLOAT32) return false;
  return activation == Activation::kRelu || (n % 8 == 0 && alignment(before) >= 16);
}

bool multiply(const BlasProduct& p) {
  const lt::Functions& f = functions();
  const lt::Handle handle = handle_of(p.device);
  Plan& plan = plan_for(f, handle, p);
  if (!plan.supported) return false;
  set_pointers(f, plan, p);
  Tensor workspace;
  void* room = nullptr;
  if (plan.choice.workspace > 0) {
    workspace = Tensor::empty(ATLED_UINT8, {static_cast<int64_t>(plan.choice.workspace)}, DLDevice{kDLCUDA, p.device});
    room = workspace->dl.data;
  }
  const Factor alpha(p.dtype, p.alpha), beta(p.dtype, p.beta);
  const lt::Status status =
      f.matmul(handle, plan.desc, alpha.bytes, p.y.data, plan.a, p.x.data, plan.b, beta.bytes, p.c, plan.c, p.out,
               plan.c, &plan.choice.algo, room, plan.choice.workspace, current_stream(p.device));
  if (status == lt::kNotSupported) return plan.supported = false;
  expect(status, "multiply matrices");
  return true;
}

void allow_tf32(bool allowed) { tf32.store(allowed, std::memory_order_relaxed); }

}  // namespace atled::core::cuda
