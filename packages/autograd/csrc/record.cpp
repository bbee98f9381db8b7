#include "record.h"

#include <algorithm>
#include <cstring>

#include "modes.h"
#include "rule.h"
#include "site.h"
#include "transform.h"
#include "view.h"

namespace atled::autograd {

namespace {

constexpr uint32_t kMaxArguments = 32;

bool differentiable(const atled_tensor* t) { return is_floating(t->dtype) || is_complex(t->dtype); }

bool carries_gradient(const Rule& rule, const atled_tensor* t, uint32_t output) {
  return differentiable(t) && !(output < 64 && rule.constant_outputs >> output & 1);
}

bool needs_gradient(const atled_value& v) {
  if (v.tag == ATLED_TENSOR) return requires_grad(v.u.tensor);
  bool needs = false;
  each_tensor(v, [&](atled_tensor* t) { needs = needs || requires_grad(t); });
  return needs;
}

// Bit i: Rule::inputs[i] needs a gradient.
uint64_t needed_inputs(const Rule& rule, const atled_frame* frame) {
  uint64_t needed = 0;
  for (int a = 0; a < rule.op->nargs; ++a) {
    if (!needs_gradient(frame->args[a])) continue;
    const int input = rule.input_of_argument[a];
    if (input < 0)
      fail(ATLED_E_AUTOGRAD,
           "%s: its gradient rule has no function for %s, which requires grad; add one (or %s=None when it has no "
           "gradient)",
           rule.op->name, rule.op->args[a].name, rule.op->args[a].name);
    if (rule.inputs[input].function >= 0 || rule.mark == Rule::Mark::kNotImplemented) needed |= uint64_t{1} << input;
  }
  return needed;
}

uint64_t needed_saves(const Rule& rule, uint64_t inputs) {
  uint64_t saves = 0;
  for (; inputs; inputs &= inputs - 1) {
    const int function = rule.inputs[__builtin_ctzll(inputs)].function;
    if (function >= 0) saves |= rule.functions[static_cast<size_t>(function)].saves;
  }
  return saves;
}

size_t words_for(const SaveSpec& spec, const atled_value& v) {
  if (spec.what == Save::kShape) {
    size_t words = 0;
    each_tensor(v, [&](atled_tensor* t) { words += static_cast<size_t>(t->dl.ndim) + 1; });
    return words;
  }
  switch (v.tag) {
    case ATLED_TENSORS:
      return 2 * size_t{v.n};
    case ATLED_INTS:
    case ATLED_FLOATS:
      return v.n;
    case ATLED_COMPLEX_VALUE:
      return 2;
    case ATLED_STRING:
      return v.n / 8 + 1;
    default:
      return 0;
  }
}

// Copies v into the node; lists go to `words`, and the words behind them are the answer.
int64_t* save_argument(Saved& saved, const atled_value& v, int64_t* words, const char* op) {
  atled_value& to = saved.value;
  switch (v.tag) {
    case ATLED_TENSOR:
      save_tensor(saved, v.u.tensor, op);
      return words;
    case ATLED_TENSORS: {
      atled_tensor** tensors = reinterpret_cast<atled_tensor**>(words);
      for (uint32_t i = 0; i < v.n; ++i) {
        tensors[i] = v.u.tensors[i];
        if (!tensors[i]) continue;
        Saved one{none(), 0};
        save_tensor(one, tensors[i], op);
        words[v.n + i] = static_cast<int64_t>(one.version);
      }
      to = tensors_value(tensors, v.n);
      return words + 2 * v.n;
    }
    case ATLED_INTS:
    case ATLED_FLOATS:
    case ATLED_COMPLEX_VALUE: {
      to = v;
      const size_t n = v.tag == ATLED_COMPLEX_VALUE ? 2 : v.n;
      if (n) memcpy(words, v.u.ints, 8 * n);
      to.u.ints = words;
      return words + n;
    }
    case ATLED_STRING:
      to = v;
      memcpy(words, v.u.str, v.n);
      reinterpret_cast<char*>(words)[v.n] = 0;
      to.u.str = reinterpret_cast<char*>(words);
      return words + v.n / 8 + 1;
    case ATLED_GENERATOR:
      return words;  // a gradient draws no numbers
    default:
      to = v;
      return words;
  }
}

// Of a tensor, its shape; of a list, each one's number of dimensions and shape.
int64_t* save_shape(Saved& saved, const atled_value& v, int64_t* words) {
  int64_t* at = words;
  each_tensor(v, [&](atled_tensor* t) {
    if (v.tag == ATLED_TENSORS) *at++ = t->dl.ndim;
    for (int d = 0; d < t->dl.ndim; ++d) *at++ = t->dl.shape[d];
  });
  if (v.tag == ATLED_TENSOR || v.tag == ATLED_TENSORS) saved.value = ints_value(words, static_cast<size_t>(at - words));
  return at;
}

void save(const SaveSpec& spec, const atled_frame* frame, const atled_value& argument, Saved& saved, int64_t*& words) {
  switch (spec.what) {
    case Save::kArgument:
      words = save_argument(saved, argument, words, frame->op->name);
      break;
    case Save::kShape:
      words = save_shape(saved, argument, words);
      break;
    case Save::kDtype:
      if (argument.tag == ATLED_TENSOR) saved.value = dtype_value(argument.u.tensor->dtype);
      break;
    case Save::kDevice:
      if (argument.tag == ATLED_TENSOR) saved.value = device_value(argument.u.tensor->dl.device);
      break;
    case Save::kOutput:
      // The output itself would hold its own history: a cycle.
      save_tensor(saved, alias(frame->outs[spec.index].u.tensor), frame->op->name);
      break;
  }
}

// A call that changes one of its arguments spoils what its rule wants of the old value: keeps copies of that.
struct OldValues {
  const atled_value* values;
  atled_value own[kMaxArguments];
  std::vector<Tensor> copies;

  OldValues(const Rule& rule, const atled_frame* frame, uint64_t saves, int mutated) : values(frame->args) {
    if (mutated < 0) return;
    std::copy(frame->args, frame->args + rule.op->nargs, own);
    values = own;
    static const Op clone{"core::clone"};
    const atled_tensor* target = frame->args[mutated].u.tensor;
    for (; saves; saves &= saves - 1) {
      const SaveSpec& spec = rule.saves[__builtin_ctzll(saves)];
      if (spec.what != Save::kArgument) continue;
      atled_value& v = own[spec.index];
      if (v.tag == ATLED_TENSOR && v.u.tensor->version == target->version) {
        copies.push_back(clone(v.u.tensor));
        v = value(copies.back());
      }
    }
  }
};

void check_in_place(const atled_frame* frame, int mutated, bool needed) {
  atled_tensor* t = frame->args[mutated].u.tensor;
  const char* op = frame->op->name;
  const char* mark = frame->flags & ATLED_CALL_INPLACE ? "_" : "";
  if (t->flags & ATLED_TENSOR_INFERENCE) refuse_inference(op, "changed by a recorded call", t);
  if (requires_grad(t) && !history(t))
    fail(ATLED_E_AUTOGRAD,
         "%s%s: expected a tensor with history, got a leaf that requires grad, whose old value a gradient would still "
         "be about; "
         "change it under no_grad(), or a copy of it: clone()",
         op, mark);
  if (needed && !differentiable(t))
    fail(ATLED_E_DTYPE, "%s%s: expected a floating-point or complex tensor to hold a result that requires grad, got %s",
         op, mark, dtype_name(t->dtype));
  check_view_in_place(t, op, mark);
}

void refuse_out(const atled_frame* frame) {
  bool needs = false;
  for (int i = 0; i < frame->op->nargs; ++i) needs = needs || needs_gradient(frame->args[i]);
  for (int i = 0; i < frame->op->nouts; ++i) needs = needs || needs_gradient(frame->outs[i]);
  if (needs)
    fail(ATLED_E_AUTOGRAD,
         "%s: out= cannot be recorded, and one of the arguments requires grad; drop out=, or call it under no_grad()",
         frame->op->name);
}

bool is_argument(const atled_frame* frame, const atled_tensor* t) {
  bool found = false;
  for (int a = 0; a < frame->op->nargs; ++a)
    each_tensor(frame->args[a], [&](atled_tensor* argument) { found = found || argument == t; });
  return found;
}

bool has_nan_argument(const atled_frame* frame) {
  for (int a = 0; a < frame->op->nargs; ++a)
    if (has_nan(frame->args[a])) return true;
  return false;
}

void gather_edges(Node* node, const Rule& rule, const atled_frame* frame, uint64_t needed) {
  uint32_t at = 0;
  for (size_t i = 0; i < rule.inputs.size(); ++i) {
    const atled_value& v = frame->args[rule.inputs[i].argument];
    const bool wanted = needed >> i & 1;
    if (!rule.inputs[i].list) {
      if (wanted) node->edges()[at] = gradient_edge(v.u.tensor);
      ++at;
      continue;
    }
    for (uint32_t k = 0; k < v.n; ++k, ++at)
      if (wanted && v.u.tensors[k]) node->edges()[at] = gradient_edge(v.u.tensors[k]);
  }
}

// What the node of a call is to hold; sizes are counted before the call, which may change its arguments.
struct Plan {
  const Rule& rule;
  uint64_t needed, saves;
  uint32_t edges, list_length = 0;
  size_t words = 0;

  Plan(const Rule& rule_, const atled_value* values, uint64_t needed_, uint64_t saves_)
      : rule(rule_), needed(needed_), saves(saves_), edges(static_cast<uint32_t>(rule_.inputs.size())) {
    if (rule.has_list)
      for (const Input& input : rule.inputs)
        if (input.list) {
          list_length = values[input.argument].n;
          edges += list_length - 1;
        }
    for (uint64_t bits = saves; bits; bits &= bits - 1) {
      const SaveSpec& spec = rule.saves[__builtin_ctzll(bits)];
      if (spec.what != Save::kOutput) words += words_for(spec, values[spec.index]);
    }
  }
};

struct Outputs {
  explicit Outputs(const atled_frame* frame)
      : list(frame->op->out_list ? frame->outs[0].u.tensors : nullptr),
        values(frame->outs),
        count(list ? frame->outs[0].n : frame->op->nouts) {}
  atled_tensor* operator[](uint32_t i) const {
    return list ? list[i] : values[i].tag == ATLED_TENSOR ? values[i].u.tensor : nullptr;
  }
  atled_tensor* const* list;
  const atled_value* values;
  uint32_t count;
};

NodeRef build(const Plan& plan, const atled_frame* frame, const atled_value* values, const Outputs& outputs) {
  const Rule& rule = plan.rule;
  size_t words = plan.words;
  for (uint32_t i = 0; i < outputs.count; ++i)
    if (outputs[i]) words += static_cast<size_t>(outputs[i]->dl.ndim);
  int64_t* payload = nullptr;
  NodeRef node(make_node(Kind::kRule, rule.op->name, outputs.count, plan.edges,
                         static_cast<uint32_t>(rule.saves.size()), words, &payload));
  node->rule = &rule;
  node->site = here();
  node->list_length = plan.list_length;
  gather_edges(node.get(), rule, frame, plan.needed);
  for (uint64_t bits = plan.saves; bits; bits &= bits - 1) {
    const int i = __builtin_ctzll(bits);
    const SaveSpec& spec = rule.saves[i];
    save(spec, frame, spec.what == Save::kOutput ? none() : values[spec.index], node->saved()[i], payload);
  }
  for (uint32_t i = 0; i < outputs.count; ++i)
    if (outputs[i]) payload = describe_output(node.get(), i, outputs[i], payload);
  if (any_mode()) pack_saved(node.get());
  number(node.get());
  if (any_mode()) note_node(node.get());
  return node;
}

void record(atled_frame* frame);

// t_(), squeeze_() and their like: recorded as the view that the call takes of the tensor as it was.
void record_view_in_place(atled_frame* frame) {
  atled_tensor* t = frame->args[0].u.tensor;
  check_in_place(frame, 0, true);
  Tensor before = alias(t);
  lend_history(before, history(t), meta_of(t)->output);
  NodeRef node;
  {
    atled_value args[kMaxArguments], view = none();
    std::copy(frame->args, frame->args + frame->op->nargs, args);
    args[0] = value(before);
    atled_frame out_of_place{frame->op, args, &view, frame->layers, 0, 0};
    record(&out_of_place);
    const Tensor made = Tensor::steal(view.u.tensor);
    node = NodeRef::borrow(history(made));
  }
  check(api.redispatch(frame));
  for (uint32_t i = 0; i < node->saved_count; ++i)  // the elements that it saved are as they were
    if (node->saved()[i].value.tag == ATLED_TENSOR && node->saved()[i].value.u.tensor)
      node->saved()[i].version = t->version->count;
  if (node.get() != history(t)) move_history(t, node.get(), 0);  // else the op handed its argument back
}

void record(atled_frame* frame) {
  const atled_op* op = frame->op;
  if (frame->layers & kTransformKey && belongs_below(frame)) return check(api.redispatch(frame));
  if (depth() && lifted_call(frame)) return;
  if (frame->flags & ATLED_CALL_INPLACE && op->traits & ATLED_OP_VIEW && requires_grad(frame->args[0].u.tensor))
    return record_view_in_place(frame);
  const Rule& rule = rule_of(op);
  if (rule.mark == Rule::Mark::kNonDifferentiable) {
    // Its calls need not come here again. A kernel that may call other ops must, for those are not to be recorded.
    if (op->traits & ATLED_OP_ELEMENTWISE) check(layer_group->skip(op, kKey));
    return check(api.redispatch(frame));
  }
  if (frame->flags & ATLED_CALL_OUT) {
    refuse_out(frame);
    return check(api.redispatch(frame));
  }
  const uint64_t needed = needed_inputs(rule, frame);
  const int mutated = mutated_argument(frame);
  atled_tensor* target = mutated >= 0 ? frame->args[mutated].u.tensor : nullptr;
  if (!needed && !(target && requires_grad(target))) return check(api.redispatch(frame));
  if (target) check_in_place(frame, mutated, needed != 0);

  const uint64_t saves = needed_saves(rule, needed);
  const OldValues old(rule, frame, saves, mutated);
  const Plan plan(rule, old.values, needed, saves);
  const bool watched = any_mode() && checks_nan() && !has_nan_argument(frame);
  check(api.redispatch(frame));
  const Outputs outputs(frame);
  bool any = false;
  for (uint32_t i = 0; i < outputs.count; ++i) {
    // An op that hands its argument back has done nothing.
    if (outputs[i] && !target && is_argument(frame, outputs[i])) return;
    any = any || (outputs[i] && carries_gradient(rule, outputs[i], i));
  }
  if (!any) return;
  try {
    if (watched) refuse_nan_result(frame);
    NodeRef node = build(plan, frame, old.values, outputs);
    for (uint32_t i = 0; i < outputs.count; ++i) {
      atled_tensor* t = outputs[i];
      if (!t || !carries_gradient(rule, t, i)) continue;
      if (t == target) {
        rebase(t, node.get(), i);
        continue;
      }
      set_history(t, outputs.count == 1 ? std::move(node) : NodeRef::borrow(node.get()), i);
      if (op->traits & ATLED_OP_VIEW && frame->args[0].tag == ATLED_TENSOR)
        note_view(t, frame->args[0].u.tensor, op->out_list);
    }
  } catch (...) {
    // A call either answers or fails: what it made goes.
    api.values_release(frame->outs, op->nouts);
    throw;
  }
}

}  // namespace

int on_call(void*, atled_frame* frame) noexcept {
  return guard([&] { record(frame); });
}

int mutated_argument(const atled_frame* frame) {
  if (frame->flags & ATLED_CALL_INPLACE) return 0;
  if (frame->op->traits & ATLED_OP_MUTATES)
    for (int i = 0; i < frame->op->nargs; ++i)
      if (frame->op->args[i].flags & ATLED_ARG_MUTATED) return frame->args[i].tag == ATLED_TENSOR ? i : -1;
  return -1;
}

NodeRef record_call(const atled_op* op, atled_value* args, atled_value* outs) {
  const atled_frame frame{op, args, outs, 0, 0, 0};
  return record_call(op, args, outs, needed_inputs(rule_of(op), &frame));
}

NodeRef record_call(const atled_op* op, atled_value* args, atled_value* outs, uint64_t needed) {
  const Rule& rule = rule_of(op);
  const atled_frame frame{op, args, outs, 0, 0, 0};
  const Plan plan(rule, args, needed, needed_saves(rule, needed));
  return build(plan, &frame, args, Outputs(&frame));
}

Tensor alias(atled_tensor* t) {
  atled_tensor* out = nullptr;
  check(api.as_view(t, t->dtype, t->dl.ndim, t->dl.shape, t->dl.strides, 0, &out));
  Tensor made = Tensor::steal(out);
  if (is_wrapper(t)) {
    leaf_meta(made).more().wrapped = new Wrapped(*meta_of(t)->extra->wrapped);
    check(api.set_keys(made, t->keys & (kTransformKey | ATLED_KEY_OPAQUE), 0));
  }
  return made;
}

void save_tensor(Saved& saved, atled_tensor* t, const char* op) {
  if (t->flags & ATLED_TENSOR_INFERENCE && !this_thread.recording_off) refuse_inference(op, "saved for a gradient", t);
  api.retain(t);
  __atomic_fetch_add(&t->version->watchers, 1, __ATOMIC_RELAXED);
  saved.value = value(t);
  saved.version = __atomic_load_n(&t->version->count, __ATOMIC_RELAXED);
}

void refuse_freed(const Node* node) {
  const std::string site = site_text(node->site);
  throw Error(ATLED_E_AUTOGRAD, std::string(node->name) + ": its saved tensors were freed by an earlier backward" +
                                    (site.empty() ? "" : " (it was called at " + site + ")") +
                                    "; pass retain_graph=True to that one to go through the graph again");
}

void check_version(const atled_tensor* t, uint64_t version, const Node* needed_by) {
  const uint64_t now = __atomic_load_n(&t->version->count, __ATOMIC_RELAXED);
  if (now == version) return;
  char change[512] = "";
  api.last_change(const_cast<atled_tensor*>(t), change, sizeof change);
  const std::string site = site_text(needed_by->site);
  throw Error(ATLED_E_AUTOGRAD, std::string(needed_by->name) + ": its gradient needs a tensor of shape " +
                                    shape_text(t) + " as it was" + (site.empty() ? "" : " at " + site) +
                                    ", but it was changed in place" + (*change ? " by " : "") + change + " (version " +
                                    std::to_string(now) + ", expected " + std::to_string(version) +
                                    "); change a copy of it (clone()), or use the form that makes a new tensor");
}

}  // namespace atled::autograd
