// A stand-in for NCCL between processes with emulated devices: collectives through files.
//
// A communicator is a folder below TMPDIR, whose path is the unique identifier. Each rank writes what it has to send
// when its stream comes there, and the stream stands still until the others have written theirs. What NCCL leaves
// undefined, such as ranks that call different things, is a process that ends here, or never goes on.
#include "nccl.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "atled/dtype.hpp"
#include "emulator.h"

using atled::emulator::current_device;
using atled::emulator::enqueue;

struct ncclComm {
  std::string folder;
  int rank = 0, size = 0, device = 0;
  std::atomic<bool> aborted{false};
  uint64_t collectives = 0;
  std::map<int, uint64_t> sent, received;  // messages, by the other rank
};

namespace {

using Comm = std::shared_ptr<ncclComm>;
using Bytes = std::vector<char>;
enum class Kind { all_reduce, reduce, broadcast, all_gather, reduce_scatter, send, receive };

struct Op {
  Kind kind;
  const void* from = nullptr;
  void* to = nullptr;
  size_t count = 0;  // elements of the call
  ncclDataType_t type = ncclUint8;
  ncclRedOp_t how = ncclSum;
  int peer = 0;  // or the root
  Comm comm;
  cudaStream_t stream = nullptr;
  uint64_t number = 0;  // of the collective, or of the messages between the two
};

thread_local int depth = 0;
thread_local std::vector<Op> group;
thread_local std::string last_error;
// By their addresses, which are the handles; they live on in work that a stream has.
std::map<ncclComm_t, Comm>& communicators() {
  static auto* map = new std::map<ncclComm_t, Comm>;
  return *map;
}

ncclResult_t error(ncclResult_t code, const char* why) {
  last_error = why;
  return code;
}

size_t width(ncclDataType_t type) {
  constexpr size_t widths[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};
  return widths[type];
}

// ---- files ----

std::string path_of(const Op& op, int rank) {
  if (op.kind == Kind::send || op.kind == Kind::receive) {
    const int from = op.kind == Kind::send ? op.comm->rank : op.peer;
    const int to = op.kind == Kind::send ? op.peer : op.comm->rank;
    return op.comm->folder + "/message " + std::to_string(from) + " " + std::to_string(to) + " " +
           std::to_string(op.number);
  }
  return op.comm->folder + "/call " + std::to_string(op.number) + " " + std::to_string(rank);
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

void write(const std::string& path, const void* data, size_t bytes) {
  const std::string draft = path + " draft";
  std::ofstream(draft, std::ios::binary).write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  std::rename(draft.c_str(), path.c_str());
}

// A file that is gone was taken away by a rank that has aborted, which the communicator's error tells.
Bytes read(const std::string& path, size_t bytes) {
  Bytes data(bytes);
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return data;
  if (static_cast<size_t>(file.tellg()) != bytes)
    atled::emulator::refuse("NCCL: ranks of one communicator called different things");
  file.seekg(0).read(data.data(), static_cast<std::streamsize>(bytes));
  return data;
}

// ---- arithmetic ----

template <class T, class Wide>
void combine(char* total, const char* other, size_t count, ncclRedOp_t how) {
  for (size_t i = 0; i < count; ++i) {
    T a, b;
    std::memcpy(&a, total + i * sizeof(T), sizeof(T));
    std::memcpy(&b, other + i * sizeof(T), sizeof(T));
    const Wide x = a, y = b;
    const T result(static_cast<Wide>(how == ncclProd  ? x * y
                                     : how == ncclMax ? (x > y ? x : y)
                                     : how == ncclMin ? (x < y ? x : y)
                                                      : x + y));
    std::memcpy(total + i * sizeof(T), &result, sizeof(T));
  }
}
template <class T, class Wide>
void divide(char* total, size_t count, int by) {
  for (size_t i = 0; i < count; ++i) {
    T a;
    std::memcpy(&a, total + i * sizeof(T), sizeof(T));
    const T result(static_cast<Wide>(static_cast<Wide>(a) / static_cast<Wide>(by)));
    std::memcpy(total + i * sizeof(T), &result, sizeof(T));
  }
}
template <class T, class Wide = T>
void reduce(const std::vector<Bytes>& parts, size_t start, size_t count, ncclRedOp_t how, void* out) {
  const size_t from = start * sizeof(T), bytes = count * sizeof(T);
  Bytes total(parts[0].begin() + static_cast<long>(from), parts[0].begin() + static_cast<long>(from + bytes));
  for (size_t rank = 1; rank < parts.size(); ++rank)
    combine<T, Wide>(total.data(), parts[rank].data() + from, count, how);
  if (how == ncclAvg) divide<T, Wide>(total.data(), count, static_cast<int>(parts.size()));
  std::memcpy(out, total.data(), bytes);
}
void reduce(const Op& op, const std::vector<Bytes>& parts, size_t start) {
  const auto run = [&](auto function) { function(parts, start, op.count, op.how, op.to); };
  switch (op.type) {
    case ncclInt8:
      return run(reduce<int8_t>);
    case ncclUint8:
      return run(reduce<uint8_t>);
    case ncclInt32:
      return run(reduce<int32_t, int64_t>);
    case ncclUint32:
      return run(reduce<uint32_t>);
    case ncclInt64:
      return run(reduce<int64_t>);
    case ncclUint64:
      return run(reduce<uint64_t>);
    case ncclFloat16:
      return run(reduce<atled::Half, float>);
    case ncclFloat32:
      return run(reduce<float>);
    case ncclFloat64:
      return run(reduce<double>);
    case ncclBfloat16:
      return run(reduce<atled::BFloat16, float>);
  }
}

// ---- operations ----

size_t elements_sent(const Op& op) {
  if (op.kind == Kind::reduce_scatter) return op.count * static_cast<size_t>(op.comm->size);
  if (op.kind == Kind::receive || (op.kind == Kind::broadcast && op.peer != op.comm->rank)) return 0;
  return op.count;
}

void begin(const Op& op) {
  if (op.kind != Kind::receive) write(path_of(op, op.comm->rank), op.from, elements_sent(op) * width(op.type));
}

bool arrived(const Op& op) {
  if (op.kind == Kind::send) return true;
  if (op.kind == Kind::receive) return exists(path_of(op, 0));
  for (int rank = 0; rank < op.comm->size; ++rank)
    if (!exists(path_of(op, rank))) return false;
  return true;
}

void complete(const Op& op) {
  const ncclComm& comm = *op.comm;
  const size_t bytes = op.count * width(op.type);
  if (op.kind == Kind::send) return;
  if (op.kind == Kind::receive) {
    const Bytes data = read(path_of(op, 0), bytes);
    std::memcpy(op.to, data.data(), bytes);
    std::filesystem::remove(path_of(op, 0));
    return;
  }
  if (op.kind == Kind::broadcast) {
    const Bytes data = read(path_of(op, op.peer), bytes);
    std::memcpy(op.to, data.data(), bytes);
  } else if (op.kind != Kind::reduce || op.peer == comm.rank) {
    std::vector<Bytes> parts;
    for (int rank = 0; rank < comm.size; ++rank)
      parts.push_back(read(path_of(op, rank), elements_sent(op) * width(op.type)));
    if (op.kind == Kind::all_gather) {
      for (size_t rank = 0; rank < parts.size(); ++rank)
        std::memcpy(static_cast<char*>(op.to) + rank * bytes, parts[rank].data(), bytes);
    } else {
      reduce(op, parts, op.kind == Kind::reduce_scatter ? op.count * static_cast<size_t>(comm.rank) : 0);
    }
  }
  // Who has written for this call has read what was written for the one before.
  Op before = op;
  before.number = op.number - 1;
  std::filesystem::remove(path_of(before, comm.rank));
}

// NCCL runs a group as one kernel: no operation waits for another one of it.
ncclResult_t launch(const std::vector<Op>& ops) {
  std::map<std::pair<ncclComm_t, cudaStream_t>, std::vector<Op>> kernels;
  for (const Op& op : ops) kernels[{op.comm.get(), op.stream}].push_back(op);
  for (const auto& [key, all] : kernels) {
    const auto each = [all = all](auto function) {
      bool holds = true;
      for (const Op& op : all) holds = holds && (op.comm->aborted || function(op));
      return holds;
    };
    const auto is_read = [](const Op& op) { return op.kind != Kind::send || !exists(path_of(op, 0)); };
    const auto run = [each](void (*step)(const Op&)) {
      (void)each([step](const Op& op) {
        step(op);
        return true;
      });
    };
    if (enqueue(key.second, [run] { run(begin); }) ||
        enqueue(
            key.second, [run] { run(complete); }, [each] { return each(arrived); }) ||
        enqueue(key.second, [] {}, [each, is_read] { return each(is_read); }))
      return error(ncclUnhandledCudaError, "a stream that takes no work");
  }
  return ncclSuccess;
}

ncclResult_t submit(ncclComm_t handle, Op op) {
  atled::emulator::Guard guard(atled::emulator::lock());
  const auto found = communicators().find(handle);
  if (found == communicators().end()) return error(ncclInvalidArgument, "no communicator");
  op.comm = found->second;
  if (op.peer < 0 || op.peer >= op.comm->size) return error(ncclInvalidArgument, "no rank of the communicator");
  for (const void* pointer : {op.from, static_cast<const void*>(op.to)}) {
    int device = -1;
    if (pointer && (!atled::emulator::on_device(pointer, &device) || device != op.comm->device))
      return error(ncclInvalidArgument, "memory that is not the communicator's device's");
  }
  if (op.kind == Kind::send)
    op.number = ++op.comm->sent[op.peer];
  else if (op.kind == Kind::receive)
    op.number = ++op.comm->received[op.peer];
  else
    op.number = ++op.comm->collectives;
  if (!depth) return launch({op});
  group.push_back(op);
  return ncclSuccess;
}

Comm take(ncclComm_t handle) {
  atled::emulator::Guard guard(atled::emulator::lock());
  const auto found = communicators().find(handle);
  if (found == communicators().end()) return nullptr;
  const Comm comm = found->second;
  communicators().erase(found);
  return comm;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT ncclResult_t ncclGetVersion(int* version) {
  *version = 22799;
  return ncclSuccess;
}

EXPORT ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::string path = std::filesystem::temp_directory_path() / "atled_nccl_XXXXXX";
  if (path.size() >= sizeof id->internal || !mkdtemp(path.data()))
    return error(ncclSystemError, "no folder can be made below TMPDIR, or its path is long");
  std::snprintf(id->internal, sizeof id->internal, "%s", path.c_str());
  return ncclSuccess;
}

EXPORT ncclResult_t ncclCommInitRank(ncclComm_t* out, int size, ncclUniqueId id, int rank) {
  auto comm = std::make_shared<ncclComm>();
  comm->folder = id.internal;
  comm->rank = rank;
  comm->size = size;
  comm->device = current_device();
  const auto file = [&](int other, const char* what = "/rank ") { return comm->folder + what + std::to_string(other); };
  const auto device = static_cast<char>(comm->device);
  write(file(rank), &device, 1);
  for (int other = 0; other < size; ++other) {
    while (!exists(file(other))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (other == rank || read(file(other), 1)[0] != device) continue;
    write(file(rank, "/refused "), &device, 1);
    if (exists(file(other, "/refused "))) std::filesystem::remove_all(comm->folder);
    return error(ncclInvalidUsage, "Duplicate GPU detected : two ranks on one CUDA device");
  }
  atled::emulator::Guard guard(atled::emulator::lock());
  communicators()[comm.get()] = comm;
  *out = comm.get();
  return ncclSuccess;
}

EXPORT ncclResult_t ncclCommDestroy(ncclComm_t handle) {
  const Comm comm = take(handle);
  if (!comm) return error(ncclInvalidArgument, "no communicator");
  for (const auto& path : {comm->folder + "/call " + std::to_string(comm->collectives) + " ", comm->folder + "/rank "})
    std::filesystem::remove(path + std::to_string(comm->rank));
  rmdir(comm->folder.c_str());  // by the last one
  return ncclSuccess;
}

EXPORT ncclResult_t ncclCommAbort(ncclComm_t handle) {
  const Comm comm = take(handle);
  if (!comm) return error(ncclInvalidArgument, "no communicator");
  comm->aborted = true;
  std::error_code ignored;
  // Another rank may write into it meanwhile, and then it stays.
  while (exists(comm->folder)) std::filesystem::remove_all(comm->folder, ignored);
  return ncclSuccess;
}

EXPORT ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* out) {
  atled::emulator::Guard guard(atled::emulator::lock());
  const auto found = communicators().find(handle);
  if (found == communicators().end()) return error(ncclInvalidArgument, "no communicator");
  *out = exists(found->second->folder) ? ncclSuccess : error(ncclRemoteError, "another rank has aborted");
  return ncclSuccess;
}

EXPORT ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int* device) {
  *device = comm->device;
  return ncclSuccess;
}

EXPORT const char* ncclGetErrorString(ncclResult_t result) {
  constexpr const char* names[] = {"no error",
                                   "unhandled cuda error",
                                   "unhandled system error",
                                   "internal error",
                                   "invalid argument",
                                   "invalid usage",
                                   "remote process exited or there was a network error",
                                   "in progress"};
  return names[result];
}
EXPORT const char* ncclGetLastError(ncclComm_t) { return last_error.c_str(); }

EXPORT ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}
EXPORT ncclResult_t ncclGroupEnd() {
  if (!depth) return error(ncclInvalidUsage, "no group was begun");
  if (--depth) return ncclSuccess;
  std::vector<Op> ops;
  ops.swap(group);
  atled::emulator::Guard guard(atled::emulator::lock());
  return launch(ops);
}

EXPORT ncclResult_t ncclReduce(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t op, int root,
                               ncclComm_t comm, cudaStream_t stream) {
  return submit(comm, {Kind::reduce, from, to, count, type, op, root, nullptr, stream});
}
EXPORT ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                                  ncclComm_t comm, cudaStream_t stream) {
  return submit(comm, {Kind::broadcast, from, to, count, type, ncclSum, root, nullptr, stream});
}
EXPORT ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                                  ncclComm_t comm, cudaStream_t stream) {
  return submit(comm, {Kind::all_reduce, from, to, count, type, op, 0, nullptr, stream});
}
EXPORT ncclResult_t ncclReduceScatter(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                                      ncclComm_t comm, cudaStream_t stream) {
  return submit(comm, {Kind::reduce_scatter, from, to, count, type, op, 0, nullptr, stream});
}
EXPORT ncclResult_t ncclAllGather(const void* from, void* to, size_t count, ncclDataType_t type, ncclComm_t comm,
                                  cudaStream_t stream) {
  return submit(comm, {Kind::all_gather, from, to, count, type, ncclSum, 0, nullptr, stream});
}
EXPORT ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                             cudaStream_t stream) {
  return submit(comm, {Kind::send, from, nullptr, count, type, ncclSum, peer, nullptr, stream});
}
EXPORT ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                             cudaStream_t stream) {
  return submit(comm, {Kind::receive, nullptr, to, count, type, ncclSum, peer, nullptr, stream});
}
