// For composites that look at what their calls gave.
#pragma once

#include "atled/plugin.hpp"

namespace atled::core {

// t's elements, computed first where that was put off (dispatch/fusion.h).
template <class T>
const T* settled_data(const Tensor& t) {
  check(layer_group->settle(t));
  return data<T>(t);
}

}  // namespace atled::core
