// A function of Python whose errors are explained: it is called as it is, and only where an exception comes out of it
// `explain` (of _explain.py) may put one in its place that says which argument was wrong. The call costs no Python
// frame.
#include <Python.h>
#include <structmember.h>

#include "python/python.h"

namespace atled::core::python {
namespace {

struct Explained {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* function;
  PyObject* dict;
};

Explained* as_explained(PyObject* o) { return reinterpret_cast<Explained*>(o); }

// The arguments of a call as a tuple and a dict.
bool collect(PyObject* const* args, size_t n, PyObject* names, Ref& positional, Ref& named) {
  positional = Ref(PyTuple_New(static_cast<Py_ssize_t>(n)));
  named = Ref(PyDict_New());
  if (!positional || !named) return false;
  for (size_t i = 0; i < n; ++i) PyTuple_SetItem(positional.get(), static_cast<Py_ssize_t>(i), Py_NewRef(args[i]));
  const Py_ssize_t more = names ? PyTuple_Size(names) : 0;
  for (Py_ssize_t i = 0; i < more; ++i)
    if (PyDict_SetItem(named.get(), PyTuple_GetItem(names, i), args[n + static_cast<size_t>(i)]) < 0) return false;
  return true;
}

PyObject* explain(PyObject* function, PyObject* const* args, size_t n, PyObject* names) {
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (traceback) PyException_SetTraceback(error, traceback);
  Ref positional, named;
  const bool collected = collect(args, n, names, positional, named);
  const Ref ask = collected ? import_function("atled.core._explain", "explain") : Ref();
  const Ref better(
      ask ? PyObject_CallFunctionObjArgs(ask.get(), function, positional.get(), named.get(), error, nullptr) : nullptr);
  if (!better || better.get() == Py_None) {
    PyErr_Clear();
    PyErr_Restore(type, error, traceback);
    return nullptr;
  }
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  PyException_SetContext(better.get(), error);  // for debuggers:
  PyException_SetCause(better.get(), nullptr);  // as by `from None`, it is not shown
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(better.get())), better.get());
  return nullptr;
}

PyObject* call(PyObject* self, PyObject* const* args, size_t nargs, PyObject* names) {
  PyObject* function = as_explained(self)->function;
  PyObject* result = PyObject_Vectorcall(function, args, nargs, names);
  if (result || !PyErr_ExceptionMatches(PyExc_Exception)) return result;
  return explain(function, args, static_cast<size_t>(PyVectorcall_NARGS(nargs)), names);
}

PyObject* create(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* function;
  if ((kwargs && PyDict_Size(kwargs)) || !PyArg_ParseTuple(args, "O:Explained", &function)) return nullptr;
  auto* alloc = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
  PyObject* self = alloc(type, 0);
  if (!self) return nullptr;
  as_explained(self)->vectorcall = call;
  as_explained(self)->function = Py_NewRef(function);
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_explained(self)->function);
  Py_VISIT(as_explained(self)->dict);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(as_explained(self)->function);
  Py_CLEAR(as_explained(self)->dict);
  return 0;
}

void dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  clear(self);
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyObject* repr(PyObject* self) { return PyObject_Repr(as_explained(self)->function); }

PyObject* descr_get(PyObject* self, PyObject* object, PyObject*) {
  return object && object != Py_None ? bound_method(self, object) : Py_NewRef(self);
}

// Pickled, as functions are, by name.
PyObject* reduce(PyObject* self, PyObject*) { return PyObject_GetAttrString(self, "__qualname__"); }

PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
PyMemberDef members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(Explained, vectorcall), READONLY, nullptr},
                         {"__dictoffset__", T_PYSSIZET, offsetof(Explained, dict), READONLY, nullptr},
                         {nullptr, 0, 0, 0, nullptr}};
PyGetSetDef getset[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(create)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                       {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                       {Py_tp_clear, reinterpret_cast<void*>(clear)},
                       {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                       {Py_tp_repr, reinterpret_cast<void*>(repr)},
                       {Py_tp_descr_get, reinterpret_cast<void*>(descr_get)},
                       {Py_tp_getset, getset},
                       {Py_tp_methods, methods},
                       {Py_tp_members, members},
                       {0, nullptr}};

PyType_Spec spec = {"atled.core._core._Explained", sizeof(Explained), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_HAVE_GC,
                    slots};

}  // namespace

bool init_explained_type(PyObject* module) {
  const Ref type(PyType_FromSpec(&spec));
  return type && PyModule_AddObjectRef(module, "_Explained", type.get()) == 0;
}

}  // namespace atled::core::python
