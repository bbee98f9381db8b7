#include "cuda/convolution_plans.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include "atled/plan_key.h"
#include "cuda/cudnn_library.h"
#include "cuda/per_thread.h"

namespace atled::nn {

namespace {

using cudnn::functions;
using cudnn::Object;

// Choices that a thread keeps for a device, beside those that captured graphs hold.
constexpr size_t kMostChoices = 1024;
// How many algorithms are timed, and how often.
constexpr size_t kMostTimed = 8;
constexpr int kRuns = 3;
constexpr int64_t kIds[3] = {1, 2, 3};  // weight, input, output

std::atomic<bool> tf32{true}, timing{false};

using Key = PlanKey<21>;

// The largest power of two, up to 16, that an address is a multiple of; cuDNN asks for no more.
int64_t alignment(const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer) | 16;
  return static_cast<int64_t>(address & (~address + 1));
}

Key key_of(const ConvolutionCall& call) {
  const Convolution& s = call.sizes;
  const int64_t flags = call.kind | call.dtype << 8 | call.channels_last << 16 | call.rounds << 17 | call.timed << 18 |
                        alignment(call.weight) << 20 | alignment(call.input) << 25 | alignment(call.output) << 30 |
                        int64_t{call.device} << 40;
  return Key{{flags,       s.dims,      s.n,         s.c,          s.d,          s.h,          s.w,
              s.k,         s.kd,        s.kh,        s.kw,         s.stride.d,   s.stride.h,   s.stride.w,
              s.padding.d, s.padding.h, s.padding.w, s.dilation.d, s.dilation.h, s.dilation.w, s.groups}};
}

struct Plan {
  Object config, plan;
  int64_t workspace;
};
struct Choice {
  // The first is cuDNN's choice, or the fastest; the others do with less memory, for calls that had none for its
  // workspace. A graph's
  // kernels belong to the plan that they were captured from, so none is destroyed before the choice is.
  std::vector<Plan> plans;
  std::string why;           // there is none
  bool lasting = true;       // it is, or cuDNN takes none: no error that may be gone the next time
  bool captured = false;     // some graph may hold it, for ever
  int64_t used = 0;          // by which call
  int pause = 0, fails = 0;  // calls until the first is tried again, and how often in a row it had no memory
};
// cuDNN does not promise that several threads may use a handle or a plan at a time.
struct Own {
  cudnn::Handle handle = cudnn::make_handle();
  std::unordered_map<Key, Choice, Key::Hash> choices;
  int64_t calls = 0;
  size_t captured = 0;  // choices that are

  Choice& keep(const Key& key, Choice choice) {
    if (choices.size() - captured >= kMostChoices) forget_one();
    return choices.emplace(key, std::move(choice)).first->second;
  }

 private:
  // The one that was not used for the longest time. Its kernels may have to be unloaded.
  void forget_one() {
    const cudnn::OutsideCaptures outside;
    auto oldest = choices.end();
    for (auto it = choices.begin(); it != choices.end(); ++it)
      if (!it->second.captured && (oldest == choices.end() || it->second.used < oldest->second.used)) oldest = it;
    if (oldest != choices.end()) choices.erase(oldest);
  }
};

cudnn::DataType data_type(int dtype) {
  return dtype == ATLED_FLOAT16    ? cudnn::kHalf
         : dtype == ATLED_BFLOAT16 ? cudnn::kBFloat16
         : dtype == ATLED_FLOAT32  ? cudnn::kFloat
                                   : cudnn::kDouble;
}

Object tensor(const ConvolutionCall& call, int which, const void* data, int64_t n, int64_t c, Triple size) {
  const auto [d, h, w] = size;
  const bool deep = call.sizes.dims == 3;
  const int64_t images[4] = {n, c, h, w}, volumes[5] = {n, c, d, h, w}, count = deep ? 5 : 4;
  const int64_t rows[4] = {c * h * w, h * w, w, 1}, channels_last[4] = {c * h * w, 1, w * c, c},
                planes[5] = {c * d * h * w, d * h * w, h * w, w, 1};
  Object made(cudnn::kTensor);
  made.set(cudnn::kTensorDataType, cudnn::kTypeDataType, data_type(call.dtype));
  made.set(cudnn::kTensorDimensions, cudnn::kTypeInt64, count, deep ? volumes : images);
  made.set(cudnn::kTensorStrides, cudnn::kTypeInt64, count, deep ? planes : call.channels_last ? channels_last : rows);
  made.set(cudnn::kTensorId, cudnn::kTypeInt64, kIds[which]);
  made.set(cudnn::kTensorAlignment, cudnn::kTypeInt64, alignment(data));
  made.finalize("describe a tensor");
  return made;
}

// The one operation as a graph, with all that describes it.
struct Graph {
  Object convolution{cudnn::kConvolution}, weight, input, output, operation, graph{cudnn::kGraph};

  Graph(const ConvolutionCall& call, cudnn::Handle handle)
      : weight(tensor(call, 0, call.weight, call.sizes.k, call.sizes.c / call.sizes.groups,
                      {call.sizes.kd, call.sizes.kh, call.sizes.kw})),
        input(tensor(call, 1, call.input, call.sizes.n, call.sizes.c, {call.sizes.d, call.sizes.h, call.sizes.w})),
        output(tensor(call, 2, call.output, call.sizes.n, call.sizes.k, {call.sizes.od, call.sizes.oh, call.sizes.ow})),
        operation(call.kind) {
    const Convolution& s = call.sizes;
    const bool wide = call.dtype == ATLED_FLOAT64;
    const auto set_sizes = [this, &s](cudnn::Attribute attribute, Triple size) {
      const int64_t values[3] = {size.d, size.h, size.w};
      convolution.set(attribute, cudnn::kTypeInt64, s.dims, values + 3 - s.dims);
    };
    convolution.set(cudnn::kConvolutionComputeType, cudnn::kTypeDataType, wide ? cudnn::kDouble : cudnn::kFloat);
    convolution.set(cudnn::kConvolutionMode, cudnn::kTypeMode, cudnn::kCrossCorrelation);
    convolution.set(cudnn::kConvolutionDims, cudnn::kTypeInt64, int64_t{s.dims});
    set_sizes(cudnn::kConvolutionDilations, s.dilation);
    set_sizes(cudnn::kConvolutionStrides, s.stride);
    set_sizes(cudnn::kConvolutionPaddingBefore, s.padding);
    set_sizes(cudnn::kConvolutionPaddingAfter, s.padding);
    convolution.finalize("describe a convolution");

    const cudnn::Attribute first = call.kind == cudnn::kForward         ? cudnn::kForwardAlpha
                                   : call.kind == cudnn::kBackwardInput ? cudnn::kBackwardInputAlpha
                                                                        : cudnn::kBackwardWeightAlpha;
    const auto attribute = [first](int after) { return static_cast<cudnn::Attribute>(first + after); };
    for (int i = 0; i < 2; ++i) {  // alpha is 1, beta is 0
      if (wide)
        operation.set(attribute(i), cudnn::kTypeDouble, i == 0 ? 1.0 : 0.0);
      else
        operation.set(attribute(i), cudnn::kTypeFloat, i == 0 ? 1.0f : 0.0f);
    }
    operation.set(attribute(2), convolution);
    operation.set(attribute(3), weight);
    operation.set(attribute(4), input);
    operation.set(attribute(5), output);
    operation.finalize("take the convolution");

    graph.set(cudnn::kGraphHandle, cudnn::kTypeHandle, handle);
    graph.set(cudnn::kGraphOperations, operation);
    graph.finalize("take the convolution");
  }
};

// What could compute it, the fastest first.
std::vector<Object> configs_of(const Object& graph, cudnn::Heuristic mode) {
  Object heuristic(cudnn::kEngineHeuristic);
  heuristic.set(cudnn::kHeuristicGraph, graph);
  heuristic.set(cudnn::kHeuristicMode, cudnn::kTypeHeuristic, mode);
  heuristic.finalize("choose an algorithm");
  const auto results = [&](int64_t asked, int64_t* found, void* into) {
    cudnn::expect(functions().get(heuristic, cudnn::kHeuristicResults, cudnn::kTypeDescriptor, asked, found, into),
                  "choose an algorithm");
  };
  int64_t count = 0;
  results(0, &count, nullptr);
  std::vector<Object> configs;
  std::vector<cudnn::Descriptor> into;
  for (int64_t i = 0; i < count; ++i) into.push_back(configs.emplace_back(cudnn::kEngineConfig));
  if (count > 0) results(count, &count, into.data());
  configs.erase(configs.begin() + std::min<int64_t>(count, static_cast<int64_t>(configs.size())), configs.end());
  return configs;
}

// Whether it adds in a fixed order and in full width, and rounds its operands only if it may.
bool is_wanted(const Object& config, const ConvolutionCall& call) {
  const Object engine(cudnn::kEngine);
  cudnn::Descriptor into = engine;
  int64_t count = 0;
  cudnn::expect(functions().get(config, cudnn::kConfigEngine, cudnn::kTypeDescriptor, 1, &count, &into),
                "describe an algorithm");
  cudnn::Note notes[cudnn::kMostNotes];
  cudnn::expect(functions().get(engine, cudnn::kEngineNote, cudnn::kTypeNote, cudnn::kMostNotes, &count, notes),
                "describe an algorithm");
  const bool exact = call.dtype == ATLED_FLOAT32 && !call.rounds;
  return std::none_of(notes, notes + std::min<int64_t>(count, cudnn::kMostNotes), [&](cudnn::Note note) {
    return note == cudnn::kNoteNondeterministic || note == cudnn::kNoteDownConvertInputs ||
           note == cudnn::kNoteReducedPrecision || (note == cudnn::kNoteTensorCore && exact);
  });
}

Plan make_plan(Object config, cudnn::Handle handle) {
  Object plan(cudnn::kExecutionPlan);
  plan.set(cudnn::kPlanHandle, cudnn::kTypeHandle, handle);
  plan.set(cudnn::kPlanConfig, config);
  plan.finalize("prepare an algorithm");
  int64_t workspace = 0, count = 0;
  cudnn::expect(functions().get(plan, cudnn::kPlanWorkspace, cudnn::kTypeInt64, 1, &count, &workspace),
                "prepare an algorithm");
  return Plan{std::move(config), std::move(plan), workspace};
}

void execute(const Plan& plan, cudnn::Handle handle, const ConvolutionCall& call) {
  Tensor workspace;
  void* room = nullptr;
  if (plan.workspace > 0) {
    workspace = Tensor::empty(ATLED_UINT8, {plan.workspace}, DLDevice{kDLCUDA, call.device});
    room = workspace->dl.data;
  }
  void* const pointers[3] = {call.weight, call.input, call.output};
  Object pack(cudnn::kVariantPack);
  pack.set(cudnn::kPackIds, cudnn::kTypeInt64, 3, kIds);
  pack.set(cudnn::kPackPointers, cudnn::kTypePointer, 3, pointers);
  pack.set(cudnn::kPackWorkspace, cudnn::kTypePointer, room);
  pack.finalize("take the pointers");
  cudnn::expect(functions().execute(handle, plan.plan, pack), "convolve");
}

class Event {
 public:
  Event() { cuda::expect(cudaEventCreate(&it_), "create an event"); }
  ~Event() { cudaEventDestroy(it_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return it_; }

 private:
  cudaEvent_t it_ = nullptr;
};

// Milliseconds of the shortest run.
float time_of(const Plan& plan, cudnn::Handle handle, const ConvolutionCall& call) {
  const cudaStream_t stream = cuda::current_stream(call.device);
  const Event begin, end;
  float shortest = std::numeric_limits<float>::infinity();
  for (int i = 0; i < kRuns; ++i) {
    cuda::expect(cudaEventRecord(begin, stream), "record an event");
    execute(plan, handle, call);
    cuda::expect(cudaEventRecord(end, stream), "record an event");
    cuda::expect(cudaEventSynchronize(end), "time an algorithm");
    float took = 0;
    cuda::expect(cudaEventElapsedTime(&took, begin, end), "time an algorithm");
    shortest = std::min(shortest, took);
  }
  return shortest;
}

// Computes it, by the first of cuDNN's algorithms that does, or by those that may be the fastest.
Choice choose(const ConvolutionCall& call, cudnn::Handle handle) {
  const cudnn::OutsideCaptures outside;
  const size_t most = call.timed ? kMostTimed : 1;
  Choice choice;
  size_t tried = 0;
  float least = 0;
  int raised = ATLED_OK;
  const auto attempt = [&](auto&& f) {
    try {
      f();
    } catch (const Error& error) {
      choice.why = error.what();
      if (error.kind() != ATLED_E_NOT_IMPLEMENTED) choice.lasting = false;
    } catch (const Raised& error) {
      if (error.status != ATLED_E_MEMORY) throw;
      raised = error.status;
    }
  };
  const auto attempt_one = [&](Object config) {
    if (!is_wanted(config, call)) return;
    Plan plan = make_plan(std::move(config), handle);
    execute(plan, handle, call);
    const float took = call.timed ? time_of(plan, handle, call) : 0;
    if (tried++ > 0 && took >= least) return;
    least = took;
    choice.plans.clear();
    choice.plans.push_back(std::move(plan));
  };
  attempt([&] {
    const Graph graph(call, handle);
    for (const cudnn::Heuristic mode : {cudnn::kHeuristicA, cudnn::kHeuristicFallback}) {
      if (tried >= most) return;
      attempt([&] {
        for (Object& config : configs_of(graph.graph, mode)) {
          if (tried >= most) return;
          attempt([&] { attempt_one(std::move(config)); });
        }
      });
    }
  });
  if (!choice.plans.empty()) choice.lasting = true;
  // With more memory, it may go.
  if (choice.plans.empty() && raised != ATLED_OK) throw Raised{raised};
  if (choice.plans.empty() && choice.why.empty()) choice.why = "cuda: cuDNN has no algorithm";
  return choice;
}

// By the first plan, or, where there is no memory for its workspace, by one of the others. The first is tried again
// after 1, 2, 4 and at most 1024 calls: trying in vain has the allocator give its free memory back each time.
const char* run(Choice& choice, const ConvolutionCall& call, cudnn::Handle handle) {
  const bool pauses = choice.pause > 0;
  if (pauses) --choice.pause;
  for (size_t i = pauses ? 1 : 0; i < choice.plans.size(); ++i) {
    try {
      execute(choice.plans[i], handle, call);
      if (i == 0) choice.fails = 0;
      return nullptr;
    } catch (const Raised& error) {
      if (error.status != ATLED_E_MEMORY) throw;
    }
    if (i == 0) choice.pause = 1 << std::min(choice.fails++, 10);
  }
  ConvolutionCall at_once = call;
  at_once.timed = false;
  Choice other = choose(at_once, handle);
  if (!other.plans.empty()) choice.plans.push_back(std::move(other.plans.front()));
  static thread_local std::string why;
  return other.plans.empty() ? (why = std::move(other.why)).c_str() : nullptr;
}

bool is_capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cuda::expect(cudaStreamIsCapturing(stream, &status), "ask whether a stream captures");
  return status != cudaStreamCaptureStatusNone;
}

}  // namespace

const char* convolve(ConvolutionCall call) {
  call.rounds = call.dtype == ATLED_FLOAT32 && tf32.load(std::memory_order_relaxed);
  Own& own = per_thread<Own>(call.device);
  const cudaStream_t stream = cuda::current_stream(call.device);
  cudnn::expect(functions().set_stream(own.handle, stream), "work on a stream");
  call.timed = timing.load(std::memory_order_relaxed);
  Key key = key_of(call);
  auto found = own.choices.find(key);
  if (call.timed && found == own.choices.end() && is_capturing(stream)) {  // nothing runs that could be timed
    call.timed = false;
    key = key_of(call);
    found = own.choices.find(key);
  }
  Choice* choice = nullptr;
  if (found == own.choices.end()) {
    static thread_local Choice passing;  // has no plan
    Choice made = choose(call, own.handle);
    if (!made.lasting) return (passing = std::move(made)).why.c_str();
    choice = &own.keep(key, std::move(made));
  } else {
    choice = &found->second;
    if (!choice->plans.empty())
      if (const char* why = run(*choice, call, own.handle)) return why;
  }
  choice->used = ++own.calls;
  if (!choice->plans.empty() && !choice->captured && is_capturing(stream)) {
    choice->captured = true;
    ++own.captured;
  }
  return choice->plans.empty() ? choice->why.c_str() : nullptr;
}

void allow_tf32_in_convolutions(bool allowed) { tf32.store(allowed, std::memory_order_relaxed); }
void time_convolutions(bool wanted) { timing.store(wanted, std::memory_order_relaxed); }

}  // namespace atled::nn

// For the interpreter (src/atled/nn/backends/cudnn.py).
ATLED_EXPORT void atled_cuda_nn_allow_tf32(int allowed) { atled::nn::allow_tf32_in_convolutions(allowed != 0); }
ATLED_EXPORT void atled_cuda_nn_benchmark(int wanted) { atled::nn::time_convolutions(wanted != 0); }
