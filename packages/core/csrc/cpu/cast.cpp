#include "cpu/cast.h"

#include "cpu/levels.h"
#include "functors/copy.h"

namespace atled::core {

namespace {

struct CastTable {
  CastLoop loops[ATLED_NUM_DTYPES][ATLED_NUM_DTYPES];
};

template <class To, class From>
struct Convert {
  ATLED_FN To operator()(Stored<From> x) const {
    if constexpr (std::is_same_v<From, bool>) {
      return Cast<To, bool>{}(x != 0);
    } else {
      return Cast<To, From>{}(x);
    }
  }
};

// Only what training converts all day is worth code for each level.
template <class To, class From>
constexpr bool is_hot() {
  constexpr int f = dtype_of<From>, t = dtype_of<To>;
  constexpr bool from = f == ATLED_BOOL || f == ATLED_UINT8 || f == ATLED_INT32 || f == ATLED_INT64 || is_floating(f);
  constexpr bool to = t == ATLED_BOOL || t == ATLED_UINT8 || t == ATLED_INT32 || t == ATLED_INT64 || is_floating(t);
  return f != t && from && to && (is_floating(f) || is_floating(t));
}

template <class To, class From>
CastLoop pick() {
  using S = Stored<From>;
  using F = Convert<To, From>;
  if constexpr (is_hot<To, From>()) {
    return cpu_level() >= kAvx2 ? Avx2::convert<To, S, F> : Baseline::convert<To, S, F>;
  } else {
    return Baseline::convert<To, S, F>;
  }
}

const CastTable& table() {
  static const CastTable built = [] {
    CastTable t;
    for (int from = 0; from < ATLED_NUM_DTYPES; ++from)
      for (int to = 0; to < ATLED_NUM_DTYPES; ++to)
        t.loops[from][to] = visit_dtype(from, [&](auto f) {
          return visit_dtype(to, [](auto x) { return pick<typename decltype(x)::type, typename decltype(f)::type>(); });
        });
    return t;
  }();
  return built;
}

}  // namespace

CastLoop cast_loop(int from, int to) { return table().loops[from][to]; }

}  // namespace atled::core
