// Views and in-place changes of them: what is written through a view is a change of its base, and of all its other
// views.
//
// A view knows its base. When it is changed in place, the base gets a new history (its old value with the view's
// elements replaced), and views of that base renew theirs (elements taken from the base) when they are next looked at.
// Views that were made before the base had any history are looked at from then on too, by the key that all tensors of
// the storage share.
#pragma once

#include "node.h"

namespace atled::autograd {

// Whether elements may share memory, as those of overlapping windows do.
bool overlaps(size_t ndim, const int64_t* shape, const int64_t* strides);
// t is a recorded view op's result over `source`. several: one of several results of one call.
void note_view(atled_tensor* t, atled_tensor* source, bool several);
// Throws when a recorded in-place change of t could not be followed.
void check_view_in_place(atled_tensor* t, const char* op, const char* mark);
// Output i of node is t after a change of its shape and strides alone.
void move_history(atled_tensor* t, Node* node, uint32_t i);
// Output i of node is t after an in-place change.
void rebase(atled_tensor* t, Node* node, uint32_t i);
// Gives a view of a base that has changed its new history.
void renew_view(atled_tensor* t);

}  // namespace atled::autograd
