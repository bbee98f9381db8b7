#include "view.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "record.h"
#include "rule.h"
#include "transform.h"

namespace atled::autograd {

namespace {

// Where t lies in base, in elements of base from base's element 0.
int64_t offset_in(const atled_tensor* base, const atled_tensor* t) {
  return (data<char>(t) - data<char>(base)) / itemsize(base->dtype);
}

atled_value shape_of(const atled_tensor* t) { return ints_value(t->dl.shape, static_cast<size_t>(t->dl.ndim)); }
atled_value strides_of(const atled_tensor* t) { return ints_value(t->dl.strides, static_cast<size_t>(t->dl.ndim)); }

uint64_t history_number(atled_tensor* base) {
  const Node* node = history(base);
  return node ? node->seq : 0;
}

std::unique_ptr<View> take_view(atled_tensor* t) {
  Meta* meta = meta_of(t);
  return std::unique_ptr<View>(meta && meta->extra ? std::exchange(meta->extra->view, nullptr) : nullptr);
}

const Op view_as_real{"core::view_as_real"}, view_as_complex{"core::view_as_complex"};

// Whether one is the real dtype of the other's parts, so that a tensor of one may be a view of a tensor of the other.
bool hold_the_same_numbers(int a, int b) {
  if (is_complex(a) == is_complex(b)) return false;
  return is_complex(a) ? is_floating(b) && itemsize(a) == 2 * itemsize(b) : hold_the_same_numbers(b, a);
}

// What the op makes of t, with history. As the tape's own, it does not become a view that is to be followed.
Tensor recorded(const Op& op, atled_tensor* t) {
  const RecordingScope off(false);
  Tensor out = op(t);
  atled_value args[] = {value(t)}, result = value(out);
  set_history(out, record_call(op.get(), args, &result), 0);
  return out;
}

Tensor as_real(atled_tensor* t) { return is_complex(t->dtype) ? recorded(view_as_real, t) : Tensor::borrow(t); }

// Output 0 of the answer: base with the elements at `part` replaced by those of part.
NodeRef put(atled_tensor* base, atled_tensor* part) {
  static const Op op{"autograd::strided_put"};
  atled_value args[] = {value(base),
                        value(part),
                        shape_of(base),
                        strides_of(base),
                        shape_of(part),
                        strides_of(part),
                        value(offset_in(base, part))};
  atled_value out = value(base);
  return record_call(op.get(), args, &out);
}

// Output 0 of the answer: the elements of base at `part`.
NodeRef get(atled_tensor* base, atled_tensor* part) {
  static const Op op{"autograd::strided_get"};
  atled_value args[] = {value(base), strides_of(base), shape_of(part), strides_of(part), value(offset_in(base, part))};
  atled_value out = value(part);
  return record_call(op.get(), args, &out);
}

// Makes output 0 of node, about the parts of t's numbers, the history of t.
void set_history_of_parts(atled_tensor* t, atled_tensor* parts, NodeRef node) {
  if (parts == t) return set_history(t, std::move(node), 0);
  set_history(parts, std::move(node), 0);
  atled_value args[] = {value(parts)}, out = value(t);
  set_history(t, record_call(view_as_complex.get(), args, &out), 0);
}

}  // namespace

bool overlaps(size_t ndim, const int64_t* shape, const int64_t* strides) {
  std::vector<std::pair<int64_t, int64_t>> dims;  // (stride, size)
  for (size_t d = 0; d < ndim; ++d)
    if (shape[d] > 1) dims.emplace_back(std::abs(strides[d]), shape[d]);
  std::sort(dims.begin(), dims.end());
  int64_t span = 0;  // of the dimensions so far
  for (const auto& dim : dims) {
    if (dim.first <= span) return true;
    span += (dim.second - 1) * dim.first;
  }
  return false;
}

void note_view(atled_tensor* t, atled_tensor* source, bool several) {
  const Meta* meta = meta_of(source);
  const View* through = meta && meta->extra ? meta->extra->view : nullptr;
  atled_tensor* base = through ? through->base.get() : source;
  meta_of(t)->more().view =
      new View{Tensor::borrow(base), history_number(base), several || (through && through->several)};
}

namespace {

const View* view_of(const atled_tensor* t) {
  const Meta* meta = meta_of(t);
  return meta && meta->extra ? meta->extra->view : nullptr;
}

// What a view that was made unrecorded is a view of, while it still is.
atled_tensor* unnoted_base(const atled_tensor* t) {
  atled_tensor* base = nullptr;
  check(layer_group->base(t, &base));
  return base && base->version == t->version ? base : nullptr;
}

}  // namespace

bool follows_base(const atled_tensor* t) {
  if (!is_floating(t->dtype) && !is_complex(t->dtype)) return false;
  const View* noted = view_of(t);
  atled_tensor* base = noted ? noted->base.get() : unnoted_base(t);
  if (!base || !(base->keys & kKey) || !history(base)) return false;
  static std::mutex mutex;  // several threads may look at the view
  const std::lock_guard<std::mutex> lock(mutex);
  if (t->keys & kKey) return true;
  atled_tensor* view = const_cast<atled_tensor*>(t);
  Meta& meta = leaf_meta(view);
  if (!view_of(t)) meta.more().view = new View{Tensor::borrow(base), 0, false};
  meta.flags |= kRequiresGrad;
  check(api.set_keys(view, kKey, 0));
  return true;
}

void check_view_in_place(atled_tensor* t, const char* op, const char* mark) {
  if (!view_of(t)) {
    const atled_tensor* holder = t;
    while (const Wrapped* w = wrapped(holder)) holder = w->value;
    if (holder != t && holder->flags & ATLED_TENSOR_VIEW)
      fail(ATLED_E_AUTOGRAD,
           "%s%s: expected a tensor with memory of its own or a view made while recording, got a view whose base is "
           "not known to the tape, so that "
           "the base's gradient would be wrong; write through the base (base[index] = value), or change a copy "
           "(clone())",
           op, mark);
    atled_tensor* base = holder == t ? unnoted_base(t) : nullptr;
    if (!base) return;
    leaf_meta(t).more().view = new View{Tensor::borrow(base), history_number(base), false};
  }
  const View* view = view_of(t);
  atled_tensor* base = view->base;
  if (view->several)
    fail(ATLED_E_AUTOGRAD,
         "%s%s: expected a view made alone, got one of several that one call made (split, unbind, ...); index the base "
         "instead, or change a copy (clone())",
         op, mark);
  if (requires_grad(base) && !history(base))
    fail(ATLED_E_AUTOGRAD,
         "%s%s: expected a tensor with history, got a view of a leaf that requires grad; change it under no_grad(), or "
         "a copy of the leaf: clone()",
         op, mark);
  if (overlaps(static_cast<size_t>(t->dl.ndim), t->dl.shape, t->dl.strides))
    fail(ATLED_E_AUTOGRAD,
         "%s%s: expected a view whose elements each have memory of their own, got one of shape %s whose elements "
         "overlap (unfold, expand, as_strided); change a copy (clone())",
         op, mark, shape_text(t).c_str());
  if (base->dtype != t->dtype && !hold_the_same_numbers(base->dtype, t->dtype))
    fail(ATLED_E_NOT_IMPLEMENTED,
         "%s%s: a view as %s of a %s tensor cannot be changed in place while recording; change a copy (clone())", op,
         mark, dtype_name(t->dtype), dtype_name(base->dtype));
}

void move_history(atled_tensor* t, Node* node, uint32_t i) {
  std::unique_ptr<View> view = take_view(t);
  set_history(t, NodeRef::borrow(node), i);
  if (view) meta_of(t)->more().view = view.release();
}

void rebase(atled_tensor* t, Node* node, uint32_t i) {
  std::unique_ptr<View> view = take_view(t);
  atled_tensor* base = view ? view->base.get() : t;
  if (!(base->keys & kKey)) check(layer_group->share_keys(base, kKey));
  set_history(t, NodeRef::borrow(node), i);
  if (!view) return;
  if (base->dtype == t->dtype) {
    set_history(base, put(base, t), 0);
  } else {
    const Tensor whole = as_real(base), part = as_real(t);
    set_history_of_parts(base, whole, put(whole, part));
  }
  view->base_seq = UINT64_MAX;  // of no node: t's history is to be renewed
  meta_of(t)->more().view = view.release();
}

void renew_view(atled_tensor* t) {
  View& known = *meta_of(t)->extra->view;
  const uint64_t now = history_number(known.base);
  if (now == known.base_seq || now == 0) return;
  const bool alike = known.base->dtype == t->dtype;
  if (known.several || !(alike || hold_the_same_numbers(known.base->dtype, t->dtype)))
    fail(ATLED_E_AUTOGRAD,
         "expected a view whose base is as it was, got one of several that one call made, or one of another dtype, "
         "whose base was changed in place since; "
         "take the view again");
  std::unique_ptr<View> view = take_view(t);
  if (alike) {
    set_history(t, get(view->base, t), 0);
  } else {
    const Tensor whole = as_real(view->base);
    const Tensor part = as_real(t);
    set_history_of_parts(t, part, get(whole, part));
  }
  view->base_seq = now;
  meta_of(t)->more().view = view.release();
}

}  // namespace atled::autograd
