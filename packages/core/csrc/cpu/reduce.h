// Reductions over any set of dimensions of a host tensor, in any layout. Partial results are combined in an order that
// depends on the shape alone: pairwise, so that sums stay accurate, and the same for every number of threads.
//
// A reduction is a functor R with
//   In, Acc, Out            what is read (as stored), accumulated and written
//   Acc identity() const
//   Acc load(In x) const    one element
//   Acc combine(Acc, Acc) const  associative up to rounding
//   Out finish(Acc) const
// or loops of its own, whose accumulators need not be single numbers (cpu/moments.h).
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/cast.h"
#include "cpu/levels.h"
#include "functors/copy.h"
#include "ops/rules.h"

namespace atled::core {

// A reduction's loops, the types erased. m accumulators take m * width bytes.
struct ReduceLoops {
  int width;
  // acc of one output from 0 < n <= kRowBlock elements `stride` bytes apart
  void (*row)(const void* r, const char* in, int64_t stride, int64_t n, char* acc);
  // acc of m outputs from 0 < n <= kColumnRows rows of m columns
  void (*columns)(const void* r, const char* in, int64_t row_stride, int64_t n, int64_t column_stride, int64_t m,
                  char* acc);
  // acc = combine(acc, later), for m outputs
  void (*merge)(const void* r, char* acc, const char* later, int64_t m);
  // out[j] = finish(acc[j])
  void (*finish)(const void* r, const char* acc, char* out, int64_t out_step, int64_t m);
  // acc = identity, for m outputs
  void (*start)(const void* r, char* acc, int64_t m);
  // acc of m <= kRowsAtOnce outputs from rows of 0 < n <= kRowBlock elements side by side; rows of fewer than 32 follow
  // each other without a gap. May be NULL.
  void (*rows)(const void* r, const char* in, int64_t row_stride, int64_t n, int64_t m, char* acc) = nullptr;
  // Whether accumulators of m outputs are those of single ones side by side.
  bool separate = true;
  // Where it is given, row and columns take float, which blocks of the input become by it first.
  CastLoop widen = nullptr;
};

// float16 is reduced by float's functors, which have instructions made for converting it.
template <class T>
using Widened = std::conditional_t<std::is_same_v<T, Half>, float, T>;
// For loops that read In where T is stored.
template <class T, class In = Widened<T>>
CastLoop widening() {
  return std::is_same_v<T, In> ? nullptr : cast_loop(dtype_of<T>, dtype_of<In>);
}

constexpr int64_t kRowsAtOnce = 64;  // short rows that are reduced together
constexpr int64_t kRowBlock = 1024;  // elements of a row that are accumulated before results are paired
constexpr int64_t kColumnRows = 32;  // the same for columns

// Before a short loop that GCC would take apart before it makes vectors, and make none of where floats are compared.
#if defined(__GNUC__) && !defined(__clang__)
#define ATLED_KEPT_LOOP _Pragma("GCC unroll 1")
#else
#define ATLED_KEPT_LOOP
#endif

namespace reduction {

#define ATLED_LEVEL_BODY "cpu/reduce.inl"
#include "cpu/each_level.inl"

}  // namespace reduction

template <class R, class Out>
struct ReduceSteps {
  using Acc = typename R::Acc;
  static void merge(const void* r, char* acc, const char* later, int64_t m) {
    const R op = Baseline::functor<R>(r);
    Acc* a = reinterpret_cast<Acc*>(acc);
    const Acc* b = reinterpret_cast<const Acc*>(later);
    for (int64_t j = 0; j < m; ++j) a[j] = op.combine(a[j], b[j]);
  }
  static void finish(const void* r, const char* acc, char* out, int64_t out_step, int64_t m) {
    const R op = Baseline::functor<R>(r);
    const Acc* a = reinterpret_cast<const Acc*>(acc);
    for (int64_t j = 0; j < m; ++j) *reinterpret_cast<Out*>(out + j * out_step) = Out(op.finish(a[j]));
  }
  static void start(const void* r, char* acc, int64_t m) {
    const R op = Baseline::functor<R>(r);
    Acc* a = reinterpret_cast<Acc*>(acc);
    for (int64_t j = 0; j < m; ++j) a[j] = op.identity();
  }
};

template <class Level, class R, class Src, bool kRows>
void set_loops(ReduceLoops& loops) {
  if constexpr (std::is_same_v<Src, typename R::In>) {
    loops.row = Level::template row<R>;
    loops.columns = Level::template columns<R>;
    if constexpr (kRows) loops.rows = Level::template rows<R>;
  } else {
    loops.row = Level::template widened_row<R, Src>;
    loops.columns = Level::template widened_columns<R, Src>;
    if constexpr (kRows) loops.rows = Level::template widened_rows<R, Src>;
  }
}

// kLevels: whether the reduction is worth code for AVX2 as well, and for short rows; wider vectors would only wait for
// memory. T is the input's type where R is of a wider one.
template <class R, bool kLevels, class T = void>
ReduceLoops reduce_loops() {
  using S = ReduceSteps<R, std::conditional_t<is_small_float<T>, T, typename R::Out>>;
  using Src = std::conditional_t<is_small_float<T>, T, typename R::In>;
  ReduceLoops loops{sizeof(typename R::Acc), nullptr, nullptr, S::merge, S::finish, S::start};
  set_loops<reduction::Baseline, R, Src, kLevels>(loops);
  if constexpr (kLevels) {
    if (cpu_level() >= kAvx2) set_loops<reduction::Avx2, R, Src, true>(loops);
  }
  return loops;
}

// out, contiguous, gets the reduction of `in` over dims. May be put off, so loops are to last.
void reduce(const atled_tensor* in, DimSet dims, const atled_tensor* out, const ReduceLoops& loops, const void* r,
            size_t r_bytes);
inline void reduce(const atled_tensor* in, DimSet dims, const atled_tensor* out, const ReduceLoops& loops) {
  reduce(in, dims, out, loops, nullptr, 0);
}
template <class R>
void reduce(const atled_tensor* in, DimSet dims, const atled_tensor* out, const ReduceLoops& loops, const R& r) {
  static_assert(std::is_trivially_copyable_v<R>);
  reduce(in, dims, out, loops, &r, sizeof r);
}
// The same of rows of `length` elements one after the other.
void reduce_rows(const char* in, int64_t item, int64_t rows, int64_t length, char* out, int64_t out_item,
                 const ReduceLoops& loops, const void* r);

// How many elements go into each output.
int64_t reduced_length(const atled_tensor* in, DimSet dims);

}  // namespace atled::core
