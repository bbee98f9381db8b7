// Values of images and volumes at given places. Safe from any thread.
#pragma once

#include "ops/rules.h"

namespace atled::nn {

enum class Sampled { kNearest, kLinear, kCubic };
enum class Outside { kZeros, kBorder, kReflection };

struct Sampling {
  int dims;  // 2 or 3
  int64_t images, channels, points, sizes[3];
  Sampled mode;
  Outside outside;
  bool corners;

  int64_t taps() const { return mode == Sampled::kCubic ? 4 : mode == Sampled::kLinear ? 2 : 1; }  // of a dimension
  int64_t combinations() const { return dims == 2 ? taps() * taps() : taps() * taps() * taps(); }
  int64_t elements() const { return sizes[0] * sizes[1] * sizes[2]; }  // of a channel
};
// The arguments from `mode` on are mode, padding_mode and align_corners. Throws where they do not fit.
Sampling sampling(Shape input, Shape grid, const atled_frame* frame, int mode);

}  // namespace atled::nn
