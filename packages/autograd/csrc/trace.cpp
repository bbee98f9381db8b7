// From a rule's function to a program: decides how a function is run, keeps its programs, and builds them from what the
// Python tracer (src/atled/autograd/_trace.py) wrote down.
#include <cstring>
#include <memory>

#include "python/python.h"
#include "rule.h"

namespace atled::autograd {

namespace {

constexpr size_t kMaxPrograms = 64;  // of one function; what meets more kinds of values than that is called in Python

PyObject* trace_function = nullptr;
bool tracing = true;

void append(std::string& key, const void* bytes, size_t n) { key.append(static_cast<const char*>(bytes), n); }

// Appends what the tracer may look at: in symbolic mode what steers, else everything but the data.
void append_key(std::string& key, const atled_value& v, bool special) {
  key += static_cast<char>(v.tag);
  auto tensor = [&](const atled_tensor* t) {
    if (!t) return void(key += '\0');
    key += static_cast<char>(t->dtype + 1);
    key += static_cast<char>(t->dl.ndim);
    append(key, t->dl.shape, sizeof(int64_t) * static_cast<size_t>(t->dl.ndim));
  };
  switch (v.tag) {
    case ATLED_BOOL_VALUE:
    case ATLED_DTYPE:
      append(key, &v.u.i, sizeof v.u.i);
      break;
    case ATLED_DEVICE:
      append(key, &v.u.device, sizeof v.u.device);
      break;
    case ATLED_STRING:
      append(key, &v.n, sizeof v.n);
      append(key, v.u.str, v.n);
      break;
    case ATLED_TENSOR:
      if (special) tensor(v.u.tensor);
      break;
    case ATLED_TENSORS:
      append(key, &v.n, sizeof v.n);
      for (uint32_t i = 0; i < v.n; ++i) {
        if (special)
          tensor(v.u.tensors[i]);
        else
          key += v.u.tensors[i] ? '1' : '0';
      }
      break;
    case ATLED_INT_VALUE:
    case ATLED_FLOAT_VALUE:
      if (special) append(key, &v.u.i, sizeof v.u.i);
      break;
    case ATLED_COMPLEX_VALUE:
      if (special) append(key, v.u.complex, 2 * sizeof(double));
      break;
    case ATLED_INTS:
    case ATLED_FLOATS:
      append(key, &v.n, sizeof v.n);
      if (special) append(key, v.u.ints, v.n * sizeof(int64_t));
      break;
    default:
      break;
  }
}

std::string key_of(const Function& function, const atled_value* parameters, uint64_t needed, bool special) {
  std::string key;
  for (size_t i = 0; i < function.params.size(); ++i) {
    if (function.params[i].what == Param::kNeeds)
      append(key, &needed, sizeof needed);
    else
      append_key(key, parameters[i], special);
  }
  return key;
}

// What the tracer is told of a parameter: ("tensor", n, shapes and dtypes or None), ("tensors", ...), ("symbol", ...)
// or ("value", object).
Ref describe(const Node* node, const Function& function, size_t i, const atled_value& v, uint64_t needed,
             bool special) {
  auto metadata = [&](const atled_tensor* t) -> Ref {
    if (!special || !t) return Ref::borrow(Py_None);
    Ref shape = to_python(ints_value(t->dl.shape, static_cast<size_t>(t->dl.ndim))),
        dtype = to_python(dtype_value(t->dtype));
    return need(PyTuple_Pack(2, shape.get(), dtype.get()));
  };
  if (v.tag == ATLED_TENSOR) {
    Ref data = metadata(v.u.tensor);
    return need(Py_BuildValue("(sO)", "tensor", data.get()));
  }
  if (v.tag == ATLED_TENSORS) {
    Ref list = need(PyList_New(0));
    for (uint32_t k = 0; k < v.n; ++k) {
      Ref data = v.u.tensors[k] ? metadata(v.u.tensors[k]) : Ref::borrow(Py_False);
      if (PyList_Append(list.get(), data.get()) < 0) throw_python();
    }
    return need(Py_BuildValue("(sO)", "tensors", list.get()));
  }
  const bool number = v.tag == ATLED_INT_VALUE || v.tag == ATLED_FLOAT_VALUE || v.tag == ATLED_COMPLEX_VALUE ||
                      v.tag == ATLED_INTS || v.tag == ATLED_FLOATS;
  if (number && !special) return need(Py_BuildValue("(sO)", "symbol", Py_None));
  Ref object = python_parameter(node, function, i, v, needed);
  return need(Py_BuildValue("(sO)", "value", object.get()));
}

// ---- reading what the tracer wrote ----

int dtype_code(PyObject* object) {
  Ref name(PyObject_GetAttrString(object, "name"));
  const char* text = name ? PyUnicode_AsUTF8AndSize(name.get(), nullptr) : nullptr;
  for (int i = 0; text && i < ATLED_NUM_DTYPES; ++i)
    if (strcmp(text, dtype_name(i)) == 0) return i;
  PyErr_Clear();
  fail(ATLED_E_AUTOGRAD, "expected a constant of a type that an op takes, got %s", type_name(object).c_str());
}

atled_value number(PyObject* object, Operand& keep) {
  if (PyBool_Check(object)) return value(object == Py_True);
  if (PyLong_Check(object)) {
    const long long i = PyLong_AsLongLong(object);
    if (i == -1 && PyErr_Occurred()) throw_python();
    return value(i);
  }
  if (PyFloat_Check(object)) return value(PyFloat_AsDouble(object));
  keep.words.resize(2);
  const double parts[2] = {PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object)};
  memcpy(keep.words.data(), parts, sizeof parts);
  atled_value v = none();
  v.u.ints = keep.words.data();
  v.tag = ATLED_COMPLEX_VALUE;
  v.n = 2;
  return v;
}

// A constant; what it points to stays in `keep`, which must not move afterwards.
atled_value constant(PyObject* object, const atled_arg* arg, Operand& keep) {
  if (object == Py_None) return none();
  const bool list = PyTuple_Check(object) || PyList_Check(object);
  if (list || (arg && arg->tag == ATLED_INTS && PyLong_Check(object))) {
    const Py_ssize_t n = list ? PySequence_Size(object) : 1;
    const bool floats = arg && arg->tag == ATLED_FLOATS;
    for (Py_ssize_t i = 0; i < n; ++i) {
      Ref entry = list ? need(PySequence_GetItem(object, i)) : Ref::borrow(object);
      int64_t word = 0;
      const double f = floats ? PyFloat_AsDouble(entry.get()) : 0;
      if (floats)
        memcpy(&word, &f, sizeof f);
      else
        word = PyLong_AsLongLong(entry.get());
      if (PyErr_Occurred()) throw_python();
      keep.words.push_back(word);
    }
    atled_value v = ints_value(keep.words.data(), keep.words.size());
    if (floats) v.tag = ATLED_FLOATS;
    return v;
  }
  if (PyUnicode_Check(object)) {
    Py_ssize_t n = 0;
    const char* text = PyUnicode_AsUTF8AndSize(object, &n);
    if (!text) throw_python();
    keep.text.assign(text, static_cast<size_t>(n));
    atled_value v = none();
    v.u.str = keep.text.c_str();
    v.tag = ATLED_STRING;
    v.n = static_cast<uint32_t>(n);
    return v;
  }
  if (PyBool_Check(object) || PyLong_Check(object) || PyFloat_Check(object) || PyComplex_Check(object)) {
    atled_value v = number(object, keep);
    return arg && arg->tag == ATLED_FLOAT_VALUE ? value(as_double(v)) : v;
  }
  return dtype_value(dtype_code(object));
}

// ("r", register) | ("e", register, element) | ("l", operands) | ("c", constant) | ("d",): the default
void read_operand(PyObject* row, const atled_arg* arg, Operand& operand) {
  const char kind = *PyUnicode_AsUTF8AndSize(PyTuple_GetItem(row, 0), nullptr);
  auto index = [&](Py_ssize_t i) { return static_cast<uint32_t>(PyLong_AsUnsignedLong(PyTuple_GetItem(row, i))); };
  switch (kind) {
    case 'r':
      operand.what = Operand::What::kRegister;
      operand.index = index(1);
      break;
    case 'e':
      operand.what = Operand::What::kElement;
      operand.index = index(1);
      operand.element = index(2);
      break;
    case 'l': {
      operand.what = Operand::What::kList;
      PyObject* rows = PyTuple_GetItem(row, 1);
      operand.entries.resize(static_cast<size_t>(PySequence_Size(rows)));
      for (size_t i = 0; i < operand.entries.size(); ++i) {
        Ref entry = need(PySequence_GetItem(rows, static_cast<Py_ssize_t>(i)));
        read_operand(entry.get(), nullptr, operand.entries[i]);
      }
      break;
    }
    case 'c':
      operand.constant = constant(PyTuple_GetItem(row, 1), arg, operand);
      break;
    default:
      operand.constant = arg->fallback;
      break;
  }
}

// (what, op or "", operands, first result register, number of result registers)
void read_instruction(PyObject* row, Instruction& instruction) {
  const std::string what = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(row, 0), nullptr);
  const std::string op = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(row, 1), nullptr);
  if (!op.empty()) check(api.find_op(op.c_str(), &instruction.op));
  if (what == "conjugate") instruction.what = Instruction::What::kConjugate;
  if (what == "scale") instruction.what = Instruction::What::kScale;
  if (what.size() == 1) {
    instruction.what = Instruction::What::kArithmetic;
    instruction.arithmetic = what[0];
  }
  if (instruction.op && (instruction.op->nouts > 8 || instruction.op->nargs > 32))
    fail(ATLED_E_AUTOGRAD, "%s: expected at most 32 arguments and 8 results in a traced rule", op.c_str());
  PyObject* rows = PyTuple_GetItem(row, 2);
  instruction.operands.resize(static_cast<size_t>(PySequence_Size(rows)));
  for (size_t i = 0; i < instruction.operands.size(); ++i) {
    Ref entry = need(PySequence_GetItem(rows, static_cast<Py_ssize_t>(i)));
    read_operand(entry.get(), instruction.op ? &instruction.op->args[i] : nullptr, instruction.operands[i]);
  }
  instruction.result = static_cast<uint32_t>(PyLong_AsUnsignedLong(PyTuple_GetItem(row, 3)));
}

template <class F>
void each_register(const Operand& operand, F&& f) {
  if (operand.what == Operand::What::kRegister || operand.what == Operand::What::kElement) f(operand.index);
  for (const Operand& entry : operand.entries) each_register(entry, f);
}

// Notes after which instruction a register is read no more, and which results may be moved out.
void plan(Program& program) {
  std::vector<int> last(program.registers, -1), results(program.registers, 0);
  for (size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& instruction = program.instructions[i];
    const uint32_t made = instruction.op ? instruction.op->nouts : 1;
    for (uint32_t k = 0; k < made; ++k) last[instruction.result + k] = static_cast<int>(i);
    for (const Operand& operand : instruction.operands)
      each_register(operand, [&](uint32_t r) { last[r] = static_cast<int>(i); });
  }
  for (const Operand& result : program.results) each_register(result, [&](uint32_t r) { ++results[r]; });
  for (uint32_t r = program.parameters; r < program.registers; ++r)
    if (last[r] >= 0 && results[r] == 0) program.instructions[static_cast<size_t>(last[r])].last_uses.push_back(r);
  for (const Operand& result : program.results)
    program.moved.push_back(result.what == Operand::What::kRegister && result.index >= program.parameters &&
                            results[result.index] == 1);
}

// (instructions, results, number of registers)
Program* read_program(PyObject* traced, const Function& function) {
  auto program = std::make_unique<Program>();
  program->parameters = static_cast<uint32_t>(function.params.size());
  program->registers = static_cast<uint32_t>(PyLong_AsUnsignedLong(PyTuple_GetItem(traced, 2)));
  PyObject *instructions = PyTuple_GetItem(traced, 0), *results = PyTuple_GetItem(traced, 1);
  program->instructions.resize(static_cast<size_t>(PySequence_Size(instructions)));
  for (size_t i = 0; i < program->instructions.size(); ++i) {
    Ref row = need(PySequence_GetItem(instructions, static_cast<Py_ssize_t>(i)));
    read_instruction(row.get(), program->instructions[i]);
  }
  program->results.resize(static_cast<size_t>(PySequence_Size(results)));
  for (size_t i = 0; i < program->results.size(); ++i) {
    Ref row = need(PySequence_GetItem(results, static_cast<Py_ssize_t>(i)));
    read_operand(row.get(), nullptr, program->results[i]);
  }
  if (PyErr_Occurred()) throw_python();
  plan(*program);
  return program.release();
}

// NULL when the function does what cannot be traced; `why` says what.
const Program* trace(const Node* node, const Function& function, const atled_value* parameters, uint64_t needed,
                     bool special) {
  Ref rows = need(PyList_New(0));
  for (size_t i = 0; i < function.params.size(); ++i) {
    Ref row = describe(node, function, i, parameters[i], needed, special);
    if (PyList_Append(rows.get(), row.get()) < 0) throw_python();
  }
  Ref traced = need(PyObject_CallFunction(trace_function, "OOi", function.callable, rows.get(),
                                          function.joint ? static_cast<int>(function.targets.size()) : 0));
  if (PyUnicode_Check(traced.get())) {
    function.why = PyUnicode_AsUTF8AndSize(traced.get(), nullptr);
    return nullptr;
  }
  return read_program(traced.get(), function);
}

}  // namespace

void set_trace(PyObject* function) {
  Py_XINCREF(function);
  trace_function = function;
}

bool set_tracing(bool on) { return std::exchange(tracing, on); }

const Program* program_for(const Node* node, const Function& function, const atled_value* parameters, uint64_t needed) {
  uint32_t tensors = 0;
  for (size_t i = 0; !function.steered && i < function.either.size(); ++i)
    if (parameters[function.either[i]].tag == ATLED_TENSOR) tensors |= 1u << i;
  if (function.plain[tensors] && tracing) return function.plain[tensors];
  using Mode = Function::Mode;
  if (function.mode == Mode::kPython || !tracing) return nullptr;
  Gil gil;  // also guards the programs
  for (;;) {
    const bool special = function.mode == Mode::kSpecial;
    if (function.mode == Mode::kPython) return nullptr;
    std::string key = key_of(function, parameters, needed, special);
    auto found = function.programs.find(key);
    if (found != function.programs.end()) return found->second;
    if (function.programs.size() >= kMaxPrograms) return nullptr;
    const Program* program = trace(node, function, parameters, needed, special);
    if (program) {
      if (function.mode == Mode::kUntried) function.mode = Mode::kSymbolic;
      function.programs.emplace(std::move(key), program);
      if (!special && !function.steered) function.plain[tensors] = program;
      return program;
    }
    // What was traced so far stays right, but its keys are of another kind.
    function.programs.clear();
    for (const Program*& plain : function.plain) plain = nullptr;
    function.mode = special ? Mode::kPython : Mode::kSpecial;
  }
}

}  // namespace atled::autograd
