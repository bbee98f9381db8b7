#include <algorithm>
#include <complex>
#include <vector>

#include "cpu/assign.h"
#include "cpu/indexed.h"
#include "cpu/radix.h"
#include "cpu/scratch.h"
#include "dispatch/register.h"
#include "functors/copy.h"

namespace atled::core {
namespace {

// All elements in order, equal ones by place.
template <class T, class Item>
struct Sorted {
  Sorted(const T* x, int64_t n) : n(n), items(n) {
    if (n > UINT32_MAX) fail(ATLED_E_SHAPE, "expected less than 2^32 elements, got %lld", (long long)n);
    Scratch<Item> spare(n < kLongSort ? n : 0);
    sort_line(x, n, false, items.data(), spare.data(), [this](const Item* sorted, int64_t begin, int64_t end) {
      if (sorted != items.data() + begin) std::copy(sorted, sorted + (end - begin), items.data() + begin);
    });
  }

  // The first of each run of equal elements; every NaN is one of its own.
  Tensor values(const T* x, int dtype) {
    Scratch<T> found(n);
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
      const bool nan = !std::is_integral_v<T> && items[i].key == static_cast<KeyOf<T>>(~KeyOf<T>{0});
      if (i > 0 && !nan && items[i].key == items[i - 1].key) continue;
      if constexpr (std::is_integral_v<T>) {
        found[count++] = element_of<T>(items[i].key, false);
      } else {
        found[count++] = is_telling<T>(items[i].key, false) ? element_of<T>(items[i].key, false) : x[items[i].index];
      }
    }
    Tensor out = Tensor::empty(dtype, {count});
    std::copy(found.data(), found.data() + count, data<T>(out));
    return out;
  }

  int64_t n;
  Scratch<Item> items;
};

// The order of all elements by value, equal ones by place.
template <class T>
std::vector<int64_t> order_of(const T* x, int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  if constexpr (is_complex_type<T>) {
    using R = typename T::value_type;
    for (int64_t i = 0; i < n; ++i) order[static_cast<size_t>(i)] = i;
    std::stable_sort(order.begin(), order.end(), [x](int64_t a, int64_t b) {
      const auto ra = key_of<R>(x[a].real(), false), rb = key_of<R>(x[b].real(), false);
      return ra != rb ? ra < rb : key_of<R>(x[a].imag(), false) < key_of<R>(x[b].imag(), false);
    });
  } else {
    Sorted<T, Keyed<KeyOf<T>>> sorted(x, n);
    for (int64_t i = 0; i < n; ++i) order[static_cast<size_t>(i)] = sorted.items[i].index;
  }
  return order;
}

Tensor vector_of(const std::vector<int64_t>& numbers) {
  Tensor t = Tensor::empty(ATLED_INT64, {static_cast<int64_t>(numbers.size())});
  std::copy(numbers.begin(), numbers.end(), data<int64_t>(t));
  return t;
}

// The elements of input at the given places.
Tensor taken(const atled_tensor* input, const int64_t* places, int64_t n) {
  Tensor out = Tensor::empty(input->dtype, {n});
  visit_size(itemsize(input->dtype), [&](auto tag) {
    using U = typename decltype(tag)::type;
    const U* from = data<U>(input);
    U* to = data<U>(out);
    for (int64_t i = 0; i < n; ++i) to[i] = from[places[i]];
  });
  return out;
}

// Runs of equal elements, visited in the given order: the first of each, its length, and which run each element is in.
struct Runs {
  std::vector<int64_t> firsts, counts;
  Tensor inverse;

  template <class T>
  Runs(const T* x, const atled_tensor* like, const std::vector<int64_t>& order)
      : inverse(Tensor::empty(ATLED_INT64, like->dl.ndim, like->dl.shape)) {
    int64_t* run = data<int64_t>(inverse);
    for (size_t i = 0; i < order.size(); ++i) {
      // Not `!=` alone: NaNs are all different.
      if (i == 0 || !equal(x[order[i]], x[order[i - 1]])) {
        firsts.push_back(order[i]);
        counts.push_back(0);
      }
      ++counts.back();
      run[order[i]] = static_cast<int64_t>(firsts.size()) - 1;
    }
  }

  template <class T>
  static bool equal(T a, T b) {
    if constexpr (is_small_float<T>) {
      return static_cast<float>(a) == static_cast<float>(b);
    } else {
      return a == b;
    }
  }

  Tensor values(const atled_tensor* input) const {
    return taken(input, firsts.data(), static_cast<int64_t>(firsts.size()));
  }
};

void unique_all(atled_frame* f) {
  const Tensor whole = contiguous(arg_tensor(f, 0));
  visit_dtype(whole->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const std::vector<int64_t> order = order_of(data<T>(whole), numel(whole));
    const Runs runs(data<T>(whole), whole, order);
    set_out(f, 0, runs.values(whole));
    set_out(f, 1, vector_of(runs.firsts));
    set_out(f, 2, runs.inverse);
    set_out(f, 3, vector_of(runs.counts));
  });
}

void unique_consecutive_all(atled_frame* f) {
  static const Op different{"core::ne"};
  const Tensor whole = contiguous(arg_tensor(f, 0));
  const int64_t n = numel(whole);
  Layout rest;
  rest.push(std::max<int64_t>(0, n - 1), 1);
  const Tensor before = rest.view(whole);
  rest.offset = std::min<int64_t>(1, n);
  const Tensor starts = different(rest.view(whole), before), borders = true_offsets(starts, nullptr);
  const int64_t runs = n > 0 ? numel(borders) + 1 : 0;
  Scratch<int64_t> firsts(runs + 1);
  const int64_t* border = data<int64_t>(borders);
  firsts[0] = 0;
  for (int64_t r = 1; r < runs; ++r) firsts[r] = border[r - 1] + 1;
  firsts[runs] = n;
  set_out(f, 0, taken(whole, firsts.data(), runs));
  Tensor inverse = Tensor::empty(ATLED_INT64, {0}), counts = inverse;
  if (arg_bool(f, 1)) {
    inverse = Tensor::empty(ATLED_INT64, whole->dl.ndim, whole->dl.shape);
    const uint8_t* start = data<uint8_t>(starts);
    int64_t *to = data<int64_t>(inverse), run = 0;
    for (int64_t i = 0; i < n; ++i) to[i] = run += i > 0 && start[i - 1];
  }
  if (arg_bool(f, 2)) {
    counts = Tensor::empty(ATLED_INT64, {runs});
    int64_t* to = data<int64_t>(counts);
    for (int64_t r = 0; r < runs; ++r) to[r] = firsts[r + 1] - firsts[r];
  }
  set_out(f, 1, inverse);
  set_out(f, 2, counts);
}

// The values alone need neither places nor a way back.
void unique_values(atled_frame* f) {
  const Tensor whole = contiguous(arg_tensor(f, 0));
  visit_dtype(whole->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = data<T>(whole);
    if constexpr (is_complex_type<T>) {
      const std::vector<int64_t> order = order_of(x, numel(whole));
      set_out(f, 0, Runs(x, whole, order).values(whole));
    } else {
      using K = KeyOf<T>;
      Sorted<T, std::conditional_t<std::is_integral_v<T>, KeyAlone<K>, Keyed<K>>> sorted(x, numel(whole));
      set_out(f, 0, sorted.values(x, whole->dtype));
    }
  });
}

// The chosen results of unique_all.
template <int... I>
void unique_some(atled_frame* f) {
  static const Op all{"core::unique_all"};
  atled_value outs[4] = {none(), none(), none(), none()};
  all.run(0, outs, {f->args[0]});
  Tensor owned[4];
  for (int i = 0; i < 4; ++i) owned[i] = Tensor::steal(outs[i].u.tensor);
  int at = 0;
  (set_out(f, at++, owned[I]), ...);
}

void add_unique() {
  add_kernel("core::unique_all", ATLED_DEVICE_CPU, kernel<unique_all>);
  add_kernel("core::unique_consecutive_all", ATLED_DEVICE_CPU, kernel<unique_consecutive_all>);
  add_kernel("core::unique_values", ATLED_DEVICE_CPU, kernel<unique_values>);
  add_kernel("core::unique_counts", ATLED_DEVICE_ANY, kernel<unique_some<0, 3>>);
  add_kernel("core::unique_inverse", ATLED_DEVICE_ANY, kernel<unique_some<0, 2>>);
}

ATLED_KERNELS(add_unique);

}  // namespace
}  // namespace atled::core
