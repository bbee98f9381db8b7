#include "dispatch/recorder.h"

#include <pthread.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>

#include "abi/abi.h"
#include "abi/tables.h"
#include "atled/cuda.h"
#include "atled/plugin.hpp"
#include "dispatch/dispatch.h"
#include "dispatch/error.h"
#include "dispatch/op.h"
#include "dispatch/thread_state.h"

namespace atled::core {

std::atomic<uint32_t> recording{0};

namespace {

std::atomic<uint32_t> session{0};  // the number of the last recording

class Flag {
 public:
  void lock() {
    while (taken_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  }
  void unlock() { taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> taken_{false};
};

uint64_t thread_number() {
#ifdef __linux__
  return static_cast<uint64_t>(syscall(SYS_gettid));
#elif defined(__APPLE__)
  uint64_t number = 0;
  pthread_threadid_np(nullptr, &number);
  return number;
#else
  return reinterpret_cast<uintptr_t>(&thread_state);
#endif
}

std::atomic<uint32_t> threads{0};  // how many have recorded so far

// A thread's records of one recording. Its flag guards all of it.
struct Writer {
  Flag flag;
  const uint32_t thread = ++threads;
  uint32_t session = 0;
  int64_t open = -1;  // the innermost record that has not ended
  int64_t words_left = 0;
  int64_t* next_word = nullptr;
  Track track;

  void clear() {
    track = Track{};
    session = 0;
    open = -1;
    words_left = 0;
  }

  // A new record inside the open one; NULL when there is no room for it.
  Record* add(uint32_t now) {
    if (session != now) {
      clear();
      track.thread = thread_number();
      session = now;
    }
    if (track.count == static_cast<int64_t>(track.chunks.size()) * Track::kChunk) {
      std::unique_ptr<Record[]> chunk(new (std::nothrow) Record[Track::kChunk]);
      if (!chunk) {
        ++track.dropped;
        return nullptr;
      }
      track.chunks.push_back(std::move(chunk));
    }
    Record& record = track.at(track.count);
    record = Record{};
    record.parent = open;
    ++track.count;
    return &record;
  }

  // The upper half of the numbers of ranges: another thread's, or of a recording before, have another.
  uint64_t stamp() const { return (uint64_t{session} << 48) | (uint64_t{thread & 0x7FFF} << 33) | uint64_t{1} << 32; }

  int64_t* take_words(int64_t n) {
    constexpr int64_t kBlock = 8192;
    if (n > words_left) {
      words_left = std::max(n, kBlock);
      track.words.emplace_back(new int64_t[static_cast<size_t>(words_left)]);
      next_word = track.words.back().get();
    }
    words_left -= n;
    return std::exchange(next_word, next_word + n);
  }

  // Ends a record and those inside it; nothing when it has ended already.
  void end(int64_t i, int64_t now) {
    int64_t at = open;
    while (at >= 0 && at != i) at = track.at(at).parent;
    if (at < 0) return;
    for (; open != i; open = track.at(open).parent) track.at(open).end = now;
    track.at(i).end = now;
    open = track.at(i).parent;
  }
};

struct Writers {
  std::mutex mutex;  // of all here, and of starting and ending
  std::vector<Writer*> list;
  std::vector<Track> finished;  // of threads that are gone
  std::vector<DeviceClock> clocks;
  std::vector<std::pair<void (*)(void*, int32_t), void*>> watchers;
};
Writers& writers() {
  static Writers* all = new Writers;  // outlives every thread
  return *all;
}

ATLED_THREAD_LOCAL Writer* own_writer = nullptr;

struct Owner {
  ~Owner() {
    Writer* gone = std::exchange(own_writer, nullptr);
    if (!gone) return;
    Writers& all = writers();
    const std::lock_guard<std::mutex> lock(all.mutex);
    if (gone->session == session.load() && recording.load()) all.finished.push_back(std::move(gone->track));
    all.list.erase(std::remove(all.list.begin(), all.list.end(), gone), all.list.end());
    delete gone;
  }
};

__attribute__((noinline)) Writer* make_writer() noexcept {
  static thread_local bool made = false;
  if (made) return nullptr;  // the thread is ending
  made = true;
  try {
    static thread_local Owner owner;
    auto fresh = std::make_unique<Writer>();
    Writers& all = writers();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.list.push_back(fresh.get());
    return own_writer = fresh.release();
  } catch (...) {
    return nullptr;
  }
}

inline Writer* writer() { return own_writer ? own_writer : make_writer(); }

struct Begun {
  uint32_t session = 0;
  int64_t index = -1;
};

// ---- what a call was given ----

// One word for each argument: its tag and count; for a tensor, dtype << 8 | ndim and its sizes follow.
template <class Put>
void describe(const atled_value* values, int n, Put&& put) {
  auto tensor = [&](const atled_tensor* t) {
    put(t ? int64_t{t->dtype} << 8 | t->dl.ndim : -1);
    for (int d = 0; t && d < t->dl.ndim; ++d) put(t->dl.shape[d]);
  };
  put(n);
  for (int i = 0; i < n; ++i) {
    const atled_value& v = values[i];
    const bool list = v.tag == ATLED_TENSORS;
    put(int64_t{v.tag} << 32 | (list ? v.n : 1));
    if (v.tag == ATLED_TENSOR) tensor(v.u.tensor);
    for (uint32_t k = 0; list && k < v.n; ++k) tensor(v.u.tensors[k]);
  }
}

const int64_t* described(Writer& to, const atled_value* values, int n) {
  int64_t words = 0;
  describe(values, n, [&](int64_t) { ++words; });
  int64_t* const start = to.take_words(words);
  int64_t* next = start;
  describe(values, n, [&](int64_t word) { *next++ = word; });
  return start;
}

// ---- times of devices ----

// Where the call's work is done, if that is no host; the device of its first tensor, or that it is told.
const atled_device_def* device_of(const atled_frame* frame, DLDevice* device) {
  const Op* op = as_op(frame->op);
  const atled_tensor* first = nullptr;
  for (int n = 0; n < op->tensor_arg_count && !first; ++n) {
    const atled_value& v = frame->args[op->tensor_args[n]];
    if (v.tag == ATLED_TENSOR) first = v.u.tensor;
    for (uint32_t k = 0; v.tag == ATLED_TENSORS && k < v.n && !first; ++k) first = v.u.tensors[k];
  }
  *device = first ? first->dl.device : thread_state.device;
  const bool told = op->device_arg >= 0 && frame->args[op->device_arg].tag == ATLED_DEVICE;
  if (told && (!first || device->device_type == kDLCPU)) *device = frame->args[op->device_arg].u.device;
  const atled_device_def* def = device_def(device->device_type);
  return def && def->event_create && def->event_record && def->event_elapsed && def->current_stream ? def : nullptr;
}

bool capturing(DLDevice device, atled_stream stream) {
  if (device.device_type != kDLCUDA) return false;
  static const atled_cuda_group* group = [] {
    static atled_cuda_group table{};
    const bool known = get_group("cuda", 1, &table, sizeof table) == ATLED_OK;
    if (!known) clear_error();
    return known ? &table : nullptr;
  }();
  int32_t answer = 0;
  if (group && group->stream_capturing(device.device_id, stream, &answer) != ATLED_OK) clear_error();
  return answer != 0;
}

atled_event mark(const atled_device_def* def, DLDevice device, atled_stream stream) {
  atled_event event = nullptr;
  if (def->event_create(def->self, device.device_id, 1, &event) == ATLED_OK) {
    if (def->event_record(def->self, event, stream) == ATLED_OK) return event;
    def->event_destroy(def->self, device.device_id, event);
  }
  clear_error();
  return nullptr;
}

// Whether the device's clock is known, with the recordings' mutex taken.
bool has_clock(DLDevice device) {
  for (const DeviceClock& clock : writers().clocks)
    if (clock.device.device_type == device.device_type && clock.device.device_id == device.device_id) return true;
  return false;
}

// At the first call on a device: waits until the stream has come to an event, which says when that was on the host's
// clock. Not by synchronizing, which would raise what earlier calls have left.
void know_clock(const atled_device_def* def, DLDevice device, atled_stream stream) {
  Writers& all = writers();
  {
    const std::lock_guard<std::mutex> lock(all.mutex);
    if (has_clock(device)) return;
  }
  const atled_event event = mark(def, device, stream);
  if (!event) return;
  void* token = release_gil ? release_gil() : nullptr;
  int32_t done = def->event_query == nullptr;
  while (!done && def->event_query(def->self, event, &done) == ATLED_OK) std::this_thread::yield();
  const int64_t now = recorder_now();
  if (token) acquire_gil(token);
  if (done) {
    const std::lock_guard<std::mutex> lock(all.mutex);
    if (!has_clock(device)) return all.clocks.push_back(DeviceClock{device, event, now});
  } else {
    clear_error();
  }
  def->event_destroy(def->self, device.device_id, event);
}

struct DeviceMarks {
  const atled_device_def* def = nullptr;
  DLDevice device{};
  atled_stream stream = nullptr;
  atled_event begin = nullptr;

  explicit DeviceMarks(const atled_frame* frame) {
    if (frame->op->traits & ATLED_OP_VIEW) return;  // no device has a part in it
    const atled_device_def* found = device_of(frame, &device);
    if (!found || found->current_stream(found->self, device.device_id, &stream) != ATLED_OK) return;
    if (capturing(device, stream)) return;
    know_clock(found, device, stream);
    begin = mark(found, device, stream);
    if (begin) def = found;
  }
  atled_event end() const {
    atled_stream now = nullptr;
    if (!def || def->current_stream(def->self, device.device_id, &now) != ATLED_OK || now != stream) return nullptr;
    return capturing(device, stream) ? nullptr : mark(def, device, stream);
  }
};

Begun begin_call(const atled_frame* frame, uint32_t what, DeviceMarks* marks) {
  Writer* to = writer();
  if (!to) return {};
  uint64_t site[2] = {0, 0};
  if (what & kRecordSites && py_table.take_site) py_table.take_site(site);
  const std::lock_guard<Flag> lock(to->flag);
  const uint32_t number = session.load(std::memory_order_acquire);
  Record* record = to->add(number);
  if (!record) return {};
  record->name = frame->op->name;
  try {
    if (what & kRecordShapes) record->arguments = described(*to, frame->args, frame->op->nargs);
  } catch (...) {
    --to->track.count;
    throw;
  }
  record->kind = RecordKind::kCall;
  record->inplace = frame->flags & ATLED_CALL_INPLACE;
  memcpy(record->site, site, sizeof site);
  if (marks) {
    record->device = marks->device;
    record->stream = marks->stream;
    record->device_begin = marks->begin;
  }
  to->open = to->track.count - 1;
  record->begin = recorder_now();
  return {number, to->open};
}

void end_call(const Begun& begun, const atled_frame* frame, uint32_t what, const DeviceMarks* marks, int status) {
  const int64_t now = recorder_now();
  const atled_event event = marks ? marks->end() : nullptr;
  const bool kept = [&] {
    Writer* to = own_writer;
    if (!to || begun.index < 0) return false;
    const std::lock_guard<Flag> lock(to->flag);
    if (to->session != begun.session) return false;
    Record& record = to->track.at(begun.index);
    record.failed = status != ATLED_OK;
    record.device_end = event;
    to->end(begun.index, now);
    if (what & kRecordShapes && status == ATLED_OK) record.results = described(*to, frame->outs, frame->op->nouts);
    return true;
  }();
  // The recording has ended meanwhile, and has dropped the first event.
  if (!kept && event) marks->def->event_destroy(marks->def->self, marks->device.device_id, event);
}

}  // namespace

int64_t recorder_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int recorded_call(atled_frame* frame) noexcept {
  const uint32_t what = recording.load(std::memory_order_acquire);
  if (!(what & kRecordCalls)) return redispatch(frame);
  Begun begun;
  std::optional<DeviceMarks> marks;
  auto quietly = [](auto&& f) {  // without memory for the record, the call goes on
    try {
      f();
    } catch (...) {
    }
  };
  quietly([&] {
    if (what & kRecordDevices) marks.emplace(frame);
    begun = begin_call(frame, what, marks && marks->def ? &*marks : nullptr);
  });
  DeviceMarks* timed = marks && marks->def ? &*marks : nullptr;
  if (timed && begun.index < 0) {
    timed->def->event_destroy(timed->def->self, timed->device.device_id, timed->begin);
    timed = nullptr;
  }
  const int status = redispatch(frame);
  quietly([&] { end_call(begun, frame, what, timed, status); });
  return status;
}

uint64_t begin_range(const char* name, RecordKind kind, uint64_t sequence) noexcept {
  if (!(recording.load(std::memory_order_acquire) & kRecordCalls)) return 0;
  Writer* to = writer();
  if (!to) return 0;
  try {
    const std::lock_guard<Flag> lock(to->flag);
    const uint32_t number = session.load(std::memory_order_acquire);
    if (to->track.count >= INT32_MAX) return 0;
    Record* record = to->add(number);
    if (!record) return 0;
    record->name = "?";  // in case that there is no memory for the name
    record->begin = record->end = recorder_now();
    const size_t length = strlen(name) + 1;
    char* text = reinterpret_cast<char*>(to->take_words(static_cast<int64_t>(length + 7) / 8));
    memcpy(text, name, length);
    record->name = text;
    record->end = 0;
    record->kind = kind;
    record->sequence = sequence;
    to->open = to->track.count - 1;
    record->begin = recorder_now();
    return to->stamp() | static_cast<uint64_t>(to->open);
  } catch (...) {
    return 0;
  }
}

void end_range(uint64_t range) noexcept {
  Writer* to = own_writer;
  if (!range || !to) return;
  const int64_t now = recorder_now();
  const std::lock_guard<Flag> lock(to->flag);
  if (to->stamp() >> 32 == range >> 32) to->end(static_cast<int64_t>(range & UINT32_MAX), now);
}

void note_sequence(uint64_t sequence) noexcept {
  Writer* to = own_writer;
  if (!to || !recording.load(std::memory_order_relaxed)) return;
  const std::lock_guard<Flag> lock(to->flag);
  if (to->open >= 0 && to->session == session.load(std::memory_order_relaxed)) {
    Record& record = to->track.at(to->open);
    if (record.kind == RecordKind::kCall) record.sequence = sequence;
  }
}

void note_memory(DLDevice device, int64_t bytes) noexcept {
  if (!(recording.load(std::memory_order_acquire) & kRecordMemory) || device.device_type == ATLED_DEVICE_META) return;
  Writer* to = writer();
  if (!to) return;
  try {
    const std::lock_guard<Flag> lock(to->flag);
    const uint32_t number = session.load(std::memory_order_acquire);
    Record* record = to->session == number && to->open >= 0 ? &to->track.at(to->open) : nullptr;
    if (!record || record->kind != RecordKind::kCall) {  // a range may be long: when it was is noted, too
      record = to->add(number);
      if (!record) return;
      record->name = "[memory]";
      record->kind = RecordKind::kMemory;
      record->begin = record->end = recorder_now();
    }
    const bool other = device.device_type != kDLCPU;
    (bytes > 0 ? record->allocated : record->freed)[other] += bytes > 0 ? bytes : -bytes;
  } catch (...) {
  }
}

bool start_recording(uint32_t what) {
  Writers& all = writers();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (recording.load()) return false;
  all.finished.clear();
  session.fetch_add(1);
  recording.store(what, std::memory_order_release);
  for (const auto& watcher : all.watchers) watcher.first(watcher.second, 1);
  return true;
}

Recording stop_recording() {
  Writers& all = writers();
  Recording result;
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (!recording.exchange(0)) return result;
  for (const auto& watcher : all.watchers) watcher.first(watcher.second, 0);
  result.tracks = std::move(all.finished);
  all.finished.clear();
  result.clocks = std::move(all.clocks);
  all.clocks.clear();
  const uint32_t number = session.fetch_add(1);  // who is about to write now, writes for nobody
  for (Writer* from : all.list) {
    const std::lock_guard<Flag> hold(from->flag);
    if (from->session == number && from->track.count) result.tracks.push_back(std::move(from->track));
    from->clear();
  }
  result.end = recorder_now();  // behind that of every record that has ended
  return result;
}

bool device_time(const Recording& all, const Record& record, int64_t* begin, int64_t* end) {
  if (!record.device_begin || !record.device_end) return false;
  const atled_device_def* def = device_def(record.device.device_type);
  for (const DeviceClock& clock : all.clocks) {
    if (clock.device.device_type != record.device.device_type || clock.device.device_id != record.device.device_id)
      continue;
    double from = 0, took = 0;
    if (clock.event && def->event_elapsed(def->self, clock.event, record.device_begin, &from) == ATLED_OK &&
        def->event_elapsed(def->self, record.device_begin, record.device_end, &took) == ATLED_OK) {
      *begin = clock.time + static_cast<int64_t>(from * 1e6);
      *end = *begin + static_cast<int64_t>(took * 1e6);
      return true;
    }
    clear_error();
  }
  return false;
}

void drop_events(const Recording& all) {
  auto drop = [](DLDevice device, atled_event event) {
    const atled_device_def* def = event ? device_def(device.device_type) : nullptr;
    if (def && def->event_destroy) def->event_destroy(def->self, device.device_id, event);
  };
  for (const Track& track : all.tracks)
    for (int64_t i = 0; i < track.count; ++i) {
      drop(track.at(i).device, track.at(i).device_begin);
      drop(track.at(i).device, track.at(i).device_end);
    }
  for (const DeviceClock& clock : all.clocks) drop(clock.device, clock.event);
}

namespace {

int watch(void (*changed)(void* ctx, int32_t on), void* ctx) noexcept {
  return guard([&] {
    Writers& all = writers();
    const std::lock_guard<std::mutex> lock(all.mutex);
    all.watchers.emplace_back(changed, ctx);
    if (recording.load()) changed(ctx, 1);
  });
}

// The child of a fork records nothing: nobody there would end it. Threads that it lacks have left their tracks.
struct ForkGuard {
  ForkGuard() {
    pthread_atfork([] { writers().mutex.lock(); }, [] { writers().mutex.unlock(); },
                   [] {
                     Writers& all = writers();
                     if (recording.exchange(0))
                       for (const auto& watcher : all.watchers) watcher.first(watcher.second, 0);
                     session.fetch_add(1);
                     all.list.clear();
                     if (own_writer) all.list.push_back(own_writer);
                     all.clocks.clear();
                     all.mutex.unlock();
                   });
  }
} fork_guard;

}  // namespace

const atled_profile_group profile_table{
    watch,
    [](const char* name, uint64_t sequence, uint64_t* range) -> int {
      *range = begin_range(name, RecordKind::kBackward, sequence);
      return ATLED_OK;
    },
    [](uint64_t range) -> int {
      end_range(range);
      return ATLED_OK;
    },
    [](uint64_t sequence) -> int {
      note_sequence(sequence);
      return ATLED_OK;
    },
};

}  // namespace atled::core
