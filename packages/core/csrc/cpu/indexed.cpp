#include "cpu/indexed.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "cpu/assign.h"
#include "cpu/halves.h"
#include "cpu/parallel.h"
#include "cpu/prefetch.h"
#include "cpu/short_rows.h"
#include "functors/scatter.h"
#include "ops/rules.h"

namespace atled::core {

namespace {

namespace indices {

#define ATLED_LEVEL_BODY "cpu/indexed.inl"
#include "cpu/each_level.inl"

}  // namespace indices

constexpr int64_t kGrain = 16384;
constexpr int64_t kTrial = 256;
constexpr int64_t kAhead = 4;  // rows

// Joins neighbouring dimensions that lie evenly in memory; drops those of size 1.
void simplify(Layout& dims) {
  int last = -1;
  for (int i = 0; i < dims.ndim; ++i) {
    if (dims.shape[i] == 1) continue;
    if (last >= 0 && dims.strides[last] == dims.shape[i] * dims.strides[i]) {
      dims.shape[last] *= dims.shape[i];
      dims.strides[last] = dims.strides[i];
    } else {
      ++last;
      dims.shape[last] = dims.shape[i];
      dims.strides[last] = dims.strides[i];
    }
  }
  dims.ndim = last + 1;
}

// The offset of every element, in order.
std::vector<int64_t> all_offsets(const Layout& dims) {
  std::vector<int64_t> offsets(1, 0);
  for (int i = 0; i < dims.ndim; ++i) {
    std::vector<int64_t> longer;
    longer.reserve(offsets.size() * static_cast<size_t>(dims.shape[i]));
    for (const int64_t offset : offsets)
      for (int64_t k = 0; k < dims.shape[i]; ++k) longer.push_back(offset + k * dims.strides[i]);
    offsets = std::move(longer);
  }
  return offsets;
}

}  // namespace

IndexRange::IndexRange(const int64_t* index, int64_t n) {
  ATLED_PICK_OF(indices, range<int64_t>)(index, n, &low, &high);
}

Tensor checked_indices(atled_tensor* index, int64_t n, int dim, bool* negative) {
  if (!is_integer(index->dtype))
    fail(ATLED_E_DTYPE, "expected indices of an integer dtype for dim %d, got %s", dim, dtype_name(index->dtype));
  Tensor whole = contiguous(index, ATLED_INT64);
  const int64_t* values = data<int64_t>(whole);
  const int64_t count = numel(whole);
  std::atomic<int64_t> first_bad{count};
  std::atomic<bool> below{false};
  parallel(count, kGrain, [&](int64_t begin, int64_t end) {
    const IndexRange range(values + begin, end - begin);
    if (range.low < 0) below = true;
    if (range.within(n)) return;
    int64_t bad = begin;
    while (values[bad] >= -n && values[bad] < n) ++bad;
    int64_t seen = first_bad.load();
    while (bad < seen && !first_bad.compare_exchange_weak(seen, bad)) {
    }
  });
  if (first_bad < count)
    fail(ATLED_E_BOUNDS, "expected indices for dim %d in [%lld, %lld), got %lld", dim, -(long long)n, (long long)n,
         (long long)values[first_bad]);
  if (negative) *negative = below;
  return whole;
}

Tensor true_offsets(atled_tensor* mask, const int64_t* strides) {
  Tensor whole = contiguous(mask, ATLED_BOOL);
  const uint8_t* truth = data<uint8_t>(whole);
  const int64_t n = numel(whole);
  const int64_t pieces = (n + kGrain - 1) / kGrain;
  std::vector<int64_t> starts(static_cast<size_t>(pieces) + 1, 0);
  parallel(pieces, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      int64_t count = 0;
      for (int64_t i = p * kGrain, end = std::min(n, i + kGrain); i < end; ++i) count += truth[i] != 0;
      starts[static_cast<size_t>(p) + 1] = count;
    }
  });
  for (size_t p = 0; p < static_cast<size_t>(pieces); ++p) starts[p + 1] += starts[p];
  Tensor offsets = Tensor::empty(ATLED_INT64, {starts.back()});
  Layout dims(whole);
  for (int d = 0; strides && d < dims.ndim; ++d) dims.strides[d] = strides[d];
  simplify(dims);
  if (dims.ndim == 0) dims.push(1, 0);
  parallel(pieces, 1, [&](int64_t first, int64_t last) {
    int64_t* out = data<int64_t>(offsets) + starts[static_cast<size_t>(first)];
    int64_t at = first * kGrain;
    const int64_t end = std::min(n, last * kGrain), row = dims.shape[dims.ndim - 1], step = dims.strides[dims.ndim - 1];
    while (at < end) {
      int64_t base = 0, rest = at / row;
      for (int d = dims.ndim - 2; d >= 0; --d) {
        base += rest % dims.shape[d] * dims.strides[d];
        rest /= dims.shape[d];
      }
      const int64_t begin = at % row, stop = std::min(row, begin + end - at);
      for (int64_t j = begin; j < stop; j += kTrial) {
        const int64_t last_q = std::min(stop, j + kTrial);
        const uint8_t* some = truth + at + j - begin;
        if (!*some && std::memcmp(some, some + 1, static_cast<size_t>(last_q - j - 1)) == 0) continue;  // all zeros
        // Without a branch, into room for one more than fits.
        int64_t found[kTrial + 1], count = 0;
        for (int64_t q = j; q < last_q; ++q) {
          found[count] = base + q * step;
          count += truth[at + q - begin] != 0;
        }
        out = std::copy(found, found + count, out);
      }
      at += stop - begin;
    }
  });
  return offsets;
}

Indexed::Indexed(const atled_tensor* t, atled_tensor* const* indices, uint32_t count)
    : data_(data<char>(t)), dtype_(t->dtype) {
  std::vector<Entry> entries;
  collect(t, indices, count, entries);
  int64_t shape[ATLED_MAX_NDIM];
  int ndim = 0;
  for (const Entry& e : entries)
    if (e.index && !broadcast_into(shape, ndim, e.index->dl.shape, e.index->dl.ndim))
      fail(ATLED_E_BOUNDS, "expected index tensors that broadcast, got %s beside %s", shape_text(ndim, shape).c_str(),
           shape_text(e.index).c_str());
  for (int i = 0; i < ndim; ++i) points_ *= shape[i];
  place(entries, shape, ndim);
  find_offsets(entries, shape, ndim);
}

void Indexed::collect(const atled_tensor* t, atled_tensor* const* indices, uint32_t count,
                      std::vector<Entry>& entries) {
  int dim = 0;
  const int64_t *shape = t->dl.shape, *strides = t->dl.strides;
  for (uint32_t i = 0; i < count; ++i) {
    atled_tensor* index = indices[i];
    const bool mask = index && index->dtype == ATLED_BOOL;
    const int uses = mask ? index->dl.ndim : 1;
    if (dim + uses > t->dl.ndim)
      fail(ATLED_E_BOUNDS, "expected at most %d indices for shape %s, got more", t->dl.ndim, shape_text(t).c_str());
    if (!index) {
      entries.push_back({shape[dim], strides[dim], Tensor()});
    } else if (!mask) {
      // Indices from 0 on in a dimension of stride 1 are offsets already.
      bool negative = false;
      const Tensor checked = checked_indices(index, shape[dim], dim, &negative);
      const bool ready = !negative && strides[dim] == 1 && !may_overlap(checked, t);
      entries.push_back({shape[dim], strides[dim], checked, ready});
    } else {
      for (int k = 0; k < uses; ++k)
        if (index->dl.shape[k] != shape[dim + k] && index->dl.shape[k] != 0)
          fail(ATLED_E_BOUNDS, "expected a mask of shape %s for dim %d, got %s", shape_text(uses, shape + dim).c_str(),
               dim, shape_text(index).c_str());
      entries.push_back({0, 1, true_offsets(index, strides + dim), true, true});
    }
    dim += uses;
  }
  for (; dim < t->dl.ndim; ++dim) entries.push_back({shape[dim], strides[dim], Tensor()});
}

void Indexed::place(const std::vector<Entry>& entries, const int64_t* shape, int ndim) {
  size_t first = entries.size(), last = 0, tensors = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].index) continue;
    first = std::min(first, i);
    last = i;
    ++tensors;
    unique_ = entries[i].unique;
  }
  unique_ &= tensors == 1;
  const bool together = tensors > 0 && last - first + 1 == tensors;
  Layout before, after;
  for (size_t i = 0; i < entries.size(); ++i)
    if (!entries[i].index) (together && i < first ? before : after).push(entries[i].size, entries[i].stride);
  for (int i = 0; i < before.ndim; ++i) result_.push(before.shape[i], 0);
  for (int i = 0; i < ndim; ++i) result_.push(shape[i], 0);
  for (int i = 0; i < after.ndim; ++i) result_.push(after.shape[i], 0);
  simplify(before);
  simplify(after);
  block_offsets_ = all_offsets(before);
  if (after.ndim > 0) {
    run_ = after.shape[--after.ndim];
    run_stride_ = after.strides[after.ndim];
  }
  row_offsets_ = all_offsets(after);
  blocks_ = static_cast<int64_t>(block_offsets_.size());
  rows_ = static_cast<int64_t>(row_offsets_.size());
}

void Indexed::find_offsets(std::vector<Entry>& entries, const int64_t* shape, int ndim) {
  bool lent = false;  // a mask's own offsets serve as they are
  for (Entry& e : entries) {
    if (!e.index) continue;
    if (e.places && e.index->dl.ndim == ndim && numel(e.index) == points_ && !point_offsets_) {
      point_offsets_ = e.index;
      lent = true;
      continue;
    }
    if (e.index->dl.ndim != ndim || numel(e.index) != points_) {
      Tensor expanded = Tensor::empty(ATLED_INT64, ndim, shape);
      assign(expanded, e.index);
      e.index = expanded;
    }
    const bool first = !point_offsets_;
    if (first || lent) {
      Tensor own = Tensor::empty(ATLED_INT64, ndim, shape);
      if (lent) assign(own, point_offsets_);
      point_offsets_ = own;
      lent = false;
    }
    int64_t* out = data<int64_t>(point_offsets_);
    const int64_t *in = data<int64_t>(e.index), wrap = e.places ? 0 : e.size, stride = e.stride;
    parallel(points_, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = (in[i] < 0 ? in[i] + wrap : in[i]) * stride;
        out[i] = first ? at : out[i] + at;
      }
    });
  }
}

// Calls f(offset of the row in t, number of the row) for rows [begin, end) of the result.
template <class F>
void Indexed::each_row(int64_t begin, int64_t end, F&& f) const {
  const int64_t* points = point_offsets_ ? data<int64_t>(point_offsets_) : nullptr;
  int64_t row = begin % rows_, point = begin / rows_ % points_, block = begin / rows_ / points_;
  for (int64_t r = begin; r < end; ++r) {
    f(block_offsets_[static_cast<size_t>(block)] + (points ? points[point] : 0) +
          row_offsets_[static_cast<size_t>(row)],
      r);
    if (++row < rows_) continue;
    row = 0;
    if (++point < points_) continue;
    point = 0;
    ++block;
  }
}

// Calls f(offset in t of the block, its points, their number, number of the first) for points [begin, end) of the
// result, where each is one row.
template <class F>
void Indexed::each_span(int64_t begin, int64_t end, F&& f) const {
  const int64_t* points = data<int64_t>(point_offsets_);
  while (begin < end) {
    const int64_t block = begin / points_, point = begin % points_, count = std::min(points_ - point, end - begin);
    f(block_offsets_[static_cast<size_t>(block)] + row_offsets_[0], points + point, count, begin);
    begin += count;
  }
}

void Indexed::read(void* out) const {
  if (result_size() == 0) return;
  visit_size(itemsize(dtype_), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = reinterpret_cast<const T*>(data_);
    const int64_t run = run_, step = run_stride_;
    const bool solid = step == 1 && run > 1;
    parallel(blocks_ * points_ * rows_, std::max<int64_t>(1, kGrain / run), [&](int64_t begin, int64_t end) {
      // Copies of these in the lambdas, as a store of a byte could be to the originals.
      T* to = static_cast<T*>(out);
      if (run == 1 && rows_ == 1 && point_offsets_) {
        each_span(begin, end, [=](int64_t offset, const int64_t* points, int64_t n, int64_t r) {
          for (int64_t i = 0; i < n; ++i) to[r + i] = from[offset + points[i]];
        });
      } else if (run == 1) {
        each_row(begin, end, [=](int64_t offset, int64_t r) { to[r] = from[offset]; });
      } else if (solid) {
        each_row(begin, end,
                 [=](int64_t offset, int64_t r) { copy_few(to + r * run, from + offset, run * int64_t{sizeof(T)}); });
      } else {
        each_row(begin, end, [=](int64_t offset, int64_t r) {
          for (int64_t k = 0; k < run; ++k) to[r * run + k] = from[offset + k * step];
        });
      }
    });
  });
}

// Calls f(first row, end row, first column, end column) on parts that no two threads share an element of; the parts of
// one element come in order. With any_order, or when no element is named twice, every split will do.
template <class F>
void Indexed::each_disjoint(bool any_order, F&& f) const {
  if (result_size() == 0) return;
  const int64_t rows = blocks_ * points_ * rows_, per_block = points_ * rows_;
  if (any_order || unique_) {
    parallel(rows, std::max<int64_t>(1, kGrain / run_), [&](int64_t begin, int64_t end) { f(begin, end, 0, run_); });
  } else if (blocks_ > 1) {
    parallel(blocks_, std::max<int64_t>(1, kGrain / (per_block * run_)),
             [&](int64_t begin, int64_t end) { f(begin * per_block, end * per_block, 0, run_); });
  } else {
    // A column is worth its number of rows; 16 columns at least, so that threads do not share cache lines.
    parallel(run_, std::max<int64_t>(16, kGrain / rows), [&](int64_t begin, int64_t end) { f(0, rows, begin, end); });
  }
}

void Indexed::write(const void* values, bool single) const {
  visit_size(itemsize(dtype_), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = reinterpret_cast<T*>(data_);
    const T* from = static_cast<const T*>(values);
    const int64_t run = run_, step = run_stride_;
    each_disjoint(single, [&](int64_t begin, int64_t end, int64_t left, int64_t right) {
      if (run == 1 && rows_ == 1 && point_offsets_)
        return each_span(begin, end, [&](int64_t offset, const int64_t* points, int64_t n, int64_t r) {
          for (int64_t i = 0; i < n; ++i) to[offset + points[i]] = from[single ? 0 : r + i];
        });
      each_row(begin, end, [&](int64_t offset, int64_t r) {
        if (single) {
          for (int64_t k = left; k < right; ++k) to[offset + k * step] = *from;
        } else if (step == 1) {
          copy_few(to + offset + left, from + r * run + left, (right - left) * int64_t{sizeof(T)});
        } else {
          for (int64_t k = left; k < right; ++k) to[offset + k * step] = from[r * run + k];
        }
      });
    });
  });
}

template <class T>
static void add_row(T* to, const T* from, int64_t n) {
  if constexpr (is_small_float<T>) return combine_row<T, scattering::Sum>(to, from, n);
  ATLED_IVDEP
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(to[i] + from[i]);
}

void Indexed::add(const void* values, bool single) const {
  visit_dtype(dtype_, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = reinterpret_cast<T*>(data_);
    const T* from = static_cast<const T*>(values);
    const int64_t run = run_, step = run_stride_;
    // Where rows that come soon are, if the result has one row for each point of one block.
    const int64_t* ahead = blocks_ * rows_ == 1 && point_offsets_ ? data<int64_t>(point_offsets_) : nullptr;
    each_disjoint(false, [&](int64_t begin, int64_t end, int64_t left, int64_t right) {
      if (run == 1 && rows_ == 1 && point_offsets_)
        return each_span(begin, end, [&](int64_t offset, const int64_t* points, int64_t n, int64_t r) {
          ATLED_PICK_OF(indices, add<T>)(to + offset, points, from + (single ? 0 : r), single ? 0 : 1, n);
        });
      each_row(begin, end, [&](int64_t offset, int64_t r) {
        if (step == 1 && !single) {
          if (ahead && r + kAhead < end)
            prefetch(to + ahead[r + kAhead] + left, std::min<int64_t>((right - left) * sizeof(T), 1024));
          return add_row(to + offset + left, from + r * run + left, right - left);
        }
        for (int64_t k = left; k < right; ++k) {
          T& x = to[offset + k * step];
          x = static_cast<T>(x + from[single ? 0 : r * run + k]);
        }
      });
    });
  });
}

}  // namespace atled::core
