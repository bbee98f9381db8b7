// How the caching allocator gets memory from the driver and gives it back. growth_ is held throughout, so segments and
// holes stay as they are while mutex_ is released for the driver; blocks that the work is about are held.
#include <algorithm>
#include <cassert>

#include "caching_allocator.h"

namespace atled::cuda {
namespace {

constexpr size_t kGrowth = 32;  // an expandable segment grows by this fraction of itself at least

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Whoever asked for memory makes the text when all else has failed.
Status exhausted() { return {Status::kExhausted, {}}; }

// The first hole that fits with the free blocks around it.
Block* hole_for(const StreamPool& pool, size_t bytes) {
  for (Segment* segment : pool.expandable)
    for (auto& [ptr, hole] : segment->holes) {
      size_t fits = hole->bytes;
      if (is_free(hole->before)) fits += hole->before->bytes;
      if (is_free(hole->after)) fits += hole->after->bytes;
      if (fits >= bytes) return hole;
    }
  return nullptr;
}

}  // namespace

// Answers a held block of at least `bytes`, after calling the driver with `lock` released.
Status CachingAllocator::grow(StreamPool& pool, size_t bytes, Lock& lock, Block** out) {
  if (total_ && bytes > total_) return exhausted();
  if (granularity_) {
    Block* hole = hole_for(pool, bytes);
    // Without addresses left for another expandable segment, an ordinary one does.
    if (hole || reserve_segment(pool, bytes, lock, &hole)) return map_memory(hole, bytes, lock, out);
  }
  return grow_plain(pool, bytes, lock, out);
}

Status CachingAllocator::grow_plain(StreamPool& pool, size_t bytes, Lock& lock, Block** out) {
  const size_t exact = round_up(bytes, kSegmentUnit);
  size_t wanted = pool.small ? kSmallSegment : bytes < kLargeSegment / 2 ? kLargeSegment : exact;
  void* base = nullptr;
  Status status;
  // A generous segment is for what comes next; where memory is short, what is needed now has to do.
  for (;; wanted = exact) {
    if (!admits(wanted)) {
      status = exhausted();
    } else {
      lock.unlock();
      status = driver_.allocate(wanted, &base);
      lock.lock();
    }
    if (status || status.code == Status::kFailed || wanted == exact) break;
  }
  if (!status) return status;
  auto segment = std::make_unique<Segment>();
  segment->pool = &pool;
  segment->base = static_cast<char*>(base);
  segment->bytes = segment->mapped = wanted;
  segment->expandable = false;
  *out = segment->first = blocks_.make(segment.get(), segment->base, wanted);
  segments_[segment->base] = std::move(segment);
  ++pool.group->segments;
  reserved_ += wanted;
  ++stats_.device_alloc;
  stats_.raise(kSegment, pool.small, 1);
  stats_.raise(kReservedBytes, pool.small, wanted);
  note(Action::kSegmentAlloc, base, wanted, pool.stream);
  return {};
}

// Addresses for all that the device could hold: then a stream's blocks are all in one piece, and what is between them
// can always be joined.
Status CachingAllocator::reserve_segment(StreamPool& pool, size_t bytes, Lock& lock, Block** out) {
  const size_t size = round_up(std::max(total_, bytes), granularity_);
  void* base = nullptr;
  lock.unlock();
  Status status = driver_.reserve(size, &base);
  lock.lock();
  if (!status) return status;
  auto segment = std::make_unique<Segment>();
  segment->pool = &pool;
  segment->base = static_cast<char*>(base);
  segment->bytes = size;
  segment->mapped = 0;
  segment->expandable = true;
  segment->last_used = clock_;
  *out = segment->first = blocks_.make(segment.get(), segment->base, size);
  (*out)->state = BlockState::kHole;
  segment->holes[segment->base] = *out;
  pool.expandable.push_back(segment.get());
  segments_[segment->base] = std::move(segment);
  ++pool.group->segments;
  stats_.raise(kSegment, pool.small, 1);
  return {};
}

// Maps as much of the hole's beginning as is missing beside the free block before it.
Status CachingAllocator::map_memory(Block* hole, size_t bytes, Lock& lock, Block** out) {
  Segment* segment = hole->segment;
  Block* before = is_free(hole->before) ? hole->before : nullptr;
  const size_t missing = bytes - std::min(bytes, before ? before->bytes : 0);
  const size_t needed = std::min(hole->bytes, round_up(missing, granularity_));
  // Some more, so that steps that differ a little do not call the driver each time.
  size_t size = std::min(hole->bytes, round_up(std::max(missing, segment->mapped / kGrowth), granularity_));
  if (!admits(size)) size = needed;
  if (!admits(size)) return exhausted();
  Block* after = size == hole->bytes && is_free(hole->after) ? hole->after : nullptr;
  if (before) unlist(before);
  if (after) unlist(after);
  char* at = hole->ptr;

  lock.unlock();
  std::vector<Segment::Mapping> made;
  Status status;
  size_t mapped = 0;
  while (status && mapped < size) {
    const size_t step = std::min(size - mapped, std::max(kMostMapped / granularity_, size_t{1}) * granularity_);
    Chunk chunk = 0;
    status = driver_.map(at + mapped, step, &chunk);
    if (!status) break;
    made.push_back(Segment::Mapping{chunk, static_cast<uint32_t>(step / granularity_), 0});
    mapped += step;
  }
  if (status.code == Status::kExhausted && mapped >= needed) {
    size = mapped;
    status = Status();
  }
  if (!status)  // nothing has used these chunks
    for (const Segment::Mapping& mapping : made) {
      (void)driver_.unmap(at, mapping.run * granularity_, mapping.chunk);
      at += mapping.run * granularity_;
    }
  lock.lock();
  if (!status) {
    if (before) put_back(before);
    if (after) put_back(after);
    return status;
  }

  size_t granule = static_cast<size_t>(at - segment->base) / granularity_;
  if (segment->mappings.size() < granule + size / granularity_)
    segment->mappings.resize(granule + size / granularity_, Segment::Mapping{0, 0, 0});
  for (const Segment::Mapping& mapping : made)
    for (uint32_t i = 0; i < mapping.run; ++i)
      segment->mappings[granule++] = Segment::Mapping{mapping.chunk, mapping.run, i};
  segment->mapped += size;
  reserved_ += size;
  const StreamPool& pool = *segment->pool;
  ++stats_.device_alloc;
  stats_.raise(kReservedBytes, pool.small, size);
  note(Action::kSegmentMap, at, size, pool.stream);

  segment->holes.erase(at);
  if (size < hole->bytes) {
    Block* rest = cut(hole, size);
    rest->state = BlockState::kHole;
    segment->holes[rest->ptr] = rest;
  }
  hole->state = BlockState::kHeld;
  if (after && hole->after == after)
    absorb_next(hole);
  else if (after)
    put_back(after);
  if (before) absorb_next(before);
  *out = before ? before : hole;
  assert((*out)->bytes >= bytes);
  return {};
}

// ---- giving back ----

// Of a free block of an expandable segment, the part that whole chunks lie in, held; NULL for none. What is left of the
// block at its ends stays free.
Block* CachingAllocator::unused_chunks(Block* block) {
  const Segment& segment = *block->segment;
  const size_t offset = static_cast<size_t>(block->ptr - segment.base);
  size_t first = round_up(offset, granularity_) / granularity_;
  size_t end = (offset + block->bytes) / granularity_;
  while (first < end && segment.mappings[first].index)
    first += segment.mappings[first].run - segment.mappings[first].index;
  if (first >= end) return nullptr;
  const Segment::Mapping& last = segment.mappings[end - 1];
  if (last.index + 1 != last.run) end -= last.index + 1;
  if (first >= end) return nullptr;
  unlist(block);
  if (first * granularity_ > offset) {
    Block* rest = cut(block, first * granularity_ - offset);
    list(block);
    block = rest;
  }
  if (block->bytes > (end - first) * granularity_) list(cut(block, (end - first) * granularity_));
  return block;
}

// The driver's part of emptying whole chunks; mutex_ is not held.
Status CachingAllocator::unmap(Segment* segment, char* at, size_t bytes) {
  const size_t first = static_cast<size_t>(at - segment->base) / granularity_;
  for (size_t i = first; i < first + bytes / granularity_; i += segment->mappings[i].run) {
    const Segment::Mapping& mapping = segment->mappings[i];
    Status status = driver_.unmap(segment->base + i * granularity_, mapping.run * granularity_, mapping.chunk);
    if (!status) return status;
  }
  return {};
}

// The book-keeping of it.
void CachingAllocator::make_hole(Block* block) {
  Segment* segment = block->segment;
  const size_t first = static_cast<size_t>(block->ptr - segment->base) / granularity_;
  std::fill_n(segment->mappings.begin() + static_cast<std::ptrdiff_t>(first), block->bytes / granularity_,
              Segment::Mapping{0, 0, 0});
  segment->mapped -= block->bytes;
  reserved_ -= block->bytes;
  stats_.lower(kReservedBytes, segment->pool->small, block->bytes);
  note(Action::kSegmentUnmap, block->ptr, block->bytes, segment->pool->stream);
  block->state = BlockState::kHole;
  if (block->after && block->after->state == BlockState::kHole) {
    segment->holes.erase(block->after->ptr);
    absorb_next(block);
  }
  if (block->before && block->before->state == BlockState::kHole) {
    block = block->before;
    absorb_next(block);
  }
  segment->holes[block->ptr] = block;
}

// Gives at least `need` bytes of unused memory back, the longest unused segments first, or all that there are.
Status CachingAllocator::release_unused(size_t need, size_t* released) {
  std::vector<Block*> unused;
  std::vector<Segment*> order, empty;
  size_t found = 0;
  *released = 0;
  Lock lock(mutex_);
  for (auto& [base, segment] : segments_)
    if (segment->pool->group == general_ || !segment->pool->group->references) order.push_back(segment.get());
  std::sort(order.begin(), order.end(), [](Segment* a, Segment* b) { return a->last_used < b->last_used; });
  bool mapped = false;
  for (Segment* segment : order) {
    if (!segment->mapped) empty.push_back(segment);
    std::vector<Block*> free;
    for (Block* block = segment->first; block; block = block->after)
      if (is_free(block)) free.push_back(block);
    // From the end, so that an expandable segment stays short.
    for (auto at = free.rbegin(); at != free.rend() && found < need; ++at) {
      Block* block = *at;
      if (segment->expandable) {
        block = unused_chunks(block);
      } else if (block->bytes == segment->bytes) {
        unlist(block);
      } else {
        block = nullptr;
      }
      if (!block) continue;
      unused.push_back(block);
      found += block->bytes;
      mapped |= segment->expandable;
    }
  }
  lock.unlock();

  // Unlike its release of ordinary memory, the driver's unmapping does not wait for what still runs.
  Status status = mapped ? driver_.synchronize() : Status();
  for (Block* block : unused) {
    Segment* segment = block->segment;
    const bool tried = static_cast<bool>(status);
    if (tried) status = segment->expandable ? unmap(segment, block->ptr, block->bytes) : driver_.release(block->ptr);
    lock.lock();
    if (!tried) {
      put_back(block);
    } else if (status) {  // else the device is in error: what it may still hold stays out of circulation
      *released += block->bytes;
      ++stats_.device_free;
      if (segment->expandable) {
        make_hole(block);
        if (!segment->mapped) empty.push_back(segment);
      } else {
        empty.push_back(segment);
      }
    }
    lock.unlock();
  }

  for (Segment* segment : empty) {
    if (segment->expandable) {
      Status unreserved = driver_.unreserve(segment->base, segment->bytes);
      if (status) status = unreserved;
    }
    lock.lock();
    StreamPool* pool = segment->pool;
    stats_.lower(kSegment, pool->small, 1);
    if (segment->expandable) {
      pool->expandable.erase(std::find(pool->expandable.begin(), pool->expandable.end(), segment));
    } else {
      reserved_ -= segment->bytes;
      stats_.lower(kReservedBytes, pool->small, segment->bytes);
      note(Action::kSegmentFree, segment->base, segment->bytes, pool->stream);
    }
    blocks_.drop(segment->first);
    --pool->group->segments;
    segments_.erase(segment->base);
    lock.unlock();
  }
  lock.lock();
  if (mapped) ++stats_.sync_all_streams;
  drop_empty_groups();
  return status;
}

// Private pools that nobody can use again and that hold nothing.
void CachingAllocator::drop_empty_groups() {
  for (auto at = groups_.begin(); at != groups_.end();) {
    if (at->second->references || at->second->segments)
      ++at;
    else
      at = groups_.erase(at);
  }
}

}  // namespace atled::cuda
