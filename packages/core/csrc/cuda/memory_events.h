// Blocks that were freed while other streams may still use them. A block waits for an event on each of these streams
// and comes out once all have passed. Shared by the device's allocator and the pinned host cache.
//
// Thread safe. No lock is held while the driver records, queries or waits, but for the one that lets a single thread
// poll at a time. Events are created once and reused.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <vector>

#include "memory_driver.h"

namespace atled::cuda {

class WaitingBlocks {
 public:
  WaitingBlocks() = default;
  ~WaitingBlocks();
  WaitingBlocks(const WaitingBlocks&) = delete;
  WaitingBlocks& operator=(const WaitingBlocks&) = delete;

  // Where an event cannot be recorded, the device is in error and the block never comes out.
  Status add(void* block, const std::vector<StreamUse>& uses);
  // Appends the blocks that have become free; does nothing while another thread polls. Never blocks on the device.
  Status poll(std::vector<void*>* passed);
  // Blocks until all that wait at this moment have become free, and appends them.
  Status wait(std::vector<void*>* passed);
  size_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  struct Ticket {
    void* block;
    size_t left;  // events that have not passed
  };
  struct Pending {
    Event event;
    Ticket* ticket;
  };
  struct Queue {  // events of a stream pass in the order of their recording
    StreamUse use;
    std::deque<Pending> pending;
    size_t to_wait;
  };
  struct Events {  // a device's, ready for reuse
    Driver* driver;
    std::vector<Event> spare;
  };

  std::vector<Event>& spare_of(Driver* driver);
  std::deque<Pending>& queue_of(const StreamUse& use);
  void pass(Queue& queue, std::vector<void*>* passed);

  std::mutex polling_;  // before mutex_; only its holder takes entries out of the queues
  std::mutex mutex_;
  std::deque<Queue> queues_;  // references stay valid as streams are added
  std::vector<Events> events_;
  std::atomic<size_t> count_{0};
};

}  // namespace atled::cuda
