// Mixed precision: a layer that threads ask for, not tensors. It converts the arguments of calls as their rules say
// (Rule::Autocast), before the tape sees the call, so that conversions have gradients.
#pragma once

#include <vector>

#include "rule.h"

namespace atled::autograd {

// Of a thread. Bit n stands for device type n.
struct Autocast {
  uint64_t on = 0;
  uint64_t bfloat16 = ~(uint64_t{1} << kDLCUDA);  // the lower precision is bfloat16, else float16
  bool cache = true;                              // each leaf is converted once while the layer is on
  bool entered = false;                           // calls enter the layer
};

Autocast autocast();
// leaving: what the outermost block converted is forgotten at its end.
void set_autocast(const Autocast& wanted, bool leaving);
// The tensors as a call gets them of an op that wants its arguments so; NULLs stay.
std::vector<Tensor> autocast_tensors(Rule::Autocast how, const std::vector<atled_tensor*>& tensors);
void add_autocast_layer();

// Gradients are of the dtype of what they are gradients of, wherever backward is called.
class WithoutAutocast {
 public:
  WithoutAutocast();
  ~WithoutAutocast();

 private:
  Autocast before_;
};

}  // namespace atled::autograd
