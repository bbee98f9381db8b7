// What Function needs of the tape: a node whose gradient is a Python object's, and tensors saved with it.
#include "engine.h"
#include "modes.h"
#include "python/python.h"
#include "record.h"
#include "site.h"
#include "view.h"

namespace atled::autograd {

Node* node_from(PyObject* object);

namespace {

std::vector<atled_tensor*> tensors_in(PyObject* sequence) {
  std::vector<atled_tensor*> list;
  const Py_ssize_t n = PySequence_Size(sequence);
  if (n < 0) throw_python();
  for (Py_ssize_t i = 0; i < n; ++i) {
    Ref object = need(PySequence_GetItem(sequence, i));
    list.push_back(object.get() == Py_None ? nullptr : tensor_of(object.get()));
  }
  return list;
}

int64_t find(const std::vector<atled_tensor*>& list, const atled_tensor* t) {
  for (size_t i = 0; i < list.size(); ++i)
    if (t && list[i] == t) return static_cast<int64_t>(i);
  return -1;
}

// record(context, name, inputs, outputs, saved, dirty, differentiable): None stands for what is no tensor. name must
// live as long as context. Answers the outputs as the caller is to see them.
PyObject* record(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject *context = nullptr, *inputs_object = nullptr, *outputs_object = nullptr, *saved_object = nullptr,
             *dirty_object = nullptr, *flags = nullptr;
    const char* name = nullptr;
    if (!PyArg_ParseTuple(args, "OsOOOOO:record", &context, &name, &inputs_object, &outputs_object, &saved_object,
                          &dirty_object, &flags))
      throw_python();
    const std::vector<atled_tensor*> inputs = tensors_in(inputs_object), saved = tensors_in(saved_object),
                                     dirty = tensors_in(dirty_object);
    std::vector<atled_tensor*> outputs = tensors_in(outputs_object);
    std::vector<Tensor> keep;
    size_t words = saved.size();
    for (atled_tensor*& t : outputs) {
      if (!t) continue;
      words += static_cast<size_t>(t->dl.ndim);
      // An argument that is handed back unchanged stays what it is; its new history is its alias's.
      if (find(inputs, t) >= 0 && find(dirty, t) < 0) {
        keep.push_back(alias(t));
        t = keep.back();
      }
    }
    for (atled_tensor* t : dirty) {
      if (t && requires_grad(t) && !history(t))
        fail(ATLED_E_AUTOGRAD, "%s: a leaf that requires grad was marked dirty; change a copy of it: clone()", name);
      if (t) check_view_in_place(t, name, "");
    }
    int64_t* payload = nullptr;
    NodeRef node(make_node(Kind::kFunction, name, static_cast<uint32_t>(outputs.size()),
                           static_cast<uint32_t>(inputs.size()), static_cast<uint32_t>(saved.size()), words, &payload));
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i]) node->edges()[i] = gradient_edge(inputs[i]);
    for (size_t i = 0; i < saved.size(); ++i) {
      const int64_t output = find(outputs, saved[i]), input = find(inputs, saved[i]);
      *payload++ = output >= 0 ? from_output(static_cast<size_t>(output)) : input >= 0 ? input : kPlain;
      if (!saved[i]) continue;  // no value at all
      if (output >= 0)
        save_tensor(node->saved()[i], alias(saved[i]), name);
      else
        save_tensor(node->saved()[i], saved[i], name);
    }
    for (size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i]) payload = describe_output(node.get(), static_cast<uint32_t>(i), outputs[i], payload);
    node->site = here();
    if (any_mode()) pack_saved(node.get());
    number(node.get());
    Py_INCREF(context);
    node->python = context;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i]) continue;
      Ref differentiable = need(PySequence_GetItem(flags, static_cast<Py_ssize_t>(i)));
      if (PyObject_IsTrue(differentiable.get()) != 1) continue;
      if (find(dirty, outputs[i]) >= 0)
        rebase(outputs[i], node.get(), static_cast<uint32_t>(i));
      else
        set_history(outputs[i], NodeRef::borrow(node.get()), static_cast<uint32_t>(i));
    }
    Ref list = need(PyList_New(0));
    for (atled_tensor* t : outputs)
      if (PyList_Append(list.get(), to_python(t).get()) < 0) throw_python();
    return list.take();
  });
}

// saved_tensors(node) -> tuple; with their histories when recording.
PyObject* saved_tensors(PyObject*, PyObject* object) {
  return python_call([&] {
    Node* node = node_from(object);
    if (node->saved_count && (node->state.load() & kFreed)) refuse_freed(node);
    const int64_t* origins = reinterpret_cast<const int64_t*>(node->saved() + node->saved_count);
    Ref tuple = need(PyTuple_New(node->saved_count));
    for (uint16_t i = 0; i < node->saved_count; ++i) {
      const Saved& saved = node->saved()[i];
      atled_tensor* t = saved.value.u.tensor;
      Tensor seen;
      if (t) {
        check_version(t, saved.version, node);
        seen = seen_by_recording(t, node, origins[i]);
      } else if (saved.value.tag == ATLED_TENSOR) {
        seen = unpacked_for_recording(unpack_saved(node, saved.version), node, origins[i]);
      }
      PyTuple_SetItem(tuple.get(), i, to_python(seen).take());
    }
    return tuple.take();
  });
}

}  // namespace

PyMethodDef function_methods[] = {{"record", record, METH_VARARGS, nullptr},
                                  {"saved_tensors", saved_tensors, METH_O, nullptr},
                                  {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
