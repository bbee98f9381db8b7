// Python arguments to boxed values and back, by schema type.
#include <cstdlib>

#include "dispatch/generator.h"
#include "memory/allocator.h"
#include "python/python.h"

namespace atled::core::python {

int64_t* Scratch::take(size_t n) {
  if (used + n <= kWords) {
    int64_t* at = words + used;
    used += n;
    return at;
  }
  void* block = blocks < 8 ? malloc(n * sizeof(int64_t)) : nullptr;
  if (!block) {
    PyErr_NoMemory();
    return nullptr;
  }
  more[blocks++] = block;
  return static_cast<int64_t*>(block);
}

Scratch::~Scratch() {
  for (size_t i = 0; i < blocks; ++i) free(more[i]);
  for (size_t i = 0; i < kept; ++i) Py_DECREF(keep[i]);
}

namespace {

// 1 an integer was read, 0 it is none, kTooWide it is out of range.
int to_int(PyObject* object, int64_t* out) {
  if (PyBool_Check(object)) return 0;  // PyTorch and NumPy have no dimension True either
  if (!PyLong_Check(object)) {
    if (PyFloat_Check(object) || !PyIndex_Check(object)) return 0;
    Ref index(PyNumber_Index(object));
    if (!index) {
      PyErr_Clear();
      return 0;
    }
    return to_int(index.get(), out);
  }
  int overflow = 0;
  *out = PyLong_AsLongLongAndOverflow(object, &overflow);
  return overflow ? kTooWide : 1;
}

int to_double(PyObject* object, double* out) {
  if (PyFloat_Check(object)) {
    *out = PyFloat_AsDouble(object);
    return 1;
  }
  if (is_tensor(object) || PyUnicode_Check(object) || PyComplex_Check(object)) return 0;
  *out = PyFloat_AsDouble(object);
  if (*out == -1.0 && PyErr_Occurred()) {
    PyErr_Clear();
    return 0;
  }
  return 1;
}

// The number that a 0-d tensor holds; NULL for other objects, or with an exception set. What a layer looks at is no
// number: a gradient would end here without a word, and in a vmap there are many.
Ref number_in(PyObject* object) {
  if (!is_tensor(object)) return Ref();
  atled_tensor* t = tensor_of(object);
  return t->dl.ndim == 0 && !keys_of(t) ? Ref(item(t)) : Ref();
}

// A list or tuple as it is; other iterables (range, numpy shapes) as a new list that scratch keeps.
PyObject* sequence(PyObject* object, Scratch& scratch) {
  if (PyTuple_Check(object) || PyList_Check(object)) return object;
  if (PyUnicode_Check(object) || is_tensor(object) || !PySequence_Check(object) || scratch.kept == 8) return nullptr;
  PyObject* list = PySequence_List(object);
  if (!list) {
    PyErr_Clear();
    return nullptr;
  }
  scratch.keep[scratch.kept++] = list;
  return list;
}

Py_ssize_t length(PyObject* s) { return PyTuple_Check(s) ? PyTuple_Size(s) : PyList_Size(s); }
PyObject* entry(PyObject* s, Py_ssize_t i) { return PyTuple_Check(s) ? PyTuple_GetItem(s, i) : PyList_GetItem(s, i); }

int to_ints(const ArgInfo& info, PyObject* object, atled_value* out, Scratch& scratch) {
  int64_t single = 0;
  // x.std(False) means something else than dimension 0.
  if (PyBool_Check(object)) return 0;
  if (PyLong_Check(object) || (!PyTuple_Check(object) && !PyList_Check(object) && PyIndex_Check(object))) {
    int status = to_int(object, &single);
    if (status <= 0) return status;
    const size_t n = info.fixed ? static_cast<size_t>(info.fixed) : 1;
    int64_t* items = scratch.take(n);
    if (!items) return -1;
    for (size_t i = 0; i < n; ++i) items[i] = single;
    *out = ints_value(items, n);
    return 1;
  }
  PyObject* list = sequence(object, scratch);
  if (!list) return 0;
  const Py_ssize_t n = length(list);
  if (info.fixed && n != info.fixed && n != 1) return 0;
  const size_t count = info.fixed ? static_cast<size_t>(info.fixed) : static_cast<size_t>(n);
  int64_t* items = scratch.take(count ? count : 1);
  if (!items) return -1;
  for (size_t i = 0; i < count; ++i) {
    int status = to_int(entry(list, n == 1 ? 0 : static_cast<Py_ssize_t>(i)), &items[i]);
    if (status <= 0) return status;
  }
  *out = ints_value(items, count);
  return 1;
}

int to_floats(PyObject* object, atled_value* out, Scratch& scratch) {
  PyObject* list = sequence(object, scratch);
  if (!list) return 0;
  const Py_ssize_t n = length(list);
  double* items = reinterpret_cast<double*>(scratch.take(n ? static_cast<size_t>(n) : 1));
  if (!items) return -1;
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!to_double(entry(list, i), &items[i])) return 0;
  *out = none();
  out->u.floats = items;
  out->tag = ATLED_FLOATS;
  out->n = static_cast<uint32_t>(n);
  return 1;
}

int to_tensors(const ArgInfo& info, PyObject* object, atled_value* out, Scratch& scratch) {
  PyObject* list = sequence(object, scratch);
  if (!list) return 0;
  const Py_ssize_t n = length(list);
  atled_tensor** items = reinterpret_cast<atled_tensor**>(scratch.take(n ? static_cast<size_t>(n) : 1));
  if (!items) return -1;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = entry(list, i);
    if (is_tensor(o))
      items[i] = tensor_of(o);
    else if (o == Py_None && info.nullable_items)
      items[i] = nullptr;
    else
      return 0;
  }
  *out = tensors_value(items, static_cast<size_t>(n));
  return 1;
}

int to_string(PyObject* object, atled_value* out) {
  if (!PyUnicode_Check(object)) return 0;
  Py_ssize_t n = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &n);
  if (!text) return -1;
  *out = none();
  out->u.str = text;
  out->tag = ATLED_STRING;
  out->n = static_cast<uint32_t>(n);
  return 1;
}

}  // namespace

bool to_scalar(PyObject* object, atled_value* out, Scratch& scratch) {
  Ref number;
  if (PyFloat_Check(object)) {
    *out = value(PyFloat_AsDouble(object));
    return true;
  }
  if (PyBool_Check(object)) {
    *out = value(object == Py_True);
    return true;
  }
  if (PyLong_Check(object)) {
    int64_t i = 0;
    int overflow = 0;
    i = PyLong_AsLongLongAndOverflow(object, &overflow);
    *out = value(i);
    return !overflow;
  }
  // NumPy's complex64 is no Python complex, and as a float would lose its imaginary part.
  if (!PyComplex_Check(object) && !is_tensor(object) && !PyIndex_Check(object) &&
      PyObject_HasAttrString(object, "__complex__") && PyObject_HasAttrString(object, "dtype")) {
    number = Ref(PyObject_CallMethod(object, "__complex__", nullptr));
    if (!number || !PyComplex_Check(number.get())) return false;
    object = number.get();
  }
  if (PyComplex_Check(object)) {
    double* parts = reinterpret_cast<double*>(scratch.take(2));
    if (!parts) {
      PyErr_Clear();
      return false;
    }
    parts[0] = PyComplex_RealAsDouble(object);
    parts[1] = PyComplex_ImagAsDouble(object);
    *out = none();
    out->u.complex = parts;
    out->tag = ATLED_COMPLEX_VALUE;
    out->n = 2;
    return true;
  }
  if (is_tensor(object) || PyUnicode_Check(object) || PySequence_Check(object)) return false;
  int64_t i = 0;
  if (to_int(object, &i) == 1) {
    *out = value(i);
    return true;
  }
  double f = 0;
  if (!to_double(object, &f)) return false;
  *out = value(f);
  return true;
}

int to_wide(const char* op, PyObject* integer, PyObject* const* operands, Py_ssize_t n, atled_value* out,
            Scratch& scratch) {
  bool floating = false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    if (!is_tensor(operands[i])) continue;
    const int dtype = tensor_of(operands[i])->dtype;
    floating |= !is_integer(dtype) && dtype != ATLED_BOOL;
    if (dtype != ATLED_UINT64 || scratch.kept == 8) continue;
    Ref make = import_function("atled.core._core", "tensor"), args(PyTuple_Pack(1, integer));
    Ref named(Py_BuildValue("{sN}", "dtype", dtype_object(dtype)));
    PyObject* made = make && args && named ? PyObject_Call(make.get(), args.get(), named.get()) : nullptr;
    if (!made) return -1;
    scratch.keep[scratch.kept++] = made;
    *out = value(tensor_of(made));
    return 1;
  }
  if (!floating) {
    raise(ATLED_E_VALUE, op, "expected an integer that fits 64 bits, got a larger one");
    return -1;
  }
  *out = value(PyLong_AsDouble(integer));
  return PyErr_Occurred() ? -1 : 1;
}

int convert(const ArgInfo& info, PyObject* object, atled_value* out, Scratch& scratch) {
  if (object == Py_None && info.optional) {
    *out = none();
    return 1;
  }
  switch (info.kind) {
    case Kind::kTensorOrScalar:
    case Kind::kTensor:
      if (is_tensor(object)) {
        *out = value(tensor_of(object));
        return 1;
      }
      return info.kind == Kind::kTensorOrScalar && to_scalar(object, out, scratch) ? 1 : 0;
    case Kind::kScalarOrString:
      if (PyUnicode_Check(object)) return to_string(object, out);
      [[fallthrough]];
    case Kind::kScalar: {
      if (to_scalar(object, out, scratch)) return 1;
      if (PyLong_Check(object)) return kTooWide;
      const Ref number = number_in(object);
      return number ? to_scalar(number.get(), out, scratch) : PyErr_Occurred() ? -1 : 0;
    }
    case Kind::kInt: {
      int64_t i = 0;
      int status = to_int(object, &i);
      if (status == 1) *out = value(i);
      return status;
    }
    case Kind::kFloat: {
      double f = 0;
      const Ref number = number_in(object);
      if (!to_double(number ? number.get() : object, &f)) return PyErr_Occurred() ? -1 : 0;
      *out = value(f);
      return 1;
    }
    case Kind::kBool: {
      if (!PyBool_Check(object)) {
        int64_t i = 0;
        if (to_int(object, &i) != 1 || (i != 0 && i != 1)) return 0;
        *out = value(i != 0);
        return 1;
      }
      *out = value(object == Py_True);
      return 1;
    }
    case Kind::kString:
      return to_string(object, out);
    case Kind::kDtype: {
      int dtype = dtype_from(object);
      if (dtype < 0) return 0;
      *out = dtype_value(dtype);
      return 1;
    }
    case Kind::kDevice: {
      DLDevice device;
      if (!device_from(object, &device)) return PyErr_Occurred() ? -1 : 0;
      *out = device_value(device);
      return 1;
    }
    case Kind::kGenerator: {
      atled_generator* g = generator_from(object);
      if (!g) return 0;
      *out = none();
      out->u.generator = g;
      out->tag = ATLED_GENERATOR;
      return 1;
    }
    case Kind::kInts:
      return to_ints(info, object, out, scratch);
    case Kind::kFloats:
      return to_floats(object, out, scratch);
    case Kind::kTensorList:
      return to_tensors(info, object, out, scratch);
  }
  return 0;
}

PyObject* to_python(const atled_value& v) {
  switch (v.tag) {
    case ATLED_TENSOR:
      retain(v.u.tensor);
      return wrap(v.u.tensor);
    case ATLED_INT_VALUE:
      return PyLong_FromLongLong(v.u.i);
    case ATLED_FLOAT_VALUE:
      return PyFloat_FromDouble(v.u.f);
    case ATLED_BOOL_VALUE:
      return PyBool_FromLong(v.u.i != 0);
    case ATLED_COMPLEX_VALUE:
      return PyComplex_FromDoubles(v.u.complex[0], v.u.complex[1]);
    case ATLED_DTYPE:
      return dtype_object(static_cast<int>(v.u.i));
    case ATLED_DEVICE:
      return device_object(v.u.device);
    case ATLED_STRING:
      return PyUnicode_FromStringAndSize(v.u.str, v.n);
    case ATLED_GENERATOR:
      return generator_object(v.u.generator);
    case ATLED_INTS:
    case ATLED_FLOATS:
    case ATLED_TENSORS: {
      PyObject* tuple = PyTuple_New(v.n);
      for (uint32_t i = 0; tuple && i < v.n; ++i) {
        PyObject* o = nullptr;
        if (v.tag == ATLED_INTS) {
          o = PyLong_FromLongLong(v.u.ints[i]);
        } else if (v.tag == ATLED_FLOATS) {
          o = PyFloat_FromDouble(v.u.floats[i]);
        } else if (v.u.tensors[i]) {
          retain(v.u.tensors[i]);
          o = wrap(v.u.tensors[i]);
        } else {
          o = Py_NewRef(Py_None);
        }
        if (!o) {
          Py_DECREF(tuple);
          return nullptr;
        }
        PyTuple_SetItem(tuple, i, o);
      }
      return tuple;
    }
    default:
      return Py_NewRef(Py_None);
  }
}

}  // namespace atled::core::python
