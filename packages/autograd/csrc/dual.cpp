// Forward mode: what a call does to the tangents of its arguments.
//
// How depends on the op (Rule::forward):
//   linear       the call itself, on tangents in place of the arguments that have gradients
//   multilinear  the sum of such calls, each with one argument exchanged
//   diagonal     each result element depends on one element of each argument, so a gradient function gives the tangent
//                too: conj(f(conj(t))), for a holomorphic function (of which real ones are a case)
//   transposed   any op: the gradient functions are linear in the gradient; differentiating them by it gives the
//                transpose of the transposed Jacobian
#include <algorithm>

#include "engine.h"
#include "python/python.h"
#include "record.h"
#include "rule.h"
#include "transform.h"

namespace atled::autograd {

namespace {

const Op clone{"core::clone"}, add{"core::add"}, copy{"core::copy_"}, zero{"core::zero_"}, to{"core::to"},
    expand{"core::expand"}, conj{"core::conj"};

bool differentiable(const atled_tensor* t) { return is_floating(t->dtype) || is_complex(t->dtype); }

Tensor conjugated(Tensor t) { return is_complex(t->dtype) ? conj(t) : t; }
Tensor cast(Tensor t, int dtype) { return t->dtype == dtype ? t : to(t, dtype_value(dtype)); }

bool same_shape(const atled_tensor* a, const atled_tensor* b) {
  return a->dl.ndim == b->dl.ndim && std::equal(a->dl.shape, a->dl.shape + a->dl.ndim, b->dl.shape);
}

class DualCall {
 public:
  DualCall(atled_frame* frame, uint16_t depth, const Rule& rule)
      : frame_(frame), op_(frame->op), depth_(depth), rule_(rule), primals_(frame), results_(frame->op) {
    primals_.exchange([&](atled_tensor* t, size_t) { return lowered(t, depth_); });
    for (int i = 0; i < op_->nargs; ++i)
      each_tensor(frame->args[i], [&](atled_tensor* t) {
        const Wrapped* w = wrapped_at(t, depth_);
        if (!w) return;
        if (rule.input_of_argument[i] >= 0) moving_ |= uint64_t{1} << rule.input_of_argument[i];
        versions_.push_back(w->tangent->version);
      });
  }

  void run() {
    changed_ = mutated_argument(frame_);
    if (changed_ >= 0 && !wrapped_at(frame_->args[changed_].u.tensor, depth_))
      fail(ATLED_E_AUTOGRAD,
           "%s: expected a tensor that depends on an input of the running jvp, which its result will, got one that "
           "does not; make it with zeros_like or clone of one that does, or use the form that makes a new tensor",
           op_->name);
    if (rule_.mark == Rule::Mark::kNotImplemented)
      fail(ATLED_E_NOT_IMPLEMENTED, "%s: its derivative is not implemented: %s", op_->name, rule_.why.c_str());
    if (rule_.mark == Rule::Mark::kNonDifferentiable) return constant();
    if (rule_.forward == Rule::Forward::kLinear && !rule_.tangent) return linear();
    if (changed_ >= 0 && !(frame_->flags & ATLED_CALL_INPLACE)) return constant();
    if (changed_ >= 0) {  // what is saved of the old values must not be what is written afterwards
      const Wrapped& w = target();
      old_tangents_.resize(op_->nargs);
      for (size_t i = 0; i < op_->nargs; ++i) {
        primals_.exchange(i, [&](atled_tensor* t, size_t) { return apart(t, w.value); });
        const Wrapped* own =
            frame_->args[i].tag == ATLED_TENSOR ? wrapped_at(frame_->args[i].u.tensor, depth_) : nullptr;
        if (own) old_tangents_[i] = apart(own->tangent, w.tangent);
      }
    }
    call_op(op_, frame_->flags & ~ATLED_CALL_INPLACE, primals_, results_);
    std::vector<Tensor> tangents(op_->out_list ? 1 : op_->nouts);
    if (!op_->out_list && moving_) {
      if (rule_.tangent)
        tangents = own();
      else if (rule_.forward == Rule::Forward::kMultilinear)
        tangents[0] = multilinear();
      else if (rule_.forward == Rule::Forward::kDiagonal && is_diagonal())
        tangents[0] = diagonal();
      else
        tangents = transposed();
    }
    answer(tangents);
  }

  // The argument takes another shape, and so does what it holds.
  void view_in_place() {
    Wrapped& w = *meta_of(frame_->args[0].u.tensor)->extra->wrapped;
    for (Tensor* held : {&w.value, &w.tangent}) {
      Arguments args = primals_;
      args[0] = value(*held);
      Results results(op_);
      call_op(op_, frame_->flags & ~ATLED_CALL_INPLACE, args, results);
      *held = Tensor::borrow(results.values[0].u.tensor);
    }
  }

 private:
  // t, or a copy of it where it shares memory with what is written.
  static Tensor apart(atled_tensor* t, atled_tensor* written) {
    return t->version == written->version ? clone(t) : Tensor::borrow(t);
  }

  // Of an argument of the level, before the call.
  Tensor tangent_before(size_t i) const {
    return changed_ >= 0 ? old_tangents_[i] : wrapped_at(frame_->args[i].u.tensor, depth_)->tangent;
  }

  const Wrapped& target() const { return *wrapped_at(frame_->args[changed_].u.tensor, depth_); }

  // A call whose results do not depend on the tangents.
  void constant() {
    call_op(op_, frame_->flags, primals_, results_);
    // What is made like a dual may be written into by calls with duals.
    const bool made = op_->traits & ATLED_OP_FACTORY;
    if (changed_ < 0)
      return hand_on(results_, frame_, [&](atled_tensor* t, uint16_t, uint32_t) {
        return made && differentiable(t) ? wrap_dual(Tensor::borrow(t), zeros_for(t), depth_) : Tensor::borrow(t);
      });
    atled_value out = none();
    zero.run(0, &out, {value(target().tangent)});
    api.release(out.u.tensor);
    answer_changed(frame_, changed_);
  }

  Tensor tangent_of(atled_tensor* t) {
    const Wrapped* w = wrapped_at(t, depth_);
    return w ? w->tangent : zeros_for(t);
  }

  // A tangent of zeros for t. It is made from a tangent of an argument, whose batches it may have to hold later.
  Tensor zeros_for(atled_tensor* t) {
    static const Op new_zeros{"core::new_zeros"};
    atled_tensor* from = nullptr;
    for (int i = 0; i < op_->nargs; ++i)
      each_tensor(frame_->args[i], [&](atled_tensor* arg) {
        if (const Wrapped* w = from ? nullptr : wrapped_at(arg, depth_)) from = w->tangent;
      });
    const atled_value shape = ints_value(t->dl.shape, static_cast<size_t>(t->dl.ndim));
    return new_zeros(from, shape, dtype_value(t->dtype), device_value(t->dl.device));
  }

  void linear() {
    Arguments moved(frame_);
    for (size_t i = 0; i < op_->nargs; ++i) {
      const bool moves = rule_.input_of_argument[i] >= 0;
      moved.exchange(i, [&](atled_tensor* t, size_t) { return moves ? tangent_of(t) : lowered(t, depth_); });
      if (moves && is_scalar(moved[i])) moved[i] = value(0);
    }
    Results tangents(op_);
    call_op(op_, frame_->flags, moved, tangents);
    call_op(op_, frame_->flags, primals_, results_);
    if (changed_ >= 0) return answer_changed(frame_, changed_);
    hand_on(results_, frame_, [&](atled_tensor* t, uint16_t i, uint32_t entry) {
      if (!differentiable(t)) return Tensor::borrow(t);
      const atled_value& v = tangents.values[i];
      return wrap_dual(Tensor::borrow(t),
                       fitted(Tensor::borrow(v.tag == ATLED_TENSORS ? v.u.tensors[entry] : v.u.tensor), t), depth_);
    });
  }

  Tensor multilinear() {
    Tensor sum;
    for (size_t i = 0; i < op_->nargs; ++i) {
      if (!moves(i)) continue;
      Arguments args = primals_;
      args[i] = value(args.keep(tangent_before(i)));
      Results part(op_);
      call_op(op_, 0, args, part);
      plus(sum, Tensor::steal(std::exchange(part.values[0], none()).u.tensor));
    }
    return sum;
  }

  bool moves(size_t argument) const {
    const int input = rule_.input_of_argument[argument];
    return input >= 0 && (moving_ >> input & 1);
  }

  // Whether something further out wants to differentiate the tangents again.
  bool has_history() const {
    bool found = false;
    for (size_t i = 0; i < op_->nargs; ++i) {
      each_tensor(primals_[i], [&](atled_tensor* t) { found = found || requires_grad(t); });
      each_tensor(frame_->args[i], [&](atled_tensor* t) {
        const Wrapped* w = wrapped_at(t, depth_);
        found = found || (w && requires_grad(w->tangent));
      });
    }
    return found;
  }

  // What the rule's own function says: tangent(arguments, results, tangents), each a tuple.
  std::vector<Tensor> own() {
    Gil gil;
    Ref arguments = need(PyTuple_New(op_->nargs)), results = need(PyTuple_New(op_->nouts)),
        moves = need(PyTuple_New(op_->nargs));
    for (uint16_t i = 0; i < op_->nargs; ++i) {
      PyTuple_SetItem(arguments.get(), i, to_python(primals_[i]).take());
      const Wrapped* w = frame_->args[i].tag == ATLED_TENSOR ? wrapped_at(frame_->args[i].u.tensor, depth_) : nullptr;
      PyTuple_SetItem(moves.get(), i, w ? to_python(tangent_before(i)).take() : Ref::borrow(Py_None).take());
    }
    for (uint16_t i = 0; i < op_->nouts; ++i) PyTuple_SetItem(results.get(), i, to_python(results_.values[i]).take());
    Ref answer =
        need(PyObject_CallFunctionObjArgs(rule_.tangent, arguments.get(), results.get(), moves.get(), nullptr));
    std::vector<Tensor> tangents(op_->nouts);
    const bool several = PyTuple_Check(answer.get());
    for (uint16_t i = 0; i < op_->nouts; ++i) {
      Ref one = several ? need(PySequence_GetItem(answer.get(), i)) : Ref::borrow(answer.get());
      tangents[i] = Tensor::borrow(tensor_or_null(one.get()));
    }
    return tangents;
  }

  static void plus(Tensor& sum, Tensor part) { sum = sum ? add(sum, part) : std::move(part); }

  // Complex to real and real to complex are not holomorphic.
  bool is_diagonal() const {
    const bool complex = is_complex(results_.values[0].u.tensor->dtype);
    bool alike = true;
    for (size_t i = 0; i < op_->nargs; ++i)
      if (moves(i)) alike = alike && is_complex(primals_[i].u.tensor->dtype) == complex;
    for (const Function& function : rule_.functions) alike = alike && !function.joint;
    return alike;
  }

  // A node for the call, which holds what the gradient functions ask for, as it is.
  NodeRef node() {
    NodeRef node = record_call(op_, primals_.data(), results_.values, moving_);
    for (uint32_t i = 0; i < node->saved_count; ++i) {
      if (rule_.saves[i].what != Save::kOutput || node->saved()[i].value.tag != ATLED_TENSOR) continue;
      const Tensor plain = Tensor::steal(node->saved()[i].value.u.tensor);
      __atomic_fetch_sub(&plain->version->watchers, 1, __ATOMIC_RELAXED);
      save_tensor(node->saved()[i], results_.values[rule_.saves[i].index].u.tensor, op_->name);
    }
    return node;
  }

  // Runs the gradient functions of the inputs in `needed`; answers a gradient for each edge.
  struct Gradients {
    explicit Gradients(size_t n) : list(n) {}
    ~Gradients() {
      for (Buffer& b : list)
        if (b.tensor) api.release(b.tensor);
    }
    std::vector<Buffer> list;
  };

  Tensor diagonal() {
    const NodeRef node = this->node();
    atled_tensor* out = results_.values[0].u.tensor;
    Tensor sum;
    for (size_t i = 0; i < op_->nargs; ++i) {
      if (!moves(i)) continue;
      const uint32_t input = static_cast<uint32_t>(rule_.input_of_argument[i]);
      if (rule_.inputs[input].function < 0) continue;
      const Tensor t = conjugated(cast(tangent_before(i), out->dtype));
      std::vector<Buffer> given(op_->nouts);
      given[0].tensor = t;
      Gradients found(node->edge_count);
      run_function(node.get(), rule_.functions[static_cast<size_t>(rule_.inputs[input].function)], given.data(),
                   uint64_t{1} << input, found.list.data(), false, true);
      atled_tensor*& part = found.list[edges_of(node.get(), input).first].tensor;
      if (part) plus(sum, conjugated(Tensor::steal(std::exchange(part, nullptr))));
    }
    return sum;
  }

  std::vector<Tensor> transposed() {
    const bool record = recording() && has_history();
    const NodeRef node = this->node();
    const RecordingScope on(true);
    std::vector<Tensor> cotangents(op_->nouts);
    std::vector<Buffer> given(op_->nouts);
    Request request;
    std::vector<NodeRef> held;
    std::vector<uint16_t> outputs;
    auto edge = [&](atled_tensor* t) {
      const Edge e = gradient_edge(t);
      held.push_back(NodeRef(e.node));
      return e;
    };
    for (uint16_t i = 0; i < op_->nouts; ++i) {
      const atled_value& v = results_.values[i];
      if (v.tag != ATLED_TENSOR || !differentiable(v.u.tensor) || (rule_.constant_outputs >> i & 1)) continue;
      cotangents[i] = Tensor::empty_like(v.u.tensor);
      atled_value out = none();
      zero.run(0, &out, {value(cotangents[i])});
      api.release(out.u.tensor);
      set_requires_grad(cotangents[i], true);
      meta_of(cotangents[i])->depth = static_cast<uint16_t>(depth_ - 1);
      given[i].tensor = cotangents[i];
      outputs.push_back(i);
      request.targets.push_back(edge(cotangents[i]));
    }
    Gradients found(node->edge_count);
    for (const Function& function : rule_.functions) {
      uint64_t needed = 0;
      for (uint16_t target : function.targets) needed |= moving_ & uint64_t{1} << target;
      if (needed) run_function(node.get(), function, given.data(), needed, found.list.data(), false, true);
    }
    std::vector<Tensor> tangents(op_->nouts), gradients, seeds;
    for (size_t i = 0; i < op_->nargs; ++i) {
      if (!moves(i)) continue;
      if (rule_.inputs[static_cast<size_t>(rule_.input_of_argument[i])].list)
        fail(ATLED_E_NOT_IMPLEMENTED, "%s: forward mode is not implemented for it", op_->name);
      atled_tensor* t = primals_[i].u.tensor;
      atled_tensor*& g =
          found.list[edges_of(node.get(), static_cast<uint32_t>(rule_.input_of_argument[i])).first].tensor;
      if (!g) continue;
      bool fresh = false;
      Tensor gradient = fit_gradient(Tensor::steal(std::exchange(g, nullptr)), t->dl.ndim, t->dl.shape, t->dtype,
                                     t->dl.device, op_->name, &fresh);
      if (!requires_grad(gradient)) continue;
      seeds.push_back(tangent_before(i));
      request.roots.push_back({edge(gradient), seeds.back()});
      gradients.push_back(std::move(gradient));
    }
    if (request.roots.empty()) return tangents;
    request.selective = true;
    request.create_graph = request.keep_graph = record;
    Gil gil;
    std::vector<Tensor> answers = run_backward(request);
    for (size_t k = 0; k < outputs.size(); ++k) tangents[outputs[k]] = std::move(answers[k]);
    return tangents;
  }

  // t as the tangent of a result: of its shape and dtype, and sharing no memory with another tangent, so that changing
  // the one in place leaves the other as it is. Views are to share.
  Tensor fitted(Tensor t, atled_tensor* like) {
    t = cast(std::move(t), like->dtype);
    if (!same_shape(t, like)) t = expand(t, ints_value(like->dl.shape, static_cast<size_t>(like->dl.ndim)));
    if (op_->traits & ATLED_OP_VIEW) return t;
    const bool shared =
        std::find(versions_.begin(), versions_.end(), t->version) != versions_.end() || t->version == like->version;
    return shared ? clone(t) : t;
  }

  void answer(std::vector<Tensor>& tangents) {
    if (changed_ >= 0) {
      const Tensor now = Tensor::borrow(results_.values[0].u.tensor);
      put(target().value, now);
      put(target().tangent, tangents[0] ? fitted(tangents[0], now) : zeros_for(now));
      return answer_changed(frame_, changed_);
    }
    hand_on(results_, frame_, [&](atled_tensor* t, uint16_t i, uint32_t) {
      if (!differentiable(t) || (rule_.constant_outputs >> i & 1)) return Tensor::borrow(t);
      return wrap_dual(Tensor::borrow(t), i < tangents.size() && tangents[i] ? fitted(tangents[i], t) : zeros_for(t),
                       depth_);
    });
  }

  static void put(const Tensor& where, const Tensor& what) {
    atled_value out = none();
    copy.run(0, &out, {value(where), value(what)});
    api.release(out.u.tensor);
  }

  atled_frame* frame_;
  const atled_op* op_;
  uint16_t depth_;
  const Rule& rule_;
  Arguments primals_;
  Results results_;
  uint64_t moving_ = 0;  // bit i: Rule::inputs[i] has a tangent
  int changed_ = -1;
  std::vector<Tensor> old_tangents_;            // of the arguments of a call that changes one
  std::vector<const atled_version*> versions_;  // of the arguments' tangents
};

}  // namespace

void dual_call(atled_frame* frame, uint16_t depth) {
  const Rule& rule = rule_of(frame->op);
  const bool reshapes = frame->flags & ATLED_CALL_INPLACE && frame->op->traits & ATLED_OP_VIEW;
  {
    const BelowLevel below(depth);
    DualCall call(frame, depth, rule);
    if (!reshapes) return call.run();
    call.view_in_place();
  }
  check(api.redispatch(frame));  // of what the user's code sees
}

}  // namespace atled::autograd
