// The parts of fusion: a call that is put off, and a thread's region of such calls. What runs them is in
// fusion_sweep.cpp and, for calls of one shape, in fusion_pass.h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/iterator.h"
#include "dispatch/fusion.h"
#include "ops/rules.h"

namespace atled::core {

struct ReduceLoops;

// A call that is yet to run: a loop, what it reads, and where its result goes. Results are row-major. Element-wise, or
// the reduction of another such call's result along its last dimensions.
struct Deferred {
  static constexpr int kInputs = Elementwise::kMaxOperands - 1;
  static constexpr int kDims = 8;
  static constexpr size_t kContext = 48;

  // One of: the result of an element-wise call of the same shape; memory, by a reference to its storage; a number.
  struct Input {
    Deferred* from;
    Storage* storage;
    Deferred* after;  // the call that is yet to write that memory, if any
    char* data;
    int dtype, loop_dtype;
    int64_t strides[kDims];  // in bytes, of memory: along the dimensions of the result
    alignas(16) char number[16];
  };

  FusionRegion* region;
  atled_loop loop;
  const ReduceLoops* reduction;  // in place of a loop
  alignas(16) char context[kContext];
  int dtype, loop_dtype;
  int ndim, count;
  int64_t shape[kDims], numel;  // of what a reduction reduces,
  int64_t length;               // ... so many elements to one
  Storage* storage;             // whose memory the result goes to; NULL once nobody can ask for it. Not owned
  char* data;
  bool needed;
  bool reduced;     // a reduction reads it, for which it may have to be written though no tensor holds it
  bool spills;      // it is written though no tensor holds it
  void* spilled;    // ... here, or, where this is NULL,
  int64_t local;    // ... so many bytes into the memory of a thread's part of its sweep
  bool read_soon;   // by another pass of its sweep
  bool read_later;  // by a later sweep
  int level;        // the pass that runs it: later than those that write what it reads
  int sweep;        // that this pass is part of
  int place;        // of its value in its pass
  Input inputs[kInputs];

  bool written() const { return storage || spills; }
  bool same_shape(const Deferred& other) const;
  // Whether t is the result as it is, of the call's shape.
  bool is(const atled_tensor* t) const;
};

class FusionRegion {
 public:
  int depth = 0;

  // An unused Deferred to be filled, which `keep` adds to the calls.
  Deferred* blank();
  void keep(Deferred* call);
  // Of calls, or of memory that nothing but they keep or may come to need.
  bool full() const { return count_ == kMost || (count_ % 8 == 7 && idle_bytes() > kMostIdle); }
  bool empty() const { return count_ == 0; }
  bool reads(const Storage* storage) const;
  // Runs what is needed of the calls and forgets all. When it throws, nothing is forgotten: it may be tried again.
  void run();

 private:
  static constexpr size_t kMost = 64, kMostIdle = size_t{1} << 26;
  size_t idle_bytes() const;
  void plan();
  void clear() noexcept;

  std::vector<std::unique_ptr<Deferred>> calls_;  // of which the first count_ are in use
  size_t count_ = 0;
  std::vector<Deferred*> needed_;
  std::vector<Storage*> held_;  // what the calls read, a reference for each
};

// What takes the place of running while a kernel is asked what it would run.
class Deferral {
 public:
  Deferral(FusionRegion* region, const atled_tensor* out) : region_(region), out_(out) {}
  void take(const Elementwise& e, atled_loop loop, const void* ctx, size_t ctx_bytes);
  void take(const atled_tensor* in, DimSet dims, const atled_tensor* out, const ReduceLoops& loops, const void* r,
            size_t r_bytes);
  Deferred* call() const { return call_; }

 private:
  // An unused call that writes `out`; NULL where that is not the result, or the kernel has more to run than one thing.
  Deferred* begin(const atled_tensor* out, const void* ctx, size_t ctx_bytes);
  bool fill(Deferred* call, const Elementwise& e) const;
  bool set_input(Deferred* call, const Elementwise::Operand& o) const;
  bool set_input(Deferred* call, const atled_tensor* t, int loop_dtype) const;

  FusionRegion* region_;
  const atled_tensor* out_;
  bool asked_ = false;
  Deferred* call_ = nullptr;  // NULL: it cannot be put off
};

// Runs calls that are in the order of their levels; it may change that of those of one level.
void run_calls(std::vector<Deferred*>& calls);

}  // namespace atled::core
