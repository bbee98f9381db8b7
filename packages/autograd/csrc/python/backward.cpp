// Starting backward runs from Python, and switching recording.
#include "engine.h"
#include "python/python.h"
#include "thread_state.h"

namespace atled::autograd {

Node* node_from(PyObject* object);

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

// Where a run starts or ends, as Python gives it: a tensor, or (Node, output number).
struct End {
  Edge edge;             // owned by the list of edges that it was put into
  atled_tensor* tensor;  // NULL for an edge
  int32_t ndim;
  const int64_t* shape;
  int dtype;
  std::string shape_words() const { return shape_text(ndim, shape); }
};

End end_of(PyObject* object, const char* what, Py_ssize_t i, Edges& held) {
  if (!PyTuple_Check(object)) {
    atled_tensor* t = tensor_or_null(object);
    if (!t) fail(ATLED_E_ARGUMENT, "%s %zd to be a Tensor, got %s", what, i, type_name(object).c_str());
    if (!requires_grad(t))
      fail(ATLED_E_AUTOGRAD, "%s %zd to require grad, got one of shape %s and dtype %s that %s", what, i,
           shape_text(t).c_str(), dtype_name(t->dtype),
           t->flags & ATLED_TENSOR_INFERENCE                 ? "was made in inference_mode()"
           : !is_floating(t->dtype) && !is_complex(t->dtype) ? "has no gradient, whatever it was made from"
                                                             : "was made from none that does, or under no_grad()");
    held.list.push_back(gradient_edge(t));
    return {held.list.back(), t, t->dl.ndim, t->dl.shape, t->dtype};
  }
  PyObject *first = nullptr, *token = nullptr;
  unsigned int number = 0;
  if (!PyArg_ParseTuple(object, "OI|O", &first, &number, &token)) throw_python();
  Node* node = node_from(first);
  if (number >= node->output_count)
    fail(ATLED_E_BOUNDS, "%s %zd to be an edge to one of %u outputs, got output %u of %s", what, i, node->output_count,
         number, node->name);
  retain(node);
  held.list.push_back({node, number});
  const Output& out = node->outputs()[number];
  return {held.list.back(), nullptr, out.ndim, out.shape, out.dtype};
}

Tensor ones(const End& end) {
  RecordingScope off(false);
  if (end.tensor) return ones_like(end.tensor);
  static const Op fill{"core::fill_"};
  const Output& out = end.edge.node->outputs()[end.edge.output];
  Tensor t = Tensor::empty(out.dtype, out.ndim, out.shape, out.device);
  atled_value result = none();
  fill.run(0, &result, {value(t), value(1)});
  return Tensor::steal(result.u.tensor);
}

int64_t size(const End& end) {
  int64_t n = 1;
  for (int d = 0; d < end.ndim; ++d) n *= end.shape[d];
  return n;
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
    const std::string caller = accumulating ? "backward" : "grad";
    const char* name = caller.c_str();
    Edges held;
    std::vector<Tensor> seeds;
    const Py_ssize_t n = PySequence_Size(tensors);
    for (Py_ssize_t i = 0; i < n; ++i) {
      Ref object = need(PySequence_GetItem(tensors, i)), given = need(PySequence_GetItem(gradients, i));
      const End end = end_of(object.get(), (caller + ": expected tensor").c_str(), i, held);
      if (given.get() != Py_None) {
        atled_tensor* g = tensor_or_null(given.get());
        if (!g)
          fail(ATLED_E_ARGUMENT, "%s: expected gradient %zd to be a Tensor or None, got %s", name, i,
               type_name(given.get()).c_str());
        if (shape_text(g) != end.shape_words())
          fail(ATLED_E_SHAPE, "%s: expected gradient %zd of shape %s, got %s", name, i, end.shape_words().c_str(),
               shape_text(g).c_str());
        if (is_complex(g->dtype) != is_complex(end.dtype))
          fail(ATLED_E_DTYPE, "%s: expected gradient %zd as %s, got %s", name, i, dtype_name(end.dtype),
               dtype_name(g->dtype));
        seeds.push_back(Tensor::borrow(g));
      } else {
        if (size(end) != 1)
          fail(ATLED_E_AUTOGRAD,
               "%s: expected a tensor with one element, got shape %s; reduce it, or give its gradient", name,
               end.shape_words().c_str());
        if (is_complex(end.dtype))
          fail(ATLED_E_AUTOGRAD, "%s: expected a real tensor, got %s; give its gradient", name, dtype_name(end.dtype));
        seeds.push_back(ones(end));
      }
      request.roots.push_back({end.edge, nullptr});
    }
    for (size_t i = 0; i < seeds.size(); ++i) request.roots[i].gradient = seeds[i];
    const Py_ssize_t count = request.selective ? PySequence_Size(inputs) : 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
      Ref object = need(PySequence_GetItem(inputs, i));
      const End end = end_of(object.get(), (caller + ": expected input").c_str(), i, held);
      const Edge& edge = end.edge;
      if (accumulating && !edge.node->leaf) edge.node->outputs()[edge.output].meta.flags |= kRetainsGrad;
      request.targets.push_back(edge);
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

// Answers what it was. In inference mode nothing is recorded, whatever is asked for.
PyObject* set_enabled(PyObject*, PyObject* object) {
  return python_call([&] {
    const int wanted = PyObject_IsTrue(object);
    if (wanted < 0) throw_python();
    uint64_t old = 0;
    check(layer_group->exclude(0, 0, &old));
    const bool on = wanted && !(old & kInferenceKey);
    check(layer_group->exclude(on ? 0 : kKey, on ? kKey : 0, nullptr));
    this_thread.recording_off = !on;
    return PyBool_FromLong(!(old & kKey));
  });
}

constexpr uint64_t kModeKeys = kKey | kInferenceKey;

// enter_inference(on): without it calls are recorded; answers a number for leave_inference.
PyObject* enter_inference(PyObject*, PyObject* object) {
  return python_call([&] {
    const int on = PyObject_IsTrue(object);
    if (on < 0) throw_python();
    uint64_t old = 0;
    check(layer_group->exclude(on ? kModeKeys : 0, on ? 0 : kModeKeys, &old));
    this_thread.recording_off = on;
    return PyLong_FromUnsignedLongLong(old & kModeKeys);
  });
}

PyObject* leave_inference(PyObject*, PyObject* object) {
  return python_call([&] {
    const uint64_t old = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred()) throw_python();
    check(layer_group->exclude(old & kModeKeys, ~old & kModeKeys, nullptr));
    this_thread.recording_off = old & kKey;
    return Ref::borrow(Py_None).take();
  });
}

PyObject* is_inference_mode(PyObject*, PyObject*) {
  return python_call([&] { return PyBool_FromLong(inference()); });
}

}  // namespace

PyMethodDef engine_methods[] = {{"backward", backward, METH_VARARGS, nullptr},
                                {"is_enabled", is_enabled, METH_NOARGS, nullptr},
                                {"set_enabled", set_enabled, METH_O, nullptr},
                                {"enter_inference", enter_inference, METH_O, nullptr},
                                {"leave_inference", leave_inference, METH_O, nullptr},
                                {"is_inference_mode", is_inference_mode, METH_NOARGS, nullptr},
                                {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
