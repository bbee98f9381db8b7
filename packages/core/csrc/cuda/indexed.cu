// Where indices point: what they look like and how they are placed; the kernels are in indexed_moves.cu.
#include <algorithm>

#include "cuda/indexed.h"
#include "cuda/reduce.cuh"

namespace atled::core::cuda {

namespace {

// Whether a tensor's dimensions [first, first + count) are one in memory.
bool joins(const atled_tensor* t, int first, int count) {
  int64_t step = -1;
  for (int d = first + count - 1; d >= first; --d) {
    if (t->dl.shape[d] == 1) continue;
    if (step >= 0 && t->dl.strides[d] != step) return false;
    step = t->dl.strides[d] * t->dl.shape[d];
  }
  return true;
}

// As int64 or int32, contiguous, and apart from t's memory.
Tensor readable(const atled_tensor* index, const atled_tensor* t) {
  const int dtype = index->dtype == ATLED_INT32 ? ATLED_INT32 : ATLED_INT64;
  if (index->version != t->version) return contiguous(index, dtype);
  Tensor copy = Tensor::empty(dtype, index->dl.ndim, index->dl.shape, index->dl.device);
  assign(copy, const_cast<atled_tensor*>(index));
  return copy;
}

}  // namespace

void Places::append(const atled_tensor* index, int64_t size, int64_t stride, int dim, bool as_it_is) {
  if (indices_.size() == kMostIndices) fail(ATLED_E_NOT_IMPLEMENTED, "expected at most %d index tensors", kMostIndices);
  const Tensor tensor = as_it_is ? Tensor::borrow(const_cast<atled_tensor*>(index)) : readable(index, t_);
  indices_.push_back(Index{tensor, size, stride * itemsize(t_->dtype), 0, dim});
}

void Places::append_mask(atled_tensor* mask, int dim) {
  const int uses = mask->dl.ndim;
  const int64_t *shape = t_->dl.shape + dim, *strides = t_->dl.strides + dim;
  for (int k = 0; k < uses; ++k)
    if (mask->dl.shape[k] != shape[k] && mask->dl.shape[k] != 0)
      fail(ATLED_E_BOUNDS, "expected a mask of shape %s for dim %d, got %s", shape_text(uses, shape).c_str(), dim,
           shape_text(mask).c_str());
  const Tensor places = true_places(mask);
  if (joins(t_, dim, uses)) {
    int64_t size = 1, stride = 0;
    for (int k = uses - 1; k >= 0; --k) {
      if (stride == 0 && shape[k] != 1) stride = strides[k];
      size *= shape[k];
    }
    return append(places, size, stride, dim);
  }
  const Tensor rows = coordinates(places, uses, shape);
  for (int k = 0; k < uses; ++k) {
    Layout column;
    column.push(numel(places), uses);
    column.offset = k;
    append(column.view(rows), shape[k], strides[k], dim + k);
  }
}

Places::Places(const atled_tensor* t, atled_tensor* const* indices, uint32_t count)
    : t_(Tensor::borrow(const_cast<atled_tensor*>(t))) {
  const DeviceGuard device(t->dl.device.device_id);
  const int64_t item = itemsize(t->dtype);
  std::vector<Dim> before, after;
  int dim = 0, masks = 0, groups = 0;
  bool ended = false, together = true;  // the index tensors stand side by side
  auto whole = [&](int d) {
    ended = groups > 0;
    (groups > 0 ? after : before).push_back(Dim{t->dl.shape[d], t->dl.strides[d] * item, 0, 0, false});
  };
  for (uint32_t i = 0; i < count; ++i) {
    atled_tensor* index = indices[i];
    const bool mask = index && index->dtype == ATLED_BOOL;
    const int uses = mask ? index->dl.ndim : 1;
    if (dim + uses > t->dl.ndim)
      fail(ATLED_E_BOUNDS, "expected at most %d indices for shape %s, got more", t->dl.ndim, shape_text(t).c_str());
    if (!index) {
      whole(dim);
    } else {
      together = together && !ended;
      ++groups;
      masks += mask;
      if (mask) {
        append_mask(index, dim);
      } else if (!is_integer(index->dtype)) {
        fail(ATLED_E_DTYPE, "expected indices of an integer dtype for dim %d, got %s", dim, dtype_name(index->dtype));
      } else {
        append(index, t->dl.shape[dim], t->dl.strides[dim], dim);
      }
    }
    dim += uses;
  }
  for (; dim < t->dl.ndim; ++dim) whole(dim);
  unique_ = groups == 1 && masks == 1;

  int64_t shape[ATLED_MAX_NDIM];
  int ndim = 0;
  for (const Index& index : indices_)
    if (!broadcast_into(shape, ndim, index.tensor->dl.shape, index.tensor->dl.ndim))
      fail(ATLED_E_BOUNDS, "expected index tensors that broadcast, got %s beside %s", shape_text(ndim, shape).c_str(),
           shape_text(index.tensor).c_str());
  for (Index& index : indices_) {
    bool same = index.tensor->dl.ndim == ndim;
    for (int d = 0; d < ndim && same; ++d) same = index.tensor->dl.shape[d] == shape[d];
    if (same) continue;
    Tensor expanded = Tensor::empty(index.tensor->dtype, ndim, shape, t->dl.device);
    assign(expanded, index.tensor.get());
    index.tensor = expanded;
  }
  for (int d = 0; d < ndim; ++d) dims_.push_back(Dim{shape[d], 0, 1, 0, true});
  dims_.insert(together ? dims_.begin() : dims_.end(), before.begin(), before.end());
  dims_.insert(dims_.end(), after.begin(), after.end());
  for (size_t k = indices_.size(); k-- > 0; slots_ *= indices_[k].size) indices_[k].slot = slots_;
  number();
}

Places::Places(const atled_tensor* t, int dim, const atled_tensor* index, bool ordered)
    : t_(Tensor::borrow(const_cast<atled_tensor*>(t))) {
  const DeviceGuard device(t->dl.device.device_id);
  const int64_t item = itemsize(t->dtype);
  const bool has_dims = t->dl.ndim > 0;
  const bool as_it_is = !ordered && (index->dtype == ATLED_INT64 || index->dtype == ATLED_INT32);
  append(index, has_dims ? t->dl.shape[dim] : 1, has_dims ? t->dl.strides[dim] : 0, dim, as_it_is);
  dims_.resize(static_cast<size_t>(index->dl.ndim));
  for (int d = index->dl.ndim - 1; d >= 0; --d) {
    const bool along = !has_dims || d == dim;
    dims_[static_cast<size_t>(d)] =
        Dim{index->dl.shape[d], along ? 0 : t->dl.strides[d] * item, 1, along ? 0 : slots_, true};
    if (along) indices_[0].slot = slots_;
    slots_ *= has_dims ? t->dl.shape[d] : 1;
  }
  line_ = index->dl.ndim > 0 ? dim : -1;
  number();
  for (int d = 0; d < index->dl.ndim && as_it_is; ++d) dims_[static_cast<size_t>(d)].point = index->dl.strides[d];
}

// Points and elements are counted in order.
void Places::number() {
  for (size_t d = dims_.size(); d-- > 0;) {
    total_ *= dims_[d].size;
    if (!dims_[d].indexed) continue;
    dims_[d].point = points_;
    points_ *= dims_[d].size;
  }
}

Layout Places::result() const {
  Layout layout;
  for (const Dim& dim : dims_) layout.push(dim.size, 0);
  return layout;
}

}  // namespace atled::core::cuda
