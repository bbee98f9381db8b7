// Anomaly mode: the first op that makes a NaN is named, with the line that called it.
#include "modes.h"
#include "rule.h"
#include "site.h"

namespace atled::autograd {

namespace {

std::atomic<bool> on{false}, checking{false};

// Which elements are NaN, in host memory, in rows; nothing for what cannot hold one.
Tensor nan_mask(atled_tensor* t) {
  static const Op isnan{"core::isnan"}, to{"core::to"}, reshape{"core::reshape"};
  if (!is_floating(t->dtype) && !is_complex(t->dtype)) return Tensor();
  const RecordingScope off(false);
  const int64_t flat = -1;
  Tensor mask = reshape(isnan(t), ints_value(&flat, 1));
  if (t->dl.device.device_type != kDLCPU) mask = to(mask, none(), device_value(DLDevice{kDLCPU, 0}));
  check(layer_group->settle(mask));
  return mask;
}

// The first element that is NaN, or -1; how many.
int64_t find_nan(atled_tensor* t, int64_t* count) {
  const Tensor mask = nan_mask(t);
  int64_t first = -1;
  *count = 0;
  for (int64_t i = 0; mask && i < numel(mask); ++i) {
    if (!data<bool>(mask)[i]) continue;
    if (first < 0) first = i;
    ++*count;
  }
  return first;
}

// "1 of 6 elements NaN, the first at (1, 0)"; "" when none is.
std::string nan_text(atled_tensor* t) {
  int64_t count = 0, first = find_nan(t, &count), index[ATLED_MAX_NDIM];
  if (first < 0) return "";
  for (int d = t->dl.ndim - 1; d >= 0; --d) {
    index[d] = first % t->dl.shape[d];
    first /= t->dl.shape[d];
  }
  const int64_t n = numel(t);
  if (n == 1) return "NaN";
  return std::to_string(count) + " of " + std::to_string(n) + " elements NaN, the first at " +
         shape_text(t->dl.ndim, index);
}

std::string call_place(const Site& site) {
  const std::string text = site_text(site);
  return text.empty() ? "" : ", in the call at " + text;
}

// What edge i of a node belongs to.
std::string input_text(const Node* node, uint32_t i) {
  if (node->kind == Kind::kRule)
    for (uint32_t input = 0; input < node->rule->inputs.size(); ++input) {
      const EdgeRange range = edges_of(node, input);
      if (i - range.first < range.count) return node->rule->op->args[node->rule->inputs[input].argument].name;
    }
  return "tensor " + std::to_string(i) + " among its arguments";
}

[[noreturn]] void refuse(const std::string& message) { throw Error(ATLED_E_AUTOGRAD, message); }

}  // namespace

void set_anomaly(bool wanted, bool check_nan) {
  const bool before = on.exchange(wanted);
  checking = wanted && check_nan;
  modes += int{wanted} - int{before};
}
bool anomaly_on() { return on.load(std::memory_order_relaxed); }
bool checks_nan() { return checking.load(std::memory_order_relaxed); }

bool has_nan(const atled_value& v) {
  int64_t count = 0;
  if (v.tag == ATLED_TENSOR) return find_nan(v.u.tensor, &count) >= 0;
  if (v.tag == ATLED_TENSORS)
    for (uint32_t i = 0; i < v.n; ++i)
      if (v.u.tensors[i] && find_nan(v.u.tensors[i], &count) >= 0) return true;
  return v.tag == ATLED_FLOAT_VALUE && v.u.f != v.u.f;
}

void refuse_nan_result(const atled_frame* frame) {
  auto check_one = [&](atled_tensor* t) {
    const std::string found = nan_text(t);
    if (found.empty()) return;
    Site site = here();
    const std::string place = call_place(site);
    drop_site(site);
    refuse(std::string(frame->op->name) + ": expected a result without NaN, since its arguments have none, got " +
           found + place);
  };
  for (int i = 0; i < frame->op->nouts; ++i) {
    const atled_value& v = frame->outs[i];
    if (v.tag == ATLED_TENSOR) check_one(v.u.tensor);
    if (v.tag == ATLED_TENSORS)
      for (uint32_t k = 0; k < v.n; ++k)
        if (v.u.tensors[k]) check_one(v.u.tensors[k]);
  }
}

void refuse_nan_arriving(const Node* node, const Buffer* gradients) {
  for (uint32_t i = 0; i < node->output_count; ++i) {
    if (!gradients[i].tensor) continue;
    const std::string found = nan_text(gradients[i].tensor);
    if (found.empty()) continue;
    const std::string whose = node->leaf ? origin_text(node->leaf) : "the result of " + call_text(node);
    refuse("backward: expected gradients without NaN, got " + found + ", for " + whose +
           ": it was given so, a hook made it so, or infinities of both signs were added");
  }
}

void refuse_nan_gradient(const Node* node, const Buffer* results) {
  for (uint32_t i = 0; i < node->edge_count; ++i) {
    if (!results[i].tensor) continue;
    const std::string found = nan_text(results[i].tensor);
    if (found.empty()) continue;
    refuse(std::string(node->name) + ": expected a gradient of " + input_text(node, i) +
           " without NaN, since the one it is made from has none, got " + found + call_place(node->site));
  }
}

}  // namespace atled::autograd
