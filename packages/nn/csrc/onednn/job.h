// oneDNN primitives as atled uses them: made once for each key, run on plain row-major data from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "atled/plugin.hpp"
#include "oneapi/dnnl/dnnl.hpp"

namespace atled::nn::onednn {

dnnl::engine& engine();

// How many threads oneDNN may use: core's number, and one in a process that was forked after oneDNN had run. A
// primitive is made for a number of threads, so keys hold it.
int team_size();

// The attributes of every primitive: scratch memory comes from the caller, so that threads can share the primitive.
dnnl::primitive_attr attributes();

// What one argument of a primitive looks like to us (row-major) and to the primitive (whatever it runs best on).
struct Operand {
  int arg;  // DNNL_ARG_SRC, ...
  bool output;
  dnnl::memory::desc ours, theirs;
};

// A primitive with the reorders between our layouts and its own. Immutable; run() may be called from several threads.
class Job {
 public:
  Job(dnnl::primitive primitive, const dnnl::memory::desc& scratchpad, std::vector<Operand> operands);
  // The data of each operand, in their order. Throws dnnl::error.
  void run(std::initializer_list<const void*> data) const;

 private:
  struct Slot {
    Operand operand;
    dnnl::primitive reorder;  // empty when the layouts agree
    size_t offset = 0;        // of the reordered copy in the workspace
  };
  dnnl::primitive primitive_;
  dnnl::memory::desc scratchpad_;
  std::vector<Slot> slots_;
  size_t size_ = 0, scratch_ = 0;  // of the workspace: the reordered copies, then, from scratch_ on, scratch memory
};

// What distinguishes one job from another: the kind of primitive, dtype, sizes and parameters.
using Key = std::vector<int64_t>;

// The job for the key, made by `make` on first use; NULL where oneDNN has no implementation (this is remembered too).
// Thread-safe.
std::shared_ptr<const Job> find_job(const Key& key, const std::function<std::shared_ptr<const Job>()>& make);

}  // namespace atled::nn::onednn
