#include "plugin.h"

#include "atled/plugin.hpp"

namespace {

void init() {
  using namespace atled::nn;
  for (auto define : {define_activation, define_attention, define_convolution, define_dropout, define_embedding,
                      define_fused_attention, define_grid_sample, define_linear, define_loss, define_normalization,
                      define_padding, define_pooling, define_recurrent})
    define();
  for (auto add : {add_activation, add_attention, add_attention_backward, add_dropout, add_embedding, add_grid_sample,
                   add_group_norm, add_linear, add_loss, add_layer_norm, add_pooling, add_batch_norm, add_recurrent})
    add();
}

}  // namespace

ATLED_PLUGIN("atled-nn", ATLED_NN_VERSION, init)
