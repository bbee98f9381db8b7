// What transforms of a length have in common: factors, roots of unity, tables. Made once and kept; immutable
// afterwards.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace atled::core::fft {

// Transforms that are made side by side: a cache line of parts.
template <class T>
inline constexpr int64_t kLanes = 64 / static_cast<int64_t>(sizeof(T));

// Lengths up to here are transformed within a cache; longer ones in two steps.
constexpr int64_t kDirect = 1024;
// Convolutions that are made in one step: longer, as going back and forth costs more.
constexpr int64_t kDirectConvolution = 4096;

// Parts of complex numbers, point by point, a lane for each transform.
template <class T>
struct Lanes {
  T *re, *im;
};

// exp(-2 pi i k / n) within half a unit of double: all angles are taken back to the first eighth of the circle.
std::pair<double, double> root(int64_t k, int64_t n);

// Roots of a length whose table would be long: root(k) is the product of two.
class Roots {
 public:
  explicit Roots(int64_t n);
  // 0 <= k < n
  std::pair<double, double> operator()(int64_t k) const {
    const auto [a, b] = high_[static_cast<size_t>(k >> bits_)];
    const auto [c, d] = low_[static_cast<size_t>(k & ((int64_t{1} << bits_) - 1))];
    return {a * c - b * d, a * d + b * c};
  }

 private:
  int bits_ = 0;
  std::vector<std::pair<double, double>> high_, low_;
};

// A length of small factors, 4 before 2.
template <class T>
struct Radices {
  int64_t length = 1;
  std::vector<int> factors;
  std::vector<T> cosines, sines;                          // of each root of length
  std::array<std::vector<T>, 14> odd_cosines, odd_sines;  // of 2 pi j / factor
};

template <class T>
struct Plan {
  int64_t n;
  bool smooth;  // of factors up to 13; else by a convolution with the chirp exp(-pi i j^2 / n)
  // Lengths up to kDirect: of n or of the convolution.
  Radices<T> radices;
  std::vector<T> fold_re, fold_im;  // roots of 2n, for n real parts by turns
  // Chirps (L. I. Bluestein, "A linear filtering approach to the computation of discrete Fourier transform", 1970).
  int64_t convolution = 0;
  std::vector<T> chirp_re, chirp_im, kernel_re, kernel_im;
  // Longer smooth ones: n = rows * columns, and roots of n for each lane of a row.
  int64_t rows = 0, columns = 0;
  std::vector<T> lane_re, lane_im;
  std::unique_ptr<Roots> roots;

  bool direct() const { return smooth ? n <= kDirect : convolution <= kDirectConvolution; }
};

// Factors up to 13, 4 before 2; nothing when there are others.
std::vector<int> small_factors(int64_t n);

// Thread-safe; the plans of the last lengths are kept.
template <class T>
std::shared_ptr<const Plan<T>> plan_for(int64_t n);

}  // namespace atled::core::fft
