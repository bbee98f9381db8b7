// All ops of this process: defined once, never removed, found by name. Any thread may define and find.
#pragma once

#include <string>
#include <string_view>

#include "dispatch/op.h"

namespace atled::core {

int define_op(const atled_op_def* def, const atled_op** out) noexcept;
// "core::add" or an alias; loads the namespace's plugin when it is not known yet. Sets the error state.
int find_op(const char* qualified_name, const atled_op** out) noexcept;
// The same without loading and without an error: NULL when there is none.
const Op* lookup_op(std::string_view qualified_name) noexcept;
uint32_t op_count() noexcept;
const Op* op_at(uint32_t id) noexcept;
int add_kernel_entry(const atled_op* op, int32_t device_type, atled_kernel run, void* ctx) noexcept;
int add_fallback(int32_t device_type, atled_kernel run, void* ctx) noexcept;
// What runs ops of a device that has neither a kernel nor a fallback of its own; NULL for none.
int set_host_fallback(int32_t device_type, atled_kernel run) noexcept;
// The kernel of op on a device, asking for the device's plugin when there is none yet; run is NULL when there is none.
KernelEntry find_kernel(const Op* op, DLDevice device) noexcept;
// Why the device's plugin for the op's namespace could not be loaded; empty where it was not at fault.
std::string why_no_kernel(const Op* op, DLDevice device);

// Runs what ATLED_OPS and ATLED_KERNELS noted; called once, when the library starts.
int register_builtin_ops() noexcept;

// Ask Python's plugin registry; set by the binding. Each answers ATLED_OK when it loaded something or had nothing to
// load.
extern int (*load_ops)(const char* ns);
extern int (*load_kernels)(const char* device, const char* ns);

}  // namespace atled::core
