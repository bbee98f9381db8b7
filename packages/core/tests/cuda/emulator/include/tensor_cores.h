// What nn's csrc/cuda/tensor_cores.cuh declares, on the host: the lanes show each other their registers, in the
// fragments that are described there. Copies are made when they are waited for, so that what does not wait is wrong.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "atled/dtype.hpp"

namespace atled::nn {

namespace emulated {

constexpr int kLanes = 32, kMostThreads = 1024;

[[noreturn]] inline void refuse(const char* why) {
  std::fprintf(stderr, "emulated CUDA: %s\n", why);
  std::abort();
}

// What each thread of a block shows the others of its warp.
struct Shown {
  float a[4][2], b[2][2];  // each register's two numbers
  const char* row;
};
inline Shown shown[kMostThreads];

struct Copy {
  void* to;
  const void* from;  // NULL for zeros
};
inline std::vector<std::vector<Copy>> groups[kMostThreads];  // the last one is not ended

inline Shown* warp() { return shown + threadIdx.x / kLanes * kLanes; }
inline Shown& mine() { return shown[threadIdx.x]; }
inline void meet() { emulator::warp_barrier(0xffffffffu); }

template <class T>
void show(float (&numbers)[2], uint32_t both) {
  for (int i = 0; i < 2; ++i) {
    T x;
    x.bits = static_cast<uint16_t>(both >> 16 * i);
    numbers[i] = static_cast<float>(x);
  }
}
inline uint32_t element(const char* row, int i) {
  uint16_t bits;
  std::memcpy(&bits, row + 2 * i, sizeof bits);
  return bits;
}
inline void show_row(const void* row) {
  if (reinterpret_cast<uintptr_t>(row) % 16) refuse("ldmatrix: a row that is not at a multiple of 16 bytes");
  mine().row = static_cast<const char*>(row);
  meet();
}

}  // namespace emulated

template <class T>
void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  using namespace emulated;
  for (int i = 0; i < 4; ++i) show<T>(mine().a[i], a[i]);
  show<T>(mine().b[0], b0);
  show<T>(mine().b[1], b1);
  meet();
  const int lane = emulator::lane(), g = lane / 4, t = lane % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + i / 2 * 8, column = 2 * t + i % 2;
    double sum = c[i];
    for (int k = 0; k < 16; ++k) {
      const Shown &left = warp()[row % 8 * 4 + k % 8 / 2], &right = warp()[column * 4 + k % 8 / 2];
      sum += static_cast<double>(left.a[row / 8 + k / 8 * 2][k % 2] * right.b[k / 8][k % 2]);  // exact in float
    }
    c[i] = static_cast<float>(sum);
  }
  meet();
}

inline void load_matrices(uint32_t (&r)[4], const void* row) {
  using namespace emulated;
  show_row(row);
  const int lane = emulator::lane(), g = lane / 4, t = lane % 4;
  for (int m = 0; m < 4; ++m) {
    const char* line = warp()[8 * m + g].row;
    r[m] = element(line, 2 * t) | element(line, 2 * t + 1) << 16;
  }
  meet();
}
inline void load_transposed(uint32_t (&r)[4], const void* row) {
  using namespace emulated;
  show_row(row);
  const int lane = emulator::lane(), g = lane / 4, t = lane % 4;
  for (int m = 0; m < 4; ++m) {
    const Shown* lines = warp() + 8 * m + 2 * t;
    r[m] = element(lines[0].row, g) | element(lines[1].row, g) << 16;
  }
  meet();
}

inline void copy_later(void* shared, const void* global, bool there) {
  using namespace emulated;
  if ((reinterpret_cast<uintptr_t>(shared) | reinterpret_cast<uintptr_t>(there ? global : nullptr)) % 16)
    refuse("cp.async: an address that is no multiple of 16 bytes");
  auto& all = groups[threadIdx.x];
  if (all.empty()) all.emplace_back();
  all.back().push_back({shared, there ? global : nullptr});
}
inline void end_group() {
  auto& all = emulated::groups[threadIdx.x];
  if (all.empty()) all.emplace_back();
  all.emplace_back();
}
template <int Left>
void wait_for_groups() {
  auto& all = emulated::groups[threadIdx.x];
  while (all.size() > Left + 1) {
    for (const emulated::Copy& copy : all.front())
      copy.from ? std::memcpy(copy.to, copy.from, 16) : std::memset(copy.to, 0, 16);
    all.erase(all.begin());
  }
}

template <class T>
uint32_t packed(float first, float second) {
  return T(first).bits | static_cast<uint32_t>(T(second).bits) << 16;
}
inline float power_of_two(float x) { return std::exp2(x); }

}  // namespace atled::nn
