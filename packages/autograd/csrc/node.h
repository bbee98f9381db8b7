// The graph: nodes, the edges between them, and what a tensor's autograd slot points to.
//
// A node is one block of memory: header, outputs, edges, saved values, payload (shapes and lists that the values point
// to). The slot of a recorded tensor points to the `Meta` inside its node's output, so recording allocates one block
// per call. Nodes are reference counted; destruction is iterative, so that the depth of a graph costs no stack.
// Threads: counts are atomic; everything else of a node is written before the node is shared, but for the scratch of a
// backward run, which a run claims (see engine.cpp).
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "atled/plugin.hpp"

namespace atled::autograd {

constexpr uint32_t kLevel = 16;
constexpr uint64_t kKey = uint64_t{1} << kLevel;
constexpr uint64_t kInferenceKey = 1;  // excluded in inference mode, which marks what is made there

// The handler may be given, and its calls may give, tensors whose values are yet to be computed: it settles those whose
// memory it reads.
inline void add_layer(const char* name, uint32_t level, atled_kernel handler) {
  check(layer_group->add(name, level, handler, nullptr));
  check(layer_group->defer(uint64_t{1} << level, &api.call, &api.redispatch));
}

struct Node;
struct Rule;
struct Wrapped;

struct Edge {
  Node* node = nullptr;  // owned; NULL when no gradient flows this way
  uint32_t output = 0;
};

// Where a view's elements come from. It belongs to the tensor and goes when the tensor dies.
struct View {
  Tensor base;
  uint64_t base_seq;  // of the base's history when the view's own was recorded
  bool several;       // one of many outputs of one op
};

// Where Python called: the code object, owned, and the offset of the instruction in it. Read out only for messages.
struct Site {
  PyObject* code = nullptr;
  int32_t offset = 0;
};

// What few tensors have.
struct Extra {
  Tensor grad;
  View* view = nullptr;
  Wrapped* wrapped = nullptr;      // what the tensor stands for (see transform.h); goes with it too
  PyObject* hooks = nullptr;       // dict: id -> callable, run on the gradient
  PyObject* post_hooks = nullptr;  // dict: id -> callable, run after accumulation into a leaf
  Site site;                       // where requires_grad of a leaf was set
  std::atomic<uint8_t> adding{0};  // a run is changing grad
  Extra() = default;
  Extra(const Extra&) = delete;
  Extra& operator=(const Extra&) = delete;
  ~Extra();
};

// kEnded: what a function was differentiated by, when it has returned; nothing is to lead there any more.
enum : uint8_t { kRequiresGrad = 1, kRetainsGrad = 2, kEmbedded = 4, kEnded = 8 };

struct Meta {
  Node* node = nullptr;  // the tensor's history, owned; NULL for a leaf
  uint32_t output = 0;
  uint8_t flags = 0;
  std::atomic<uint8_t> lock{0};  // guards accumulator
  uint16_t depth = 0;            // of the transform in which the history began; 0: outside of all
  Extra* extra = nullptr;        // owned
  Node* accumulator = nullptr;   // not owned: the accumulator holds the tensor
  Extra& more() { return extra ? *extra : *(extra = new Extra); }
};

// A gradient on its way to a node. `fresh` says that nobody else holds it, so it may be changed or kept.
struct Buffer {
  atled_tensor* tensor = nullptr;
  bool fresh = false;
};

struct Output {
  Meta meta;
  Buffer buffer;  // scratch of the run that claimed the node
  const int64_t* shape;
  int32_t ndim;
  int16_t dtype;
  bool has_tensor;  // the tensor whose slot is `meta` lives
  DLDevice device;
};

struct Saved {
  atled_value value;  // tensors are owned; lists lie in the node's payload
  uint64_t version;   // of a tensor; for a list of tensors, versions follow its entries in the payload
                      // where a hook has packed it the tensor is NULL, and this one more than its place in Rare::packed
};

// What a hook made of a saved tensor, and what makes a tensor of it again; both owned (see saving.h).
struct Packed {
  PyObject* object;
  PyObject* unpack;
};

// What few nodes have.
struct Rare {
  PyObject* wrapper = nullptr;     // the Python object of the node while one lives, not owned
  PyObject* pre_hooks = nullptr;   // dict: id -> callable, run on the gradients of the outputs
  PyObject* post_hooks = nullptr;  // dict: id -> callable, run on those of the inputs and of the outputs
  std::vector<Packed> packed;
  std::vector<Tensor> unpacked;  // while the node runs
  Rare() = default;
  Rare(const Rare&) = delete;
  Rare& operator=(const Rare&) = delete;
  ~Rare();
  void drop_packed() noexcept;
};

enum class Kind : uint8_t { kRule, kAccumulate, kFunction };
enum : uint8_t { kFreed = 1, kHasMetadata = 2 };  // saved tensors are gone; Python has put something in its metadata

struct Node {
  std::atomic<uint32_t> refs{1};
  Kind kind;
  std::atomic<uint8_t> state{0};
  uint16_t saved_count;
  uint32_t output_count, edge_count, size;
  uint64_t seq;
  const Rule* rule = nullptr;    // kRule
  const char* name;              // of the op or the Function; lives as long as its owner
  PyObject* python = nullptr;    // kFunction: the context object, owned
  atled_tensor* leaf = nullptr;  // kAccumulate, owned
  Node* next = nullptr;          // in the list of nodes to destroy
  std::atomic<uint64_t> run{0};  // the backward run that has claimed the scratch
  uint32_t marks = 0;            // scratch of that run
  uint32_t list_length = 0;      // of the one list argument that has gradients
  Rare* rare = nullptr;          // owned
  Site site;                     // of the call
  // They lie behind it in its block, in this order, and the payload behind them.
  Output* outputs() const { return reinterpret_cast<Output*>(const_cast<Node*>(this) + 1); }
  Edge* edges() const { return reinterpret_cast<Edge*>(outputs() + output_count); }
  Saved* saved() const { return reinterpret_cast<Saved*>(edges() + edge_count); }
  Rare& more() { return rare ? *rare : *(rare = new Rare); }
};

inline void retain(Node* node) { node->refs.fetch_add(1, std::memory_order_relaxed); }
void release(Node* node) noexcept;  // NULL is fine

class NodeRef {
 public:
  NodeRef() = default;
  explicit NodeRef(Node* owned) : node_(owned) {}
  NodeRef(NodeRef&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  NodeRef& operator=(NodeRef&& other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~NodeRef() { release(node_); }
  static NodeRef borrow(Node* node) {
    if (node) retain(node);
    return NodeRef(node);
  }
  Node* get() const { return node_; }
  Node* operator->() const { return node_; }
  Node* take() { return std::exchange(node_, nullptr); }
  explicit operator bool() const { return node_; }

 private:
  Node* node_ = nullptr;
};

// Zeroed outputs, edges and saved values. `words` are extra 8-byte words of payload, which `payload` answers. The node
// gets its number from number(), once its edges are known: a node's number is above those of all nodes it leads to.
Node* make_node(Kind kind, const char* name, uint32_t outputs, uint32_t edges, uint32_t saved, size_t words,
                int64_t** payload);
// Notes the shape of an output; `words` must have room for ndim numbers. Answers the words behind it.
int64_t* describe_output(Node* node, uint32_t i, const atled_tensor* t, int64_t* words);
// Makes output i of node the history of t, in place of what it had. Keeps t's .grad.
void set_history(atled_tensor* t, NodeRef node, uint32_t i);
void number(Node* node);
void release_saved_tensor(atled_tensor* t) noexcept;
// Drops the saved tensors (shapes and numbers stay).
void free_saved(Node* node) noexcept;

// ---- slots (meta.cpp) ----

inline Meta* meta_of(const atled_tensor* t) { return static_cast<Meta*>(t->autograd); }
// A view that was made when its base had no history has one as soon as the base got it by a change in place.
bool follows_base(const atled_tensor* t);
inline bool requires_grad(const atled_tensor* t) {
  return t->keys & kKey || (__atomic_load_n(&t->version->keys, __ATOMIC_RELAXED) & kKey && follows_base(t));
}
Meta& leaf_meta(atled_tensor* t);  // made when the tensor has no slot yet
void set_requires_grad(atled_tensor* t, bool wanted);
// Where gradients of t go: its history or its accumulator; owned. NULL when t needs none.
Edge gradient_edge(atled_tensor* t);
// Gives a tensor without a slot, which stands for another, the history that the other has.
void lend_history(atled_tensor* t, Node* node, uint32_t output);
// t's history as it is now (a view's is renewed when its base has changed); borrowed, NULL for a leaf.
Node* history(atled_tensor* t);
// Called by core when a tensor with a slot dies.
void drop_slot(atled_tensor* t) noexcept;
void detach_in_place(atled_tensor* t);

bool recording();  // on this thread
bool inference();  // whether this thread is in inference mode
[[noreturn]] void refuse_inference(const char* op, const char* what, const atled_tensor* t);
struct RecordingScope {
  explicit RecordingScope(bool on);
  ~RecordingScope();
  uint64_t old = 0;
};

// Python may be gone at exit, when nothing can be released any more.
void drop_python(PyObject* object) noexcept;
void drop_metadata(const Node* node) noexcept;

}  // namespace atled::autograd
