// Modes that few programs use: hooks for saved tensors, watching for NaN, and profiling. Where none is set in any
// thread, the tape asks `any_mode` and no more.
#pragma once

#include "node.h"

namespace atled::autograd {

extern std::atomic<int> modes;  // how many are set
inline bool any_mode() { return modes.load(std::memory_order_relaxed) != 0; }

// ---- hooks for saved tensors (saving.cpp), of this thread; the last that was pushed is asked first ----

// object = pack(tensor) when a call saves it, unpack(object) when its gradient needs it; NotImplemented leaves the
// tensor to the hooks that were pushed before. Throws while they are disabled.
void push_hooks(PyObject* pack, PyObject* unpack);
void pop_hooks();
// Hands what a node has saved to the thread's hooks.
void pack_saved(Node* node);
// Number `place` of what was packed; unpacked once while the node runs.
Tensor unpack_saved(Node* node, uint64_t place);
// While there is a message, pushing hooks raises it; answers the message before. None takes it away.
PyObject* disable_hooks(PyObject* message);

// ---- a profiler that records (profile.cpp), in the process ----

void watch_profiler();  // from now on, for good
bool profiled();
// Tells it that the call that is being recorded has made the node.
void note_node(const Node* node);
uint64_t begin_node(const Node* node);
void end_node(uint64_t range);
// What a run does with a node.
class NodeRange {
 public:
  explicit NodeRange(const Node* node) : range_(any_mode() && profiled() ? begin_node(node) : 0) {}
  ~NodeRange() {
    if (range_) end_node(range_);
  }
  NodeRange(const NodeRange&) = delete;
  NodeRange& operator=(const NodeRange&) = delete;

 private:
  uint64_t range_;
};

// ---- anomaly mode (anomaly.cpp), of the process ----

void set_anomaly(bool on, bool check_nan);
bool anomaly_on();
bool checks_nan();
bool has_nan(const atled_value& v);
// Throw when there is a NaN.
void refuse_nan_result(const atled_frame* frame);
void refuse_nan_arriving(const Node* node, const Buffer* gradients);
void refuse_nan_gradient(const Node* node, const Buffer* results);

}  // namespace atled::autograd
