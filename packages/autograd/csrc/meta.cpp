// What a tensor's autograd slot holds, and how it changes.
#include "node.h"
#include "pool.h"
#include "site.h"
#include "transform.h"
#include "view.h"

namespace atled::autograd {

Meta& leaf_meta(atled_tensor* t) {
  if (Meta* meta = meta_of(t)) return *meta;
  Meta* meta = new (pool_allocate(sizeof(Meta))) Meta;
  if (int status = layer_group->set_slot(t, meta)) {
    pool_free(meta, sizeof(Meta));
    throw Raised{status};
  }
  return *meta;
}

void drop_slot(atled_tensor* t) noexcept {
  Meta* meta = meta_of(t);
  Node* node = meta->node;
  if (meta->flags & kEmbedded) {
    // Hooks stay with the node: they see the gradient whether or not the tensor is still there.
    meta->flags = kEmbedded;
    node->outputs()[meta->output].has_tensor = false;
    if (meta->extra) {
      Tensor grad = std::move(meta->extra->grad);
      delete std::exchange(meta->extra->view, nullptr);
      delete std::exchange(meta->extra->wrapped, nullptr);
    }
  } else {
    delete meta->extra;
    meta->~Meta();
    pool_free(meta, sizeof(Meta));
  }
  release(node);
}

void set_requires_grad(atled_tensor* t, bool wanted) {
  if (wanted == requires_grad(t)) return;
  Meta* meta = meta_of(t);
  if (meta && meta->node)
    fail(ATLED_E_AUTOGRAD,
         "requires_grad_: expected a leaf, got the result of %s; use detach() for a tensor without history",
         meta->node->name);
  if (wanted && !is_floating(t->dtype) && !is_complex(t->dtype))
    fail(ATLED_E_AUTOGRAD,
         "requires_grad_: expected a floating-point or complex tensor, got %s; convert it first, for example with "
         "to(float32)",
         dtype_name(t->dtype));
  if (wanted && t->flags & ATLED_TENSOR_INFERENCE && !inference())
    refuse_inference("requires_grad_", "a leaf that requires grad", t);
  Meta& leaf = leaf_meta(t);
  if (wanted && !leaf.more().site.code) leaf.extra->site = here();
  leaf.depth = depth();
  leaf.flags = static_cast<uint8_t>(wanted ? leaf.flags | kRequiresGrad : leaf.flags & ~kRequiresGrad);
  check(api.set_keys(t, wanted ? kKey : 0, wanted ? 0 : kKey));
}

namespace {

bool describes(const Output& output, const atled_tensor* t) {
  if (output.dtype != t->dtype || output.ndim != t->dl.ndim) return false;
  for (int d = 0; d < output.ndim; ++d)
    if (output.shape[d] != t->dl.shape[d]) return false;
  return output.device.device_type == t->dl.device.device_type && output.device.device_id == t->dl.device.device_id;
}

// The one accumulator of a leaf while any graph holds it; owned.
Node* accumulator(atled_tensor* t, Meta& meta) {
  while (meta.lock.exchange(1, std::memory_order_acquire)) {
  }
  Node* node = meta.accumulator;
  if (node) {
    // One that another thread has begun to destroy is as good as none; that thread does not look at its count again.
    if (node->refs.fetch_add(1, std::memory_order_acq_rel) == 0) node = nullptr;
  }
  // Tensor.data may have made another tensor of the leaf since.
  if (node && !describes(node->outputs()[0], t)) {
    release(node);
    node = nullptr;
  }
  if (!node) {
    int64_t* words = nullptr;
    try {
      if (t->flags & ATLED_TENSOR_INFERENCE) refuse_inference("backward", "differentiated", t);
      node = make_node(Kind::kAccumulate, "AccumulateGrad", 1, 0, 0, static_cast<size_t>(t->dl.ndim), &words);
    } catch (...) {
      meta.lock.store(0, std::memory_order_release);
      throw;
    }
    describe_output(node, 0, t, words);
    api.retain(t);
    node->leaf = t;
    number(node);
    meta.accumulator = node;
  }
  meta.lock.store(0, std::memory_order_release);
  return node;
}

}  // namespace

Node* history(atled_tensor* t) {
  if (!requires_grad(t)) return nullptr;
  Meta* meta = meta_of(t);
  if (meta && meta->extra && meta->extra->view) {
    renew_view(t);
    meta = meta_of(t);
  }
  return meta ? meta->node : nullptr;
}

Edge gradient_edge(atled_tensor* t) {
  if (!requires_grad(t)) return {};
  if (Node* node = history(t)) {
    retain(node);
    return {node, meta_of(t)->output};
  }
  return {accumulator(t, leaf_meta(t)), 0};
}

void lend_history(atled_tensor* t, Node* node, uint32_t output) {
  Meta& meta = leaf_meta(t);
  retain(node);
  meta.node = node;
  meta.output = output;
  meta.flags = kRequiresGrad;
  meta.depth = node->leaf ? meta_of(node->leaf)->depth : node->outputs()[output].meta.depth;
  check(api.set_keys(t, kKey, 0));
}

void detach_in_place(atled_tensor* t) {
  Meta* meta = meta_of(t);
  if (!meta) return;
  if (meta->extra && meta->extra->view)
    fail(ATLED_E_AUTOGRAD, "detach_: expected a tensor that is no view of another, got one; use detach()");
  if (meta->node) {
    drop_slot(t);
    check(layer_group->set_slot(t, nullptr));
  } else {
    meta->flags = 0;
  }
  check(api.set_keys(t, 0, kKey));
}

bool recording() {
  uint64_t excluded = 0;
  check(layer_group->exclude(0, 0, &excluded));
  return !(excluded & kKey);
}

bool inference() {
  uint64_t excluded = 0;
  check(layer_group->exclude(0, 0, &excluded));
  return excluded & kInferenceKey;
}

void refuse_inference(const char* op, const char* what, const atled_tensor* t) {
  fail(ATLED_E_AUTOGRAD,
       "%s: expected a tensor that was made outside inference_mode, got one of shape %s that was made inside, which "
       "cannot be %s; use a copy of it that is made outside: clone()",
       op, shape_text(t).c_str(), what);
}

RecordingScope::RecordingScope(bool on) { check(layer_group->exclude(on ? 0 : kKey, on ? kKey : 0, &old)); }
RecordingScope::~RecordingScope() { layer_group->exclude(old & kKey, old & kKey ? 0 : kKey, nullptr); }

}  // namespace atled::autograd
