#include "cpu/fft_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "cpu/fft_transform.h"

namespace atled::core::fft {

std::pair<double, double> root(int64_t k, int64_t n) {
  // In eighths of a step, so that every border of an eighth of the circle is a whole number.
  int64_t angle = k % n * 8;
  double cosine_sign = 1, sine_sign = -1;
  if (angle > 4 * n) {
    angle = 8 * n - angle;
    sine_sign = 1;
  }
  if (angle > 2 * n) {
    angle = 4 * n - angle;
    cosine_sign = -1;
  }
  const bool steep = angle > n;
  if (steep) angle = 2 * n - angle;
  const double radians = 0.78539816339744831 * static_cast<double>(angle) / static_cast<double>(n);
  const double c = std::cos(radians), s = std::sin(radians);
  return {cosine_sign * (steep ? s : c), sine_sign * (steep ? c : s)};
}

Roots::Roots(int64_t n) {
  while (int64_t{1} << 2 * bits_ < n) ++bits_;
  for (int64_t k = 0; k < int64_t{1} << bits_; ++k) low_.push_back(root(k, n));
  for (int64_t k = 0; k << bits_ < n; ++k) high_.push_back(root(k << bits_, n));
}

std::vector<int> small_factors(int64_t n) {
  std::vector<int> factors;
  for (const int factor : {4, 2, 3, 5, 7, 11, 13})
    for (; n % factor == 0; n /= factor) factors.push_back(factor);
  return n == 1 ? factors : std::vector<int>{};
}

namespace {

template <class T>
void push(std::vector<T>& re, std::vector<T>& im, std::pair<double, double> w) {
  re.push_back(static_cast<T>(w.first));
  im.push_back(static_cast<T>(w.second));
}

template <class T>
void make_radices(Radices<T>& radices, int64_t n) {
  radices.length = n;
  radices.factors = small_factors(n);
  for (int64_t k = 0; k < n; ++k) push(radices.cosines, radices.sines, root(k, n));
  for (const int factor : radices.factors) {
    auto& cosines = radices.odd_cosines[static_cast<size_t>(factor)];
    auto& sines = radices.odd_sines[static_cast<size_t>(factor)];
    if (cosines.empty())
      for (int j = 0; j < factor; ++j) push(cosines, sines, {root(j, factor).first, -root(j, factor).second});
  }
}

// The least length >= n of factors 2, 3 and 5.
int64_t rounded_up(int64_t n) {
  int64_t best = 1;
  while (best < n) best *= 2;
  for (const int64_t odd : {3, 5, 9, 15}) {
    int64_t length = odd;
    while (length < n) length *= 2;
    best = std::min(best, length);
  }
  return best;
}

template <class T>
void make_chirp(Plan<T>& plan) {
  const int64_t n = plan.n, m = plan.convolution = rounded_up(2 * n - 1);
  std::vector<double> kernel(static_cast<size_t>(2 * m));
  for (int64_t j = 0; j < n; ++j) {
    // j^2 modulo 2n, without overflow for any n that fits in memory
    const auto square =
        static_cast<int64_t>(static_cast<uint64_t>(j) * static_cast<uint64_t>(j) % static_cast<uint64_t>(2 * n));
    const auto w = root(square, 2 * n);
    push(plan.chirp_re, plan.chirp_im, w);
    for (const int64_t at : {j, (m - j) % m}) {
      kernel[static_cast<size_t>(2 * at)] = w.first / static_cast<double>(m);
      kernel[static_cast<size_t>(2 * at + 1)] = -w.second / static_cast<double>(m);
    }
  }
  transform_line(kernel.data(), m);
  for (int64_t k = 0; k < m; ++k)
    push(plan.kernel_re, plan.kernel_im, {kernel[static_cast<size_t>(2 * k)], kernel[static_cast<size_t>(2 * k + 1)]});
}

// The divisor of n nearest to its root from below, kDirect at most.
int64_t rows_of(int64_t n) {
  int64_t rows = std::min(kDirect, static_cast<int64_t>(std::sqrt(static_cast<double>(n))));
  while (n % rows != 0) --rows;
  return rows;
}

template <class T>
std::shared_ptr<const Plan<T>> make_plan(int64_t n) {
  auto plan = std::make_shared<Plan<T>>();
  plan->n = n;
  plan->smooth = n == 1 || !small_factors(n).empty();
  if (!plan->smooth) make_chirp(*plan);
  if (plan->direct()) {
    make_radices(plan->radices, plan->smooth ? n : plan->convolution);
    for (int64_t k = 0; k <= n; ++k) push(plan->fold_re, plan->fold_im, root(k, 2 * n));
  }
  if (!plan->smooth) return plan;
  plan->rows = rows_of(n);
  plan->columns = n / plan->rows;
  plan->roots = std::make_unique<Roots>(n);
  for (int64_t row = 0; row < plan->rows; ++row)
    for (int64_t lane = 0; lane < kLanes<T>; ++lane) push(plan->lane_re, plan->lane_im, root(row * lane % n, n));
  return plan;
}

}  // namespace

template <class T>
std::shared_ptr<const Plan<T>> plan_for(int64_t n) {
  constexpr size_t kKept = 32;
  static std::mutex mutex;
  static std::map<int64_t, std::shared_ptr<const Plan<T>>> plans;
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (const auto found = plans.find(n); found != plans.end()) return found->second;
  }
  // Outside of the lock: a plan of a chirp transforms.
  auto made = make_plan<T>(n);
  std::lock_guard<std::mutex> lock(mutex);
  if (plans.size() >= kKept) plans.clear();
  return plans.emplace(n, std::move(made)).first->second;
}

template std::shared_ptr<const Plan<float>> plan_for<float>(int64_t);
template std::shared_ptr<const Plan<double>> plan_for<double>(int64_t);

}  // namespace atled::core::fft
