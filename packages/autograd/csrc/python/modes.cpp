// Modes as Python sees them: hooks for saved tensors, anomaly mode, inference mode, and what a run knows of itself.
#include "modes.h"

#include "engine.h"
#include "mutation.h"
#include "python/python.h"
#include "site.h"

namespace atled::autograd {

Node* node_from(PyObject* object);

namespace {

PyObject* none_after(void (*work)()) {
  return python_call([&] {
    work();
    return Ref::borrow(Py_None).take();
  });
}

PyObject* push(PyObject*, PyObject* args) {
  return python_call([&] {
    PyObject *pack = nullptr, *unpack = nullptr;
    if (!PyArg_ParseTuple(args, "OO:push_hooks", &pack, &unpack)) throw_python();
    push_hooks(pack, unpack);
    return Ref::borrow(Py_None).take();
  });
}
PyObject* pop(PyObject*, PyObject*) { return none_after(pop_hooks); }

PyObject* disable(PyObject*, PyObject* message) {
  return python_call([&] { return disable_hooks(message); });
}

PyObject* watch(PyObject*, PyObject* function) {
  return python_call([&] { return watch_mutation(function); });
}

PyObject* put_anomaly(PyObject*, PyObject* args) {
  return python_call([&] {
    int on = 0, check_nan = 0;
    if (!PyArg_ParseTuple(args, "pp:set_anomaly", &on, &check_nan)) throw_python();
    set_anomaly(on != 0, check_nan != 0);
    return Ref::borrow(Py_None).take();
  });
}

PyObject* anomaly(PyObject*, PyObject*) {
  return python_call(
      [] { return need(Py_BuildValue("(NN)", PyBool_FromLong(anomaly_on()), PyBool_FromLong(checks_nan()))).take(); });
}

PyObject* increment(PyObject*, PyObject* object) {
  return python_call([&] {
    static atled_op op{};
    op.name = "increment_version";
    check(api.bump_version(tensor_of(object), &op));
    return Ref::borrow(Py_None).take();
  });
}

PyObject* put_leaf_layout(PyObject*, PyObject* object) {
  return python_call([&] { return PyBool_FromLong(keep_leaf_layout(PyObject_IsTrue(object) == 1)); });
}

PyObject* run_number(PyObject*, PyObject*) { return PyLong_FromUnsignedLongLong(current_run()); }

// will_run(dicts of hooks): whether this thread's run comes to the tensor of each
PyObject* will_run_hooks(PyObject*, PyObject* dicts) {
  return python_call([&] {
    std::vector<PyObject*> hooks;
    for (Py_ssize_t i = 0, n = PySequence_Size(dicts); i < n; ++i)
      hooks.push_back(need(PySequence_GetItem(dicts, i)).get());  // the sequence goes on holding it
    Ref list = need(PyList_New(0));
    for (const bool one : will_run(hooks))
      if (PyList_Append(list.get(), one ? Py_True : Py_False) < 0) throw_python();
    return list.take();
  });
}

// origin(tensor or Node): how it was made, and where
PyObject* origin(PyObject*, PyObject* object) {
  return python_call([&] {
    atled_tensor* t = tensor_or_null(object);
    const Node* node = t ? nullptr : node_from(object);
    const std::string text = t            ? origin_text(t)
                             : node->leaf ? origin_text(node->leaf)
                                          : "the result of " + call_text(node);
    return PyUnicode_FromString(text.c_str());
  });
}

// "train.py:12" of the user's call that is going on
PyObject* call_site(PyObject*, PyObject*) {
  return python_call([] {
    Site site = here();
    const std::string text = site_text(site);
    drop_site(site);
    return PyUnicode_FromString(text.c_str());
  });
}

}  // namespace

PyMethodDef mode_methods[] = {{"push_hooks", push, METH_VARARGS, nullptr},
                              {"pop_hooks", pop, METH_NOARGS, nullptr},
                              {"disable_hooks", disable, METH_O, nullptr},
                              {"watch_mutation", watch, METH_O, nullptr},
                              {"set_anomaly", put_anomaly, METH_VARARGS, nullptr},
                              {"anomaly", anomaly, METH_NOARGS, nullptr},
                              {"increment_version", increment, METH_O, nullptr},
                              {"keep_leaf_layout", put_leaf_layout, METH_O, nullptr},
                              {"current_run", run_number, METH_NOARGS, nullptr},
                              {"will_run", will_run_hooks, METH_O, nullptr},
                              {"origin", origin, METH_O, nullptr},
                              {"call_site", call_site, METH_NOARGS, nullptr},
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
