// What the tape knows of an op's gradient: which values a call must save, and the functions that turn them into
// gradients.
//
// A rule arrives from Python when the tape first meets the op. Each function is traced, on its first use, into a
// program: a short list of op calls that runs without Python. Tracing first keeps all numbers and shapes symbolic;
// where the function looks at them, it is traced again for each set of values; where that fails too, it is called anew
// each time. Rules are never dropped. Their making needs the GIL.
#pragma once

#include <atomic>
#include <string>
#include <unordered_map>
#include <vector>

#include "node.h"

namespace atled::autograd {

// What a saved value is.
enum class Save : uint8_t { kArgument, kShape, kDtype, kDevice, kOutput };

struct SaveSpec {
  Save what;
  uint16_t index;  // of the argument or output
};

// What a function's parameter gets.
enum class Param : uint8_t { kGradient, kGradients, kSaved, kNeeds };

struct ParamSpec {
  Param what;
  uint16_t index;  // of the output or the saved value
};

// An argument of an instruction. Registers hold the function's parameters first, then results.
struct Operand {
  enum class What : uint8_t { kRegister, kElement, kConstant, kList } what = What::kConstant;
  uint32_t index = 0;    // of the register
  uint32_t element = 0;  // of its list
  atled_value constant = none();
  std::vector<int64_t> words;  // what a constant points to
  std::string text;
  std::vector<Operand> entries;  // of a list of tensors
};

struct Instruction {
  enum class What : uint8_t {
    kCall,
    kArithmetic,  // a call of an op that numbers may replace
    kConjugate,   // free for real values
    kScale        // free for a factor of 1
  } what = What::kCall;
  const atled_op* op = nullptr;
  char arithmetic = 0;  // '+', '-', '*', '/' or '^'
  std::vector<Operand> operands;
  uint32_t result = 0;              // first register of the results
  std::vector<uint32_t> last_uses;  // result registers that no later instruction reads
};

struct Program {
  std::vector<Instruction> instructions;
  std::vector<Operand> results;  // one for each target of the function; a constant None for no gradient
  std::vector<uint8_t> moved;    // whether that result's register is no other result
  uint32_t parameters = 0, registers = 0;
};

struct Function {
  enum class Mode : uint8_t { kUntried, kSymbolic, kSpecial, kPython };
  PyObject* callable = nullptr;
  std::vector<ParamSpec> params;
  std::vector<uint16_t> targets;  // indices into Rule::inputs
  bool joint = false;             // answers a tuple, one gradient for each target
  bool steered = false;  // some parameter may be None, bool, str, dtype, device or a list; or many may be numbers
  uint64_t saves = 0;    // bit i: needs Rule::saves[i]
  mutable Mode mode = Mode::kUntried;
  mutable std::string why;       // it is called in Python
  std::vector<uint16_t> either;  // parameters that may be tensors or numbers
  // When symbolic and not steered: by which of `either` (at most two) are tensors.
  mutable const Program* plain[4] = {};
  mutable std::unordered_map<std::string, const Program*> programs;
};

struct Input {
  uint16_t argument;
  bool list;
  int16_t function;  // into Rule::functions; -1: marked as without gradient
};

struct Rule {
  enum class Mark : uint8_t { kRule, kNonDifferentiable, kNotImplemented, kMissing } mark = Mark::kRule;
  const atled_op* op = nullptr;
  // How its calls go through transforms; see dual.cpp and batch.cpp.
  enum class Forward : uint8_t { kTransposed, kDiagonal, kLinear, kMultilinear } forward = Forward::kTransposed;
  enum class Batching : uint8_t {
    kLoop,
    kAligned,
    kDims,
    kPlaces,
    kOrder,
    kAlong,
    kIndex,
    kEntries,
    kSizes,
    kRepeats,
    kRefused
  } batching = Batching::kLoop;
  // What its calls' floating arguments become under autocast: as they are, the lower precision, float32, or float32
  // where they differ. See autocast.cpp.
  enum class Autocast : uint8_t { kAsGiven, kLower, kFloat32, kWidest } autocast = Autocast::kAsGiven;
  PyObject* tangent = nullptr;        // answers a call's tangents, where that is no matter of its gradients
  PyObject* decomposition = nullptr;  // batching by other ops, asked first; may answer NotImplemented
  std::string why;
  std::vector<SaveSpec> saves;
  std::vector<Input> inputs;  // every tensor argument that the rule names, in order of the schema
  std::vector<Function> functions;
  int16_t input_of_argument[32];  // -1 where the rule names none
  bool has_list = false;
  uint64_t constant_outputs = 0;  // bit i: output i never has a history
};

// The rule of an op; asks Python when the op is met first. Throws when there is none.
const Rule& rule_of(const atled_op* op);
// The same; one that is marked as missing where nobody has registered any.
const Rule& rule_or_mark(const atled_op* op);
// Forgets the rule of an op, so that it is asked for again.
void forget_rule(const atled_op* op);
// The Python functions that are asked for rules, lookup(ns, name), and for programs, trace(function, parameters).
void set_lookup(PyObject* lookup);
void set_trace(PyObject* trace);
bool set_tracing(bool on);  // off: every function is called in Python; answers what it was
// Parameter i of a function as its Python code gets it.
class Ref;
Ref python_parameter(const Node* node, const Function& function, size_t i, const atled_value& v, uint64_t needed);

// Runs a function of node's rule. gradients: one per output of the node, NULL for one that is not defined. Results go
// to the edges of the function's targets, owned. Calls are recorded when recording is on. `needed`: bit i for
// Rule::inputs[i].
// shared: another run may free meanwhile what the node saved. as_saved: saved tensors keep the history they have.
void run_function(Node* node, const Function& function, const Buffer* gradients, uint64_t needed, Buffer* edge_results,
                  bool shared, bool as_saved = false);

// What a function gives for one target: owned; a tensor, a list of tensors or none.
struct Answer {
  atled_value value = none();
  bool fresh = false;
};
constexpr size_t kMaxTargets = 16, kMaxParameters = 32;

// The program for these parameter values; NULL when the function has to be called in Python.
const Program* program_for(const Node* node, const Function& function, const atled_value* parameters, uint64_t needed);
// Runs it. registers: as many as the program has, the parameters first, all others none.
void run_program(const Program& program, atled_value* registers, Answer* answers);
// An owned list of owned tensors.
atled_value copy_list(const atled_value& list);

// Edges [first, first + count) of an input.
struct EdgeRange {
  uint32_t first, count;
};
EdgeRange edges_of(const Node* node, uint32_t input);

}  // namespace atled::autograd
