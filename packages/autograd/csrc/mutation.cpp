// A layer that threads ask for, not tensors: it tells a Python function which tensors a call is about to change.
#include "mutation.h"

#include "python/python.h"

namespace atled::autograd {

namespace {

constexpr uint32_t kMutationLevel = kLevel + 1;
constexpr uint64_t kMutationKey = uint64_t{1} << kMutationLevel;
thread_local PyObject* watcher = nullptr;  // owned while it is set

void tell(atled_tensor* t) {
  const auto storage = PyLong_FromVoidPtr(t->version);
  Ref number = need(storage);
  need(PyObject_CallFunctionObjArgs(watcher, number.get(), nullptr));
}

void tell_all(const atled_value& v) {
  if (v.tag == ATLED_TENSOR) tell(v.u.tensor);
  if (v.tag == ATLED_TENSORS)
    for (uint32_t i = 0; i < v.n; ++i)
      if (v.u.tensors[i]) tell(v.u.tensors[i]);
}

int on_mutation(void*, atled_frame* frame) noexcept {
  return guard([&] {
    if (watcher) {
      const Gil gil;
      const atled_op* op = frame->op;
      if (frame->flags & ATLED_CALL_INPLACE) tell_all(frame->args[0]);
      if (frame->flags & ATLED_CALL_OUT)
        for (int i = 0; i < op->nouts; ++i) tell_all(frame->outs[i]);
      if (op->traits & ATLED_OP_MUTATES)
        for (int i = 0; i < op->nargs; ++i)
          if (op->args[i].flags & ATLED_ARG_MUTATED) tell_all(frame->args[i]);
    }
    check(api.redispatch(frame));
  });
}

}  // namespace

void add_mutation_layer() { add_layer("autograd.mutation", kMutationLevel, on_mutation); }

PyObject* watch_mutation(PyObject* function) {
  PyObject* before = watcher ? watcher : Ref::borrow(Py_None).take();
  watcher = function == Py_None ? nullptr : Ref::borrow(function).take();
  check(layer_group->include(watcher ? kMutationKey : 0, watcher ? 0 : kMutationKey, nullptr));
  return before;
}

}  // namespace atled::autograd
