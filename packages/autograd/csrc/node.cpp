#include "node.h"

#include <algorithm>
#include <cstring>

#include "pool.h"
#include "rule.h"
#include "site.h"
#include "thread_state.h"
#include "transform.h"

namespace atled::autograd {

ATLED_THREAD_LOCAL ThreadState this_thread;

namespace {

std::atomic<uint64_t> next_seq{1};

void destroy(Node* node) noexcept {
  free_saved(node);
  if (node->state.load(std::memory_order_relaxed) & kHasMetadata) drop_metadata(node);
  for (uint32_t i = 0; i < node->edge_count; ++i) release(node->edges()[i].node);
  for (uint32_t i = 0; i < node->output_count; ++i) {
    if (node->outputs()[i].buffer.tensor) api.release(node->outputs()[i].buffer.tensor);
    delete node->outputs()[i].meta.extra;
  }
  if (node->leaf) {
    Meta* meta = meta_of(node->leaf);
    if (meta) {
      while (meta->lock.exchange(1, std::memory_order_acquire)) {
      }
      if (meta->accumulator == node) meta->accumulator = nullptr;
      meta->lock.store(0, std::memory_order_release);
    }
    api.release(node->leaf);
  }
  if (node->python) drop_python(node->python);
  delete node->rare;
  drop_site(node->site);
  const size_t size = node->size;
  node->~Node();
  pool_free(node, size);
}

}  // namespace

Extra::~Extra() {
  delete view;
  delete wrapped;
  if (hooks) drop_python(hooks);
  if (post_hooks) drop_python(post_hooks);
  drop_site(site);
}

Rare::~Rare() {
  for (PyObject* object : {pre_hooks, post_hooks})
    if (object) drop_python(object);
  drop_packed();
}

void Rare::drop_packed() noexcept {
  for (const Packed& each : std::exchange(packed, {})) {
    drop_python(each.object);
    drop_python(each.unpack);
  }
}

void drop_python(PyObject* object) noexcept {
  if (!Py_IsInitialized()) return;
  PyGILState_STATE gil = PyGILState_Ensure();
  Py_DECREF(object);
  PyGILState_Release(gil);
}

void release(Node* node) noexcept {
  if (!node || node->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  ThreadState& here = this_thread;
  node->next = here.doomed;
  here.doomed = node;
  if (here.destroying) return;
  here.destroying = true;
  while (Node* first = here.doomed) {
    here.doomed = first->next;
    destroy(first);
  }
  here.destroying = false;
}

Node* make_node(Kind kind, const char* name, uint32_t outputs, uint32_t edges, uint32_t saved, size_t words,
                int64_t** payload) {
  static_assert(alignof(Output) <= 8 && alignof(Edge) <= 8 && alignof(Saved) <= 8 && sizeof(Node) % 8 == 0,
                "one block of words");
  const size_t size =
      sizeof(Node) + outputs * sizeof(Output) + edges * sizeof(Edge) + saved * sizeof(Saved) + words * 8;
  if (size > UINT32_MAX) throw std::bad_alloc();
  char* block = static_cast<char*>(pool_allocate(size));
  Node* node = new (block) Node;
  node->kind = kind;
  node->name = name;
  node->output_count = outputs;
  node->edge_count = edges;
  node->saved_count = static_cast<uint16_t>(saved);
  node->size = static_cast<uint32_t>(size);
  node->seq = 0;
  for (uint32_t i = 0; i < outputs; ++i) new (&node->outputs()[i]) Output{};
  for (uint32_t i = 0; i < edges; ++i) new (&node->edges()[i]) Edge{};
  for (uint32_t i = 0; i < saved; ++i) new (&node->saved()[i]) Saved{none(), 0};
  if (payload) *payload = reinterpret_cast<int64_t*>(node->saved() + saved);
  return node;
}

void number(Node* node) { node->seq = next_seq.fetch_add(1, std::memory_order_relaxed); }

int64_t* describe_output(Node* node, uint32_t i, const atled_tensor* t, int64_t* words) {
  Output& out = node->outputs()[i];
  out.ndim = t->dl.ndim;
  out.dtype = t->dtype;
  out.device = t->dl.device;
  out.shape = words;
  for (int d = 0; d < out.ndim; ++d) words[d] = t->dl.shape[d];
  return words + out.ndim;
}

namespace {

// The deepest transform that an input's history began in.
uint16_t depth_of(const Node* node) {
  uint16_t depth = 0;
  for (uint32_t i = 0; i < node->edge_count; ++i)
    if (const Node* from = node->edges()[i].node)
      depth = std::max(depth,
                       from->leaf ? meta_of(from->leaf)->depth : from->outputs()[node->edges()[i].output].meta.depth);
  return depth;
}

}  // namespace

void set_history(atled_tensor* t, NodeRef owned, uint32_t i) {
  Meta* old = meta_of(t);
  Node* node = owned.take();
  Meta& meta = node->outputs()[i].meta;
  meta.node = node;
  meta.output = i;
  meta.flags = kRequiresGrad | kEmbedded;
  meta.depth = depth() ? depth_of(node) : 0;
  node->outputs()[i].has_tensor = true;
  if (old) {
    meta.flags |= old->flags & kRetainsGrad;
    if (old->extra) {
      meta.more().grad = std::move(old->extra->grad);
      meta.more().view = std::exchange(old->extra->view, nullptr);
      meta.more().wrapped = std::exchange(old->extra->wrapped, nullptr);
    }
    drop_slot(t);
  }
  check(layer_group->set_slot(t, &meta));
  check(api.set_keys(t, kKey, 0));
}

void release_saved_tensor(atled_tensor* t) noexcept {
  __atomic_fetch_sub(&t->version->watchers, 1, __ATOMIC_RELAXED);
  api.release(t);
}

void free_saved(Node* node) noexcept {
  // One that nobody else holds has no other to free it meanwhile.
  const bool shared = node->refs.load(std::memory_order_relaxed) != 0;
  const uint8_t before =
      shared ? node->state.fetch_or(kFreed, std::memory_order_acq_rel) : node->state.load(std::memory_order_relaxed);
  if (before & kFreed) return;
  if (node->rare) {
    node->rare->unpacked.clear();
    node->rare->drop_packed();
  }
  for (uint32_t i = 0; i < node->saved_count; ++i) {
    const atled_value& v = node->saved()[i].value;
    if (v.tag == ATLED_TENSOR && v.u.tensor) release_saved_tensor(v.u.tensor);
    if (v.tag == ATLED_TENSORS)
      for (uint32_t k = 0; k < v.n; ++k)
        if (v.u.tensors[k]) release_saved_tensor(v.u.tensors[k]);
  }
}

}  // namespace atled::autograd
