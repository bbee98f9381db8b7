// Gradients themselves: fitting them to what they belong to, hooks, and keeping them in a leaf.
#include <cstring>
#include <thread>

#include "engine.h"
#include "python/python.h"
#include "record.h"

namespace atled::autograd {

namespace {

bool same_shape(const atled_tensor* t, int32_t ndim, const int64_t* shape) {
  if (t->dl.ndim != ndim) return false;
  for (int i = 0; i < ndim; ++i)
    if (t->dl.shape[i] != shape[i]) return false;
  return true;
}

// What broadcasting did to a tensor of `shape`, undone for its gradient.
Tensor sum_to(const Tensor& g, int32_t ndim, const int64_t* shape, const char* from) {
  static const Op sum{"core::sum"}, reshape{"core::reshape"};
  int lead = g->dl.ndim - ndim;
  if (lead < 0) {
    // Assignment lets a value have leading dimensions of size 1 that its place has not.
    int extra = 0;
    while (extra < -lead && shape[extra] == 1) ++extra;
    if (extra == -lead) {
      bool fresh = false;
      return reshape(fit_gradient(g, g->dl.ndim, shape + extra, g->dtype, g->dl.device, from, &fresh),
                     ints_value(shape, static_cast<size_t>(ndim)));
    }
  }
  int64_t dims[ATLED_MAX_NDIM];
  size_t n = 0;
  bool inner = false, fits = lead >= 0;
  for (int i = 0; i < lead; ++i) dims[n++] = i;
  for (int i = 0; fits && i < ndim; ++i) {
    const int64_t have = g->dl.shape[lead + i];
    if (have == shape[i]) continue;
    fits = shape[i] == 1;
    inner = true;
    dims[n++] = lead + i;
  }
  if (!fits)
    fail(ATLED_E_AUTOGRAD, "%s: expected a gradient that broadcasting could have made from shape %s, got %s", from,
         shape_text(ndim, shape).c_str(), shape_text(g).c_str());
  if (!inner) return sum(g, ints_value(dims, n), false);
  Tensor s = sum(g, ints_value(dims, n), true);
  return lead ? reshape(s, ints_value(shape, static_cast<size_t>(ndim))) : s;
}

Tensor cast(const Tensor& g, int dtype) {
  static const Op to{"core::to"}, real{"core::real"};
  if (is_complex(g->dtype) && !is_complex(dtype)) {
    Tensor part = real(g);
    return part->dtype == dtype ? part : cast(part, dtype);
  }
  return to(g, dtype_value(dtype));
}

bool same_strides(const atled_tensor* a, const atled_tensor* b) {
  for (int i = 0; i < a->dl.ndim; ++i)
    if (a->dl.shape[i] > 1 && a->dl.strides[i] != b->dl.strides[i]) return false;
  return true;
}

}  // namespace

Tensor fit_gradient(Tensor g, int32_t ndim, const int64_t* shape, int dtype, DLDevice device, const char* from,
                    bool* fresh) {
  if (!same_shape(g, ndim, shape)) {
    g = sum_to(g, ndim, shape, from);
    *fresh = true;
  }
  if (g->dtype != dtype) {
    g = cast(g, dtype);
    *fresh = false;  // the real part is a view
  }
  if (g->dl.device.device_type != device.device_type || g->dl.device.device_id != device.device_id) {
    static const Op to{"core::to"};
    g = to(g, none(), device_value(device));
    *fresh = true;
  }
  return g;
}

Tensor zeros(const Output& output) {
  Tensor t = Tensor::empty(output.dtype, output.ndim, output.shape, output.device);
  if (output.device.device_type == kDLCPU) {
    memset(data<char>(t), 0, static_cast<size_t>(numel(t)) * static_cast<size_t>(itemsize(output.dtype)));
    return t;
  }
  static const Op fill{"core::fill_"};
  atled_value out = none();
  fill.run(0, &out, {value(t), value(0)});
  return Tensor::steal(out.u.tensor);
}

Tensor run_hooks(PyObject* hooks, Tensor g) {
  Ref list = need(PyMapping_Values(hooks));
  const Py_ssize_t n = PySequence_Size(list.get());
  for (Py_ssize_t i = 0; i < n; ++i) {
    Ref hook = need(PySequence_GetItem(list.get(), i)), argument = to_python(g);
    Ref answer = need(PyObject_CallFunctionObjArgs(hook.get(), argument.get(), nullptr));
    if (answer.get() == Py_None) continue;
    atled_tensor* t = tensor_or_null(answer.get());
    if (!t)
      fail(ATLED_E_AUTOGRAD, "expected a gradient hook to answer a Tensor or None, got %s",
           type_name(answer.get()).c_str());
    g = Tensor::borrow(t);
  }
  return g;
}

namespace {

// The gradients of a node as its hooks see them: None where there is none.
Ref tuple_of(const Buffer* gradients, uint32_t n) {
  Ref tuple = need(PyTuple_New(n));
  for (uint32_t i = 0; i < n; ++i) PyTuple_SetItem(tuple.get(), i, to_python(gradients[i].tensor).take());
  return tuple;
}

// Puts what a hook answered in the gradients' place; place(i) says what each belongs to.
template <class F>
void replace(Buffer* gradients, uint32_t n, PyObject* answer, F&& place) {
  if (answer == Py_None) return;
  Ref single;
  if (n == 1 && !PyTuple_Check(answer)) {
    single = need(PyTuple_New(1));
    PyTuple_SetItem(single.get(), 0, Ref::borrow(answer).take());
    answer = single.get();
  }
  if (!PyTuple_Check(answer) || PyTuple_Size(answer) != static_cast<Py_ssize_t>(n))
    fail(ATLED_E_AUTOGRAD, "expected a hook of a node to answer None or a tuple of %u gradients, got %s", n,
         type_name(answer).c_str());
  for (uint32_t i = 0; i < n; ++i) {
    PyObject* object = PyTuple_GetItem(answer, i);
    atled_tensor* t = object == Py_None ? nullptr : tensor_of(object);
    if (t == gradients[i].tensor) continue;
    const Output* output = place(i);
    bool fresh = false;
    Tensor g = Tensor::borrow(t);
    if (g && output)
      g = fit_gradient(std::move(g), output->ndim, output->shape, output->dtype, output->device, "a hook", &fresh);
    if (gradients[i].tensor) api.release(gradients[i].tensor);
    gradients[i] = {g.release(), false};
  }
}

void share(Buffer* gradients, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) gradients[i].fresh = false;
}

}  // namespace

void run_pre_hooks(Node* node, Buffer* gradients) {
  const uint32_t n = node->output_count;
  Ref hooks = Ref::borrow(node->rare->pre_hooks), list = need(PyMapping_Values(hooks.get()));
  share(gradients, n);
  for (Py_ssize_t i = 0; i < PySequence_Size(list.get()); ++i) {
    Ref hook = need(PySequence_GetItem(list.get(), i)), outputs = tuple_of(gradients, n);
    Ref answer = need(PyObject_CallFunctionObjArgs(hook.get(), outputs.get(), nullptr));
    replace(gradients, n, answer.get(), [&](uint32_t k) { return &node->outputs()[k]; });
  }
}

void run_post_hooks(Node* node, Buffer* results, const Buffer* gradients) {
  const uint32_t n = results ? node->edge_count : 0;
  Ref hooks = Ref::borrow(node->rare->post_hooks), list = need(PyMapping_Values(hooks.get()));
  for (uint32_t i = 0; i < n; ++i) {
    const Edge& edge = node->edges()[i];
    if (!results[i].tensor || !edge.node) continue;
    const Output& output = edge.node->outputs()[edge.output];
    results[i].tensor = fit_gradient(Tensor::steal(std::exchange(results[i].tensor, nullptr)), output.ndim,
                                     output.shape, output.dtype, output.device, node->name, &results[i].fresh)
                            .release();
  }
  share(results, n);
  for (Py_ssize_t i = 0; i < PySequence_Size(list.get()); ++i) {
    Ref hook = need(PySequence_GetItem(list.get(), i)), inputs = tuple_of(results, n),
        outputs = tuple_of(gradients, node->output_count);
    Ref answer = need(PyObject_CallFunctionObjArgs(hook.get(), inputs.get(), outputs.get(), nullptr));
    replace(results, n, answer.get(), [&](uint32_t k) {
      const Edge& edge = node->edges()[k];
      return edge.node ? &edge.node->outputs()[edge.output] : nullptr;
    });
  }
}

namespace {

// One run at a time changes a leaf's gradient; a kernel may let go of the GIL in the middle of it.
class Adding {
 public:
  explicit Adding(Extra& extra) : flag_(extra.adding) {
    while (flag_.exchange(1, std::memory_order_acquire)) {
      PyThreadState* state = PyEval_SaveThread();
      std::this_thread::yield();
      PyEval_RestoreThread(state);
    }
  }
  ~Adding() { flag_.store(0, std::memory_order_release); }

 private:
  std::atomic<uint8_t>& flag_;
};

thread_local bool leaf_layout = true;

// A copy with the leaf's strides, or in rows where the leaf's elements do not lie closely together.
Tensor laid_out(atled_tensor* leaf, const Tensor& g) {
  static const Op empty_like{"core::empty_like"}, copy{"core::copy_"};
  Tensor out = empty_like(leaf);
  copy.inplace(out, g);
  return out;
}

void add_to(Extra& extra, atled_tensor* leaf, Tensor g, bool fresh, bool create_graph) {
  static const Op add{"core::add"}, clone{"core::clone"};
  const Adding adding(extra);
  if (!extra.grad) {
    const bool alike = create_graph || same_strides(g, leaf);
    if (fresh && (alike || !leaf_layout))
      extra.grad = std::move(g);
    else
      extra.grad = alike ? clone(g) : laid_out(leaf, g);
  } else if (create_graph || requires_grad(extra.grad)) {
    extra.grad = add(extra.grad, g);
  } else {
    add.inplace(extra.grad, g);
  }
}

}  // namespace

bool keep_leaf_layout(bool wanted) { return std::exchange(leaf_layout, wanted); }

void accumulate(atled_tensor* leaf, Tensor g, bool fresh, bool create_graph) {
  Extra& extra = leaf_meta(leaf).more();
  add_to(extra, leaf, std::move(g), fresh, create_graph);
  if (!extra.post_hooks) return;
  Ref hooks = Ref::borrow(extra.post_hooks), parameter = to_python(leaf);
  Ref list = need(PyMapping_Values(hooks.get()));
  const Py_ssize_t n = PySequence_Size(list.get());
  for (Py_ssize_t i = 0; i < n; ++i) {
    Ref hook = need(PySequence_GetItem(list.get(), i));
    need(PyObject_CallFunctionObjArgs(hook.get(), parameter.get(), nullptr));
  }
}

}  // namespace atled::autograd
