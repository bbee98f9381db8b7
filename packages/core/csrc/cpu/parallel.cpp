#include "cpu/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "atled/plugin.hpp"
#include "cpu/float_mode.h"

#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace atled::core {

namespace {

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// About as long as waking a sleeping thread takes.
constexpr int kSpins = 256;

struct Job {
  int64_t n, piece;
  atled_range body;
  void* ctx;
  FloatMode mode = float_mode();  // the caller's holds for all that work on it
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error{};

  void work() noexcept {
    for (;;) {
      const int64_t begin = next.fetch_add(piece, std::memory_order_relaxed);
      if (begin >= n) return;
      try {
        body(ctx, begin, std::min(begin + piece, n));
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
  }
};

thread_local bool inside = false;

class Pool {
 public:
  // False when another thread has the pool.
  bool run(Job& job, int threads) {
    std::unique_lock<std::mutex> owner(busy_, std::try_to_lock);
    if (!owner) return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (workers_ < threads - 1 && start()) ++workers_;
      job_ = &job;
      seats_ = std::min(threads - 1, workers_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    inside = true;
    job.work();
    inside = false;
    std::unique_lock<std::mutex> lock(mutex_);
    job_ = nullptr;
    for (int i = 0; i < kSpins && active_ > 0; ++i) {
      lock.unlock();
      relax();
      lock.lock();
    }
    done_.wait(lock, [&] { return active_ == 0; });
    return true;
  }

 private:
  bool start() {
    try {
      std::thread([this] { serve(); }).detach();
      return true;
    } catch (const std::system_error&) {  // the process may have no more threads: go on with those there are
      return false;
    }
  }

  void serve() {
    inside = true;
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      if (job_ && seats_ > 0 && seen != generation_.load(std::memory_order_relaxed)) {
        seen = generation_.load(std::memory_order_relaxed);
        Job* job = job_;
        --seats_;
        ++active_;
        lock.unlock();
        set_float_mode(job->mode);
        job->work();
        lock.lock();
        if (--active_ == 0) done_.notify_one();
        continue;
      }
      seen = generation_.load(std::memory_order_relaxed);
      lock.unlock();
      for (int i = 0; i < kSpins && seen == generation_.load(std::memory_order_acquire); ++i) relax();
      lock.lock();
      wake_.wait(lock, [&] { return seen != generation_.load(std::memory_order_relaxed); });
    }
  }

  std::mutex busy_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<uint64_t> generation_{0};
  Job* job_ = nullptr;
  int workers_ = 0, seats_ = 0, active_ = 0;
};

std::atomic<Pool*> current_pool{nullptr};
std::atomic<int> thread_count{0};

Pool& pool() {
  Pool* p = current_pool.load(std::memory_order_acquire);
  if (p) return *p;
  // Never freed: workers may still wait in it while the process ends.
  Pool* fresh = new Pool;
  if (!current_pool.compare_exchange_strong(p, fresh)) {
    delete fresh;
    return *p;
  }
#if !defined(_WIN32)
  // The parent's workers do not exist in a child, and its locks may be held.
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    current_pool.store(nullptr);
    inside = false;
  });
  (void)registered;
#endif
  return *fresh;
}

#if defined(__linux__)
bool read_numbers(const char* path, double* first, double* second) {
  FILE* file = std::fopen(path, "r");
  if (!file) return false;
  char text[64] = "";
  const bool read = std::fgets(text, sizeof text, file) != nullptr;
  std::fclose(file);
  return read && std::sscanf(text, "%lf %lf", first, second) >= 1;
}

// CPUs' worth of time that the control group allows, or infinity.
double cgroup_quota() {
  double least = 1e9, quota = 0, period = 0;
  auto take = [&] {
    if (quota > 0 && period > 0) least = std::min(least, quota / period);
  };
  char line[512], path[640];
  if (FILE* file = std::fopen("/proc/self/cgroup", "r")) {
    while (std::fgets(line, sizeof line, file)) {
      if (std::strncmp(line, "0::", 3) != 0) continue;
      line[std::strcspn(line, "\n")] = 0;
      // A limit on any ancestor holds as well.
      for (char* end = line + std::strlen(line); end > line + 3; end = std::strrchr(line + 3, '/')) {
        *end = 0;
        std::snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", line + 3);
        if (read_numbers(path, &quota, &period)) take();
        if (!std::strchr(line + 3, '/')) break;
      }
    }
    std::fclose(file);
  }
  if (read_numbers("/sys/fs/cgroup/cpu.max", &quota, &period)) take();
  double unused = 0;
  if (read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota, &unused) &&
      read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period, &unused))
    take();
  return least;
}
#endif

int detect() {
  if (const char* asked = std::getenv("ATLED_NUM_THREADS")) {
    const int n = std::atoi(asked);
    if (n >= 1) return std::min(n, 1024);
  }
  int n = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
  n = static_cast<int>(std::min<double>(n, std::max(1.0, cgroup_quota() + 0.5)));
#endif
  return std::max(n, 1);
}

}  // namespace

int num_threads() {
  int n = thread_count.load(std::memory_order_relaxed);
  if (n > 0) return n;
  int none = 0;
  n = detect();
  return thread_count.compare_exchange_strong(none, n) ? n : none;
}

void set_num_threads(int n) {
  if (n < 1) fail(ATLED_E_VALUE, "expected at least 1 thread, got %d", n);
  thread_count.store(std::min(n, 1024));
}

void parallel_run(int64_t n, int64_t grain, atled_range body, void* ctx) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t grains = (n + grain - 1) / grain;
  const int threads = inside ? 1 : static_cast<int>(std::min<int64_t>(num_threads(), grains));
  if (threads <= 1) return body(ctx, 0, n);
  // A few pieces for each thread even out what slows one of them.
  const int64_t pieces = std::min<int64_t>(grains, 4 * threads);
  Job job{n, (grains + pieces - 1) / pieces * grain, body, ctx};
  if (!pool().run(job, threads)) return body(ctx, 0, n);
  if (job.error) std::rethrow_exception(job.error);
}

int64_t column_tile(int64_t outer, int64_t inner, int64_t most) {
  constexpr int64_t kLeast = 64;
  const int64_t share = outer * inner / (2 * num_threads());
  return std::min(inner, std::clamp((share + kLeast - 1) / kLeast * kLeast, kLeast, most));
}

}  // namespace atled::core
