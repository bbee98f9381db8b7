#include <algorithm>

#include "cpu/kernel.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// Element i is kept where word i of the stream is at least p 2^32: four elements for each counter.
template <class T>
void forward_as(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0));
  const double p = arg_double(f, 1);
  atled_generator* generator = arg_is_none(f, 2) ? nullptr : f->args[2].u.generator;
  const int64_t n = numel(input), counters = (n + 3) / 4;
  uint64_t seed = 0, offset = 0;
  check(rng_group->reserve(generator, static_cast<uint64_t>(counters), &seed, &offset));
  const uint64_t threshold = static_cast<uint64_t>(p * 4294967296.0);
  const Wide<T> scale = p < 1 ? static_cast<Wide<T>>(1 / (1 - p)) : Wide<T>(0);
  const T* x = data<T>(input);
  T* y = data<T>(out_tensor(f, 0));
  bool* mask = data<bool>(out_tensor(f, 1));
  const auto random_words = ATLED_PICK(random_words<uint64_t>);
  parallel_for(counters, 4096, [&](int64_t begin, int64_t end) {
    constexpr int64_t kBlock = 256;
    uint32_t words[4 * kBlock];
    for (int64_t start = begin; start < end; start += kBlock) {
      const int64_t block = std::min(kBlock, end - start), first = 4 * start, count = std::min(4 * block, n - first);
      random_words(seed, offset + static_cast<uint64_t>(start), words, block);
      for (int64_t k = 0; k < count; ++k) mask[first + k] = words[k % 4 * block + k / 4] >= threshold;
      for (int64_t k = first; k < first + count; ++k)
        y[k] = mask[k] ? static_cast<T>(static_cast<Wide<T>>(x[k]) * scale) : T(0);
    }
  });
}

template <class T>
void backward_as(atled_frame* f) {
  const Tensor grad = contiguous(arg_tensor(f, 0)), mask = contiguous(arg_tensor(f, 1));
  const double p = arg_double(f, 2);
  const Wide<T> scale = p < 1 ? static_cast<Wide<T>>(1 / (1 - p)) : Wide<T>(0);
  const T* g = data<T>(grad);
  const bool* kept = data<bool>(mask);
  T* y = data<T>(out_tensor(f));
  parallel_for(numel(grad), 32768, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = kept[i] ? static_cast<T>(static_cast<Wide<T>>(g[i]) * scale) : T(0);
  });
}

void forward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { forward_as<typename decltype(tag)::type>(f); });
}
void backward(atled_frame* f) {
  visit_float(arg_tensor(f, 0)->dtype, [&](auto tag) { backward_as<typename decltype(tag)::type>(f); });
}

}  // namespace

void add_dropout() {
  add_kernel("nn::dropout", ATLED_DEVICE_CPU, kernel<forward>);
  add_kernel("nn::dropout_backward", ATLED_DEVICE_CPU, kernel<backward>);
}

}  // namespace atled::nn
