// Running traced programs: op calls over an array of registers, without Python.
#include <cmath>
#include <complex>
#include <cstring>
#include <forward_list>

#include "rule.h"

namespace atled::autograd {

namespace {

constexpr uint32_t kMaxOutputs = 8;

// Lists and numbers that exist during one instruction.
struct Scratch {
  atled_tensor* tensors[64];
  size_t used = 0;
  std::forward_list<std::vector<atled_tensor*>> more;
  int64_t integers[8];
  size_t integers_used = 0;

  atled_tensor** take(size_t n) {
    if (used + n <= 64) {
      used += n;
      return tensors + used - n;
    }
    more.emplace_front(n);
    return more.front().data();
  }
};

atled_value element(const atled_value& list, uint32_t index) {
  if (list.tag != ATLED_TENSORS || index >= list.n)
    fail(ATLED_E_RUNTIME, "expected a list of more than %u tensors", index);
  return value(list.u.tensors[index]);
}

atled_value resolve(const Operand& operand, const atled_value* registers, Scratch& scratch) {
  switch (operand.what) {
    case Operand::What::kConstant:
      return operand.constant;
    case Operand::What::kRegister:
      return registers[operand.index];
    case Operand::What::kElement:
      return element(registers[operand.index], operand.element);
    case Operand::What::kList:
      break;
  }
  atled_tensor** tensors = scratch.take(operand.entries.size());
  size_t n = 0;
  for (const Operand& entry : operand.entries) {
    const atled_value v = resolve(entry, registers, scratch);
    tensors[n++] = v.tag == ATLED_TENSOR ? v.u.tensor : nullptr;
  }
  return tensors_value(tensors, n);
}

// A number where the schema says float or int[].
void fit(atled_value& v, const atled_arg& arg, Scratch& scratch) {
  if (v.tag != ATLED_INT_VALUE) return;
  if (arg.tag == ATLED_FLOAT_VALUE) v = value(as_double(v));
  if (arg.tag == ATLED_INTS && scratch.integers_used < 8) {
    int64_t* at = &scratch.integers[scratch.integers_used++];
    *at = v.u.i;
    v = ints_value(at, 1);
  }
}

// Complex numbers that a program makes; values point to them.
using Numbers = std::forward_list<std::complex<double>>;

atled_value complex_value(std::complex<double> z, Numbers& numbers) {
  numbers.push_front(z);
  atled_value v = none();
  v.u.complex = reinterpret_cast<const double*>(&numbers.front());
  v.tag = ATLED_COMPLEX_VALUE;
  v.n = 2;
  return v;
}

std::complex<double> as_complex(const atled_value& v) {
  return v.tag == ATLED_COMPLEX_VALUE ? std::complex<double>(v.u.complex[0], v.u.complex[1]) : as_double(v);
}

template <class T>
T compute(char op, const T& x, const T& y) {
  switch (op) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return x / y;
    default:
      return std::pow(x, y);
  }
}

// Arithmetic on two numbers, as Python does it.
atled_value arithmetic(char op, const atled_value& a, const atled_value& b, Numbers& numbers) {
  if (a.tag == ATLED_COMPLEX_VALUE || b.tag == ATLED_COMPLEX_VALUE)
    return complex_value(compute(op, as_complex(a), as_complex(b)), numbers);
  if (a.tag != ATLED_FLOAT_VALUE && b.tag != ATLED_FLOAT_VALUE) {
    int64_t i = 0;
    if (op == '+' && !__builtin_add_overflow(a.u.i, b.u.i, &i)) return value(i);
    if (op == '-' && !__builtin_sub_overflow(a.u.i, b.u.i, &i)) return value(i);
    if (op == '*' && !__builtin_mul_overflow(a.u.i, b.u.i, &i)) return value(i);
  }
  return value(compute(op, as_double(a), as_double(b)));
}

atled_value owned(const atled_value& v) {
  if (v.tag == ATLED_TENSOR) api.retain(v.u.tensor);
  return v;
}

// A fresh reference to v, or what the builtin makes of it.
atled_value conjugate(const atled_value& v, Numbers& numbers) {
  static const Op conj{"core::conj"};
  if (v.tag == ATLED_TENSOR && is_complex(v.u.tensor->dtype)) return value(conj(v.u.tensor).release());
  if (v.tag == ATLED_COMPLEX_VALUE) return complex_value(std::conj(as_complex(v)), numbers);
  return owned(v);
}

atled_value scale(const atled_value& v, const atled_value& factor) {
  static const Op mul{"core::mul"};
  if (is_scalar(factor) && factor.tag != ATLED_COMPLEX_VALUE && as_double(factor) == 1.0) return owned(v);
  return value(mul(v, factor).release());
}

void execute(const Instruction& instruction, atled_value* registers, Numbers& numbers) {
  Scratch scratch;
  atled_value args[32], outs[kMaxOutputs];
  const size_t n = instruction.operands.size();
  for (size_t i = 0; i < n; ++i) args[i] = resolve(instruction.operands[i], registers, scratch);
  atled_value* results = registers + instruction.result;
  switch (instruction.what) {
    case Instruction::What::kConjugate:
      *results = conjugate(args[0], numbers);
      return;
    case Instruction::What::kScale:
      *results = scale(args[0], args[1]);
      return;
    case Instruction::What::kArithmetic:
      if (!is_scalar(args[0]) || !is_scalar(args[1])) break;
      *results = arithmetic(instruction.arithmetic, args[0], args[1], numbers);
      return;
    case Instruction::What::kCall:
      break;
  }
  const atled_op* op = instruction.op;
  for (size_t i = 0; i < n; ++i) fit(args[i], op->args[i], scratch);
  check(api.call(op, 0, args, outs));
  for (int i = 0; i < op->nouts; ++i) results[i] = outs[i];
}

// Whether t shares no memory with a parameter or with another register.
bool is_fresh(const atled_tensor* t, const atled_value* registers, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    const atled_value& v = registers[i];
    if (v.tag == ATLED_TENSOR && v.u.tensor->version == t->version) return false;
    if (v.tag == ATLED_TENSORS)
      for (uint32_t k = 0; k < v.n; ++k)
        if (v.u.tensors[k] && v.u.tensors[k]->version == t->version) return false;
  }
  return true;
}

struct Temporaries {
  atled_value* first;
  uint32_t count;
  ~Temporaries() {
    for (uint32_t i = 0; i < count; ++i)
      if (first[i].tag == ATLED_TENSOR || first[i].tag == ATLED_TENSORS) api.values_release(&first[i], 1);
  }
};

}  // namespace

void run_program(const Program& program, atled_value* registers, Answer* answers) {
  Temporaries temporaries{registers + program.parameters, program.registers - program.parameters};
  Numbers numbers;
  for (const Instruction& instruction : program.instructions) {
    execute(instruction, registers, numbers);
    for (uint32_t i : instruction.last_uses) {
      if (registers[i].tag == ATLED_TENSOR || registers[i].tag == ATLED_TENSORS) api.values_release(&registers[i], 1);
    }
  }
  Scratch scratch;
  for (size_t i = 0; i < program.results.size(); ++i) {
    const Operand& result = program.results[i];
    Answer& answer = answers[i];
    if (program.moved[i]) {
      answer.value = std::exchange(registers[result.index], none());
      answer.fresh = answer.value.tag == ATLED_TENSOR && is_fresh(answer.value.u.tensor, registers, program.registers);
      continue;
    }
    answer.value = resolve(result, registers, scratch);
    if (answer.value.tag == ATLED_TENSOR) api.retain(answer.value.u.tensor);
    if (answer.value.tag == ATLED_TENSORS) answer.value = copy_list(answer.value);
  }
}

atled_value copy_list(const atled_value& list) {
  void* block = nullptr;
  check(alloc_group->allocate(DLDevice{kDLCPU, 0}, list.n * sizeof(atled_tensor*), &block));
  atled_tensor** tensors = static_cast<atled_tensor**>(block);
  for (uint32_t i = 0; i < list.n; ++i) {
    tensors[i] = list.u.tensors[i];
    if (tensors[i]) api.retain(tensors[i]);
  }
  return tensors_value(tensors, list.n);
}

}  // namespace atled::autograd
