#include "transform.h"

#include <algorithm>
#include <memory>

#include "record.h"
#include "rule.h"

namespace atled::autograd {

namespace {

std::atomic<uint64_t> next_id{1};

// Puts what a wrapper holds into the slot of a new tensor over the memory of `value`'s elements that the user's code
// may look at.
Tensor wrap(Tensor face, Wrapped* holds) {
  std::unique_ptr<Wrapped> owned(holds);
  Extra& extra = leaf_meta(face).more();
  const bool dual = static_cast<bool>(owned->tangent);
  const Tensor value = owned->value;
  extra.wrapped = owned.release();
  // Of a dual tensor the values are known, unless it is one of a batch.
  check(api.set_keys(face, kTransformKey | (dual ? value->keys & ATLED_KEY_OPAQUE : ATLED_KEY_OPAQUE), 0));
  return face;
}

Tensor face_of(atled_tensor* t, int skip) {
  if (skip && t->dl.shape[0] == 0) {  // an empty batch has no memory that an element could look like
    static const Op empty{"core::empty"};
    atled_value made = none();
    empty.run(0, &made,
              {ints_value(t->dl.shape + skip, static_cast<size_t>(t->dl.ndim - skip)), dtype_value(t->dtype),
               device_value(t->dl.device)});
    return Tensor::steal(made.u.tensor);
  }
  atled_tensor* out = nullptr;
  check(api.as_view(t, t->dtype, t->dl.ndim - skip, t->dl.shape + skip, t->dl.strides + skip, 0, &out));
  return Tensor::steal(out);
}

bool any_vmap(uint16_t below) {
  for (uint16_t i = 0; i < below; ++i)
    if (levels()[i].kind == Transform::kBatch) return true;
  return false;
}

uint16_t deepest(const atled_frame* frame) {
  uint16_t found = 0;
  for (int i = 0; i < frame->op->nargs; ++i)
    each_tensor(frame->args[i], [&](atled_tensor* t) {
      if (const Wrapped* w = wrapped(t)) found = std::max(found, w->depth);
    });
  return found;
}

void transform(atled_frame* frame) {
  const uint16_t at = deepest(frame);
  if (frame->flags & ATLED_CALL_OUT) {
    bool wrappers = at != 0;
    for (int i = 0; i < frame->op->nouts; ++i)
      each_tensor(frame->outs[i], [&](atled_tensor* t) { wrappers |= is_wrapper(t); });
    if (wrappers)
      fail(ATLED_E_NOT_IMPLEMENTED,
           "%s: out= cannot be used on tensors of a running vmap or jvp; drop out=", frame->op->name);
  }
  if (at == 0) return unbatched_call(frame);
  if (levels()[at - 1].kind == Transform::kDual)
    dual_call(frame, at);
  else
    batch_call(frame, at);
}

}  // namespace

namespace {

std::vector<Level>& stack_of_levels() {
  thread_local std::vector<Level> stack;
  return stack;
}

}  // namespace

const std::vector<Level>& levels() { return stack_of_levels(); }

void begin_level(const Level& level) {
  stack_of_levels().push_back(level);
  ++this_thread.depth;
}

void end_level() {
  stack_of_levels().pop_back();
  --this_thread.depth;
}

const Wrapped* wrapped(const atled_tensor* t) {
  if (!is_wrapper(t)) return nullptr;
  const Wrapped* w = meta_of(t)->extra->wrapped;
  const std::vector<Level>& stack = levels();
  if (w->depth > stack.size() || stack[w->depth - 1].id != w->id)
    fail(ATLED_E_AUTOGRAD,
         "expected a tensor of a vmap or jvp that is running on this thread, got one (shape %s) that was kept from one "
         "that has ended or runs on another thread; hand it on as a result of the function instead",
         shape_text(t).c_str());
  return w;
}

const Wrapped* wrapped_at(const atled_tensor* t, uint16_t depth) {
  const Wrapped* w = wrapped(t);
  return w && w->depth == depth ? w : nullptr;
}

namespace {

bool shares_memory_with_itself(const atled_tensor* t) {
  for (int d = 0; d < t->dl.ndim; ++d)
    if (t->dl.strides[d] == 0 && t->dl.shape[d] > 1) return true;
  return false;
}

// t with its dimensions in memory in the order in which those of `like` are, so that what views of the one can be taken
// can be taken of the other.
Tensor laid_out_like(const Tensor& t, const atled_tensor* like) {
  static const Op permute{"core::permute"}, contiguous{"core::contiguous"}, clone{"core::clone"};
  const size_t ndim = static_cast<size_t>(t->dl.ndim);
  bool same = true;
  for (size_t d = 0; d < ndim; ++d) same = same && (t->dl.shape[d] <= 1 || t->dl.strides[d] == like->dl.strides[d]);
  if (same) return t;
  std::vector<int64_t> order(ndim), back(ndim);
  for (size_t d = 0; d < ndim; ++d) order[d] = static_cast<int64_t>(d);
  if (!shares_memory_with_itself(like))
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return like->dl.strides[a] > like->dl.strides[b]; });
  for (size_t d = 0; d < ndim; ++d) back[static_cast<size_t>(order[d])] = static_cast<int64_t>(d);
  const Tensor ordered = contiguous(permute(t, ints_value(order.data(), ndim)));
  return clone(permute(ordered, ints_value(back.data(), ndim)));  // no view: it may be changed in place
}

// t as a tensor of the level that `like` is of, so that what is written into the one later can be written into the
// other.
Tensor of_same_level(const Tensor& t, const atled_tensor* like) {
  const Wrapped* w = wrapped(like);
  const Wrapped* own = wrapped(t);
  if (!w || (own && own->depth == w->depth)) return t;
  if (own && own->depth > w->depth) {
    const Tensor value = of_same_level(own->value, like);
    if (value.get() == own->value.get()) return t;
    return own->tangent ? wrap_dual(value, own->tangent, own->depth) : wrap_batched(value, own->depth);
  }
  if (w->tangent) {
    static const Op zeros_like{"core::zeros_like"};
    return wrap_dual(t, of_same_level(zeros_like(t), w->tangent), w->depth);
  }
  static const Op expand{"core::expand"}, clone{"core::clone"};
  std::vector<int64_t> shape(t->dl.shape, t->dl.shape + t->dl.ndim);
  shape.insert(shape.begin(), levels()[w->depth - 1].size);
  return wrap_batched(clone(expand(t, ints_value(shape.data(), shape.size()))), w->depth);
}

}  // namespace

Tensor wrap_dual(const Tensor& primal, const Tensor& tangent, uint16_t depth) {
  const Tensor laid = of_same_level(laid_out_like(tangent, primal), primal);
  return wrap(face_of(primal, 0), new Wrapped{levels()[depth - 1].id, depth, primal, laid});
}

Tensor wrap_batched(const Tensor& batch, uint16_t depth) {
  return wrap(face_of(batch, 1), new Wrapped{levels()[depth - 1].id, depth, batch, Tensor()});
}

Tensor detached(atled_tensor* t) {
  const Wrapped* w = wrapped(t);
  if (!w) return alias(t);
  if (levels()[w->depth - 1].kind == Transform::kDual) return detached(w->value);
  return wrap_batched(detached(w->value), w->depth);
}

Tensor differentiable_input(atled_tensor* t, uint16_t now) {
  static const Op view{"core::view"};
  const bool has_history = requires_grad(t);
  if (has_history && meta_of(t)->depth >= now && recording())
    return view(t, ints_value(t->dl.shape, static_cast<size_t>(t->dl.ndim)));
  Tensor leaf;
  if (has_history && meta_of(t)->depth < now) {
    // Its history is one of a level further out, so it has to become a tensor of the present level.
    leaf = of_level(t, now);
  } else {
    leaf = alias(t);
  }
  set_requires_grad(leaf, true);
  meta_of(leaf)->depth = now;
  return leaf;
}

Tensor of_level(atled_tensor* t, uint16_t depth) {
  static const Op expand{"core::expand"}, zeros_like{"core::zeros_like"};
  const BelowLevel below(depth);
  if (levels()[depth - 1].kind == Transform::kDual) return wrap_dual(Tensor::borrow(t), zeros_like(t), depth);
  std::vector<int64_t> shape(t->dl.shape, t->dl.shape + t->dl.ndim);
  shape.insert(shape.begin(), levels()[depth - 1].size);
  return wrap_batched(expand(t, ints_value(shape.data(), shape.size())), depth);
}

BelowLevel::BelowLevel(uint16_t depth) : off_(this_thread.recording_off) {
  const bool on = !off_ && levels()[depth - 1].recording;
  this_thread.recording_off = !on;
  check(layer_group->exclude(on ? 0 : kKey, kTransformKey | (on ? kKey : 0), &excluded_));
  const bool vmap = any_vmap(static_cast<uint16_t>(depth - 1));
  check(layer_group->include(vmap ? kTransformKey : 0, vmap ? 0 : kTransformKey, &included_));
}

BelowLevel::~BelowLevel() {
  const uint64_t both = kKey | kTransformKey;
  this_thread.recording_off = off_;
  layer_group->exclude(excluded_ & both, ~excluded_ & both, nullptr);
  layer_group->include(included_ & kTransformKey, ~included_ & kTransformKey, nullptr);
}

bool belongs_below(const atled_frame* frame) {
  uint16_t wrappers = 0, history = 0;
  for (int i = 0; i < frame->op->nargs; ++i)
    each_tensor(frame->args[i], [&](atled_tensor* t) {
      if (const Wrapped* w = wrapped(t)) wrappers = std::max(wrappers, w->depth);
      if (requires_grad(t)) history = std::max<uint16_t>(history, meta_of(t)->depth);
    });
  return wrappers > history;
}

Tensor unrecorded(atled_tensor* t, uint16_t depth) {
  return requires_grad(t) && meta_of(t)->depth >= depth ? alias(t) : Tensor::borrow(t);
}

Tensor lowered(atled_tensor* t, uint16_t depth) {
  const Wrapped* w = wrapped_at(t, depth);
  return w ? w->value : unrecorded(t, depth);
}

int on_transform(void*, atled_frame* frame) noexcept {
  return guard([&] { transform(frame); });
}

void call_op(const atled_op* op, uint32_t flags, Arguments& args, Results& results) {
  if (flags & ATLED_CALL_INPLACE) results.values[0] = args[0];
  const int status = api.call(op, flags, args.data(), results.values);
  if (status != ATLED_OK)
    for (atled_value& v : results.values) v = none();
  check(status);
}

uint64_t new_level_id() { return next_id.fetch_add(1, std::memory_order_relaxed); }

}  // namespace atled::autograd
