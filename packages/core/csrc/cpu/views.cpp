// View kernels touch no element, so they serve every device.
#include <algorithm>
#include <vector>

#include "dispatch/register.h"
#include "ops/layout.h"
#include "ops/rules.h"
#include "tensor/tensor.h"

namespace atled::core {
namespace {

void view(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  Layout out;
  infer_shape(f->args[1], input, out);
  if (!strides_for(input, out))
    fail(ATLED_E_SHAPE, "expected a shape that input's strides allow, got %s for shape %s; use reshape, which may copy",
         shape_text(out.ndim, out.shape).c_str(), shape_text(input).c_str());
  set_out(f, 0, out.view(input));
}

Tensor permuted(atled_tensor* input, const int* dims) {
  Layout out;
  for (int i = 0; i < input->dl.ndim; ++i) out.push(input->dl.shape[dims[i]], input->dl.strides[dims[i]]);
  return out.view(input);
}

void permute(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& dims = f->args[1];
  if (static_cast<int>(dims.n) != input->dl.ndim)
    fail(ATLED_E_SHAPE, "expected dims to name %d dimensions, got %u", input->dl.ndim, dims.n);
  int order[ATLED_MAX_NDIM];
  unique_dims(dims, input->dl.ndim, order);
  set_out(f, 0, permuted(input, order));
}

Tensor swapped(atled_tensor* input, int a, int b) {
  Layout out(input);
  if (out.ndim > 0) {
    std::swap(out.shape[a], out.shape[b]);
    std::swap(out.strides[a], out.strides[b]);
  }
  return out.view(input);
}

void transpose(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int a = wrap_dim(arg_int(f, 1), input->dl.ndim, "dim0"), b = wrap_dim(arg_int(f, 2), input->dl.ndim, "dim1");
  set_out(f, 0, swapped(input, a, b));
}

void t(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim > 2)
    fail(ATLED_E_SHAPE, "expected at most 2 dimensions, got shape %s; use mT or permute", shape_text(input).c_str());
  set_out(f, 0, input->dl.ndim == 2 ? swapped(input, 0, 1) : Layout(input).view(input));
}

void matrix_transpose(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int n = input->dl.ndim;
  if (n < 2) fail(ATLED_E_SHAPE, "expected at least 2 dimensions, got shape %s", shape_text(input).c_str());
  set_out(f, 0, swapped(input, n - 2, n - 1));
}

void movedim(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value &source = f->args[1], &destination = f->args[2];
  if (source.n != destination.n)
    fail(ATLED_E_SHAPE, "expected source and destination of one length, got %u and %u", source.n, destination.n);
  const int ndim = input->dl.ndim;
  int from[ATLED_MAX_NDIM], to[ATLED_MAX_NDIM], order[ATLED_MAX_NDIM];
  unique_dims(source, ndim, from, "source");
  unique_dims(destination, ndim, to, "destination");
  uint64_t moved = 0, filled = 0;
  for (uint32_t i = 0; i < source.n && ndim > 0; ++i) {
    order[to[i]] = from[i];
    moved |= uint64_t{1} << from[i];
    filled |= uint64_t{1} << to[i];
  }
  for (int place = 0, next = 0; place < ndim; ++place) {
    if (filled >> place & 1) continue;
    while (moved >> next & 1) ++next;
    order[place] = next++;
  }
  set_out(f, 0, permuted(input, order));
}

void squeeze(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const DimSet dims = f->args[1].tag == ATLED_INTS && f->args[1].n == 0 ? 0 : reduced_dims(f->args[1], input->dl.ndim);
  Layout out;
  for (int i = 0; i < input->dl.ndim; ++i)
    if (input->dl.shape[i] != 1 || !(dims >> i & 1)) out.push(input->dl.shape[i], input->dl.strides[i]);
  set_out(f, 0, out.view(input));
}

void unsqueeze(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  Layout out(input);
  const int dim = wrap_dim(arg_int(f, 1), out.ndim + 1);
  out.insert(dim, 1, dim < out.ndim ? out.strides[dim] * out.shape[dim] : 1);
  set_out(f, 0, out.view(input));
}

void expand(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value& size = f->args[1];
  auto refuse = [&] {
    fail(ATLED_E_SHAPE, "expected a size that input of shape %s expands to, got %s", shape_text(input).c_str(),
         shape_text(static_cast<int>(size.n), size.u.ints).c_str());
  };
  const int added = static_cast<int>(size.n) - input->dl.ndim;
  if (added < 0 || size.n > ATLED_MAX_NDIM) refuse();
  Layout out;
  for (int i = 0; i < static_cast<int>(size.n); ++i) {
    const int64_t asked = size.u.ints[i], own = i < added ? 1 : input->dl.shape[i - added];
    if (asked == -1 ? i < added : (asked < 0 || (asked != own && own != 1))) refuse();
    const bool repeats = i < added || (asked != -1 && asked != own);
    out.push(asked == -1 ? own : asked, repeats ? 0 : input->dl.strides[i - added]);
  }
  set_out(f, 0, out.view(input));
}

int sliced_dim(const atled_frame* f, int argument) {
  const atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim == 0) fail(ATLED_E_BOUNDS, "expected input of at least one dimension, got a 0-d tensor");
  return wrap_dim(arg_int(f, argument), input->dl.ndim, f->op->args[argument].name);
}

void select(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = sliced_dim(f, 1);
  Layout out(input);
  const int64_t n = out.shape[dim], index = arg_int(f, 2);
  if (index < -n || index >= n)
    fail(ATLED_E_BOUNDS, "expected index for dim %d in [%lld, %lld), got %lld", dim, -(long long)n, (long long)n,
         (long long)index);
  out.offset = (index < 0 ? index + n : index) * out.strides[dim];
  out.erase(dim);
  set_out(f, 0, out.view(input));
}

void narrow(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = sliced_dim(f, 1);
  Layout out(input);
  const int64_t n = out.shape[dim], length = arg_int(f, 3);
  int64_t start = arg_int(f, 2);
  if (start < -n || start > n)
    fail(ATLED_E_BOUNDS, "expected start for dim %d in [%lld, %lld], got %lld", dim, -(long long)n, (long long)n,
         (long long)start);
  if (start < 0) start += n;
  if (length < 0 || length > n - start)
    fail(ATLED_E_BOUNDS, "expected length in [0, %lld] from start %lld of dim %d, got %lld", (long long)(n - start),
         (long long)start, dim, (long long)length);
  out.offset = start * out.strides[dim];
  out.shape[dim] = length;
  set_out(f, 0, out.view(input));
}

void slice(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  set_out(f, 0, sliced(input, f->args[1]).view(input));
}

void diagonal(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  if (input->dl.ndim < 2)
    fail(ATLED_E_SHAPE, "expected at least 2 dimensions, got shape %s", shape_text(input).c_str());
  const int64_t offset = arg_int(f, 1);
  const int a = wrap_dim(arg_int(f, 2), input->dl.ndim, "dim1"), b = wrap_dim(arg_int(f, 3), input->dl.ndim, "dim2");
  if (a == b) fail(ATLED_E_VALUE, "expected dim1 and dim2 to differ, got %d twice", a);
  const int64_t *shape = input->dl.shape, *strides = input->dl.strides;
  Layout out;
  for (int i = 0; i < input->dl.ndim; ++i)
    if (i != a && i != b) out.push(shape[i], strides[i]);
  const int64_t down = offset < 0 ? (offset <= -shape[a] ? shape[a] : -offset) : 0;
  const int64_t right = offset > 0 ? (offset >= shape[b] ? shape[b] : offset) : 0;
  const int64_t length = std::min(shape[a] - down, shape[b] - right);
  out.offset = length > 0 ? down * strides[a] + right * strides[b] : 0;
  out.push(length, strides[a] + strides[b]);
  set_out(f, 0, out.view(input));
}

void view_dtype(atled_frame* f) {
  TensorImpl* out = nullptr;
  check(view_bits(arg_tensor(f, 0), static_cast<int>(arg_int(f, 1)), &out));
  set_out(f, 0, Tensor::steal(out));
}

void as_strided(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value &size = f->args[1], &stride = f->args[2];
  if (size.n != stride.n)
    fail(ATLED_E_SHAPE, "expected size and stride of one length, got %u and %u", size.n, stride.n);
  Layout out;
  for (uint32_t i = 0; i < size.n; ++i) out.push(size.u.ints[i], stride.u.ints[i]);
  if (!arg_is_none(f, 3)) {
    const char* begin = static_cast<const char*>(impl(input)->storage->data);
    const int64_t offset = arg_int(f, 3);
    if (offset < 0) fail(ATLED_E_VALUE, "expected storage_offset >= 0, got %lld", (long long)offset);
    out.offset = offset - (data<char>(input) - begin) / itemsize(input->dtype);
  }
  set_out(f, 0, out.view(input));
}

void unfold(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim, "dimension");
  const int64_t size = arg_int(f, 2), step = arg_int(f, 3);
  Layout out(input);
  if (out.ndim == 0) out.push(1, 1);
  if (size < 0 || size > out.shape[dim])
    fail(ATLED_E_VALUE, "expected size in [0, %lld] for dimension %d, got %lld", (long long)out.shape[dim], dim,
         (long long)size);
  if (step < 1) fail(ATLED_E_VALUE, "expected step >= 1, got %lld", (long long)step);
  const int64_t stride = out.strides[dim];
  out.shape[dim] = (out.shape[dim] - size) / step + 1;
  out.strides[dim] = stepped(stride, step);
  if (input->dl.ndim == 0) out.ndim = 0;
  out.push(size, stride);
  set_out(f, 0, out.view(input));
}

std::vector<Tensor> room_for(int64_t pieces) {
  if (pieces > INT32_MAX) fail(ATLED_E_MEMORY, "expected fewer than 2^31 tensors, got %lld", (long long)pieces);
  std::vector<Tensor> views;
  views.reserve(static_cast<size_t>(pieces));
  return views;
}

void unbind(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = sliced_dim(f, 1);
  Layout out(input);
  const int64_t stride = out.strides[dim], n = out.shape[dim];
  out.erase(dim);
  std::vector<Tensor> views = room_for(n);
  for (int64_t i = 0; i < n; ++i, out.offset += stride) views.push_back(out.view(input));
  set_out_list(f, 0, views);
}

// Consecutive pieces of dimension dim; size(i) is the i-th one's.
template <class Size>
void set_pieces(atled_frame* f, int dim, int64_t count, Size size) {
  atled_tensor* input = arg_tensor(f, 0);
  Layout out(input);
  std::vector<Tensor> views = room_for(count);
  for (int64_t i = 0; i < count; ++i) {
    out.shape[dim] = size(i);
    views.push_back(out.view(input));
    out.offset += out.shape[dim] * out.strides[dim];
  }
  set_out_list(f, 0, views);
}

void set_equal_pieces(atled_frame* f, int dim, int64_t size) {
  const int64_t n = arg_tensor(f, 0)->dl.shape[dim];
  const int64_t count = n == 0 ? 1 : (n - 1) / size + 1;
  set_pieces(f, dim, count, [&](int64_t i) { return std::min(size, n - i * size); });
}

void split_with_sizes(atled_frame* f) {
  const int dim = sliced_dim(f, 2);
  const int64_t n = arg_tensor(f, 0)->dl.shape[dim];
  const atled_value& sizes = f->args[1];
  int64_t sum = 0;
  bool sane = true;
  for (uint32_t i = 0; i < sizes.n; ++i) {
    sane &= sizes.u.ints[i] >= 0 && sizes.u.ints[i] <= n;
    sum += sane ? sizes.u.ints[i] : 0;
    sane &= sum <= n;
  }
  if (!sane || sum != n)
    fail(ATLED_E_SHAPE, "expected sizes that add up to %lld, that of dim %d, got %s", (long long)n, dim,
         shape_text(static_cast<int>(sizes.n), sizes.u.ints).c_str());
  set_pieces(f, dim, sizes.n, [&](int64_t i) { return sizes.u.ints[i]; });
}

void split(atled_frame* f) {
  if (f->args[1].n != 1) return split_with_sizes(f);
  const int dim = sliced_dim(f, 2);
  const int64_t size = f->args[1].u.ints[0], n = arg_tensor(f, 0)->dl.shape[dim];
  if (size < 0 || (size == 0 && n > 0)) fail(ATLED_E_VALUE, "expected a split size >= 1, got %lld", (long long)size);
  set_equal_pieces(f, dim, std::max<int64_t>(size, 1));
}

void chunk(atled_frame* f) {
  const int dim = sliced_dim(f, 2);
  const int64_t chunks = arg_int(f, 1), n = arg_tensor(f, 0)->dl.shape[dim];
  if (chunks < 1) fail(ATLED_E_VALUE, "expected chunks >= 1, got %lld", (long long)chunks);
  if (n == 0) return set_pieces(f, dim, chunks, [](int64_t) { return int64_t{0}; });
  set_equal_pieces(f, dim, n / chunks + (n % chunks != 0));
}

void add_views() {
  auto any = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_ANY, run); };
  any("core::view", kernel<view>);
  any("core::permute", kernel<permute>);
  any("core::transpose", kernel<transpose>);
  any("core::t", kernel<t>);
  any("core::matrix_transpose", kernel<matrix_transpose>);
  any("core::movedim", kernel<movedim>);
  any("core::squeeze", kernel<squeeze>);
  any("core::unsqueeze", kernel<unsqueeze>);
  any("core::expand", kernel<expand>);
  any("core::select", kernel<select>);
  any("core::narrow", kernel<narrow>);
  any("core::slice", kernel<slice>);
  any("core::diagonal", kernel<diagonal>);
  any("core::as_strided", kernel<as_strided>);
  any("core::view_dtype", kernel<view_dtype>);
  any("core::unfold", kernel<unfold>);
  any("core::unbind", kernel<unbind>);
  any("core::split", kernel<split>);
  any("core::split_with_sizes", kernel<split_with_sizes>);
  any("core::chunk", kernel<chunk>);
}

ATLED_KERNELS(add_views);

}  // namespace
}  // namespace atled::core
