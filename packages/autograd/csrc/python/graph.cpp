// What atled.autograd.graph is made of: edges, what nodes saved, traced programs, and a log of the calls that run.
#include <unordered_map>

#include "python/python.h"
#include "rule.h"

namespace atled::autograd {

Node* node_from(PyObject* object);

namespace {

// Below autograd: sees what the tape and the rules call.
constexpr uint32_t kLogLevel = 8;
constexpr uint64_t kLogKey = uint64_t{1} << kLogLevel;

std::unordered_map<const Node*, PyObject*> metadata;  // under the GIL
thread_local PyObject* call_log = nullptr;            // a list while log_calls runs

std::string qualified(const atled_op* op) { return std::string(op->ns) + "::" + op->name; }

Ref text(const std::string& s) {
  return need(PyUnicode_FromStringAndSize(s.data(), static_cast<Py_ssize_t>(s.size())));
}

void append(const Ref& list, const Ref& item) {
  if (PyList_Append(list.get(), item.get()) < 0) throw_python();
}

// edge(tensor) -> (Node, output number)
PyObject* edge(PyObject*, PyObject* object) {
  return python_call([&] {
    atled_tensor* t = tensor_of(object);
    if (!requires_grad(t))
      fail(ATLED_E_AUTOGRAD, "get_gradient_edge: expected a tensor that requires grad, got one that does not");
    const Edge found = gradient_edge(t);
    NodeRef node(found.node);
    return need(Py_BuildValue("(OI)", wrap_node(node.get()).get(), found.output)).take();
  });
}

std::string saved_name(const Rule& rule, const SaveSpec& spec) {
  const atled_op* op = rule.op;
  switch (spec.what) {
    case Save::kOutput:
      return op->out_names[spec.index][0] ? op->out_names[spec.index] : "out";
    case Save::kShape:
      return std::string(op->args[spec.index].name) + "_shape";
    case Save::kDtype:
      return std::string(op->args[spec.index].name) + "_dtype";
    case Save::kDevice:
      return std::string(op->args[spec.index].name) + "_device";
    case Save::kArgument:
      break;
  }
  return op->args[spec.index].name;
}

// Which of a node's values its call had to save.
uint64_t kept_saves(const Node* node) {
  uint64_t kept = 0;
  for (uint32_t i = 0; i < node->rule->inputs.size(); ++i) {
    const EdgeRange range = edges_of(node, i);
    bool wanted = false;
    for (uint32_t k = range.first; k < range.first + range.count; ++k) wanted = wanted || node->edges()[k].node;
    const int function = node->rule->inputs[i].function;
    if (wanted && function >= 0) kept |= node->rule->functions[static_cast<size_t>(function)].saves;
  }
  return kept;
}

// saved(node) -> [(kind, name, value)]: kind is "argument", "shape", "dtype", "device" or "output"
PyObject* saved(PyObject*, PyObject* object) {
  return python_call([&] {
    const Node* node = node_from(object);
    const char* kinds[] = {"argument", "shape", "dtype", "device", "output"};
    const bool freed = node->state.load() & kFreed;
    const uint64_t kept = node->kind == Kind::kRule ? kept_saves(node) : ~uint64_t{0};
    Ref list = need(PyList_New(0));
    for (uint16_t i = 0; i < node->saved_count; ++i) {
      if (i < 64 && !(kept >> i & 1)) continue;
      const atled_value& v = node->saved()[i].value;
      const bool tensors = v.tag == ATLED_TENSOR || v.tag == ATLED_TENSORS;
      if (freed && tensors) continue;
      // What a hook has packed is shown as it is.
      const bool packed = v.tag == ATLED_TENSOR && !v.u.tensor;
      Ref value = packed ? Ref::borrow(node->rare->packed[node->saved()[i].version - 1].object) : to_python(v);
      const char* kind = "argument";
      Ref name = text(std::to_string(i));
      if (node->kind == Kind::kRule) {
        kind = kinds[static_cast<int>(node->rule->saves[i].what)];
        name = text(saved_name(*node->rule, node->rule->saves[i]));
      }
      append(list, need(Py_BuildValue("(sOO)", kind, name.get(), value.get())));
    }
    return list.take();
  });
}

PyObject* is_freed(PyObject*, PyObject* object) {
  return python_call([&] { return PyBool_FromLong(node_from(object)->state.load() & kFreed); });
}

// outputs(node) -> [(shape, dtype, device) or None for what is no tensor]
PyObject* outputs(PyObject*, PyObject* object) {
  return python_call([&] {
    const Node* node = node_from(object);
    Ref list = need(PyList_New(0));
    for (uint32_t i = 0; i < node->output_count; ++i) {
      const Output& out = node->outputs()[i];
      if (!out.shape && out.ndim == 0 && node->kind == Kind::kFunction) {
        append(list, Ref::borrow(Py_None));
        continue;
      }
      Ref shape = to_python(ints_value(out.shape, static_cast<size_t>(out.ndim))),
          dtype = to_python(dtype_value(out.dtype)), device = to_python(device_value(out.device));
      append(list, need(PyTuple_Pack(3, shape.get(), dtype.get(), device.get())));
    }
    return list.take();
  });
}

// edge_names(node) -> [(argument, place in its list or -1)] of each edge
PyObject* edge_names(PyObject*, PyObject* object) {
  return python_call([&] {
    const Node* node = node_from(object);
    Ref list = need(PyList_New(0));
    if (node->kind != Kind::kRule) {
      for (uint32_t i = 0; i < node->edge_count; ++i)
        append(list, need(Py_BuildValue("(si)", std::to_string(i).c_str(), -1)));
      return list.take();
    }
    const Rule& rule = *node->rule;
    for (uint32_t i = 0; i < rule.inputs.size(); ++i) {
      const char* name = rule.op->args[rule.inputs[i].argument].name;
      for (uint32_t k = 0; k < edges_of(node, i).count; ++k)
        append(list, need(Py_BuildValue("(si)", name, rule.inputs[i].list ? static_cast<int>(k) : -1)));
    }
    return list.take();
  });
}

// storage_key(tensor) -> a number that all views of its memory share
PyObject* storage_key(PyObject*, PyObject* object) {
  return python_call([&] { return PyLong_FromVoidPtr(tensor_of(object)->version); });
}

// ---- programs ----

Ref operand_row(const Operand& operand) {
  switch (operand.what) {
    case Operand::What::kRegister:
      return need(Py_BuildValue("(sI)", "r", operand.index));
    case Operand::What::kElement:
      return need(Py_BuildValue("(sII)", "e", operand.index, operand.element));
    case Operand::What::kConstant:
      break;
    case Operand::What::kList: {
      Ref list = need(PyList_New(0));
      for (const Operand& entry : operand.entries) append(list, operand_row(entry));
      return need(Py_BuildValue("(sO)", "l", list.get()));
    }
  }
  return need(Py_BuildValue("(sO)", "c", to_python(operand.constant).get()));
}

Ref operand_rows(const std::vector<Operand>& operands) {
  Ref list = need(PyList_New(0));
  for (const Operand& operand : operands) append(list, operand_row(operand));
  return list;
}

Ref program_row(const Program& program) {
  Ref list = need(PyList_New(0));
  for (const Instruction& instruction : program.instructions) {
    std::string op = instruction.op ? qualified(instruction.op) : "";
    if (instruction.what == Instruction::What::kConjugate) op = "conjugate";
    if (instruction.what == Instruction::What::kScale) op = "scale";
    const int count = instruction.op ? instruction.op->nouts : 1;
    Ref operands = operand_rows(instruction.operands);
    append(list, need(Py_BuildValue("(sOIi)", op.c_str(), operands.get(), instruction.result, count)));
  }
  return need(Py_BuildValue("(OO)", list.get(), operand_rows(program.results).get()));
}

std::string parameter_name(const Rule& rule, const ParamSpec& param) {
  switch (param.what) {
    case Param::kGradients:
      return "gs";
    case Param::kNeeds:
      return "needs";
    case Param::kSaved:
      return saved_name(rule, rule.saves[param.index]);
    case Param::kGradient:
      break;
  }
  return rule.op->out_names[param.index][0] ? std::string("g_") + rule.op->out_names[param.index] : "g";
}

// program_rows("ns::op") -> [(targets, parameters, mode, why, [(instructions, results)])] of each function
PyObject* program_rows(PyObject*, PyObject* name) {
  return python_call([&] {
    const char* chars = PyUnicode_AsUTF8AndSize(name, nullptr);
    if (!chars) throw_python();
    const atled_op* op = nullptr;
    check(api.find_op(chars, &op));
    const Rule& rule = rule_of(op);
    const char* modes[] = {"untried", "symbolic", "special", "python"};
    Ref list = need(PyList_New(0));
    for (const Function& function : rule.functions) {
      Ref targets = need(PyList_New(0)), parameters = need(PyList_New(0)), programs = need(PyList_New(0));
      for (uint16_t target : function.targets) append(targets, text(rule.op->args[rule.inputs[target].argument].name));
      for (const ParamSpec& param : function.params) append(parameters, text(parameter_name(rule, param)));
      for (const auto& entry : function.programs) append(programs, program_row(*entry.second));
      append(list, need(Py_BuildValue("(OOssO)", targets.get(), parameters.get(),
                                      modes[static_cast<int>(function.mode)], function.why.c_str(), programs.get())));
    }
    return list.take();
  });
}

// ---- the log ----

Ref values(const atled_value* list, int n) {
  Ref tuple = need(PyTuple_New(n));
  for (int i = 0; i < n; ++i) PyTuple_SetItem(tuple.get(), i, to_python(list[i]).take());
  return tuple;
}

int on_logged_call(void*, atled_frame* frame) noexcept {
  return guard([&] {
    if (!call_log) return check(api.redispatch(frame));
    Ref log = Ref::borrow(call_log), args;
    {
      Gil gil;
      args = values(frame->args, frame->op->nargs);
    }
    const int status = api.redispatch(frame);
    Gil gil;
    Ref kept = std::move(args);  // let go of under the GIL, whatever happened
    Ref list = std::move(log);
    check(status);
    Ref outs = values(frame->outs, frame->op->nouts);
    append(list, need(Py_BuildValue("(sOOi)", qualified(frame->op).c_str(), kept.get(), outs.get(),
                                    frame->flags & ATLED_CALL_INPLACE ? 1 : 0)));
  });
}

// log_calls(function) -> (what it answers, [(op, arguments, results, whether in place)] of the calls it made)
PyObject* log_calls(PyObject*, PyObject* function) {
  return python_call([&] {
    static const bool added = [] {
      add_layer("autograd log", kLogLevel, on_logged_call);
      return true;
    }();
    (void)added;
    Ref log = need(PyList_New(0));
    uint64_t old = 0;
    PyObject* outer = std::exchange(call_log, log.get());
    check(layer_group->include(kLogKey, 0, &old));
    Ref answer(PyObject_CallObject(function, nullptr));
    call_log = outer;
    if (!(old & kLogKey)) check(layer_group->include(0, kLogKey, nullptr));
    if (!answer) throw_python();
    return need(PyTuple_Pack(2, answer.get(), log.get())).take();
  });
}

}  // namespace

PyObject* node_metadata(PyObject* object, void*) {
  return python_call([&] {
    Node* node = node_from(object);
    PyObject*& dict = metadata[node];
    if (!dict) {
      dict = PyDict_New();
      if (!dict) throw_python();
      node->state.fetch_or(kHasMetadata);
    }
    return Ref::borrow(dict).take();
  });
}

PyObject* node_op(PyObject* object, void*) {
  return python_call([&] {
    const Node* node = node_from(object);
    return node->kind == Kind::kRule ? text(qualified(node->rule->op)).take() : Ref::borrow(Py_None).take();
  });
}

void drop_metadata(const Node* node) noexcept {
  if (!Py_IsInitialized()) return;
  Gil gil;
  auto found = metadata.find(node);
  if (found == metadata.end()) return;
  PyObject* dict = found->second;
  metadata.erase(found);
  Py_DECREF(dict);
}

PyMethodDef graph_methods[] = {{"edge", edge, METH_O, nullptr},
                               {"saved", saved, METH_O, nullptr},
                               {"is_freed", is_freed, METH_O, nullptr},
                               {"outputs", outputs, METH_O, nullptr},
                               {"edge_names", edge_names, METH_O, nullptr},
                               {"storage_key", storage_key, METH_O, nullptr},
                               {"program_rows", program_rows, METH_O, nullptr},
                               {"log_calls", log_calls, METH_O, nullptr},
                               {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
