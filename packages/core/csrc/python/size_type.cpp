// Size: what Tensor.shape and size() answer, a tuple of ints that knows how many elements it stands for.
#include "python/python.h"

namespace atled::core::python {
namespace {

PyTypeObject* size_type = nullptr;
allocfunc allocate = nullptr;
binaryfunc tuple_item = nullptr;

PyObject* make(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  PyObject* given = nullptr;
  if ((kwargs && PyDict_Size(kwargs)) || !PyArg_ParseTuple(args, "|O:Size", &given)) {
    if (!PyErr_Occurred()) raise(ATLED_E_ARGUMENT, "Size", "expected one sequence of ints, without a name");
    return nullptr;
  }
  Ref items(given ? PySequence_Tuple(given) : PyTuple_New(0));
  if (!items) return nullptr;
  const Py_ssize_t n = PyTuple_Size(items.get());
  Ref made(allocate(size_type, n));
  for (Py_ssize_t i = 0; made && i < n; ++i) {
    PyObject* item = PyTuple_GetItem(items.get(), i);
    PyObject* number = PyNumber_Index(item);
    if (!number && PyErr_ExceptionMatches(PyExc_TypeError)) {
      PyErr_Clear();
      return raise(ATLED_E_ARGUMENT, "Size", "expected ints, got %s at position %zd", type_name(item).c_str(), i);
    }
    if (!number) return nullptr;
    PyTuple_SetItem(made.get(), i, number);
  }
  return made.release();
}

PyObject* size_numel(PyObject* self, PyObject*) {
  int64_t count = 1;
  for (Py_ssize_t i = 0; i < PyTuple_Size(self); ++i) count *= PyLong_AsLongLong(PyTuple_GetItem(self, i));
  return PyErr_Occurred() ? nullptr : PyLong_FromLongLong(count);
}

// A slice of a size is one; an index gives a number.
PyObject* size_item(PyObject* self, PyObject* key) {
  if (!PySlice_Check(key)) return tuple_item(self, key);
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(key, &start, &stop, &step) < 0) return nullptr;
  const Py_ssize_t n = PySlice_AdjustIndices(PyTuple_Size(self), &start, &stop, step);
  PyObject* part = allocate(size_type, n);
  for (Py_ssize_t i = 0; part && i < n; ++i)
    PyTuple_SetItem(part, i, Ref::borrow(PyTuple_GetItem(self, start + i * step)).release());
  return part;
}

// So is the sum of one and a tuple, on either side.
PyObject* size_add(PyObject* a, PyObject* b) {
  if (!PyTuple_Check(a) || !PyTuple_Check(b)) {
    Py_INCREF(Py_NotImplemented);
    return Py_NotImplemented;
  }
  const Py_ssize_t n = PyTuple_Size(a), m = PyTuple_Size(b);
  PyObject* sum = allocate(size_type, n + m);
  for (Py_ssize_t i = 0; sum && i < n + m; ++i)
    PyTuple_SetItem(sum, i, Ref::borrow(i < n ? PyTuple_GetItem(a, i) : PyTuple_GetItem(b, i - n)).release());
  return sum;
}

template <class F>
void* slot(F f) {
  return reinterpret_cast<void*>(f);
}

PyMethodDef methods[] = {{"numel", size_numel, METH_NOARGS,
                          "Number of elements of a tensor of this size: the product of the numbers.\n\n"
                          ">>> at.Size([2, 3]).numel()\n6"},
                         {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_base, &PyTuple_Type},
                       {Py_tp_doc, const_cast<char*>("The sizes of a tensor's dimensions, a tuple of ints.\n\n"
                                                     "Slices of it, and sums with tuples, are sizes too.\n\n"
                                                     ">>> import atled.core as at\n"
                                                     ">>> at.ones(2, 3, 4).shape[1:].numel()\n"
                                                     "12\n"
                                                     ">>> at.Size([2, 3]) == (2, 3)\n"
                                                     "True")},
                       {Py_tp_new, slot(make)},
                       {Py_tp_methods, methods},
                       {Py_nb_add, slot(size_add)},
                       {Py_mp_subscript, slot(size_item)},
                       {0, nullptr}};

PyType_Spec spec = {"atled.core.Size", 0, 0, Py_TPFLAGS_DEFAULT, slots};

}  // namespace

bool init_size_type(PyObject* module) {
  tuple_item = reinterpret_cast<binaryfunc>(PyType_GetSlot(&PyTuple_Type, Py_mp_subscript));
  size_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!size_type) return false;
  allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(size_type, Py_tp_alloc));
  return PyModule_AddObjectRef(module, "Size", reinterpret_cast<PyObject*>(size_type)) == 0;
}

bool is_size(PyObject* o) { return Py_TYPE(o) == size_type; }

PyObject* size_object(int n, const int64_t* items) {
  PyObject* size = allocate(size_type, n);
  for (int i = 0; size && i < n; ++i) PyTuple_SetItem(size, i, PyLong_FromLongLong(items[i]));
  return size;
}

}  // namespace atled::core::python
