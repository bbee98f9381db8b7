// The operands of fused attention, as its kernels take them.
#pragma once

#include "cuda/attention_tiles.cuh"
#include "ops/attention_products.h"

namespace atled::nn {

// (B, H, L, E) with features side by side, and rows at multiples of 16 bytes.
struct HeadOperand {
  Tensor tensor;
  HeadRows rows{};

  HeadOperand() = default;
  explicit HeadOperand(atled_tensor* t) : tensor(Tensor::borrow(t)) {
    static const Op clone{"core::clone"};
    if (!is_ready(t)) tensor = is_contiguous(t) ? clone(t) : contiguous(t);
    const int64_t* steps = tensor->dl.strides;
    rows = {steps[0], steps[1], steps[2]};
  }

 private:
  static bool is_ready(const atled_tensor* t) {
    bool ready = t->dl.strides[3] == 1 && is_aligned(static_cast<const char*>(t->dl.data));
    for (int d = 0; ready && d < 3; ++d) ready = t->dl.shape[d] == 1 || t->dl.strides[d] % kPiece == 0;
    return ready;
  }
};

struct AttentionOperands {
  AttentionPlan plan{};
  HeadOperand query, key, value;
  ScoreBias bias{};

  // query, key, value and bias are the arguments from `first` on; `causal` is is_causal's place, before that of scale.
  AttentionOperands(const atled_frame* f, int first, int causal) {
    atled_tensor *q = arg_tensor(f, first), *k = arg_tensor(f, first + 1), *v = arg_tensor(f, first + 2);
    if (!takes(q, k, v)) return;
    for (int i = 0; i < f->op->nouts; ++i)
      if (!is_aligned(static_cast<const char*>(out_tensor(f, i)->dl.data))) return;
    plan.batches = q->dl.shape[0];
    plan.heads = static_cast<int>(q->dl.shape[1]);
    plan.shared = static_cast<int>(q->dl.shape[1] / k->dl.shape[1]);
    plan.length = static_cast<int>(q->dl.shape[2]);
    plan.keys = static_cast<int>(k->dl.shape[2]);
    plan.size = static_cast<int>(q->dl.shape[3]);
    plan.causal = arg_bool(f, causal);
    plan.scale = static_cast<float>(arg_double(f, causal + 1));
    if (plan.query_blocks() > INT32_MAX || plan.key_blocks() > INT32_MAX) return;
    query = HeadOperand(q);
    key = HeadOperand(k);
    value = HeadOperand(v);
    take_bias(arg_tensor(f, first + 3));
    if (plan.length == 1 && !plan.causal) fold();
    query.rows = by_query(query.rows);
  }
  // Where a tensor of query's shape has the plan's rows.
  HeadRows by_query(HeadRows rows) const {
    return folded_ == 1 ? rows : HeadRows{rows.batch, rows.head * folded_, rows.head};
  }
  // Whether the kernels take them; they do where there is anything to do.
  bool fit() const { return static_cast<bool>(query.tensor); }

  // Calls f(Tag of the dtype, the width of tiles).
  template <class F>
  void visit(F&& f) const {
    auto with_width = [&](auto tag) {
      if (plan.size <= kMostHead / 2) return f(tag, std::integral_constant<int, kMostHead / 2>{});
      f(tag, std::integral_constant<int, kMostHead>{});
    };
    if (query.tensor->dtype == ATLED_FLOAT16) return with_width(Tag<Half>{});
    with_width(Tag<BFloat16>{});
  }

 private:
  static bool takes(const atled_tensor* q, const atled_tensor* k, const atled_tensor* v) {
    const int64_t size = q->dl.shape[3];
    return (q->dtype == ATLED_FLOAT16 || q->dtype == ATLED_BFLOAT16) && size == v->dl.shape[3] && size > 0 &&
           size <= kMostHead && size % kPiece == 0 && numel(q) > 0 && numel(k) > 0 && q->dl.shape[1] <= kMostRows &&
           q->dl.shape[2] <= kMostRows && k->dl.shape[2] <= kMostRows;
  }
  // Single queries of the heads that share one of key are neighbouring queries of that head: it is read once for them.
  void fold() {
    folded_ = plan.shared;
    plan.heads /= plan.shared;
    plan.length = plan.shared;
    plan.shared = 1;
    bias.query = bias.head;
    bias.head *= folded_;
  }
  void take_bias(const atled_tensor* t) {
    if (!t) return;
    int64_t steps[4] = {};
    for (int d = 0; d < t->dl.ndim; ++d)
      if (t->dl.shape[d] != 1) steps[4 - t->dl.ndim + d] = t->dl.strides[d];
    bias = {data<const float>(t), steps[0], steps[1], steps[2], steps[3]};
  }

  int folded_ = 1;  // heads that are queries instead
};

}  // namespace atled::nn
