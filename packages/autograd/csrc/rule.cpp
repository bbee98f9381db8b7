#include "rule.h"

#include <cstring>
#include <iterator>
#include <memory>
#include <mutex>

#include "python/python.h"

namespace atled::autograd {

namespace {

constexpr uint32_t kChunk = 1024, kChunks = 64;
std::atomic<std::atomic<const Rule*>*> table[kChunks];
std::mutex table_lock;

PyObject* lookup_function = nullptr;

std::atomic<const Rule*>& slot_of(uint32_t id) {
  if (id / kChunk >= kChunks) fail(ATLED_E_RUNTIME, "expected fewer than %u ops", kChunk * kChunks);
  std::atomic<std::atomic<const Rule*>*>& chunk = table[id / kChunk];
  std::atomic<const Rule*>* rules = chunk.load(std::memory_order_acquire);
  if (!rules) {
    std::lock_guard<std::mutex> guard(table_lock);
    rules = chunk.load(std::memory_order_acquire);
    if (!rules) chunk.store(rules = new std::atomic<const Rule*>[kChunk](), std::memory_order_release);
  }
  return rules[id % kChunk];
}

std::string qualified(const atled_op* op) { return std::string(op->ns) + "::" + op->name; }

int argument_index(const atled_op* op, const std::string& name) {
  for (int i = 0; i < op->nargs; ++i)
    if (name == op->args[i].name) return i;
  return -1;
}

int output_index(const atled_op* op, const std::string& name) {
  if (name == "out" && !op->out_list) return 0;
  for (int i = 0; i < op->nouts; ++i)
    if (!name.empty() && name == op->out_names[i]) return i;
  return -1;
}

bool ends_with(const std::string& text, const char* end, std::string* start) {
  const size_t n = strlen(end);
  if (text.size() <= n || text.compare(text.size() - n, n, end) != 0) return false;
  *start = text.substr(0, text.size() - n);
  return true;
}

std::string known_names(const atled_op* op) {
  std::string text = op->out_list ? "gs" : "g";
  for (int i = 0; i < op->nouts && op->out_names[i][0]; ++i)
    text += std::string(", g_") + op->out_names[i] + ", " + op->out_names[i];
  if (!op->out_list) text += ", out";
  for (int i = 0; i < op->nargs; ++i) text += std::string(", ") + op->args[i].name;
  return text + ", <argument>_shape, <argument>_dtype, <argument>_device, needs";
}

// The saved value that a parameter asks for.
SaveSpec save_for(const atled_op* op, const std::string& name) {
  std::string start;
  int i = argument_index(op, name);
  if (i >= 0) return {Save::kArgument, static_cast<uint16_t>(i)};
  if ((i = output_index(op, name)) >= 0) return {Save::kOutput, static_cast<uint16_t>(i)};
  const std::pair<const char*, Save> suffixes[] = {
      {"_shape", Save::kShape}, {"_dtype", Save::kDtype}, {"_device", Save::kDevice}};
  for (const auto& suffix : suffixes)
    if (ends_with(name, suffix.first, &start) && (i = argument_index(op, start)) >= 0)
      return {suffix.second, static_cast<uint16_t>(i)};
  fail(ATLED_E_AUTOGRAD, "rule of %s: expected parameters among %s; got %s", qualified(op).c_str(),
       known_names(op).c_str(), name.c_str());
}

ParamSpec parameter(Rule& rule, Function& function, const std::string& name) {
  const atled_op* op = rule.op;
  if (name == "needs") return {Param::kNeeds, 0};
  if (name == "gs") return {Param::kGradients, 0};
  if (name == "g" && !op->out_list) return {Param::kGradient, 0};
  if (name.compare(0, 2, "g_") == 0 && output_index(op, name.substr(2)) >= 0)
    return {Param::kGradient, static_cast<uint16_t>(output_index(op, name.substr(2)))};
  const SaveSpec wanted = save_for(op, name);
  size_t i = 0;
  while (i < rule.saves.size() && !(rule.saves[i].what == wanted.what && rule.saves[i].index == wanted.index)) ++i;
  if (i == rule.saves.size()) rule.saves.push_back(wanted);
  if (i >= 64) fail(ATLED_E_AUTOGRAD, "rule of %s: expected at most 64 saved values", qualified(op).c_str());
  function.saves |= uint64_t{1} << i;
  return {Param::kSaved, static_cast<uint16_t>(i)};
}

// Values that a function may branch on without looking at a number: None, bool, str, dtype, device.
bool steers(const Rule& rule, const ParamSpec& param) {
  if (param.what != Param::kSaved) return param.what != Param::kGradient;
  const SaveSpec& save = rule.saves[param.index];
  if (save.what == Save::kOutput) return false;
  const atled_arg& arg = rule.op->args[save.index];
  if (arg.flags & ATLED_ARG_OPTIONAL || arg.tag == ATLED_TENSORS) return true;
  if (save.what == Save::kShape) return (arg.flags & ATLED_ARG_SCALAR_TOO) != 0;
  if (save.what != Save::kArgument) return true;
  return arg.tag == ATLED_BOOL_VALUE || arg.tag == ATLED_STRING || arg.tag == ATLED_DTYPE || arg.tag == ATLED_DEVICE;
}

std::string text_of(PyObject* object) {
  Py_ssize_t n = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &n);
  if (!text) throw_python();
  return std::string(text, static_cast<size_t>(n));
}

uint16_t add_input(Rule& rule, const std::string& argument, int16_t function) {
  const int a = argument_index(rule.op, argument);
  if (a < 0 || (rule.op->args[a].tag != ATLED_TENSOR && rule.op->args[a].tag != ATLED_TENSORS))
    fail(ATLED_E_AUTOGRAD, "rule of %s: expected functions for its tensor arguments, got one for %s",
         qualified(rule.op).c_str(), argument.c_str());
  if (rule.input_of_argument[a] >= 0)
    fail(ATLED_E_AUTOGRAD, "rule of %s: %s has two functions", qualified(rule.op).c_str(), argument.c_str());
  const bool list = rule.op->args[a].tag == ATLED_TENSORS;
  if (list && rule.has_list)
    fail(ATLED_E_AUTOGRAD, "rule of %s: expected at most one list of tensors with gradients",
         qualified(rule.op).c_str());
  rule.has_list = rule.has_list || list;
  rule.input_of_argument[a] = static_cast<int16_t>(rule.inputs.size());
  rule.inputs.push_back({static_cast<uint16_t>(a), list, function});
  return static_cast<uint16_t>(rule.inputs.size() - 1);
}

// entry: (targets: tuple of names, callable or None, parameter names: tuple, joint: bool)
void add_function(Rule& rule, PyObject* entry) {
  PyObject *targets = PyTuple_GetItem(entry, 0), *callable = PyTuple_GetItem(entry, 1),
           *names = PyTuple_GetItem(entry, 2);
  if (callable == Py_None) {
    for (Py_ssize_t i = 0; i < PyTuple_Size(targets); ++i) add_input(rule, text_of(PyTuple_GetItem(targets, i)), -1);
    return;
  }
  rule.functions.emplace_back();
  Function& function = rule.functions.back();
  function.joint = PyObject_IsTrue(PyTuple_GetItem(entry, 3)) == 1;
  for (Py_ssize_t i = 0; i < PyTuple_Size(targets); ++i)
    function.targets.push_back(
        add_input(rule, text_of(PyTuple_GetItem(targets, i)), static_cast<int16_t>(rule.functions.size() - 1)));
  for (Py_ssize_t i = 0; i < PyTuple_Size(names); ++i) {
    function.params.push_back(parameter(rule, function, text_of(PyTuple_GetItem(names, i))));
    function.steered = function.steered || steers(rule, function.params.back());
    const ParamSpec& param = function.params.back();
    const bool argument = param.what == Param::kSaved && rule.saves[param.index].what == Save::kArgument;
    if (argument && rule.op->args[rule.saves[param.index].index].flags & ATLED_ARG_SCALAR_TOO)
      function.either.push_back(static_cast<uint16_t>(i));
  }
  function.steered = function.steered || function.either.size() > 2;
  if (function.targets.size() > kMaxTargets || function.params.size() > kMaxParameters)
    fail(ATLED_E_AUTOGRAD, "rule of %s: expected at most %zu parameters and %zu targets", qualified(rule.op).c_str(),
         kMaxParameters, kMaxTargets);
  Py_INCREF(callable);
  function.callable = callable;
}

// transforms: (forward, batching, decomposition or None, tangent or None, autocast), with the names that Python gives
// them
void add_transforms(Rule& rule, PyObject* transforms) {
  const char* forward[] = {"transposed", "diagonal", "linear", "multilinear"};
  const char* batching[] = {"loop",  "aligned", "dims",  "places",  "order",  "along",
                            "index", "entries", "sizes", "repeats", "refused"};
  const std::string wanted[] = {text_of(PyTuple_GetItem(transforms, 0)), text_of(PyTuple_GetItem(transforms, 1))};
  for (uint8_t i = 0; i < 4; ++i)
    if (wanted[0] == forward[i]) rule.forward = static_cast<Rule::Forward>(i);
  for (uint8_t i = 0; i < std::size(batching); ++i)
    if (wanted[1] == batching[i]) rule.batching = static_cast<Rule::Batching>(i);
  auto function = [&](Py_ssize_t i) -> PyObject* {
    PyObject* object = PyTuple_GetItem(transforms, i);
    return object == Py_None ? nullptr : Ref::borrow(object).take();
  };
  rule.decomposition = function(2);
  rule.tangent = function(3);
  const char* autocast[] = {"as given", "lower", "float32", "widest"};
  const std::string precision = text_of(PyTuple_GetItem(transforms, 4));
  for (uint8_t i = 0; i < std::size(autocast); ++i)
    if (precision == autocast[i]) rule.autocast = static_cast<Rule::Autocast>(i);
}

[[noreturn]] void refuse_missing(const atled_op* op) {
  if (op->nargs > 32) fail(ATLED_E_AUTOGRAD, "%s: expected at most 32 arguments", op->name);
  fail(ATLED_E_AUTOGRAD,
       "%s: an argument requires grad, but no gradient rule is registered for %s; register one: "
       "atled.autograd.rule(\"%s\", %s=lambda g, ...: ...), "
       "or mark it: rule.non_differentiable(\"%s\")",
       op->name, qualified(op).c_str(), qualified(op).c_str(), op->nargs ? op->args[0].name : "input",
       qualified(op).c_str());
}

const Rule* make_rule(const atled_op* op) {
  Gil gil;
  if (!lookup_function) fail(ATLED_E_AUTOGRAD, "atled.autograd is not imported: import atled.autograd");
  Ref spec(PyObject_CallFunction(lookup_function, "ss", op->ns, op->name));
  if (!spec) throw_python();
  auto rule = std::make_unique<Rule>();
  rule->op = op;
  for (int16_t& i : rule->input_of_argument) i = -1;
  const std::string kind = text_of(PyTuple_GetItem(spec.get(), 0));
  add_transforms(*rule, PyTuple_GetItem(spec.get(), 3));
  if (kind == "non_differentiable") {
    rule->mark = Rule::Mark::kNonDifferentiable;
  } else if (kind == "missing") {
    rule->mark = Rule::Mark::kMissing;
  } else if (kind == "not_implemented") {
    rule->mark = Rule::Mark::kNotImplemented;
    rule->why = text_of(PyTuple_GetItem(spec.get(), 1));
    // Recorded all the same: only a backward run that comes here fails.
    for (int i = 0; i < op->nargs; ++i)
      if (op->args[i].tag == ATLED_TENSOR || (op->args[i].tag == ATLED_TENSORS && !rule->has_list))
        add_input(*rule, op->args[i].name, -1);
  } else {
    PyObject* entries = PyTuple_GetItem(spec.get(), 1);
    for (Py_ssize_t i = 0; i < PyTuple_Size(entries); ++i) add_function(*rule, PyTuple_GetItem(entries, i));
    PyObject* constants = PyTuple_GetItem(spec.get(), 2);
    for (Py_ssize_t i = 0; i < PyTuple_Size(constants); ++i) {
      const std::string name = text_of(PyTuple_GetItem(constants, i));
      const int output = output_index(op, name);
      if (output < 0)
        fail(ATLED_E_AUTOGRAD, "rule of %s: expected the name of an output, got %s", qualified(op).c_str(),
             name.c_str());
      rule->constant_outputs |= uint64_t{1} << output;
    }
  }
  return rule.release();
}

}  // namespace

void set_lookup(PyObject* lookup) {
  Py_XINCREF(lookup);
  lookup_function = lookup;
}

const Rule& rule_or_mark(const atled_op* op) {
  std::atomic<const Rule*>& slot = slot_of(op->id);
  const Rule* rule = slot.load(std::memory_order_acquire);
  if (!rule) {
    const Rule* made = make_rule(op);
    // Another thread may have been as quick; what loses the race is small and stays.
    slot.compare_exchange_strong(rule, made, std::memory_order_acq_rel);
    rule = slot.load(std::memory_order_acquire);
  }
  return *rule;
}

const Rule& rule_of(const atled_op* op) {
  const Rule& rule = rule_or_mark(op);
  if (rule.mark == Rule::Mark::kMissing) refuse_missing(op);
  return rule;
}

void forget_rule(const atled_op* op) { slot_of(op->id).store(nullptr, std::memory_order_release); }

EdgeRange edges_of(const Node* node, uint32_t input) {
  const Rule& rule = *node->rule;
  if (!rule.has_list) return {input, 1};
  uint32_t first = 0;
  for (uint32_t i = 0; i < input; ++i) first += rule.inputs[i].list ? node->list_length : 1;
  return {first, rule.inputs[input].list ? node->list_length : 1};
}

}  // namespace atled::autograd
