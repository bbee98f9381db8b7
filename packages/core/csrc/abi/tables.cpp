#include "abi/tables.h"

#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "abi/abi.h"
#include "abi/stub.h"
#include "atled/plugin.hpp"
#include "cpu/iterator.h"
#include "cpu/parallel.h"
#include "dispatch/dispatch.h"
#include "dispatch/error.h"
#include "dispatch/fusion.h"
#include "dispatch/generator.h"
#include "dispatch/recorder.h"
#include "dispatch/registry.h"
#include "dispatch/thread_state.h"
#include "tensor/tensor.h"

namespace atled::core {

atled_py_group py_table{};

namespace {

int empty(const atled_spec* spec, DLDevice device, atled_tensor** out) noexcept {
  if (int status = device_known(device)) return status;
  TensorImpl* t = make_empty(spec->dtype, spec->ndim, spec->shape, spec->has_strides ? spec->strides : nullptr, device);
  *out = t;
  atled_error error;
  return t ? ATLED_OK : get_error(&error);
}

int as_view(atled_tensor* base, int32_t dtype, int32_t ndim, const int64_t* shape, const int64_t* strides,
            int64_t offset, atled_tensor** out) noexcept {
  TensorImpl* t = nullptr;
  int status = make_view(base, dtype, ndim, shape, strides, offset, &t);
  *out = t;
  return status;
}

int from_dlpack(DLManagedTensorVersioned* managed, atled_tensor** out) noexcept {
  TensorImpl* t = nullptr;
  int status = make_foreign(managed, &t);
  *out = t;
  return status;
}

int set_keys(atled_tensor* t, uint64_t set, uint64_t clear) noexcept {
  t->keys = (t->keys | set) & ~clear;
  return ATLED_OK;
}

int bump(atled_tensor* t, const atled_op* op) noexcept { return bump_version(t, op ? op->name : "a plugin"); }

int count_ops(uint32_t* out) noexcept {
  *out = op_count();
  return ATLED_OK;
}

int op_by_id(uint32_t id, const atled_op** out) noexcept {
  *out = op_at(id);
  return *out ? ATLED_OK : set_error(ATLED_E_BOUNDS, "op: expected an id below the number of ops");
}

int change_word(uint64_t& word, uint64_t set, uint64_t clear, uint64_t* old) noexcept {
  if (old) *old = word;
  word = (word | set) & ~clear;
  return ATLED_OK;
}

int include(uint64_t set, uint64_t clear, uint64_t* old) noexcept {
  return change_word(thread_state.include, set, clear, old);
}
int exclude(uint64_t set, uint64_t clear, uint64_t* old) noexcept {
  return change_word(thread_state.exclude, set, clear, old);
}

int skip(const atled_op* op, uint64_t layers) noexcept {
  const_cast<Op*>(as_op(op))->layer_mask.fetch_and(~layers);
  return ATLED_OK;
}

int set_slot(atled_tensor* t, void* value) noexcept {
  t->autograd = value;
  return ATLED_OK;
}

int base_of(const atled_tensor* t, atled_tensor** out) noexcept {
  *out = impl(t)->base;
  return ATLED_OK;
}

int share_keys(atled_tensor* t, uint64_t set) noexcept {
  __atomic_fetch_or(&t->version->keys, set, __ATOMIC_RELAXED);
  return ATLED_OK;
}

// What a plugin calls reads memory as soon as it has it, unless the plugin says otherwise: see defer.
int call_at_once(const atled_op* op, uint32_t flags, atled_value* args, atled_value* outs) noexcept {
  const Unfused unfused;
  return call(op, flags, args, outs);
}
int redispatch_at_once(atled_frame* frame) noexcept {
  const Unfused unfused;
  return redispatch(frame);
}

int let_plugin_defer(uint64_t layers, int (**call_slot)(const atled_op*, uint32_t, atled_value*, atled_value*),
                     int (**redispatch_slot)(atled_frame*)) noexcept {
  *call_slot = call;
  *redispatch_slot = redispatch;
  return let_defer(layers);
}

int settle_tensor(atled_tensor* t) noexcept { return settle(t); }

int find_device(const char* name, int32_t* type) noexcept {
  DLDevice device;
  int status = parse_device(name, &device);
  *type = device.device_type;
  return status;
}

const atled_op_group op_table{define_op, count_ops, op_by_id};
int may_fuse_op(const atled_op* op) noexcept {
  const_cast<Op*>(as_op(op))->one_pass = true;
  return ATLED_OK;
}

const atled_kernel_group kernel_table{add_kernel_entry, add_fallback,   elementwise,
                                      run_kernel,       elementwise_of, may_fuse_op};
const atled_layer_group layer_table{add_layer, include,    exclude,          skip,         own_slot, set_slot,
                                    base_of,   share_keys, let_plugin_defer, settle_tensor};
const atled_device_group device_table{add_device, find_device, device_synchronize};
const atled_alloc_group alloc_table{device_allocate, device_free};
const atled_rng_group rng_table{reserve_random};
int run_parallel(int64_t n, int64_t grain, atled_range body, void* ctx) noexcept {
  return guard([&] { parallel_run(n, grain, body, ctx); });
}

const atled_parallel_group parallel_table{num_threads, run_parallel};

struct Published {
  std::mutex mutex;
  std::map<std::pair<std::string, uint32_t>, std::vector<char>> tables;
};
Published& published() {
  static Published* all = new Published;
  return *all;
}

struct OwnGroup {
  const char* name;
  const void* table;
  size_t size;
};

}  // namespace

const atled_api root_table{retain,         release,   empty,       as_view,     from_dlpack,  export_dlpack,
                           set_keys,       bump,      last_change, find_op,     call_at_once, redispatch_at_once,
                           release_values, set_error, get_error,   clear_error, get_group,    publish_group};

int get_group(const char* name, uint32_t version, void* table, size_t size) noexcept {
  const OwnGroup own[] = {
      {"op", &op_table, sizeof op_table},
      {"kernel", &kernel_table, sizeof kernel_table},
      {"layer", &layer_table, sizeof layer_table},
      {"device", &device_table, sizeof device_table},
      {"alloc", &alloc_table, sizeof alloc_table},
      {"rng", &rng_table, sizeof rng_table},
      {"parallel", &parallel_table, sizeof parallel_table},
      {"py", &py_table, sizeof py_table},
      {"profile", &profile_table, sizeof profile_table},
  };
  for (const OwnGroup& group : own) {
    if (strcmp(group.name, name) != 0) continue;
    if (version != 1) return set_error(ATLED_E_ABI, (std::string("group ") + name + ": expected version 1").c_str());
    fill_table(table, size, group.table, group.size);
    return ATLED_OK;
  }
  std::lock_guard<std::mutex> lock(published().mutex);
  auto found = published().tables.find({name, version});
  if (found == published().tables.end())
    return set_error(ATLED_E_ABI, (std::string("group ") + name + " version " + std::to_string(version) +
                                   " is published by no loaded wheel")
                                      .c_str());
  fill_table(table, size, found->second.data(), found->second.size());
  return ATLED_OK;
}

int publish_group(const char* name, uint32_t version, const void* table, size_t size) noexcept {
  return guard([&] {
    std::lock_guard<std::mutex> lock(published().mutex);
    const char* bytes = static_cast<const char*>(table);
    if (!published()
             .tables.emplace(std::make_pair(std::string(name), version), std::vector<char>(bytes, bytes + size))
             .second)
      fail(ATLED_E_PLUGIN, "group %s version %u is published already", name, version);
  });
}

}  // namespace atled::core
