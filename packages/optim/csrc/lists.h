// Multi-tensor kernels: one call walks over the parameters of a group, with a flat loop where memory allows.
#pragma once

#include <atled/plugin.hpp>
#include <string>
#include <vector>

namespace atled::optim {

using Tensors = const atled_value&;

inline atled_tensor* entry(Tensors list, uint32_t i) { return list.u.tensors[i]; }

// The tensors of a list, with real ones in place of those that are complex: a step and the other ops here take their
// real and imaginary parts as numbers of their own, as PyTorch does.
class RealList {
 public:
  // What stands for a complex tensor is what the op makes of it: view_as_real, say, which is the same memory.
  RealList(Tensors list, const atled::Op& op);
  RealList(RealList&&) = default;
  operator Tensors() const { return value_; }  // as long as this lives

 private:
  atled_value value_;
  std::vector<Tensor> made_;
  std::vector<atled_tensor*> tensors_;
};
extern const atled::Op view_as_real;

// The list has as many tensors as params, each of its parameter's shape and dtype, on one device.
void check_list(const char* name, Tensors list, Tensors params);
// The parameters themselves: floating-point or complex. Returns them.
Tensors check_params(Tensors params);
// The list has a number for each parameter, integers from 1 on; or none where they are counted on the device.
void check_numbers(const char* name, const atled_value& list, Tensors params, bool counted);
// The list has one float32 for each parameter.
void check_counts(const char* name, Tensors list, Tensors params);
// The result of the ops: the tensors that they changed.
void return_list(atled_frame* f, Tensors list);

// A tensor's elements all lie in one block of memory, in the same order for all of `list`.
bool same_dense_layout(const atled_tensor* const* list, int n);

// Elements are computed in float (double for float64) whatever they are stored in.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

constexpr int kMaxStreams = 6;
constexpr int64_t kGrain = 16384;

// Calls flat(pointers, count) on stretches of the tensors of one parameter, `n` of them, in parallel where it pays. The
// pointers are of type T; what is not flat in memory is walked through row by row, with strides folded away by element.
template <class T, class F>
void walk(atled_tensor* const* list, int n, F&& flat) {
  const atled_tensor* first = list[0];
  const int64_t count = numel(first);
  if (count == 0) return;
  if (same_dense_layout(list, n)) {
    parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
      T* at[kMaxStreams];
      for (int k = 0; k < n; ++k) at[k] = data<T>(list[k]) + begin;
      flat(at, end - begin);
    });
    return;
  }
  const int ndim = first->dl.ndim;
  int64_t index[ATLED_MAX_NDIM] = {};
  T* at[kMaxStreams];
  for (int k = 0; k < n; ++k) at[k] = data<T>(list[k]);
  for (int64_t i = 0; i < count; ++i) {
    flat(at, 1);
    for (int d = ndim - 1; d >= 0; --d) {
      const bool carry = ++index[d] == first->dl.shape[d];
      for (int k = 0; k < n; ++k)
        at[k] += carry ? -list[k]->dl.strides[d] * (first->dl.shape[d] - 1) : list[k]->dl.strides[d];
      if (!carry) break;
      index[d] = 0;
    }
  }
}

void define_steps();
void define_gradients();

}  // namespace atled::optim
