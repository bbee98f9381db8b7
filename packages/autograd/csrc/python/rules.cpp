// Rules as Python sees them: where the tape finds them, and what became of them.
#include "python/python.h"
#include "rule.h"

namespace atled::autograd {

namespace {

// connect(lookup, trace): the functions that are asked for rules and for programs.
PyObject* connect_python(PyObject*, PyObject* args) {
  PyObject *lookup = nullptr, *trace = nullptr;
  if (!PyArg_ParseTuple(args, "OO:connect", &lookup, &trace)) return nullptr;
  set_lookup(lookup);
  set_trace(trace);
  Py_RETURN_NONE;
}

const atled_op* op_named(PyObject* object) {
  const char* name = PyUnicode_AsUTF8AndSize(object, nullptr);
  if (!name) throw_python();
  const atled_op* op = nullptr;
  check(api.find_op(name, &op));
  return op;
}

// forget("ns::op"): its rule has changed.
PyObject* forget(PyObject*, PyObject* name) {
  return python_call([&] {
    forget_rule(op_named(name));
    return Ref::borrow(Py_None).take();
  });
}

// check("ns::op"): builds the rule, so that what is wrong with it shows now.
PyObject* check_rule(PyObject*, PyObject* name) {
  return python_call([&] {
    rule_of(op_named(name));
    return Ref::borrow(Py_None).take();
  });
}

// programs("ns::op"): [(targets, mode, programs, why)] of each function
PyObject* programs(PyObject*, PyObject* name) {
  return python_call([&] {
    const Rule& rule = rule_of(op_named(name));
    Ref list = need(PyList_New(0));
    const char* modes[] = {"untried", "symbolic", "special", "python"};
    for (const Function& function : rule.functions) {
      Ref targets = need(PyList_New(0));
      for (uint16_t target : function.targets) {
        Ref text = need(PyUnicode_FromString(rule.op->args[rule.inputs[target].argument].name));
        if (PyList_Append(targets.get(), text.get()) < 0) throw_python();
      }
      Ref row = need(Py_BuildValue("(Osns)", targets.get(), modes[static_cast<int>(function.mode)],
                                   static_cast<Py_ssize_t>(function.programs.size()), function.why.c_str()));
      if (PyList_Append(list.get(), row.get()) < 0) throw_python();
    }
    return list.take();
  });
}

// signature("ns::op"): ([(name, type, has default)], [(result name)], traits)
PyObject* signature(PyObject*, PyObject* name) {
  return python_call([&] {
    const atled_op* op = op_named(name);
    Ref args = need(PyList_New(0)), results = need(PyList_New(0));
    for (int i = 0; i < op->nargs; ++i) {
      const atled_arg& arg = op->args[i];
      Ref row = need(Py_BuildValue("(ssi)", arg.name, arg.type, (arg.flags & ATLED_ARG_DEFAULT) != 0));
      if (PyList_Append(args.get(), row.get()) < 0) throw_python();
    }
    for (int i = 0; i < op->nouts; ++i) {
      Ref text = need(PyUnicode_FromString(op->out_names[i]));
      if (PyList_Append(results.get(), text.get()) < 0) throw_python();
    }
    return Py_BuildValue("(OOI)", args.get(), results.get(), op->traits);
  });
}

// ops(): the qualified names of all that are registered, without the composite ones, which record their inner calls.
PyObject* ops(PyObject*, PyObject*) {
  return python_call([&] {
    uint32_t count = 0;
    check(op_group->count(&count));
    Ref list = need(PyList_New(0));
    for (uint32_t id = 0; id < count; ++id) {
      const atled_op* op = nullptr;
      check(op_group->at(id, &op));
      if (op->traits & ATLED_OP_COMPOSITE) continue;
      Ref name = need(PyUnicode_FromFormat("%s::%s", op->ns, op->name));
      if (PyList_Append(list.get(), name.get()) < 0) throw_python();
    }
    return list.take();
  });
}

PyObject* put_tracing(PyObject*, PyObject* on) { return PyBool_FromLong(set_tracing(PyObject_IsTrue(on) == 1)); }

}  // namespace

PyMethodDef rule_methods[] = {{"connect", connect_python, METH_VARARGS, nullptr},
                              {"forget", forget, METH_O, nullptr},
                              {"check", check_rule, METH_O, nullptr},
                              {"programs", programs, METH_O, nullptr},
                              {"signature", signature, METH_O, nullptr},
                              {"ops", ops, METH_NOARGS, nullptr},
                              {"set_tracing", put_tracing, METH_O, nullptr},
                              {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
