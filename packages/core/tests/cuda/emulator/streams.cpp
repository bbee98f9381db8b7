// Streams that do nothing until somebody waits: what relies on an order that nobody asked for comes out wrong.
//
// ATLED_EMULATOR_EAGER=1 does work when it is given instead, which shows where it was given when it crashes.
#include <cuda_runtime_api.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "emulator.h"

using namespace atled::emulator;

namespace {

using Work = std::function<void()>;
using Ready = std::function<bool()>;
struct Step {
  Work work;
  Ready ready;  // empty: at once
};
struct Graph {
  std::vector<Work> work;
  unsigned long long id = 0;  // of the capture
};

}  // namespace

struct CUevent_st {
  cudaStream_t stream = nullptr;
  int device = 0;      // it was made on, and records work of
  uint64_t place = 0;  // the stream's pieces of work before it; nothing to wait for at 0
  bool timed = false, recorded = false;
  std::chrono::steady_clock::time_point when{};
  Graph* captured = nullptr;  // recorded in this capture
};

struct CUgraph_st : Graph {};
struct CUgraphExec_st : Graph {};

namespace {

// A stream's own state; the default streams, one a device, have handles that are NULL.
struct Queue {
  int device = 0, priority = 0;
  unsigned long long number = 0;
  uint64_t given = 0, done = 0;
  std::deque<Step> pending;
  std::thread::id runner;  // who does a piece of its work
  std::shared_ptr<Graph> capture;
  bool begun = false, invalid = false;  // where the capture began
};

std::shared_ptr<Queue> new_queue(int device) {
  static std::atomic<unsigned long long> numbers{0};
  auto queue = std::make_shared<Queue>();
  queue->device = device;
  queue->number = ++numbers;
  return queue;
}

std::map<cudaStream_t, std::shared_ptr<Queue>>& created() {
  static auto* map = new std::map<cudaStream_t, std::shared_ptr<Queue>>;
  return *map;
}

std::shared_ptr<Queue> queue_of(cudaStream_t stream, int device) {
  static auto* defaults = new std::shared_ptr<Queue>[kMostDevices];
  if (!stream) {
    if (!defaults[device]) defaults[device] = new_queue(device);
    return defaults[device];
  }
  const auto found = created().find(stream);
  return found == created().end() ? nullptr : found->second;
}
std::shared_ptr<Queue> queue_of(cudaStream_t stream) { return queue_of(stream, current_device()); }

bool eager() {
  static const bool is = setting("ATLED_EMULATOR_EAGER", 0) != 0;
  return is;
}

// Does a stream's work in order, up to a place: what is not ready is waited for, or else ends it.
void run_until(Queue& queue, uint64_t place, bool waits = true) {
  if (queue.done >= place) return;
  const std::thread::id self = std::this_thread::get_id(), nobody;
  open_memory();
  while (queue.done < place) {
    const bool busy = queue.runner != nobody && queue.runner != self;
    if (!busy && queue.pending.empty()) break;  // asked by a piece of work of the same stream
    if (busy || (queue.pending.front().ready && !queue.pending.front().ready())) {
      if (!waits) break;
      lock().pause();
      continue;
    }
    const Step step = std::move(queue.pending.front());
    queue.pending.pop_front();
    const std::thread::id former = std::exchange(queue.runner, self);
    step.work();
    queue.runner = former;
    ++queue.done;
  }
  close_memory();
}

thread_local cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;

bool any_capture() {
  for (const auto& [stream, queue] : created())
    if (queue->capture) return true;
  return false;
}

void invalidate() {
  for (const auto& [stream, queue] : created())
    if (queue->capture) queue->invalid = true;
}

// What waits for a stream may not be called while it captures, and ends the capture.
cudaError_t may_wait(const Queue& queue) {
  if (!queue.capture) return cudaSuccess;
  invalidate();
  return cudaErrorStreamCaptureUnsupported;
}

}  // namespace

namespace atled::emulator {

cudaError_t enqueue(cudaStream_t stream, Work work, Ready ready) {
  use_context();
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!queue) return cudaErrorInvalidResourceHandle;
  if (queue->capture) {
    if (queue->invalid) return cudaErrorStreamCaptureInvalidated;
    if (ready)
      work = [work = std::move(work), ready = std::move(ready)] {
        while (!ready()) lock().pause();
        work();
      };
    queue->capture->work.push_back(std::move(work));
    return cudaSuccess;
  }
  queue->pending.push_back({std::move(work), std::move(ready)});
  ++queue->given;
  if (eager()) run_until(*queue, queue->given);
  return cudaSuccess;
}

cudaError_t finish(cudaStream_t stream) {
  use_context();
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!queue) return cudaErrorInvalidResourceHandle;
  if (const cudaError_t error = may_wait(*queue)) return error;
  run_until(*queue, queue->given);
  return cudaSuccess;
}

cudaError_t finish_device(int device) {
  Guard guard(lock());
  const auto first = queue_of(nullptr, device);
  run_until(*first, first->given);
  for (const auto& [stream, queue] : std::map(created()))
    if (queue->device == device && !queue->capture) run_until(*queue, queue->given);
  return cudaSuccess;
}

bool capturing(cudaStream_t stream) {
  Guard guard(lock());
  const auto queue = queue_of(stream);
  return queue && queue->capture;
}

cudaError_t allowed_now() {
  if (capture_mode == cudaStreamCaptureModeRelaxed || !any_capture()) return cudaSuccess;
  invalidate();
  return cudaErrorStreamCaptureUnsupported;
}

}  // namespace atled::emulator

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned, int priority) {
  use_context();
  Guard guard(lock());
  auto queue = new_queue(current_device());
  queue->priority = priority < -5 ? -5 : priority > 0 ? 0 : priority;
  *out = reinterpret_cast<cudaStream_t>(queue.get());
  created()[*out] = queue;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) {
  return cudaStreamCreateWithPriority(out, flags, 0);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  use_context();
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!stream || !queue) return answer(cudaErrorInvalidResourceHandle);
  run_until(*queue, queue->given);
  created().erase(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return answer(finish(stream)); }
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  use_context();
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!queue) return answer(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = may_wait(*queue)) return answer(error);
  if (queue->done == queue->given) return cudaSuccess;
  run_until(*queue, queue->done + 1, false);  // time goes by
  return cudaErrorNotReady;
}
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* out) {
  use_context();
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!queue) return answer(cudaErrorInvalidResourceHandle);
  *out = queue->priority;
  return cudaSuccess;
}
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* out) {
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!queue) return answer(cudaErrorInvalidResourceHandle);
  *out = queue->number;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  use_context();
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  use_context();
  Guard guard(lock());
  if (any_capture()) {
    invalidate();
    return answer(cudaErrorStreamCaptureUnsupported);
  }
  return answer(finish_device(current_device()));
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return answer(enqueue(stream, [=] { function(data); }));
}

// ---- events ----

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned flags) {
  use_context();
  *out = new CUevent_st;
  (*out)->device = current_device();
  (*out)->timed = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  use_context();
  Guard guard(lock());
  if (event->recorded && !event->captured)
    if (const auto queue = queue_of(event->stream, event->device)) run_until(*queue, event->place);
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  use_context();
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!queue || queue->device != event->device) return answer(cudaErrorInvalidResourceHandle);
  event->stream = stream;
  event->recorded = true;
  event->captured = queue->capture.get();
  if (!queue->capture && event->timed)
    if (const cudaError_t error = enqueue(stream, [event] { event->when = std::chrono::steady_clock::now(); }))
      return answer(error);
  event->place = queue->given;
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  use_context();
  Guard guard(lock());
  if (!event->recorded) return cudaSuccess;
  const auto queue = queue_of(stream), other = queue_of(event->stream, event->device);
  if (!queue) return answer(cudaErrorInvalidResourceHandle);
  if (event->captured) {  // the stream joins the capture
    if (!other || other->capture.get() != event->captured) return answer(cudaErrorStreamCaptureInvalidated);
    queue->capture = other->capture;
    return cudaSuccess;
  }
  if (queue->capture) {
    invalidate();
    return answer(cudaErrorStreamCaptureUnsupported);
  }
  if (!other) return cudaSuccess;
  return answer(enqueue(
      stream, [] {},
      [other, place = event->place] {
        run_until(*other, place, false);
        return other->done >= place;
      }));
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  use_context();
  Guard guard(lock());
  if (!event->recorded) return cudaSuccess;
  if (event->captured) return answer(cudaErrorStreamCaptureUnsupported);
  const auto queue = queue_of(event->stream, event->device);
  if (!queue || queue->done >= event->place) return cudaSuccess;
  run_until(*queue, queue->done + 1, false);
  return answer(cudaErrorNotReady);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  use_context();
  Guard guard(lock());
  if (!event->recorded) return cudaSuccess;
  if (event->captured) {
    invalidate();
    return answer(cudaErrorStreamCaptureUnsupported);
  }
  if (const auto queue = queue_of(event->stream, event->device)) run_until(*queue, event->place);
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* out, cudaEvent_t begin, cudaEvent_t end) {
  use_context();
  Guard guard(lock());
  if (!begin->timed || !end->timed || !begin->recorded || !end->recorded) return answer(cudaErrorInvalidResourceHandle);
  for (const cudaEvent_t event : {begin, end}) {
    const auto queue = queue_of(event->stream, event->device);
    if (queue && queue->done < event->place) return answer(cudaErrorNotReady);
  }
  *out = std::chrono::duration<float, std::milli>(end->when - begin->when).count();
  return cudaSuccess;
}

// ---- graphs ----

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, capture_mode);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  use_context();
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!stream || !queue || queue->capture) return answer(cudaErrorStreamCaptureUnsupported);
  queue->capture = std::make_shared<Graph>();
  static unsigned long long last = 0;
  queue->capture->id = ++last;
  queue->begun = true;
  queue->invalid = false;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* out) {
  use_context();
  Guard guard(lock());
  *out = nullptr;
  const auto queue = queue_of(stream);
  if (!queue || !queue->capture || !queue->begun) return answer(cudaErrorInvalidValue);
  const auto graph = queue->capture;
  bool invalid = queue->invalid;
  for (const auto& [other, joined] : created())
    if (joined->capture == graph) {
      invalid = invalid || joined->invalid;
      joined->capture = nullptr;
      joined->begun = joined->invalid = false;
    }
  if (invalid) return answer(cudaErrorStreamCaptureInvalidated);
  auto* made = new CUgraph_st;
  made->work = graph->work;
  *out = made;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* out) {
  use_context();
  Guard guard(lock());
  const auto queue = queue_of(stream);
  if (!queue) return answer(cudaErrorInvalidResourceHandle);
  *out = !queue->capture  ? cudaStreamCaptureStatusNone
         : queue->invalid ? cudaStreamCaptureStatusInvalidated
                          : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t*, const cudaGraphNode_t**, const cudaGraphEdgeData**, size_t*) {
  use_context();
  Guard guard(lock());
  if (const cudaError_t error = cudaStreamIsCapturing(stream, status)) return error;
  if (id && *status == cudaStreamCaptureStatusActive) *id = queue_of(stream)->capture->id;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
  use_context();
  auto* made = new CUgraphExec_st;
  made->work = graph->work;
  *out = made;
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = graph->work.size();
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  // Held by value: it may be destroyed before it has run.
  return answer(enqueue(stream, [work = graph->work] {
    for (const Work& one : work) one();
  }));
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  use_context();
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  use_context();
  delete graph;
  return cudaSuccess;
}

}  // extern "C"
