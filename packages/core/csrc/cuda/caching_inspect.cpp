// What the caching allocator tells: history, snapshots and the out-of-memory error. Texts of sites are made without a
// lock, since Python's may be needed for them; sites that are retired meanwhile are released afterwards.
#include <algorithm>
#include <array>
#include <chrono>

#include "caching_allocator.h"

namespace atled::cuda {
namespace {

constexpr size_t kLinesAsked = 64;  // groups of live allocations whose lines are asked for
constexpr size_t kLinesShown = 10;

// The line of each site, asked for once.
class Lines {
 public:
  explicit Lines(const SiteCallbacks& sites) : sites_(sites) {}
  const std::string& operator()(Site site) {
    std::string& line = lines_[{site.words[0], site.words[1]}];
    if (line.empty() && site.known() && sites_.text) {
      char text[512] = "";
      sites_.text(site, text, sizeof text);
      line = text;
    }
    return line;
  }

 private:
  const SiteCallbacks& sites_;
  std::map<std::array<uint64_t, 2>, std::string> lines_;
};

uintptr_t number(const void* address) { return reinterpret_cast<uintptr_t>(address); }

}  // namespace

// Lets go of the lock, and then of the sites that are no longer needed.
void CachingAllocator::leave(Lock& lock) {
  if (retired_.empty() || readers_) return lock.unlock();
  if (retired_.size() == 1) {  // the vector keeps its memory
    const Site site = retired_.back();
    retired_.clear();
    lock.unlock();
    if (sites_.release) sites_.release(site);
    return;
  }
  std::vector<Site> retired;
  retired.swap(retired_);
  lock.unlock();
  if (sites_.release)
    for (Site site : retired) sites_.release(site);
}

void CachingAllocator::add_to_history(Action action, const void* address, size_t bytes, Stream stream, Site site) {
  using std::chrono::system_clock;
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(system_clock::now().time_since_epoch());
  HistoryEntry entry{action, number(address), bytes, number(stream), now.count(), site, {}};
  if (history_.size() < history_size_.load(std::memory_order_relaxed)) return history_.push_back(std::move(entry));
  retire(history_[history_at_].site);
  history_[history_at_] = std::move(entry);
  history_at_ = (history_at_ + 1) % history_.size();
}

void CachingAllocator::record_history(size_t entries) {
  Lock lock(mutex_);
  for (const HistoryEntry& entry : history_) retire(entry.site);
  history_.clear();
  history_.shrink_to_fit();
  history_.reserve(entries);
  history_at_ = 0;
  history_size_.store(entries);
  leave(lock);
}

Snapshot CachingAllocator::snapshot() {
  Snapshot all;
  all.device = device_;
  Lock lock(mutex_);
  ++readers_;
  for (const auto& [base, segment] : segments_) {
    const StreamPool& pool = *segment->pool;
    all.segments.push_back(SegmentInfo{
        number(base), segment->mapped, number(pool.stream), pool.small, segment->expandable, pool.group->id, {}});
    for (const Block* block = segment->first; block; block = block->after) {
      if (block->state == BlockState::kHole && !block->after) break;  // what was never needed
      const bool live = block->state == BlockState::kLive;
      const size_t requested = live || block->state == BlockState::kWaiting ? block->requested : 0;
      all.segments.back().blocks.push_back(
          BlockInfo{number(block->ptr), block->bytes, requested, block->state, live ? block->site : Site(), {}});
    }
  }
  for (size_t i = 0; i < history_.size(); ++i) all.history.push_back(history_[(history_at_ + i) % history_.size()]);
  lock.unlock();

  Lines lines(sites_);
  for (SegmentInfo& segment : all.segments)
    for (BlockInfo& block : segment.blocks) block.line = lines(block.site);
  for (HistoryEntry& entry : all.history) entry.line = lines(entry.site);
  lock.lock();
  --readers_;
  leave(lock);
  return all;
}

Status CachingAllocator::out_of_memory(size_t nbytes, Stream stream) {
  MemoryProblem problem{};
  problem.device = device_;
  problem.wanted = nbytes;
  problem.expandable = granularity_ != 0;
  problem.capturing = capturing_.load() != 0;
  if (!driver_.memory_info(&problem.free, &problem.total)) problem.total = total_;

  const auto larger = [](const LiveGroup& a, const LiveGroup& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.largest > b.largest;
  };
  std::map<std::array<uint64_t, 3>, LiveGroup> by_site;
  Lock lock(mutex_);
  ++readers_;
  ++stats_.ooms;
  note(Action::kOutOfMemory, nullptr, nbytes, stream);
  problem.limit = limit_;
  problem.reserved = reserved_;
  problem.live = static_cast<size_t>(stats_.current(kAllocatedBytes));
  problem.live_count = live_.count();
  problem.waiting = static_cast<size_t>(stats_.current(kActiveBytes)) - problem.live;
  problem.cached = reserved_ - static_cast<size_t>(stats_.current(kActiveBytes));
  for (const auto& [id, group] : groups_)
    for (const auto& pool : group->owned)
      if (const Block* block = pool->free.largest()) problem.largest = std::max(problem.largest, block->bytes);
  live_.each([&](const Block* block) {
    const Site& site = block->site;
    LiveGroup& group = by_site[{site.words[0], site.words[1], site.known() ? 0 : block->bytes}];
    group.site = site;
    group.bytes += block->bytes;
    group.largest = std::max(group.largest, block->bytes);
    ++group.count;
  });
  lock.unlock();

  std::vector<LiveGroup> groups;
  for (auto& [key, group] : by_site) groups.push_back(group);
  std::sort(groups.begin(), groups.end(), larger);
  if (groups.size() > kLinesAsked) groups.resize(kLinesAsked);
  Lines lines(sites_);
  for (LiveGroup& group : groups) {  // a line may have several sites
    group.line = lines(group.site);
    auto same = std::find_if(problem.groups.begin(), problem.groups.end(),
                             [&](const LiveGroup& other) { return !group.line.empty() && other.line == group.line; });
    if (same == problem.groups.end()) {
      problem.groups.push_back(group);
    } else {
      same->bytes += group.bytes;
      same->count += group.count;
      same->largest = std::max(same->largest, group.largest);
    }
  }
  std::sort(problem.groups.begin(), problem.groups.end(), larger);
  if (problem.groups.size() > kLinesShown) problem.groups.resize(kLinesShown);
  lock.lock();
  --readers_;
  leave(lock);
  return {Status::kExhausted, out_of_memory_text(problem)};
}

}  // namespace atled::cuda
