#include "autocast.h"

#include <memory>
#include <unordered_map>

#include "record.h"
#include "transform.h"

namespace atled::autograd {

namespace {

constexpr uint32_t kAutocastLevel = kLevel + 2;  // it converts before the tape and the watcher of mutations see a call
constexpr uint64_t kAutocastKey = uint64_t{1} << kAutocastLevel;

// A leaf and what was made of it, while recording is off and on.
struct Converted {
  Tensor leaf, memory;  // what it was then, held, so that no other memory looks like it
  uint64_t changes = 0;
  Tensor results[2];
};

struct State {
  Autocast mode;
  std::unordered_map<const atled_tensor*, Converted> leaves;
};
thread_local std::unique_ptr<State> state;  // made when this thread first asks for the layer

bool is_half(int dtype) { return dtype == ATLED_FLOAT16 || dtype == ATLED_BFLOAT16; }

// The dtypes of a call's tensors, and the device that they decide: that of a number on the CPU does not.
struct Seen {
  DLDevice device{kDLCPU, 0};
  bool float16 = false, bfloat16 = false, float32 = false, wider = false;

  void add(const atled_tensor* t) {
    if (device.device_type == kDLCPU) device = t->dl.device;
    float16 |= t->dtype == ATLED_FLOAT16;
    bfloat16 |= t->dtype == ATLED_BFLOAT16;
    float32 |= t->dtype == ATLED_FLOAT32;
    wider |= t->dtype == ATLED_FLOAT64 || is_complex(t->dtype);
  }
  bool on() const {
    const auto type = static_cast<uint32_t>(device.device_type);
    return state && type < 64 && (state->mode.on >> type & 1);
  }
  // The dtype that those of half precision and of float32 are to have where it is on; -1 where they are right so.
  int wanted(Rule::Autocast how) const {
    if (how == Rule::Autocast::kAsGiven || wider) return -1;
    const bool half = float16 || bfloat16, mixed = int{float16} + bfloat16 + float32 > 1;
    if (how == Rule::Autocast::kFloat32) return half ? ATLED_FLOAT32 : -1;
    if (how == Rule::Autocast::kWidest) return mixed ? ATLED_FLOAT32 : -1;
    const bool brain = state->mode.bfloat16 >> device.device_type & 1;
    return float32 || (brain ? float16 : bfloat16) ? (brain ? ATLED_BFLOAT16 : ATLED_FLOAT16) : -1;
  }
};

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
  const bool kept = state->mode.cache && is_half(dtype) && t->dtype == ATLED_FLOAT32 && depth() == 0 &&
                    t->keys & kKey && meta && !meta->node && !(t->flags & ATLED_TENSOR_VIEW);
  if (!kept) return to(t, dtype_value(dtype));
  const uint64_t changes = __atomic_load_n(&t->version->count, __ATOMIC_ACQUIRE);
  Converted& entry = state->leaves[t];
  const atled_tensor* memory = entry.memory;
  const bool same = memory && memory->version == t->version && memory->dl.data == t->dl.data &&
                    entry.changes == changes && numel(memory) == numel(t);
  if (!same) entry = Converted{Tensor::borrow(t), alias(t), changes, {}};
  Tensor& result = entry.results[recording()];
  if (!result || result->dtype != dtype) result = to(t, dtype_value(dtype));
  return result;
}

bool is_to_change(const atled_tensor* t, int dtype) {
  return t->dtype != dtype && (is_half(t->dtype) || t->dtype == ATLED_FLOAT32);
}

int on_autocast(void*, atled_frame* frame) noexcept {
  return guard([&] {
    Seen seen;
    for (int i = 0; i < frame->op->nargs; ++i) each_tensor(frame->args[i], [&](const atled_tensor* t) { seen.add(t); });
    const int dtype = seen.on() && !is_chosen(frame) ? seen.wanted(rule_or_mark(frame->op).autocast) : -1;
    if (dtype < 0) return check(api.redispatch(frame));
    Arguments args(frame);
    args.exchange([&](atled_tensor* t, size_t i) {
      const bool written = frame->op->args[i].flags & ATLED_ARG_MUTATED;
      return is_to_change(t, dtype) && !written ? converted(t, dtype) : Tensor::borrow(t);
    });
    atled_frame inner = *frame;
    inner.args = args.data();
    check(api.redispatch(&inner));
  });
}

}  // namespace

void add_autocast_layer() { add_layer("autocast", kAutocastLevel, on_autocast); }

Autocast autocast() {
  uint64_t included = 0;
  check(layer_group->include(0, 0, &included));
  Autocast mode = state ? state->mode : Autocast{};
  mode.entered = included & kAutocastKey;
  return mode;
}

void set_autocast(const Autocast& wanted, bool leaving) {
  if (!state) state = std::make_unique<State>();
  state->mode = wanted;
  check(layer_group->include(wanted.entered ? kAutocastKey : 0, wanted.entered ? 0 : kAutocastKey, nullptr));
  if (!leaving || wanted.on) return;
  auto leaves = std::move(state->leaves);  // what dies with them may come back here
  state->leaves.clear();
}

std::vector<Tensor> autocast_tensors(Rule::Autocast how, const std::vector<atled_tensor*>& tensors) {
  Seen seen;
  for (const atled_tensor* t : tensors)
    if (t) seen.add(t);
  const int dtype = autocast().entered && seen.on() ? seen.wanted(how) : -1;
  std::vector<Tensor> answer;
  for (atled_tensor* t : tensors)
    answer.push_back(t && dtype >= 0 && is_to_change(t, dtype) ? converted(t, dtype) : Tensor::borrow(t));
  return answer;
}

WithoutAutocast::WithoutAutocast() : before_(autocast()) {
  if (!state) return;
  state->mode.on = 0;
  check(layer_group->include(0, kAutocastKey, nullptr));
}
WithoutAutocast::~WithoutAutocast() {
  if (!state) return;
  state->mode = before_;
  layer_group->include(before_.entered ? kAutocastKey : 0, before_.entered ? 0 : kAutocastKey, nullptr);
}

}  // namespace atled::autograd
