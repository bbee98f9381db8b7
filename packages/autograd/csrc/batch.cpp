// Batching: one call for all elements of a batch, in place of one for each.
//
// How depends on the op (Rule::batching):
//   aligned  broadcasting, or an op that leaves leading dimensions alone: shorter shapes get 1s behind the batch
//   dims     dimensions that arguments name move by one; with several tensors, each gets the batch
//   order    the same, for a list of all dimensions, which gets the batch in front (permute)
//   along    the same, with an index that all elements of the batch share
//   index    an index tensor for each dimension of the batch (advanced indexing)
//   places   the same, for arguments that name dimensions of the result, which has one more (stack, unsqueeze)
//   entries  an entry for the batch goes in front of those of a basic index (slice)
//   sizes    the batch goes in front of the shape that an argument gives
//   repeats  a 1 goes in front of it
//   loop     one call for each element, results stacked: right for every op whose results have one shape
//   refused  the shape of the result depends on values
#include <algorithm>
#include <cstring>

#include "python/python.h"
#include "record.h"
#include "rule.h"
#include "transform.h"

namespace atled::autograd {

namespace {

using Batching = Rule::Batching;

const Op select_op{"core::select"}, stack_op{"core::stack"}, expand_op{"core::expand"}, reshape_op{"core::reshape"};

// To a reduction no dimensions are all, to squeeze, flip and others none.
bool reduces(const atled_op* op) {
  for (int i = 0; i < op->nargs; ++i)
    if (strcmp(op->args[i].name, "keepdim") == 0) return true;
  return false;
}

bool names_dims(const char* name) {
  for (const char* known : {"dim", "dims", "dim0", "dim1", "dim2", "axis", "dimension", "source", "destination"})
    if (strcmp(name, known) == 0) return true;
  return false;
}

bool names_shape(const char* name) {
  for (const char* known : {"size", "shape", "repeats", "dims"})
    if (strcmp(name, known) == 0) return true;
  return false;
}

// How elements of the batch draw random numbers; refused where vmap was not told.
Randomness told_randomness(const atled_op* op, const Level& level) {
  if (level.randomness == Randomness::kError)
    fail(ATLED_E_AUTOGRAD,
         "%s: draws random numbers inside vmap, which was not told how; pass randomness=\"different\" (numbers of its "
         "own for each element) or \"same\"",
         op->name);
  return level.randomness;
}

class BatchCall {
 public:
  BatchCall(atled_frame* frame, uint16_t depth, const Rule& rule)
      : frame_(frame),
        op_(frame->op),
        depth_(depth),
        size_(levels()[depth - 1].size),
        batching_(rule.batching),
        args_(frame) {
    for (int i = 0; i < op_->nargs; ++i)
      each_tensor(frame->args[i], [&](atled_tensor* t) {
        widest_ = std::max(widest_, t->dl.ndim);
        if (tensors_++ == 0) first_ndim_ = t->dl.ndim;
        if (wrapped_at(t, depth_)) ++batched_;
      });
  }

  void run() {
    changed_ = mutated_argument(frame_);
    if (changed_ >= 0 && !wrapped_at(frame_->args[changed_].u.tensor, depth_))
      fail(ATLED_E_AUTOGRAD,
           "%s: expected a tensor with a batch dimension to hold a result that has one, got one that vmap does not map "
           "over; make it with zeros_like, new_zeros or clone of a tensor that it does, or use the form that makes a "
           "new tensor",
           op_->name);
    if (batching_ == Batching::kRefused)
      fail(ATLED_E_NOT_IMPLEMENTED,
           "%s: the shape of its result depends on values, so that it cannot be batched by vmap; call it outside, or "
           "write the function with where() and a mask",
           op_->name);
    if (op_->traits & ATLED_OP_RANDOM) check_random();
    switch (batching_) {
      case Batching::kAligned:
        align(widest_);
        return call();
      case Batching::kDims:
      case Batching::kPlaces:
      case Batching::kOrder:
      case Batching::kAlong:
        if (!shift()) return loop();
        return call();
      case Batching::kEntries: {
        const atled_value& spec = frame_->args[1];
        std::vector<int64_t> entries = {0, 0, size_, 1};
        entries.insert(entries.end(), spec.u.ints, spec.u.ints + spec.n);
        align(0);
        args_.set(1, std::move(entries));
        return call();
      }
      case Batching::kIndex:
        if (!index()) return loop();
        return call();
      case Batching::kSizes:
      case Batching::kRepeats:
        if (!prefix()) return loop();
        return call();
      default:
        return loop();
    }
  }

 private:
  void check_random() {
    if (told_randomness(op_, levels()[depth_ - 1]) == Randomness::kSame)
      fail(ATLED_E_NOT_IMPLEMENTED,
           "%s: cannot draw the same numbers for batched arguments; pass randomness=\"different\"", op_->name);
  }

  // What stands for t in one call for the whole batch: of `ndim` dimensions and the batch. One without a batch
  // broadcasts as it is; where there are several results, which it may determine alone, it gets a batch of one.
  Tensor physical(atled_tensor* t, int ndim) {
    const Wrapped* w = wrapped_at(t, depth_);
    if (!w && op_->nouts == 1) return unrecorded(t, depth_);
    Tensor own = w ? w->value : unrecorded(t, depth_);
    const int before = w ? 1 : 0, dims = own->dl.ndim - before;
    if (w && dims >= ndim) return own;
    std::vector<int64_t> shape(static_cast<size_t>(std::max(ndim, dims)) + 1, 1);
    if (w) shape[0] = size_;
    std::copy(own->dl.shape + before, own->dl.shape + own->dl.ndim, shape.end() - dims);
    return reshape_op(own, ints_value(shape.data(), shape.size()));
  }

  void align(int ndim) {
    args_.exchange([&](atled_tensor* t, size_t) { return physical(t, ndim); });
  }

  // False when the op has to be called for each element.
  bool shift() {
    if (first_ndim_ == 0 && batching_ != Batching::kPlaces) return false;
    const int ndim = first_ndim_ + (batching_ == Batching::kPlaces ? 1 : 0);
    for (int i = 0; i < op_->nargs; ++i) {
      if (!names_dims(op_->args[i].name) || strncmp(op_->args[i].type, "int", 3) != 0) continue;
      const atled_value v = args_[static_cast<size_t>(i)];
      const bool list = strncmp(op_->args[i].type, "int[", 4) == 0;
      std::vector<int64_t> dims;
      if (v.tag == ATLED_INT_VALUE) dims = {v.u.i};
      if (v.tag == ATLED_INTS) dims.assign(v.u.ints, v.u.ints + v.n);
      if (v.tag == ATLED_NONE && !list) return false;
      const bool all = v.tag == ATLED_NONE || (list && dims.empty() && reduces(op_));
      if (all)
        for (int d = 0; d < ndim; ++d) dims.push_back(d);
      for (int64_t& d : dims) d = wrap_dim(d, ndim, op_->args[i].name) + 1;
      if (batching_ == Batching::kOrder) dims.insert(dims.begin(), 0);
      if (v.tag == ATLED_INT_VALUE)
        args_[static_cast<size_t>(i)] = value(dims[0]);
      else
        args_.set(static_cast<size_t>(i), dims);
    }
    const bool several = tensors_ > 1;
    bool shared = true;
    args_.exchange([&](atled_tensor* t, size_t i) {
      const bool index = batching_ == Batching::kAlong && strcmp(op_->args[i].name, "index") == 0;
      const Wrapped* w = wrapped_at(t, depth_);
      if (index && w) shared = false;
      if (w) return w->value;
      return several && !index ? with_batch(t) : unrecorded(t, depth_);
    });
    if (!shared) args_ = Arguments(frame_);
    return shared;
  }

  // index(input, indices): False when it has to be called for each element.
  bool index() {
    const atled_value& indices = frame_->args[1];
    bool batched = false, masks = false;
    int first = -1, last = -1, count = 0, widest = 0;
    for (uint32_t i = 0; i < indices.n; ++i) {
      const atled_tensor* t = indices.u.tensors[i];
      if (!t) continue;
      batched = batched || wrapped_at(t, depth_);
      masks = masks || t->dtype == ATLED_BOOL;
      widest = std::max(widest, t->dl.ndim);
      if (first < 0) first = static_cast<int>(i);
      last = static_cast<int>(i);
      ++count;
    }
    const bool adjacent = last - first + 1 == count;
    std::vector<Tensor> all;
    if (!batched && adjacent) {
      // The batch is a dimension like others.
      all.emplace_back();
      for (uint32_t i = 0; i < indices.n; ++i)
        all.push_back(indices.u.tensors[i] ? unrecorded(indices.u.tensors[i], depth_) : Tensor());
    } else if (!masks && (first == 0 || !adjacent)) {
      // The number of its element is an index too.
      const bool shared = !wrapped_at(frame_->args[0].u.tensor, depth_) && adjacent;
      if (!shared) all.push_back(numbers(widest));
      for (uint32_t i = 0; i < indices.n; ++i)
        all.push_back(indices.u.tensors[i] ? physical(indices.u.tensors[i], widest) : Tensor());
      if (shared) return put_indices(all, unrecorded(frame_->args[0].u.tensor, depth_));
    } else {
      return false;
    }
    const Wrapped* w = wrapped_at(frame_->args[0].u.tensor, depth_);
    return put_indices(all, w ? w->value : with_batch(frame_->args[0].u.tensor));
  }

  bool put_indices(std::vector<Tensor>& all, Tensor input) {
    std::vector<atled_tensor*> pointers;
    for (Tensor& t : all) pointers.push_back(t ? args_.keep(t) : nullptr);
    args_[0] = value(args_.keep(std::move(input)));
    args_.set_tensors(1, std::move(pointers));
    return true;
  }

  // 0, 1, ... along the batch, with `ndim` dimensions of size 1 behind.
  Tensor numbers(int ndim) {
    static const Op arange{"core::arange"};
    std::vector<int64_t> shape(static_cast<size_t>(ndim) + 1, 1);
    shape[0] = size_;
    atled_value out = none();
    arange.run(0, &out, {value(0), value(size_), value(1), none(), device_value(frame_->args[0].u.tensor->dl.device)});
    return reshape_op(Tensor::steal(out.u.tensor), ints_value(shape.data(), shape.size()));
  }

  Tensor with_batch(atled_tensor* t) {
    std::vector<int64_t> shape(t->dl.shape, t->dl.shape + t->dl.ndim);
    shape.insert(shape.begin(), size_);
    return expand_op(unrecorded(t, depth_), ints_value(shape.data(), shape.size()));
  }

  bool prefix() {
    for (size_t i = 0; i < op_->nargs; ++i) {
      if (!names_shape(op_->args[i].name) || strncmp(op_->args[i].type, "int", 3) != 0) continue;
      const atled_value v = args_[i];
      if (v.tag != ATLED_INTS) return false;
      std::vector<int64_t> sizes(v.u.ints, v.u.ints + v.n);
      const int ndim = std::max(first_ndim_, static_cast<int>(sizes.size()));
      if (batching_ == Batching::kRepeats) sizes.insert(sizes.begin(), static_cast<size_t>(ndim) - sizes.size(), 1);
      sizes.insert(sizes.begin(), batching_ == Batching::kRepeats ? 1 : size_);
      align(batching_ == Batching::kRepeats || strcmp(op_->name, "expand") == 0 ? ndim : 0);
      args_.set(i, std::move(sizes));
      const atled_value& stride = frame_->args[i + 1];
      if (i + 1 < op_->nargs && strcmp(op_->args[i + 1].name, "stride") == 0) {
        std::vector<int64_t> strides(stride.u.ints, stride.u.ints + stride.n);
        strides.insert(strides.begin(), args_[0].u.tensor->dl.strides[0]);
        args_.set(i + 1, std::move(strides));
      }
      return true;
    }
    return false;
  }

  void call() {
    Results results(op_);
    call_op(op_, frame_->flags, args_, results);
    answer(results);
  }

  void answer(Results& results) {
    if (changed_ >= 0) return answer_changed(frame_, changed_);
    for (int i = 0; i < op_->nouts; ++i)
      if (results.values[i].tag != ATLED_TENSOR && results.values[i].tag != ATLED_TENSORS &&
          results.values[i].tag != ATLED_NONE)
        refuse_number();
    hand_on(results, frame_,
            [&](atled_tensor* t, uint16_t, uint32_t) { return wrap_batched(whole(Tensor::borrow(t)), depth_); });
  }

  // A result of a batch of one, for the whole batch.
  Tensor whole(Tensor t) {
    if (t->dl.shape[0] == size_) return t;
    std::vector<int64_t> shape(t->dl.shape, t->dl.shape + t->dl.ndim);
    shape[0] = size_;
    return expand_op(t, ints_value(shape.data(), shape.size()));
  }

  [[noreturn]] void refuse_number() {
    fail(ATLED_E_AUTOGRAD,
         "%s: its result is one Python value, which differs between the elements of a batch; inside vmap, use tensors "
         "and where()",
         op_->name);
  }

  void loop() {
    if (size_ == 0) fail(ATLED_E_NOT_IMPLEMENTED, "%s: cannot be batched over a batch of no elements", op_->name);
    std::vector<std::vector<Tensor>> made;  // of each result tensor, one for each element
    bool list = false;
    for (int64_t b = 0; b < size_; ++b) {
      Arguments one(frame_);
      one.exchange([&](atled_tensor* t, size_t) {
        const Wrapped* w = wrapped_at(t, depth_);
        return w ? select_op(w->value, 0, b) : unrecorded(t, depth_);
      });
      Results results(op_);
      call_op(op_, frame_->flags, one, results);
      if (changed_ >= 0) continue;
      size_t at = 0;
      for (int i = 0; i < op_->nouts; ++i) {
        list = list || results.values[i].tag == ATLED_TENSORS;
        if (!list && results.values[i].tag != ATLED_TENSOR && results.values[i].tag != ATLED_NONE) refuse_number();
        each_tensor(results.values[i], [&](atled_tensor* t) {
          if (b == 0) made.emplace_back();
          if (at < made.size()) made[at++].push_back(Tensor::borrow(t));
        });
      }
    }
    if (changed_ >= 0) return answer_changed(frame_, changed_);
    std::vector<Tensor> wrapped;
    for (std::vector<Tensor>& results : made) {
      std::vector<atled_tensor*> pointers(results.begin(), results.end());
      for (atled_tensor* t : pointers)
        if (!std::equal(t->dl.shape, t->dl.shape + t->dl.ndim, pointers[0]->dl.shape,
                        pointers[0]->dl.shape + pointers[0]->dl.ndim))
          fail(ATLED_E_SHAPE,
               "%s: its results have another shape for each element of the batch, %s and %s, so that vmap cannot stack "
               "them",
               op_->name, shape_text(pointers[0]).c_str(), shape_text(t).c_str());
      wrapped.push_back(wrap_batched(stack_op(tensors_value(pointers.data(), pointers.size()), 0), depth_));
    }
    if (list) return set_out_list(frame_, 0, wrapped);
    size_t at = 0;
    for (int i = 0; i < op_->nouts && at < wrapped.size(); ++i) set_out(frame_, i, wrapped[at++]);
  }

  atled_frame* frame_;
  const atled_op* op_;
  uint16_t depth_;
  int64_t size_;
  Batching batching_;
  Arguments args_;
  int widest_ = 0, first_ndim_ = 0, tensors_ = 0, batched_ = 0, changed_ = -1;
};

// Makes this thread do what the user's code at the present level does, inside the layer's own call.
class AtLevel {
 public:
  AtLevel() {
    check(layer_group->exclude(this_thread.recording_off ? kKey : 0,
                               kTransformKey | (this_thread.recording_off ? 0 : kKey), &excluded_));
  }
  ~AtLevel() {
    const uint64_t both = kKey | kTransformKey;
    layer_group->exclude(excluded_ & both, ~excluded_ & both, nullptr);
  }

 private:
  uint64_t excluded_ = 0;
};

}  // namespace

bool lifted_call(atled_frame* frame) {
  const atled_op* op = frame->op;
  uint16_t wrappers = 0, history = 0;
  for (int i = 0; i < op->nargs; ++i)
    each_tensor(frame->args[i], [&](atled_tensor* t) {
      if (const Wrapped* w = wrapped(t)) wrappers = std::max(wrappers, w->depth);
      if (requires_grad(t)) history = std::max<uint16_t>(history, meta_of(t)->depth);
    });
  if (history <= wrappers || history > depth()) return false;
  const int changed = mutated_argument(frame);
  bool lifted = false;
  Arguments args(frame);
  args.exchange([&](atled_tensor* t, size_t i) {
    if (!requires_grad(t) || meta_of(t)->depth >= history) return Tensor::borrow(t);
    if (static_cast<int>(i) == changed)
      fail(ATLED_E_AUTOGRAD,
           "%s: expected a tensor made inside the running vmap or jvp to hold what is differentiated inside of it, got "
           "one that requires grad outside; use the form that makes a new tensor",
           op->name);
    lifted = true;
    return of_level(t, history);
  });
  if (!lifted) return false;
  const AtLevel level;
  check(api.call(op, frame->flags, args.data(), frame->outs));
  return true;
}

bool decomposed_call(atled_frame* frame, const Rule& rule, uint16_t depth) {
  const atled_op* op = frame->op;
  const AtLevel level;
  Arguments args(frame);
  args.exchange([&](atled_tensor* t, size_t) { return unrecorded(t, depth); });
  Gil gil;
  Ref tuple = need(PyTuple_New(op->nargs));
  for (int i = 0; i < op->nargs; ++i) PyTuple_SetItem(tuple.get(), i, to_python(args[static_cast<size_t>(i)]).take());
  Ref answer = need(PyObject_CallObject(rule.decomposition, tuple.get()));
  if (answer.get() == Py_NotImplemented) return false;
  const int changed = mutated_argument(frame);
  if (frame->flags & ATLED_CALL_INPLACE) {
    static const Op copy{"core::copy_"};
    atled_value out = none();
    copy.run(0, &out, {args[0], value(tensor_of(answer.get()))});
    api.release(out.u.tensor);
  }
  if (changed >= 0) {
    answer_changed(frame, changed);
    return true;
  }
  const bool several = PyTuple_Check(answer.get());
  for (int i = 0; i < op->nouts; ++i) {
    Ref one = several ? need(PySequence_GetItem(answer.get(), i)) : Ref::borrow(answer.get());
    frame->outs[i] = value(Tensor::borrow(tensor_of(one.get())).release());
  }
  return true;
}

void batch_call(atled_frame* frame, uint16_t depth) {
  const Rule& rule = rule_of(frame->op);
  if (frame->flags & ATLED_CALL_INPLACE && frame->op->traits & ATLED_OP_VIEW)
    fail(ATLED_E_NOT_IMPLEMENTED, "%s_: cannot change the shape of a batched tensor; use %s", frame->op->name,
         frame->op->name);
  if (rule.decomposition && decomposed_call(frame, rule, depth)) return;
  const BelowLevel below(depth);
  BatchCall(frame, depth, rule).run();
}

void unbatched_call(atled_frame* frame) {
  const atled_op* op = frame->op;
  uint16_t at = depth();
  while (at > 0 && levels()[at - 1].kind != Transform::kBatch) --at;
  if (!(op->traits & ATLED_OP_RANDOM) || at == 0) return check(api.redispatch(frame));
  const Level level = levels()[at - 1];
  const bool same = told_randomness(op, level) == Randomness::kSame;
  const BelowLevel below(at);
  Arguments args(frame);
  args.exchange([&](atled_tensor* t, size_t) { return unrecorded(t, at); });
  const int changed = mutated_argument(frame);
  if (same || changed >= 0) {
    if (!same)
      fail(ATLED_E_AUTOGRAD,
           "%s: cannot write different numbers for each element of the batch into a tensor that vmap does not map over",
           op->name);
    return check(api.call(op, frame->flags, args.data(), frame->outs));
  }
  // As many numbers as for the whole batch, in a call for each element.
  std::vector<Tensor> made;
  for (int64_t b = 0; b < level.size; ++b) {
    Results results(op);
    check(api.call(op, frame->flags, args.data(), results.values));
    made.push_back(Tensor::borrow(results.values[0].u.tensor));
  }
  if (made.empty()) fail(ATLED_E_NOT_IMPLEMENTED, "%s: cannot be batched over a batch of no elements", op->name);
  std::vector<atled_tensor*> pointers(made.begin(), made.end());
  set_out(frame, 0, wrap_batched(stack_op(tensors_value(pointers.data(), pointers.size()), 0), at));
}

}  // namespace atled::autograd
