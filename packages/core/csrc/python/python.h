// Python on one side, the dispatcher on the other: shared by the files of this folder. Hold the GIL.
#pragma once

#include <Python.h>

#include "atled/plugin.hpp"
#include "dispatch/error.h"
#include "dispatch/op.h"
#include "tensor/tensor.h"

namespace atled::core::python {

// Owns one reference.
class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* stolen) : object_(stolen) {}
  static Ref borrow(PyObject* object) {
    Py_XINCREF(object);
    return Ref(object);
  }
  Ref(Ref&& other) noexcept : object_(other.release()) {}
  Ref& operator=(Ref&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }
  PyObject* release() {
    PyObject* object = object_;
    object_ = nullptr;
    return object;
  }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

// ---- errors.cpp ----
bool init_errors(PyObject* module);
// Turns the error state into the Python exception; answers NULL, so that `return raise();` reads well.
PyObject* raise();
// Sets the error state, then raises: the message takes the op's name in front.
PyObject* raise(int kind, const char* op, const char* format, ...);
std::string type_name(PyObject* object);
// Takes the current Python exception into the error state; answers ATLED_E_PYTHON.
int catch_exception();
// A C++ function of the binding: what it throws becomes the exception, with the name in front.
template <class F>
PyObject* guarded(const char* name, F&& f) {
  PyObject* result = nullptr;
  if (guard([&] { result = f(); }) == ATLED_OK) return result;
  name_error(name);
  return raise();
}

// ---- tensor_type.cpp ----
struct PyTensor {
  PyObject_HEAD atled_tensor* tensor;
  PyObject* weakrefs;
};
extern PyTypeObject* tensor_type;
bool init_tensor_type(PyObject* module);
inline bool is_tensor(PyObject* o) { return Py_TYPE(o) == tensor_type || PyType_IsSubtype(Py_TYPE(o), tensor_type); }
inline atled_tensor* tensor_of(PyObject* o) { return reinterpret_cast<PyTensor*>(o)->tensor; }
// The Python object of a tensor: the one it has, or a new one. Takes over the caller's reference to t.
PyObject* wrap(atled_tensor* t);
// Adds the op callables that are methods to Tensor.
bool add_methods();

// result, which is given away and may be NULL, in one of PyTorch's memory formats.
PyObject* in_format(PyObject* result, PyObject* memory_format);

// ---- size_type.cpp ----
bool init_size_type(PyObject* module);
bool is_size(PyObject* o);
PyObject* size_object(int n, const int64_t* items);

// ---- tensor_data.cpp ----
PyObject* get_data(PyObject* self, void*);
int set_data(PyObject* self, PyObject* source, void*);
extern PyMethodDef data_methods[];

// ---- op_type.cpp ----
bool init_op_type(PyObject* module);
// The callable of an op; one per op and form.
PyObject* op_callable(const Op* op, bool inplace);
// Calls by values and converts the results; `inplace` and `out` forms through flags. outs has op->nouts entries.
PyObject* call_values(const Op* op, uint32_t flags, atled_value* args, atled_value* outs);
// lookup with the error raised; NULL on failure.
const Op* need_op(const char* name);
// The op that a callable calls; NULL with an ArgumentError, which names `function`, for what is none.
const Op* op_of_callable(const char* function, PyObject* object);

// ---- arguments.cpp ----
// Memory for the lists of one call.
struct Scratch {
  static constexpr size_t kWords = 192;
  int64_t words[kWords];
  size_t used = 0;
  void* more[8];
  size_t blocks = 0;
  PyObject* keep[8];  // sequences and strings that values point into
  size_t kept = 0;

  int64_t* take(size_t n);  // NULL with MemoryError set
  Scratch() {}
  Scratch(const Scratch&) = delete;
  ~Scratch();
};
// Converts one Python argument by its schema type. Answers 1 when done, 0 when the object has another type and kTooWide
// when an integer does not fit 64 bits (no exception set), -1 with an exception set.
constexpr int kTooWide = -2;
int convert(const ArgInfo& info, PyObject* object, atled_value* out, Scratch& scratch);
PyObject* to_python(const atled_value& v);
bool to_scalar(PyObject* object, atled_value* out, Scratch& scratch);
// An integer beyond int64 among operands: a tensor beside one of uint64, a double beside floating ones, else a
// ValueError. Answers as convert does.
int to_wide(const char* op, PyObject* integer, PyObject* const* operands, Py_ssize_t n, atled_value* out,
            Scratch& scratch);

// ---- subscript.cpp ----
PyObject* get_item(PyObject* self, PyObject* key);
int set_item(PyObject* self, PyObject* key, PyObject* value);

// ---- objects.cpp (nanobind) ----
int dtype_from(PyObject* object);  // -1 when it is no dtype
PyObject* dtype_object(int dtype);
bool device_from(PyObject* object, DLDevice* out);  // also from a string; false without exception when it is neither
PyObject* device_object(DLDevice device);
atled_generator* generator_from(PyObject* object);  // NULL when it is no Generator
PyObject* generator_object(atled_generator* generator);

// ---- interop.cpp, construct.cpp ----
extern PyMethodDef interop_methods[];
extern PyMethodDef construct_methods[];
int get_buffer(PyObject* self, Py_buffer* view, int flags);
void release_buffer(PyObject* self, Py_buffer* view);
// Zero-copy from a buffer or DLPack; NULL without an exception when the object has neither.
PyObject* adopt_foreign(PyObject* object);
// Whether memory holds the values of t; else raises, naming `what` wanted them.
bool readable(const atled_tensor* t, const char* what);
PyObject* item(atled_tensor* t);  // the single element as a Python number
PyObject* tensor_numpy(PyObject* self, PyObject* args, PyObject* kwargs);
PyObject* tensor_tolist(PyObject* self, PyObject* unused);
PyObject* tensor_dlpack(PyObject* self, PyObject* args, PyObject* kwargs);
PyObject* tensor_dlpack_device(PyObject* self, PyObject* unused);
// The DLPack C exchange API, as the capsule that consumers look for on the type.
PyObject* exchange_api_capsule();

// ---- site.cpp: the functions of that name in the group "py" ----
int take_site(uint64_t* words);
int release_site(const uint64_t* words);
int site_text(const uint64_t* words, char* text, size_t size);
int call_site_text(char* text, size_t size);
// The public function of ours, written in Python, that the user called and that is running: "max_pool1d"; "" for none,
// and where `failed` is given and is no such function.
std::string called_function(const char* failed = nullptr);
// For work without the GIL: the first answers a token for the second, NULL where this thread has none.
void* release_the_gil();
void acquire_the_gil(void* token);

// ---- explained.cpp ----
bool init_explained_type(PyObject* module);

// ---- sharing.cpp ----
extern PyMethodDef sharing_methods[];
PyObject* tensor_is_shared(PyObject* self, PyObject* unused);

// ---- recording.cpp ----
extern PyMethodDef recording_methods[];

// ---- stable_abi.cpp: what the limited API leaves out ----
PyObject* call_one(PyObject* f, PyObject* x);
PyObject* bound_method(PyObject* f, PyObject* self);
bool has_gil();  // whether this thread holds the GIL

// A function of a Python module of this package, called when needed: import_function("_registry", "load_ops").
Ref import_function(const char* module, const char* name);

}  // namespace atled::core::python
