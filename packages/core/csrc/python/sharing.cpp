// Tensors in memory that processes share, for atled.core.multiprocessing.
#include "dispatch/error.h"
#include "python/python.h"
#include "tensor/shared.h"

namespace atled::core::python {
namespace {

PyObject* attach_shared(PyObject*, PyObject* args) {
  int descriptor = 0;
  long long nbytes = 0;
  PyObject* kind = nullptr;
  if (!PyArg_ParseTuple(args, "iLO:_attach_shared", &descriptor, &nbytes, &kind)) return nullptr;
  const int dtype = dtype_from(kind);
  if (dtype < 0) return raise(ATLED_E_ARGUMENT, "_attach_shared", "expected a dtype");
  TensorImpl* t = nullptr;
  return map_shared(descriptor, nbytes, dtype, &t) == ATLED_OK ? wrap(t) : raise();
}

PyObject* shared_place(PyObject*, PyObject* object) {
  SharedPlace place;
  if (!is_tensor(object)) return raise(ATLED_E_ARGUMENT, "_shared_place", "expected a Tensor");
  if (!find_shared(tensor_of(object), &place)) Py_RETURN_NONE;
  return Py_BuildValue("iLL", place.descriptor, static_cast<long long>(place.nbytes),
                       static_cast<long long>(place.offset));
}

PyObject* storage_nbytes(PyObject*, PyObject* object) {
  if (!is_tensor(object)) return raise(ATLED_E_ARGUMENT, "_storage_nbytes", "expected a Tensor");
  return PyLong_FromSize_t(impl(tensor_of(object))->storage->nbytes);
}

PyObject* move_storage(PyObject*, PyObject* args) {
  PyObject *object = nullptr, *into = nullptr;
  if (!PyArg_ParseTuple(args, "OO:_move_storage", &object, &into)) return nullptr;
  if (!is_tensor(object) || !is_tensor(into)) return raise(ATLED_E_ARGUMENT, "share_memory_", "expected Tensors");
  if (take_storage(tensor_of(object), tensor_of(into)) != ATLED_OK) {
    atled_error error;
    get_error(&error);
    return raise(error.kind, "share_memory_", "%s", std::string(error.message).c_str());
  }
  Py_RETURN_NONE;
}

}  // namespace

PyObject* tensor_is_shared(PyObject* self, PyObject*) {
  SharedPlace place;
  return PyBool_FromLong(find_shared(tensor_of(self), &place));
}

PyMethodDef sharing_methods[] = {
    {"_attach_shared", attach_shared, METH_VARARGS,
     "_attach_shared(descriptor, nbytes, dtype): a 1-d tensor over shared memory; duplicates the descriptor."},
    {"_shared_place", shared_place, METH_O,
     "_shared_place(tensor): (descriptor, bytes of the memory, offset in bytes), or None."},
    {"_storage_nbytes", storage_nbytes, METH_O, "_storage_nbytes(tensor): bytes of the whole storage."},
    {"_move_storage", move_storage, METH_VARARGS,
     "_move_storage(tensor, into): moves the elements into another tensor's storage."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::core::python
