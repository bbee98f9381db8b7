// What a Tensor stands for, read and exchanged: data, the storage, and taking over another tensor's.
#include "dispatch/dispatch.h"
#include "python/python.h"
#include "tensor/dtype.h"

namespace atled::core::python {
namespace {

bool is_recorded_view(const atled_tensor* t) { return keys_of(t) && (t->flags & ATLED_TENSOR_VIEW); }

PyObject* taken_over(PyObject* self, PyObject* source) {
  if (become(tensor_of(self), tensor_of(source)) != ATLED_OK) return raise();
  return Py_NewRef(self);
}

// For set_ and resize_.
PyObject* adopt(PyObject* self, PyObject* source) {
  if (!is_tensor(source))
    return raise(ATLED_E_ARGUMENT, "set_", "expected a Tensor, got %s", type_name(source).c_str());
  if (keys_of(tensor_of(self)))
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
  Ref done;
  if (!source || !is_tensor(source))
    raise(ATLED_E_ARGUMENT, "data", "expected a Tensor, got %s", source ? type_name(source).c_str() : "nothing");
  else if (is_recorded_view(t))
    raise(ATLED_E_AUTOGRAD, "data", "expected a tensor with memory of its own, got a view that requires grad");
  else if (keys_of(t) && !is_floating(tensor_of(source)->dtype) && !is_complex(tensor_of(source)->dtype))
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
