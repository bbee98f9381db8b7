// The walk through the graph. Nodes run in falling order of their numbers: a node's number is above those of all nodes
// it leads to, so every gradient that a node gets has arrived when its turn comes, and nothing has to be counted first.
//
// A run keeps the gradients on their way in the nodes themselves: it claims a node by writing its own number into it. A
// node that another run has claimed (in another thread, or a run that a hook of this one started) gets a record on the
// side.
#include "engine.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "autocast.h"
#include "modes.h"
#include "python/python.h"
#include "rule.h"
#include "site.h"
#include "transform.h"

namespace atled::autograd {

namespace {

std::atomic<uint64_t> next_run{1};

enum : uint32_t { kReady = 1, kSeen = 2, kLeadsToTarget = 4, kTarget = 8 };

// Whether elements share memory, as in the gradient of a sum: such a tensor cannot be added to in place.
bool is_expanded(const atled_tensor* t) {
  for (int d = 0; d < t->dl.ndim; ++d)
    if (t->dl.strides[d] == 0 && t->dl.shape[d] > 1) return true;
  return false;
}

class Run;
thread_local Run* innermost = nullptr;

class Run {
 public:
  explicit Run(const Request& request)
      : request_(request), id_(next_run.fetch_add(1, std::memory_order_relaxed)), outer_(innermost) {
    innermost = this;
  }

  ~Run() {
    innermost = outer_;
    for (Node* node : claimed_) let_go(node);
    for (Node* node : heap_) let_go(node);
    for (auto& entry : aside_)
      for (Buffer& buffer : entry.second.buffers)
        if (buffer.tensor) api.release(buffer.tensor);
  }

  std::vector<Tensor> go() {
    results_.resize(request_.targets.size());
    if (request_.selective) mark();
    RecordingScope scope(request_.create_graph);
    for (const Root& root : request_.roots) deliver(root.edge, Tensor::borrow(root.gradient), false, "backward");
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later);
      Node* node = heap_.back();
      claimed_.push_back(node);
      heap_.pop_back();
      visit(node);
      if (!request_.selective) {
        let_go(node);
        claimed_.pop_back();
      }
    }
    return std::move(results_);
  }

  uint64_t id() const { return id_; }

  std::vector<bool> comes_to(const std::vector<PyObject*>& hooks) {
    std::vector<bool> answer(hooks.size());
    std::unordered_set<const Node*> seen;
    std::vector<const Node*> left;
    auto see = [&](const Node* node) {
      if (!node || !seen.insert(node).second) return;
      if (request_.selective && !(marks_so_far(node) & (kLeadsToTarget | kTarget))) return;
      left.push_back(node);
    };
    for (const Root& root : request_.roots) see(root.edge.node);
    while (!left.empty()) {
      const Node* node = left.back();
      left.pop_back();
      for (uint32_t i = 0; i < node->output_count; ++i) {
        const Meta* meta = node->leaf ? meta_of(node->leaf) : &node->outputs()[i].meta;
        for (size_t k = 0; meta && meta->extra && meta->extra->hooks && k < hooks.size(); ++k)
          if (meta->extra->hooks == hooks[k]) answer[k] = true;
      }
      for (uint32_t i = 0; i < node->edge_count; ++i) see(node->edges()[i].node);
    }
    return answer;
  }

 private:
  struct Aside {
    uint32_t marks = 0;
    std::vector<Buffer> buffers;
  };

  static bool later(const Node* a, const Node* b) { return a->seq < b->seq; }

  // Once a node has a record on the side, that stays its place in this run.
  bool claim(Node* node) {
    if (!aside_.empty() && aside_.count(node)) return false;
    uint64_t owner = node->run.load(std::memory_order_relaxed);
    if (owner == id_) return true;
    if (owner != 0 || !node->run.compare_exchange_strong(owner, id_, std::memory_order_acquire)) return false;
    node->marks = 0;
    return true;
  }

  Aside& aside(Node* node) {
    Aside& record = aside_[node];
    record.buffers.resize(node->output_count);
    return record;
  }

  uint32_t marks_so_far(const Node* node) const {
    if (node->run.load(std::memory_order_relaxed) == id_) return node->marks;
    const auto record = aside_.find(const_cast<Node*>(node));
    return record == aside_.end() ? 0 : record->second.marks;
  }

  uint32_t& marks(Node* node) { return claim(node) ? node->marks : aside(node).marks; }
  Buffer& buffer(Node* node, uint32_t i) { return claim(node) ? node->outputs()[i].buffer : aside(node).buffers[i]; }

  void let_go(Node* node) {
    if (node->run.load(std::memory_order_relaxed) != id_) return;
    for (uint32_t i = 0; i < node->output_count; ++i)
      if (atled_tensor* t = std::exchange(node->outputs()[i].buffer.tensor, nullptr)) api.release(t);
    node->run.store(0, std::memory_order_release);
  }

  // Finds the nodes from which a target can be reached.
  void mark() {
    uint64_t lowest = UINT64_MAX;
    for (const Edge& target : request_.targets) lowest = std::min(lowest, target.node->seq);
    std::vector<Node*> found;
    auto see = [&](Node* node) {
      uint32_t& m = marks(node);
      if (m & kSeen) return;
      m |= kSeen;
      found.push_back(node);
      if (node->run.load(std::memory_order_relaxed) == id_) claimed_.push_back(node);
    };
    for (const Edge& target : request_.targets) {
      see(target.node);
      marks(target.node) |= kTarget;
    }
    for (const Root& root : request_.roots) see(root.edge.node);
    for (size_t at = 0; at < found.size(); ++at) {
      Node* node = found[at];
      for (uint32_t i = 0; i < node->edge_count; ++i)
        if (Node* next = node->edges()[i].node)
          if (next->seq >= lowest) see(next);
    }
    std::sort(found.begin(), found.end(), later);
    for (Node* node : found)
      for (uint32_t i = 0; i < node->edge_count; ++i)
        if (wanted(node->edges()[i])) marks(node) |= kLeadsToTarget;
  }

  bool wanted(const Edge& edge) {
    if (!edge.node) return false;
    if (!request_.selective) return true;
    return marks(edge.node) & (kLeadsToTarget | kTarget);
  }

  // Adds g to what has arrived at the edge's end.
  void deliver(const Edge& edge, Tensor g, bool fresh, const char* from) {
    if (!wanted(edge)) return;
    const Output& output = edge.node->outputs()[edge.output];
    g = fit_gradient(std::move(g), output.ndim, output.shape, output.dtype, output.device, from, &fresh);
    Buffer& to = buffer(edge.node, edge.output);
    if (!to.tensor) {
      to = {g.release(), fresh};
    } else {
      static const Op add{"core::add"};
      if (to.fresh && !request_.create_graph && !is_expanded(to.tensor) && !is_wrapper(g)) {
        add.inplace(to.tensor, g);
      } else {
        Tensor sum = add(to.tensor, g);
        api.release(to.tensor);
        to = {sum.release(), true};
      }
    }
    uint32_t& m = marks(edge.node);
    if (m & kReady) return;
    m |= kReady;
    heap_.push_back(edge.node);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  struct Gradients {
    explicit Gradients(uint32_t n) : count(n), list(n <= 4 ? few : (many.resize(n), many.data())) {}
    ~Gradients() {
      for (uint32_t i = 0; i < count; ++i)
        if (list[i].tensor) api.release(list[i].tensor);
    }
    uint32_t count;
    Buffer few[4];
    std::vector<Buffer> many;
    Buffer* list;
  };

  void visit(Node* node) {
    const NodeRange range(node);
    Gradients gradients(node->output_count);
    for (uint32_t i = 0; i < node->output_count; ++i) {
      gradients.list[i] = std::exchange(buffer(node, i), Buffer{});
      if (gradients.list[i].tensor) arrive(node, i, gradients.list[i]);
    }
    const uint32_t m = marks(node);
    marks(node) &= ~kReady;
    const bool watched = any_mode() && checks_nan();
    if (watched) refuse_nan_arriving(node, gradients.list);
    if (request_.selective && (m & kTarget)) capture(node, gradients.list);
    const bool runs = !request_.selective || (m & kLeadsToTarget);
    if (runs && node->rare && node->rare->pre_hooks) run_pre_hooks(node, gradients.list);
    if (node->kind == Kind::kAccumulate) {
      if (request_.selective || !gradients.list[0].tensor) return;
      const bool hooked = node->rare && node->rare->post_hooks;
      Tensor g = Tensor::steal(gradients.list[0].tensor);
      gradients.list[0].tensor = hooked ? Tensor(g).release() : nullptr;
      accumulate(node->leaf, std::move(g), gradients.list[0].fresh && !hooked, request_.create_graph);
      if (hooked) run_post_hooks(node, nullptr, gradients.list);
      return;
    }
    if (!runs) return;
    Gradients results(node->edge_count);
    try {
      if (node->kind == Kind::kRule)
        apply_rule(node, gradients.list, results.list);
      else
        apply_function(node, gradients.list, results.list);
    } catch (...) {
      if (node->rare) node->rare->unpacked.clear();
      rethrow_noted(node);
    }
    if (watched) refuse_nan_gradient(node, results.list);
    if (node->rare) {
      node->rare->unpacked.clear();
      if (node->rare->post_hooks) run_post_hooks(node, results.list, gradients.list);
    }
    // A node that another run holds is left for that one to free.
    if (!request_.keep_graph && claim(node)) free_saved(node);
    for (uint32_t i = 0; i < node->edge_count; ++i)
      if (atled_tensor* g = std::exchange(results.list[i].tensor, nullptr))
        deliver(node->edges()[i], Tensor::steal(g), results.list[i].fresh, node->name);
  }

  // A gradient is complete: hooks see it, and the tensor keeps it if that was asked for.
  void arrive(Node* node, uint32_t i, Buffer& g) {
    Meta& meta = node->leaf ? leaf_meta(node->leaf) : node->outputs()[i].meta;
    if (meta.extra && meta.extra->hooks) {
      // Hooks may come and go while they run.
      Ref hooks = Ref::borrow(meta.extra->hooks);
      atled_tensor* before = g.tensor;
      Tensor after = run_hooks(hooks.get(), Tensor::steal(std::exchange(g.tensor, nullptr)));
      bool fresh = false;
      const Output& output = node->outputs()[i];
      if (after.get() != before)
        after =
            fit_gradient(std::move(after), output.ndim, output.shape, output.dtype, output.device, "a hook", &fresh);
      g = {after.release(), false};
    }
    if (!node->leaf && (meta.flags & kRetainsGrad) && !request_.selective) keep_gradient(meta, g.tensor);
  }

  // In the .grad of a tensor that is no leaf.
  static void keep_gradient(Meta& meta, atled_tensor* g) {
    static const Op add{"core::add"}, clone{"core::clone"};
    Tensor& grad = meta.more().grad;
    grad = grad ? add(grad, g) : clone(g);
  }

  void capture(Node* node, const Buffer* gradients) {
    for (size_t k = 0; k < request_.targets.size(); ++k) {
      const Edge& target = request_.targets[k];
      if (target.node != node || !gradients[target.output].tensor) continue;
      if (request_.accumulate && node->leaf)
        accumulate(node->leaf, Tensor::borrow(gradients[target.output].tensor), false, request_.create_graph);
      else if (request_.accumulate)
        keep_gradient(node->outputs()[target.output].meta, gradients[target.output].tensor);
      else
        results_[k] = Tensor::borrow(gradients[target.output].tensor);
    }
  }

  void apply_rule(Node* node, const Buffer* gradients, Buffer* results) {
    const Rule& rule = *node->rule;
    if (rule.mark == Rule::Mark::kNotImplemented)
      fail(ATLED_E_NOT_IMPLEMENTED, "%s: its gradient is not implemented: %s", node->name, rule.why.c_str());
    uint64_t needed = 0;
    for (uint32_t i = 0; i < rule.inputs.size(); ++i) {
      const EdgeRange range = edges_of(node, i);
      for (uint32_t k = range.first; k < range.first + range.count; ++k)
        if (wanted(node->edges()[k])) needed |= uint64_t{1} << i;
    }
    const GradientOf scope(request_.create_graph ? node : nullptr);
    for (const Function& function : rule.functions) {
      bool any = false;
      for (uint16_t target : function.targets) any = any || (needed >> target & 1);
      if (any) run_function(node, function, gradients, needed, results, !claim(node));
    }
  }

  // Functions get zeros, unless they asked for None.
  static Tensor missing(const Node* node, uint32_t i) {
    Ref wanted = need(PyObject_GetAttrString(node->python, "_materialize"));
    const bool tensor = node->outputs()[i].shape != nullptr;
    return tensor && PyObject_IsTrue(wanted.get()) == 1 ? zeros(node->outputs()[i]) : Tensor();
  }

  // The context's _backward(node, gradients) answers one gradient or None for each edge.
  void apply_function(Node* node, const Buffer* gradients, Buffer* results) {
    Ref arguments = need(PyTuple_New(node->output_count));
    for (uint32_t i = 0; i < node->output_count; ++i)
      PyTuple_SetItem(arguments.get(), i,
                      to_python(gradients[i].tensor ? Tensor::borrow(gradients[i].tensor) : missing(node, i)).take());
    Ref answer = need(PyObject_CallMethod(node->python, "_backward", "OO", wrap_node(node).get(), arguments.get()));
    if (!PyTuple_Check(answer.get()) || PyTuple_Size(answer.get()) != static_cast<Py_ssize_t>(node->edge_count))
      fail(ATLED_E_AUTOGRAD, "%s.backward: expected %u gradients, one for each argument of forward", node->name,
           node->edge_count);
    for (uint32_t i = 0; i < node->edge_count; ++i) {
      PyObject* object = PyTuple_GetItem(answer.get(), i);
      if (object == Py_None || !wanted(node->edges()[i])) continue;
      atled_tensor* t = tensor_of(object);
      api.retain(t);
      results[i] = {t, false};
    }
  }

  const Request& request_;
  const uint64_t id_;
  Run* const outer_;
  std::vector<Node*> heap_;
  std::vector<Node*> claimed_;
  std::unordered_map<Node*, Aside> aside_;
  std::vector<Tensor> results_;
};

}  // namespace

std::vector<Tensor> run_backward(const Request& request) {
  const WithoutAutocast off;
  return Run(request).go();
}

uint64_t current_run() { return innermost ? innermost->id() : 0; }

bool runs_here(const Node* node) { return innermost && node->run.load(std::memory_order_relaxed) == innermost->id(); }

std::vector<bool> will_run(const std::vector<PyObject*>& hooks) {
  return innermost ? innermost->comes_to(hooks) : std::vector<bool>(hooks.size(), false);
}

}  // namespace atled::autograd
