// Tensors from Python data (tensor, asarray) and Python data from tensors (item, tolist).
#include <algorithm>
#include <cstring>
#include <limits>

#include "dispatch/device.h"
#include "dispatch/dispatch.h"
#include "dispatch/error.h"
#include "dispatch/fusion.h"
#include "dispatch/thread_state.h"
#include "functors/copy.h"
#include "ops/rules.h"
#include "python/python.h"
#include "tensor/dtype.h"

namespace atled::core::python {
namespace {

// ---- nested sequences ----

enum class Rank { kNone, kBool, kInt, kFloat, kComplex };

struct Shape {
  int64_t dims[ATLED_MAX_NDIM];
  int ndim = -1;                             // unknown until the first leaf
  Rank rank = Rank::kNone;                   // of Python's numbers
  int dtype = -1;                            // of what has one: tensors and NumPy's numbers
  const PyTypeObject* numpy_type = nullptr;  // the last class of NumPy's numbers, and its dtype
  int numpy_dtype = -1;
};

bool is_list(PyObject* o) { return PyList_Check(o) || PyTuple_Check(o); }
Py_ssize_t list_size(PyObject* o) { return PyList_Check(o) ? PyList_Size(o) : PyTuple_Size(o); }
PyObject* list_item(PyObject* o, Py_ssize_t i) {
  return PyList_Check(o) ? PyList_GetItem(o, i) : PyTuple_GetItem(o, i);
}

// The dtype of a number of NumPy's, such as np.float32(1); -1 for Python's own, and for what has none.
int numpy_dtype(PyObject* o) {
  Ref dtype(PyObject_GetAttrString(o, "dtype"));
  Ref name(dtype ? PyObject_GetAttrString(dtype.get(), "name") : nullptr);
  const char* text = name && PyUnicode_Check(name.get()) ? PyUnicode_AsUTF8AndSize(name.get(), nullptr) : nullptr;
  PyErr_Clear();
  for (int id = 0; text && id < ATLED_NUM_DTYPES; ++id)
    if (!strcmp(text, dtype_name(id))) return id;
  return -1;
}

bool is_python_number(PyObject* o) {
  const PyTypeObject* type = Py_TYPE(o);
  return type == &PyFloat_Type || type == &PyLong_Type || type == &PyBool_Type || type == &PyComplex_Type;
}

Rank rank_of(PyObject* o) {
  if (PyBool_Check(o)) return Rank::kBool;
  if (PyLong_Check(o)) return Rank::kInt;
  if (PyFloat_Check(o)) return Rank::kFloat;
  if (PyComplex_Check(o)) return Rank::kComplex;
  if (is_tensor(o) && numel(tensor_of(o)) == 1) {
    int d = tensor_of(o)->dtype;
    return d == ATLED_BOOL ? Rank::kBool : is_integer(d) ? Rank::kInt : is_floating(d) ? Rank::kFloat : Rank::kComplex;
  }
  if (PyUnicode_Check(o) || PySequence_Check(o)) return Rank::kNone;
  if (PyIndex_Check(o)) return Rank::kInt;
  return PyNumber_Check(o) ? Rank::kFloat : Rank::kNone;
}

// The common dtype of two; -1 with an exception set.
int promoted(int a, int b) {
  int dtype = -1;
  if (a >= 0 && b >= 0 && guard([&] { dtype = promote(a, b); }) != ATLED_OK) raise();
  return dtype;
}

// Whether o has a dtype of its own, which then counts as it does beside others in an op.
bool joins_dtype(PyObject* o, Shape& shape) {
  int dtype = -1;
  if (is_tensor(o)) {
    dtype = tensor_of(o)->dtype;
  } else {
    if (shape.numpy_type != Py_TYPE(o)) shape.numpy_dtype = numpy_dtype(o);
    shape.numpy_type = Py_TYPE(o);
    dtype = shape.numpy_dtype;
  }
  if (dtype >= 0) shape.dtype = shape.dtype < 0 ? dtype : promoted(shape.dtype, dtype);
  return dtype >= 0;
}

bool infer(PyObject* o, Shape& shape, int depth) {
  if (is_list(o)) {
    const Py_ssize_t n = list_size(o);
    if (depth == ATLED_MAX_NDIM) {
      raise(ATLED_E_SHAPE, "tensor", "expected at most %d nested lists", ATLED_MAX_NDIM);
      return false;
    }
    if (shape.ndim < 0) {
      shape.dims[depth] = n;
      if (n == 0) shape.ndim = depth + 1;
    } else if (depth >= shape.ndim || shape.dims[depth] != n) {
      raise(ATLED_E_SHAPE, "tensor", "expected nested lists of equal lengths, got a list of %zd at depth %d where %s",
            n, depth,
            depth >= shape.ndim ? "others have numbers" : ("others have " + std::to_string(shape.dims[depth])).c_str());
      return false;
    }
    for (Py_ssize_t i = 0; i < n; ++i)
      if (!infer(list_item(o, i), shape, depth + 1)) return false;
    return true;
  }
  if (shape.ndim < 0) {
    shape.ndim = depth;
  } else if (depth != shape.ndim) {
    raise(ATLED_E_SHAPE, "tensor",
          "expected nested lists of equal depth, got a number at depth %d where others are at depth %d", depth,
          shape.ndim);
    return false;
  }
  Rank rank = rank_of(o);
  if (rank == Rank::kNone) {
    raise(ATLED_E_ARGUMENT, "tensor", "expected numbers or nested lists of numbers, got %s", type_name(o).c_str());
    return false;
  }
  if (is_python_number(o) || !joins_dtype(o, shape)) shape.rank = std::max(shape.rank, rank);
  return !PyErr_Occurred();
}

int dtype_of_rank(Rank rank) {
  switch (rank) {
    case Rank::kBool:
      return ATLED_BOOL;
    case Rank::kInt:
      return ATLED_INT64;
    case Rank::kComplex:
      return default_dtype() == ATLED_FLOAT64 ? ATLED_COMPLEX128 : ATLED_COMPLEX64;
    default:
      return default_dtype();
  }
}

// Python's numbers count with the dtype that they have alone, as in PyTorch.
int common_dtype(const Shape& shape) {
  if (shape.dtype < 0) return dtype_of_rank(shape.rank);
  return shape.rank == Rank::kNone ? shape.dtype : promoted(shape.dtype, dtype_of_rank(shape.rank));
}

template <class T>
bool store(PyObject* o, T* out) {
  if constexpr (std::is_same_v<T, bool>) {
    int truth = PyObject_IsTrue(o);
    *out = truth > 0;
    return truth >= 0;
  } else if constexpr (std::is_integral_v<T>) {
    if (PyFloat_Check(o) || (!is_tensor(o) && !PyIndex_Check(o))) {
      double f = PyFloat_AsDouble(o);
      if (f == -1.0 && PyErr_Occurred()) return false;
      if (!(f >= -9.3e18 && f <= 1.9e19)) {
        raise(ATLED_E_VALUE, "tensor", "expected numbers that fit %s, got a float outside it", dtype_name(dtype_of<T>));
        return false;
      }
      *out = static_cast<T>(f);
      return true;
    }
    Ref index(PyNumber_Index(o));
    if (!index) return false;
    int overflow = 0;
    long long i = PyLong_AsLongLongAndOverflow(index.get(), &overflow);
    bool fits = !overflow && i >= static_cast<long long>(std::numeric_limits<T>::min()) &&
                (sizeof(T) == 8 || i <= static_cast<long long>(std::numeric_limits<T>::max()));
    if (std::is_same_v<T, uint64_t>) {
      fits = fits && i >= 0;
      if (overflow > 0) {
        unsigned long long u = PyLong_AsUnsignedLongLong(index.get());
        if (u == static_cast<unsigned long long>(-1) && PyErr_Occurred()) {
          PyErr_Clear();
        } else {
          *out = static_cast<T>(u);
          return true;
        }
      }
    }
    if (!fits) {
      raise(ATLED_E_VALUE, "tensor", "expected integers that fit %s, got one outside its range",
            dtype_name(dtype_of<T>));
      return false;
    }
    *out = static_cast<T>(i);
    return true;
  } else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
    if (PyComplex_Check(o)) {
      *out = T(static_cast<typename T::value_type>(PyComplex_RealAsDouble(o)),
               static_cast<typename T::value_type>(PyComplex_ImagAsDouble(o)));
      return true;
    }
    if (PyObject_HasAttrString(o, "__complex__")) {  // tensors and NumPy's numbers
      Ref number(PyObject_CallMethod(o, "__complex__", nullptr));
      return number && store(number.get(), out);
    }
    double f = PyFloat_AsDouble(o);
    if (f == -1.0 && PyErr_Occurred()) return false;
    *out = T(static_cast<typename T::value_type>(f), 0);
    return true;
  } else {
    if (PyComplex_Check(o)) {
      raise(ATLED_E_DTYPE, "tensor", "expected real numbers for %s, got a complex one", dtype_name(dtype_of<T>));
      return false;
    }
    double f = PyFloat_AsDouble(o);
    if (f == -1.0 && PyErr_Occurred()) return false;
    *out = Cast<T, double>{}(f);
    return true;
  }
}

template <class T>
bool fill(PyObject* o, int depth, int ndim, T*& at) {
  if (depth == ndim) return store(o, at++);
  const Py_ssize_t n = list_size(o);
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!fill(list_item(o, i), depth + 1, ndim, at)) return false;
  return true;
}

PyObject* from_sequence(PyObject* data, int dtype) {
  Shape shape;
  if (!infer(data, shape, 0)) return nullptr;
  if (dtype < 0) dtype = common_dtype(shape);
  if (dtype < 0) return nullptr;
  TensorImpl* t = make_empty(dtype, shape.ndim, shape.dims, nullptr, DLDevice{kDLCPU, 0});
  if (!t) return raise();
  bool done = visit_any_dtype(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* at = atled::data<T>(t);
    return numel(t) == 0 || fill(data, 0, shape.ndim, at);
  });
  if (!done) {
    release(t);
    return nullptr;
  }
  return wrap(t);
}

// A list among whose leaves stand arrays: stacked.
bool holds_arrays(PyObject* o) {
  while (is_list(o) && list_size(o) > 0) o = list_item(o, 0);
  return !is_list(o) && ((is_tensor(o) && tensor_of(o)->dl.ndim > 0) ||
                         (!is_tensor(o) && !PyUnicode_Check(o) && !PyBytes_Check(o) && PySequence_Check(o)));
}

Ref make(PyObject* data, int dtype) {
  if (is_list(data)) {
    if (!holds_arrays(data)) return Ref(from_sequence(data, dtype));
    Ref parts(PyList_New(0)), stack = import_function("atled.core", "stack");
    for (Py_ssize_t i = 0; parts && i < list_size(data); ++i) {
      Ref part = make(list_item(data, i), -1);
      if (!part || PyList_Append(parts.get(), part.get()) < 0) return Ref();
    }
    return parts && stack ? Ref(call_one(stack.get(), parts.get())) : Ref();
  }
  Ref shared(adopt_foreign(data));
  if (shared || PyErr_Occurred()) return shared;
  if (rank_of(data) == Rank::kNone) {
    // What a wheel registered in atled.interop for the type's library.
    Ref convert = import_function("atled.core._registry", "from_foreign");
    Ref converted(convert ? call_one(convert.get(), data) : nullptr);
    if (!converted) return Ref();
    if (is_tensor(converted.get())) return converted;
  }
  if (rank_of(data) == Rank::kNone && PySequence_Check(data) && !PyUnicode_Check(data) && !PyBytes_Check(data)) {
    Ref list(PySequence_List(data));
    return list ? make(list.get(), dtype) : Ref();
  }
  return Ref(from_sequence(data, dtype));
}

// `to` with dtype and device, when they differ from what t has; what is made of no tensor goes to the default device.
Ref moved(Ref t, int dtype, PyObject* device, bool fresh) {
  if (!t) return t;
  if (dtype >= 0 && tensor_of(t.get())->dtype != dtype)
    t = Ref(PyObject_CallMethod(t.get(), "to", "O", Ref(dtype_object(dtype)).get()));
  const bool placed = t && tensor_of(t.get())->dl.device.device_type != kDLCPU;  // by its source
  if (t && (device != Py_None || (fresh && !placed))) {
    DLDevice wanted = thread_state.device;
    if (device != Py_None && !device_from(device, &wanted)) {
      if (!PyErr_Occurred())
        raise(ATLED_E_ARGUMENT, "tensor", "expected device to be a device or its name, got %s",
              type_name(device).c_str());
      return Ref();
    }
    const DLDevice has = tensor_of(t.get())->dl.device;
    if (wanted.device_type != has.device_type || wanted.device_id != has.device_id)
      t = Ref(PyObject_CallMethod(t.get(), "to", "O", Ref(device_object(wanted)).get()));
  }
  return t;
}

bool parse_dtype(PyObject* object, int* dtype, const char* function) {
  *dtype = -1;
  if (object == Py_None) return true;
  *dtype = dtype_from(object);
  if (*dtype < 0)
    raise(ATLED_E_ARGUMENT, function, "expected dtype to be a dtype such as at.float32, got %s",
          type_name(object).c_str());
  return *dtype >= 0;
}

PyObject* tensor_function(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"data", "dtype", "device", "requires_grad", "pin_memory", nullptr};
  PyObject *data = nullptr, *dtype_arg = Py_None, *device = Py_None;
  int requires_grad = 0, pin = 0, dtype = -1;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OOpp:tensor", const_cast<char**>(names), &data, &dtype_arg,
                                   &device, &requires_grad, &pin) ||
      !parse_dtype(dtype_arg, &dtype, "tensor"))
    return nullptr;
  Ref t;
  if (is_tensor(data)) {
    t = Ref(keys_of(tensor_of(data)) && PyObject_HasAttrString(data, "requires_grad")
                ? PyObject_CallMethod(data, "detach", nullptr)
                : Py_NewRef(data));
    PyErr_Clear();
    if (!t) t = Ref::borrow(data);
    t = Ref(PyObject_CallMethod(t.get(), "clone", nullptr));
  } else {
    t = make(data, dtype);
    // What shares memory with its source is copied: tensor() always copies.
    if (t && impl(tensor_of(t.get()))->storage->foreign) t = Ref(PyObject_CallMethod(t.get(), "clone", nullptr));
  }
  t = moved(std::move(t), dtype, device, !is_tensor(data));
  if (t && pin) t = Ref(PyObject_CallMethod(t.get(), "pin_memory", nullptr));
  if (t && requires_grad) t = Ref(PyObject_CallMethod(t.get(), "requires_grad_", nullptr));
  return t.release();
}

PyObject* asarray_function(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"obj", "dtype", "device", "copy", "requires_grad", nullptr};
  PyObject *data = nullptr, *dtype_arg = Py_None, *device = Py_None, *copy = Py_None;
  int requires_grad = 0, dtype = -1;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OOO$p:asarray", const_cast<char**>(names), &data, &dtype_arg,
                                   &device, &copy, &requires_grad) ||
      !parse_dtype(dtype_arg, &dtype, "asarray"))
    return nullptr;
  Ref t = is_tensor(data) ? Ref::borrow(data) : make(data, dtype);
  if (!t) return nullptr;
  PyObject* before = t.get();
  const void* memory = tensor_of(before)->dl.data;
  const bool fresh = !is_tensor(data) && !impl(tensor_of(before))->storage->foreign;
  t = moved(std::move(t), dtype, device, !is_tensor(data));
  if (!t) return nullptr;
  const bool copied = fresh || tensor_of(t.get())->dl.data != memory;
  if (copy == Py_False && copied)
    return raise(ATLED_E_VALUE, "asarray", "cannot do without a copy, which copy=False forbids");
  if (copy == Py_True && !copied) t = Ref(PyObject_CallMethod(t.get(), "clone", nullptr));
  if (t && requires_grad) t = Ref(PyObject_CallMethod(t.get(), "requires_grad_", nullptr));
  return t.release();
}

// ---- to Python ----

PyObject* number(const void* at, int dtype) {
  return visit_any_dtype(dtype, [&](auto tag) -> PyObject* {
    using T = typename decltype(tag)::type;
    T v;
    memcpy(&v, at, sizeof v);
    if constexpr (std::is_same_v<T, bool>)
      return PyBool_FromLong(v);
    else if constexpr (std::is_same_v<T, uint64_t>)
      return PyLong_FromUnsignedLongLong(v);
    else if constexpr (std::is_integral_v<T>)
      return PyLong_FromLongLong(v);
    else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>)
      return PyComplex_FromDoubles(static_cast<double>(v.real()), static_cast<double>(v.imag()));
    else if constexpr (std::is_same_v<T, double>)
      return PyFloat_FromDouble(v);
    else
      return PyFloat_FromDouble(static_cast<double>(static_cast<float>(v)));
  });
}

PyObject* list_of(const atled_tensor* t, int dim, const char* at) {
  if (dim == t->dl.ndim) return number(at, t->dtype);
  const Py_ssize_t n = static_cast<Py_ssize_t>(t->dl.shape[dim]);
  PyObject* list = PyList_New(n);
  for (Py_ssize_t i = 0; list && i < n; ++i) {
    PyObject* entry = list_of(t, dim + 1, at + i * t->dl.strides[dim] * itemsize(t->dtype));
    if (!entry) {
      Py_DECREF(list);
      return nullptr;
    }
    PyList_SetItem(list, i, entry);
  }
  return list;
}

// On the host; sets *moved when it had to be copied there.
bool on_host(atled_tensor* t, Ref* copy, const char* what) {
  if (!readable(t, what)) return false;
  if (t->dl.device.device_type == kDLCPU) return true;
  if (t->dl.device.device_type == ATLED_DEVICE_META) {
    raise(ATLED_E_DEVICE, what, "a meta tensor has no data");
    return false;
  }
  retain(t);
  Ref self(wrap(t));
  *copy = Ref(self ? PyObject_CallMethod(self.get(), "to", "s", "cpu") : nullptr);
  return static_cast<bool>(*copy);
}

}  // namespace

bool readable(const atled_tensor* t, const char* what) {
  if (!(t->keys & ATLED_KEY_OPAQUE)) {
    if (settle(t) == ATLED_OK) return true;
    raise();
    return false;
  }
  raise(
      ATLED_E_AUTOGRAD, what,
      "expected a tensor whose values are known, got one inside vmap, whose values differ between the elements of the "
      "batch; use ops on tensors, such as where()");
  return false;
}

PyObject* item(atled_tensor* t) {
  if (numel(t) != 1)
    return raise(ATLED_E_VALUE, "item", "expected a tensor of one element, got shape %s", shape_text(t).c_str());
  Ref copy;
  if (!on_host(t, &copy, "item")) return nullptr;
  return number((copy ? tensor_of(copy.get()) : t)->dl.data, t->dtype);
}

PyObject* tensor_tolist(PyObject* self, PyObject*) {
  Ref copy;
  atled_tensor* t = tensor_of(self);
  if (!on_host(t, &copy, "tolist")) return nullptr;
  if (copy) t = tensor_of(copy.get());
  return list_of(t, 0, static_cast<const char*>(t->dl.data));
}

PyMethodDef construct_methods[] = {
    {"tensor", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(tensor_function)),
     METH_VARARGS | METH_KEYWORDS,
     "tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False): a new tensor with a copy of "
     "data, numbers in nested lists, an array or a tensor.\n\n"
     "Python's bool, int, float and complex become bool, int64, the default float and its complex dtype; arrays keep "
     "theirs. ShapeError for lists of unequal lengths, InvalidValueError for integers that the dtype does not hold, "
     "ArgumentError for what is no number. asarray shares memory where it can.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]])\ntensor([[1, 2],\n        [3, 4]])\n>>> at.tensor([1, 2.5])\n"
     "tensor([1.0000, 2.5000])"},
    {"asarray", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(asarray_function)),
     METH_VARARGS | METH_KEYWORDS,
     "asarray(obj, dtype=None, device=None, copy=None, *, requires_grad=False): a tensor over obj's memory where that "
     "is possible, else a copy.\n\n"
     "obj: a tensor, a NumPy array, an object that speaks DLPack, or what tensor takes. copy=True always copies; "
     "copy=False raises InvalidValueError where a copy is needed.\n\n"
     ">>> import numpy as np\n>>> array = np.zeros(3)\n>>> at.asarray(array)[0] = 5\n"
     ">>> array.tolist()\n[5.0, 0.0, 0.0]"},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::core::python
