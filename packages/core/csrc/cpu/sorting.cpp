#include <algorithm>
#include <limits>
#include <vector>

#include "cpu/assign.h"
#include "cpu/parallel.h"
#include "cpu/radix.h"
#include "cpu/scratch.h"
#include "dispatch/register.h"
#include "functors/copy.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

template <class F>
void visit_real(int dtype, F&& f) {
  visit_dtype(dtype, [&](auto tag) {
    if constexpr (!is_complex_type<typename decltype(tag)::type>) f(tag);
  });
}

constexpr int64_t kChunk = 65536;  // elements of one line that one thread searches at a time

// The first `kept` in order of elements [begin, end) of a line, in no order; returns how many there are. `room` items
// hold candidates, which are thinned out whenever they are full.
template <class T>
int64_t first_of(const T* in, int64_t begin, int64_t end, bool descending, int64_t kept, Keyed<KeyOf<T>>* items,
                 int64_t room) {
  using K = KeyOf<T>;
  constexpr int64_t kBlock = 256, kGroups = 32;
  K keys[kBlock], bound = 0;
  bool bounded = false;
  int64_t count = 0;
  auto thin = [&] {
    if (count <= kept) return;
    std::nth_element(items, items + (kept - 1), items + count);
    count = kept;
    bound = items[kept - 1].key;
    bounded = true;
  };
  if (2 * kept <= kGroups && end - begin >= kBlock) {
    // The first of each of some groups; what comes after the kept-th of these is out already.
    K firsts[kGroups];
    for (int64_t j = 0; j < kBlock; ++j) keys[j] = key_of(in[begin + j], descending);
    std::copy(keys, keys + kGroups, firsts);
    for (int64_t j = kGroups; j < kBlock; j += kGroups)
      for (int64_t k = 0; k < kGroups; ++k) firsts[k] = std::min(firsts[k], keys[j + k]);
    std::nth_element(firsts, firsts + (kept - 1), firsts + kGroups);
    bounded = firsts[kept - 1] < std::numeric_limits<K>::max();
    bound = static_cast<K>(firsts[kept - 1] + bounded);
  }
  for (int64_t i = begin; i < end; i += kBlock) {
    const int64_t n = std::min(kBlock, end - i);
    for (int64_t j = 0; j < n; ++j) keys[j] = key_of(in[i + j], descending);
    if (bounded) {
      // Most blocks hold nothing: equal keys come later in order, too.
      int hits = 0;
      for (int64_t j = 0; j < n; ++j) hits += keys[j] < bound;
      if (hits == 0) continue;
    }
    for (int64_t j = 0; j < n; ++j) {
      if (bounded && keys[j] >= bound) continue;
      items[count++] = {keys[j], i + j};
      if (count == room) thin();
    }
  }
  thin();
  return count;
}

int64_t room_for(int64_t kept, int64_t n) { return std::min(n, std::max<int64_t>(4 * kept, 256)); }

template <class T>
void top_of_line(const T* in, int64_t n, bool descending, int64_t kept, bool sorted, Keyed<KeyOf<T>>* items) {
  first_of(in, 0, n, descending, kept, items, room_for(kept, n));
  if (sorted) std::sort(items, items + kept);
}

// One long line in chunks, by all threads.
template <class T>
void top_of_long_line(const T* in, int64_t n, bool descending, int64_t kept, bool sorted, Keyed<KeyOf<T>>* items) {
  const int64_t chunks = (n + kChunk - 1) / kChunk, room = room_for(kept, kChunk);
  Scratch<Keyed<KeyOf<T>>> found(chunks * kept);
  std::vector<int64_t> counts(static_cast<size_t>(chunks));
  parallel(chunks, 1, [&](int64_t first, int64_t last) {
    Scratch<Keyed<KeyOf<T>>> some(room);
    for (int64_t c = first; c < last; ++c) {
      const int64_t count =
          first_of(in, c * kChunk, std::min(n, (c + 1) * kChunk), descending, kept, some.data(), room);
      std::copy(some.data(), some.data() + count, found.data() + c * kept);
      counts[static_cast<size_t>(c)] = count;
    }
  });
  int64_t total = 0;
  for (int64_t c = 0; c < chunks; ++c)
    for (int64_t i = 0; i < counts[static_cast<size_t>(c)]; ++i) found[total++] = found[c * kept + i];
  std::nth_element(found.data(), found.data() + (kept - 1), found.data() + total);
  if (sorted) std::sort(found.data(), found.data() + kept);
  std::copy(found.data(), found.data() + kept, items);
}

// values (may be NULL) and indices of the first `kept` elements of every sorted line; lines lie in the last dimension.
void sort_rows(atled_tensor* input, bool descending, int64_t kept, bool sorted, atled_tensor* values,
               atled_tensor* indices) {
  const int64_t n = input->dl.ndim ? input->dl.shape[input->dl.ndim - 1] : 1, lines = n ? numel(input) / n : 0;
  if (n > UINT32_MAX) fail(ATLED_E_SHAPE, "expected lines of less than 2^32 elements, got %lld", (long long)n);
  if (kept == 0) return;
  visit_real(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Item = Keyed<KeyOf<T>>;
    const T* from = data<T>(input);
    T* value = values ? data<T>(values) : nullptr;
    int64_t* index = data<int64_t>(indices);
    const bool whole = kept == n;
    auto line_of = [&](int64_t line, Item* items, Item* spare) {
      const T* in = from + line * n;
      auto write = [&](const Item* found, int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const Item item = found[i - begin];
          index[line * kept + i] = item.index;
          if (value)
            value[line * kept + i] =
                is_telling<T>(item.key, descending) ? element_of<T>(item.key, descending) : in[item.index];
        }
      };
      if (whole) return sort_line(in, n, descending, items, spare, write);
      if (n >= 4 * kChunk && kept <= kChunk / 8) {
        top_of_long_line(in, n, descending, kept, sorted, items);
      } else {
        top_of_line(in, n, descending, kept, sorted, items);
      }
      write(items, 0, kept);
    };
    // Long lines one after another, each by all threads; else each thread has lines of its own.
    const int64_t grain = n >= kLongSort && lines < num_threads() ? lines : std::max<int64_t>(1, 4096 / n);
    parallel(lines, grain, [&](int64_t begin, int64_t end) {
      Scratch<Item> items(whole ? n : room_for(kept, n)), spare(whole && n < kLongSort ? n : 0);
      for (int64_t line = begin; line < end; ++line) line_of(line, items.data(), spare.data());
    });
  });
}

Tensor with_last(atled_tensor* t, int dim) {
  Layout layout(t);
  if (layout.ndim == 0) return Tensor::borrow(t);
  const int64_t n = layout.shape[dim], stride = layout.strides[dim];
  layout.erase(dim);
  layout.push(n, stride);
  return layout.view(t);
}

// The same along any dimension, by way of copies in which it is the last.
void sort_lines(atled_tensor* input, int dim, bool descending, int64_t kept, bool sorted, atled_tensor* values,
                atled_tensor* indices) {
  const Tensor rows = contiguous(with_last(input, dim));
  if (dim + 1 >= input->dl.ndim) return sort_rows(rows, descending, kept, sorted, values, indices);
  const Layout shape(with_last(indices, dim));
  Tensor turned_values, turned_indices;
  if (values) turned_values = Tensor::empty(values->dtype, shape.ndim, shape.shape);
  turned_indices = Tensor::empty(ATLED_INT64, shape.ndim, shape.shape);
  sort_rows(rows, descending, kept, sorted, turned_values, turned_indices);
  if (values) assign(with_last(values, dim), turned_values);
  assign(with_last(indices, dim), turned_indices);
}

int64_t length_of(const atled_tensor* t, int dim) { return t->dl.ndim ? t->dl.shape[dim] : 1; }

void sort(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 2), length_of(input, dim), true, out_tensor(f, 0), out_tensor(f, 1));
}

void argsort(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 2), length_of(input, dim), true, nullptr, out_tensor(f));
}

void topk(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 3), arg_int(f, 1), true, out_tensor(f, 0), out_tensor(f, 1));
}

void bucketize(atled_frame* f) {
  static const Op search{"core::searchsorted"};
  atled_value out = none();
  search.run(0, &out, {f->args[1], f->args[0], f->args[2], f->args[3]});
  set_out(f, 0, Tensor::steal(out.u.tensor));
}

void msort(atled_frame* f) {
  static const Op sort_op{"core::sort"};
  atled_value outs[2] = {none(), none()};
  sort_op.run(0, outs, {f->args[0], value(0)});
  set_out(f, 0, Tensor::steal(outs[0].u.tensor));
  api.release(outs[1].u.tensor);
}

void add_sorting() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("core::sort", kernel<sort>);
  cpu("core::argsort", kernel<argsort>);
  cpu("core::topk", kernel<topk>);
  add_kernel("core::bucketize", ATLED_DEVICE_ANY, kernel<bucketize>);
  add_kernel("core::msort", ATLED_DEVICE_ANY, kernel<msort>);
}

ATLED_KERNELS(add_sorting);

}  // namespace
}  // namespace atled::core
