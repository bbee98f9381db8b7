// Kernels on the host: each thread of a block is a fiber; blocks run one after the other.
//
// The order in which threads, and blocks, take turns changes from one phase to the next, so that what needs a barrier
// and has none comes out wrong.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "emulator.h"
#include "kernel.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace atled::emulator {

namespace {

constexpr size_t kStack = 64 << 10, kGuard = 4096;
constexpr int kMostThreads = 1024;

enum class State { kReady, kAtBlockBarrier, kAtWarpBarrier, kDone };

struct Fiber {
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  State state = State::kDone;
  uint32_t mask = 0;  // of the lanes that the warp barrier waits for
  uint3 index{};
};

struct Block {
  std::vector<Fiber> fibers;
  int running = 0, threads = 0;
  void* scheduler = nullptr;  // its stack pointer while a fiber runs
  const std::function<void()>* kernel = nullptr;
  alignas(8) char slots[kMostThreads][8];
};
Block block;

extern "C" void atled_emulator_switch(void** save, void* load);
#if !defined(__x86_64__)
#error "the emulator switches stacks on x86-64 only"
#endif
asm(R"(
.text
.globl atled_emulator_switch
.hidden atled_emulator_switch
.type atled_emulator_switch, @function
atled_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size atled_emulator_switch, .-atled_emulator_switch
)");

void to_scheduler() {
  Fiber& fiber = block.fibers[static_cast<size_t>(block.running)];
  atled_emulator_switch(&fiber.stack_pointer, block.scheduler);
}

void fiber_main() {
  for (;;) {
    (*block.kernel)();
    block.fibers[static_cast<size_t>(block.running)].state = State::kDone;
    to_scheduler();
  }
}

void prepare(Fiber& fiber) {
  if (!fiber.stack) {
    void* mapped = mmap(nullptr, kStack + kGuard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED || mprotect(mapped, kGuard, PROT_NONE)) refuse("no memory for threads' stacks");
    fiber.stack = static_cast<char*>(mapped) + kGuard;
    // As if atled_emulator_switch had been called by fiber_main's caller: six registers, then where to go on,
    // with the stack as a call leaves it: 8 bytes past a multiple of 16.
    void** top = reinterpret_cast<void**>(fiber.stack + kStack) - 1;
    *top = nullptr;
    *--top = reinterpret_cast<void*>(fiber_main);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    fiber.stack_pointer = top;
  }
  fiber.state = State::kReady;
}

void run(int thread) {
  Fiber& fiber = block.fibers[static_cast<size_t>(thread)];
  block.running = thread;
  threadIdx = fiber.index;
  atled_emulator_switch(&block.scheduler, fiber.stack_pointer);
}

// Lets go of the warps whose lanes have all arrived; whether there was one.
bool release_warps() {
  bool any = false;
  for (int first = 0; first < block.threads; first += kWarp) {
    for (int lane = 0; lane < kWarp && first + lane < block.threads; ++lane) {
      Fiber& one = block.fibers[static_cast<size_t>(first + lane)];
      if (one.state != State::kAtWarpBarrier) continue;
      bool all = true;
      for (int other = 0; other < kWarp && all; ++other) {
        if (!(one.mask >> other & 1)) continue;
        const size_t k = static_cast<size_t>(first + other);
        all = first + other < block.threads && block.fibers[k].state == State::kAtWarpBarrier &&
              block.fibers[k].mask == one.mask;
      }
      if (!all) continue;
      const uint32_t mask = one.mask;
      for (int other = 0; other < kWarp; ++other)
        if (mask >> other & 1) block.fibers[static_cast<size_t>(first + other)].state = State::kReady;
      any = true;
    }
  }
  return any;
}

void run_block(uint32_t& phase) {
  for (int k = 0; k < block.threads; ++k) prepare(block.fibers[static_cast<size_t>(k)]);
  for (;;) {
    // Forwards, backwards, or in strides.
    const int n = block.threads, order = static_cast<int>(phase++ % 3);
    for (int k = 0; k < n; ++k) {
      int thread = order == 0 ? k : order == 1 ? n - 1 - k : 0;
      if (order == 2) {
        const int half = (n + 1) / 2;
        thread = k < half ? 2 * k : 2 * (k - half) + 1;
      }
      if (block.fibers[static_cast<size_t>(thread)].state == State::kReady) run(thread);
    }
    int done = 0, waiting = 0;
    for (int k = 0; k < n; ++k) {
      const State state = block.fibers[static_cast<size_t>(k)].state;
      done += state == State::kDone;
      waiting += state == State::kAtBlockBarrier;
    }
    if (done == n) return;
    if (waiting == n) {
      for (int k = 0; k < n; ++k) block.fibers[static_cast<size_t>(k)].state = State::kReady;
    } else if (!release_warps()) {
      if (waiting && done) refuse("threads wait at __syncthreads that others of their block never reach");
      refuse("lanes wait for lanes of their warp that never arrive");
    }
  }
}

}  // namespace

void block_barrier() {
  block.fibers[static_cast<size_t>(block.running)].state = State::kAtBlockBarrier;
  to_scheduler();
}

void warp_barrier(uint32_t mask) {
  if (!(mask >> lane() & 1)) refuse("a lane calls a warp's function with a mask that leaves it out");
  const int first = block.running / kWarp * kWarp;
  if (first + kWarp > block.threads) {  // what is not there does not take part
    const uint32_t there = (uint32_t{1} << (block.threads - first)) - 1;
    mask &= there;
  }
  Fiber& fiber = block.fibers[static_cast<size_t>(block.running)];
  fiber.state = State::kAtWarpBarrier;
  fiber.mask = mask;
  to_scheduler();
}

int lane() { return block.running % kWarp; }
char* warp_slot(int lane) { return block.slots[block.running / kWarp * kWarp + lane]; }

void run_grid(dim3 grid, dim3 size, const std::function<void()>& kernel) {
  static uint32_t phase = 0;
  block.threads = static_cast<int>(size.x * size.y * size.z);
  if (block.fibers.size() < static_cast<size_t>(block.threads)) block.fibers.resize(kMostThreads);
  block.kernel = &kernel;
  blockDim = size;
  gridDim = grid;
  for (int k = 0; k < block.threads; ++k) {
    const auto t = static_cast<unsigned>(k);
    block.fibers[t].index = uint3{t % size.x, t / size.x % size.y, t / size.x / size.y};
  }
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  const bool backwards = phase % 2;
  for (uint64_t i = 0; i < blocks; ++i) {
    const uint64_t b = backwards ? blocks - 1 - i : i;
    blockIdx = uint3{static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                     static_cast<unsigned>(b / grid.x / grid.y)};
    run_block(phase);
  }
}

cudaError_t launch(dim3 grid, dim3 size, size_t shared, cudaStream_t stream, std::function<void()> kernel) {
  const bool valid = grid.x && grid.y && grid.z && size.x && size.y && size.z && grid.x <= 0x7fffffffu &&
                     grid.y <= 65535 && grid.z <= 65535 && size.x <= kMostThreads && size.y <= kMostThreads &&
                     size.z <= 64 && uint64_t{size.x} * size.y * size.z <= kMostThreads;
  if (!valid || shared) return answer(cudaErrorInvalidConfiguration);
  return answer(enqueue(stream, [grid, size, kernel = std::move(kernel)] { run_grid(grid, size, kernel); }));
}

}  // namespace atled::emulator
