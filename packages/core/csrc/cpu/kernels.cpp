#include "cpu/kernels.h"

#include "ops/scalars.h"

namespace atled::core {

namespace {

void run_table(const LoopTable& table, atled_frame* frame, bool to_float, bool to_bool) {
  const ArgSet args = operands(frame->op);
  int dtype = promoted(frame, args);
  if (to_float) dtype = float_dtype(dtype);
  if (to_bool) dtype = comparison_dtype(frame, args, dtype);
  const atled_loop loop = find_loop(table, dtype);
  if (!table[dtype] || to_bool) dtype = compute_dtype(dtype);
  Elementwise e;
  e.output(out_tensor(frame), to_bool ? static_cast<int>(ATLED_BOOL) : dtype);
  for (int i = 0; args >> i; ++i)
    if (args >> i & 1) e.operand(frame->args[i], dtype);
  e.run(loop);
}

}  // namespace

atled_loop find_loop(const LoopTable& table, int dtype) {
  const atled_loop loop = table[dtype] ? table[dtype] : table[compute_dtype(dtype)];
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

void may_fuse(const char* op) { check(kernel_group->may_fuse(atled::Op(op).get())); }

void fused_kernel(const char* op, atled_kernel run) {
  cpu_kernel(op, run);
  may_fuse(op);
}

void cpu_kernel(const char* op, atled_kernel run, const LoopTable& table) {
  add_kernel(op, kDLCPU, run, const_cast<LoopTable*>(&table));
  may_fuse(op);
}

}  // namespace atled::core
