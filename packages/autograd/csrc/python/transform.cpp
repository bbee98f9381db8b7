// Levels and wrappers as Python's func sees them.
#include "transform.h"

#include <unordered_set>

#include "python/python.h"
#include "record.h"

namespace atled::autograd {

namespace {

// begin("dual" or "batch", size, randomness) -> depth
PyObject* begin(PyObject*, PyObject* args) {
  return python_call([&] {
    const char *kind = nullptr, *randomness = nullptr;
    long long size = 0;
    if (!PyArg_ParseTuple(args, "sLs:begin", &kind, &size, &randomness)) throw_python();
    if (levels().size() >= UINT16_MAX) fail(ATLED_E_AUTOGRAD, "expected fewer than %d nested transforms", UINT16_MAX);
    Level level{new_level_id(), kind[0] == 'd' ? Transform::kDual : Transform::kBatch, !this_thread.recording_off};
    level.size = size;
    level.randomness = randomness[0] == 'd'   ? Randomness::kDifferent
                       : randomness[0] == 's' ? Randomness::kSame
                                              : Randomness::kError;
    begin_level(level);
    // Calls with no wrapper matter to a batch when they draw random numbers.
    if (level.kind == Transform::kBatch) check(layer_group->include(kTransformKey, 0, nullptr));
    return PyLong_FromLong(depth());
  });
}

// end(): of the innermost level
PyObject* end(PyObject*, PyObject*) {
  return python_call([&] {
    end_level();
    bool batch = false;
    for (const Level& level : levels()) batch = batch || level.kind == Transform::kBatch;
    if (!batch) check(layer_group->include(0, kTransformKey, nullptr));
    return Ref::borrow(Py_None).take();
  });
}

// wrap(value, tangent or None, depth): a dual, or a tensor whose first dimension is the batch
PyObject* wrap(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject *object = nullptr, *tangent = nullptr;
    int at = 0;
    if (!PyArg_ParseTuple(args, "OOi:wrap", &object, &tangent, &at)) throw_python();
    const Tensor value = Tensor::borrow(tensor_of(object));
    const uint16_t depth = static_cast<uint16_t>(at);
    if (tangent == Py_None) return to_python(wrap_batched(value, depth)).take();
    return to_python(wrap_dual(value, Tensor::borrow(tensor_of(tangent)), depth)).take();
  });
}

// unwrap(tensor, depth) -> (value, tangent or None), or None for a tensor that is not of that level
PyObject* unwrap(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject* object = nullptr;
    int at = 0;
    if (!PyArg_ParseTuple(args, "Oi:unwrap", &object, &at)) throw_python();
    const Wrapped* w = wrapped_at(tensor_of(object), static_cast<uint16_t>(at));
    if (!w) return Ref::borrow(Py_None).take();
    Ref value = to_python(w->value), tangent = to_python(w->tangent);
    return PyTuple_Pack(2, value.get(), tangent.get());
  });
}

// differentiable_input(tensor, depth): what a function is differentiated by, in the tensor's place; at the present
// depth by default
PyObject* input(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject* object = nullptr;
    int at = depth();
    if (!PyArg_ParseTuple(args, "O|i:differentiable_input", &object, &at)) throw_python();
    return to_python(differentiable_input(tensor_of(object), static_cast<uint16_t>(at))).take();
  });
}

// at_level(tensor, depth): the same for each element of that level's batch, or with a tangent of zeros
PyObject* at_level(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject* object = nullptr;
    int at = 0;
    if (!PyArg_ParseTuple(args, "Oi:at_level", &object, &at)) throw_python();
    return to_python(of_level(tensor_of(object), static_cast<uint16_t>(at))).take();
  });
}

// without_history(tensor): itself, or its like without a history
PyObject* without_history(PyObject*, PyObject* object) {
  return python_call([&] { return to_python(unrecorded(tensor_of(object), 0)).take(); });
}

// leads_elsewhere(outputs, inputs): whether a gradient of the outputs would reach leaves besides the inputs
PyObject* leads_elsewhere(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject *outputs = nullptr, *inputs = nullptr;
    if (!PyArg_ParseTuple(args, "OO:leads_elsewhere", &outputs, &inputs)) throw_python();
    std::vector<NodeRef> held;
    std::unordered_set<const Node*> seen;
    std::vector<const Node*> left;
    auto start = [&](PyObject* tensors, bool push) {
      const Py_ssize_t n = PySequence_Size(tensors);
      for (Py_ssize_t i = 0; i < n; ++i) {
        Ref object = need(PySequence_GetItem(tensors, i));
        held.push_back(NodeRef(gradient_edge(tensor_of(object.get())).node));
        const Node* node = held.back().get();
        if (node && seen.insert(node).second && push) left.push_back(node);
      }
    };
    start(inputs, false);
    start(outputs, true);
    while (!left.empty()) {
      const Node* node = left.back();
      left.pop_back();
      if (node->kind == Kind::kAccumulate && !(meta_of(node->leaf)->flags & kEnded)) return PyBool_FromLong(1);
      for (uint32_t i = 0; i < node->edge_count; ++i)
        if (const Node* next = node->edges()[i].node)
          if (seen.insert(next).second) left.push_back(next);
    }
    return PyBool_FromLong(0);
  });
}

// end_inputs(tensors): the function that they were made for has returned
PyObject* end_inputs(PyObject*, PyObject* tensors) {
  return python_call([&] {
    const Py_ssize_t n = PySequence_Size(tensors);
    for (Py_ssize_t i = 0; i < n; ++i) {
      Ref object = need(PySequence_GetItem(tensors, i));
      Meta* meta = meta_of(tensor_of(object.get()));
      if (meta && !meta->node) meta->flags |= kEnded;
    }
    return Ref::borrow(Py_None).take();
  });
}

// depth_of(tensor): of the transform that it is a wrapper of; 0 for none
PyObject* depth_of(PyObject*, PyObject* object) {
  return python_call([&] {
    const Wrapped* w = wrapped(tensor_of(object));
    return PyLong_FromLong(w ? w->depth : 0);
  });
}

// history_depth(tensor): of the transform in which its history began; -1 for none
PyObject* history_depth(PyObject*, PyObject* object) {
  return python_call([&] {
    const atled_tensor* t = tensor_of(object);
    return PyLong_FromLong(requires_grad(t) ? meta_of(t)->depth : -1);
  });
}

PyObject* present(PyObject*, PyObject*) { return PyLong_FromLong(depth()); }

}  // namespace

PyMethodDef transform_methods[] = {{"begin", begin, METH_VARARGS, nullptr},
                                   {"end", end, METH_NOARGS, nullptr},
                                   {"wrap", wrap, METH_VARARGS, nullptr},
                                   {"unwrap", unwrap, METH_VARARGS, nullptr},
                                   {"differentiable_input", input, METH_VARARGS, nullptr},
                                   {"at_level", at_level, METH_VARARGS, nullptr},
                                   {"without_history", without_history, METH_O, nullptr},
                                   {"end_inputs", end_inputs, METH_O, nullptr},
                                   {"leads_elsewhere", leads_elsewhere, METH_VARARGS, nullptr},
                                   {"depth_of", depth_of, METH_O, nullptr},
                                   {"history_depth", history_depth, METH_O, nullptr},
                                   {"depth", present, METH_NOARGS, nullptr},
                                   {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
