#include "functors/extremes.h"

#include <algorithm>
#include <vector>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "cpu/transpose.h"

namespace atled::core {

namespace {

namespace extremes {

#define ATLED_LEVEL_BODY "cpu/extremes.inl"
#include "cpu/each_level.inl"

}  // namespace extremes

constexpr int64_t kChunk = 65536;
constexpr int64_t kTile = 128;
constexpr int64_t kShort = 64,
                  kSide = 64;  // rows no longer than kShort are turned, kSide at a time, and lie beside each other

// A contiguous tensor seen as (outer, n, inner), of which n is searched.
struct Extent {
  int64_t outer = 1, n = 1, inner = 1;
};

template <class E>
void search_rows(const char* in, const Extent& s, int64_t* indices, typename E::Acc* values) {
  using Acc = typename E::Acc;
  const int64_t item = sizeof(typename E::In), stride = s.inner * item;
  const int64_t chunks = (s.n + kChunk - 1) / kChunk, outputs = s.outer * s.inner;
  std::vector<Acc> best(static_cast<size_t>(chunks > 1 ? outputs * chunks : 0));
  std::vector<int64_t> at(best.size());
  const int64_t grain = std::max<int64_t>(1, 32768 / std::min(s.n, kChunk));
  parallel(outputs * chunks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      // Dividing takes as long as searching a short row.
      const int64_t o = chunks > 1 ? unit / chunks : unit, from = (unit - o * chunks) * kChunk;
      const int64_t block = s.inner > 1 ? o / s.inner : o;
      const char* row = in + ((block * s.n + from) * s.inner + o - block * s.inner) * item;
      Acc* value = chunks > 1 ? &best[static_cast<size_t>(unit)] : &values[o];
      int64_t* index = chunks > 1 ? &at[static_cast<size_t>(unit)] : &indices[o];
      ATLED_PICK_OF(extremes, row<E>)(row, stride, std::min(kChunk, s.n - from), value, index);
      *index += from;
    }
  });
  if (chunks == 1) return;
  for (int64_t o = 0; o < outputs; ++o) {
    size_t first = static_cast<size_t>(o * chunks), win = first;
    for (size_t c = first + 1; c < first + static_cast<size_t>(chunks); ++c)
      if (E::beats(best[c], best[win])) win = c;
    values[o] = best[win];
    indices[o] = at[win];
  }
}

template <class E>
void search_columns(const char* in, const Extent& s, int64_t* indices, typename E::Acc* values) {
  const int64_t item = sizeof(typename E::In), tiles = (s.inner + kTile - 1) / kTile;
  parallel(
      s.outer * tiles, std::max<int64_t>(1, 32768 / (s.n * std::min(s.inner, kTile))), [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) {
          const int64_t first = unit % tiles * kTile, o = unit / tiles;
          for (int64_t i = 0; i < s.n; ++i)
            ATLED_PICK_OF(extremes, columns<E, int64_t>)(in + ((o * s.n + i) * s.inner + first) * item, i,
                                                         std::min(kTile, s.inner - first), values + o * s.inner + first,
                                                         indices + o * s.inner + first);
        }
      });
}

// Rows one after the other. Places are numbers as wide as values, so that vectors hold as many of both.
template <class E>
void search_short_rows(const char* in, const Extent& s, int64_t* indices, typename E::Acc* values) {
  using In = typename E::In;
  using Acc = typename E::Acc;
  using Place = std::conditional_t<sizeof(Acc) == 8, int64_t, int32_t>;
  constexpr int kItem = sizeof(In);
  const int64_t groups = (s.outer + kSide - 1) / kSide;
  parallel(groups, std::max<int64_t>(1, 32768 / (s.n * kSide)), [&](int64_t begin, int64_t end) {
    In turned[kShort * kSide];
    Acc best[kSide];
    Place place[kSide];
    for (int64_t group = begin; group < end; ++group) {
      const int64_t first = group * kSide, m = std::min(kSide, s.outer - first);
      transpose(reinterpret_cast<char*>(turned), kSide * kItem, in + first * s.n * kItem, s.n * kItem, s.n, m, kItem);
      for (int64_t i = 0; i < s.n; ++i)
        ATLED_PICK_OF(extremes, columns<E, Place>)(reinterpret_cast<const char*>(turned + i * kSide),
                                                   static_cast<Place>(i), m, best, place);
      std::copy(best, best + m, values + first);
      std::copy(place, place + m, indices + first);
    }
  });
}

// values may be NULL.
template <bool kLargest>
void search(atled_tensor* given, const atled_value& dim, const atled_tensor* values, const atled_tensor* indices) {
  const Tensor input = contiguous(given);
  Extent s;
  const int ndim = input->dl.ndim, at = is_none(dim) ? -1 : wrap_dim(dim.u.i, ndim);
  for (int d = 0; d < ndim; ++d) (d < at ? s.outer : d == at || at < 0 ? s.n : s.inner) *= input->dl.shape[d];
  if (s.outer * s.inner == 0) return;
  visit_dtype(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!is_complex_type<T>) {
      using E = Extreme<T, kLargest>;
      using Acc = typename E::Acc;
      std::vector<Acc> best(static_cast<size_t>(s.outer * s.inner));
      const bool turns = s.inner == 1 && s.n <= kShort && s.outer >= 8;
      (s.inner >= 8 ? search_columns<E>
       : turns      ? search_short_rows<E>
                    : search_rows<E>)(data<char>(input), s, data<int64_t>(indices), best.data());
      if (values) std::transform(best.begin(), best.end(), data<T>(values), [](Acc x) { return T(x); });
    }
  });
}

template <bool kLargest>
void arg(atled_frame* frame) {
  search<kLargest>(arg_tensor(frame, 0), frame->args[1], nullptr, out_tensor(frame));
}
template <bool kLargest>
void both(atled_frame* frame) {
  search<kLargest>(arg_tensor(frame, 0), frame->args[1], out_tensor(frame, 0), out_tensor(frame, 1));
}

void add_extremes() {
  cpu_kernel("core::argmax", kernel<arg<true>>);
  cpu_kernel("core::argmin", kernel<arg<false>>);
  cpu_kernel("core::max_dim", kernel<both<true>>);
  cpu_kernel("core::min_dim", kernel<both<false>>);
}
ATLED_KERNELS(add_extremes);

}  // namespace

}  // namespace atled::core
