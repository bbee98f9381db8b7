// The way of a call: layers first, then shape rule, allocation, kernel. See docs/architecture for the picture.
#pragma once

#include "dispatch/op.h"

namespace atled::core {

int call(const atled_op* op, uint32_t flags, atled_value* args, atled_value* outs) noexcept;
// From a layer's handler: goes on below it.
int redispatch(atled_frame* frame) noexcept;
// Runs frame->op's kernel for device_type on the frame as it is.
int run_kernel(atled_frame* frame, int32_t device_type) noexcept;
void release_values(atled_value* values, uint32_t n) noexcept;

int add_layer(const char* name, uint32_t level, atled_kernel handler, void* ctx) noexcept;
// The handlers of these levels read no memory that they have not settled.
int let_defer(uint64_t levels) noexcept;
const char* layer_name(uint32_t level);  // NULL for a free level
int own_slot(const char* owner, void (*drop)(atled_tensor* t)) noexcept;

// Work above this many elements runs without the GIL; set by the Python binding: begin answers a token for end.
extern void* (*release_gil)();
extern void (*acquire_gil)(void* token);

}  // namespace atled::core
