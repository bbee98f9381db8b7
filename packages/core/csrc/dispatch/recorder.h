// Records calls of ops, ranges and memory while a profiler is on (atled.core.profiler; docs/profiling.md).
//
// It takes part in a call before the layers do, and excludes none, so that it sees the calls that layers and composite
// ops make. Any thread may call anything here. Each thread writes into a track of its own, behind a flag that nobody
// else takes but who starts or ends a recording. A recording ends in the child of a fork.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "atled/profile.h"

namespace atled::core {

enum : uint32_t {
  kRecordCalls = 1,
  kRecordShapes = 2,
  kRecordMemory = 4,
  kRecordSites = 8,
  kRecordDevices = 16  // what a device other than the CPU spends on a call, between two of its events
};

enum class RecordKind : uint8_t { kCall, kRange, kBackward, kMemory };

// One call or range. Times are nanoseconds of the steady clock; end is 0 while it is open.
struct Record {
  const char* name;  // of an op, or in the track's words
  int64_t begin, end;
  int64_t parent;  // the record that it lies in, -1 for none
  uint64_t sequence;
  int64_t allocated[2], freed[2];  // bytes of tensors by itself: of the host, of other devices
  uint64_t site[2];
  const int64_t *arguments, *results;  // in the track's words: see describe() in recorder.cpp; NULL when not asked for
  atled_event device_begin, device_end;
  atled_stream stream;
  DLDevice device;
  RecordKind kind;
  bool inplace, failed;
};

struct Track {
  static constexpr int64_t kChunk = 512;
  uint64_t thread = 0;  // the system's number
  int64_t count = 0, dropped = 0;
  std::vector<std::unique_ptr<Record[]>> chunks;
  std::vector<std::unique_ptr<int64_t[]>> words;
  Record& at(int64_t i) const { return chunks[static_cast<size_t>(i / kChunk)][i % kChunk]; }
};

// What a device needs for times of the host's clock: an event, and when it happened.
struct DeviceClock {
  DLDevice device;
  atled_event event;
  int64_t time;
};

struct Recording {
  int64_t end = 0;
  std::vector<Track> tracks;
  std::vector<DeviceClock> clocks;
};

extern std::atomic<uint32_t> recording;  // kRecord*; 0: nothing is recorded

// False when a recording is going on already.
bool start_recording(uint32_t what);
// What was recorded. Device events still have to be read, then dropped: `device_time` and `drop_events`.
Recording stop_recording();
// Begin and end of a record on the host's clock; false when the device has not measured it.
bool device_time(const Recording& all, const Record& record, int64_t* begin, int64_t* end);
void drop_events(const Recording& all);

int64_t recorder_now();
int recorded_call(atled_frame* frame) noexcept;
// 0 when nothing is recorded. The range ends with what was begun in it.
uint64_t begin_range(const char* name, RecordKind kind, uint64_t sequence) noexcept;
void end_range(uint64_t range) noexcept;
// Notes the number of the backward node that the innermost open call has made.
void note_sequence(uint64_t sequence) noexcept;
void note_memory(DLDevice device, int64_t bytes) noexcept;  // < 0: freed

extern const atled_profile_group profile_table;

}  // namespace atled::core
