// What a profiler of core's is told: which node belongs to which call, and when nodes run.
#include "atled/profile.h"

#include "modes.h"
#include "python/python.h"

namespace atled::autograd {

namespace {

atled_profile_group profiler{};
std::atomic<bool> on{false};

}  // namespace

void watch_profiler() {
  if (api.group("profile", 1, &profiler, sizeof profiler) != ATLED_OK) return api.clear_error();  // an older core
  check(profiler.watch(
      [](void*, int32_t begins) {
        const bool before = on.exchange(begins != 0);
        modes += int{begins != 0} - int{before};
      },
      nullptr));
}

bool profiled() { return on.load(std::memory_order_relaxed); }

void note_node(const Node* node) {
  if (profiled()) profiler.number(node->seq);
}

uint64_t begin_node(const Node* node) {
  uint64_t range = 0;
  profiler.begin_gradient(node_name(node).c_str(), node->seq, &range);
  return range;
}

void end_node(uint64_t range) { profiler.end(range); }

}  // namespace atled::autograd
