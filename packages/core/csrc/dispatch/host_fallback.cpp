#include "dispatch/host_fallback.h"

#include <string>
#include <vector>

#include "atled/plugin.hpp"
#include "dispatch/device.h"
#include "dispatch/registry.h"

namespace atled::core {

namespace {

constexpr DLDevice kHost{kDLCPU, 0};
const ::atled::Op to_copy_op{"core::to_copy"};
const ::atled::Op copy_op{"core::copy_"};

bool on_host(const atled_tensor* t) { return t->dl.device.device_type == kDLCPU; }

// A frame whose tensors have been brought to the host, and what must go back.
class Moved {
 public:
  explicit Moved(atled_frame* frame) : frame_(frame), host_(*frame) {
    const atled_op* op = frame->op;
    lists_.reserve(op->nargs);
    for (int i = 0; i < op->nargs; ++i) args_.push_back(brought(frame->args[i], op->args[i].flags & ATLED_ARG_MUTATED));
    for (int i = 0; i < op->nouts; ++i) {
      const atled_value& out = frame->outs[i];
      given_.push_back(out.tag == ATLED_TENSOR);
      outs_.push_back(given_.back() ? brought(out, true) : none());
    }
    host_.args = args_.data();
    host_.outs = outs_.data();
  }

  void run() {
    check(kernel_group->run(&host_, ATLED_DEVICE_CPU));
    for (int i = 0; i < frame_->op->nouts; ++i)
      if (!given_[static_cast<size_t>(i)]) take_back(i);
    for (const Change& change : changed_) write(change.device, change.host);
  }

 private:
  struct Change {
    atled_tensor* device;
    atled_tensor* host;
  };

  atled_value brought(const atled_value& v, bool changes) {
    if (v.tag == ATLED_TENSOR) return value(brought(v.u.tensor, changes));
    if (v.tag == ATLED_DEVICE) {
      if (v.u.device.device_type == kDLCPU) return v;
      device_ = v.u.device;
      return device_value(kHost);
    }
    if (v.tag != ATLED_TENSORS) return v;
    lists_.emplace_back();
    for (uint32_t k = 0; k < v.n; ++k)
      lists_.back().push_back(v.u.tensors[k] ? brought(v.u.tensors[k], changes) : nullptr);
    return tensors_value(lists_.back().data(), v.n);
  }

  // The same tensor given twice is one on the host, too.
  atled_tensor* brought(atled_tensor* t, bool changes) {
    if (on_host(t)) return t;
    device_ = t->dl.device;
    for (const Pair& pair : pairs_)
      if (pair.device == t) {
        if (changes && !pair.changes) changed_.push_back({t, pair.host});
        return pair.host;
      }
    pairs_.push_back({t, copied(t), changes});
    if (changes) changed_.push_back({t, pairs_.back().host});
    return pairs_.back().host;
  }

  static Tensor copied(atled_tensor* t) {
    if (!is_contiguous(t)) return to_copy_op(t, none(), device_value(kHost));
    Tensor copy = Tensor::empty(t->dtype, t->dl.ndim, t->dl.shape);
    check(device_copy(copy->dl.data, kHost, t->dl.data, t->dl.device, bytes_of(t)));
    return copy;
  }

  Tensor returned(atled_tensor* t) const {
    if (device_.device_type == kDLCPU) return Tensor::borrow(t);
    Tensor packed = Tensor::borrow(t);
    if (!is_contiguous(t)) {
      packed = Tensor::empty_like(t);
      copy_op.inplace(packed, t);
    }
    Tensor back = Tensor::empty(t->dtype, t->dl.ndim, t->dl.shape, device_);
    check(device_copy(back->dl.data, device_, packed->dl.data, kHost, bytes_of(t)));
    return back;
  }

  // What the kernel made comes as new tensors of the device.
  void take_back(int i) {
    const atled_value& made = outs_[static_cast<size_t>(i)];
    if (made.tag == ATLED_TENSOR) {
      const Tensor owner = Tensor::steal(made.u.tensor);
      set_out(frame_, i, returned(owner));
    } else if (made.tag == ATLED_TENSORS) {
      std::vector<Tensor> list;
      for (uint32_t k = 0; k < made.n; ++k) list.push_back(returned(made.u.tensors[k]));
      set_out_list(frame_, i, list);
      api.values_release(&outs_[static_cast<size_t>(i)], 1);
    } else {
      frame_->outs[i] = made;
    }
  }

  static void write(atled_tensor* to, atled_tensor* from) {
    if (!is_contiguous(to) || !is_contiguous(from)) return copy_op.inplace(to, from);
    check(device_copy(to->dl.data, to->dl.device, from->dl.data, kHost, bytes_of(to)));
  }

  static size_t bytes_of(const atled_tensor* t) { return static_cast<size_t>(numel(t)) * itemsize(t->dtype); }

  struct Pair {
    atled_tensor* device;
    Tensor host;
    bool changes;
  };
  atled_frame *frame_, host_;
  std::vector<Pair> pairs_;
  std::vector<Change> changed_;
  std::vector<std::vector<atled_tensor*>> lists_;
  std::vector<atled_value> args_, outs_;
  std::vector<bool> given_;
  DLDevice device_{kDLCPU, 0};
};

void run_on_host(atled_frame* frame) {
  if (frame->op->traits & ATLED_OP_VIEW)
    fail(ATLED_E_NOT_IMPLEMENTED, "expected a kernel that makes a view, which cannot be made by copies on the CPU");
  // Copying to the CPU needs no kernel but these, which must not lead back here.
  const std::string name = frame->op->name;
  if (name == "copy_" || name == "clone" || name == "to_copy")
    fail(ATLED_E_NOT_IMPLEMENTED, "expected a kernel of the device itself, without which nothing can be copied");
  Moved(frame).run();
}

}  // namespace

int fallback_to_cpu(const char* name, bool on) noexcept {
  return guard([&] {
    DLDevice device;
    check(parse_device(name, &device));
    if (!device_def(device.device_type))
      fail(ATLED_E_DEVICE, "fallback_to_cpu: expected a device other than \"cpu\" and \"meta\", got \"%s\"", name);
    check(set_host_fallback(device.device_type, on ? kernel<run_on_host> : nullptr));
  });
}

}  // namespace atled::core
