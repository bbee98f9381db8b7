// The device's index arithmetic and reduction plans on the host, for tests by ctypes.
#include "cuda/geometry.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/matmul_layout.h"
#include "cuda/place_walk.h"
#include "cuda/reduce_plan.h"
#include "cuda/sort_plan.h"
#include "cuda/transpose_plan.h"
#include "functors/extremes.h"
#include "functors/fixed_sum.h"
#include "functors/moments.h"

using namespace atled::core::cuda;

// Elements in parts of `part`, each a lane's, whose results are combined; pieces of two where they fit.
template <class R>
auto by_parts(const R& r, const double* x, int64_t n, int64_t part) {
  auto all = r.identity();
  for (int64_t from = 0; from < n; from += part) {
    typename R::Lane lane(r);
    const int64_t to = std::min(n, from + part);
    for (int64_t i = from; i < to;) {
      const double piece[2] = {x[i], i + 1 < to ? x[i + 1] : 0}, one[1] = {x[i]};
      const bool two = i + 1 < to;
      two ? lane.add(r, piece, i) : lane.add(r, one, i);
      i += two ? 2 : 1;
    }
    all = r.combine(lane.result(), all);
  }
  return r.finish(all);
}

// What a place that held `held` has after n of all points.
template <class T>
void sum_fixed(const T* x, int64_t n, int64_t points, T& held) {
  using namespace atled::core::fixed_sum;
  uint32_t top = kNobody;
  for (int64_t i = 0; i < n; ++i) top = join(top, top_of(x[i]));
  if (top <= kMinusZero) return;
  const int bits = unit_bits(static_cast<uint64_t>(points));
  Summand<T> sum;
  for (int64_t i = 0; i < n && is_finite(top); ++i) {
    if (top_of(x[i]) <= kZero) continue;
    const Summand<T> one = summand(x[i], top, bits);
    for (int k = 0; k < Summand<T>::kLimbs; ++k) sum.limbs[k] += one.limbs[k];
  }
  held = added(held, top, bits, sum);
}

extern "C" {

// 0 where BLAS cannot read the matrix, else its leading dimension, negative for a transposed one.
int64_t blas_ld(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  const BlasView view = blas_view(rows, columns, row, column);
  return view.readable ? view.transposed ? -view.ld : view.ld : 0;
}

uint32_t quotient(uint32_t n, uint32_t d) { return FastDivisor(d).quotient(n); }

// Strides are operand by operand, in bytes, dimensions innermost first. Writes each element's offsets, in the order of
// the walk, into out (operands numbers for each), and answers how many pieces there were.
int64_t walk(int operands, int ndim, const int64_t* sizes, const int64_t* strides, int64_t limit, int64_t* out,
             int64_t* dims) {
  Walk w;
  w.operands = operands;
  w.ndim = ndim;
  for (int d = 0; d < ndim; ++d) w.sizes[d] = sizes[d];
  for (int k = 0; k < operands; ++k)
    for (int d = 0; d < ndim; ++d) w.strides[k][d] = strides[k * ndim + d];
  w.simplify();
  *dims = w.ndim;
  int64_t pieces = 0;
  bool fits = true;
  w.each_piece(
      [&](const Walk& piece) {
        ++pieces;
        fits = fits && piece.fits(limit);
        const Offsets<kMaxOperands> offsets(piece);
        for (uint32_t i = 0; i < offsets.total; ++i) {
          int32_t at[kMaxOperands];
          offsets.locate(i, at);
          for (int k = 0; k < operands; ++k) *out++ = piece.starts[k] + at[k];
        }
      },
      limit);
  return fits ? pieces : -pieces;
}

// A PlaceWalk of two operands, dimensions innermost first; `item` > 0 widens it from units of so many bytes, for places
// and values whose addresses have the bits of `alignment` set. Writes both offsets of each element; answers the unit,
// or -1.
int64_t places(int ndim, const int64_t* sizes, const int64_t* strides, int64_t divides, int64_t item, int64_t alignment,
               int64_t* total, int64_t* out) {
  PlaceWalk<2> w;
  for (int d = 0; d < ndim; ++d)
    if (!w.add(sizes[d], {strides[d], strides[ndim + d]})) return -1;
  w.settle();
  const int unit = item > 0 ? widen(w, static_cast<int>(item), static_cast<uint64_t>(alignment)) : 0;
  if (divides) w.small = false;
  *total = w.total;
  for (int64_t i = 0; i < w.total; ++i) {
    int64_t at[2];
    w.locate(i, at);
    *out++ = at[0];
    *out++ = at[1];
  }
  return unit;
}

struct Plan {
  int64_t outputs, length, rows, lanes, chunks, chunk_length;
};

// dims: triples of size, input stride in bytes, and 1 where the dimension is reduced, outermost first.
static void split(int ndim, const int64_t* dims, ReduceDims& kept, ReduceDims& gone) {
  int64_t step = 1;
  for (int d = ndim - 1; d >= 0; --d) {
    const bool is_gone = dims[3 * d + 2];
    (is_gone ? gone : kept).add(dims[3 * d], dims[3 * d + 1], is_gone ? 0 : step);
    if (!is_gone) step *= dims[3 * d];
  }
  kept.join();
  gone.join();
}

void plan(int ndim, const int64_t* dims, int64_t item, Plan* out) {
  ReduceDims kept, gone;
  split(ndim, dims, kept, gone);
  const ReducePlan p = plan_reduction(kept, gone, item);
  *out = Plan{p.outputs, p.length, p.rows, 1 << p.lane_bits, p.chunks, p.chunk_length};
}

// The kernel's loops, thread by thread: what each block's lanes read, added up per output as integers. In vectors as
// the kernel would, or not.
void run(int ndim, const int64_t* dims, const int64_t* in, int64_t* out) {
  ReduceDims kept, gone;
  split(ndim, dims, kept, gone);
  const ReducePlan p = plan_reduction(kept, gone, 8);
  const ReduceOffsets kept_at(kept), gone_at(gone);
  const int64_t per_block = p.outputs_per_block(), lanes = int64_t{1} << p.lane_bits;
  const bool vectors = p.rows && in_vectors(kept, gone, 8, reinterpret_cast<uintptr_t>(in));
  for (int64_t chunk = 0; chunk < p.chunks; ++chunk)
    for (int64_t block = 0; block < p.output_blocks(); ++block)
      for (int thread = 0; thread < kReduceThreads; ++thread) {
        const int64_t lane = p.rows ? thread % lanes : thread / per_block;
        const int64_t output = block * per_block + (p.rows ? thread / lanes : thread % per_block);
        if (output >= p.outputs) continue;
        int64_t base, place;
        kept_at.locate(output, base, place);
        const int64_t from = chunk * p.chunk_length;
        const int64_t to = from + p.chunk_length < p.length ? from + p.chunk_length : p.length;
        const int64_t many = vectors ? 2 : 1;
        for (int64_t i = from + lane * many; i < to; i += lanes * many)
          for (int64_t v = 0; v < many; ++v)
            out[place] +=
                in[(base + (i % 2 && gone_at.small ? gone_at.offset<true>(i) : gone_at.offset<false>(i))) / 8 + v];
      }
}

double variance(const double* x, int64_t n, int64_t part) {
  return by_parts(atled::core::VarianceOf<double>{static_cast<double>(n), false}, x, n, part);
}
double logsumexp(const double* x, int64_t n, int64_t part) {
  return by_parts(atled::core::LogSumExpOf<double>{}, x, n, part);
}
int64_t argmax(const double* x, int64_t n, int64_t part) {
  return by_parts(atled::core::ExtremeOf<atled::core::Extreme<double, true>>{}, x, n, part);
}
// Copies by tiles of a side, as the device does: 1 if it is a transpose at all. Sizes and strides as for walk.
int turn(int ndim, const int64_t* sizes, const int64_t* strides, int64_t item, int side, char* out, const char* in) {
  Walk w;
  w.operands = 2;
  w.ndim = ndim;
  for (int d = 0; d < ndim; ++d) {
    w.sizes[d] = sizes[d];
    for (int k = 0; k < 2; ++k) w.strides[k][d] = strides[k * ndim + d];
  }
  w.simplify();
  const TransposePlan plan = plan_transpose(w, item);
  if (!plan.applies || !TransposeTiles::fits(plan, side)) return 0;
  const TransposeTiles tiles(plan, side);
  for (uint32_t t = 0; t < tiles.total; ++t) {
    int64_t row, column, from, to;
    tiles.locate(t, side, row, column, from, to);
    for (int64_t r = row; r < row + side && r < tiles.rows; ++r)
      for (int64_t c = column; c < column + side && c < tiles.columns; ++c)
        std::memcpy(out + to + c * tiles.out_step + r * item, in + from + r * tiles.in_step + c * item,
                    static_cast<size_t>(item));
  }
  return 1;
}

int unit_bits(int64_t points) { return atled::core::fixed_sum::unit_bits(static_cast<uint64_t>(points)); }
void sum_float16(const atled::Half* x, int64_t n, int64_t points, atled::Half* held) { sum_fixed(x, n, points, *held); }
void sum_bfloat16(const atled::BFloat16* x, int64_t n, int64_t points, atled::BFloat16* held) {
  sum_fixed(x, n, points, *held);
}
void sum_float32(const float* x, int64_t n, int64_t points, float* held) { sum_fixed(x, n, points, *held); }
void sum_float64(const double* x, int64_t n, int64_t points, double* held) { sum_fixed(x, n, points, *held); }

// How many rounds leave the first `kept` of a line; -1 where a group would not fit into a block.
int rounds(int64_t lines, int64_t n, int64_t kept) {
  int count = 1;
  for (; n > kMostGrouped; ++count) {
    const SelectPlan plan = plan_select(lines, n, n, kept);
    const bool sound = plan.capacity <= kMostGrouped && plan.capacity >= 2 * plan.kept &&
                       (plan.capacity & (plan.capacity - 1)) == 0 && plan.chunks * plan.chunk_length >= n &&
                       (plan.chunks - 1) * plan.chunk_length < n && (plan.chunks == 1 || kept <= plan.chunk_length);
    if (!sound) return -1;
    if (plan.chunks == 1) return count;
    n = plan.chunks * kept;
  }
  const GroupPlan plan = plan_groups(lines, n, n, kept);
  const bool sound = plan.width >= n && plan.width <= plan.capacity && plan.capacity <= kMostGrouped &&
                     plan.threads() <= kGroupThreads && plan.blocks() * (plan.capacity / plan.width) >= lines;
  return sound ? count : -1;
}
}
