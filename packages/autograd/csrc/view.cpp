#include "view.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "record.h"
#include "rule.h"

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

void check_view_in_place(atled_tensor* t, const char* op, const char* mark) {
  const Meta* meta = meta_of(t);
  const View* view = meta && meta->extra ? meta->extra->view : nullptr;
  if (!view) {
    if (t->flags & ATLED_TENSOR_VIEW)
      fail(ATLED_E_AUTOGRAD,
           "%s%s: expected a tensor with memory of its own or a view made while recording, got a view whose base is "
           "not known to the tape, so that "
           "the base's gradient would be wrong; write through the base (base[index] = value), or change a copy "
           "(clone())",
           op, mark);
    return;
  }
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
  if (base->dtype != t->dtype)
    fail(ATLED_E_NOT_IMPLEMENTED,
         "%s%s: a view as %s of a %s tensor cannot be changed in place while recording; change a copy (clone())", op,
         mark, dtype_name(t->dtype), dtype_name(base->dtype));
}

void move_history(atled_tensor* t, Node* node, uint32_t i) {
  std::unique_ptr<View> view = take_view(t);
  set_history(t, node, i);
  if (view) meta_of(t)->more().view = view.release();
}

void rebase(atled_tensor* t, Node* node, uint32_t i) {
  std::unique_ptr<View> view = take_view(t);
  set_history(t, node, i);
  if (!view) return;
  static const Op put{"autograd::strided_put"};
  atled_tensor* base = view->base;
  atled_value args[] = {value(base), value(t),      shape_of(base),           strides_of(base),
                        shape_of(t), strides_of(t), value(offset_in(base, t))};
  atled_value out = value(base);
  NodeRef update = record_call(put.get(), args, &out);
  set_history(base, update.get(), 0);
  view->base_seq = UINT64_MAX;  // of no node: t's history is to be renewed
  meta_of(t)->more().view = view.release();
}

void renew_view(atled_tensor* t) {
  View& known = *meta_of(t)->extra->view;
  const uint64_t now = history_number(known.base);
  if (now == known.base_seq || now == 0) return;
  if (known.several || known.base->dtype != t->dtype)
    fail(ATLED_E_AUTOGRAD,
         "expected a view whose base is as it was, got one of several that one call made, or one of another dtype, "
         "whose base was changed in place since; "
         "take the view again");
  static const Op get{"autograd::strided_get"};
  std::unique_ptr<View> view = take_view(t);
  atled_value args[] = {value(view->base), strides_of(view->base), shape_of(t), strides_of(t),
                        value(offset_in(view->base, t))};
  atled_value out = value(t);
  NodeRef node = record_call(get.get(), args, &out);
  set_history(t, node.get(), 0);
  view->base_seq = now;
  meta_of(t)->more().view = view.release();
}

}  // namespace atled::autograd
