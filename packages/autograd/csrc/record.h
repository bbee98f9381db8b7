// The layer: sees every call with a tensor that needs a gradient, runs it, and makes a node for it.
#pragma once

#include "node.h"

namespace atled::autograd {

int on_call(void* ctx, atled_frame* frame) noexcept;

// The node of a call that has been made already (or need not be made): all of its tensor arguments with history count.
// outs are borrowed; their histories are the caller's to set.
NodeRef record_call(const atled_op* op, atled_value* args, atled_value* outs);
// The same with bit i of `needed` for Rule::inputs[i].
NodeRef record_call(const atled_op* op, atled_value* args, atled_value* outs, uint64_t needed);
// The argument that a call changes; -1 for none.
int mutated_argument(const atled_frame* frame);

// Where the history of a tensor that a node saved is: an edge (its number), an output, or nowhere.
constexpr int64_t kPlain = -1;
constexpr int64_t from_output(size_t i) { return -2 - static_cast<int64_t>(i); }
// A tensor that node saved, as recorded calls must see it.
Tensor seen_by_recording(atled_tensor* t, Node* node, int64_t origin);
// The same of a tensor that a hook has unpacked.
Tensor unpacked_for_recording(Tensor t, Node* node, int64_t origin);

// A tensor over the same memory, without history; owned.
Tensor alias(atled_tensor* t);
// Notes t as saved in `saved`: its version is watched until it is dropped.
void save_tensor(Saved& saved, atled_tensor* t, const char* op);
// Throws AutogradError, naming who changed the tensor and who needs it, when it is not as it was.
void check_version(const atled_tensor* t, uint64_t version, const Node* needed_by);

// Throws for a node whose saved tensors are gone.
[[noreturn]] void refuse_freed(const Node* node);

}  // namespace atled::autograd
