#include "lists.h"

namespace atled::optim {

const atled::Op view_as_real{"core::view_as_real"};

RealList::RealList(Tensors list, const atled::Op& op) : value_(list) {
  for (uint32_t i = 0; i < list.n; ++i) {
    if (!is_complex(entry(list, i)->dtype)) continue;
    if (made_.empty()) tensors_.assign(list.u.tensors, list.u.tensors + list.n);
    made_.push_back(op(entry(list, i)));
    tensors_[i] = made_.back().get();
  }
  if (!made_.empty()) value_.u.tensors = tensors_.data();
}

Tensors check_params(Tensors params) {
  for (uint32_t i = 0; i < params.n; ++i) {
    const atled_tensor* p = entry(params, i);
    if (!is_floating(p->dtype) && !is_complex(p->dtype))
      fail(ATLED_E_DTYPE, "expected parameters of a floating-point or complex dtype, got %s for parameter %u",
           dtype_name(p->dtype), i);
  }
  return params;
}

void return_list(atled_frame* f, Tensors list) {
  std::vector<Tensor> same;
  for (uint32_t i = 0; i < list.n; ++i) same.push_back(Tensor::borrow(entry(list, i)));
  set_out_list(f, 0, same);
}

void check_list(const char* name, Tensors list, Tensors params) {
  if (list.n != params.n) fail(ATLED_E_ARGUMENT, "expected as many %s as params (%u), got %u", name, params.n, list.n);
  for (uint32_t i = 0; i < list.n; ++i) {
    const atled_tensor *t = entry(list, i), *p = entry(params, i);
    if (t->dtype != p->dtype)
      fail(ATLED_E_DTYPE, "expected %s[%u] of dtype %s as its parameter, got %s", name, i, dtype_name(p->dtype),
           dtype_name(t->dtype));
    bool same = t->dl.ndim == p->dl.ndim;
    for (int d = 0; same && d < t->dl.ndim; ++d) same = t->dl.shape[d] == p->dl.shape[d];
    if (!same)
      fail(ATLED_E_SHAPE, "expected %s[%u] of shape %s as its parameter, got %s", name, i, shape_text(p).c_str(),
           shape_text(t).c_str());
  }
}

void check_numbers(const char* name, const atled_value& list, Tensors params, bool counted) {
  if (counted) {
    if (list.n != 0) fail(ATLED_E_ARGUMENT, "expected no %s beside counts, got %u", name, list.n);
    return;
  }
  if (list.n != params.n) fail(ATLED_E_ARGUMENT, "expected as many %s as params (%u), got %u", name, params.n, list.n);
  for (uint32_t i = 0; list.tag == ATLED_INTS && i < list.n; ++i)
    if (list.u.ints[i] < 1)
      fail(ATLED_E_VALUE, "expected %s >= 1, got %lld", name, static_cast<long long>(list.u.ints[i]));
}

void check_counts(const char* name, Tensors list, Tensors params) {
  if (list.n != params.n) fail(ATLED_E_ARGUMENT, "expected as many %s as params (%u), got %u", name, params.n, list.n);
  for (uint32_t i = 0; i < list.n; ++i) {
    const atled_tensor* count = entry(list, i);
    if (count->dtype != ATLED_FLOAT32 || numel(count) != 1)
      fail(ATLED_E_ARGUMENT, "expected %s[%u] to be one float32, got %s of shape %s", name, i, dtype_name(count->dtype),
           shape_text(count).c_str());
  }
}

bool same_dense_layout(const atled_tensor* const* list, int n) {
  const atled_tensor* first = list[0];
  bool contiguous = true;
  for (int k = 0; k < n; ++k) contiguous = contiguous && is_contiguous(list[k]);
  if (contiguous) return true;
  int64_t span = 1;
  for (int d = 0; d < first->dl.ndim; ++d) {
    const int64_t stride = first->dl.strides[d];
    if (stride < 0) return false;
    span += (first->dl.shape[d] - 1) * stride;
    for (int k = 1; k < n; ++k)
      if (first->dl.shape[d] > 1 && list[k]->dl.strides[d] != stride) return false;
  }
  return span == numel(first);
}

}  // namespace atled::optim
