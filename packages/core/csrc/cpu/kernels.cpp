#include "cpu/kernels.h"

namespace atled::core {

namespace {

// What numbers are compared in: a Python integer that the tensor's dtype does not have is not rounded to one it has.
int comparison_dtype(const atled_frame* frame, ArgSet args, int dtype) {
  if (dtype == ATLED_BOOL || dtype > ATLED_INT64 || dtype == ATLED_INT64) return dtype;
  for (int i = 0; args >> i; ++i) {
    const atled_value& v = frame->args[i];
    if (!(args >> i & 1) || v.tag != ATLED_INT_VALUE) continue;
    if (dtype == ATLED_UINT64) return v.u.i < 0 ? static_cast<int>(ATLED_FLOAT64) : dtype;
    const int bits = 8 * itemsize(dtype) - (is_signed(dtype) ? 1 : 0);
    const int64_t above = v.u.i >> bits;
    if (above != 0 && !(above == -1 && is_signed(dtype))) return ATLED_INT64;
  }
  return dtype;
}

void run_table(const LoopTable& table, atled_frame* frame, bool to_float, bool to_bool) {
  const ArgSet args = operands(frame->op);
  int dtype = promoted(frame, args);
  if (to_float) dtype = float_dtype(dtype);
  if (to_bool) dtype = comparison_dtype(frame, args, dtype);
  const atled_loop loop = find_loop(table, dtype);
  dtype = compute_dtype(dtype);
  Elementwise e;
  e.output(out_tensor(frame), to_bool ? static_cast<int>(ATLED_BOOL) : dtype);
  for (int i = 0; args >> i; ++i)
    if (args >> i & 1) e.operand(frame->args[i], dtype);
  e.run(loop);
}

}  // namespace

atled_loop find_loop(const LoopTable& table, int dtype) {
  const atled_loop loop = table[compute_dtype(dtype)];
  if (!loop)
    fail(ATLED_E_DTYPE, "expected a dtype that this op is defined for, got %s; cast the input", dtype_name(dtype));
  return loop;
}

int run_same(void* table, atled_frame* frame) noexcept {
  return guard([&] { run_table(*static_cast<const LoopTable*>(table), frame, false, false); });
}
int run_float(void* table, atled_frame* frame) noexcept {
  return guard([&] { run_table(*static_cast<const LoopTable*>(table), frame, true, false); });
}
int run_bool(void* table, atled_frame* frame) noexcept {
  return guard([&] { run_table(*static_cast<const LoopTable*>(table), frame, false, true); });
}

void cpu_kernel(const char* op, atled_kernel run) { add_kernel(op, kDLCPU, run); }

void cpu_kernel(const char* op, atled_kernel run, const LoopTable& table) {
  add_kernel(op, kDLCPU, run, const_cast<LoopTable*>(&table));
}

}  // namespace atled::core
