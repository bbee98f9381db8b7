// A stand-in for cuDNN, libcudnn.so.9: the functions of nn's cuda/cudnn.h, which read the descriptors as NVIDIA's do
// and convolve element by element when the stream is waited for. What NVIDIA's library would refuse as a mistake, or
// would read or write wrongly, ends the process.
//
// It first offers algorithms that add in no fixed order, that round to half precision and that add in it, which nobody
// may take; then one that prepares but does not run windows of one element; then one for addresses that are multiples
// of 16, which rounds float32 to TensorFloat-32, wants workspace and fills it, and with ATLED_EMULATED_CUDNN_SLOW takes
// its time. As a last resort, one computes exactly; it knows float64 in row-major order only, and no dilated windows of
// bfloat16.
#include "cuda/cudnn.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "atled/dtype.hpp"
#include "emulator.h"

using namespace atled::nn::cudnn;

namespace atled::nn::cudnn {
struct Context {
  int device;
  cudaStream_t stream = nullptr;
};
}  // namespace atled::nn::cudnn

namespace {

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "emulated cuDNN: %s\n", why.c_str());
  std::abort();
}
void expect(bool holds, const std::string& what) {
  if (!holds) refuse(what);
}

thread_local std::string last_error;
Status unsupported(const char* why) {
  last_error = why;
  return kNotSupported;
}
Status bad(const char* why) {
  last_error = why;
  return kBadParam;
}

// ---- descriptors ----

struct State;
struct Values {
  Type type;
  int64_t count;
  std::vector<char> bytes;
  std::vector<std::shared_ptr<State>> states;  // of descriptors
};
enum class Engine { kUnordered, kNarrow, kCoarse, kShy, kTensorCore, kExact };
struct State {
  Kind kind;
  bool finalized = false;
  std::map<Attribute, Values> values;
  // What cuDNN puts in: a configuration's and an engine's
  Engine engine{};
  std::shared_ptr<State> graph;

  const Values& at(Attribute attribute) const {
    const auto found = values.find(attribute);
    expect(found != values.end(),
           "a descriptor of kind " + std::to_string(kind) + " without attribute " + std::to_string(attribute));
    return found->second;
  }
  template <class T>
  T one(Attribute attribute) const {
    T value;
    expect(at(attribute).bytes.size() == sizeof value, "an attribute of another size");
    std::memcpy(&value, at(attribute).bytes.data(), sizeof value);
    return value;
  }
  std::vector<int64_t> ints(Attribute attribute) const {
    std::vector<int64_t> list(static_cast<size_t>(at(attribute).count));
    std::memcpy(list.data(), at(attribute).bytes.data(), at(attribute).bytes.size());
    return list;
  }
  const State& state(Attribute attribute) const { return *at(attribute).states.at(0); }
};
using Shared = std::shared_ptr<State>;

Shared& shared(Descriptor descriptor) {
  expect(descriptor != nullptr, "no descriptor");
  return *static_cast<Shared*>(descriptor);
}

size_t size_of(Type type) {
  switch (type) {
    case kTypeHandle:
    case kTypeInt64:
    case kTypeDouble:
    case kTypePointer:
    case kTypeDescriptor:
      return 8;
    default:
      return 4;
  }
}

Attribute first_of(Kind operation) {
  return operation == kForward         ? kForwardAlpha
         : operation == kBackwardInput ? kBackwardInputAlpha
                                       : kBackwardWeightAlpha;
}
bool is_operation(Kind kind) { return kind == kForward || kind == kBackwardInput || kind == kBackwardWeight; }

// What may be set: of which type, how many, and for descriptors of which kind.
struct Rule {
  Type type;
  int64_t least, most;
  Kind kind = kTensor;
};
Rule rule_of(Kind kind, Attribute attribute, Type given) {
  if (is_operation(kind)) {
    switch (attribute - first_of(kind)) {
      case 0:
      case 1:
        return {given == kTypeDouble ? kTypeDouble : kTypeFloat, 1, 1};
      case 2:
        return {kTypeDescriptor, 1, 1, kConvolution};
      case 3:
      case 4:
      case 5:
        return {kTypeDescriptor, 1, 1, kTensor};
      default:
        refuse("an unknown attribute of an operation");
    }
  }
  static const std::map<std::pair<Kind, Attribute>, Rule> rules{
      {{kConvolution, kConvolutionComputeType}, {kTypeDataType, 1, 1}},
      {{kConvolution, kConvolutionMode}, {kTypeMode, 1, 1}},
      {{kConvolution, kConvolutionDims}, {kTypeInt64, 1, 1}},
      {{kConvolution, kConvolutionDilations}, {kTypeInt64, 1, 8}},
      {{kConvolution, kConvolutionStrides}, {kTypeInt64, 1, 8}},
      {{kConvolution, kConvolutionPaddingBefore}, {kTypeInt64, 1, 8}},
      {{kConvolution, kConvolutionPaddingAfter}, {kTypeInt64, 1, 8}},
      {{kEngineHeuristic, kHeuristicMode}, {kTypeHeuristic, 1, 1}},
      {{kEngineHeuristic, kHeuristicGraph}, {kTypeDescriptor, 1, 1, kGraph}},
      {{kExecutionPlan, kPlanHandle}, {kTypeHandle, 1, 1}},
      {{kExecutionPlan, kPlanConfig}, {kTypeDescriptor, 1, 1, kEngineConfig}},
      {{kGraph, kGraphHandle}, {kTypeHandle, 1, 1}},
      {{kGraph, kGraphOperations}, {kTypeDescriptor, 1, 1}},
      {{kTensor, kTensorAlignment}, {kTypeInt64, 1, 1}},
      {{kTensor, kTensorDataType}, {kTypeDataType, 1, 1}},
      {{kTensor, kTensorDimensions}, {kTypeInt64, 4, 5}},
      {{kTensor, kTensorStrides}, {kTypeInt64, 4, 5}},
      {{kTensor, kTensorId}, {kTypeInt64, 1, 1}},
      {{kVariantPack, kPackIds}, {kTypeInt64, 1, 64}},
      {{kVariantPack, kPackPointers}, {kTypePointer, 1, 64}},
      {{kVariantPack, kPackWorkspace}, {kTypePointer, 1, 1}},
  };
  const auto found = rules.find({kind, attribute});
  expect(found != rules.end(), "an attribute that cannot be set: " + std::to_string(attribute));
  return found->second;
}

// ---- what a graph computes ----

// Of a volume. An image is one of one plane.
struct View {
  std::vector<int64_t> dims, strides;
  int64_t id, alignment;

  int64_t operator()(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e) const {
    return a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3] + e * strides[4];
  }
  int64_t count() const { return dims[0] * dims[1] * dims[2] * dims[3] * dims[4]; }
  // Its last element, for none are skipped.
  bool is_whole() const {
    return (*this)(dims[0] - 1, dims[1] - 1, dims[2] - 1, dims[3] - 1, dims[4] - 1) == count() - 1;
  }
  bool in_rows() const { return strides[4] == 1 && strides[1] == dims[2] * dims[3] * dims[4]; }
};
View view_of(const State& tensor) {
  View view{tensor.ints(kTensorDimensions), tensor.ints(kTensorStrides), tensor.one<int64_t>(kTensorId),
            tensor.one<int64_t>(kTensorAlignment)};
  if (view.dims.size() == 4) view.dims.insert(view.dims.begin() + 2, 1);
  if (view.strides.size() == 4) view.strides.insert(view.strides.begin() + 2, 0);
  return view;
}
// A convolution's sizes, in depth too.
std::vector<int64_t> sizes_of(const State& convolution, Attribute attribute, int64_t depth) {
  std::vector<int64_t> sizes = convolution.ints(attribute);
  if (sizes.size() == 2) sizes.insert(sizes.begin(), depth);
  return sizes;
}

struct Work {
  Kind kind;
  DataType type;
  View weight, input, output;
  std::vector<int64_t> stride, padding, dilation;
  bool rounds = false;  // to TensorFloat-32
};
Work work_of(const State& operation) {
  const auto attribute = [&](int i) { return static_cast<Attribute>(first_of(operation.kind) + i); };
  const State& c = operation.state(attribute(2));
  Work w;
  w.kind = operation.kind;
  w.type = operation.state(attribute(3)).one<DataType>(kTensorDataType);
  w.weight = view_of(operation.state(attribute(3)));
  w.input = view_of(operation.state(attribute(4)));
  w.output = view_of(operation.state(attribute(5)));
  w.stride = sizes_of(c, kConvolutionStrides, 1);
  w.padding = sizes_of(c, kConvolutionPaddingBefore, 0);
  w.dilation = sizes_of(c, kConvolutionDilations, 1);
  return w;
}

float rounded(float x) {
  const uint32_t bits = atled::float_to_bits(x);
  return atled::bits_to_float((bits + 0xfffu + (bits >> 13 & 1)) & ~0x1fffu);
}

// Where an element of a volume is, of which `dims` says the sizes.
void locate(int64_t index, const std::vector<int64_t>& dims, int64_t place[3]) {
  for (size_t i = 3; i-- > 0; index /= dims[i + 2]) place[i] = index % dims[i + 2];
}

// One of the three is the sum of products of the two others.
template <class T>
void run(const Work& w, T* weight, T* input, T* output) {
  const auto read = [&](T x) {
    if constexpr (std::is_same_v<T, double>) return x;
    const auto single = static_cast<float>(x);
    return static_cast<double>(w.rounds ? rounded(single) : single);
  };
  const View& result = w.kind == kForward ? w.output : w.kind == kBackwardInput ? w.input : w.weight;
  T* into = w.kind == kForward ? output : w.kind == kBackwardInput ? input : weight;
  std::vector<double> sums(static_cast<size_t>(result.count()));
  const int64_t per_group = w.weight.dims[1], groups = w.input.dims[1] / per_group;
  const int64_t outputs = w.output.dims[1] / groups;
  for (int64_t n = 0; n < w.output.dims[0]; ++n)
    for (int64_t k = 0; k < w.output.dims[1]; ++k)
      for (int64_t to = 0; to < w.output.dims[2] * w.output.dims[3] * w.output.dims[4]; ++to) {
        int64_t place[3];
        locate(to, w.output.dims, place);
        for (int64_t c = 0; c < per_group; ++c)
          for (int64_t tap = 0; tap < w.weight.dims[2] * w.weight.dims[3] * w.weight.dims[4]; ++tap) {
            int64_t step[3], from[3];
            locate(tap, w.weight.dims, step);
            bool inside = true;
            for (size_t i = 0; i < 3; ++i) {
              from[i] = place[i] * w.stride[i] - w.padding[i] + step[i] * w.dilation[i];
              inside = inside && from[i] >= 0 && from[i] < w.input.dims[i + 2];
            }
            if (!inside) continue;
            const int64_t at_weight = w.weight(k, c, step[0], step[1], step[2]);
            const int64_t at_output = w.output(n, k, place[0], place[1], place[2]);
            const int64_t at_input = w.input(n, k / outputs * per_group + c, from[0], from[1], from[2]);
            if (w.kind == kForward)
              sums[static_cast<size_t>(at_output)] += read(weight[at_weight]) * read(input[at_input]);
            else if (w.kind == kBackwardInput)
              sums[static_cast<size_t>(at_input)] += read(weight[at_weight]) * read(output[at_output]);
            else
              sums[static_cast<size_t>(at_weight)] += read(output[at_output]) * read(input[at_input]);
          }
      }
  for (size_t i = 0; i < sums.size(); ++i) {
    if constexpr (std::is_same_v<T, double>)
      into[i] = sums[i];
    else
      into[i] = static_cast<T>(static_cast<float>(sums[i]));
  }
}

void run_typed(const Work& w, void* weight, void* input, void* output) {
  const auto as = [&](auto element) {
    using T = decltype(element);
    run(w, static_cast<T*>(weight), static_cast<T*>(input), static_cast<T*>(output));
  };
  w.type == kHalf       ? as(atled::Half{})
  : w.type == kBFloat16 ? as(atled::BFloat16{})
  : w.type == kFloat    ? as(float{})
                        : as(double{});
}

// ---- what finalizing checks ----

Status check_convolution(const State& s) {
  const int64_t dims = s.one<int64_t>(kConvolutionDims);
  expect(dims == 2 || dims == 3, "a convolution of neither two dimensions nor three");
  expect(s.one<Mode>(kConvolutionMode) == kCrossCorrelation, "another convolution");
  for (const Attribute a :
       {kConvolutionDilations, kConvolutionStrides, kConvolutionPaddingBefore, kConvolutionPaddingAfter})
    if (s.at(a).count != dims) return bad("as many values as dimensions");
  for (const Attribute a : {kConvolutionDilations, kConvolutionStrides})
    for (const int64_t i : s.ints(a)) expect(i >= 1, "a stride or dilation less than 1");
  expect(s.ints(kConvolutionPaddingBefore) == s.ints(kConvolutionPaddingAfter), "a padding of two widths");
  return kSuccess;
}

Status check_tensor(const State& s) {
  const View v = view_of(s);
  for (const int64_t d : v.dims)
    if (d < 1) return bad("an empty tensor");
  expect(v.is_whole(), "a tensor with gaps");
  const std::vector<int64_t>&d = v.dims, &t = v.strides;
  const bool deep = s.at(kTensorDimensions).count == 5;
  expect(s.at(kTensorStrides).count == s.at(kTensorDimensions).count, "as many strides as dimensions");
  const int64_t plane = d[3] * d[4], depth = deep ? plane : 0;  // an image has no stride in depth
  const bool rows = t == std::vector<int64_t>{d[1] * d[2] * plane, d[2] * plane, depth, d[4], 1};
  const bool last = t == std::vector<int64_t>{d[1] * d[2] * plane, 1, depth * d[1], d[4] * d[1], d[1]};
  expect(rows || last, "strides of no layout");
  const DataType type = s.one<DataType>(kTensorDataType);
  expect(type == kFloat || type == kDouble || type == kHalf || type == kBFloat16, "an unknown data type");
  expect(v.alignment >= (type == kDouble ? 8 : type == kFloat ? 4 : 2) && v.alignment <= 16, "a wrong alignment");
  return kSuccess;
}

Status check_operation(const State& s) {
  const auto attribute = [&](int i) { return static_cast<Attribute>(first_of(s.kind) + i); };
  const Work w = work_of(s);
  const bool wide = w.type == kDouble;
  const Type factor = s.at(attribute(0)).type;
  expect(factor == s.at(attribute(1)).type && factor == (wide ? kTypeDouble : kTypeFloat), "factors of another type");
  expect((wide ? s.one<double>(attribute(0)) : s.one<float>(attribute(0))) == 1, "an alpha that is not 1");
  expect((wide ? s.one<double>(attribute(1)) : s.one<float>(attribute(1))) == 0, "a beta that is not 0");
  for (int i = 3; i < 6; ++i)
    expect(s.state(attribute(i)).one<DataType>(kTensorDataType) == w.type, "tensors of several types");
  expect(s.state(attribute(2)).one<DataType>(kConvolutionComputeType) == (wide ? kDouble : kFloat),
         "sums that are not as wide as they should be");
  expect(w.weight.id != w.input.id && w.input.id != w.output.id && w.weight.id != w.output.id, "one number for two");
  if (w.input.dims[0] != w.output.dims[0] || w.weight.dims[0] != w.output.dims[1] ||
      w.input.dims[1] % w.weight.dims[1] || w.weight.dims[0] % (w.input.dims[1] / w.weight.dims[1]))
    return bad("channels that do not fit");
  for (int i = 3; i < 6; ++i)
    if (s.state(attribute(i)).at(kTensorDimensions).count != s.state(attribute(2)).one<int64_t>(kConvolutionDims) + 2)
      return bad("tensors and a convolution of several dimensions");
  for (size_t i = 0; i < 3; ++i) {
    const int64_t span = w.dilation[i] * (w.weight.dims[i + 2] - 1) + 1;
    if ((w.input.dims[i + 2] + 2 * w.padding[i] - span) / w.stride[i] + 1 != w.output.dims[i + 2])
      return bad("sizes that do not fit");
  }
  return kSuccess;
}

const State& operation_of(const State& config) { return config.graph->state(kGraphOperations); }

Status check_plan(const State& s) {
  const State& config = s.state(kPlanConfig);
  expect(s.one<Handle>(kPlanHandle)->device == config.graph->one<Handle>(kGraphHandle)->device, "two devices");
  const Work w = work_of(operation_of(config));
  const bool rows = w.input.in_rows() && w.weight.in_rows() && w.output.in_rows();
  switch (config.engine) {
    case Engine::kUnordered:
    case Engine::kNarrow:
    case Engine::kCoarse:
      refuse("an algorithm whose results are others each time, or too coarse");
    case Engine::kTensorCore:
      for (const View* v : {&w.weight, &w.input, &w.output})
        if (v->alignment < 16) return unsupported("an address that is no multiple of 16");
      return w.type == kDouble ? unsupported("float64") : kSuccess;
    case Engine::kExact:
      if (w.type == kDouble && !rows) return unsupported("float64 with the channels last");
      if (w.type == kBFloat16 && (w.dilation[0] > 1 || w.dilation[1] > 1 || w.dilation[2] > 1))
        return unsupported("dilated bfloat16");
      return kSuccess;
    case Engine::kShy:
      return w.weight.dims[2] * w.weight.dims[3] * w.weight.dims[4] == 1 ? kSuccess
                                                                         : unsupported("more than one element");
  }
  return kSuccess;
}

int64_t workspace_of(const State& plan) { return plan.state(kPlanConfig).engine == Engine::kTensorCore ? 1000 : 0; }

std::vector<Engine> engines_of(const State& heuristic) {
  if (heuristic.one<Heuristic>(kHeuristicMode) == kHeuristicFallback) return {Engine::kExact};
  expect(heuristic.one<Heuristic>(kHeuristicMode) == kHeuristicA, "another heuristic");
  return {Engine::kUnordered, Engine::kNarrow, Engine::kCoarse, Engine::kShy, Engine::kTensorCore};
}

std::vector<Note> notes_of(Engine engine) {
  switch (engine) {
    case Engine::kUnordered:
      return {kNoteTensorCore, kNoteNondeterministic};
    case Engine::kNarrow:
      return {kNoteDownConvertInputs};
    case Engine::kCoarse:
      return {kNoteTensorCore, kNoteReducedPrecision};
    case Engine::kTensorCore:
      return {kNoteTensorCore};
    default:
      return {};
  }
}

}  // namespace

// ---- the library ----

// How often algorithms were asked for, for tests.
static std::atomic<int> choices{0};
extern "C" __attribute__((visibility("default"))) int atled_emulator_cudnn_choices() { return choices; }

#define ATLED_ENTRY(result) extern "C" __attribute__((visibility("default"))) result

ATLED_ENTRY(const char*) cudnnGetErrorString(Status status) {
  return status == kSuccess    ? "CUDNN_STATUS_SUCCESS"
         : status == kBadParam ? "CUDNN_STATUS_BAD_PARAM"
                               : "CUDNN_STATUS_NOT_SUPPORTED";
}
ATLED_ENTRY(void) cudnnGetLastErrorString(char* message, size_t size) {
  std::snprintf(message, size, "%s", last_error.c_str());
}

ATLED_ENTRY(Status) cudnnCreate(Handle* out) {
  *out = new Context{atled::emulator::current_device()};
  return kSuccess;
}
ATLED_ENTRY(Status) cudnnSetStream(Handle handle, cudaStream_t stream) {
  expect(handle->device == atled::emulator::current_device(), "a handle of another device");
  handle->stream = stream;
  return kSuccess;
}

ATLED_ENTRY(Status) cudnnBackendCreateDescriptor(Kind kind, Descriptor* out) {
  auto made = std::make_shared<State>();
  made->kind = kind;
  *out = new Shared(made);
  return kSuccess;
}
ATLED_ENTRY(Status) cudnnBackendDestroyDescriptor(Descriptor descriptor) {
  delete &shared(descriptor);
  return kSuccess;
}

ATLED_ENTRY(Status)
cudnnBackendSetAttribute(Descriptor descriptor, Attribute attribute, Type type, int64_t count, const void* from) {
  State& s = *shared(descriptor);
  expect(!s.finalized, "an attribute is set after the end");
  const Rule rule = rule_of(s.kind, attribute, type);
  expect(type == rule.type, "attribute " + std::to_string(attribute) + " of another type");
  expect(count >= rule.least && count <= rule.most, "too few or too many values");
  const auto* bytes = static_cast<const char*>(from);
  Values values{type, count, {bytes, bytes + size_of(type) * static_cast<size_t>(count)}, {}};
  if (type == kTypeDescriptor)
    for (int64_t i = 0; i < count; ++i) {
      const Shared& other = shared(static_cast<const Descriptor*>(from)[i]);
      expect(other->finalized, "a descriptor that is not finished");
      expect(attribute == kGraphOperations ? is_operation(other->kind) : other->kind == rule.kind,
             "a descriptor of another kind");
      values.states.push_back(other);
    }
  s.values[attribute] = std::move(values);
  return kSuccess;
}

ATLED_ENTRY(Status) cudnnBackendFinalize(Descriptor descriptor) {
  State& s = *shared(descriptor);
  expect(!s.finalized, "a descriptor is finished twice");
  Status status = kSuccess;
  if (s.kind == kConvolution) status = check_convolution(s);
  if (s.kind == kTensor) status = check_tensor(s);
  if (is_operation(s.kind)) status = check_operation(s);
  if (s.kind == kExecutionPlan) status = check_plan(s);
  if (s.kind == kEngineHeuristic) {
    (void)engines_of(s);
    ++choices;
  }
  if (s.kind == kGraph)
    expect(s.one<Handle>(kGraphHandle)->device >= 0 && s.at(kGraphOperations).count == 1, "a graph");
  if (s.kind == kVariantPack) {
    expect(s.at(kPackIds).count == s.at(kPackPointers).count, "as many pointers as numbers");
    (void)s.at(kPackWorkspace);
  }
  expect(s.kind != kEngine && s.kind != kEngineConfig, "a descriptor that cuDNN fills is finished by others");
  s.finalized = status == kSuccess;
  return status;
}

ATLED_ENTRY(Status)
cudnnBackendGetAttribute(Descriptor descriptor, Attribute attribute, Type type, int64_t asked, int64_t* found,
                         void* into) {
  const Shared& s = shared(descriptor);
  expect(s->finalized, "a descriptor that is not finished");
  const auto fill = [](void* place, const Shared& state) {
    Shared& other = shared(*static_cast<Descriptor*>(place));
    expect(other->kind == state->kind && !other->finalized, "a descriptor that cannot be filled");
    state->finalized = true;
    other = state;
  };
  if (s->kind == kEngineHeuristic && attribute == kHeuristicResults) {
    expect(type == kTypeDescriptor, "another type");
    const std::vector<Engine> engines = engines_of(*s);
    *found = static_cast<int64_t>(engines.size());
    for (int64_t i = 0; i < std::min(asked, *found); ++i) {
      auto config = std::make_shared<State>();
      config->kind = kEngineConfig;
      config->engine = engines[static_cast<size_t>(i)];
      config->graph = s->at(kHeuristicGraph).states.at(0);
      fill(static_cast<Descriptor*>(into) + i, config);
    }
  } else if (s->kind == kEngineConfig && attribute == kConfigEngine) {
    expect(type == kTypeDescriptor && asked == 1, "another type or number");
    auto engine = std::make_shared<State>();
    engine->kind = kEngine;
    engine->engine = s->engine;
    fill(into, engine);
    *found = 1;
  } else if (s->kind == kEngine && attribute == kEngineNote) {
    expect(type == kTypeNote && asked == kMostNotes, "another type or number");
    const std::vector<Note> notes = notes_of(s->engine);
    std::copy(notes.begin(), notes.end(), static_cast<Note*>(into));
    *found = static_cast<int64_t>(notes.size());
  } else if (s->kind == kExecutionPlan && attribute == kPlanWorkspace) {
    expect(type == kTypeInt64 && asked == 1, "another type or number");
    *static_cast<int64_t*>(into) = workspace_of(*s);
    *found = 1;
  } else {
    refuse("an attribute that cannot be asked for");
  }
  return kSuccess;
}

ATLED_ENTRY(Status) cudnnBackendExecute(Handle handle, Descriptor plan, Descriptor pack) {
  const State &p = *shared(plan), &v = *shared(pack);
  expect(p.finalized && v.finalized && p.kind == kExecutionPlan && v.kind == kVariantPack, "other descriptors");
  expect(handle->device == atled::emulator::current_device() && handle->device == p.one<Handle>(kPlanHandle)->device,
         "a handle of another device");
  const State& config = p.state(kPlanConfig);
  if (config.engine == Engine::kShy) return unsupported("it was not to run");
  Work w = work_of(operation_of(config));
  w.rounds = config.engine == Engine::kTensorCore && w.type == kFloat;
  const bool slow = config.engine == Engine::kTensorCore && std::getenv("ATLED_EMULATED_CUDNN_SLOW");
  const auto is_here = [&](const void* pointer) {
    int device = -1;
    return atled::emulator::on_device(pointer, &device) && device == handle->device;
  };
  const int64_t size = w.type == kDouble ? 8 : w.type == kFloat ? 4 : 2;
  const std::vector<int64_t> ids = v.ints(kPackIds), pointers = [&] {
    std::vector<int64_t> list(ids.size());
    std::memcpy(list.data(), v.at(kPackPointers).bytes.data(), v.at(kPackPointers).bytes.size());
    return list;
  }();
  const auto pointer_of = [&](const View& view) {
    const auto found = std::find(ids.begin(), ids.end(), view.id);
    expect(found != ids.end(), "a tensor without a pointer");
    void* pointer = reinterpret_cast<void*>(pointers[static_cast<size_t>(found - ids.begin())]);
    expect(is_here(pointer) && is_here(static_cast<char*>(pointer) + view.count() * size - 1),
           "memory that is not the device's");
    expect(reinterpret_cast<uintptr_t>(pointer) % static_cast<uintptr_t>(view.alignment) == 0,
           "an address less aligned than said");
    return pointer;
  };
  void *weight = pointer_of(w.weight), *input = pointer_of(w.input), *output = pointer_of(w.output);
  void* room = v.one<void*>(kPackWorkspace);
  const int64_t wanted = workspace_of(p);
  expect(wanted == 0 || (is_here(room) && is_here(static_cast<char*>(room) + wanted - 1) &&
                         reinterpret_cast<uintptr_t>(room) % 256 == 0),
         "workspace that is not the device's, or not aligned");
  const bool captured = atled::emulator::capturing(handle->stream);
  const std::weak_ptr<State> alive = shared(plan);
  const cudaError_t status = atled::emulator::enqueue(handle->stream, [=] {
    expect(!captured || !alive.expired(), "a graph runs whose plan is gone, and with it the plan's kernels");
    if (slow) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (wanted) std::memset(room, 0xab, static_cast<size_t>(wanted));
    run_typed(w, weight, input, output);
  });
  expect(status == cudaSuccess, "a stream that takes no work");
  return kSuccess;
}
