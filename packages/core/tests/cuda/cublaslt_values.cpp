// cuda/cublaslt.h beside NVIDIA's header; compiled where that is at hand, never run.
#include <cublasLt.h>

#include <cstddef>

#include "cuda/cublaslt.h"

namespace lt = atled::core::cuda::lt;

#define ATLED_SAME(ours, theirs) static_assert(static_cast<long>(lt::ours) == static_cast<long>(theirs), #theirs)

ATLED_SAME(kSuccess, CUBLAS_STATUS_SUCCESS);
ATLED_SAME(kNotInitialized, CUBLAS_STATUS_NOT_INITIALIZED);
ATLED_SAME(kAllocFailed, CUBLAS_STATUS_ALLOC_FAILED);
ATLED_SAME(kInvalidValue, CUBLAS_STATUS_INVALID_VALUE);
ATLED_SAME(kArchMismatch, CUBLAS_STATUS_ARCH_MISMATCH);
ATLED_SAME(kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED);
ATLED_SAME(kCompute32F, CUBLAS_COMPUTE_32F);
ATLED_SAME(kCompute64F, CUBLAS_COMPUTE_64F);
ATLED_SAME(kCompute32FFastTF32, CUBLAS_COMPUTE_32F_FAST_TF32);
ATLED_SAME(kReal16F, CUDA_R_16F);
ATLED_SAME(kReal16BF, CUDA_R_16BF);
ATLED_SAME(kReal8FE4M3, CUDA_R_8F_E4M3);
ATLED_SAME(kReal8FE5M2, CUDA_R_8F_E5M2);
ATLED_SAME(kReal32F, CUDA_R_32F);
ATLED_SAME(kReal64F, CUDA_R_64F);
ATLED_SAME(kComplex32F, CUDA_C_32F);
ATLED_SAME(kComplex64F, CUDA_C_64F);
ATLED_SAME(kPlain, CUBLAS_OP_N);
ATLED_SAME(kTransposed, CUBLAS_OP_T);
ATLED_SAME(kDescTransA, CUBLASLT_MATMUL_DESC_TRANSA);
ATLED_SAME(kDescTransB, CUBLASLT_MATMUL_DESC_TRANSB);
ATLED_SAME(kDescEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
ATLED_SAME(kDescBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
ATLED_SAME(kDescAuxPointer, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER);
ATLED_SAME(kDescAuxLd, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD);
ATLED_SAME(kDescScaleA, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER);
ATLED_SAME(kDescScaleB, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER);
ATLED_SAME(kEpilogueDefault, CUBLASLT_EPILOGUE_DEFAULT);
ATLED_SAME(kEpilogueRelu, CUBLASLT_EPILOGUE_RELU);
ATLED_SAME(kEpilogueBias, CUBLASLT_EPILOGUE_BIAS);
ATLED_SAME(kEpilogueGeluAux, CUBLASLT_EPILOGUE_GELU_AUX);
static_assert((lt::kEpilogueRelu | lt::kEpilogueBias) == CUBLASLT_EPILOGUE_RELU_BIAS, "a set");
static_assert((lt::kEpilogueGeluAux | lt::kEpilogueBias) == CUBLASLT_EPILOGUE_GELU_AUX_BIAS, "a set");
ATLED_SAME(kLayoutBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
ATLED_SAME(kLayoutBatchStride, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
ATLED_SAME(kPreferenceWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
ATLED_SAME(kPreferenceReductions, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
ATLED_SAME(kPreferenceAlignA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
ATLED_SAME(kPreferenceAlignB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
ATLED_SAME(kPreferenceAlignC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
ATLED_SAME(kPreferenceAlignD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
ATLED_SAME(kReductionInComputeType, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);

static_assert(sizeof(lt::Algo) == sizeof(cublasLtMatmulAlgo_t), "an algorithm");
static_assert(sizeof(lt::HeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t), "an answer");
static_assert(offsetof(lt::HeuristicResult, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize), "");
static_assert(offsetof(lt::HeuristicResult, state) == offsetof(cublasLtMatmulHeuristicResult_t, state), "");
static_assert(offsetof(lt::HeuristicResult, waves) == offsetof(cublasLtMatmulHeuristicResult_t, wavesCount), "");

// As many arguments of the same sizes, so that a call passes them alike.
template <class A, class B>
struct Alike;
template <class R, class... A, class S, class... B>
struct Alike<R (*)(A...), S (*)(B...)> {
  static constexpr bool value() {
    if constexpr (sizeof...(A) == sizeof...(B))
      return sizeof(R) == sizeof(S) && ((sizeof(A) == sizeof(B)) && ...);
    else
      return false;
  }
};
#define ATLED_ALIKE(member, name, parameters) \
  static_assert(Alike<decltype(lt::Functions::member), decltype(&name)>::value(), #name);
ATLED_CUBLASLT_FUNCTIONS(ATLED_ALIKE)
