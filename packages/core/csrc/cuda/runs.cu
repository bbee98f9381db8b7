#include "cuda/radix_sort.h"
#include "cuda/readback.h"
#include "cuda/runs.h"
#include "cuda/sorting.h"

namespace atled::core::cuda {

namespace {

template <class K>
__device__ bool less_row(const K* a, const K* b, int64_t width, int dtype) {
  for (int64_t i = 0; i < width; ++i) {
    const K left = key_as(a[i], dtype), right = key_as(b[i], dtype);
    if (left != right) return left < right;
  }
  return false;
}

// Runs of `run` places are in order; each place finds its way past what comes before it in the run beside its own.
template <class K>
__global__ void __launch_bounds__(kThreads)
    merge_kernel(const K* x, const int64_t* from, int64_t* to, int64_t n, int64_t width, int64_t run, int dtype) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    const int64_t own = i / run, begin = own / 2 * 2 * run, middle = begin + run;
    const bool second = own % 2 == 1;
    int64_t low = second ? begin : middle, high = second ? middle : middle + run;
    if (high > n) high = n;
    if (low > high) low = high;
    const int64_t start = low;
    const K* here = x + from[i] * width;
    while (low < high) {
      const int64_t place = low + (high - low) / 2;
      const K* other = x + from[place] * width;
      const bool before = second ? !less_row(here, other, width, dtype) : less_row(other, here, width, dtype);
      if (before)
        low = place + 1;
      else
        high = place;
    }
    to[begin + (i - own * run) + (low - start)] = from[i];
  }
}

__global__ void __launch_bounds__(kThreads) count_up_kernel(int64_t* out, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) out[i] = i;
}

template <class K>
__global__ void __launch_bounds__(kThreads)
    start_kernel(const K* x, const int64_t* order, uint8_t* starts, int64_t n, int64_t width, int dtype) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    bool same = i > 0;
    if (same) {
      const K* here = x + (order ? order[i] : i) * width;
      const K* before = x + (order ? order[i - 1] : i - 1) * width;
      for (int64_t j = 0; j < width && same; ++j) {
        const K key = key_as(here[j], dtype);
        same = key == key_as(before[j], dtype) && !is_nan_key(key, dtype);
      }
    }
    starts[i] = !same;
  }
}

__global__ void __launch_bounds__(kThreads)
    place_kernel(const int64_t* numbers, const uint8_t* starts, int64_t* places, int64_t n, int64_t count) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    if (starts[i]) places[numbers[i] - 1] = i;
    if (i == 0) places[count] = n;
  }
}

__global__ void __launch_bounds__(kThreads)
    first_kernel(const int64_t* starts, const int64_t* order, int64_t* firsts, int64_t count) {
  for (int64_t r = thread_index(); r < count; r += thread_count()) firsts[r] = order ? order[starts[r]] : starts[r];
}
__global__ void __launch_bounds__(kThreads) length_kernel(const int64_t* starts, int64_t* lengths, int64_t count) {
  for (int64_t r = thread_index(); r < count; r += thread_count()) lengths[r] = starts[r + 1] - starts[r];
}
__global__ void __launch_bounds__(kThreads)
    number_kernel(const int64_t* numbers, const int64_t* order, int64_t* out, int64_t n) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) out[order ? order[i] : i] = numbers[i] - 1;
}
template <class U>
__global__ void __launch_bounds__(kThreads) take_kernel(const U* from, const int64_t* places, U* to, int64_t count) {
  for (int64_t r = thread_index(); r < count; r += thread_count()) to[r] = from[places[r]];
}

// Launches over n elements, of which there may be none.
template <class... P, class... A>
void launch_over(int64_t n, DLDevice device, void (*kernel)(P...), const A&... arguments) {
  if (n == 0) return;
  DeviceGuard current(device.device_id);
  launch(kernel, blocks_for(n, kThreads), kThreads, current_stream(device.device_id), arguments...);
}

}  // namespace

Rows rows_of(const Tensor& whole, int64_t n) {
  const int64_t width = n > 0 ? numel(whole) / n : 0;
  const bool complex = is_complex(whole->dtype);
  return {whole, real_dtype(whole->dtype), n, complex ? 2 * width : width};
}

Tensor lexicographic_order(const Rows& rows) {
  const DLDevice device = rows.owner->dl.device;
  Tensor order = Tensor::empty(ATLED_INT64, {rows.n}, device), other = Tensor::empty_like(order);
  launch_over(rows.n, device, count_up_kernel, data<int64_t>(order), rows.n);
  visit_key(rows.dtype, [&](auto tag) {
    using K = typename decltype(tag)::type;
    for (int64_t run = 1; run < rows.n; run *= 2) {
      launch_over(rows.n, device, merge_kernel<K>, data<const K>(rows.owner), data<const int64_t>(order),
                  data<int64_t>(other), rows.n, rows.width, run, rows.dtype);
      std::swap(order, other);
    }
  });
  return order;
}

Runs::Runs(const Rows& rows, const Tensor& order) : n_(rows.n), device_(rows.owner->dl.device), order_(order) {
  static const Op cumsum{"core::cumsum"};
  if (n_ > 0) {
    const Tensor starts = Tensor::empty(ATLED_BOOL, {n_}, device_);
    visit_key(rows.dtype, [&](auto tag) {
      using K = typename decltype(tag)::type;
      launch_over(n_, device_, start_kernel<K>, data<const K>(rows.owner), order ? data<const int64_t>(order) : nullptr,
                  data<uint8_t>(starts), n_, rows.width, rows.dtype);
    });
    numbers_ = cumsum(starts, 0);
    count_ = read_back(data<int64_t>(numbers_) + n_ - 1, 1, device_)[0];
    starts_ = Tensor::empty(ATLED_INT64, {count_ + 1}, device_);
    launch_over(n_, device_, place_kernel, data<const int64_t>(numbers_), data<const uint8_t>(starts),
                data<int64_t>(starts_), n_, count_);
  }
}

Tensor Runs::firsts() const {
  const Tensor out = Tensor::empty(ATLED_INT64, {count_}, device_);
  if (count_ > 0)
    launch_over(count_, device_, first_kernel, data<const int64_t>(starts_),
                order_ ? data<const int64_t>(order_) : nullptr, data<int64_t>(out), count_);
  return out;
}

Tensor Runs::counts() const {
  const Tensor out = Tensor::empty(ATLED_INT64, {count_}, device_);
  if (count_ > 0) launch_over(count_, device_, length_kernel, data<const int64_t>(starts_), data<int64_t>(out), count_);
  return out;
}

void Runs::number_rows(const atled_tensor* out) const {
  if (n_ > 0)
    launch_over(n_, device_, number_kernel, data<const int64_t>(numbers_),
                order_ ? data<const int64_t>(order_) : nullptr, data<int64_t>(out), n_);
}

Tensor Runs::taken(const Tensor& elements, bool ordered) const {
  const Tensor out = Tensor::empty(elements->dtype, {count_}, device_);
  if (count_ == 0) return out;
  const Tensor places = ordered ? starts_ : firsts();
  visit_size(itemsize(elements->dtype), [&](auto tag) {
    using U = typename decltype(tag)::type;
    launch_over(count_, device_, take_kernel<U>, data<const U>(elements), data<const int64_t>(places), data<U>(out),
                count_);
  });
  return out;
}

}  // namespace atled::core::cuda
