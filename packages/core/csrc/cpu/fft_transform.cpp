#include "cpu/fft_transform.h"

#include <algorithm>
#include <cstring>

#include "cpu/fft_plan.h"
#include "cpu/levels.h"
#include "cpu/parallel.h"

namespace atled::core::fft {
namespace {

// Point k of the spectrum of 2n real numbers, from points k and n - k (b) of the n complex ones that they are parts of.
template <class T>
ATLED_INLINE void unfold_point(T ar, T ai, T br, T bi, T wr, T wi, T& yr, T& yi) {
  const T er = ar + br, ei = ai - bi, fr = ai + bi, fi = br - ar;
  yr = T(0.5) * (er + (fr * wr - fi * wi));
  yi = T(0.5) * (ei + (fr * wi + fi * wr));
}

template <class T>
ATLED_INLINE void fold_point(T ar, T ai, T br, T bi, T wr, T wi, T& yr, T& yi) {
  const T er = ar + br, ei = ai - bi, fr = ar - br, fi = ai + bi;
  yr = er - (fi * wr - fr * wi);
  yi = ei + (fr * wr + fi * wi);
}

// Sides of the squares in which lines and lanes change places: 32 bytes.
template <class T>
constexpr int kSide = 16 / static_cast<int>(sizeof(T));

namespace passes {
#define ATLED_LEVEL_BODY "cpu/fft.inl"
#include "cpu/each_level.inl"
}  // namespace passes

template <class T>
struct Pair {
  T re, im;
};

constexpr int64_t kTile = 32;       // points that go through a buffer together
constexpr int64_t kWork = 1 << 14;  // points that are worth a thread

// Memory of floats or doubles from the caching allocator.
template <class T>
struct Buffer {
  explicit Buffer(int64_t n) : tensor(Tensor::empty(dtype_of<T>, {n})), data(atled::data<T>(tensor)) {}
  Tensor tensor;
  T* data;
};

// The offsets of lines [first, first + n).
void offsets(const Lines& lines, int64_t first, int64_t n, int64_t* in, int64_t* out) {
  int64_t index[ATLED_MAX_NDIM], from = 0, to = 0;
  for (int d = lines.ndim - 1; d >= 0; --d) {
    index[d] = first % lines.shape[d];
    first /= lines.shape[d];
    from += index[d] * lines.in[d];
    to += index[d] * lines.out[d];
  }
  for (int64_t l = 0; l < n; ++l) {
    in[l] = from;
    out[l] = to;
    for (int d = lines.ndim - 1; d >= 0; --d) {
      from += lines.in[d];
      to += lines.out[d];
      if (++index[d] < lines.shape[d]) break;
      from -= index[d] * lines.in[d];
      to -= index[d] * lines.out[d];
      index[d] = 0;
    }
  }
}

bool are_neighbours(const int64_t* at, int64_t n, int64_t step) {
  for (int64_t l = 1; l < n; ++l)
    if (at[l] != at[0] + l * step) return false;
  return true;
}

// Up to kLanes lines of a job, their parts in lanes.
template <class T>
class Block {
 public:
  static constexpr int64_t kWide = kLanes<T>;
  static int64_t size(int64_t points) { return 4 * apart(points) + 2 * kTile * kWide; }

  Block(T* memory, int64_t points)
      : x{memory, memory + apart(points)},
        y{memory + 2 * apart(points), memory + 3 * apart(points)},
        tile_(reinterpret_cast<Pair<T>*>(memory + 4 * apart(points))) {}

  // Points [0, n) of the lines that begin at `at`; other lanes are zeros.
  void gather(const Source<T>& source, const int64_t* at, int64_t lines, int64_t n) {
    const bool together = are_neighbours(at, lines, source.complex ? 2 : 1);
    const bool along = source.complex && source.point == 2 && lines == kWide && !together;
    if (lines < kWide) std::memset(static_cast<void*>(tile_), 0, sizeof(Pair<T>) * kTile * kWide);
    const int64_t held = std::min(n, source.held), point = source.point;
    for (int64_t first = 0; first < held; first += kTile) {
      const int64_t count = std::min(kTile, held - first), turned = along ? count / kSide<T> * kSide<T> : 0;
      const T* from = source.data + first * point;
      Pair<T>* const tile = tile_;
      ATLED_PICK_OF(passes, turn_in<T>)(from, at, &tile->re, turned);
      if (source.complex && together) {
        for (int64_t j = 0; j < count; ++j)
          std::memcpy(static_cast<void*>(tile + j * kWide), from + at[0] + j * point,
                      sizeof(Pair<T>) * static_cast<size_t>(lines));
      } else if (source.complex) {
        for (int64_t l = 0; l < lines; ++l)
          for (int64_t j = turned; j < count; ++j)
            std::memcpy(static_cast<void*>(tile + j * kWide + l), from + at[l] + j * point, sizeof(Pair<T>));
      } else {
        for (int64_t l = 0; l < lines; ++l)
          for (int64_t j = 0; j < count; ++j) tile[j * kWide + l] = {from[at[l] + j * point], T(0)};
      }
      ATLED_PICK_OF(passes, part<T>)(&tile->re, x.re + first * kWide, x.im + first * kWide, count * kWide);
    }
    clear(held, n);
    if (source.mirrored) ATLED_PICK_OF(passes, mirror<T>)(x, n);
    if (source.swapped) std::swap(x.re, x.im);
  }

  void scatter(const Target<T>& target, const int64_t* at, int64_t lines, T scale) {
    if (target.swapped) std::swap(x.re, x.im);
    const bool together = target.complex && are_neighbours(at, lines, 2);
    const bool along = target.complex && target.point == 2 && lines == kWide && !together;
    const int64_t point = target.point;
    for (int64_t first = 0; first < target.kept; first += kTile) {
      const int64_t count = std::min(kTile, target.kept - first), turned = along ? count / kSide<T> * kSide<T> : 0;
      Pair<T>* const tile = tile_;
      ATLED_PICK_OF(passes, pair<T>)(x.re + first * kWide, x.im + first * kWide, &tile->re, count * kWide, scale);
      T* to = target.data + first * point;
      ATLED_PICK_OF(passes, turn_out<T>)(&tile->re, to, at, turned);
      if (together) {
        for (int64_t j = 0; j < count; ++j)
          std::memcpy(to + at[0] + j * point, static_cast<void*>(tile + j * kWide),
                      sizeof(Pair<T>) * static_cast<size_t>(lines));
      } else if (target.complex) {
        for (int64_t l = 0; l < lines; ++l)
          for (int64_t j = turned; j < count; ++j)
            std::memcpy(to + at[l] + j * point, static_cast<void*>(tile + j * kWide + l), sizeof(Pair<T>));
      } else {
        for (int64_t l = 0; l < lines; ++l)
          for (int64_t j = 0; j < count; ++j) to[at[l] + j * point] = tile[j * kWide + l].re;
      }
    }
  }

  void run(const Plan<T>& plan) {
    if (plan.smooth) return ATLED_PICK_OF(passes, passes<T>)(plan.radices, x, y);
    const int64_t n = plan.n, m = plan.convolution;
    ATLED_PICK_OF(passes, multiply_points<T>)(x, plan.chirp_re.data(), plan.chirp_im.data(), n);
    clear(n, m);
    ATLED_PICK_OF(passes, passes<T>)(plan.radices, x, y);
    ATLED_PICK_OF(passes, multiply_points<T>)(x, plan.kernel_re.data(), plan.kernel_im.data(), m);
    std::swap(x.re, x.im);
    ATLED_PICK_OF(passes, passes<T>)(plan.radices, x, y);
    std::swap(x.re, x.im);
    ATLED_PICK_OF(passes, multiply_points<T>)(x, plan.chirp_re.data(), plan.chirp_im.data(), n);
  }

  Lanes<T> x, y;

 private:
  // From one array to the next: never near a multiple of 4096 bytes, where a load would wait for stores to the other.
  static int64_t apart(int64_t points) { return ((points + 63) / 64 * 64 + 17) * kWide; }

  void clear(int64_t from, int64_t to) {
    std::fill(x.re + from * kWide, x.re + to * kWide, T(0));
    std::fill(x.im + from * kWide, x.im + to * kWide, T(0));
  }

  Pair<T>* tile_;
};

// Calls each(block, first line, lines, offsets in, offsets out) for kLanes lines at a time, on all threads.
template <class T, class Each>
void for_each_block(const Lines& lines, int64_t points, Each&& each) {
  constexpr int64_t kWide = kLanes<T>;
  const int64_t blocks = (lines.count + kWide - 1) / kWide;
  parallel(blocks, std::max<int64_t>(1, kWork / (points * kWide)), [&](int64_t begin, int64_t end) {
    Buffer<T> memory(Block<T>::size(points));
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * kWide, count = std::min(kWide, lines.count - first);
      int64_t in[kWide], out[kWide];
      offsets(lines, first, count, in, out);
      Block<T> block(memory.data, points);
      each(block, first, count, in, out);
    }
  });
}

template <class T>
void direct(const Job<T>& job, const Plan<T>& plan) {
  const int64_t points = std::max((plan.smooth ? job.n : plan.convolution) + 1, job.unfold ? job.target.kept : 0);
  for_each_block<T>(job.lines, points,
                    [&](Block<T>& block, int64_t, int64_t lines, const int64_t* in, const int64_t* out) {
                      const T *wr = plan.fold_re.data(), *wi = plan.fold_im.data();
                      Source<T> source = job.source;
                      source.swapped = source.swapped && !job.fold;
                      block.gather(source, in, lines, job.n + job.fold);
                      if (job.fold) {
                        ATLED_PICK_OF(passes, fold<T>)(block.x, block.y, wr, wi, job.n);
                        std::swap(block.x, block.y);
                        if (job.source.swapped) std::swap(block.x.re, block.x.im);
                      }
                      block.run(plan);
                      if (job.unfold) {
                        ATLED_PICK_OF(passes, unfold<T>)(block.x, block.y, wr, wi, job.n);
                        std::swap(block.x, block.y);
                        if (job.target.kept > job.n + 1) ATLED_PICK_OF(passes, mirror<T>)(block.x, 2 * job.n);
                      }
                      block.scatter(job.target, out, lines, job.scale);
                    });
}

// n = rows * columns points as a matrix (W. M. Gentleman and G. Sande, "Fast Fourier transforms: for fun and profit",
// 1966): its columns are transformed, multiplied by roots of n, and then its rows, whose points go to every rows-th
// place.
template <class T>
void in_two_steps(const Source<T>& source, const Target<T>& target, const Plan<T>& plan, T scale) {
  const int64_t rows = plan.rows, columns = plan.columns;
  const std::shared_ptr<const Plan<T>> short_plan = plan_for<T>(rows);
  Buffer<T> between(2 * plan.n);
  Lines across, along;
  across.push(columns, source.point, 2);
  along.push(rows, 2 * columns, target.point);
  Source<T> column = source;
  column.point *= columns;
  column.held = rows;
  const Target<T> row{between.data, 2 * columns, rows, true};
  for_each_block<T>(across, rows,
                    [&](Block<T>& block, int64_t first, int64_t lines, const int64_t* in, const int64_t* out) {
                      block.gather(column, in, lines, rows);
                      block.run(*short_plan);
                      T cosines[kDirect], sines[kDirect];
                      for (int64_t j = 0; j < rows; ++j) {
                        const auto w = (*plan.roots)(first * j);
                        cosines[j] = static_cast<T>(w.first);
                        sines[j] = static_cast<T>(w.second);
                      }
                      ATLED_PICK_OF(passes, multiply_lanes<T>)(block.x, cosines, sines, plan.lane_re.data(),
                                                               plan.lane_im.data(), rows);
                      block.scatter(row, out, lines, T(1));
                    });
  Target<T> scattered = target;
  scattered.point *= rows;
  scattered.kept = columns;
  transform(Job<T>{{between.data, 2, columns, true}, scattered, along, columns, scale});
}

// Calls each(k) for k < n, on all threads.
template <class Each>
void for_each_point(int64_t n, Each&& each) {
  parallel(n, kWork, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) each(k);
  });
}

// Point j of a line of n.
template <class T>
Pair<T> read(const Source<T>& source, const T* line, int64_t j, int64_t n) {
  const bool mirror = source.mirrored && 2 * j > n;
  const int64_t at = mirror ? n - j : j;
  if (at >= source.held) return {T(0), T(0)};
  const T* from = line + at * source.point;
  const T im = source.complex ? from[1] : T(0);
  return {from[0], mirror ? -im : im};
}

template <class T>
void write(const Target<T>& target, T* line, int64_t k, Pair<T> value) {
  if (k >= target.kept) return;
  line[k * target.point] = value.re;
  if (target.complex) line[k * target.point + 1] = value.im;
}

// The transform of n points in place, by a convolution.
template <class T>
void convolve(Pair<T>* line, const Plan<T>& plan, bool swapped) {
  const int64_t n = plan.n, m = plan.convolution;
  Buffer<T> memory(2 * m);
  auto* z = reinterpret_cast<Pair<T>*>(memory.data);
  auto times = [](Pair<T> a, T re, T im) { return Pair<T>{a.re * re - a.im * im, a.re * im + a.im * re}; };
  auto at = [](const std::vector<T>& v, int64_t j) { return v[static_cast<size_t>(j)]; };
  auto turned = [swapped](Pair<T> a) { return swapped ? Pair<T>{a.im, a.re} : a; };
  for_each_point(m, [&](int64_t j) {
    z[j] = j < n ? times(turned(line[j]), at(plan.chirp_re, j), at(plan.chirp_im, j)) : Pair<T>{T(0), T(0)};
  });
  Job<T> whole{{memory.data, 2, m, true}, {memory.data, 2, m, true}, {}, m};
  transform(whole);
  for_each_point(m, [&](int64_t k) { z[k] = times(z[k], at(plan.kernel_re, k), at(plan.kernel_im, k)); });
  whole.source.swapped = whole.target.swapped = true;
  transform(whole);
  for_each_point(n, [&](int64_t k) { line[k] = turned(times(z[k], at(plan.chirp_re, k), at(plan.chirp_im, k))); });
}

// A line that is too long for a cache; what is not whole complex points in memory, by way of a copy that is.
template <class T>
void long_line(const Job<T>& job, const Plan<T>& plan, const T* in, T* out) {
  const int64_t n = job.n;
  const bool from_source = plan.smooth && !job.fold && !job.source.mirrored && job.source.held >= n;
  const bool to_target = plan.smooth && !job.unfold && job.target.complex && job.target.kept == n;
  Buffer<T> memory(from_source && to_target ? 0 : 2 * n);
  auto* z = reinterpret_cast<Pair<T>*>(memory.data);
  std::unique_ptr<Roots> roots;
  if ((job.fold || job.unfold) && !plan.direct()) roots = std::make_unique<Roots>(2 * n);
  auto root_of_2n = [&](int64_t k) {
    if (!roots) return Pair<T>{plan.fold_re[static_cast<size_t>(k)], plan.fold_im[static_cast<size_t>(k)]};
    const auto w = k == n ? std::pair<double, double>{-1, 0} : (*roots)(k);
    return Pair<T>{static_cast<T>(w.first), static_cast<T>(w.second)};
  };
  if (job.fold) {
    for_each_point(n, [&](int64_t k) {
      Pair<T> a = read(job.source, in, k, n), b = read(job.source, in, n - k, n);
      if (k == 0) a.im = b.im = 0;
      const Pair<T> w = root_of_2n(k);
      fold_point(a.re, a.im, b.re, b.im, w.re, w.im, z[k].re, z[k].im);
    });
  } else if (!from_source) {
    for_each_point(n, [&](int64_t j) { z[j] = read(job.source, in, j, n); });
  }
  Source<T> source{memory.data, 2, n, true};
  Target<T> target{memory.data, 2, n, true};
  if (from_source) source = {in, job.source.point, n, job.source.complex};
  if (to_target) target = {out, job.target.point, n, true};
  source.swapped = job.source.swapped;
  target.swapped = job.target.swapped;
  if (plan.smooth) {
    in_two_steps(source, target, plan, to_target ? job.scale : T(1));
  } else {
    convolve(z, plan, source.swapped);
  }
  if (to_target) return;
  if (!job.unfold) {
    for_each_point(job.target.kept,
                   [&](int64_t k) { write(job.target, out, k, Pair<T>{z[k].re * job.scale, z[k].im * job.scale}); });
    return;
  }
  for_each_point(n + 1, [&](int64_t k) {
    const Pair<T> a = z[k == n ? 0 : k], b = z[k == 0 ? 0 : n - k];
    const Pair<T> w = root_of_2n(k);
    Pair<T> point;
    unfold_point(a.re, a.im, b.re, b.im, w.re, w.im, point.re, point.im);
    point = {point.re * job.scale, point.im * job.scale};
    write(job.target, out, k, point);
    if (k > 0 && k < n && job.target.kept > n + 1) write(job.target, out, 2 * n - k, Pair<T>{point.re, -point.im});
  });
}

}  // namespace

template <class T>
void transform(const Job<T>& job) {
  if (job.lines.count == 0) return;
  const std::shared_ptr<const Plan<T>> plan = plan_for<T>(job.n);
  // Few lines would leave most lanes empty.
  const bool few = job.n >= 256 && 4 * job.lines.count <= kLanes<T>;
  if (plan->direct() && !few) return direct(job, *plan);
  parallel(job.lines.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t in = 0, out = 0;
      offsets(job.lines, i, 1, &in, &out);
      long_line(job, *plan, job.source.data + in, job.target.data + out);
    }
  });
}

template void transform(const Job<float>&);
template void transform(const Job<double>&);

void transform_line(double* line, int64_t n) { transform(Job<double>{{line, 2, n, true}, {line, 2, n, true}, {}, n}); }

}  // namespace atled::core::fft
