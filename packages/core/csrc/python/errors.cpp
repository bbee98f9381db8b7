#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "dispatch/error.h"
#include "python/python.h"

namespace atled::core::python {
namespace {

struct Row {
  int kind;
  const char* name;
  PyObject** base;
  const char* doc;
  PyObject** other_base = nullptr;
};

PyObject* base_class = nullptr;
PyObject* classes[ATLED_E_LINALG + 1] = {};

PyObject* class_of(int kind) {
  PyObject* c = kind > 0 && kind <= ATLED_E_LINALG ? classes[kind] : nullptr;
  return c ? c : PyExc_RuntimeError;
}

}  // namespace

bool init_errors(PyObject* module) {
  const Row rows[] = {
      {ATLED_E_RUNTIME, "OperationError", &PyExc_RuntimeError, "An operation failed."},
      {ATLED_E_SHAPE, "ShapeError", &PyExc_ValueError, "Shapes do not fit."},
      {ATLED_E_DTYPE, "DTypeError", &PyExc_TypeError, "A dtype does not fit."},
      {ATLED_E_DEVICE, "DeviceError", &PyExc_RuntimeError, "A device is missing or does not fit."},
      {ATLED_E_BOUNDS, "BoundsError", &PyExc_IndexError, "An index or axis is out of range."},
      {ATLED_E_ARGUMENT, "ArgumentError", &PyExc_TypeError, "Wrong names, number or types of arguments."},
      {ATLED_E_VALUE, "InvalidValueError", &PyExc_ValueError, "An argument has a value that makes no sense."},
      {ATLED_E_NOT_IMPLEMENTED, "NotImplementedOpError", &PyExc_NotImplementedError, "No op or kernel does this."},
      {ATLED_E_MEMORY, "OutOfMemoryError", &PyExc_MemoryError, "Memory is exhausted."},
      {ATLED_E_ABI, "ABIError", &PyExc_ImportError, "Two wheels were built for ABIs that do not go together."},
      {ATLED_E_PLUGIN, "PluginError", &PyExc_ImportError, "A plugin is missing, broken or in conflict with another."},
      {ATLED_E_AUTOGRAD, "AutogradError", &PyExc_RuntimeError, "Differentiation cannot go on."},
      {ATLED_E_FORMAT, "FormatError", &PyExc_ValueError, "A file does not have the format it should have."},
      {ATLED_E_LINALG, "LinAlgError", &PyExc_RuntimeError,
       "A matrix has no such factorization, inverse or solution: PyTorch's is a RuntimeError, NumPy's a ValueError.",
       &PyExc_ValueError},
  };
  base_class =
      PyErr_NewExceptionWithDoc("atled.core.AtledError", "What every error of atled also is.", nullptr, nullptr);
  if (!base_class || PyModule_AddObjectRef(module, "AtledError", base_class) < 0) return false;
  for (const Row& row : rows) {
    Ref bases(row.other_base ? PyTuple_Pack(3, base_class, *row.base, *row.other_base)
                             : PyTuple_Pack(2, base_class, *row.base));
    char name[64];
    snprintf(name, sizeof name, "atled.core.%s", row.name);
    if (!bases) return false;
    classes[row.kind] = PyErr_NewExceptionWithDoc(name, row.doc, bases.get(), nullptr);
    if (!classes[row.kind] || PyModule_AddObjectRef(module, row.name, classes[row.kind]) < 0) return false;
  }
  return true;
}

PyObject* raise() {
  atled_error error;
  int kind = get_error(&error);
  if (kind == ATLED_OK) {
    PyErr_SetString(PyExc_SystemError, "atled: a function failed without setting an error");
    return nullptr;
  }
  if (PyObject* exception = static_cast<PyObject*>(take_python_error())) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception);
    Py_DECREF(exception);
  } else if (error.op[0]) {
    PyErr_Format(class_of(kind), "%s: %s", error.op, error.message);
  } else {
    PyErr_SetString(class_of(kind), error.message);
  }
  clear_error();
  return nullptr;
}

PyObject* raise(int kind, const char* op, const char* format, ...) {
  char text[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  if (op && op[0])
    PyErr_Format(class_of(kind), "%s: %s", op, text);
  else
    PyErr_SetString(class_of(kind), text);
  return nullptr;
}

std::string type_name(PyObject* object) {
  Ref name(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__name__"));
  const char* text = name ? PyUnicode_AsUTF8AndSize(name.get(), nullptr) : nullptr;
  if (!text) return "object";
  if (strcmp(text, "Tensor") != 0 || is_tensor(object)) return text;
  // Another library's, which the name alone would not tell.
  Ref module(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__module__"));
  const char* home = module ? PyUnicode_AsUTF8AndSize(module.get(), nullptr) : nullptr;
  return home ? std::string(home) + "." + text : text;
}

int catch_exception() {
#if PY_VERSION_HEX >= 0x030C0000
  PyObject* exception = PyErr_GetRaisedException();
#else
  PyObject *type = nullptr, *exception = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &exception, &traceback);
  PyErr_NormalizeException(&type, &exception, &traceback);
  if (traceback && exception) PyException_SetTraceback(exception, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
#endif
  if (!exception) return set_error(ATLED_E_RUNTIME, "a Python call failed without an exception");
  return set_python_error(exception);
}

Ref import_function(const char* module, const char* name) {
  Ref package(PyImport_ImportModule(module));
  return package ? Ref(PyObject_GetAttrString(package.get(), name)) : Ref();
}

}  // namespace atled::core::python
