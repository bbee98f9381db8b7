#include "autocast.h"

#include <memory>
#include <unordered_map>

#include "rule.h"
#include "transform.h"

namespace atled::autograd {

namespace {

constexpr uint32_t kAutocastLevel = kLevel + 2;  // it converts before the tape and the watcher of mutations see a call
constexpr uint64_t kAutocastKey = uint64_t{1} << kAutocastLevel;

// A leaf and what was made of it.
struct Converted {
  Tensor leaf, result;
  uint64_t version;
};

struct State {
  Autocast mode;
  std::unordered_map<const atled_tensor*, Converted> leaves;
};
thread_local std::unique_ptr<State> state;  // made when this thread first asks for the layer

bool is_half(int dtype) { return dtype == ATLED_FLOAT16 || dtype == ATLED_BFLOAT16; }

// What the floating tensors of a call are.
struct Seen {
  DLDevice device{kDLCPU, 0};
  bool any = false, float16 = false, bfloat16 = false, float32 = false, float64 = false;
};

Seen look_at(const atled_frame* frame) {
  Seen seen;
  for (int i = 0; i < frame->op->nargs; ++i)
    each_tensor(frame->args[i], [&](const atled_tensor* t) {
      if (!seen.any) seen.device = t->dl.device;
      seen.any = true;
      seen.float16 |= t->dtype == ATLED_FLOAT16;
      seen.bfloat16 |= t->dtype == ATLED_BFLOAT16;
      seen.float32 |= t->dtype == ATLED_FLOAT32;
      seen.float64 |= t->dtype == ATLED_FLOAT64;
    });
  return seen;
}

// The dtype that a call's floating arguments are to have; -1 where they are right as they are.
int wanted_dtype(const atled_frame* frame, const Seen& seen) {
  const Rule* rule = find_rule(frame->op);
  if (!rule || rule->autocast == Rule::Autocast::kAsGiven || seen.float64) return -1;
  const bool half = seen.float16 || seen.bfloat16, mixed = int{seen.float16} + seen.bfloat16 + seen.float32 > 1;
  if (rule->autocast == Rule::Autocast::kFloat32) return half ? ATLED_FLOAT32 : -1;
  if (rule->autocast == Rule::Autocast::kWidest) return mixed ? ATLED_FLOAT32 : -1;
  const bool brain = state->mode.bfloat16 >> seen.device.device_type & 1;
  return seen.float32 || (brain ? seen.float16 : seen.bfloat16) ? (brain ? ATLED_BFLOAT16 : ATLED_FLOAT16) : -1;
}

// Places in the results are given, or a dtype is: the caller has chosen.
bool is_chosen(const atled_frame* frame) {
  if (frame->flags) return true;
  for (int i = 0; i < frame->op->nargs; ++i)
    if (frame->args[i].tag == ATLED_DTYPE) return true;
  return false;
}

Tensor converted(atled_tensor* t, int dtype) {
  static const Op to{"core::to"};
  const Meta* meta = meta_of(t);
  const bool kept = state->mode.cache && is_half(dtype) && t->dtype == ATLED_FLOAT32 && depth() == 0 && recording() &&
                    requires_grad(t) && meta && !meta->node && !(t->flags & ATLED_TENSOR_VIEW);
  if (!kept) return to(t, dtype_value(dtype));
  const uint64_t version = __atomic_load_n(&t->version->count, __ATOMIC_ACQUIRE);
  const auto found = state->leaves.find(t);
  if (found != state->leaves.end() && found->second.version == version && found->second.result->dtype == dtype)
    return found->second.result;
  Tensor result = to(t, dtype_value(dtype));
  state->leaves[t] = Converted{Tensor::borrow(t), result, version};
  return result;
}

int on_autocast(void*, atled_frame* frame) noexcept {
  return guard([&] {
    const Seen seen = look_at(frame);
    const uint32_t type = static_cast<uint32_t>(seen.device.device_type);
    const bool on = state && seen.any && type < 64 && (state->mode.on >> type & 1) && !is_chosen(frame);
    const int dtype = on ? wanted_dtype(frame, seen) : -1;
    if (dtype < 0) return check(api.redispatch(frame));
    Arguments args(frame);
    args.exchange([&](atled_tensor* t, size_t i) {
      const bool right = t->dtype == dtype || !(is_half(t->dtype) || t->dtype == ATLED_FLOAT32);
      const bool written = frame->op->args[i].flags & ATLED_ARG_MUTATED;
      return right || written ? Tensor::borrow(t) : converted(t, dtype);
    });
    atled_frame inner = *frame;
    inner.args = args.data();
    check(api.redispatch(&inner));
  });
}

}  // namespace

void add_autocast_layer() { check(layer_group->add("autocast", kAutocastLevel, on_autocast, nullptr)); }

Autocast autocast() {
  uint64_t included = 0;
  check(layer_group->include(0, 0, &included));
  Autocast mode = state ? state->mode : Autocast{};
  mode.entered = included & kAutocastKey;
  return mode;
}

void set_autocast(const Autocast& wanted) {
  if (!state) state = std::make_unique<State>();
  state->mode = wanted;
  check(layer_group->include(wanted.entered ? kAutocastKey : 0, wanted.entered ? 0 : kAutocastKey, nullptr));
  if (wanted.on) return;
  auto leaves = std::move(state->leaves);  // what dies with them may come back here
  state->leaves.clear();
}

WithoutAutocast::WithoutAutocast() { check(layer_group->include(0, kAutocastKey, &included_)); }
WithoutAutocast::~WithoutAutocast() {
  layer_group->include(included_ & kAutocastKey, ~included_ & kAutocastKey, nullptr);
}

}  // namespace atled::autograd
