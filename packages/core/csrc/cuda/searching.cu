#include "cuda/readback.h"
#include "cuda/sorting.h"
#include "ops/searching.h"

namespace atled::core::cuda {

namespace {

// How many of each line's elements, in rising order, are below what is wanted, or equal to it (right).
template <class K, class I>
__global__ void __launch_bounds__(kThreads)
    search_kernel(const K* sorted, const K* wanted, I* places, const SearchLines lines, int64_t step, bool right,
                  int dtype) {
  for (int64_t i = thread_index(); i < lines.count; i += thread_count()) {
    const K* x = sorted + (step == 0 ? 0 : i / lines.per_line * step);
    const K key = key_as(wanted[i], dtype);
    int64_t low = 0, high = lines.n;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      const K here = key_as(x[middle], dtype);
      if (right ? here <= key : here < key)
        low = middle + 1;
      else
        high = middle;
    }
    places[i] = static_cast<I>(low);
  }
}

template <class U>
__global__ void __launch_bounds__(kThreads)
    reorder_kernel(const U* from, const int64_t* places, U* to, int64_t total, int64_t n) {
  for (int64_t i = thread_index(); i < total; i += thread_count()) {
    const int64_t place = places[i];
    to[i] = from[i / n * n + (place < 0 ? place + n : place)];
  }
}

// The sequences in the order that sorter says.
Tensor ordered(atled_tensor* sequence, atled_tensor* sorter) {
  const int64_t n = sequence->dl.shape[sequence->dl.ndim - 1], total = numel(sequence);
  if (!is_integer(sorter->dtype)) fail(ATLED_E_DTYPE, "expected integer indices, got %s", dtype_name(sorter->dtype));
  const Tensor from = contiguous(sequence, sequence->dtype), places = contiguous(sorter, ATLED_INT64);
  const Tensor to = Tensor::empty_like(from);
  if (total == 0) return to;
  const Range range = range_of(places);
  if (range.low < -n || range.high >= n)
    fail(ATLED_E_BOUNDS, "expected indices for dim %d in [%lld, %lld), got %lld", sequence->dl.ndim - 1, -(long long)n,
         (long long)n, (long long)(range.low < -n ? range.low : range.high));
  DeviceGuard device(from->dl.device.device_id);
  visit_size(itemsize(from->dtype), [&](auto tag) {
    using U = typename decltype(tag)::type;
    launch(reorder_kernel<U>, blocks_for(total, kThreads), kThreads, current_stream(from->dl.device.device_id),
           data<U>(from), data<int64_t>(places), data<U>(to), total, n);
  });
  return to;
}

void searchsorted(atled_frame* f) {
  atled_tensor *sequence = arg_tensor(f, 0), *out = out_tensor(f);
  const bool right = to_the_right(f);
  Tensor sorted = Tensor::borrow(sequence);
  if (!arg_is_none(f, 5)) sorted = ordered(sequence, arg_tensor(f, 5));
  const int dtype = searched_dtype(sequence, f->args[1]);
  sorted = contiguous(sorted, dtype);
  const Tensor wanted = Tensor::empty(dtype, out->dl.ndim, out->dl.shape, out->dl.device);
  assign(wanted, f->args[1]);
  const SearchLines lines(sorted, out);
  if (lines.count == 0) return;
  const int64_t step = sorted->dl.ndim > 1 ? lines.n : 0;
  DeviceGuard device(out->dl.device.device_id);
  visit_key(dtype, [&](auto tag) {
    using K = typename decltype(tag)::type;
    auto run = [&](auto index) {
      using I = typename decltype(index)::type;
      launch(search_kernel<K, I>, blocks_for(lines.count, kThreads), kThreads, current_stream(out->dl.device.device_id),
             data<K>(sorted), data<K>(wanted), data<I>(out), lines, step, right, dtype);
    };
    out->dtype == ATLED_INT32 ? run(Tag<int32_t>{}) : run(Tag<int64_t>{});
  });
}

void add_searching() { cuda_kernel("core::searchsorted", kernel<searchsorted>); }
ATLED_CUDA_KERNELS(add_searching);

}  // namespace

}  // namespace atled::core::cuda
