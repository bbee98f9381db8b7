// Running a rule's function for one node: gathers its parameters, chooses program or Python, hands the results to the
// edges.
#include <cstring>
#include <forward_list>

#include "engine.h"
#include "modes.h"
#include "python/python.h"
#include "record.h"
#include "rule.h"

namespace atled::autograd {

namespace {

bool leads_to(atled_tensor* t, const Edge& edge) {
  const Meta* meta = meta_of(t);
  if (!meta || !requires_grad(t)) return false;
  return meta->node ? meta->node == edge.node && meta->output == edge.output : meta->accumulator == edge.node;
}

// A saved tensor as recorded calls must see it; `edge` is where its gradient goes, if anywhere.
Tensor with_history(atled_tensor* t, const Edge* edge) {
  if (!edge || !edge->node || leads_to(t, *edge)) return Tensor::borrow(t);
  if (edge->node->leaf) return Tensor::borrow(edge->node->leaf);
  Tensor stand_in = alias(t);
  lend_history(stand_in, edge->node, edge->output);
  return stand_in;
}

// The values of a function's parameters, and what has to live as long.
class Parameters {
 public:
  Parameters(Node* node, const Function& function, const Buffer* gradients, bool record, bool shared)
      : node_(node), gradients_(gradients), record_(record), shared_(shared) {
    for (size_t i = 0; i < function.params.size(); ++i) values[i] = get(function.params[i]);
  }
  atled_value values[kMaxParameters];

 private:
  atled_value get(const ParamSpec& param) {
    switch (param.what) {
      case Param::kGradient:
        return value(gradient(param.index));
      case Param::kGradients: {
        atled_tensor** all = list(node_->output_count);
        for (uint32_t i = 0; i < node_->output_count; ++i) all[i] = gradient(i);
        return tensors_value(all, node_->output_count);
      }
      case Param::kNeeds:
        return none();
      case Param::kSaved:
        break;
    }
    return saved(param.index);
  }

  atled_tensor* gradient(uint32_t i) {
    if (gradients_[i].tensor) return gradients_[i].tensor;
    return keep(zeros(node_->outputs()[i]));
  }

  atled_value saved(uint32_t i) {
    const atled_value& v = node_->saved()[i].value;
    if (v.tag != ATLED_TENSOR && v.tag != ATLED_TENSORS) return v;
    if (node_->state.load(std::memory_order_relaxed) & kFreed) refuse_freed(node_);
    const SaveSpec& spec = node_->rule->saves[i];
    if (v.tag == ATLED_TENSOR) {
      if (!v.u.tensor) return value(keep(unpacked(node_->saved()[i].version, spec, 0)));
      check_version(v.u.tensor, node_->saved()[i].version, node_);
      return record_ || shared_ ? value(keep(history_of(v.u.tensor, spec, 0))) : v;
    }
    const int64_t* versions = reinterpret_cast<const int64_t*>(v.u.tensors + v.n);
    atled_tensor** all = list(v.n);
    for (uint32_t k = 0; k < v.n; ++k) {
      all[k] = v.u.tensors[k];
      if (!all[k]) {
        if (node_->rare && !node_->rare->packed.empty() && versions[k])
          all[k] = keep(unpacked(static_cast<uint64_t>(versions[k]), spec, k));
        continue;
      }
      check_version(all[k], static_cast<uint64_t>(versions[k]), node_);
      if (record_ || shared_) all[k] = keep(history_of(all[k], spec, k));
    }
    return tensors_value(all, v.n);
  }

  // Entry k of a saved value: where its history is.
  int64_t origin(const atled_tensor* t, const SaveSpec& spec, uint32_t k) const {
    const bool differentiable = is_floating(t->dtype) || is_complex(t->dtype);
    if (spec.what == Save::kOutput) return differentiable ? from_output(spec.index) : kPlain;
    const int input = node_->rule->input_of_argument[spec.index];
    return input < 0 ? kPlain : int64_t{edges_of(node_, static_cast<uint32_t>(input)).first} + k;
  }

  Tensor history_of(atled_tensor* t, const SaveSpec& spec, uint32_t k) {
    return seen_by_recording(t, node_, origin(t, spec, k));
  }

  Tensor unpacked(uint64_t place, const SaveSpec& spec, uint32_t k) {
    Tensor t = unpack_saved(node_, place);
    const int64_t from = origin(t, spec, k);
    return unpacked_for_recording(std::move(t), node_, from);
  }

  atled_tensor* keep(Tensor t) {
    kept_.push_back(std::move(t));
    return kept_.back();
  }
  atled_tensor** list(size_t n) {
    lists_.emplace_front(n);
    return lists_.front().data();
  }

  Node* node_;
  const Buffer* gradients_;
  bool record_, shared_;
  std::vector<Tensor> kept_;
  std::forward_list<std::vector<atled_tensor*>> lists_;
};

// (2, 3) from the numbers 2, 3, or ((2,), (3, 1)) from 1, 2, 2, 3, 1.
Ref shape_tuple(const atled_value& v, bool of_list) {
  if (!of_list) return to_python(v);
  Ref list = need(PyList_New(0));
  for (uint32_t i = 0; i < v.n; i += static_cast<uint32_t>(v.u.ints[i]) + 1) {
    Ref shape = to_python(ints_value(v.u.ints + i + 1, static_cast<size_t>(v.u.ints[i])));
    if (PyList_Append(list.get(), shape.get()) < 0) throw_python();
  }
  return need(PyList_AsTuple(list.get()));
}

void take_answer(Answer& answer, PyObject* object, const Node* node) {
  if (object == Py_None) return;
  if (PyTuple_Check(object) || PyList_Check(object)) {
    std::vector<atled_tensor*> tensors;
    const Py_ssize_t n = PySequence_Size(object);
    for (Py_ssize_t i = 0; i < n; ++i) {
      Ref entry = need(PySequence_GetItem(object, i));
      tensors.push_back(entry.get() == Py_None ? nullptr : tensor_of(entry.get()));
    }
    answer.value = copy_list(tensors_value(tensors.data(), tensors.size()));
    return;
  }
  atled_tensor* t = tensor_or_null(object);
  if (!t)
    fail(ATLED_E_AUTOGRAD, "%s: expected its gradient rule to answer a Tensor or None, got %s", node->name,
         type_name(object).c_str());
  api.retain(t);
  answer.value = value(t);
}

void call_python(const Node* node, const Function& function, const atled_value* values, uint64_t needed,
                 Answer* answers) {
  Gil gil;
  const size_t n = function.params.size();
  Ref args = need(PyTuple_New(static_cast<Py_ssize_t>(n)));
  for (size_t i = 0; i < n; ++i) {
    Ref object = python_parameter(node, function, i, values[i], needed);
    PyTuple_SetItem(args.get(), static_cast<Py_ssize_t>(i), object.take());
  }
  Ref result = need(PyObject_CallObject(function.callable, args.get()));
  if (!function.joint) return take_answer(answers[0], result.get(), node);
  const size_t count = function.targets.size();
  if (!PyTuple_Check(result.get()) || static_cast<size_t>(PyTuple_Size(result.get())) != count)
    fail(ATLED_E_AUTOGRAD, "%s: expected its joint gradient rule to answer a tuple of %zu gradients", node->name,
         count);
  for (size_t i = 0; i < count; ++i)
    take_answer(answers[i], PyTuple_GetItem(result.get(), static_cast<Py_ssize_t>(i)), node);
}

struct Answers {
  Answer list[kMaxTargets];
  ~Answers() {
    for (Answer& answer : list)
      if (answer.value.tag == ATLED_TENSOR || answer.value.tag == ATLED_TENSORS) api.values_release(&answer.value, 1);
  }
};

// Moves an answer to the edges of its input; those that need no gradient drop theirs.
void hand_out(const Node* node, uint32_t input, Answer& answer, Buffer* edge_results) {
  const EdgeRange range = edges_of(node, input);
  if (answer.value.tag == ATLED_NONE) return;
  if (!node->rule->inputs[input].list) {
    if (answer.value.tag != ATLED_TENSOR)
      fail(ATLED_E_AUTOGRAD, "%s: expected one gradient for %s, got a list", node->name,
           node->rule->op->args[node->rule->inputs[input].argument].name);
    edge_results[range.first] = {answer.value.u.tensor, answer.fresh};
    answer.value = none();
    return;
  }
  if (answer.value.tag != ATLED_TENSORS || answer.value.n != range.count)
    fail(ATLED_E_AUTOGRAD, "%s: expected a list of %u gradients for %s", node->name, range.count,
         node->rule->op->args[node->rule->inputs[input].argument].name);
  for (uint32_t k = 0; k < range.count; ++k) {
    if (node->edges()[range.first + k].node)
      edge_results[range.first + k] = {std::exchange(answer.value.u.tensors[k], nullptr), false};
  }
}

}  // namespace

Tensor seen_by_recording(atled_tensor* t, Node* node, int64_t origin) {
  if (!recording() || origin == kPlain) return Tensor::borrow(t);
  if (origin >= 0) return with_history(t, &node->edges()[origin]);
  Tensor stand_in = alias(t);
  lend_history(stand_in, node, static_cast<uint32_t>(-2 - origin));
  return stand_in;
}

Tensor unpacked_for_recording(Tensor t, Node* node, int64_t origin) {
  if (!recording() || origin == kPlain) return t;
  const Edge edge = origin >= 0 ? node->edges()[origin] : Edge{node, static_cast<uint32_t>(-2 - origin)};
  if (!edge.node) return t;
  Tensor stand_in = alias(t);
  lend_history(stand_in, edge.node, edge.output);
  return stand_in;
}

Ref python_parameter(const Node* node, const Function& function, size_t i, const atled_value& v, uint64_t needed) {
  const ParamSpec& param = function.params[i];
  if (param.what == Param::kNeeds) {
    Ref tuple = need(PyTuple_New(static_cast<Py_ssize_t>(function.targets.size())));
    for (size_t k = 0; k < function.targets.size(); ++k)
      PyTuple_SetItem(tuple.get(), static_cast<Py_ssize_t>(k),
                      PyBool_FromLong(static_cast<long>(needed >> function.targets[k] & 1)));
    return tuple;
  }
  if (param.what == Param::kSaved && node->rule->saves[param.index].what == Save::kShape) {
    const atled_arg& arg = node->rule->op->args[node->rule->saves[param.index].index];
    return shape_tuple(v, arg.tag == ATLED_TENSORS && v.tag == ATLED_INTS);
  }
  return to_python(v);
}

void run_function(Node* node, const Function& function, const Buffer* gradients, uint64_t needed, Buffer* edge_results,
                  bool shared, bool as_saved) {
  Parameters parameters(node, function, gradients, recording() && !as_saved, shared);
  Answers answers;
  if (const Program* program = program_for(node, function, parameters.values, needed)) {
    atled_value few[64];
    std::vector<atled_value> many;
    atled_value* registers = few;
    if (program->registers > 64) {
      many.resize(program->registers);
      registers = many.data();
    }
    memcpy(registers, parameters.values, program->parameters * sizeof(atled_value));
    for (uint32_t i = program->parameters; i < program->registers; ++i) registers[i] = none();
    run_program(*program, registers, answers.list);
  } else {
    call_python(node, function, parameters.values, needed, answers.list);
  }
  for (size_t i = 0; i < function.targets.size(); ++i)
    if (needed >> function.targets[i] & 1) hand_out(node, function.targets[i], answers.list[i], edge_results);
}

}  // namespace atled::autograd
