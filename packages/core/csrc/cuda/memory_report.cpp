#include "memory_report.h"

#include <cstdio>

namespace atled::cuda {
namespace {

// PyTorch's names, in the order of Quantity.
constexpr const char* kQuantityNames[kQuantities] = {
    "allocation",      "segment",        "active",       "inactive_split",
    "allocated_bytes", "reserved_bytes", "active_bytes", "inactive_split_bytes",
    "requested_bytes"};
constexpr const char* kPoolNames[MemoryStats::kPools] = {"all", "small_pool", "large_pool"};
constexpr const char* kActionNames[] = {"alloc",        "free_requested", "free_completed", "segment_alloc",
                                        "segment_free", "segment_map",    "segment_unmap",  "oom"};

const char* state_name(BlockState state) {
  switch (state) {
    case BlockState::kLive:
      return "active_allocated";
    case BlockState::kWaiting:
      return "active_awaiting_free";
    case BlockState::kHole:
      return "unmapped";
    case BlockState::kFree:
    case BlockState::kHeld:
      break;
  }
  return "inactive";
}

// A JSON object or array that is written from front to back.
class Json {
 public:
  Json& open(char bracket) {
    separate();
    text_ += bracket;
    first_ = true;
    return *this;
  }
  Json& close(char bracket) {
    text_ += bracket;
    first_ = false;
    return *this;
  }
  Json& key(const std::string& name) {
    string(name);
    text_ += ": ";
    first_ = true;
    return *this;
  }
  Json& raw(const std::string& value) {
    separate();
    text_ += value;
    return *this;
  }
  template <class Number>
  Json& number(Number value) {
    return raw(std::to_string(value));
  }
  Json& boolean(bool value) { return raw(value ? "true" : "false"); }
  Json& string(const std::string& value) {
    separate();
    text_ += '"';
    for (char c : value) {
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (static_cast<unsigned char>(c) < 32) {
        char escape[8];
        snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
        text_ += escape;
      } else {
        text_ += c;
      }
    }
    text_ += '"';
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  void separate() {
    if (!first_) text_ += ", ";
    first_ = false;
  }
  std::string text_;
  bool first_ = true;
};

void write_segment(Json& json, const SegmentInfo& segment, int device) {
  size_t allocated = 0, active = 0, requested = 0;
  for (const BlockInfo& block : segment.blocks) {
    const bool live = block.state == BlockState::kLive;
    if (live) allocated += block.bytes;
    if (live || block.state == BlockState::kWaiting) active += block.bytes;
    requested += block.requested;
  }
  json.open('{').key("device").number(device).key("address").number(segment.address);
  json.key("total_size").number(segment.mapped).key("allocated_size").number(allocated);
  json.key("active_size").number(active).key("requested_size").number(requested);
  json.key("stream").number(segment.stream).key("segment_type").string(segment.small ? "small" : "large");
  json.key("segment_pool_id").open('[').number(segment.pool).number(0).close(']');
  json.key("is_expandable").boolean(segment.expandable).key("blocks").open('[');
  for (const BlockInfo& block : segment.blocks) {
    json.open('{').key("address").number(block.address).key("size").number(block.bytes);
    json.key("requested_size").number(block.requested).key("state").string(state_name(block.state));
    if (!block.line.empty()) json.key("site").string(block.line);
    json.close('}');
  }
  json.close(']').close('}');
}

}  // namespace

std::string readable(size_t bytes) {
  static const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
  double value = static_cast<double>(bytes) / 1024;
  int unit = 0;
  for (; value >= 1023.995 && unit < 5; ++unit) value /= 1024;  // what would print as 1024.00
  char text[32];
  snprintf(text, sizeof text, "%.2f %s", value, units[unit]);
  return text;
}

std::string to_json(const MemoryStats& stats) {
  Json json;
  json.open('{');
  for (int quantity = 0; quantity < kQuantities; ++quantity)
    for (int pool = 0; pool < MemoryStats::kPools; ++pool) {
      const std::string name = std::string(kQuantityNames[quantity]) + "." + kPoolNames[pool] + ".";
      const Stat& stat = stats.stats[quantity][pool];
      json.key(name + "current").number(stat.current).key(name + "peak").number(stat.peak);
      json.key(name + "allocated").number(stat.allocated).key(name + "freed").number(stat.freed);
    }
  json.key("num_alloc_retries").number(stats.alloc_retries).key("num_ooms").number(stats.ooms);
  json.key("num_sync_all_streams").number(stats.sync_all_streams);
  json.key("num_device_alloc").number(stats.device_alloc).key("num_device_free").number(stats.device_free);
  return json.close('}').take();
}

std::string to_json(const Snapshot& snapshot) {
  Json json;
  json.open('{').key("segments").open('[');
  for (const SegmentInfo& segment : snapshot.segments) write_segment(json, segment, snapshot.device);
  // PyTorch has a list of events for each device.
  json.close(']').key("device_traces").open('[');
  for (int device = 0; device < snapshot.device; ++device) json.open('[').close(']');
  json.open('[');
  for (const HistoryEntry& entry : snapshot.history) {
    json.open('{').key("action").string(kActionNames[static_cast<int>(entry.action)]);
    json.key("addr").number(entry.address).key("size").number(entry.bytes).key("stream").number(entry.stream);
    json.key("time_us").number(entry.time_us);
    if (!entry.line.empty()) json.key("site").string(entry.line);
    json.close('}');
  }
  return json.close(']').close(']').close('}').take();
}

std::string out_of_memory_text(const MemoryProblem& p) {
  const std::string device = "cuda:" + std::to_string(p.device);
  std::string text = "expected " + readable(p.wanted) + " to be available on " + device + ", but ";
  if (p.limit && p.reserved + p.wanted > p.limit && p.free >= p.wanted)
    text += "the memory limit of this process is " + readable(p.limit);
  else
    text += readable(p.free) + " of its " + readable(p.total) + " are free";
  text += "; this process holds " + readable(p.reserved) + ": " + readable(p.live) + " in " +
          std::to_string(p.live_count) + (p.live_count == 1 ? " live allocation" : " live allocations");
  if (p.waiting) text += ", " + readable(p.waiting) + " freed but still used by other streams";
  text += ", " + readable(p.cached) + " cached";
  if (p.largest) text += " in blocks of up to " + readable(p.largest);
  if (!p.groups.empty()) text += "\nlargest live allocations:";
  for (const LiveGroup& group : p.groups) {
    text += "\n  " + readable(group.bytes);
    if (group.count > 1) text += " in " + std::to_string(group.count) + " of up to " + readable(group.largest);
    text += group.line.empty() ? ", made by an unknown line" : ", made at " + group.line;
  }

  text += "\nwhat to do: ";
  const size_t others = p.total > p.free + p.reserved ? p.total - p.free - p.reserved : 0;
  if (p.capturing)
    text += "a graph is being captured, so no cached memory can be given back; call empty_cache() before the capture";
  else if (p.wanted > p.total)
    text += "the device is smaller than this one allocation; check its shape";
  else if (p.limit && p.reserved + p.wanted > p.limit && p.free >= p.wanted)
    text += "raise the limit with set_per_process_memory_fraction(), or keep fewer of these alive";
  else if (!p.expandable && p.cached >= p.wanted)
    text += "what is cached would do but lies in pieces; let the allocator use expandable segments";
  else if (others >= p.wanted && others > p.reserved)
    text += "other processes and libraries hold " + readable(others) + "; end those that are not needed";
  else
    text +=
        "use a smaller batch, drop references to tensors that are no longer needed, run without recording gradients "
        "what needs none, or recompute activations (checkpointing)";
  return text;
}

}  // namespace atled::cuda
