// A layer "record" built from the public header alone: it notes the name of every call it sees and passes the call on.
// Where autograd is not loaded it can own the tensors' slot, and then counts the tensors that die with one.
#include <atled/plugin.hpp>
#include <mutex>
#include <string>

namespace {

constexpr uint32_t kLevel = 40;
constexpr uint64_t kBit = uint64_t{1} << kLevel;

std::mutex mutex;
std::string names;
int64_t calls = 0, dropped = 0;
bool owns_slot = false;

int record(void*, atled_frame* frame) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    ++calls;
    if (names.size() < 4096) names += std::string(frame->op->name) + " ";
  }
  return atled::api.redispatch(frame);
}

void init() { atled::check(atled::layer_group->add("record", kLevel, record, nullptr)); }

}  // namespace

ATLED_EXPORT int record_thread(int on) { return atled::layer_group->include(on ? kBit : 0, on ? 0 : kBit, nullptr); }
ATLED_EXPORT int64_t record_calls() { return calls; }
ATLED_EXPORT const char* record_names() { return names.c_str(); }
ATLED_EXPORT int record_clear() {
  names.clear();
  calls = 0;
  return 0;
}
// The op's calls no longer enter the layer.
ATLED_EXPORT int record_skip(const char* name) {
  return atled::guard([&] { atled::check(atled::layer_group->skip(atled::Op(name).get(), kBit)); });
}
ATLED_EXPORT int record_own_slot() {
  const int status = atled::layer_group->own_slot("record", [](atled_tensor*) { ++dropped; });
  if (status == ATLED_OK) owns_slot = true;
  return status;
}
ATLED_EXPORT int64_t record_dropped() { return dropped; }
// A call on a tensor with the layer's key, and with a slot if the slots are the layer's; the tensor dies at once.
ATLED_EXPORT int record_keyed_tensor() {
  return atled::guard([&] {
    atled::Tensor t = atled::Tensor::empty(ATLED_FLOAT32, {1});
    atled::data<float>(t)[0] = 2;
    if (owns_slot) atled::check(atled::layer_group->set_slot(t, &dropped));  // another owner would free it
    atled::check(atled::api.set_keys(t, kBit, 0));
    static const atled::Op mul{"core::mul"};
    atled::Tensor twice = mul(t, 2.0);
    if (atled::data<float>(twice)[0] != 4) atled::fail(ATLED_E_RUNTIME, "expected 4");
  });
}

ATLED_PLUGIN("atled-toy-layer", "0.1.0", init)
