#include "onednn/job.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <unordered_map>
#if !defined(_WIN32)
#include <pthread.h>
#endif

// From the OpenMP runtime that oneDNN was built with, which need not be this compiler's own.
extern "C" void omp_set_num_threads(int);

namespace atled::nn::onednn {
namespace {

constexpr size_t kMaxJobs = 1024, kAlignment = 64;

size_t aligned(size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

std::atomic<bool> teams_used{false}, teams_lost{false};

// The threads of an OpenMP team do not survive a fork, and its library would wait for them: such a child runs alone.
void follow_forks() {
#if !defined(_WIN32)
  static std::once_flag once;
  std::call_once(once, [] {
    pthread_atfork(nullptr, nullptr, [] {
      if (teams_used) teams_lost = true;
    });
  });
#endif
}

class Workspace {
 public:
  explicit Workspace(size_t size) : size_(size) {
    if (size_) check(alloc_group->allocate(DLDevice{kDLCPU, 0}, size_, &data_));
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    if (data_) alloc_group->free(DLDevice{kDLCPU, 0}, data_, size_);
  }
  char* at(size_t offset) const { return static_cast<char*>(data_) + offset; }

 private:
  size_t size_;
  void* data_ = nullptr;
};

std::mutex jobs_mutex;
std::map<Key, std::shared_ptr<const Job>>& jobs() {
  static auto* table = new std::map<Key, std::shared_ptr<const Job>>;
  return *table;
}

}  // namespace

dnnl::engine& engine() {
  static auto* one = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *one;
}

int team_size() {
  if (teams_lost) return 1;
  follow_forks();
  teams_used = true;
  return parallel_group->num_threads();
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

Job::Job(dnnl::primitive primitive, const dnnl::memory::desc& scratchpad, std::vector<Operand> operands)
    : primitive_(std::move(primitive)), scratchpad_(scratchpad) {
  size_t scratch = scratchpad.get_size();
  for (Operand& operand : operands) {
    Slot slot{std::move(operand), {}, 0};
    const Operand& o = slot.operand;
    if (o.ours != o.theirs) {
      const auto& from = o.output ? o.theirs : o.ours;
      const auto& to = o.output ? o.ours : o.theirs;
      dnnl::reorder::primitive_desc reorder(engine(), from, engine(), to, attributes());
      // Reorders and the primitive run one after another and share their scratch memory.
      scratch = std::max(scratch, reorder.scratchpad_desc().get_size());
      slot.reorder = dnnl::reorder(reorder);
      slot.offset = size_;
      size_ += aligned(o.theirs.get_size());
    }
    slots_.push_back(std::move(slot));
  }
  size_ += aligned(scratch);
  scratch_ = size_ - aligned(scratch);
}

void Job::run(std::initializer_list<const void*> data) const {
  omp_set_num_threads(team_size());
  thread_local dnnl::stream stream(engine());
  const Workspace workspace(size_);
  std::unordered_map<int, dnnl::memory> arguments;
  char* scratch = size_ ? workspace.at(scratch_) : nullptr;
  const auto reorder = [&](const Slot& slot, const dnnl::memory& from, const dnnl::memory& to) {
    const dnnl::memory::desc size({static_cast<int64_t>(size_ - scratch_)}, dnnl::memory::data_type::u8,
                                  dnnl::memory::format_tag::a);
    slot.reorder.execute(
        stream,
        {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, dnnl::memory(size, engine(), scratch)}});
  };
  std::vector<std::pair<const Slot*, dnnl::memory>> to_write;
  auto pointer = data.begin();
  for (const Slot& slot : slots_) {
    const Operand& o = slot.operand;
    dnnl::memory ours(o.ours, engine(), const_cast<void*>(*pointer++));
    if (!slot.reorder) {
      arguments.emplace(o.arg, std::move(ours));
      continue;
    }
    dnnl::memory theirs(o.theirs, engine(), workspace.at(slot.offset));
    if (o.output)
      to_write.emplace_back(&slot, std::move(ours));
    else
      reorder(slot, ours, theirs);
    arguments.emplace(o.arg, std::move(theirs));
  }
  arguments.emplace(DNNL_ARG_SCRATCHPAD, dnnl::memory(scratchpad_, engine(), scratch));
  primitive_.execute(stream, arguments);
  for (auto& [slot, ours] : to_write) reorder(*slot, arguments.at(slot->operand.arg), ours);
  stream.wait();
}

std::shared_ptr<const Job> find_job(const Key& key, const std::function<std::shared_ptr<const Job>()>& make) {
  {
    const std::lock_guard<std::mutex> lock(jobs_mutex);
    const auto found = jobs().find(key);
    if (found != jobs().end()) return found->second;
  }
  std::shared_ptr<const Job> job;
  try {
    omp_set_num_threads(team_size());
    job = make();
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) throw;
  }
  const std::lock_guard<std::mutex> lock(jobs_mutex);
  if (jobs().size() >= kMaxJobs) jobs().clear();
  return jobs().emplace(key, std::move(job)).first->second;
}

}  // namespace atled::nn::onednn
