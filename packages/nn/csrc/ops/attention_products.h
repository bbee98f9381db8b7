// Fused attention composed of core's ops: that of what CUDA's kernels do not take.
#pragma once

#include "atled/plugin.hpp"

namespace atled::nn {

// Run a frame of nn::fused_attention, or of its backward op. Half precision is computed in float32.
void attention_by_products(atled_frame* f);
void attention_backward_by_products(atled_frame* f);

}  // namespace atled::nn
