// What the devices' kernels of var and std share.
#pragma once

#include "atled/plugin.hpp"

namespace atled::core {

// What the number of elements is lessened by.
inline double correction_of(const atled_frame* frame) {
  if (!arg_is_none(frame, 4)) return arg_double(frame, 4);
  return arg_is_none(frame, 2) || arg_bool(frame, 2) ? 1 : 0;
}

// Squared distances of complex numbers are those of both parts, added.
inline void complex_spread(atled_frame* frame, bool root) {
  static const Op view_as_real{"core::view_as_real"}, select{"core::select"}, var{"core::var"}, add{"core::add"},
      sqrt{"core::sqrt"}, copy{"core::copy_"};
  const Tensor parts = view_as_real(frame->args[0]);
  const auto variance = [&](int64_t part) {
    return var(select(parts, -1, part), frame->args[1], frame->args[2], frame->args[3], frame->args[4]);
  };
  const Tensor sum = add(variance(0), variance(1));
  copy(out_tensor(frame), root ? sqrt(sum) : sum);
}

}  // namespace atled::core
