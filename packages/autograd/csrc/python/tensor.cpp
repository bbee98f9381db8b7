// What autograd puts on Tensor, as functions of the tensor.
#include "python/python.h"
#include "record.h"
#include "transform.h"

namespace atled::autograd {

namespace {

PyObject* get_requires_grad(PyObject*, PyObject* object) {
  return python_call([&] { return PyBool_FromLong(requires_grad(tensor_of(object))); });
}

PyObject* put_requires_grad(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject* object = nullptr;
    int wanted = 0;
    if (!PyArg_ParseTuple(args, "Op:requires_grad_", &object, &wanted)) throw_python();
    set_requires_grad(tensor_of(object), wanted != 0);
    return Ref::borrow(object).take();
  });
}

PyObject* get_grad(PyObject*, PyObject* object) {
  return python_call([&] {
    const Meta* meta = meta_of(tensor_of(object));
    return to_python(meta && meta->extra ? meta->extra->grad.get() : nullptr).take();
  });
}

PyObject* put_grad(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject *object = nullptr, *gradient = nullptr;
    if (!PyArg_ParseTuple(args, "OO:grad", &object, &gradient)) throw_python();
    atled_tensor* t = tensor_of(object);
    if (gradient == Py_None) {
      if (meta_of(t) && meta_of(t)->extra) meta_of(t)->extra->grad = Tensor();
      return Ref::borrow(Py_None).take();
    }
    atled_tensor* g = tensor_or_null(gradient);
    if (!g) fail(ATLED_E_ARGUMENT, "grad: expected a Tensor or None, got %s", type_name(gradient).c_str());
    if (g == t) fail(ATLED_E_VALUE, "grad: expected a tensor other than the one it belongs to");
    if (shape_text(g) != shape_text(t))
      fail(ATLED_E_SHAPE, "grad: expected shape %s, got %s", shape_text(t).c_str(), shape_text(g).c_str());
    if (g->dtype != t->dtype)
      fail(ATLED_E_DTYPE, "grad: expected %s, got %s", dtype_name(t->dtype), dtype_name(g->dtype));
    if (g->dl.device.device_type != t->dl.device.device_type || g->dl.device.device_id != t->dl.device.device_id)
      fail(ATLED_E_DEVICE, "grad: expected a gradient on the tensor's own device");
    leaf_meta(t).more().grad = Tensor::borrow(g);
    return Ref::borrow(Py_None).take();
  });
}

PyObject* get_grad_fn(PyObject*, PyObject* object) {
  return python_call([&] { return wrap_node(history(tensor_of(object))).take(); });
}

PyObject* get_output_nr(PyObject*, PyObject* object) {
  return python_call([&] {
    const Meta* meta = meta_of(tensor_of(object));
    return PyLong_FromUnsignedLong(meta ? meta->output : 0);
  });
}

PyObject* get_is_leaf(PyObject*, PyObject* object) {
  return python_call([&] { return PyBool_FromLong(!history(tensor_of(object))); });
}

PyObject* is_inference(PyObject*, PyObject* object) {
  return python_call([&] { return PyBool_FromLong((tensor_of(object)->flags & ATLED_TENSOR_INFERENCE) != 0); });
}

PyObject* retain_grad(PyObject*, PyObject* object) {
  return python_call([&] {
    atled_tensor* t = tensor_of(object);
    if (!requires_grad(t))
      fail(ATLED_E_AUTOGRAD, "retain_grad: expected a tensor that requires grad, got one that does not");
    if (history(t)) meta_of(t)->flags |= kRetainsGrad;
    return Ref::borrow(Py_None).take();
  });
}

PyObject* get_retains_grad(PyObject*, PyObject* object) {
  return python_call([&] {
    const Meta* meta = meta_of(tensor_of(object));
    return PyBool_FromLong(meta && (meta->flags & kRetainsGrad));
  });
}

PyObject* detach(PyObject*, PyObject* object) {
  return python_call([&] { return to_python(detached(tensor_of(object))).take(); });
}

PyObject* detach_(PyObject*, PyObject* object) {
  return python_call([&] {
    detach_in_place(tensor_of(object));
    return Ref::borrow(object).take();
  });
}

// The dict of hooks, made at first use.
PyObject* hooks_dict(PyObject* object, bool post) {
  return python_call([&] {
    atled_tensor* t = tensor_of(object);
    const char* name = post ? "register_post_accumulate_grad_hook" : "register_hook";
    if (!requires_grad(t))
      fail(ATLED_E_AUTOGRAD, "%s: expected a tensor that requires grad, got one that does not", name);
    Node* node = history(t);
    if (post && node) fail(ATLED_E_AUTOGRAD, "%s: expected a leaf, got the result of %s", name, node->name);
    Extra& extra = leaf_meta(t).more();
    PyObject*& dict = post ? extra.post_hooks : extra.hooks;
    if (!dict) dict = need(PyDict_New()).take();
    return Ref::borrow(dict).take();
  });
}
PyObject* hooks(PyObject*, PyObject* object) { return hooks_dict(object, false); }
PyObject* post_hooks(PyObject*, PyObject* object) { return hooks_dict(object, true); }

}  // namespace

PyMethodDef tensor_methods[] = {{"requires_grad", get_requires_grad, METH_O, nullptr},
                                {"set_requires_grad", put_requires_grad, METH_VARARGS, nullptr},
                                {"grad", get_grad, METH_O, nullptr},
                                {"set_grad", put_grad, METH_VARARGS, nullptr},
                                {"grad_fn", get_grad_fn, METH_O, nullptr},
                                {"output_nr", get_output_nr, METH_O, nullptr},
                                {"is_leaf", get_is_leaf, METH_O, nullptr},
                                {"is_inference", is_inference, METH_O, nullptr},
                                {"retain_grad", retain_grad, METH_O, nullptr},
                                {"retains_grad", get_retains_grad, METH_O, nullptr},
                                {"detach", detach, METH_O, nullptr},
                                {"detach_", detach_, METH_O, nullptr},
                                {"hooks", hooks, METH_O, nullptr},
                                {"post_hooks", post_hooks, METH_O, nullptr},
                                {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
