// What searchsorted's arguments mean, on every device.
#pragma once

#include <algorithm>
#include <string>

#include "ops/rules.h"

namespace atled::core {

inline bool to_the_right(const atled_frame* f) {
  const bool right = arg_bool(f, 3);
  const atled_value& side = f->args[4];
  if (is_none(side)) return right;
  const std::string text(side.u.str, side.n);
  if (text != "left" && text != "right")
    fail(ATLED_E_VALUE, "expected side \"left\" or \"right\", got \"%s\"", text.c_str());
  if (right && text == "left") fail(ATLED_E_VALUE, "expected right and side to agree, got True and \"left\"");
  return text == "right";
}

// What elements are compared in.
inline int searched_dtype(const atled_tensor* sequence, const atled_value& input) {
  return input.tag == ATLED_TENSOR ? promote(sequence->dtype, input.u.tensor->dtype)
                                   : promote_scalar(sequence->dtype, input);
}

struct SearchLines {
  int64_t n, count, per_line;  // elements of a sequence, searches, searches in each sequence

  SearchLines(const atled_tensor* sequence, const atled_tensor* out)
      : n(sequence->dl.shape[sequence->dl.ndim - 1]), count(numel(out)), per_line(std::max<int64_t>(1, count)) {
    if (sequence->dl.ndim > 1 && out->dl.ndim > 0) per_line = out->dl.shape[out->dl.ndim - 1];
  }
};

}  // namespace atled::core
