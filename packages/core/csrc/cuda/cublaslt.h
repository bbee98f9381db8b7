// What is used of cuBLASLt's interface, declared here so that building needs none of NVIDIA's headers but CUDA's own.
// tests/cuda/cublaslt_values.cpp compares it with cublasLt.h. Matrices are column-major.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace atled::core::cuda::lt {

constexpr const char* kFile = "libcublasLt.so.13";

using Status = int;
constexpr Status kSuccess = 0, kNotInitialized = 1, kAllocFailed = 3, kInvalidValue = 7, kArchMismatch = 8,
                 kNotSupported = 15;

enum ComputeType : int { kCompute32F = 68, kCompute64F = 70, kCompute32FFastTF32 = 77 };
enum DataType : int {  // CUDA's library_types.h
  kReal32F = 0,
  kReal64F = 1,
  kReal16F = 2,
  kComplex32F = 4,
  kComplex64F = 5,
  kReal16BF = 14,
  kReal8FE4M3 = 28,
  kReal8FE5M2 = 29,
};
enum Transpose : int32_t { kPlain = 0, kTransposed = 1 };

enum DescAttribute : int {
  kDescTransA = 3,       // Transpose
  kDescTransB = 4,       // Transpose
  kDescEpilogue = 7,     // uint32_t
  kDescBiasPointer = 8,  // const void*
  kDescAuxPointer = 11,  // void*
  kDescAuxLd = 12,       // int64_t, in elements, a multiple of 8
  kDescScaleA = 17,      // const float*, on the device
  kDescScaleB = 18,
};
// The default, or a set. GeluAux: gelu's argument is kept.
constexpr uint32_t kEpilogueDefault = 1, kEpilogueRelu = 2, kEpilogueBias = 4, kEpilogueGeluAux = 160;

enum LayoutAttribute : int {
  kLayoutBatchCount = 5,   // int32_t
  kLayoutBatchStride = 6,  // int64_t, in elements
};

enum PreferenceAttribute : int {
  kPreferenceWorkspace = 1,   // uint64_t, bytes
  kPreferenceReductions = 3,  // uint32_t, a set of reduction schemes
  kPreferenceAlignA = 5,      // uint32_t, bytes; B, C and D follow
  kPreferenceAlignB = 6,
  kPreferenceAlignC = 7,
  kPreferenceAlignD = 8,
};
// A product's length is split, and the parts' sums are added in a pass of their own: in a fixed order, not narrowed.
constexpr uint32_t kReductionInComputeType = 2;

struct Context;
struct DescOpaque;
struct LayoutOpaque;
struct PreferenceOpaque;
using Handle = Context*;
using Desc = DescOpaque*;
using Layout = LayoutOpaque*;
using Preference = PreferenceOpaque*;

struct Algo {
  uint64_t data[8];
};
struct HeuristicResult {
  Algo algo;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

// Every function that is used: X(member, name, parameters).
#define ATLED_CUBLASLT_FUNCTIONS(X)                                                                                  \
  X(create, cublasLtCreate, (Handle*))                                                                               \
  X(desc_create, cublasLtMatmulDescCreate, (Desc*, ComputeType, DataType))                                           \
  X(desc_destroy, cublasLtMatmulDescDestroy, (Desc))                                                                 \
  X(desc_set, cublasLtMatmulDescSetAttribute, (Desc, DescAttribute, const void*, size_t))                            \
  X(layout_create, cublasLtMatrixLayoutCreate, (Layout*, DataType, uint64_t rows, uint64_t columns, int64_t ld))     \
  X(layout_destroy, cublasLtMatrixLayoutDestroy, (Layout))                                                           \
  X(layout_set, cublasLtMatrixLayoutSetAttribute, (Layout, LayoutAttribute, const void*, size_t))                    \
  X(preference_create, cublasLtMatmulPreferenceCreate, (Preference*))                                                \
  X(preference_destroy, cublasLtMatmulPreferenceDestroy, (Preference))                                               \
  X(preference_set, cublasLtMatmulPreferenceSetAttribute, (Preference, PreferenceAttribute, const void*, size_t))    \
  X(heuristic, cublasLtMatmulAlgoGetHeuristic,                                                                       \
    (Handle, Desc, Layout a, Layout b, Layout c, Layout d, Preference, int asked, HeuristicResult*, int* found))     \
  X(matmul, cublasLtMatmul,                                                                                          \
    (Handle, Desc, const void* alpha, const void* a, Layout, const void* b, Layout, const void* beta, const void* c, \
     Layout, void* d, Layout, const Algo*, void* workspace, size_t, cudaStream_t))

struct Functions {
#define ATLED_CUBLASLT_MEMBER(member, name, parameters) Status(*member) parameters = nullptr;
  ATLED_CUBLASLT_FUNCTIONS(ATLED_CUBLASLT_MEMBER)
#undef ATLED_CUBLASLT_MEMBER
};

}  // namespace atled::core::cuda::lt
