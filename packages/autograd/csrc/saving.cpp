// Hooks for saved tensors.
#include "engine.h"
#include "modes.h"
#include "python/python.h"
#include "record.h"
#include "site.h"

namespace atled::autograd {

std::atomic<int> modes{0};

namespace {

struct Hooks {
  Ref pack, unpack;
};

// Python may be gone when a thread ends, so what is left then stays; those who push hooks pop them.
struct ThreadHooks {
  std::vector<Hooks> stack;
  PyObject* disabled = nullptr;  // the message
};

ThreadHooks& of_thread() {
  thread_local ThreadHooks* hooks = nullptr;
  if (!hooks) hooks = new ThreadHooks;
  return *hooks;
}

uint64_t version_of(const atled_tensor* t) { return __atomic_load_n(&t->version->count, __ATOMIC_RELAXED); }

// Puts what the innermost hook that takes t makes of it into node, and answers its place; `version` where none does.
uint64_t pack(Node* node, const std::vector<Hooks>& stack, atled_tensor*& t, uint64_t version) {
  for (auto hooks = stack.rbegin(); hooks != stack.rend(); ++hooks) {
    Tensor seen = alias(t);
    const uint64_t before = version_of(t);
    Ref object = need(PyObject_CallFunctionObjArgs(hooks->pack.get(), to_python(seen).get(), nullptr));
    if (version_of(t) != before)
      fail(ATLED_E_AUTOGRAD, "%s: a pack hook changed the tensor that it was given in place; change a copy: clone()",
           node->name);
    if (object.get() == Py_NotImplemented) continue;
    node->rare->packed.push_back({object.take(), Ref::borrow(hooks->unpack.get()).take()});
    release_saved_tensor(std::exchange(t, nullptr));
    return node->rare->packed.size();
  }
  return version;
}

}  // namespace

void push_hooks(PyObject* pack, PyObject* unpack) {
  ThreadHooks& own = of_thread();
  if (own.disabled) {
    PyErr_SetObject(PyExc_RuntimeError, own.disabled);
    throw_python();
  }
  own.stack.push_back({Ref::borrow(pack), Ref::borrow(unpack)});
  ++modes;
}

void pop_hooks() {
  ThreadHooks& own = of_thread();
  if (own.stack.empty()) fail(ATLED_E_RUNTIME, "saved_tensors_hooks: expected hooks to take away, and there are none");
  own.stack.pop_back();
  --modes;
}

PyObject* disable_hooks(PyObject* message) {
  ThreadHooks& own = of_thread();
  if (message != Py_None && !own.stack.empty()) {
    PyErr_SetObject(PyExc_RuntimeError, message);
    throw_python();
  }
  PyObject* before = std::exchange(own.disabled, message == Py_None ? nullptr : Ref::borrow(message).take());
  return before ? before : Ref::borrow(Py_None).take();
}

void pack_saved(Node* node) {
  if (of_thread().stack.empty()) return;
  // Hooks may come and go while they run.
  std::vector<Hooks> stack;
  for (const Hooks& each : of_thread().stack)
    stack.push_back({Ref::borrow(each.pack.get()), Ref::borrow(each.unpack.get())});
  const RecordingScope off(false);
  node->more();
  for (uint32_t i = 0; i < node->saved_count; ++i) {
    atled_value& v = node->saved()[i].value;
    uint64_t& version = node->saved()[i].version;
    if (v.tag == ATLED_TENSOR) version = pack(node, stack, v.u.tensor, version);
    if (v.tag != ATLED_TENSORS) continue;
    int64_t* versions = reinterpret_cast<int64_t*>(v.u.tensors + v.n);
    for (uint32_t k = 0; k < v.n; ++k) {
      const uint64_t version = v.u.tensors[k] ? static_cast<uint64_t>(versions[k]) : 0;
      versions[k] = static_cast<int64_t>(v.u.tensors[k] ? pack(node, stack, v.u.tensors[k], version) : version);
    }
  }
}

Tensor unpack_saved(Node* node, uint64_t place) {
  Rare& rare = *node->rare;
  const size_t i = place - 1;
  if (i < rare.unpacked.size() && rare.unpacked[i]) return rare.unpacked[i];
  const GradientOf nothing;
  Ref packed = Ref::borrow(rare.packed[i].object), unpack = Ref::borrow(rare.packed[i].unpack);
  Ref object = need(PyObject_CallFunctionObjArgs(unpack.get(), packed.get(), nullptr));
  atled_tensor* t = tensor_or_null(object.get());
  if (!t)
    fail(ATLED_E_ARGUMENT, "%s: expected an unpack hook to answer a Tensor, got %s", node->name,
         type_name(object.get()).c_str());
  Tensor plain = alias(t);
  if (runs_here(node)) {
    rare.unpacked.resize(rare.packed.size());
    rare.unpacked[i] = plain;
  }
  return plain;
}

}  // namespace atled::autograd
