// What is used of cuDNN's graph interface, declared here so that building needs none of NVIDIA's headers but CUDA's
// own. tests/cudnn_values.cpp compares it with cudnn_graph.h.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace atled::nn::cudnn {

constexpr const char* kFile = "libcudnn.so.9";

using Status = int;
constexpr Status kSuccess = 0, kBadParam = 2000, kNotSupported = 3000;

enum DataType : int { kFloat = 0, kDouble = 1, kHalf = 2, kBFloat16 = 9 };
enum Mode : int { kCrossCorrelation = 1 };
enum Heuristic : int { kHeuristicFallback = 2, kHeuristicA = 3 };
enum Note : int {
  kNoteTensorCore = 0,
  kNoteDownConvertInputs = 1,
  kNoteReducedPrecision = 2,  // of sums
  kNoteNondeterministic = 4,
  kMostNotes = 10,
};

// What an attribute's elements are.
enum Type : int {
  kTypeHandle = 0,
  kTypeDataType = 1,
  kTypeInt64 = 3,
  kTypeFloat = 4,
  kTypeDouble = 5,
  kTypePointer = 6,
  kTypeMode = 7,
  kTypeHeuristic = 8,
  kTypeNote = 11,
  kTypeDescriptor = 15,
};

enum Kind : int {
  kConvolution = 1,
  kEngine = 2,
  kEngineConfig = 3,
  kEngineHeuristic = 4,
  kExecutionPlan = 5,
  kForward = 10,
  kBackwardWeight = 11,
  kBackwardInput = 12,
  kGraph = 15,
  kVariantPack = 16,
  kTensor = 17,
};

enum Attribute : int {
  kConvolutionComputeType = 100,
  kConvolutionMode = 101,
  kConvolutionDilations = 102,
  kConvolutionStrides = 103,
  kConvolutionPaddingAfter = 104,
  kConvolutionPaddingBefore = 105,
  kConvolutionDims = 106,  // int64_t: how many dimensions the three have
  kHeuristicMode = 200,
  kHeuristicGraph = 201,
  kHeuristicResults = 202,
  kConfigEngine = 300,
  kPlanHandle = 400,
  kPlanConfig = 401,
  kPlanWorkspace = 402,
  // The six of each of the three operations. In order: alpha, beta, the convolution, then
  // w, x, y of the forward one, w, dx, dy of the input's gradient, dw, x, dy of the weight's.
  kForwardAlpha = 700,
  kBackwardInputAlpha = 706,
  kBackwardWeightAlpha = 712,
  kGraphHandle = 800,
  kGraphOperations = 801,
  kTensorAlignment = 900,
  kTensorDataType = 901,
  kTensorDimensions = 902,
  kTensorStrides = 903,
  kTensorId = 906,
  kPackIds = 1000,
  kPackPointers = 1001,
  kPackWorkspace = 1003,
  kEngineNote = 1303,
};

struct Context;
using Handle = Context*;
using Descriptor = void*;

// Every function that is used: X(result, member, name, parameters).
#define ATLED_CUDNN_FUNCTIONS(X)                                                                          \
  X(const char*, error_string, cudnnGetErrorString, (Status))                                             \
  X(void, last_error, cudnnGetLastErrorString, (char*, size_t))                                           \
  X(Status, create, cudnnCreate, (Handle*))                                                               \
  X(Status, set_stream, cudnnSetStream, (Handle, cudaStream_t))                                           \
  X(Status, describe, cudnnBackendCreateDescriptor, (Kind, Descriptor*))                                  \
  X(Status, destroy, cudnnBackendDestroyDescriptor, (Descriptor))                                         \
  X(Status, finalize, cudnnBackendFinalize, (Descriptor))                                                 \
  X(Status, set, cudnnBackendSetAttribute, (Descriptor, Attribute, Type, int64_t count, const void*))     \
  X(Status, get, cudnnBackendGetAttribute, (Descriptor, Attribute, Type, int64_t asked, int64_t*, void*)) \
  X(Status, execute, cudnnBackendExecute, (Handle, Descriptor plan, Descriptor pack))

struct Functions {
#define ATLED_CUDNN_MEMBER(result, member, name, parameters) result(*member) parameters = nullptr;
  ATLED_CUDNN_FUNCTIONS(ATLED_CUDNN_MEMBER)
#undef ATLED_CUDNN_MEMBER
};

}  // namespace atled::nn::cudnn
