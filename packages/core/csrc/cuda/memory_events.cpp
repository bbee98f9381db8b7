#include "memory_events.h"

#include <memory>

namespace atled::cuda {

WaitingBlocks::~WaitingBlocks() {
  for (Queue& queue : queues_)
    for (Pending& pending : queue.pending) {
      queue.use.driver->event_destroy(pending.event);
      if (--pending.ticket->left == 0) delete pending.ticket;
    }
  for (Events& events : events_)
    for (Event event : events.spare) events.driver->event_destroy(event);
}

std::vector<Event>& WaitingBlocks::spare_of(Driver* driver) {
  for (Events& events : events_)
    if (events.driver == driver) return events.spare;
  events_.push_back(Events{driver, {}});
  return events_.back().spare;
}

std::deque<WaitingBlocks::Pending>& WaitingBlocks::queue_of(const StreamUse& use) {
  for (Queue& queue : queues_)
    if (queue.use == use) return queue.pending;
  queues_.push_back(Queue{use, {}, 0});
  return queues_.back().pending;
}

Status WaitingBlocks::add(void* block, const std::vector<StreamUse>& uses) {
  std::vector<Event> recorded;
  recorded.reserve(uses.size());
  for (const StreamUse& use : uses) {
    Event event = nullptr;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      std::vector<Event>& spare = spare_of(use.driver);
      if (!spare.empty()) {
        event = spare.back();
        spare.pop_back();
      }
    }
    Status status = event ? Status() : use.driver->event_create(&event);
    if (status) status = use.driver->event_record(event, use.stream);
    if (!status) return status;
    recorded.push_back(event);
  }
  Ticket* ticket = new Ticket{block, uses.size()};
  std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = 0; i < uses.size(); ++i) queue_of(uses[i]).push_back(Pending{recorded[i], ticket});
  count_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

// The oldest event of a queue has passed.
void WaitingBlocks::pass(Queue& queue, std::vector<void*>* passed) {
  const Pending first = queue.pending.front();
  queue.pending.pop_front();
  spare_of(queue.use.driver).push_back(first.event);
  if (--first.ticket->left) return;
  passed->push_back(first.ticket->block);
  delete first.ticket;
  count_.fetch_sub(1, std::memory_order_relaxed);
}

Status WaitingBlocks::poll(std::vector<void*>* passed) {
  std::unique_lock<std::mutex> poller(polling_, std::try_to_lock);
  if (!poller) return {};
  std::unique_lock<std::mutex> lock(mutex_);
  for (size_t i = 0; i < queues_.size(); ++i) {
    Queue& queue = queues_[i];
    while (!queue.pending.empty()) {
      const Event event = queue.pending.front().event;
      bool done = false;
      lock.unlock();
      Status status = queue.use.driver->event_query(event, &done);
      lock.lock();
      if (!status) return status;
      if (!done) break;
      pass(queue, passed);
    }
  }
  return {};
}

Status WaitingBlocks::wait(std::vector<void*>* passed) {
  std::lock_guard<std::mutex> poller(polling_);
  std::unique_lock<std::mutex> lock(mutex_);
  for (Queue& queue : queues_) queue.to_wait = queue.pending.size();
  for (size_t i = 0; i < queues_.size(); ++i) {
    Queue& queue = queues_[i];
    for (; queue.to_wait; --queue.to_wait) {
      const Event event = queue.pending.front().event;
      lock.unlock();
      Status status = queue.use.driver->event_wait(event);
      lock.lock();
      if (!status) return status;
      pass(queue, passed);
    }
  }
  return {};
}

}  // namespace atled::cuda
