/* The group "cuda", version 1, which the CUDA backend publishes: what its devices have beside the device table of
 * abi.h. A wheel with kernels of its own asks for it by api.group("cuda", 1, ...), once device "cuda" is loaded.
 *
 * abi.h's contract holds: every function answers ATLED_OK or the kind of the error it has set, from any thread, and new
 * ones are appended. `index` is a device's; stream NULL is its default stream, not the current one. Texts live until
 * the next one that the thread asks for.
 */
#ifndef ATLED_CUDA_H
#define ATLED_CUDA_H

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  char name[256];
  uint8_t uuid[16];
  uint64_t total_memory;
  int32_t major, minor; /* compute capability */
  int32_t multi_processor_count;
  int32_t warp_size;
  int32_t max_threads_per_block;
  int32_t max_threads_per_multi_processor;
  int32_t regs_per_multiprocessor;
  int32_t shared_memory_per_block;
  int32_t shared_memory_per_block_optin;
  int32_t shared_memory_per_multiprocessor;
  int32_t l2_cache_size;
  int32_t is_integrated;
  int32_t is_multi_gpu_board;
  int32_t pci_bus_id, pci_device_id, pci_domain_id;
} atled_cuda_properties;

/* How a captured graph is told apart; pools of memory have numbers, 0 is none. */
typedef struct atled_cuda_graph atled_cuda_graph;

enum { ATLED_CUDA_EVENT_TIMING = 1, ATLED_CUDA_EVENT_BLOCKING = 2 };
enum { ATLED_CUDA_CAPTURE_GLOBAL = 0, ATLED_CUDA_CAPTURE_THREAD_LOCAL = 1, ATLED_CUDA_CAPTURE_RELAXED = 2 };

/* Where a draw's Philox counters begin: at seed and offset, or, inside a captured graph, at words[0] and
 * words[1] + offset, which kernels read from the device's memory, since they are others at each replay. */
typedef struct {
  uint64_t seed, offset;
  const uint64_t* words;
} atled_cuda_counters;

/* An index out of bounds that a kernel has met. Each device has a place for one, in host memory that the device writes
 * to; it is raised as BoundsError where the host next waits, or at the next op that indexes. */
typedef struct {
  int32_t found; /* written last */
  int32_t dim;   /* -1: indices from 0 on, of no dimension */
  int64_t value, bound;
  int64_t position;      /* among the indices, or -1 */
  const char *op, *name; /* name: of the argument, or NULL */
  uint64_t call;
} atled_cuda_index_error;

/* For kernels of one call: where to tell, and which call it is. */
typedef struct {
  atled_cuda_index_error* error;
  uint32_t* claimed; /* device memory: 1 from the first error until that is raised */
  const char *op, *name;
  uint64_t call;
} atled_cuda_index_site;

typedef struct {
  /* devices */
  int (*versions)(int32_t* runtime, int32_t* driver); /* 1000 * major + 10 * minor */
  int (*device_count)(int32_t* out);
  int (*properties)(int32_t index, atled_cuda_properties* out, size_t size);
  int (*current_device)(int32_t* out); /* the calling thread's */
  int (*set_device)(int32_t index);
  int (*memory_info)(int32_t index, uint64_t* free, uint64_t* total);
  int (*can_access_peer)(int32_t index, int32_t peer, int32_t* out);
  int (*pointer_device)(const void* ptr, int32_t* index); /* -1 for what is no device's memory */
  int (*synchronize)(int32_t index);
  /* streams */
  int (*stream_create)(int32_t index, int32_t priority, atled_stream* out);
  int (*stream_priorities)(int32_t index, int32_t* least, int32_t* greatest);
  int (*stream_priority)(int32_t index, atled_stream stream, int32_t* out);
  int (*current_stream)(int32_t index, atled_stream* out); /* the calling thread's */
  int (*set_stream)(int32_t index, atled_stream stream);
  int (*stream_query)(int32_t index, atled_stream stream, int32_t* done);
  int (*stream_synchronize)(int32_t index, atled_stream stream);
  int (*stream_wait)(int32_t index, atled_stream stream, atled_event event);
  int (*stream_capturing)(int32_t index, atled_stream stream, int32_t* out);
  /* events */
  int (*event_create)(int32_t index, uint32_t flags, atled_event* out);
  int (*event_destroy)(int32_t index, atled_event event);
  int (*event_record)(int32_t index, atled_event event, atled_stream stream);
  int (*event_query)(int32_t index, atled_event event, int32_t* done);
  int (*event_synchronize)(int32_t index, atled_event event);
  int (*event_elapsed)(int32_t index, atled_event begin, atled_event end, double* milliseconds);
  /* memory */
  int (*record_stream)(int32_t index, const void* ptr, atled_stream stream);
  int (*memory_stats)(int32_t index, const char** json);
  int (*memory_snapshot)(int32_t index, const char** json);
  int (*reset_peak_stats)(int32_t index);
  int (*reset_accumulated_stats)(int32_t index);
  int (*record_history)(int32_t index, uint64_t entries); /* 0 ends it */
  int (*empty_cache)(int32_t index);
  int (*set_memory_fraction)(int32_t index, double fraction);
  /* pinned host memory */
  int (*host_tensor)(int32_t dtype, int32_t ndim, const int64_t* shape, const int64_t* strides,
                     DLManagedTensorVersioned** out);
  int (*host_pinned)(const void* ptr, int32_t* out);
  int (*host_stats)(const char** json);
  int (*host_empty_cache)(void);
  /* graphs: what the thread's current stream of a device is given between begin and end becomes a graph. A capture that
   * fails ends, and answers its error in `end`. *pool is where its memory comes from; a new one where it is 0 or gone.
   */
  int (*graph_begin)(int32_t index, int32_t mode, uint64_t* pool, atled_cuda_graph** out);
  int (*graph_end)(atled_cuda_graph* graph);
  int (*graph_launch)(atled_cuda_graph* graph);  /* on the current stream; takes the graph's random numbers */
  int (*graph_destroy)(atled_cuda_graph* graph); /* one that still captures ends */
  int (*counters)(int32_t index, atled_generator* generator, uint64_t n, atled_cuda_counters* out);
  /* marks for profilers; nothing where the backend was built without NVTX */
  int (*range_push)(const char* message, int32_t* depth);
  int (*range_pop)(int32_t* depth);
  int (*range_start)(const char* message, uint64_t* id);
  int (*range_end)(uint64_t id);
  int (*mark)(const char* message);
  /* Opens one of NVIDIA's libraries, such as "libcudnn.so.9", where the backend looks for its own; it stays open.
   * `mend` says what to install, at the end of the error where there is none. */
  int (*open_library)(const char* file, const char* mend, void** handle);
  /* calls of ops that index: begin raises what an earlier call has left, end what this one has, where calls are to wait
   * for their errors. op and name live as long as the process; name may be NULL. */
  int (*index_begin)(int32_t index, const char* op, const char* name, atled_cuda_index_site* out);
  int (*index_end)(int32_t index, const atled_cuda_index_site* site);
  /* Makes a device the calling thread's current one, until leave on the same thread, which ends the last enter. What
   * was current before is so again, and is given no context if it had none, as set_device would. */
  int (*enter_device)(int32_t index);
  int (*leave_device)(void);
} atled_cuda_group;

#ifdef __cplusplus
}
#endif
#endif /* ATLED_CUDA_H */
