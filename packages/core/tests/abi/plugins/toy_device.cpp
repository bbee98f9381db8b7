// A device "toy" built from the public header alone: its memory is the host's, guarded so that it can be told apart,
// and one fallback kernel runs every op by looking at the same bytes as CPU tensors.
#include <atled/plugin.hpp>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr int kToy = kDLExtDev;
std::atomic<int64_t> live{0}, allocations{0}, kernels{0};

int allocate(void*, int32_t, size_t nbytes, atled_stream, void** out) {
  *out = std::aligned_alloc(64, (nbytes + 64) / 64 * 64);
  if (!*out) return atled::api.set_error(ATLED_E_MEMORY, "toy: no memory");
  live += static_cast<int64_t>(nbytes);
  ++allocations;
  return ATLED_OK;
}
void release(void*, int32_t, void* ptr, size_t nbytes, atled_stream) {
  live -= static_cast<int64_t>(nbytes);
  std::free(ptr);
}
int copy(void*, void* dst, DLDevice, const void* src, DLDevice, size_t nbytes, atled_stream) {
  std::memcpy(dst, src, nbytes);
  return ATLED_OK;
}
int count(void*, int32_t* out) {
  *out = 2;
  return ATLED_OK;
}

// The same memory under another device's name.
atled::Tensor relabel(atled_tensor* t, DLDevice device) {
  DLManagedTensorVersioned* managed = nullptr;
  atled::check(atled::api.to_dlpack(t, &managed));
  managed->dl_tensor.device = device;
  atled_tensor* out = nullptr;
  int status = atled::api.from_dlpack(managed, &out);
  if (status != ATLED_OK) managed->deleter(managed);
  atled::check(status);
  return atled::Tensor::steal(out);
}

constexpr DLDevice kCpu{kDLCPU, 0};

struct Relabelled {
  std::vector<atled::Tensor> keep;
  std::vector<std::vector<atled_tensor*>> lists;
  DLDevice device{kToy, 0};

  atled_value value(const atled_value& v) {
    if (v.tag == ATLED_DEVICE) {
      if (v.u.device.device_type != kToy) return v;
      device = v.u.device;
      return atled::device_value(kCpu);
    }
    if (v.tag == ATLED_TENSOR) return atled::value(one(v.u.tensor));
    if (v.tag != ATLED_TENSORS) return v;
    lists.emplace_back();
    for (uint32_t i = 0; i < v.n; ++i) lists.back().push_back(v.u.tensors[i] ? one(v.u.tensors[i]) : nullptr);
    return atled::tensors_value(lists.back().data(), v.n);
  }
  atled_tensor* one(atled_tensor* t) {
    if (t->dl.device.device_type != kToy) return t;
    device = t->dl.device;
    keep.push_back(relabel(t, kCpu));
    return keep.back();
  }
};

void run_on_host(atled_frame* frame) {
  ++kernels;
  Relabelled relabelled;
  std::vector<atled_value> args, outs;
  relabelled.lists.reserve(frame->op->nargs);
  for (int i = 0; i < frame->op->nargs; ++i) args.push_back(relabelled.value(frame->args[i]));
  std::vector<bool> given;
  for (int i = 0; i < frame->op->nouts; ++i) {
    given.push_back(frame->outs[i].tag == ATLED_TENSOR);
    outs.push_back(given.back() ? relabelled.value(frame->outs[i]) : atled::none());
  }
  atled_frame host = *frame;
  host.args = args.data();
  host.outs = outs.data();
  atled::check(atled::kernel_group->run(&host, ATLED_DEVICE_CPU));
  for (int i = 0; i < frame->op->nouts; ++i) {
    if (given[i]) continue;
    if (outs[i].tag == ATLED_TENSOR) {
      atled::Tensor made = atled::Tensor::steal(outs[i].u.tensor);
      atled::set_out(frame, i, relabel(made, relabelled.device));
    } else if (outs[i].tag == ATLED_TENSORS) {
      std::vector<atled::Tensor> list;
      for (uint32_t k = 0; k < outs[i].n; ++k) list.push_back(relabel(outs[i].u.tensors[k], relabelled.device));
      atled::set_out_list(frame, i, list);
      atled::api.values_release(&outs[i], 1);
    } else {
      frame->outs[i] = outs[i];
    }
  }
}

void init() {
  atled_device_def def{};
  def.size = sizeof def;
  def.type = kToy;
  def.name = "toy";
  def.count = count;
  def.allocate = allocate;
  def.free = release;
  def.copy = copy;
  atled::check(atled::device_group->add(&def));
#ifndef TOY_WITHOUT_KERNELS
  atled::check(atled::kernel_group->fallback(kToy, atled::kernel<run_on_host>, nullptr));
#else
  // Where the memory is; everything else is left to core's fallback.
  for (const char* op : {"core::copy_", "core::clone"}) atled::add_kernel(op, kToy, atled::kernel<run_on_host>);
#endif
}

}  // namespace

ATLED_EXPORT int64_t toy_live_bytes() { return live; }
ATLED_EXPORT int64_t toy_allocations() { return allocations; }
ATLED_EXPORT int64_t toy_kernels() { return kernels; }

ATLED_PLUGIN("atled-toy-device", "0.1.0", init)
