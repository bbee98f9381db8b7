// What the bindings want of CPython and its limited API leaves out; builds for one version have it directly.
#include "python/python.h"
#if defined(Py_LIMITED_API) && !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace atled::core::python {

#if defined(Py_LIMITED_API)

PyObject* call_one(PyObject* f, PyObject* x) { return PyObject_CallFunctionObjArgs(f, x, nullptr); }

PyObject* bound_method(PyObject* f, PyObject* self) {
  static PyObject* type = nullptr;
  if (!type) {
    Ref types(PyImport_ImportModule("types"));
    if (!types || !(type = PyObject_GetAttrString(types.get(), "MethodType"))) return nullptr;
  }
  return PyObject_CallFunctionObjArgs(type, f, self, nullptr);
}

// Every CPython exports it, though the limited API does not declare it. Where it cannot be found, the GIL is kept.
bool has_gil() {
#if defined(_WIN32)
  return false;
#else
  static const auto ask = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "PyGILState_Check"));
  return ask && ask() != 0;
#endif
}

#else

PyObject* call_one(PyObject* f, PyObject* x) { return PyObject_CallOneArg(f, x); }
PyObject* bound_method(PyObject* f, PyObject* self) { return PyMethod_New(f, self); }
bool has_gil() { return PyGILState_Check() != 0; }

#endif

}  // namespace atled::core::python
