#include "dispatch/registry.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "atled/plugin.hpp"
#include "dispatch/error.h"
#include "dispatch/register.h"

namespace atled::core {

int (*load_ops)(const char* ns) = nullptr;
int (*load_kernels)(const char* device, const char* ns) = nullptr;

namespace {

struct Registry {
  std::shared_mutex mutex;
  std::deque<Op> ops;  // addresses stay
  std::unordered_map<std::string_view, Op*> by_name;
  std::deque<std::string> alias_texts;
  std::unordered_map<std::string, std::string> kernels_asked;  // device.namespace, and what went wrong
  KernelEntry fallbacks[kMaxDevices];
  std::atomic<atled_kernel> host_fallbacks[kMaxDevices] = {};  // after everything else
};
Registry& registry() {
  static Registry* all = new Registry;
  return *all;
}

struct Pending {
  Registration run;
  const char* family;
};
std::vector<Pending>& pending_ops() {
  static std::vector<Pending> list;
  return list;
}
std::vector<Pending>& pending_kernels() {
  static std::vector<Pending> list;
  return list;
}

// What only the traits and the schema together can say.
void check_definition(const Op& op) {
  const bool list = op.out_list != 0;
  if ((op.traits & ATLED_OP_ELEMENTWISE) && !op.structured())
    fail(ATLED_E_VALUE, "%s: an element-wise op needs a shape rule", op.qualified.c_str());
  const bool view = (op.traits & ATLED_OP_VIEW) && !list;
  if ((op.traits & ATLED_OP_INPLACE) && !op.takes_out() && !view)
    fail(ATLED_E_VALUE, "%s: an in-place op needs a shape rule, or to be a view or a composite", op.qualified.c_str());
  if (op.structured() && (!op.returns_tensors || list))
    fail(ATLED_E_VALUE, "%s: a shape rule is for results of type Tensor", op.qualified.c_str());
  if (op.structured() && (op.traits & ATLED_OP_MUTATES))
    fail(ATLED_E_VALUE, "%s: Tensor(a!) and a shape rule exclude each other", op.qualified.c_str());
}

}  // namespace

RegisterOps::RegisterOps(Registration run, const char* family) { pending_ops().push_back({run, family}); }
RegisterKernels::RegisterKernels(Registration run, const char* family) { pending_kernels().push_back({run, family}); }

int register_builtin_ops() noexcept {
  return guard([] {
    for (const Pending& p : pending_ops()) p.run();
    for (const Pending& p : pending_kernels()) p.run();
    for (uint32_t id = 0; id < op_count(); ++id)
      const_cast<Op*>(op_at(id))->settles = op_at(id)->traits & ATLED_OP_COMPOSITE;
  });
}

int define_op(const atled_op_def* def, const atled_op** out) noexcept {
  return guard([&] {
    if (def->size < sizeof(atled_op_def))
      fail(ATLED_E_ABI, "op definition: expected a structure of %zu bytes, got %u", sizeof(atled_op_def), def->size);
    Op parsed_name;
    parse_schema(def->schema, parsed_name);
    Registry& all = registry();
    std::unique_lock<std::shared_mutex> lock(all.mutex);
    if (all.by_name.count(parsed_name.qualified))
      fail(ATLED_E_PLUGIN, "op %s is defined already; two plugins provide it: uninstall one of them",
           parsed_name.qualified.c_str());
    Op& op = all.ops.emplace_back();
    try {
      parse_schema(def->schema, op);
      op.doc_text = def->doc ? def->doc : "";
      op.doc = op.doc_text.c_str();
      op.traits = def->traits | (op.mutated >= 0 || op.mutated_lists ? uint32_t{ATLED_OP_MUTATES} : 0u);
      op.shape = def->shape;
      op.shape_ctx = def->ctx;
      op.id = static_cast<uint32_t>(all.ops.size() - 1);
      if (op.traits & ATLED_OP_COMPOSITE) op.layer_mask = 0;
      check_definition(op);
      all.by_name.emplace(op.qualified, &op);
    } catch (...) {
      all.ops.pop_back();
      throw;
    }
    *out = &op;
  });
}

void alias(const char* op_name, const char* other_name) {
  Registry& all = registry();
  std::unique_lock<std::shared_mutex> lock(all.mutex);
  auto found = all.by_name.find(op_name);
  if (found == all.by_name.end()) fail(ATLED_E_VALUE, "alias: expected the name of a defined op, got %s", op_name);
  Op* op = found->second;
  const std::string& text = all.alias_texts.emplace_back(other_name);
  if (!all.by_name.emplace(text, op).second) fail(ATLED_E_PLUGIN, "alias: %s is defined already", other_name);
  op->aliases.push_back(text);
}

const Op* lookup_op(std::string_view name) noexcept {
  Registry& all = registry();
  std::shared_lock<std::shared_mutex> lock(all.mutex);
  auto found = all.by_name.find(name);
  return found == all.by_name.end() ? nullptr : found->second;
}

int find_op(const char* name, const atled_op** out) noexcept {
  if (const Op* op = lookup_op(name)) {
    *out = op;
    return ATLED_OK;
  }
  return guard([&] {
    std::string text(name);
    size_t colons = text.find("::");
    std::string ns = colons == std::string::npos ? "core" : text.substr(0, colons);
    if (colons == std::string::npos) text = "core::" + text;
    if (ns != "core" && load_ops) check(load_ops(ns.c_str()));
    const Op* op = lookup_op(text);
    if (!op)
      fail(ATLED_E_NOT_IMPLEMENTED,
           "expected the name of a registered op, got %s; is the wheel that provides %s:: installed?", text.c_str(),
           ns.c_str());
    *out = op;
  });
}

uint32_t op_count() noexcept {
  std::shared_lock<std::shared_mutex> lock(registry().mutex);
  return static_cast<uint32_t>(registry().ops.size());
}

const Op* op_at(uint32_t id) noexcept {
  std::shared_lock<std::shared_mutex> lock(registry().mutex);
  return id < registry().ops.size() ? &registry().ops[id] : nullptr;
}

int add_kernel_entry(const atled_op* op_, int32_t device_type, atled_kernel run, void* ctx) noexcept {
  Op* op = const_cast<Op*>(as_op(op_));
  uint8_t slot = device_slot(device_type);
  if (device_type != ATLED_DEVICE_ANY && slot == 255)
    return set_error(
        ATLED_E_DEVICE,
        ("kernel of " + op->qualified + ": expected a known device type, got " + std::to_string(device_type)).c_str());
  std::unique_lock<std::shared_mutex> lock(registry().mutex);
  KernelEntry& entry = device_type == ATLED_DEVICE_ANY ? op->any : op->kernels[slot];
  if (entry.run)
    return set_error(ATLED_E_PLUGIN, ("kernel of " + op->qualified + ": there is one already for this device").c_str());
  entry.ctx = ctx;
  __atomic_store_n(&entry.run, run, __ATOMIC_RELEASE);
  return ATLED_OK;
}

int add_fallback(int32_t device_type, atled_kernel run, void* ctx) noexcept {
  uint8_t slot = device_slot(device_type);
  if (slot == 255) return set_error(ATLED_E_DEVICE, "fallback: expected a known device type");
  registry().fallbacks[slot] = KernelEntry{run, ctx};
  return ATLED_OK;
}

namespace {
KernelEntry present_kernel(const Op* op, uint8_t slot) {
  const KernelEntry entry = op->kernel(slot);
  return entry.run ? entry : registry().fallbacks[slot];
}

std::string type_name(DLDevice device) {
  const std::string name = device_text(DLDevice{device.device_type, 0});
  return name.substr(0, name.find(':'));
}

// Has the device's plugin for a namespace loaded, once. No lock is held meanwhile, since loading takes Python's: there
// a thread that comes later waits.
void ask_for_kernels(const std::string& device, const char* ns) {
  thread_local std::vector<std::string> loading;  // what is loaded may call ops, which find what there is so far
  const std::string asked = device + "." + ns;
  {
    std::shared_lock<std::shared_mutex> reading(registry().mutex);
    if (registry().kernels_asked.count(asked)) return;
  }
  if (std::find(loading.begin(), loading.end(), asked) != loading.end()) return;
  loading.push_back(asked);
  std::string why;
  if (load_kernels(device.c_str(), ns) != ATLED_OK) {
    atled_error error{};
    get_error(&error);
    why = error.message ? error.message : "";
    clear_error();
  }
  loading.pop_back();
  std::unique_lock<std::shared_mutex> changing(registry().mutex);
  registry().kernels_asked.emplace(asked, why);
}

KernelEntry own_kernel(const Op* op, uint8_t slot, DLDevice device) {
  const KernelEntry entry = present_kernel(op, slot);
  const bool asked = op->asked.load(std::memory_order_acquire) >> slot & 1;
  if ((entry.run && asked) || !load_kernels) return entry;
  ask_for_kernels(type_name(device), op->ns);
  op->asked.fetch_or(1u << slot, std::memory_order_release);
  return present_kernel(op, slot);
}
}  // namespace

std::string why_no_kernel(const Op* op, DLDevice device) {
  const std::string asked = type_name(device) + "." + op->ns_text;
  std::shared_lock<std::shared_mutex> lock(registry().mutex);
  const auto found = registry().kernels_asked.find(asked);
  return found == registry().kernels_asked.end() ? "" : found->second;
}

int set_host_fallback(int32_t device_type, atled_kernel run) noexcept {
  const uint8_t slot = device_slot(device_type);
  if (slot == 255) return set_error(ATLED_E_DEVICE, "fallback: expected a known device type");
  registry().host_fallbacks[slot] = run;
  return ATLED_OK;
}

KernelEntry find_kernel(const Op* op, DLDevice device) noexcept {
  uint8_t slot = device_slot(device.device_type);
  if (slot == 255) return KernelEntry{};
  const KernelEntry entry = own_kernel(op, slot, device);
  return entry.run ? entry : KernelEntry{registry().host_fallbacks[slot], nullptr};
}

}  // namespace atled::core
