// For composites that look at what their calls gave, which they cannot inside a vmap.
#pragma once

#include "atled/plugin.hpp"

namespace atled::core {

// t's elements, computed first where that was put off (dispatch/fusion.h).
template <class T>
const T* settled_data(const Tensor& t) {
  if (t->keys & ATLED_KEY_OPAQUE)
    fail(ATLED_E_AUTOGRAD,
         "expected a tensor whose values are known, got one inside vmap, whose values differ between the elements of "
         "the batch");
  check(layer_group->settle(t));
  return data<T>(t);
}

}  // namespace atled::core
