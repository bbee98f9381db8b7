// Products of small matrices of half precision by the 32 lanes of a warp together, which all take part, and copies from
// global to shared memory beside other work (PTX ISA: mma.m16n8k16, ldmatrix, cp.async; compute capability 8.0).
//
// With g = lane / 4 and t = lane % 4, a lane's registers hold of
//   A (16 x 16)  (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), each with the element to the right of it
//   B (16 x 8)   (2t, g), (2t + 8, g), each with the element below it
//   C (16 x 8)   (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1), of float
// so that C's of two neighbouring products, rounded, are an A. T is Half or BFloat16.
#pragma once

#include "atled/cuda.hpp"

#if defined(ATLED_EMULATED_CUDA)
#include "tensor_cores.h"  // the emulator's: the same functions, on the host
#else

namespace atled::nn {

// c += a b
template <class T>
static __device__ __forceinline__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, Half>)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

static __device__ __forceinline__ uint32_t in_shared(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Four matrices of 8 x 8; lane 8 m + r gives row r of matrix m in shared memory, at a multiple of 16 bytes. r[m] is
// (g, 2t) and (g, 2t + 1).
static __device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(in_shared(row))
               : "memory");
}
// The same, transposed: r[m] is (2t, g) and (2t + 1, g).
static __device__ __forceinline__ void load_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(in_shared(row))
               : "memory");
}

// Begins to copy 16 bytes, or zeros where nothing is `there`.
static __device__ __forceinline__ void copy_later(void* shared, const void* global, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(in_shared(shared)), "l"(global),
               "r"(there ? 16 : 0)
               : "memory");
}
// What this thread began to copy since it last called this is a group.
static __device__ __forceinline__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until all of this thread's groups but the last `Left` are there.
template <int Left>
static __device__ __forceinline__ void wait_for_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

// Two numbers, rounded, as a register holds them.
template <class T>
static __device__ __forceinline__ uint32_t packed(float first, float second) {
  uint32_t both;
  if constexpr (std::is_same_v<T, Half>)
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  else
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  return both;
}

// 2^x; 0 for minus infinity.
static __device__ __forceinline__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace atled::nn

#endif
