#include "cuda/tickets.h"

#include <map>
#include <mutex>
#include <utility>

#include "cuda/graph.h"

namespace atled::core::cuda {

namespace {

constexpr size_t kBytes = kMostTickets * sizeof(uint32_t);

// By device and CUDA's number of the stream, which no later one gets. Never destroyed, as streams may outlive it.
struct Table {
  std::mutex mutex;
  std::map<std::pair<int, unsigned long long>, uint32_t*> counters;
};
Table& table() {
  static auto* made = new Table;
  return *made;
}

unsigned long long number_of(cudaStream_t stream) {
  unsigned long long number = 0;
  expect(cudaStreamGetId(stream, &number), "ask for a stream's number");
  return number;
}

// The table is not held while memory is asked for: where there is none, telling of it may wait for another thread that
// asks for tickets. Of two threads that are the first on a stream, one keeps its counters.
uint32_t* counters_of(int device, cudaStream_t stream) {
  const std::pair<int, unsigned long long> key{device, number_of(stream)};
  {
    std::lock_guard<std::mutex> lock(table().mutex);
    const auto found = table().counters.find(key);
    if (found != table().counters.end()) return found->second;
  }
  auto* made = static_cast<uint32_t*>(allocate(device, kBytes, stream));
  const auto give_back = [&] { release(device, made, kBytes, stream); };
  try {
    expect(cudaMemsetAsync(made, 0, kBytes, stream), "fill with zeros");
    std::lock_guard<std::mutex> lock(table().mutex);
    const auto kept = table().counters.emplace(key, made);
    if (kept.second) return made;
    give_back();
    return kept.first->second;
  } catch (...) {
    give_back();
    throw;
  }
}

}  // namespace

Tickets::Tickets(DLDevice device, cudaStream_t stream, int64_t n) {
  if (!is_capturing(stream)) {
    counters_ = counters_of(device.device_id, stream);
    return;
  }
  own_ = Tensor::empty(ATLED_INT32, {n}, device);
  counters_ = data<uint32_t>(own_);
  expect(cudaMemsetAsync(counters_, 0, static_cast<size_t>(n) * sizeof(uint32_t), stream), "fill with zeros");
}

void release_tickets(int device, cudaStream_t stream) {
  const std::pair<int, unsigned long long> key{device, number_of(stream)};
  std::lock_guard<std::mutex> lock(table().mutex);
  const auto found = table().counters.find(key);
  if (found == table().counters.end()) return;
  release(device, found->second, kBytes, stream);
  table().counters.erase(found);
}

}  // namespace atled::core::cuda
