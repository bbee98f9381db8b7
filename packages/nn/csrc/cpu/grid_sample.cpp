#include <algorithm>
#include <memory>
#include <vector>

#include "cpu/kernel.h"
#include "ops/sampling.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// Points are taken in blocks, along which everything is vector code.
constexpr int64_t kBlock = 128;
// Channels whose gradients are added up together; the order of additions is that of the points.
constexpr int64_t kChannels = 8;

// Of a block of points along each dimension: up to four elements, what they count, and how that changes with the grid.
template <class T>
struct Taps {
  int32_t elements[3][4 * kBlock];
  T shares[3][4 * kBlock], slopes[3][4 * kBlock];
};

template <class T>
void find(const Sampling& s, int d, const T* grid, bool with_slopes, int64_t n, Taps<T>& taps) {
  const int64_t size = s.sizes[d];
  const bool brought = s.outside != Outside::kZeros, mirrored = s.outside == Outside::kReflection;
  const T low = s.corners ? T(0) : T(-0.5), span = mirrored ? static_cast<T>(s.corners ? size - 1 : size) : T(0);
  T place[kBlock], below[kBlock], t[kBlock], slope[kBlock];
  int32_t* elements = taps.elements[d];
  T *shares = taps.shares[d], *slopes = taps.slopes[d];
  ATLED_PICK(grid_places<T>)(grid + (s.dims - 1 - d), s.dims, place, size, s.corners, n);
  if (with_slopes || brought) std::fill_n(slope, n, static_cast<T>(s.corners ? size - 1 : size) / 2);
  if (brought && s.mode != Sampled::kCubic) ATLED_PICK(grid_inside<T>)(place, slope, size, low, span, n);
  if (s.mode == Sampled::kNearest) {  // whose slopes nobody asks for
    ATLED_PICK(grid_round<T>)(place, below, n);
    std::fill_n(shares, n, T(1));
    return ATLED_PICK(grid_elements<T>)(below, 0, size, elements, n);
  }
  ATLED_PICK(grid_floor<T>)(place, below, t, n);
  if (s.mode == Sampled::kLinear) {
    ATLED_PICK(grid_linear<T>)(t, shares, n);
    if (with_slopes) ATLED_PICK(grid_linear_slopes<T>)(slope, slopes, n);
    for (int64_t k = 0; k < 2; ++k) ATLED_PICK(grid_elements<T>)(below, static_cast<T>(k), size, elements + k * n, n);
    return;
  }
  ATLED_PICK(grid_cubic<T>)(t, shares, n);
  if (with_slopes) ATLED_PICK(grid_cubic_slopes<T>)(t, slope, slopes, n);
  for (int64_t k = 0; k < 4; ++k) {
    const T offset = static_cast<T>(k - 1);
    if (!brought) {
      ATLED_PICK(grid_elements<T>)(below, offset, size, elements + k * n, n);
      continue;
    }
    // It is the elements, not the place, that are brought inside.
    for (int64_t i = 0; i < n; ++i) place[i] = below[i] + offset;
    ATLED_PICK(grid_inside<T>)(place, slope, size, low, span, n);
    ATLED_PICK(grid_elements<T>)(place, 0, size, elements + k * n, n);
  }
}

// Combination `which` of the dimensions' elements: where it lies in an image, or -1, and the product of the shares,
// with dimension `sloping`'s slope in its place.
template <class T>
void combine(const Sampling& s, const Taps<T>& taps, int64_t which, int sloping, int64_t n, int32_t* index, T* weight) {
  const int64_t count = s.taps();
  int64_t digits[3];
  for (int d = s.dims - 1; d >= 0; --d, which /= count) digits[d] = which % count * n;
  auto factors = [&](int d) { return (d == sloping ? taps.slopes[d] : taps.shares[d]) + digits[d]; };
  std::copy_n(taps.elements[0] + digits[0], n, index);
  std::copy_n(factors(0), n, weight);
  for (int d = 1; d < s.dims; ++d)
    ATLED_PICK(grid_combine<T>)(index, weight, taps.elements[d] + digits[d], factors(d),
                                static_cast<int32_t>(s.sizes[d]), n);
}

// Calls f(image, first point, points, taps) for the blocks [begin, end) of all images.
template <class T, class F>
void each_block(const Sampling& s, const T* grid, bool with_slopes, int64_t begin, int64_t end, F&& f) {
  const int64_t blocks = (s.points + kBlock - 1) / kBlock;
  const auto taps = std::make_unique<Taps<T>>();
  for (int64_t b = begin; b < end; ++b) {
    const int64_t image = b / blocks, first = b % blocks * kBlock, n = std::min(kBlock, s.points - first);
    for (int d = 0; d < s.dims; ++d) find(s, d, grid + (image * s.points + first) * s.dims, with_slopes, n, *taps);
    f(image, first, n, *taps);
  }
}
int64_t blocks_of(const Sampling& s) { return s.images * ((s.points + kBlock - 1) / kBlock); }

template <class T>
void forward_as(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0)), grid = contiguous(arg_tensor(f, 1));
  const Sampling s = sampling(shape_of(input), shape_of(grid), f, 2);
  const T *x = data<T>(input), *at = data<T>(grid);
  T* y = data<T>(out_tensor(f));
  const auto add = ATLED_PICK(add_at_elements<T>);
  parallel_for(blocks_of(s), row_grain(s.channels * kBlock), [&](int64_t begin, int64_t end) {
    std::vector<int32_t> index(static_cast<size_t>(s.combinations() * kBlock));
    std::vector<T> weight(index.size());
    each_block(s, at, false, begin, end, [&](int64_t image, int64_t first, int64_t n, const Taps<T>& taps) {
      for (int64_t k = 0; k < s.combinations(); ++k)
        combine(s, taps, k, -1, n, index.data() + k * n, weight.data() + k * n);
      for (int64_t c = image * s.channels; c < (image + 1) * s.channels; ++c) {
        T* out = y + c * s.points + first;
        std::fill_n(out, n, T(0));
        for (int64_t k = 0; k < s.combinations(); ++k)
          add(x + c * s.elements(), index.data() + k * n, weight.data() + k * n, out, n);
      }
    });
  });
}

template <class T>
void to_input_as(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), grid = contiguous(arg_tensor(f, 1));
  const Sampling s = sampling(arg_shape(f, 2), shape_of(grid), f, 3);
  const T *g = data<T>(grad), *at = data<T>(grid);
  T* out = data<T>(out_tensor(f));
  const int64_t chunks = (s.channels + kChannels - 1) / kChannels, blocks = (s.points + kBlock - 1) / kBlock;
  parallel_for(s.images * chunks, 1, [&](int64_t begin, int64_t end) {
    int32_t index[kBlock];
    T weight[kBlock];
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t image = chunk / chunks, from = image * s.channels + chunk % chunks * kChannels,
                    to = std::min(from + kChannels, (image + 1) * s.channels);
      std::fill(out + from * s.elements(), out + to * s.elements(), T(0));
      each_block(s, at, false, image * blocks, (image + 1) * blocks,
                 [&](int64_t, int64_t first, int64_t n, const Taps<T>& taps) {
                   for (int64_t k = 0; k < s.combinations(); ++k) {
                     combine(s, taps, k, -1, n, index, weight);
                     for (int64_t c = from; c < to; ++c) {
                       T* y = out + c * s.elements();
                       const T* values = g + c * s.points + first;
                       for (int64_t i = 0; i < n; ++i)
                         if (index[i] >= 0) y[index[i]] += values[i] * weight[i];
                     }
                   }
                 });
    }
  });
}

template <class T>
void to_grid_as(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), input = contiguous(arg_tensor(f, 1)),
               grid = contiguous(arg_tensor(f, 2));
  const Sampling s = sampling(shape_of(input), shape_of(grid), f, 3);
  const T *g = data<T>(grad), *x = data<T>(input), *at = data<T>(grid);
  T* out = data<T>(out_tensor(f));
  const auto add = ATLED_PICK(add_at_elements<T>);
  const auto add_slopes = ATLED_PICK(add_products<T>);
  parallel_for(blocks_of(s), row_grain(s.channels * kBlock), [&](int64_t begin, int64_t end) {
    each_block(s, at, true, begin, end, [&](int64_t image, int64_t first, int64_t n, const Taps<T>& taps) {
      int32_t index[kBlock];
      T weight[kBlock], products[kBlock], sums[3][kBlock] = {};
      for (int64_t k = 0; k < s.combinations() && s.mode != Sampled::kNearest; ++k) {
        combine(s, taps, k, 0, n, index, weight);
        std::fill_n(products, n, T(0));
        for (int64_t c = image * s.channels; c < (image + 1) * s.channels; ++c)
          add(x + c * s.elements(), index, g + c * s.points + first, products, n);
        for (int d = 0; d < s.dims; ++d) {
          if (d > 0) combine(s, taps, k, d, n, index, weight);
          add_slopes(products, weight, index, sums[d], n);
        }
      }
      T* to = out + (image * s.points + first) * s.dims;
      for (int64_t i = 0; i < n; ++i)
        for (int d = 0; d < s.dims; ++d) to[i * s.dims + s.dims - 1 - d] = sums[d][i];
    });
  });
}

}  // namespace

void add_grid_sample() {
  constexpr int kCpu = ATLED_DEVICE_CPU;
  add_kernel("nn::grid_sample", kCpu, kernel<wide_kernel<forward_as<float>, forward_as<double>, 0>>);
  add_kernel("nn::grid_sample_backward_input", kCpu, kernel<wide_kernel<to_input_as<float>, to_input_as<double>, 0>>);
  add_kernel("nn::grid_sample_backward_grid", kCpu, kernel<wide_kernel<to_grid_as<float>, to_grid_as<double>, 0>>);
}

}  // namespace atled::nn
