// What the families' element-wise CPU kernels share: a table of loops by dtype, and the kernel that runs one.
#pragma once

#include "cpu/iterator.h"
#include "cpu/levels.h"
#include "dispatch/register.h"
#include "functors/copy.h"
#include "functors/types.h"
#include "ops/rules.h"

namespace atled::core {

// The loop of each dtype; NULL where there is none. float16 and bfloat16 run through float32's where they have no loop,
// which is for kernels that run_same calls.
struct LoopTable {
  atled_loop loops[ATLED_NUM_DTYPES] = {};

  atled_loop operator[](int dtype) const { return loops[dtype]; }
  atled_loop& operator[](int dtype) { return loops[dtype]; }

  // Signed integers share the unsigned loops: for arithmetic modulo 2^n.
  LoopTable& share_signed() {
    for (int dtype = ATLED_UINT8; dtype <= ATLED_INT64; dtype += 2) loops[dtype + 1] = loops[dtype];
    return *this;
  }
  template <class F, class... T>
  LoopTable& unary(Types<T...>) {
    ((loops[dtype_of<T>] = ATLED_PICK(unary<T, T, F>)), ...);
    return *this;
  }
  template <class F, class... T>
  LoopTable& binary(Types<T...>) {
    ((loops[dtype_of<T>] = ATLED_PICK(binary<T, T, T, F>)), ...);
    return *this;
  }
  // Compiled once: for functors that call the library or divide integers, which no level does faster.
  template <class F, class... T>
  LoopTable& unary_plain(Types<T...>) {
    ((loops[dtype_of<T>] = Baseline::unary<T, T, F>), ...);
    return *this;
  }
  template <class F, class... T>
  LoopTable& binary_plain(Types<T...>) {
    ((loops[dtype_of<T>] = Baseline::binary<T, T, T, F>), ...);
    return *this;
  }
  template <class F, class... T>
  LoopTable& ternary(Types<T...>) {
    ((loops[dtype_of<T>] = ATLED_PICK(ternary<T, T, T, T, F>)), ...);
    return *this;
  }
  // float16 and bfloat16 by their bits, of which F knows infinity's.
  template <template <uint16_t> class F>
  LoopTable& half_bits() {
    loops[ATLED_FLOAT16] = ATLED_PICK(binary<uint16_t, uint16_t, uint16_t, F<0x7C00>>);
    loops[ATLED_BFLOAT16] = ATLED_PICK(binary<uint16_t, uint16_t, uint16_t, F<0x7F80>>);
    return *this;
  }
  // Results are bool.
  template <class F, class... T>
  LoopTable& test(Types<T...>) {
    ((loops[dtype_of<T>] = ATLED_PICK(unary<bool, Stored<T>, F>)), ...);
    return *this;
  }
  template <class F, class... T>
  LoopTable& compare(Types<T...>) {
    ((loops[dtype_of<T>] = ATLED_PICK(binary<bool, Stored<T>, Stored<T>, F>)), ...);
    return *this;
  }
};

// The loop for a dtype, or for what float16 and bfloat16 are computed in, or NotImplementedOpError naming the dtype.
atled_loop find_loop(const LoopTable& table, int dtype);

// Kernels over all operands of the op; ctx is the LoopTable.
int run_same(void* table, atled_frame* frame) noexcept;   // in and out the promoted dtype
int run_float(void* table, atled_frame* frame) noexcept;  // ... where integers become the default float
int run_bool(void* table, atled_frame* frame) noexcept;   // ... and the result is bool

// Registers a kernel for the CPU; the table, if any, becomes its ctx.
void cpu_kernel(const char* op, atled_kernel run);
void cpu_kernel(const char* op, atled_kernel run, const LoopTable& table);
// Says that op's kernel touches memory by no more than one Elementwise::run, or one reduce, so that its calls may be
// put off (dispatch/fusion.h). Kernels with a table are such; fused_kernel registers others.
void may_fuse(const char* op);
void fused_kernel(const char* op, atled_kernel run);

}  // namespace atled::core
