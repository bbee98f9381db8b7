// What a Tensor stands for, read and exchanged: data, the storage, and taking over another tensor's.
#include "dispatch/dispatch.h"
#include "python/python.h"
#include "tensor/dtype.h"

namespace atled::core::python {
namespace {

// Lets the layers whose keys a tensor's storage has say whether the tensor is theirs, so that its own keys are
// complete; false with the Python error set.
bool settle_keys(PyObject* self) {
  const atled_tensor* t = tensor_of(self);
  return t->keys || !keys_of(t) || Ref(PyObject_GetAttrString(self, "requires_grad"));
}

PyObject* taken_over(PyObject* self, PyObject* source) {
  if (become(tensor_of(self), tensor_of(source)) != ATLED_OK) return raise();
  return Py_NewRef(self);
}

// For set_ and resize_.
PyObject* adopt(PyObject* self, PyObject* source) {
  if (!is_tensor(source))
    return raise(ATLED_E_ARGUMENT, "set_", "expected a Tensor, got %s", type_name(source).c_str());
  if (!settle_keys(self)) return nullptr;
  if (tensor_of(self)->keys)
    return raise(ATLED_E_AUTOGRAD, "set_",
                 "expected a tensor that no graph knows of, got one that requires grad; use detach() or data");
  return taken_over(self, source);
}

PyObject* storage_view(PyObject* self, PyObject* dtype) {
  const int id = dtype_from(dtype);
  if (id < 0) return raise(ATLED_E_ARGUMENT, "storage", "expected a dtype, got %s", type_name(dtype).c_str());
  if (!readable(tensor_of(self), "storage")) return nullptr;
  TensorImpl* t = nullptr;
  return view_storage(tensor_of(self), id, &t) == ATLED_OK ? wrap(t) : raise();
}

}  // namespace

PyObject* get_data(PyObject* self, void*) {
  atled_tensor* t = tensor_of(self);
  if (!readable(t, "data")) return nullptr;
  TensorImpl* out = nullptr;
  if (make_view(t, t->dtype, t->dl.ndim, t->dl.shape, t->dl.strides, 0, &out) != ATLED_OK) return raise();
  out->flags = static_cast<uint16_t>(out->flags & ~(t->flags & ATLED_TENSOR_VIEW ? 0 : ATLED_TENSOR_VIEW));
  return wrap(out);
}

int set_data(PyObject* self, PyObject* source, void*) {
  const atled_tensor* t = tensor_of(self);
  if (!settle_keys(self)) return -1;
  Ref done;
  if (!source || !is_tensor(source))
    raise(ATLED_E_ARGUMENT, "data", "expected a Tensor, got %s", source ? type_name(source).c_str() : "nothing");
  else if (t->keys && (t->flags & ATLED_TENSOR_VIEW))
    raise(ATLED_E_AUTOGRAD, "data", "expected a tensor with memory of its own, got a view that requires grad");
  else if (t->keys && !is_floating(tensor_of(source)->dtype) && !is_complex(tensor_of(source)->dtype))
    raise(ATLED_E_DTYPE, "data", "expected floating-point or complex data for a tensor that requires grad, got %s",
          dtype_name(tensor_of(source)->dtype));
  else
    done = Ref(taken_over(self, source));
  return done ? 0 : -1;
}

PyMethodDef data_methods[] = {{"_adopt", adopt, METH_O, nullptr},
                              {"_storage_view", storage_view, METH_O, nullptr},
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::core::python
