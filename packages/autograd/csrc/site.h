// Where in the user's program a call was made. To note it costs a few nanoseconds; text is made only for messages.
#pragma once

#include "node.h"

namespace atled::autograd {

// The innermost Python frame outside atled's own modules; nothing without the GIL. While the gradient of a recorded
// call is being recorded, that call's.
Site here() noexcept;
void drop_site(Site& site) noexcept;
// "train.py:12", or "" when it is not known. Needs the GIL.
std::string site_text(const Site& site);
// "mul at train.py:12"
std::string call_text(const Node* node);
// How a tensor was made: "the result of mul at train.py:12", or "a leaf made at train.py:3".
std::string origin_text(atled_tensor* t);

// What is recorded meanwhile belongs to node's call (NULL changes nothing), or else to whoever calls.
class GradientOf {
 public:
  explicit GradientOf(const Node* node);
  GradientOf();
  ~GradientOf();
  GradientOf(const GradientOf&) = delete;
  GradientOf& operator=(const GradientOf&) = delete;

 private:
  const bool set_;
  const Node* outer_ = nullptr;
};

// For a catch block: throws on what was caught. Errors of ops and of Python get a note that names the call.
[[noreturn]] void rethrow_noted(const Node* node);

}  // namespace atled::autograd
