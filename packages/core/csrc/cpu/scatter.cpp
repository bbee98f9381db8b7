// gather and the scatters: one element-wise walk over index, in which the other side stands still along dim.
#include "functors/scatter.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "cpu/assign.h"
#include "cpu/cast.h"
#include "cpu/indexed.h"
#include "cpu/iterator.h"
#include "cpu/levels.h"
#include "cpu/parallel.h"
#include "cpu/prefetch.h"
#include "dispatch/register.h"
#include "ops/scattering.h"

namespace atled::core {
namespace {

constexpr int64_t kGrain = 16384;
constexpr int64_t kCached = 1 << 18;  // bytes that stay in the cache while they are used

// The dimension that indices run along: its length, and its stride in bytes.
struct Line {
  int64_t n, stride;
  int64_t offset(int64_t index) const { return (index < 0 ? index + n : index) * stride; }
};

// t with index's shape, standing still along dim.
struct Still {
  Still(atled_tensor* t, const atled_tensor* index, int dim) {
    const bool has_dims = t->dl.ndim > 0;
    line = Line{has_dims ? t->dl.shape[dim] : 1, has_dims ? t->dl.strides[dim] * itemsize(t->dtype) : 0};
    Layout layout(t);
    if (t->dl.ndim > 0) layout.strides[dim] = 0;
    layout.ndim = index->dl.ndim;
    for (int d = 0; d < layout.ndim; ++d) {
      if (t->dl.ndim == 0) layout.strides[d] = 0;
      layout.shape[d] = index->dl.shape[d];
    }
    view = layout.view(t);
  }
  Line line;
  Tensor view;
};

// As checked_indices; where one index stands for many places (it was expanded), it is looked at once.
Tensor checked(atled_tensor* index, int64_t n, int dim) {
  Layout few(index);
  for (int d = 0; d < few.ndim; ++d)
    if (few.strides[d] == 0) few.shape[d] = std::min<int64_t>(few.shape[d], 1);
  const Tensor found = checked_indices(few.view(index), n, dim);
  Layout all(found);
  for (int d = 0; d < all.ndim; ++d)
    if (all.shape[d] != index->dl.shape[d]) {
      all.shape[d] = index->dl.shape[d];
      all.strides[d] = 0;
    }
  return all.view(found);
}

struct Gathering {
  Line line;
  std::atomic<bool> outside{false};
};

// Bounds are checked block by block, so that indices come from memory once.
template <class T>
void gather_loop(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  constexpr int64_t kBlock = 256;
  Gathering& g = *static_cast<Gathering*>(ctx);
  const Line line = g.line;
  int64_t copies[kBlock];
  const bool in_row = strides[1] == 0 && line.stride == sizeof(T);
  // And what lies behind the row: the next one, most of the time.
  if (in_row && line.n <= 8 * n && line.n * line.stride <= kCached) prefetch(data[1], 2 * line.n * line.stride);
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t m = std::min(kBlock, n - begin), different = strides[2] == 0 ? 1 : m;
    const char *indices = data[2] + begin * strides[2], *from = data[1] + begin * strides[1];
    char* to = data[0] + begin * strides[0];
    const int64_t* index = reinterpret_cast<const int64_t*>(indices);
    if (strides[2] != 8) {
      for (int64_t i = 0; i < m; ++i) copies[i] = *reinterpret_cast<const int64_t*>(indices + i * strides[2]);
      index = copies;
    }
    const IndexRange range(index, different);
    if (!range.within(line.n)) {
      g.outside = true;
      return;
    }
    if (strides[2] == 0 && strides[0] == sizeof(T) && strides[1] == sizeof(T)) {
      std::memcpy(to, from + line.offset(index[0]), static_cast<size_t>(m) * sizeof(T));
    } else if (strides[0] == sizeof(T) && in_row && range.low >= 0) {
      const T* row = reinterpret_cast<const T*>(from);
      for (int64_t i = 0; i < m; ++i) reinterpret_cast<T*>(to)[i] = row[index[i]];
    } else {
      for (int64_t i = 0; i < m; ++i)
        *reinterpret_cast<T*>(to + i * strides[0]) =
            *reinterpret_cast<const T*>(from + i * strides[1] + line.offset(index[i]));
    }
  }
}

// The same of short rows, whose indices are checked together.
template <class T>
void gather_rows(void* ctx, char* const* data, const int64_t* strides, const int64_t* steps, int64_t n, int64_t rows) {
  constexpr int64_t kTogether = 256;  // indices
  const Line line = static_cast<Gathering*>(ctx)->line;
  const bool plain = strides[0] == sizeof(T) && strides[1] == 0 && line.stride == sizeof(T) && strides[2] == 8 &&
                     steps[2] == 8 * n && 2 * n <= kTogether;
  const int64_t most = plain ? kTogether / n : 1;
  for (int64_t r = 0; r < rows; r += most) {
    const int64_t m = std::min(most, rows - r);
    char* from[] = {data[0] + r * steps[0], data[1] + r * steps[1], data[2] + r * steps[2]};
    const int64_t* index = reinterpret_cast<const int64_t*>(from[2]);
    bool within = false;
    if (plain) {
      const IndexRange range(index, m * n);
      within = range.low >= 0 && range.high < line.n;
    }
    for (int64_t i = 0; i < m; ++i) {
      if (!within) {
        gather_loop<T>(ctx, from, strides, n);
      } else {
        T* to = reinterpret_cast<T*>(from[0]);
        const T* row = reinterpret_cast<const T*>(from[1]);
        for (int64_t j = 0; j < n; ++j) to[j] = row[index[i * n + j]];
      }
      for (int k = 0; k < 3; ++k) from[k] += steps[k];
    }
  }
}

void gather(atled_frame* f) {
  atled_tensor *input = arg_tensor(f, 0), *index = arg_tensor(f, 2), *out = out_tensor(f);
  if (numel(index) == 0) return;
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  // The walk must see input where it lies, so the iterator may not convert anything.
  Tensor wide;
  if (index->dtype != ATLED_INT64) index = wide = checked(index, input->dl.ndim ? input->dl.shape[dim] : 1, dim);
  Still from(input, index, dim);
  Gathering g{from.line};
  visit_size(itemsize(input->dtype), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Elementwise()
        .output(out, out->dtype)
        .input(from.view, out->dtype)
        .anchored()
        .input(index, ATLED_INT64)
        .run_rows(gather_loop<T>, gather_rows<T>, &g, 0, kGrain);
  });
  if (g.outside) checked_indices(index, g.line.n, dim);  // which says the first one outside
}

using scattering::Largest;
using scattering::Product;
using scattering::Replace;
using scattering::Smallest;
using scattering::Sum;

// to[i] = f(to[i], from[i]) of float16 and bfloat16, in blocks of float.
template <class T, class F>
void combine_halves(T* to, const T* from, int64_t n) {
  constexpr int64_t kBlock = 256;
  static const CastLoop widen = cast_loop(dtype_of<T>, ATLED_FLOAT32), narrow = cast_loop(ATLED_FLOAT32, dtype_of<T>);
  float a[kBlock], x[kBlock];
  char *all = reinterpret_cast<char*>(a), *more = reinterpret_cast<char*>(x);
  const F f{};
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = std::min(kBlock, n - i);
    widen(all, sizeof(float), reinterpret_cast<const char*>(to + i), sizeof(T), m);
    widen(more, sizeof(float), reinterpret_cast<const char*>(from + i), sizeof(T), m);
    for (int64_t k = 0; k < m; ++k) a[k] = f(a[k], x[k]);
    narrow(reinterpret_cast<char*>(to + i), sizeof(T), all, sizeof(float), m);
  }
}

template <class T, class F>
void scatter_loop(void* ctx, char* const* data, const int64_t* strides, int64_t n) {
  const Line line = *static_cast<const Line*>(ctx);
  const F f{};
  if (strides[1] == 0 && strides[0] == sizeof(T) && strides[2] == sizeof(T)) {
    T* to = reinterpret_cast<T*>(data[0] + line.offset(*reinterpret_cast<const int64_t*>(data[1])));
    const T* from = reinterpret_cast<const T*>(data[2]);
    if constexpr (is_small_float<T> && !std::is_same_v<F, Replace>) return combine_halves<T, F>(to, from, n);
    ATLED_IVDEP
    for (int64_t i = 0; i < n; ++i) to[i] = f(to[i], from[i]);
    return;
  }
  if (strides[0] == 0 && strides[1] == 8 && strides[2] == sizeof(T) && line.stride == sizeof(T)) {
    T* row = reinterpret_cast<T*>(data[0]);
    const int64_t* index = reinterpret_cast<const int64_t*>(data[1]);
    const T* from = reinterpret_cast<const T*>(data[2]);
    for (int64_t i = 0; i < n; ++i) {
      T& to = row[index[i] + (index[i] < 0 ? line.n : 0)];
      to = f(to, from[i]);
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t index = *reinterpret_cast<const int64_t*>(data[1] + i * strides[1]);
    T& to = *reinterpret_cast<T*>(data[0] + i * strides[0] + line.offset(index));
    to = f(to, *reinterpret_cast<const T*>(data[2] + i * strides[2]));
  }
}

template <class F>
atled_loop loop_of(int dtype) {
  return visit_dtype(dtype, [](auto tag) -> atled_loop {
    using T = typename decltype(tag)::type;
    if constexpr (is_complex_type<T> && (std::is_same_v<F, Largest> || std::is_same_v<F, Smallest>)) {
      fail(ATLED_E_DTYPE, "expected real numbers for amax and amin, got complex ones");
    } else {
      return scatter_loop<T, F>;
    }
  });
}

Tensor narrowed(atled_tensor* t, int dim, int64_t begin, int64_t end) {
  Layout layout(t);
  layout.offset = begin * layout.strides[dim];
  layout.shape[dim] = end - begin;
  return layout.view(t);
}

// Writes source (a tensor of out's dtype at least as large as index, or a number) through the loop; the indices are
// within bounds.
void scatter_into(atled_tensor* out, int dim, atled_tensor* index, const atled_value& source, atled_loop loop) {
  Still to(out, index, dim);
  Tensor cut;
  atled_value from = source;
  if (source.tag == ATLED_TENSOR && index->dl.ndim > 0) {
    Layout layout(source.u.tensor);
    std::copy(index->dl.shape, index->dl.shape + layout.ndim, layout.shape);
    cut = layout.view(source.u.tensor);
    from = value(cut);
  }
  Elementwise()
      .output(to.view, out->dtype)
      .anchored()
      .input(index, ATLED_INT64)
      .operand(from, out->dtype)
      .run(loop, &to.line, std::numeric_limits<int64_t>::max());
}

// What the scatters have in common: an output that starts as input, and indices that are checked, before anything is
// written where the output is input.
class Call {
 public:
  explicit Call(atled_frame* f)
      : out(out_tensor(f)), input_(arg_tensor(f, 0)), given_(arg_tensor(f, 2)), index_(Tensor::borrow(given_)) {
    dim_ = wrap_dim(arg_int(f, 1), input_->dl.ndim);
    for (int d = 0; d < index_->dl.ndim; ++d)
      if (d != dim_ && (wide_ < 0 || index_->dl.shape[d] > index_->dl.shape[wide_])) wide_ = d;
    // Rows that lie apart are checked, copied and written while they are in the cache.
    by_rows_ = out->dl.data != input_->dl.data && wide_ >= 0 && wide_ < dim_ && numel(index_) > kGrain &&
               out->dl.shape[wide_] == index_->dl.shape[wide_];
    if (by_rows_) return;
    index_ = check(given_);
    if (out->dl.data != input_->dl.data) assign(out, input_);
  }

  // Threads share no element: they divide the longest dimension other than dim_.
  void run(atled_tensor* target, const atled_value& source, atled_loop loop) {
    const int64_t count = numel(index_);
    if (count == 0) return;
    if (wide_ < 0 || count <= kGrain) return scatter_into(target, dim_, index_, source, loop);
    const int64_t n = index_->dl.shape[wide_], grain = std::max<int64_t>(1, kGrain / (count / n));
    try {
      parallel(n, grain, [&](int64_t begin, int64_t end) {
        const int64_t step = by_rows_ ? grain : end - begin;
        for (; begin < end; begin += step) {
          auto cut = [&](atled_tensor* t) { return narrowed(t, wide_, begin, std::min(end, begin + step)); };
          const Tensor to = cut(target), from = source.tag == ATLED_TENSOR ? cut(source.u.tensor) : Tensor();
          Tensor where = cut(index_);
          if (by_rows_) {
            where = check(where);
            assign(to, cut(input_));
          }
          scatter_into(to, dim_, where, from ? value(from) : source, loop);
        }
      });
    } catch (...) {
      check(given_);  // which says the first one outside
      throw;
    }
    by_rows_ = false;
  }
  void run(const atled_value& source, atled_loop loop) { run(out, source, loop); }

  atled_tensor* out;

 private:
  Tensor check(atled_tensor* part) const { return checked(part, input_->dl.ndim ? input_->dl.shape[dim_] : 1, dim_); }

  atled_tensor *input_, *given_;
  Tensor index_;
  int dim_, wide_ = -1;
  bool by_rows_;
};

void scatter(atled_frame* f) {
  const atled_value &src = f->args[3], &number = f->args[4], &reduce = f->args[5];
  if (is_none(src) == is_none(number)) fail(ATLED_E_ARGUMENT, "expected either src or value");
  const int dtype = out_tensor(f)->dtype;
  atled_loop loop = nullptr;
  if (is_none(reduce)) {
    loop = loop_of<Replace>(dtype);
  } else if (is_text(reduce, "add")) {
    loop = loop_of<Sum>(dtype);
  } else if (is_text(reduce, "multiply")) {
    loop = loop_of<Product>(dtype);
  } else {
    fail(ATLED_E_VALUE, "expected reduce to be None, \"add\" or \"multiply\", got \"%s\"", reduce.u.str);
  }
  Call(f).run(is_none(src) ? number : src, loop);
}

void scatter_add(atled_frame* f) { Call(f).run(f->args[3], loop_of<Sum>(out_tensor(f)->dtype)); }

// Divides by how many values went into each place.
template <class T>
void divide_loop(void*, char* const* data, const int64_t* strides, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t count = *reinterpret_cast<const int64_t*>(data[1] + i * strides[1]);
    T& x = *reinterpret_cast<T*>(data[0] + i * strides[0]);
    x = scattering::DivideByCount{}(x, count);
  }
}

void scatter_reduce(atled_frame* f) {
  const atled_value& reduce = f->args[4];
  const int dtype = out_tensor(f)->dtype;
  const bool mean = is_text(reduce, "mean");
  atled_loop loop = nullptr;
  atled_value identity = value(0);
  if (mean || is_text(reduce, "sum")) {
    loop = loop_of<Sum>(dtype);
  } else if (is_text(reduce, "prod")) {
    loop = loop_of<Product>(dtype);
    identity = value(1);
  } else if (is_text(reduce, "amax")) {
    loop = loop_of<Largest>(dtype);
    identity = least(dtype);
  } else if (is_text(reduce, "amin")) {
    loop = loop_of<Smallest>(dtype);
    identity = greatest(dtype);
  } else {
    fail(ATLED_E_VALUE, "expected reduce to be \"sum\", \"prod\", \"mean\", \"amax\" or \"amin\", got \"%s\"",
         reduce.u.str);
  }
  const bool include_self = arg_bool(f, 5);
  Call call(f);
  if (!include_self) call.run(identity, loop_of<Replace>(dtype));
  call.run(f->args[3], loop);
  if (!mean) return;
  Tensor counts = Tensor::empty(ATLED_INT64, call.out->dl.ndim, call.out->dl.shape);
  assign(counts, value(include_self ? 1 : 0));
  call.run(counts, value(1), loop_of<Sum>(ATLED_INT64));
  const atled_loop divide =
      visit_dtype(dtype, [](auto tag) -> atled_loop { return divide_loop<typename decltype(tag)::type>; });
  Elementwise().output(call.out, dtype).input(counts, ATLED_INT64).run(divide);
}

void add_scatter() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("core::gather", kernel<gather>);
  cpu("core::scatter", kernel<scatter>);
  cpu("core::scatter_add", kernel<scatter_add>);
  cpu("core::scatter_reduce", kernel<scatter_reduce>);
}

ATLED_KERNELS(add_scatter);

}  // namespace
}  // namespace atled::core
