// The op families of the namespace nn: what each defines (csrc/ops) and the CPU kernels it adds (csrc/cpu).
#pragma once

namespace atled::nn {

void define_activation();
void define_attention();
void define_convolution();
void define_dropout();
void define_embedding();
void define_fused_attention();
void define_grid_sample();
void define_linear();
void define_loss();
void define_normalization();
void define_padding();
void define_pooling();
void define_recurrent();

void add_activation();
void add_attention();
void add_attention_backward();
void add_dropout();
void add_embedding();
void add_grid_sample();
void add_group_norm();
void add_linear();
void add_loss();
void add_layer_norm();
void add_batch_norm();
void add_pooling();
void add_recurrent();

}  // namespace atled::nn
