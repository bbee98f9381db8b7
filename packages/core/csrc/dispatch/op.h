// What the registry knows of an op, beyond the prefix in atled/abi.h.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "atled/abi.h"
#include "dispatch/device.h"
#include "tensor/tensor.h"

namespace atled::core {

// How the Python callable and the dispatcher treat an argument.
enum class Kind : uint8_t {
  kTensor,
  kTensorList,
  kScalar,
  kTensorOrScalar,
  kScalarOrString,
  kInt,
  kFloat,
  kBool,
  kString,
  kDtype,
  kDevice,
  kGenerator,
  kInts,
  kFloats
};

struct ArgInfo {
  Kind kind;
  bool optional;
  bool variadic;
  bool nullable_items;  // Tensor?[]
  int fixed;            // int[2]: one int stands for two; 0 otherwise
};

struct KernelEntry {
  atled_kernel run = nullptr;
  void* ctx = nullptr;
};

struct Op : atled_op {
  std::string ns_text, name_text, schema_text, doc_text, qualified;
  std::vector<std::string> strings;            // behind args, defaults and result names
  std::deque<std::vector<int64_t>> int_lists;  // defaults
  std::vector<atled_arg> arg_table;
  std::vector<ArgInfo> infos;
  std::vector<const char*> out_name_table;
  std::vector<std::string> out_types;  // "Tensor", "Tensor[]", "bool", ...
  std::vector<std::string> aliases;    // other public names, with their namespaces
  uint8_t tensor_args[32];             // positions that can hold tensors
  int tensor_arg_count = 0;
  int mutated = -1;            // position of the Tensor(a!) argument
  uint32_t mutated_lists = 0;  // a bit for each Tensor(a!)[] argument
  int dtype_arg = -1, device_arg = -1;
  bool returns_tensors = true;
  bool one_pass = false;  // its CPU kernel's whole work is one Elementwise::run or one reduce, which may be put off
  bool settles = false;   // a composite that settles what it looks at
  std::atomic<uint64_t> layer_mask{~(ATLED_KEY_OPAQUE | kDeferredKey)};
  atled_shape_rule shape = nullptr;
  void* shape_ctx = nullptr;
  KernelEntry any;
  KernelEntry kernels[kMaxDevices];
  // A bit for each device slot where `any` may run: elsewhere the device's plugin is first asked for a better kernel.
  mutable std::atomic<uint32_t> asked{1u << kCpuSlot | 1u << kMetaSlot};

  bool structured() const { return shape != nullptr; }
  // Whether there is an out= form; an in-place form is one with the first argument as out.
  bool takes_out() const {
    if (structured()) return true;
    const bool makes = (traits & ATLED_OP_COMPOSITE) && !(traits & (ATLED_OP_VIEW | ATLED_OP_MUTATES));
    return makes && returns_tensors && !out_list;
  }

  // Its own kernel for a device slot, or the one for all devices; run is NULL when there is neither, or none yet.
  KernelEntry kernel(uint8_t slot) const {
    const KernelEntry& own = kernels[slot];
    if (__atomic_load_n(&own.run, __ATOMIC_ACQUIRE)) return own;
    return asked.load(std::memory_order_acquire) >> slot & 1 ? any : KernelEntry{};
  }
};

inline const Op* as_op(const atled_op* op) { return static_cast<const Op*>(op); }

// Parses "ns::name(args) -> results" into op; throws Error naming the place that it does not understand.
void parse_schema(const char* text, Op& op);

}  // namespace atled::core
