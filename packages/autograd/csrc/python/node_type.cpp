// atled.autograd's Node: what grad_fn answers.
#include "python/python.h"
#include "site.h"

namespace atled::autograd {

PyObject* node_metadata(PyObject* object, void*);  // graph.cpp
PyObject* node_op(PyObject* object, void*);

namespace {

struct NodeObject {
  PyObject_HEAD Node* node;
};

PyTypeObject* node_type = nullptr;

Node* node_of(PyObject* object) { return reinterpret_cast<NodeObject*>(object)->node; }

void node_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  Node* node = node_of(object);
  node->rare->wrapper = nullptr;
  release(node);
  PyObject_Free(object);
  Py_DECREF(type);
}

}  // namespace

std::string node_name(const Node* node) {
  if (node->kind != Kind::kRule)
    return node->kind == Kind::kFunction ? std::string(node->name) + "Backward" : node->name;
  // log_softmax -> LogSoftmaxBackward
  std::string name;
  bool upper = true;
  for (const char* c = node->name; *c; ++c) {
    if (*c == '_') {
      upper = true;
    } else {
      name += upper && *c >= 'a' && *c <= 'z' ? static_cast<char>(*c - 32) : *c;
      upper = false;
    }
  }
  return name + "Backward";
}

namespace {

PyObject* node_repr(PyObject* object) {
  return PyUnicode_FromFormat("<%s %p>", node_name(node_of(object)).c_str(), static_cast<void*>(node_of(object)));
}

PyObject* call_name(PyObject* object, PyObject*) { return PyUnicode_FromString(node_name(node_of(object)).c_str()); }

PyObject* next_functions(PyObject* object, void*) {
  return python_call([&] {
    const Node* node = node_of(object);
    Ref tuple = need(PyTuple_New(node->edge_count));
    for (uint32_t i = 0; i < node->edge_count; ++i) {
      Ref next = node->edges()[i].node ? wrap_node(node->edges()[i].node) : Ref::borrow(Py_None);
      PyTuple_SetItem(tuple.get(), i, need(Py_BuildValue("(OI)", next.get(), node->edges()[i].output)).take());
    }
    return tuple.take();
  });
}

PyObject* sequence_number(PyObject* object, void*) { return PyLong_FromUnsignedLongLong(node_of(object)->seq); }
PyObject* variable(PyObject* object, void*) {
  return python_call([&] { return to_python(node_of(object)->leaf).take(); });
}
PyObject* byte_count(PyObject* object, void*) { return PyLong_FromUnsignedLong(node_of(object)->size); }

// The dict of a node's hooks, made at first use.
PyObject* hooks_of(PyObject* object, bool post) {
  return python_call([&] {
    Rare& rare = node_of(object)->more();
    PyObject*& dict = post ? rare.post_hooks : rare.pre_hooks;
    if (!dict) dict = need(PyDict_New()).take();
    return Ref::borrow(dict).take();
  });
}

PyObject* add_hook(PyObject* object, PyObject* hook, bool post) {
  return python_call([&] {
    Ref dict = need(hooks_of(object, post)), module = need(PyImport_ImportModule("atled.core._hooks"));
    return need(PyObject_CallMethod(module.get(), "RemovableHandle", "OO", dict.get(), hook)).take();
  });
}
PyObject* register_hook(PyObject* object, PyObject* hook) { return add_hook(object, hook, true); }
PyObject* register_prehook(PyObject* object, PyObject* hook) { return add_hook(object, hook, false); }

constexpr char hook_doc[] =
    "Calls hook(grad_inputs, grad_outputs), two tuples, whenever this node has run; a tuple that it answers takes the "
    "place of\ngrad_inputs, the gradients that go on to next_functions. Answers a handle with remove().";
constexpr char prehook_doc[] =
    "Calls hook(grad_outputs), a tuple, before this node runs; a tuple that it answers takes its place. Answers a "
    "handle with\nremove().";

PyObject* where(PyObject* object, void*) {
  return python_call([&] {
    const std::string text = site_text(node_of(object)->site);
    return text.empty() ? Ref::borrow(Py_None).take() : need(PyUnicode_FromString(text.c_str())).take();
  });
}

PyMethodDef methods[] = {{"register_hook", register_hook, METH_O, hook_doc},
                         {"register_prehook", register_prehook, METH_O, prehook_doc},
                         {"name", call_name, METH_NOARGS, "The op's or Function's name, as in MulBackward."},
                         {nullptr, nullptr, 0, nullptr}};

PyGetSetDef getset[] = {
    {"next_functions", next_functions, nullptr, "(Node or None, output number) of each input.", nullptr},
    {"variable", variable, nullptr, "The leaf that an AccumulateGrad node belongs to, else None.", nullptr},
    {"sequence_number", sequence_number, nullptr, "Above those of all nodes that this one leads to.", nullptr},
    {"op", node_op, nullptr, "The op's qualified name, as in core::mul; None for what is no call of an op.", nullptr},
    {"where", where, nullptr, "The file and line that made the call, as in train.py:12; None when it is not known.",
     nullptr},
    {"metadata", node_metadata, nullptr,
     "A dict for whatever you like to note of this node; it lives as long as the node.", nullptr},
    {"nbytes", byte_count, nullptr, "Bytes of the node itself, without the tensors it saves.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

const char class_doc[] =
    "A recorded call: the history of its results.\n\n"
    ">>> import atled.core as at\n"
    ">>> x = at.tensor(2.0, requires_grad=True)\n"
    ">>> node = (x * x).exp().grad_fn\n"
    ">>> node.name(), node.op, [before.name() for before, output in node.next_functions]\n"
    "('ExpBackward', 'core::exp', ['MulBackward'])";

PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
                       {Py_tp_repr, reinterpret_cast<void*>(node_repr)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, getset},
                       {Py_tp_doc, const_cast<char*>(class_doc)},
                       {0, nullptr}};

PyType_Spec spec = {"atled.autograd.Node", sizeof(NodeObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

}  // namespace

Ref wrap_node(Node* node) {
  if (!node) return Ref::borrow(Py_None);
  PyObject*& wrapper = node->more().wrapper;
  if (wrapper) return Ref::borrow(wrapper);
  NodeObject* object = PyObject_New(NodeObject, node_type);
  if (!object) throw_python();
  retain(node);
  object->node = node;
  wrapper = reinterpret_cast<PyObject*>(object);
  return Ref(wrapper);
}

Node* node_from(PyObject* object) {
  if (Py_TYPE(object) != node_type) fail(ATLED_E_ARGUMENT, "expected a Node, got %s", type_name(object).c_str());
  return node_of(object);
}

bool init_node_type(PyObject* module) {
  node_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return node_type && PyModule_AddObjectRef(module, "Node", reinterpret_cast<PyObject*>(node_type)) == 0;
}

}  // namespace atled::autograd
