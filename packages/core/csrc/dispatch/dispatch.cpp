#include "dispatch/dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "atled/plugin.hpp"
#include "dispatch/error.h"
#include "dispatch/fusion.h"
#include "dispatch/recorder.h"
#include "dispatch/registry.h"
#include "dispatch/thread_state.h"
#include "memory/allocator.h"
#include "tensor/tensor.h"

namespace atled::core {

void* (*release_gil)() = nullptr;
void (*acquire_gil)(void* token) = nullptr;

namespace {

struct Layer {
  const char* name = nullptr;
  atled_kernel handler = nullptr;
  void* ctx = nullptr;
  bool defers = false;  // its handler reads no memory that it has not settled
};
Layer layers[64];
std::string slot_owner;

constexpr uint64_t kGilWork = 1 << 15;  // elements; below it, releasing the GIL costs more than it gives

inline bool same_device(DLDevice a, DLDevice b) {
  return ((a.device_type ^ b.device_type) | (a.device_id ^ b.device_id)) == 0;
}

// What a call depends on besides its op, found in one look over its tensors.
struct Glance {
  uint64_t keys, elements;
  const atled_tensor* first;
  bool one_device, float8;
};

inline Glance glance(const atled_frame* frame) {
  const Op* op = as_op(frame->op);
  uint64_t keys = 0, elements = 0;
  const atled_tensor* first = nullptr;
  bool one_device = true, float8 = false;
  auto look = [&](const atled_tensor* t) {
    keys |= all_keys_of(t);
    elements += impl(t)->numel;
    if (!first) first = t;
    one_device &= same_device(first->dl.device, t->dl.device);
    float8 |= is_float8(t->dtype);
  };
  for (const uint8_t *at = op->tensor_args, *end = at + op->tensor_arg_count; at != end; ++at) {
    const atled_value& v = frame->args[*at];
    if (v.tag == ATLED_TENSOR) {
      look(v.u.tensor);
    } else if (v.tag == ATLED_TENSORS) {
      for (uint32_t k = 0; k < v.n; ++k)
        if (v.u.tensors[k]) look(v.u.tensors[k]);
    }
  }
  return Glance{keys, elements, first, one_device, float8};
}

inline uint64_t wanted_layers(const atled_frame* frame, const Glance& seen) {
  uint64_t keys = thread_state.include | seen.keys;
  if (frame->flags & ATLED_CALL_OUT)
    for (int i = 0; i < frame->op->nouts; ++i) keys |= keys_of(frame->outs[i].u.tensor);
  return keys & ~thread_state.exclude & as_op(frame->op)->layer_mask.load(std::memory_order_relaxed);
}

// Calls f(tensor, argument position) for every tensor among the arguments.
template <class F>
void each_tensor(const atled_frame* frame, F&& f) {
  const Op* op = as_op(frame->op);
  for (int n = 0; n < op->tensor_arg_count; ++n) {
    const int i = op->tensor_args[n];
    const atled_value& v = frame->args[i];
    if (v.tag == ATLED_TENSOR) {
      f(v.u.tensor, i);
    } else if (v.tag == ATLED_TENSORS) {
      for (uint32_t k = 0; k < v.n; ++k)
        if (v.u.tensors[k]) f(v.u.tensors[k], i);
    }
  }
}

// The device that runs the call: that of its tensors, which must be one, or what its device argument says.
DLDevice find_device(const atled_frame* frame) {
  const Op* op = as_op(frame->op);
  atled_tensor* first = nullptr;
  int first_position = 0;
  auto agree = [&](atled_tensor* t, const char* name) {
    const DLDevice a = first->dl.device, b = t->dl.device;
    if (same_device(a, b)) return;
    const char* first_name = op->args[first_position].name;
    fail(ATLED_E_DEVICE, "%s is on %s, %s on %s; move one of them, for example %s.to(%s.device)", first_name,
         device_text(a).c_str(), name, device_text(b).c_str(), first_name, name);
  };
  const bool any_device = op->traits & ATLED_OP_ANY_DEVICE;
  each_tensor(frame, [&](atled_tensor* t, int position) {
    if (!first) {
      first = t;
      first_position = position;
    } else if (!any_device) {
      agree(t, op->args[position].name);
    }
  });
  if (op->device_arg >= 0 && frame->args[op->device_arg].tag == ATLED_DEVICE)
    return frame->args[op->device_arg].u.device;
  if (first && !any_device && (frame->flags & ATLED_CALL_OUT))
    for (int i = 0; i < op->nouts; ++i) agree(frame->outs[i].u.tensor, "out");
  if (!first && (frame->flags & ATLED_CALL_OUT)) return frame->outs[0].u.tensor->dl.device;
  return first ? first->dl.device : thread_state.device;
}

inline DLDevice common_device(const atled_frame* frame, const Glance& seen) {
  const bool plain = seen.first && seen.one_device && as_op(frame->op)->device_arg < 0;
  return plain && !(frame->flags & ATLED_CALL_OUT) ? seen.first->dl.device : find_device(frame);
}

// Whether a call copies between devices, and so may wait for one of them.
inline bool crosses(DLDevice device, const Glance& seen) {
  return !seen.one_device || (seen.first && !same_device(seen.first->dl.device, device));
}

// What counts as work of a kernel that may wait for a device: what it waits for may itself wait, for other processes,
// and who ends that needs the GIL.
inline uint64_t waiting(uint64_t work) { return std::max(work, kGilWork); }

int run_entry(const KernelEntry& entry, atled_frame* frame, uint64_t work) {
  if (work < kGilWork || !release_gil) return entry.run(entry.ctx, frame);
  void* token = release_gil();
  int status = entry.run(entry.ctx, frame);
  if (token) acquire_gil(token);
  return status;
}

// Whether calls may have been put off that this one has to do with, or it may be put off itself.
inline bool fusing(const Glance& seen) {
  return __builtin_expect((seen.keys & kDeferredKey) || thread_state.region, 0);
}

// ... and whether the kernel may look at values: views need none, and core's composites settle what they look at.
inline bool needs_values(const Glance& seen, const Op* op) {
  return fusing(seen) && !(op->traits & ATLED_OP_VIEW) && !op->settles;
}

// Before a kernel reads the memory of the frame's tensors. See check_writable for what it writes.
int settle_frame(const atled_frame* frame) {
  int status = ATLED_OK;
  auto look = [&](const atled_tensor* t) {
    if (status == ATLED_OK) status = settle(t);
  };
  each_tensor(frame, [&](const atled_tensor* t, int) { look(t); });
  const bool given = frame->flags & (ATLED_CALL_INPLACE | ATLED_CALL_OUT);
  for (int i = 0; given && i < frame->op->nouts; ++i)
    if (frame->outs[i].tag == ATLED_TENSOR) look(frame->outs[i].u.tensor);
  return status;
}

// A kernel may read the results of the calls that it makes, so none of those is put off.
int run_settled(const KernelEntry& entry, atled_frame* frame, uint64_t work) {
  if (const int status = settle_frame(frame)) return status;
  const Unfused unfused;
  return run_entry(entry, frame, work);
}

bool reads_deferred(const atled_frame* frame) {
  bool found = false;
  each_tensor(frame, [&](const atled_tensor* t, int) {
    found |= __atomic_load_n(&impl(t)->storage->deferred, __ATOMIC_RELAXED) != nullptr;
  });
  return found;
}

// `whole`: the frame's outputs are the call's own, or its first argument, as they are. A small call is put off only
// where it would have others run before their time.
int run_or_defer(const KernelEntry& entry, atled_frame* frame, uint64_t work, DLDevice device, bool whole) {
  const Op* op = as_op(frame->op);
  if (whole && thread_state.region && !thread_state.unfused && op->one_pass && device.device_type == kDLCPU &&
      (work >= static_cast<uint64_t>(fusion_limit) || reads_deferred(frame))) {
    const Fate fate = defer(entry, frame);
    if (fate == Fate::kDeferred) return ATLED_OK;
    if (fate == Fate::kFailed) {
      atled_error error;
      return get_error(&error);
    }
  }
  return run_settled(entry, frame, work);
}

KernelEntry load_kernel(const Op* op, DLDevice device) {
  KernelEntry entry = find_kernel(op, device);
  if (!entry.run && device.device_type == ATLED_DEVICE_META)
    fail(ATLED_E_DEVICE, "expected tensors with data, on which the result depends, got meta tensors");
  if (!entry.run) {
    const std::string name = device_text(DLDevice{device.device_type, 0});
    const std::string why = why_no_kernel(op, device);
    const std::string none = device_text(device) + ", but there is none" + (why.empty() ? "" : ": " + why);
    if (device.device_type == kDLCPU)
      fail(ATLED_E_NOT_IMPLEMENTED, "expected a kernel for device %s; load what has one, or add one with add_kernel",
           none.c_str());
    fail(ATLED_E_NOT_IMPLEMENTED,
         "expected a kernel for device %s; move the arguments, for example to \"cpu\", or have all such ops run there, "
         "by copies: fallback_to_cpu(\"%s\")",
         none.c_str(), name.substr(0, name.find(':')).c_str());
  }
  return entry;
}

inline KernelEntry need_kernel(const Op* op, DLDevice device) {
  const uint8_t slot = device.device_type == kDLCPU ? kCpuSlot : device_slot(device.device_type);
  const KernelEntry entry = slot < kMaxDevices ? op->kernel(slot) : KernelEntry{};
  return entry.run ? entry : load_kernel(op, device);
}

void check_writable(const atled_tensor* t, const char* name) {
  if (t->flags & ATLED_TENSOR_READONLY)
    fail(ATLED_E_VALUE, "%s is read-only; write into a copy: %s.clone()", name, name);
  if (overlaps_itself(t) && numel(t) > 0)
    fail(ATLED_E_VALUE,
         "%s has elements that share memory (it was expanded), so it cannot be written; write into a copy: %s.clone()",
         name, name);
  check(settle_readers(t));
}

// Results may be written as `to` without losing their kind (bool < integer < float < complex).
bool same_kind_cast(int from, int to) {
  auto rank = [](int d) { return d == ATLED_BOOL ? 0 : is_integer(d) ? 1 : is_floating(d) ? 2 : 3; };
  return rank(from) <= rank(to);
}

// Whether writing `out` while reading `in` could go wrong.
bool clashes(const atled_tensor* out, const atled_tensor* in, bool elementwise) {
  if (out->version != in->version) return false;
  const char *a, *b, *c, *d;
  byte_range(out, &a, &b);
  byte_range(in, &c, &d);
  if (a >= d || c >= b) return false;
  if (!elementwise) return true;
  return out->dl.data != in->dl.data || out->dtype != in->dtype || out->dl.ndim != in->dl.ndim ||
         memcmp(out->dl.shape, in->dl.shape, sizeof(int64_t) * out->dl.ndim) != 0 ||
         memcmp(out->dl.strides, in->dl.strides, sizeof(int64_t) * out->dl.ndim) != 0;
}

struct Specs {
  explicit Specs(int n)
      : list(n <= 1 ? &one : static_cast<atled_spec*>(malloc(sizeof(atled_spec) * static_cast<size_t>(n)))) {
    if (!list) throw std::bad_alloc();
  }
  ~Specs() {
    if (list != &one) free(list);
  }
  atled_spec one;
  atled_spec* list;
};

// What the caller gave for a result of that shape and dtype.
void check_given(const atled_frame* frame, const atled_tensor* out, int ndim, const int64_t* shape, int dtype) {
  const char* name = (frame->flags & ATLED_CALL_INPLACE) ? frame->op->args[0].name : "out";
  if (out->dl.ndim != ndim || memcmp(out->dl.shape, shape, sizeof(int64_t) * static_cast<size_t>(ndim)) != 0)
    fail(ATLED_E_SHAPE, "expected %s of shape %s, got %s", name, shape_text(ndim, shape).c_str(),
         shape_text(out).c_str());
  if (!same_kind_cast(dtype, out->dtype))
    fail(ATLED_E_DTYPE, "expected %s of a dtype that can hold %s results, got %s", name, dtype_name(dtype),
         dtype_name(out->dtype));
  check_writable(out, name);
}

// out= and in-place: checks what the caller gave against the spec; a temporary stands in where the kernel cannot write
// into it directly.
struct GivenOutputs {
  Tensor targets[8];
  bool copy_back[8] = {};

  void prepare(atled_frame* frame, const atled_spec* specs, DLDevice device) {
    const Op* op = as_op(frame->op);
    const bool elementwise = op->traits & ATLED_OP_ELEMENTWISE;
    for (int i = 0; i < op->nouts; ++i) {
      atled_tensor* out = frame->outs[i].u.tensor;
      const atled_spec& spec = specs[i];
      check_given(frame, out, spec.ndim, spec.shape, spec.dtype);
      bool temporary = !elementwise && (out->dtype != spec.dtype || !is_contiguous(out));
      if (!temporary)
        each_tensor(frame, [&](atled_tensor* in, int position) {
          // The kernel of an op with an in-place form copes with its output being its first argument.
          const bool itself = position == 0 && in == out && (frame->flags & ATLED_CALL_INPLACE);
          temporary = temporary || (!itself && clashes(out, in, elementwise));
        });
      for (int k = 0; k < i && !temporary; ++k) temporary = clashes(out, targets[k], false);
      targets[i] = Tensor::borrow(out);
      if (temporary) {
        atled_tensor* t = make_empty(spec.dtype, spec.ndim, spec.shape, nullptr, device);
        if (!t) throw Raised{ATLED_E_MEMORY};
        frame->outs[i] = value(t);
        copy_back[i] = true;
      }
    }
  }

  void finish(atled_frame* frame) {
    static const atled::Op copy{"core::copy_"};
    for (int i = 0; i < frame->op->nouts; ++i) {
      if (copy_back[i]) {
        Tensor temporary = Tensor::steal(frame->outs[i].u.tensor);
        copy_back[i] = false;
        frame->outs[i] = value(targets[i]);
        atled_value copied = none();
        copy.run(0, &copied, {value(targets[i]), value(temporary)});
        release(copied.u.tensor);
      } else {
        const bool inplace = frame->flags & ATLED_CALL_INPLACE;
        // The name with its underscore is made only for those who want to know.
        if (inplace && __atomic_load_n(&targets[i]->version->watchers, __ATOMIC_RELAXED))
          bump_version(targets[i], (std::string(frame->op->name) + "_").c_str());
        else
          bump_version(targets[i], frame->op->name);
      }
      frame->outs[i] = value(targets[i].release());
    }
  }

  void abandon(atled_frame* frame) {
    for (int i = 0; i < frame->op->nouts; ++i)
      if (copy_back[i]) release(frame->outs[i].u.tensor);
  }
};

void allocate_outputs(atled_frame* frame, const atled_spec* specs, DLDevice device) {
  const Op* op = as_op(frame->op);
  for (int i = 0; i < op->nouts; ++i) {
    const atled_spec& spec = specs[i];
    TensorImpl* t = make_empty(spec.dtype, spec.ndim, spec.shape, spec.has_strides ? spec.strides : nullptr, device);
    if (!t) {
      release_values(frame->outs, static_cast<uint32_t>(i));
      atled_error error;
      throw Raised{get_error(&error)};
    }
    frame->outs[i] = value(t);
  }
}

// out= and in-place forms of a structured op.
int run_given(atled_frame* frame, const atled_spec* specs, DLDevice device, const KernelEntry& entry, bool fused) {
  GivenOutputs outputs;
  outputs.prepare(frame, specs, device);
  uint64_t work = 0;
  for (int i = 0; i < frame->op->nouts; ++i) work += impl(outputs.targets[i])->numel;
  int status = ATLED_OK;
  if (entry.run && fused)
    status = run_or_defer(entry, frame, work, device, frame->flags == ATLED_CALL_INPLACE && !outputs.copy_back[0]);
  else if (entry.run)
    status = run_entry(entry, frame, work);
  if (status != ATLED_OK) {
    outputs.abandon(frame);
    return status;
  }
  outputs.finish(frame);
  return ATLED_OK;
}

// Whether a call that was put off, by whatever thread, is yet to write what out= gave.
bool outs_deferred(const atled_frame* frame) {
  for (int i = 0; frame->flags & ATLED_CALL_OUT && i < frame->op->nouts; ++i)
    if (all_keys_of(frame->outs[i].u.tensor) & kDeferredKey) return true;
  return false;
}

int run_structured(atled_frame* frame, const Glance& seen) {
  const Op* op = as_op(frame->op);
  const DLDevice device = common_device(frame, seen);
  Specs specs(op->nouts);
  check(op->shape(op->shape_ctx, frame, specs.list));
  const bool given = frame->flags & (ATLED_CALL_INPLACE | ATLED_CALL_OUT);
  const bool meta = device.device_type == ATLED_DEVICE_META;
  KernelEntry entry = meta ? KernelEntry{} : need_kernel(op, device);
  if (!given) {
    allocate_outputs(frame, specs.list, device);
    uint64_t work = impl(frame->outs[0].u.tensor)->numel;
    if (!(op->traits & ATLED_OP_ELEMENTWISE)) work += seen.elements;
    if (crosses(device, seen)) work = waiting(work);
    int status = ATLED_OK;
    if (fusing(seen) && !meta)
      status = run_or_defer(entry, frame, work, device, true);
    else if (!meta)
      status = run_entry(entry, frame, work);
    if (status != ATLED_OK) release_values(frame->outs, op->nouts);
    return status;
  }
  return run_given(frame, specs.list, device, entry, fusing(seen) || outs_deferred(frame));
}

// Calls f(tensor, argument name) for the tensors of every Tensor(a!)[] argument.
template <class F>
void each_mutated(const atled_frame* frame, F&& f) {
  const Op* op = as_op(frame->op);
  for (uint32_t left = op->mutated_lists; left; left &= left - 1) {
    const int i = __builtin_ctz(left);
    for (uint32_t k = 0; k < frame->args[i].n; ++k)
      if (atled_tensor* t = frame->args[i].u.tensors[k]) f(t, op->args[i].name);
  }
}

// out= and in-place forms of a composite: what its calls made is copied into what was given.
int run_composite_given(atled_frame* frame, const Glance& seen) {
  static const atled::Op copy{"core::copy_"}, clone{"core::clone"};
  const Op* op = as_op(frame->op);
  const KernelEntry entry = need_kernel(op, common_device(frame, seen));
  atled_value made[8], args[32];
  for (int i = 0; i < op->nouts; ++i) made[i] = none();
  std::copy(frame->args, frame->args + op->nargs, args);
  // What the calls save for a layer must not be what is written afterwards.
  Tensor original;
  const uint64_t wanted = (thread_state.include | seen.keys) & ~(thread_state.exclude | kDeferredKey);
  if ((frame->flags & ATLED_CALL_INPLACE) && wanted) {
    original = clone(frame->args[0]);
    args[0] = value(original);
  }
  atled_frame plain = *frame;
  plain.args = args;
  plain.outs = made;
  plain.flags = 0;
  const int status = needs_values(seen, op) ? run_settled(entry, &plain, 0) : entry.run(entry.ctx, &plain);
  if (status != ATLED_OK) return status;
  Tensor results[8];
  for (int i = 0; i < op->nouts; ++i) results[i] = Tensor::steal(made[i].u.tensor);
  for (int i = 0; i < op->nouts; ++i) {
    check_given(frame, frame->outs[i].u.tensor, results[i]->dl.ndim, results[i]->dl.shape, results[i]->dtype);
    // What a composite returns may be a view of its input.
    if (clashes(frame->outs[i].u.tensor, results[i], true)) results[i] = clone(results[i]);
  }
  for (int i = 0; i < op->nouts; ++i) {
    atled_value copied = none();
    copy.run(0, &copied, {frame->outs[i], value(results[i])});
    frame->outs[i] = copied;
  }
  return ATLED_OK;
}

// An op that changes its first tensor, which is its result.
int run_mutating(atled_frame* frame, const KernelEntry& entry, uint64_t work) {
  const Op* op = as_op(frame->op);
  atled_tensor* target = frame->args[op->mutated].u.tensor;
  check_writable(target, op->args[op->mutated].name);
  for (int i = 1; i < op->nouts; ++i) frame->outs[i] = none();
  frame->outs[0] = value(target);
  const Unfused unfused;
  int status = entry.run ? run_entry(entry, frame, work) : ATLED_OK;
  // A kernel that failed midway may have written already.
  bump_version(target, op->name);
  if (status == ATLED_OK) retain(target);
  return status;
}

// t_(), squeeze_() and their like: the argument itself takes the layout of the view.
int run_view_in_place(atled_frame* frame, const Glance& seen) {
  const Op* op = as_op(frame->op);
  const KernelEntry entry = need_kernel(op, common_device(frame, seen));
  atled_tensor* target = frame->args[0].u.tensor;
  frame->outs[0] = none();
  frame->flags = 0;
  const int status = entry.run(entry.ctx, frame);
  frame->flags = ATLED_CALL_INPLACE;
  if (status != ATLED_OK) return status;
  const Tensor view = Tensor::steal(frame->outs[0].u.tensor);
  frame->outs[0] = none();
  check(become(target, view));
  bump_version(target, (op->name_text + "_").c_str());
  retain(target);
  frame->outs[0] = value(target);
  return ATLED_OK;
}

// What a view op made knows what it made it of.
void note_base(const atled_frame* frame) {
  if (frame->args[0].tag != ATLED_TENSOR) return;
  TensorImpl* source = impl(frame->args[0].u.tensor);
  TensorImpl* base = source->base ? source->base : source;
  auto note = [&](atled_tensor* t) {
    if (t == source || t == base || impl(t)->base || t->version != source->version) return;
    retain(base);
    impl(t)->base = base;
  };
  for (int i = 0; i < frame->op->nouts; ++i) {
    const atled_value& out = frame->outs[i];
    if (out.tag == ATLED_TENSOR) note(out.u.tensor);
    for (uint32_t k = 0; out.tag == ATLED_TENSORS && k < out.n; ++k) note(out.u.tensors[k]);
  }
}

// An op without a shape rule: its kernel makes the outputs.
int run_free(atled_frame* frame, const Glance& seen) {
  const Op* op = as_op(frame->op);
  if (frame->flags == ATLED_CALL_INPLACE && (op->traits & ATLED_OP_VIEW)) {
    if (fusing(seen)) check(settle_frame(frame));
    return run_view_in_place(frame, seen);
  }
  // An op that changes its first argument is its own in-place form.
  if (frame->flags && !(op->mutated == 0 && frame->flags == ATLED_CALL_INPLACE)) {
    if (!op->takes_out()) fail(ATLED_E_ARGUMENT, "has no out= or in-place form");
    return run_composite_given(frame, seen);
  }
  const DLDevice device = common_device(frame, seen);
  // What would be written into a meta tensor need not be.
  if (op->mutated >= 0 && device.device_type == ATLED_DEVICE_META)
    return run_mutating(frame, find_kernel(op, device), seen.elements);
  const KernelEntry entry = need_kernel(op, device);
  uint64_t work = op->traits & (ATLED_OP_VIEW | ATLED_OP_COMPOSITE) ? 0 : seen.elements;
  // Many a kernel without a shape rule reads from its device what the shape is.
  if (work && (device.device_type != kDLCPU || crosses(device, seen))) work = waiting(work);
  const bool fused = needs_values(seen, op);
  if (op->mutated >= 0) {
    if (fused) check(settle_frame(frame));
    return run_mutating(frame, entry, work);
  }
  for (int i = 0; i < op->nouts; ++i) frame->outs[i] = none();
  each_mutated(frame, [&](atled_tensor* t, const char* name) { check_writable(t, name); });
  int status = fused ? run_settled(entry, frame, work) : run_entry(entry, frame, work);
  each_mutated(frame, [&](atled_tensor* t, const char*) { bump_version(t, op->name); });
  for (int i = 0; i < op->nouts && status == ATLED_OK; ++i) {
    if (frame->outs[i].tag != ATLED_NONE || op->out_types[static_cast<size_t>(i)].back() == '?') continue;
    release_values(frame->outs, op->nouts);
    fail(ATLED_E_RUNTIME, "its kernel left result %d (%s) empty; the plugin that provides it is at fault", i,
         op->out_types[static_cast<size_t>(i)].c_str());
  }
  if (op->traits & ATLED_OP_VIEW && status == ATLED_OK) note_base(frame);
  return status;
}

// Raises for a call that has to do with float8 of an op that does not say it takes them, whoever wrote its kernels.
void refuse_float8(const atled_frame* frame) {
  auto refuse = [](const char* name, int dtype, const char* mend) {
    fail(ATLED_E_DTYPE, "expected %s of a dtype to compute in, got %s, which is for storage; %s", name,
         dtype_name(dtype), mend);
  };
  each_tensor(frame, [&](const atled_tensor* t, int position) {
    const std::string name = frame->op->args[position].name;
    if (is_float8(t->dtype))
      refuse(name.c_str(), t->dtype, ("convert it, for example " + name + ".to(float32)").c_str());
  });
  const char* mend = "convert the result instead, with to()";
  if (frame->flags & ATLED_CALL_OUT)
    for (int i = 0; i < frame->op->nouts; ++i)
      if (is_float8(frame->outs[i].u.tensor->dtype)) refuse("out", frame->outs[i].u.tensor->dtype, mend);
  refuse("a result", static_cast<int>(frame->args[as_op(frame->op)->dtype_arg].u.i), mend);
}

inline bool has_float8(const atled_frame* frame, const Glance& seen) {
  const Op* op = as_op(frame->op);
  if (seen.float8) return true;
  if (op->dtype_arg >= 0 && frame->args[op->dtype_arg].tag == ATLED_DTYPE)
    if (is_float8(static_cast<int>(frame->args[op->dtype_arg].u.i))) return true;
  if (frame->flags & ATLED_CALL_OUT)
    for (int i = 0; i < op->nouts; ++i)
      if (is_float8(frame->outs[i].u.tensor->dtype)) return true;
  return false;
}

constexpr uint32_t kTakesFloat8 = ATLED_OP_FLOAT8 | ATLED_OP_VIEW | ATLED_OP_COMPOSITE;

int run(atled_frame* frame, const Glance& seen) noexcept {
  int status = ATLED_OK;
  int thrown = guard([&] {
    if (!(frame->op->traits & kTakesFloat8) && has_float8(frame, seen)) refuse_float8(frame);
    status = as_op(frame->op)->structured() ? run_structured(frame, seen) : run_free(frame, seen);
  });
  if (thrown != ATLED_OK) status = thrown;
  if (status != ATLED_OK) name_error(frame->op->name);
  return status;
}

int enter(atled_frame* frame, uint64_t wanted, uint64_t keys) noexcept {
  const int level = 63 - __builtin_clzll(wanted);
  const uint64_t bit = uint64_t{1} << level, exclude = thread_state.exclude;
  const Layer& layer = layers[level];
  if (!layer.handler) {
    char text[96];
    snprintf(text, sizeof text, "a tensor or thread asks for layer %d, which nobody has registered", level);
    return set_error(ATLED_E_PLUGIN, text);
  }
  const bool deferred = (keys & kDeferredKey) || outs_deferred(frame);
  if (__builtin_expect(deferred, 0) && !layer.defers) {
    if (const int status = settle_frame(frame)) return status;
  }
  frame->layers = wanted & (bit - 1);
  thread_state.exclude = exclude | ~(bit - 1);
  int status = layer.handler(layer.ctx, frame);
  thread_state.exclude = exclude;
  return status;
}

}  // namespace

int call(const atled_op* op, uint32_t flags, atled_value* args, atled_value* outs) noexcept {
  atled_frame frame{op, args, outs, 0, flags, 0};
  if (__builtin_expect(recording.load(std::memory_order_relaxed) != 0, 0)) return recorded_call(&frame);
  return redispatch(&frame);
}

int redispatch(atled_frame* frame) noexcept {
  const Glance seen = glance(frame);
  const uint64_t wanted = wanted_layers(frame, seen);
  return wanted == 0 ? run(frame, seen) : enter(frame, wanted, seen.keys);
}

int run_kernel(atled_frame* frame, int32_t device_type) noexcept {
  KernelEntry entry = find_kernel(as_op(frame->op), DLDevice{device_type, 0});
  if (!entry.run)
    return set_error(ATLED_E_NOT_IMPLEMENTED, (as_op(frame->op)->qualified + " has no kernel for that device").c_str());
  int status = settle_frame(frame);
  // What it writes has not been through check_writable.
  auto write = [&](const atled_tensor* t) {
    if (status == ATLED_OK) status = settle_readers(t);
  };
  each_tensor(frame, [&](const atled_tensor* t, int) { write(t); });
  for (int i = 0; frame->flags & ATLED_CALL_OUT && i < frame->op->nouts; ++i) write(frame->outs[i].u.tensor);
  if (status != ATLED_OK) return status;
  const Unfused unfused;
  return entry.run(entry.ctx, frame);
}

void release_values(atled_value* values, uint32_t n) noexcept {
  for (uint32_t i = 0; i < n; ++i) {
    if (values[i].tag == ATLED_TENSOR) {
      release(values[i].u.tensor);
    } else if (values[i].tag == ATLED_TENSORS) {
      for (uint32_t k = 0; k < values[i].n; ++k) release(values[i].u.tensors[k]);
      deallocate(values[i].u.tensors, values[i].n * sizeof(atled_tensor*));
    }
    values[i] = none();
  }
}

int add_layer(const char* name, uint32_t level, atled_kernel handler, void* ctx) noexcept {
  if (level == 0 || level > 62 || !name || !handler)
    return set_error(ATLED_E_PLUGIN, "layer: expected a name, a level in [1, 62] and a handler");
  if (layers[level].handler)
    return set_error(ATLED_E_PLUGIN, (std::string("layer ") + name + ": level " + std::to_string(level) +
                                      " is taken by " + layers[level].name)
                                         .c_str());
  layers[level] = Layer{name, handler, ctx};
  return ATLED_OK;
}

int let_defer(uint64_t levels) noexcept {
  for (int level = 1; level < 63; ++level)
    if (levels >> level & 1) layers[level].defers = true;
  return ATLED_OK;
}

const char* layer_name(uint32_t level) { return level < 64 ? layers[level].name : nullptr; }

int own_slot(const char* owner, void (*drop)(atled_tensor* t)) noexcept {
  if (drop_slot)
    return set_error(
        ATLED_E_PLUGIN,
        ("autograd slot: expected one owner, but it belongs to " + slot_owner + ", asked for by " + owner).c_str());
  slot_owner = owner;
  drop_slot = drop;
  return ATLED_OK;
}

}  // namespace atled::core
