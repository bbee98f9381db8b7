// Backward runs.
#pragma once

#include "node.h"

namespace atled::autograd {

struct Root {
  Edge edge;               // owned by the caller
  atled_tensor* gradient;  // borrowed
};

struct Request {
  std::vector<Root> roots;
  bool keep_graph = false;    // saved tensors stay
  bool create_graph = false;  // the run itself is recorded
  // With targets, gradients go to them and nowhere else; without, they are accumulated into all leaves.
  bool selective = false;
  bool accumulate = false;    // the targets' .grad takes the gradient
  std::vector<Edge> targets;  // owned by the caller
};

// Answers one gradient for each target (empty when none reached it). Needs the GIL.
std::vector<Tensor> run_backward(const Request& request);

// Whether a run of this thread holds the node.
bool runs_here(const Node* node);
// The number of the innermost run of this thread, 0 for none; and whether it comes to the tensors whose hooks lie in
// these dicts.
uint64_t current_run();
std::vector<bool> will_run(const std::vector<PyObject*>& hooks);

// g as the gradient of something of that shape, dtype and device: summed over broadcast dimensions, cast, complex to
// real.
Tensor fit_gradient(Tensor g, int32_t ndim, const int64_t* shape, int dtype, DLDevice device, const char* from,
                    bool* fresh);

// What stands for a gradient that nothing has arrived for.
Tensor zeros(const Output& output);

// Whether this thread gives a leaf's first gradient the leaf's strides; answers what was so before.
bool keep_leaf_layout(bool wanted);
// Adds g to leaf's .grad, never sharing memory with what anybody else holds; then runs its hooks.
void accumulate(atled_tensor* leaf, Tensor g, bool fresh, bool create_graph);
// Runs the hooks of one dict on g; a hook may answer another gradient.
Tensor run_hooks(PyObject* hooks, Tensor g);
// Runs a node's own hooks, which may answer other gradients: before it on those of its outputs, after it on those of
// its inputs.
void run_pre_hooks(Node* node, Buffer* gradients);
void run_post_hooks(Node* node, Buffer* results, const Buffer* gradients);

}  // namespace atled::autograd
