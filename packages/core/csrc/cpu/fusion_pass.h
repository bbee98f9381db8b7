// One pass of fusion: calls of one shape, none of which reads memory that one of them writes, run together block by
// block. A block's values stay in the L1 cache from the call that makes them to those that read them; only what a
// tensor still holds, or another pass reads, is written to memory.
#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include "cpu/cascade.h"
#include "cpu/fusion.h"
#include "cpu/scratch.h"

namespace atled::core {

class Pass {
 public:
  static constexpr int64_t kBlockBytes = 3072;  // of one value

  Pass(Deferred* const* calls, size_t count);

  Deferred* const* begin() const { return calls_; }
  Deferred* const* end() const { return calls_ + count_; }
  int64_t numel() const { return calls_[0]->numel; }
  // Elements of a row that is reduced on the way, 0 where none is.
  int64_t row() const { return reduced_.empty() ? 0 : sizes_[0]; }
  // Bytes of one value in one of `rows` equal parts.
  int64_t row_bytes(int64_t rows) const { return rows ? numel() / rows * widest_ : 0; }
  // Whether any of those can be run apart.
  bool comes_in(int64_t rows) const;

  // Once it is known where the results go that other passes read.
  void prepare();
  // On all threads.
  void run();

  // The same on one thread, part by part. Memory for blocks, which passes that run in turn may share:
  static constexpr int kOnStack = 16;
  struct Memory {
    explicit Memory(int64_t beyond) : rest(beyond) {}
    alignas(64) char some[kOnStack * kBlockBytes];
    Scratch<char> rest;
  };
  int64_t beyond_stack() const;
  // A reduction while a thread goes along a row.
  struct Running {
    Running(const ReduceLoops& loops, const void* ctx) : sums(loops, ctx, 1, storage) {}
    alignas(16) char storage[kPairings * kWidest];
    Cascade sums;
  };
  // The table of pointers (slots, numbers, buffers), and where the slots go that are spread.
  struct Table {
    std::vector<char*> at, spread;
    std::vector<const char*> filled;
    std::vector<std::unique_ptr<Running>> running;
  };
  void set_up(Table& t, Memory& memory) const;
  // Elements begin to end. `local`: where results of element `begin` on go that nothing but a sweep reads.
  void range(Table& t, int64_t begin, int64_t end, char* local);
  bool streams() const { return streams_; }

 private:
  // Memory that the pass reads or writes: of a call's result, or of others.
  struct Slot {
    const Deferred* result;
    char* data;
    int item;
    int64_t strides[Deferred::kDims];  // in bytes, along the dimensions of the calls' shape
    int64_t steps[Deferred::kDims];    // ... and along those that are left when it is joined, the innermost first
    int64_t turn = 0;                  // from the end of a row to the next
    bool read = false;
    bool spread = false;  // blocks of several rows read it from a buffer, where it is brought row by row
  };

  // Where a value is, and how far apart its elements are there. Places are of slots, then of numbers, then of buffers.
  struct Value {
    int place, dtype;
    int64_t stride;
  };

  // A loop over a block: its operands are places in the table of pointers, the result first. Without a loop, a
  // reduction of the one operand.
  struct Step {
    void add(const Value& v) {
      places[count] = v.place;
      strides[count++] = v.stride;
    }
    atled_loop loop;
    void* context;
    int count;
    int places[Elementwise::kMaxOperands];
    int64_t strides[Elementwise::kMaxOperands];
    bool single;  // of one element, which stands for all
  };

  // A reduction that goes along with the pass, and the results of its rows' chunks where they have several.
  struct Reduced {
    Deferred* call;
    std::vector<char> partial;
  };

  struct Cast {
    int from, to;
    int place;  // of what was converted
    Value made;
  };

  bool here(const Deferred* call) const { return call->level == calls_[0]->level; }
  int slot(const Deferred* result, char* data, const int64_t* strides, int dtype);
  int input_slot(const Deferred::Input& input) { return slot(nullptr, input.data, input.strides, input.dtype); }
  int result_slot(const Deferred* call);
  void find_slots();
  void join_dims();
  bool blocks_of_rows();

  Value at_slot(int i, int dtype) const;
  Value buffer(int dtype, bool single = false);
  void step(atled_loop loop, void* context, std::initializer_list<Value> values, bool single = false);
  Value converted(const Value& v, int dtype);
  Value value_of(const Deferred* call);
  Value read(Deferred::Input& input);
  void add_call(Deferred* call);
  void add_reduction(const Reduced& r);
  void share_buffers();

  int on_stack() const { return buffer_bytes_ == kBlockBytes ? kOnStack : 0; }
  void part(int64_t begin, int64_t end);
  void run_rows();
  void along_row(Table& t, int64_t from, int64_t row, int64_t left);
  void spread(Table& t, int64_t rows) const;
  void bring(const Slot& slot, const char* from, char* to, int64_t rows) const;
  void fetch(char* const* at, int64_t n, int64_t of_row, int64_t left) const;
  void block(Table& t, int64_t from, int64_t n);
  void reduce_block(Table& t, size_t which, const char* in, int64_t from, int64_t n);
  int64_t grain(int64_t unit) const;

  Deferred* const* calls_;
  size_t count_;
  std::vector<Deferred*> reductions_;  // by a look at memory after the pass
  std::vector<Reduced> reduced_;       // block by block
  int64_t chunks_ = 1;                 // of each row that is reduced
  bool short_ = false;                 // those rows are of one block, or less
  std::vector<Slot> slots_;
  std::vector<char*> numbers_;
  std::vector<Cast> casts_;
  std::vector<Step> steps_;
  int ndim_ = 0, buffers_ = 0, used_ = 0, spreads_ = 0;
  bool streams_ = false, fetches_ = false;
  int64_t sizes_[Deferred::kDims], block_, buffer_bytes_;
  int widest_;        // bytes of an element of a value
  int64_t rows_ = 1;  // of a block, where rows are short
};

}  // namespace atled::core
