// Discrete Fourier transforms of lines of a strided array. Strides and offsets count parts (floats or doubles), two for
// a complex number. Everything here throws Error (memory) and may be called from any thread; a source and a target may
// be the same lines.
#pragma once

#include <cstdint>

#include "atled/plugin.hpp"

namespace atled::core::fft {

// Where lines begin in the source and in the target: a grid.
struct Lines {
  int64_t count = 1;
  int ndim = 0;
  int64_t shape[ATLED_MAX_NDIM], in[ATLED_MAX_NDIM], out[ATLED_MAX_NDIM];

  void push(int64_t size, int64_t in_stride, int64_t out_stride) {
    shape[ndim] = size;
    in[ndim] = in_stride;
    out[ndim++] = out_stride;
    count *= size;
  }
};

template <class T>
struct Source {
  const T* data;
  int64_t point;          // from one point to the next
  int64_t held;           // points that there are; those behind are zeros
  bool complex;           // or real
  bool mirrored = false;  // a Hermitian sequence, of which the first half is there
  bool swapped = false;   // real and imaginary parts change places: the inverse transform, with the target's the same
};

template <class T>
struct Target {
  T* data;
  int64_t point;
  int64_t kept;  // points that are wanted
  bool complex;  // or the real part alone
  bool swapped = false;
};

template <class T>
struct Job {
  Source<T> source;
  Target<T> target;
  Lines lines;
  int64_t n;
  T scale = 1;
  // Complex points whose parts are 2n real ones: n + 1 points come in (fold), or come out (unfold), or all 2n where the
  // target keeps more.
  bool fold = false, unfold = false;
};

// exp(-2 pi i j k / n) over the points j of each line, or with both sides swapped exp(2 pi i j k / n).
template <class T>
void transform(const Job<T>& job);

// n complex numbers in place.
void transform_line(double* line, int64_t n);

}  // namespace atled::core::fft
