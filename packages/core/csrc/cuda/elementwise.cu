// The parts of the element-wise engine that no functor has a hand in.
#include "cuda/elementwise.cuh"

namespace atled::core::cuda {

Elementwise& Elementwise::output(const atled_tensor* t, int dtype) {
  device_ = t->dl.device;
  return input(t, dtype);
}

Elementwise& Elementwise::input(const atled_tensor* t, int dtype) {
  if (count_ == kMaxOperands) fail(ATLED_E_RUNTIME, "expected at most %d operands", kMaxOperands);
  operands_[count_++] = Operand{t, dtype};
  return *this;
}

Elementwise& Elementwise::scalar(const atled_value& v, int dtype) {
  input(nullptr, dtype);
  store_scalar(v, dtype, numbers_[count_ - 1].bytes);
  return *this;
}

Elementwise& Elementwise::operand(const atled_value& v, int dtype) {
  if (v.tag == ATLED_TENSOR) return input(v.u.tensor, dtype);
  return is_none(v) ? *this : scalar(v, dtype);
}

int Elementwise::settle(int operands, bool floats) {
  if (count_ != operands) fail(ATLED_E_RUNTIME, "expected %d operands for the kernel, got %d", operands, count_);
  // Floats may all lie in memory as one narrow dtype.
  int small = ATLED_FLOAT32;
  if (floats) {
    bool first = true;
    for (int k = 0; k < count_; ++k) {
      const Operand& o = operands_[k];
      if (!o.tensor || o.dtype != ATLED_FLOAT32) continue;
      if (first) small = o.tensor->dtype;
      if (o.tensor->dtype != small) small = ATLED_FLOAT32;
      first = false;
    }
    if (small != ATLED_FLOAT16 && small != ATLED_BFLOAT16) small = ATLED_FLOAT32;
  }
  for (int k = 0; k < count_; ++k) {
    Operand& o = operands_[k];
    const int wanted = o.dtype == ATLED_FLOAT32 && floats ? small : o.dtype;
    if (!o.tensor || o.tensor->dtype == wanted) continue;
    converted_[k] = Tensor::empty(wanted, o.tensor->dl.ndim, o.tensor->dl.shape, device_);
    if (k == 0)
      result_ = o.tensor;
    else
      assign(converted_[k], const_cast<atled_tensor*>(o.tensor));
    o.tensor = converted_[k];
  }

  const DLTensor& out = operands_[0].tensor->dl;
  walk_.operands = count_;
  walk_.ndim = out.ndim;
  for (int d = 0; d < out.ndim; ++d) walk_.sizes[d] = out.shape[out.ndim - 1 - d];
  for (int k = 0; k < count_; ++k) {
    const atled_tensor* t = operands_[k].tensor;
    const int shift = t ? out.ndim - t->dl.ndim : 0;
    if (shift < 0)
      fail(ATLED_E_SHAPE, "expected operands that broadcast to the output's shape %s, got %s",
           shape_text(out.ndim, out.shape).c_str(), shape_text(t).c_str());
    for (int d = 0; d < out.ndim; ++d) {
      const int own = out.ndim - 1 - d - shift;
      const bool spread = !t || own < 0 || (k > 0 && t->dl.shape[own] == 1);
      if (!spread && t->dl.shape[own] != walk_.sizes[d])
        fail(ATLED_E_SHAPE, "expected operands that broadcast to the output's shape %s, got %s",
             shape_text(out.ndim, out.shape).c_str(), shape_text(t).c_str());
      walk_.strides[k][d] = spread ? 0 : t->dl.strides[own] * itemsize(t->dtype);
    }
  }
  total_ = walk_.total();
  if (total_ == 0) return small;
  // A number has no place in memory, so it must not keep dimensions apart.
  walk_.simplify();
  return small;
}

void Elementwise::run_pieces(const void* f, const Launches& launches) {
  const cudaStream_t stream = current_stream(device_.device_id);
  walk_.each_piece([&](Walk piece) {
    char* data[kMaxOperands];
    bool dense = true;
    for (int k = 0; k < count_; ++k) {
      const atled_tensor* t = operands_[k].tensor;
      data[k] = t ? static_cast<char*>(t->dl.data) + piece.starts[k] : nullptr;
      if (!t) continue;
      const auto width = static_cast<uintptr_t>(launches.items[k] * launches.vector);
      dense = dense && piece.dense(k, launches.items[k]) && reinterpret_cast<uintptr_t>(data[k]) % width == 0;
    }
    if (dense) return launches.dense(f, data, numbers_, piece.total(), stream);
    const uint32_t sides = piece.group(launches.vector, launches.items, data);
    launches.strided(f, data, numbers_, sides, piece, stream);
  });
}

void Elementwise::deliver() {
  if (result_) assign(result_, converted_[0].get());
}

Launch find_launch(const LaunchTable& table, int dtype) {
  const Launch launch = table[compute_dtype(dtype)];
  if (!launch)
    fail(ATLED_E_DTYPE,
         "expected a dtype that this op has a CUDA kernel for, got %s; cast the input, or move it to "
         "\"cpu\"",
         dtype_name(dtype));
  return launch;
}

namespace {

void run_table(const LaunchTable& table, atled_frame* frame, bool to_float, bool to_bool) {
  const ArgSet args = operands(frame->op);
  int dtype = promoted(frame, args);
  if (to_float) dtype = float_dtype(dtype);
  if (to_bool) dtype = comparison_dtype(frame, args, dtype);
  const Launch launch = find_launch(table, dtype);
  dtype = compute_dtype(dtype);
  Elementwise e;
  e.output(out_tensor(frame), to_bool ? static_cast<int>(ATLED_BOOL) : dtype);
  for (int i = 0; args >> i; ++i)
    if (args >> i & 1) e.operand(frame->args[i], dtype);
  launch(e, nullptr);
}

}  // namespace

int run_same(void* table, atled_frame* frame) noexcept {
  return guard([&] { run_table(*static_cast<const LaunchTable*>(table), frame, false, false); });
}
int run_float(void* table, atled_frame* frame) noexcept {
  return guard([&] { run_table(*static_cast<const LaunchTable*>(table), frame, true, false); });
}
int run_bool(void* table, atled_frame* frame) noexcept {
  return guard([&] { run_table(*static_cast<const LaunchTable*>(table), frame, false, true); });
}

}  // namespace atled::core::cuda
