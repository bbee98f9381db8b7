// Function transforms: forward mode (jvp) and batching (vmap), which nest freely with each other and with the tape.
//
// A transform that is running on this thread is a level; levels are stacked, the innermost on top. A tensor of a level
// is a *wrapper*: a tensor with the shape that the user's code sees, whose slot holds what it stands for. A dual holds
// a primal and a tangent, a batched tensor one with the batch as its first dimension. What a wrapper holds may itself
// be a wrapper of a level further out, or have a history.
//
// The layer sees every call with a wrapper among its arguments. It takes the wrappers of the innermost level apart,
// does by the op's rule what that level asks for, with calls that may meet wrappers of levels further out, and wraps
// the results. The tape is entered first and records a call only when a history among its arguments is of that level or
// of one further in (its *depth*); otherwise it is left to the calls on what the wrappers hold.
#pragma once

#include <vector>

#include "node.h"
#include "thread_state.h"

namespace atled::autograd {

constexpr uint32_t kTransformLevel = kLevel - 1;
constexpr uint64_t kTransformKey = uint64_t{1} << kTransformLevel;

enum class Transform : uint8_t { kBatch, kDual };
enum class Randomness : uint8_t { kError, kDifferent, kSame };

struct Level {
  uint64_t id;  // never used again
  Transform kind;
  bool recording;  // when it began
  Randomness randomness = Randomness::kError;
  int64_t size = 0;  // of the batch
};

// What a wrapper stands for.
struct Wrapped {
  uint64_t id;     // of its level
  uint16_t depth;  // which that level has, from 1
  Tensor value;    // the primal, or the tensor with the batch dimension in front
  Tensor tangent;  // of a dual
};

// The levels of this thread, which begin and end with these.
const std::vector<Level>& levels();
void begin_level(const Level& level);
void end_level();
inline uint16_t depth() { return this_thread.depth; }

inline bool is_wrapper(const atled_tensor* t) { return t->keys & kTransformKey; }
// NULL when t is no wrapper. Throws when its level has ended.
const Wrapped* wrapped(const atled_tensor* t);
// The same when t is of that level, else NULL.
const Wrapped* wrapped_at(const atled_tensor* t, uint16_t depth);

Tensor wrap_dual(const Tensor& primal, const Tensor& tangent, uint16_t depth);
// The batch is the first dimension of `batch`.
Tensor wrap_batched(const Tensor& batch, uint16_t depth);

// t without wrappers' tangents and without history, at every level.
Tensor detached(atled_tensor* t);
// t over the same memory as an input that the tape can differentiate by, at that depth. It leads on to t's own
// history where that is to be recorded too.
Tensor differentiable_input(atled_tensor* t, uint16_t depth);

// t as a tensor of that level, the same for each element of its batch, or with a tangent of zeros.
Tensor of_level(atled_tensor* t, uint16_t depth);

// Makes this thread do what the level below `depth` does: no wrapper of that level or above occurs.
class BelowLevel {
 public:
  explicit BelowLevel(uint16_t depth);
  ~BelowLevel();

 private:
  uint64_t excluded_ = 0, included_ = 0;
  bool off_;
};

// Whether the tape leaves a call with wrappers to what they hold.
bool belongs_below(const atled_frame* frame);

int on_transform(void* ctx, atled_frame* frame) noexcept;

// Calls f(tensor) for every tensor in v.
template <class F>
void each_tensor(const atled_value& v, F&& f) {
  if (v.tag == ATLED_TENSOR) f(v.u.tensor);
  if (v.tag == ATLED_TENSORS)
    for (uint32_t i = 0; i < v.n; ++i)
      if (v.u.tensors[i]) f(v.u.tensors[i]);
}

// What a call of a level hands on: its arguments, with tensors exchanged; it holds what it points to.
class Arguments {
 public:
  explicit Arguments(const atled_frame* frame) : values_(frame->args, frame->args + frame->op->nargs) {}
  atled_value& operator[](size_t i) { return values_[i]; }
  const atled_value& operator[](size_t i) const { return values_[i]; }
  atled_value* data() { return values_.data(); }
  // Exchanges every tensor for what f(tensor, argument) answers.
  template <class F>
  void exchange(F&& f) {
    for (size_t i = 0; i < values_.size(); ++i) exchange(i, f);
  }
  template <class F>
  void exchange(size_t i, F&& f) {
    atled_value& v = values_[i];
    if (v.tag == ATLED_TENSOR) v.u.tensor = keep(f(v.u.tensor, i));
    if (v.tag != ATLED_TENSORS) return;
    std::vector<atled_tensor*> list(v.u.tensors, v.u.tensors + v.n);
    for (atled_tensor*& t : list)
      if (t) t = keep(f(t, i));
    lists_.push_back(std::move(list));
    v.u.tensors = lists_.back().data();
  }
  atled_tensor* keep(Tensor t) {
    kept_.push_back(std::move(t));
    return kept_.back();
  }
  void set_tensors(size_t i, std::vector<atled_tensor*> list) {
    lists_.push_back(std::move(list));
    values_[i] = tensors_value(lists_.back().data(), lists_.back().size());
  }
  void set(size_t i, std::vector<int64_t> ints) {
    ints_.push_back(std::move(ints));
    values_[i] = ints_value(ints_.back().data(), ints_.back().size());
  }

 private:
  std::vector<atled_value> values_;
  std::vector<Tensor> kept_;
  std::vector<std::vector<atled_tensor*>> lists_;
  std::vector<std::vector<int64_t>> ints_;
};

// The results of a call, released unless they are handed on.
struct Results {
  explicit Results(const atled_op* op) : count(op->nouts) {
    for (atled_value& v : values) v = none();
  }
  ~Results() { api.values_release(values, count); }
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;
  uint16_t count;
  atled_value values[8];
};

// Calls the op; its results are the caller's.
void call_op(const atled_op* op, uint32_t flags, Arguments& args, Results& results);

// Hands results on as the frame's, each tensor exchanged for what f(tensor, output, entry of its list) answers.
template <class F>
void hand_on(Results& results, atled_frame* frame, F&& f) {
  for (uint16_t i = 0; i < results.count; ++i) {
    atled_value& v = results.values[i];
    uint32_t entry = 0;
    auto one = [&](atled_tensor*& t) {
      Tensor made = f(t, i, entry++);
      atled_tensor* old = std::exchange(t, made.release());
      api.release(old);
    };
    if (v.tag == ATLED_TENSOR) one(v.u.tensor);
    for (uint32_t k = 0; v.tag == ATLED_TENSORS && k < v.n; ++k)
      if (v.u.tensors[k]) one(v.u.tensors[k]);
    frame->outs[i] = std::exchange(v, none());
  }
}

// The result of a call that changed its argument i.
inline void answer_changed(atled_frame* frame, int i) {
  for (uint16_t k = 0; k < frame->op->nouts; ++k) frame->outs[k] = none();
  frame->outs[0] = value(Tensor::borrow(frame->args[i].u.tensor).release());
}

// An argument as calls below the level see it: a wrapper of the level as what it holds, a plain tensor without a
// history that the level has recorded.
Tensor lowered(atled_tensor* t, uint16_t depth);
// A tensor of the level, or what a level further in made of it, as calls at the level see it, without such a history.
Tensor unrecorded(atled_tensor* t, uint16_t depth);

uint64_t new_level_id();
// Runs the call as its rule's decomposition says; false when that does not know.
bool decomposed_call(atled_frame* frame, const Rule& rule, uint16_t depth);  // batch.cpp
// A history of a level further out cannot become part of one of a level further in: an argument that has one becomes a
// tensor of the level of the innermost history. False when there is none, so that the call is to go on as it is.
bool lifted_call(atled_frame* frame);                 // batch.cpp
void dual_call(atled_frame* frame, uint16_t depth);   // dual.cpp
void batch_call(atled_frame* frame, uint16_t depth);  // batch.cpp
// A call with no batched argument while a vmap is running: only one that draws random numbers matters.
void unbatched_call(atled_frame* frame);

}  // namespace atled::autograd
