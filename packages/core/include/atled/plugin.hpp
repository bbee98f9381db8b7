// The C++ face of atled/abi.h: header-only, compiled into each plugin. Nothing of it crosses a library's edge.
//
// A plugin library:                                        A Python extension module:
//   static void init() { ... define ops and kernels ... }    atled::connect_capsule(PyCapsule_Import(ATLED_CAPSULE, 0),
//   "dist", "0.1"); ATLED_PLUGIN("my-dist", "0.1", init)
//
// Inside functions that run under guard() (kernels, shape rules and handlers made with kernel<F>, shape<F>), throw
// Error or call fail(); what is thrown becomes the thread's error state.
#ifndef ATLED_PLUGIN_HPP
#define ATLED_PLUGIN_HPP

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "abi.h"
#include "dtype.hpp"

namespace atled {

// ---- the tables, one set per plugin ----

inline atled_api api{};

template <class Table>
class Group {
 public:
  explicit Group(const char* name) : name_(name) {}
  const Table* operator->() const {
    if (!loaded_.load(std::memory_order_acquire)) load();
    return &table_;
  }

 private:
  void load() const;
  const char* name_;
  mutable Table table_{};
  mutable std::atomic<bool> loaded_{false};
};

inline const Group<atled_op_group> op_group{"op"};
inline const Group<atled_kernel_group> kernel_group{"kernel"};
inline const Group<atled_layer_group> layer_group{"layer"};
inline const Group<atled_device_group> device_group{"device"};
inline const Group<atled_alloc_group> alloc_group{"alloc"};
inline const Group<atled_rng_group> rng_group{"rng"};
inline const Group<atled_parallel_group> parallel_group{"parallel"};
inline const Group<atled_py_group> py_group{"py"};

// ---- errors ----

class Error : public std::runtime_error {
 public:
  Error(int kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  int kind() const { return kind_; }

 private:
  int kind_;
};

// The thread's error state is already set; only the status travels.
struct Raised {
  int status;
};

inline void check(int status) {
  if (status != ATLED_OK) throw Raised{status};
}

[[noreturn]]
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
inline void fail(int kind, const char* format, ...) {
  char text[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  throw Error(kind, text);
}

// Calls f with the Tag of float16, bfloat16, float32 or float64, as visit_dtype() does; DTypeError for another dtype.
template <class F>
void visit_float(int dtype, F&& f) {
  switch (dtype) {
    case ATLED_FLOAT16:
      return f(Tag<Half>{});
    case ATLED_BFLOAT16:
      return f(Tag<BFloat16>{});
    case ATLED_FLOAT32:
      return f(Tag<float>{});
    case ATLED_FLOAT64:
      return f(Tag<double>{});
    default:
      fail(ATLED_E_DTYPE, "expected float16, bfloat16, float32 or float64, got %s", dtype_name(dtype));
  }
}

// Runs f and turns what it throws into the error state.
template <class F>
int guard(F&& f) noexcept {
  try {
    f();
    return ATLED_OK;
  } catch (const Raised& raised) {
    return raised.status;
  } catch (const Error& e) {
    return api.set_error(e.kind(), e.what());
  } catch (const std::bad_alloc&) {
    return api.set_error(ATLED_E_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return api.set_error(ATLED_E_RUNTIME, e.what());
  } catch (...) {
    return api.set_error(ATLED_E_RUNTIME, "an unknown C++ exception");
  }
}

template <class Table>
void Group<Table>::load() const {
  Table found{};
  check(api.group(name_, 1, &found, sizeof found));
  static std::mutex mutex;
  const std::lock_guard<std::mutex> hold(mutex);
  if (loaded_.load(std::memory_order_relaxed)) return;
  table_ = found;
  loaded_.store(true, std::memory_order_release);
}

// ---- tensors ----

inline int64_t numel(const atled_tensor* t) {
  int64_t n = 1;
  for (int i = 0; i < t->dl.ndim; ++i) n *= t->dl.shape[i];
  return n;
}

inline bool is_contiguous(const atled_tensor* t) { return t->flags & ATLED_TENSOR_CONTIGUOUS; }

template <class T>
T* data(const atled_tensor* t) {
  return static_cast<T*>(t->dl.data);
}

// "(3, 4)", "(3,)" or "()"
inline std::string shape_text(int ndim, const int64_t* shape) {
  std::string text = "(";
  for (int i = 0; i < ndim; ++i) text += std::to_string(shape[i]) + (i + 1 < ndim ? ", " : (ndim == 1 ? "," : ""));
  return text + ")";
}
inline std::string shape_text(const atled_tensor* t) { return shape_text(t->dl.ndim, t->dl.shape); }

// Owns one reference.
class Tensor {
 public:
  Tensor() = default;
  static Tensor steal(atled_tensor* t) {
    Tensor owner;
    owner.t_ = t;
    return owner;
  }
  static Tensor borrow(atled_tensor* t) {
    if (t) api.retain(t);
    return steal(t);
  }
  static Tensor empty(int dtype, int ndim, const int64_t* shape, DLDevice device = {kDLCPU, 0}) {
    atled_spec spec;
    spec.dtype = dtype;
    spec.ndim = ndim;
    spec.has_strides = 0;
    for (int i = 0; i < ndim; ++i) spec.shape[i] = shape[i];
    atled_tensor* t = nullptr;
    check(api.empty(&spec, device, &t));
    return steal(t);
  }
  static Tensor empty(int dtype, std::initializer_list<int64_t> shape, DLDevice device = {kDLCPU, 0}) {
    return empty(dtype, static_cast<int>(shape.size()), shape.begin(), device);
  }
  static Tensor empty_like(const atled_tensor* t) { return empty(t->dtype, t->dl.ndim, t->dl.shape, t->dl.device); }

  Tensor(const Tensor& other) : t_(other.t_) {
    if (t_) api.retain(t_);
  }
  Tensor(Tensor&& other) noexcept : t_(std::exchange(other.t_, nullptr)) {}
  Tensor& operator=(Tensor other) noexcept {
    std::swap(t_, other.t_);
    return *this;
  }
  ~Tensor() {
    if (t_) api.release(t_);
  }

  explicit operator bool() const { return t_ != nullptr; }
  operator atled_tensor*() const { return t_; }
  atled_tensor* operator->() const { return t_; }
  atled_tensor* get() const { return t_; }
  atled_tensor* release() { return std::exchange(t_, nullptr); }

 private:
  atled_tensor* t_ = nullptr;
};

// ---- values ----

inline atled_value none() { return atled_value{{nullptr}, ATLED_NONE, 0}; }
inline atled_value value(atled_tensor* t) {
  atled_value v = none();
  v.u.tensor = t;
  v.tag = t ? ATLED_TENSOR : ATLED_NONE;
  return v;
}
inline atled_value value(const Tensor& t) { return value(t.get()); }
inline atled_value value(const atled_value& v) { return v; }
inline atled_value value(bool b) {
  atled_value v = none();
  v.u.i = b;
  v.tag = ATLED_BOOL_VALUE;
  return v;
}
template <class I, std::enable_if_t<std::is_integral_v<I> && !std::is_same_v<I, bool>, int> = 0>
atled_value value(I i) {
  atled_value v = none();
  v.u.i = static_cast<int64_t>(i);
  v.tag = ATLED_INT_VALUE;
  return v;
}
inline atled_value value(double f) {
  atled_value v = none();
  v.u.f = f;
  v.tag = ATLED_FLOAT_VALUE;
  return v;
}
inline atled_value dtype_value(int dtype) {
  atled_value v = value(dtype);
  v.tag = ATLED_DTYPE;
  return v;
}
inline atled_value device_value(DLDevice device) {
  atled_value v = none();
  v.u.device = device;
  v.tag = ATLED_DEVICE;
  return v;
}
inline atled_value ints_value(const int64_t* ints, size_t n) {
  atled_value v = none();
  v.u.ints = ints;
  v.tag = ATLED_INTS;
  v.n = static_cast<uint32_t>(n);
  return v;
}
inline atled_value tensors_value(atled_tensor** tensors, size_t n) {
  atled_value v = none();
  v.u.tensors = tensors;
  v.tag = ATLED_TENSORS;
  v.n = static_cast<uint32_t>(n);
  return v;
}

inline bool is_none(const atled_value& v) { return v.tag == ATLED_NONE; }
inline bool is_scalar(const atled_value& v) { return v.tag >= ATLED_INT_VALUE && v.tag <= ATLED_COMPLEX_VALUE; }
inline double as_double(const atled_value& v) {
  if (v.tag == ATLED_FLOAT_VALUE) return v.u.f;
  if (v.tag == ATLED_COMPLEX_VALUE) return v.u.complex[0];
  return static_cast<double>(v.u.i);
}
inline int64_t as_int(const atled_value& v) {
  return v.tag == ATLED_FLOAT_VALUE     ? static_cast<int64_t>(v.u.f)
         : v.tag == ATLED_COMPLEX_VALUE ? static_cast<int64_t>(v.u.complex[0])
                                        : v.u.i;
}

// ---- frames: what kernels see ----

inline atled_tensor* arg_tensor(const atled_frame* f, int i) {
  return f->args[i].tag == ATLED_TENSOR ? f->args[i].u.tensor : nullptr;
}
inline int64_t arg_int(const atled_frame* f, int i) { return as_int(f->args[i]); }
inline double arg_double(const atled_frame* f, int i) { return as_double(f->args[i]); }
inline bool arg_bool(const atled_frame* f, int i) { return f->args[i].u.i != 0; }
inline bool arg_is_none(const atled_frame* f, int i) { return is_none(f->args[i]); }
inline atled_tensor* out_tensor(const atled_frame* f, int i = 0) { return f->outs[i].u.tensor; }
// For kernels without a shape rule: hands an owned result over.
inline void set_out(atled_frame* f, int i, Tensor t) { f->outs[i] = value(t.release()); }

// For kernels of ops that return Tensor[]: hands n owned results over.
template <class Tensors>
void set_out_list(atled_frame* f, int i, Tensors&& tensors) {
  const size_t n = tensors.size();
  void* list = nullptr;
  check(alloc_group->allocate(DLDevice{kDLCPU, 0}, n * sizeof(atled_tensor*), &list));
  for (size_t k = 0; k < n; ++k) static_cast<atled_tensor**>(list)[k] = tensors[k].release();
  f->outs[i] = tensors_value(static_cast<atled_tensor**>(list), n);
}

using KernelFunction = void (*)(atled_frame*);
using ShapeFunction = void (*)(const atled_frame*, atled_spec*);

template <KernelFunction F>
int kernel(void*, atled_frame* frame) noexcept {
  return guard([&] { F(frame); });
}
template <ShapeFunction F>
int shape(void*, const atled_frame* frame, atled_spec* outs) noexcept {
  return guard([&] { F(frame, outs); });
}

// ---- shape rules ----

inline void set_spec(atled_spec& spec, int dtype, int ndim, const int64_t* dims) {
  spec.dtype = dtype;
  spec.ndim = ndim;
  spec.has_strides = 0;
  for (int i = 0; i < ndim; ++i) spec.shape[i] = dims[i];
}
inline void set_spec(atled_spec& spec, int dtype, std::initializer_list<int64_t> dims) {
  set_spec(spec, dtype, static_cast<int>(dims.size()), dims.begin());
}
inline void same_spec(atled_spec& spec, const atled_tensor* t) { set_spec(spec, t->dtype, t->dl.ndim, t->dl.shape); }

// -ndim <= dim < ndim (0-d counts as 1-d), else BoundsError naming the argument; returns dim >= 0.
inline int wrap_dim(int64_t dim, int ndim, const char* argument = "dim") {
  int64_t n = ndim > 0 ? ndim : 1;
  if (dim < -n || dim >= n)
    fail(ATLED_E_BOUNDS, "expected %s in [%lld, %lld], got %lld", argument, -(long long)n, (long long)n - 1,
         (long long)dim);
  return static_cast<int>(dim < 0 ? dim + n : dim);
}

// ---- calling ops ----

// A handle to an op, looked up on first use: static const Op mul{"core::mul"}; Tensor c = mul(a, b);
class Op {
 public:
  explicit Op(const char* name) : name_(name) {}
  const atled_op* get() const {
    if (!op_) check(api.find_op(name_, &op_));
    return op_;
  }
  // Missing trailing arguments take their defaults. For ops with one Tensor result.
  template <class... Args>
  Tensor operator()(Args&&... args) const {
    atled_value out = none();
    run(0, &out, {value(std::forward<Args>(args))...});
    return Tensor::steal(out.u.tensor);
  }
  // The in-place form on the first argument.
  template <class... Args>
  void inplace(atled_tensor* self, Args&&... args) const {
    atled_value out = value(self);
    run(ATLED_CALL_INPLACE, &out, {value(self), value(std::forward<Args>(args))...});
    if (out.tag == ATLED_TENSOR) api.release(out.u.tensor);
  }
  void run(uint32_t flags, atled_value* outs, std::initializer_list<atled_value> given) const {
    const atled_op* op = get();
    atled_value args[32];
    if (op->nargs > 32 || given.size() > op->nargs)
      fail(ATLED_E_ARGUMENT, "%s takes %d arguments, got %zu", name_, static_cast<int>(op->nargs), given.size());
    size_t n = 0;
    for (const atled_value& v : given) args[n++] = v;
    for (; n < op->nargs; ++n) args[n] = op->args[n].fallback;
    check(api.call(op, flags, args, outs));
  }

 private:
  const char* name_;
  mutable const atled_op* op_ = nullptr;
};

// ---- registration ----

struct OpDef {
  const char* schema;
  const char* doc;
  atled_shape_rule shape = nullptr;
  uint32_t traits = 0;
  void* ctx = nullptr;
};

inline const atled_op* define(const OpDef& def) {
  atled_op_def d{};
  d.size = sizeof d;
  d.traits = def.traits;
  d.schema = def.schema;
  d.doc = def.doc;
  d.shape = def.shape;
  d.ctx = def.ctx;
  const atled_op* op = nullptr;
  check(op_group->define(&d, &op));
  return op;
}

inline void add_kernel(const atled_op* op, int32_t device_type, atled_kernel run, void* ctx = nullptr) {
  check(kernel_group->add(op, device_type, run, ctx));
}
inline void add_kernel(const char* op, int32_t device_type, atled_kernel run, void* ctx = nullptr) {
  add_kernel(Op(op).get(), device_type, run, ctx);
}

// Splits [0, n) over the thread pool: parallel_for(n, grain, [&](int64_t begin, int64_t end) { ... }); f must not
// throw.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  check(parallel_group->run(
      n, grain,
      [](void* ctx, int64_t begin, int64_t end) { (*static_cast<std::remove_reference_t<F>*>(ctx))(begin, end); }, &f));
}

// ---- the handshake ----

// Fills api; returns false with the reason in error when core refuses.
inline bool connect(const atled_handshake* core, const char* distribution, const char* version, char* error,
                    size_t size) {
  if (!core || core->magic != ATLED_MAGIC) {
    snprintf(error, size, "%s %s: what was found is not atled-core's ABI: pip install --force-reinstall atled-core",
             distribution, version);
    return false;
  }
  const atled_request request = ATLED_REQUEST(&api, distribution, version, error, size);
  return core->negotiate(&request) == ATLED_OK;
}

}  // namespace atled

#if defined(_WIN32)
#define ATLED_EXPORT extern "C" __declspec(dllexport)
#else
#define ATLED_EXPORT extern "C" __attribute__((visibility("default")))
#endif

// Exports the init symbol: negotiates, then runs init (void()), whose exceptions become the error state.
#define ATLED_PLUGIN(distribution, version, init)                                              \
  ATLED_EXPORT int atled_plugin_init(const atled_handshake* core) {                            \
    char error[512] = "";                                                                      \
    if (!atled::connect(core, distribution, version, error, sizeof error)) return ATLED_E_ABI; \
    return atled::guard([] { init(); });                                                       \
  }

#endif  // ATLED_PLUGIN_HPP
