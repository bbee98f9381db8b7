// Starting backward runs from Python, and switching recording.
#include "engine.h"
#include "python/python.h"

namespace atled::autograd {

namespace {

struct Edges {
  std::vector<Edge> list;
  ~Edges() {
    for (const Edge& edge : list) release(edge.node);
  }
};

Tensor ones_like(const atled_tensor* t) {
  static const Op ones{"core::ones_like"};
  return ones(const_cast<atled_tensor*>(t));
}

// backward(tensors, gradients, retain_graph, create_graph, inputs or None, accumulate) -> list of gradients
PyObject* backward(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject *tensors = nullptr, *gradients = nullptr, *inputs = nullptr;
    int keep = 0, create = 0, accumulating = 0;
    if (!PyArg_ParseTuple(args, "OOppOp:backward", &tensors, &gradients, &keep, &create, &inputs, &accumulating))
      throw_python();
    Request request;
    request.keep_graph = keep != 0;
    request.create_graph = create != 0;
    request.selective = inputs != Py_None;
    request.accumulate = accumulating != 0;
    Edges held;
    std::vector<Tensor> seeds;
    const Py_ssize_t n = PySequence_Size(tensors);
    for (Py_ssize_t i = 0; i < n; ++i) {
      Ref object = need(PySequence_GetItem(tensors, i)), given = need(PySequence_GetItem(gradients, i));
      atled_tensor* t = tensor_of(object.get());
      if (!requires_grad(t))
        fail(ATLED_E_AUTOGRAD,
             "backward: expected tensor %zd to require grad, got one that was made from none that does, or under "
             "no_grad()",
             i);
      if (given.get() != Py_None) {
        atled_tensor* g = tensor_or_null(given.get());
        if (!g)
          fail(ATLED_E_ARGUMENT, "backward: expected gradient %zd to be a Tensor or None, got %s", i,
               type_name(given.get()).c_str());
        if (shape_text(g) != shape_text(t))
          fail(ATLED_E_SHAPE, "backward: expected gradient %zd of shape %s, got %s", i, shape_text(t).c_str(),
               shape_text(g).c_str());
        if (is_complex(g->dtype) != is_complex(t->dtype))
          fail(ATLED_E_DTYPE, "backward: expected gradient %zd as %s, got %s", i, dtype_name(t->dtype),
               dtype_name(g->dtype));
        seeds.push_back(Tensor::borrow(g));
      } else {
        if (numel(t) != 1)
          fail(ATLED_E_AUTOGRAD,
               "backward: expected a tensor with one element, got shape %s; reduce it, or give its gradient",
               shape_text(t).c_str());
        if (is_complex(t->dtype))
          fail(ATLED_E_AUTOGRAD, "backward: expected a real tensor, got %s; give its gradient", dtype_name(t->dtype));
        RecordingScope off(false);
        seeds.push_back(ones_like(t));
      }
      held.list.push_back(gradient_edge(t));
      request.roots.push_back({held.list.back(), nullptr});
    }
    for (size_t i = 0; i < seeds.size(); ++i) request.roots[i].gradient = seeds[i];
    const Py_ssize_t count = request.selective ? PySequence_Size(inputs) : 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
      Ref object = need(PySequence_GetItem(inputs, i));
      atled_tensor* t = tensor_of(object.get());
      if (!requires_grad(t))
        fail(ATLED_E_AUTOGRAD, "grad: expected input %zd to require grad, got a tensor that does not", i);
      if (accumulating && history(t))
        fail(ATLED_E_AUTOGRAD, "backward: expected the inputs to be leaves, got the result of %s as input %zd",
             history(t)->name, i);
      held.list.push_back(gradient_edge(t));
      request.targets.push_back(held.list.back());
    }
    std::vector<Tensor> results = run_backward(request);
    Ref list = need(PyList_New(count));
    for (Py_ssize_t i = 0; i < count; ++i)
      PyList_SetItem(list.get(), i, to_python(results[static_cast<size_t>(i)]).take());
    return list.take();
  });
}

PyObject* is_enabled(PyObject*, PyObject*) {
  return python_call([&] { return PyBool_FromLong(recording()); });
}

// Answers what it was.
PyObject* set_enabled(PyObject*, PyObject* object) {
  return python_call([&] {
    const int on = PyObject_IsTrue(object);
    if (on < 0) throw_python();
    const bool old = recording();
    check(layer_group->exclude(on ? 0 : kKey, on ? kKey : 0, nullptr));
    return PyBool_FromLong(old);
  });
}

}  // namespace

PyMethodDef engine_methods[] = {{"backward", backward, METH_VARARGS, nullptr},
                                {"is_enabled", is_enabled, METH_NOARGS, nullptr},
                                {"set_enabled", set_enabled, METH_O, nullptr},
                                {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
