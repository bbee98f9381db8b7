/* atled's C ABI: the only thing that crosses between wheels (C11 and C++17).
 *
 * Contract
 *  - Every function answers ATLED_OK or the kind of the error it has set for this thread (see atled_error); none
 * throws.
 *  - Arguments are borrowed; results are owned by the caller, who releases them.
 *  - Every function works without the GIL, from any thread, except the group "py".
 *  - Tables and structures only grow at their end, and only when ATLED_ABI_MINOR moves. A function that is appended
 * after 0.1 returns int, so that a core without it can fill its place with a stub that raises.
 *  - Read the members of atled_tensor and atled_op freely; change them through the tables only.
 *
 * docs/abi.md tells the story; packages/core/include/atled/plugin.hpp is the same contract with a C++ face.
 */
#ifndef ATLED_ABI_H
#define ATLED_ABI_H

#include "dlpack.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ATLED_ABI_MAJOR 0
#define ATLED_ABI_MINOR 2
/* The oldest core that a plugin will run on; raise it to use newer functions without asking. */
#ifndef ATLED_ABI_TARGET_MINOR
#define ATLED_ABI_TARGET_MINOR 1
#endif
#define ATLED_MAGIC UINT64_C(0x6174656c64414249) /* "atledABI" */
#define ATLED_MAX_NDIM 64
#define ATLED_CAPSULE "atled.core._core._abi"
#define ATLED_INIT_SYMBOL "atled_plugin_init"

/* ---- errors -------------------------------------------------------------------------------------------------- */

enum {
  ATLED_OK = 0,
  ATLED_E_RUNTIME = 1,  /* RuntimeError */
  ATLED_E_SHAPE = 2,    /* ShapeError (ValueError) */
  ATLED_E_DTYPE = 3,    /* DTypeError (TypeError) */
  ATLED_E_DEVICE = 4,   /* DeviceError (RuntimeError) */
  ATLED_E_BOUNDS = 5,   /* BoundsError (IndexError) */
  ATLED_E_ARGUMENT = 6, /* ArgumentError (TypeError): a wrong name, number or type of arguments */
  ATLED_E_VALUE = 7,    /* InvalidValueError (ValueError) */
  ATLED_E_NOT_IMPLEMENTED = 8,
  ATLED_E_MEMORY = 9,    /* OutOfMemoryError (MemoryError) */
  ATLED_E_ABI = 10,      /* ABIError (ImportError) */
  ATLED_E_PLUGIN = 11,   /* PluginError (ImportError) */
  ATLED_E_AUTOGRAD = 12, /* AutogradError (RuntimeError) */
  ATLED_E_FORMAT = 13,   /* FormatError (ValueError) */
  ATLED_E_PYTHON = 14,   /* a Python exception travels in the error state */
  ATLED_E_LINALG = 15    /* LinAlgError (RuntimeError, ValueError) */
};

typedef struct {
  int32_t kind;
  const char* message; /* UTF-8, lives until the next error of this thread */
  const char* op;      /* the op that was called, or "" */
  void* python;        /* the exception object when kind is ATLED_E_PYTHON (borrowed) */
} atled_error;

/* ---- dtypes and devices -------------------------------------------------------------------------------------- */

enum {
  ATLED_BOOL = 0,
  ATLED_UINT8,
  ATLED_INT8,
  ATLED_UINT16,
  ATLED_INT16,
  ATLED_UINT32,
  ATLED_INT32,
  ATLED_UINT64,
  ATLED_INT64,
  ATLED_FLOAT16,
  ATLED_BFLOAT16,
  ATLED_FLOAT32,
  ATLED_FLOAT64,
  ATLED_COMPLEX64,
  ATLED_COMPLEX128,
  ATLED_FLOAT8_E4M3FN, /* since 0.2; ops without ATLED_OP_FLOAT8 are never given tensors of these two */
  ATLED_FLOAT8_E5M2,
  ATLED_NUM_DTYPES
};

/* Device types are DLPack's. ATLED_DEVICE_ANY registers a kernel for every device. */
enum { ATLED_DEVICE_ANY = 0, ATLED_DEVICE_CPU = kDLCPU, ATLED_DEVICE_CUDA = kDLCUDA, ATLED_DEVICE_META = 100 };

/* ---- tensor -------------------------------------------------------------------------------------------------- */

/* Shared by all views of a storage. `count` moves with each in-place change; whoever must be able to name the change
 * later raises `watchers` while it cares, so that others pay nothing. Both are changed atomically. */
typedef struct {
  uint64_t count;
  uint64_t watchers;
  uint64_t keys; /* since 0.2: layers that want to see calls with any tensor of the storage; only ever added to */
} atled_version;

enum {
  ATLED_TENSOR_CONTIGUOUS = 1u << 0, /* row-major without gaps */
  ATLED_TENSOR_READONLY = 1u << 1,   /* in-place changes are refused */
  ATLED_TENSOR_VIEW = 1u << 2,       /* made by a view op: shares another tensor's storage */
  ATLED_TENSOR_INFERENCE = 1u << 3   /* its memory was allocated while the thread excluded level 0 */
};

/* A key without a layer: what such a tensor's memory holds is not its values, for a layer stands in for them. Ops may
 * use it; reading its memory is refused. */
#define ATLED_KEY_OPAQUE (UINT64_C(1) << 63)

typedef struct atled_tensor {
  DLTensor dl;            /* data points at element 0 (byte_offset is 0); shape and strides are never NULL */
  uint64_t keys;          /* layers that want to see calls with this tensor */
  atled_version* version; /* never NULL; equal pointers mean one storage */
  void* autograd;         /* owned by the layer that registered for the slot */
  uint8_t dtype;          /* ATLED_FLOAT32, ... */
  uint8_t device_slot;    /* small dense number of dl.device.device_type in this process */
  uint16_t flags;
  uint32_t reserved;
} atled_tensor;

/* What a shape rule says of an output. strides are in elements and count only when has_strides is set;
 * else the output is contiguous. */
typedef struct {
  int32_t dtype;
  int32_t ndim;
  int32_t has_strides;
  int32_t reserved;
  int64_t shape[ATLED_MAX_NDIM];
  int64_t strides[ATLED_MAX_NDIM];
} atled_spec;

/* ---- values, frames and ops ---------------------------------------------------------------------------------- */

typedef struct atled_generator atled_generator;

enum {
  ATLED_NONE = 0,
  ATLED_TENSOR,        /* u.tensor; NULL is not allowed, none is ATLED_NONE */
  ATLED_INT_VALUE,     /* u.i */
  ATLED_FLOAT_VALUE,   /* u.f */
  ATLED_BOOL_VALUE,    /* u.i, 0 or 1 */
  ATLED_COMPLEX_VALUE, /* u.complex: two doubles */
  ATLED_DTYPE,         /* u.i */
  ATLED_DEVICE,        /* u.device */
  ATLED_STRING,        /* u.str, n bytes, zero-terminated too */
  ATLED_INTS,          /* u.ints, n of them */
  ATLED_FLOATS,        /* u.floats, n of them */
  ATLED_TENSORS,       /* u.tensors, n of them; an entry may be NULL where the schema says Tensor?[] */
  ATLED_GENERATOR      /* u.generator */
};

typedef struct atled_value {
  union {
    atled_tensor* tensor;
    int64_t i;
    double f;
    const double* complex;
    DLDevice device;
    const char* str;
    const int64_t* ints;
    const double* floats;
    atled_tensor** tensors; /* as a result: owned, released with values_release; the array is from the alloc group */
    atled_generator* generator;
  } u;
  uint32_t tag;
  uint32_t n;
} atled_value;

enum {
  ATLED_ARG_OPTIONAL = 1u << 0,  /* None is allowed */
  ATLED_ARG_KEYWORD = 1u << 1,   /* keyword only */
  ATLED_ARG_MUTATED = 1u << 2,   /* Tensor(a!) or Tensor(a!)[] */
  ATLED_ARG_DEFAULT = 1u << 3,   /* has a default */
  ATLED_ARG_VARIADIC = 1u << 4,  /* int[*]: also given as loose positional integers */
  ATLED_ARG_SCALAR_TOO = 1u << 5 /* Tensor|Scalar */
};

typedef struct {
  const char* name;
  const char* type; /* as in the schema: "Tensor", "int[]?", "Tensor|Scalar", ... */
  uint32_t tag; /* the value's usual tag; ATLED_FLOAT_VALUE for "float", ATLED_NONE for "Scalar" (int, float, bool or
                   complex) */
  uint32_t flags;
  atled_value fallback; /* the default */
} atled_arg;

enum {
  ATLED_OP_ELEMENTWISE = 1u << 0, /* each output element depends on the aligned input elements only */
  ATLED_OP_INPLACE = 1u << 1,     /* the form name_(input, ...) is derived */
  ATLED_OP_VIEW = 1u << 2,        /* output 0 (or each of Tensor[]) shares argument 0's storage */
  ATLED_OP_COMPOSITE = 1u << 3,   /* calls other ops; layers see those instead */
  ATLED_OP_RANDOM = 1u << 4,      /* draws from a generator */
  ATLED_OP_FACTORY = 1u << 5,     /* makes tensors from no tensor: takes dtype, device, requires_grad */
  ATLED_OP_FUNCTION = 1u << 6,    /* no method on Tensor */
  ATLED_OP_MUTATES = 1u << 7,     /* the schema has a Tensor(a!) or Tensor(a!)[] argument; set by core */
  ATLED_OP_PRIVATE = 1u << 8,     /* not shown in the public namespace */
  ATLED_OP_ANY_DEVICE = 1u << 9,  /* tensor arguments may live on different devices */
  ATLED_OP_FLOAT8 = 1u << 10      /* takes float8 as well: moves, converts or names them; so do views and composites */
};

typedef struct atled_op {
  const char* ns;   /* "core" */
  const char* name; /* "log1p" */
  const char* schema;
  const char* doc;
  uint32_t id; /* dense, in order of registration */
  uint32_t traits;
  uint16_t nargs;
  uint16_t nouts;
  uint32_t out_list; /* 1 when the result is one Tensor[] */
  const atled_arg* args;
  const char* const* out_names; /* nouts of them; "" where the schema gives none */
} atled_op;

enum {
  ATLED_CALL_INPLACE = 1u << 0, /* outs[0] is args[0] */
  ATLED_CALL_OUT = 1u << 1      /* outs hold tensors to be filled */
};

/* One call. args has op->nargs values, outs op->nouts. In a kernel of an op with a shape rule, outs hold allocated
 * tensors to fill; without one, the kernel puts owned results there. */
typedef struct atled_frame {
  const atled_op* op;
  atled_value* args;
  atled_value* outs;
  uint64_t layers; /* still to be entered */
  uint32_t flags;
  uint32_t reserved;
} atled_frame;

typedef int (*atled_kernel)(void* ctx, atled_frame* frame);
/* Checks the arguments and says what each output will be. */
typedef int (*atled_shape_rule)(void* ctx, const atled_frame* frame, atled_spec* outs);

typedef struct {
  uint32_t size; /* sizeof(atled_op_def) */
  uint32_t traits;
  const char* schema; /* "ns::name(Tensor input, int dim=-1, *, dtype? dtype=None) -> Tensor" */
  const char* doc;
  atled_shape_rule shape; /* NULL: the kernel makes its own outputs */
  void* ctx;
} atled_op_def;

/* ---- handshake ----------------------------------------------------------------------------------------------- */

struct atled_api;

/* What a plugin hands to core. ATLED_REQUEST fills it. */
typedef struct {
  uint64_t magic;
  uint32_t major;
  uint32_t minor;           /* of the header that the plugin was compiled with */
  uint32_t target_minor;    /* the oldest core it accepts */
  uint32_t api_size;        /* sizeof(atled_api) in that header */
  const char* distribution; /* "atled-nn" */
  const char* version;      /* "0.1.0" */
  struct atled_api* api;    /* the plugin's own table, to be filled */
  char* error;              /* where core writes why it refused */
  uint64_t error_size;
} atled_request;

/* What core shows: the content of the capsule and the argument of the init symbol. Its layout never changes. */
typedef struct {
  uint64_t magic;
  uint32_t major;
  uint32_t minor;
  const char* distribution;
  const char* version;
  int (*negotiate)(const atled_request* request);
} atled_handshake;

/* A plugin library without Python exports this; it negotiates, registers and answers a status. */
typedef int (*atled_plugin_init_fn)(const atled_handshake* core);

/* ---- the root table: what every call may need ---------------------------------------------------------------- */

typedef struct atled_api {
  /* tensors */
  void (*retain)(atled_tensor* t);
  void (*release)(atled_tensor* t); /* NULL is fine */
  int (*empty)(const atled_spec* spec, DLDevice device, atled_tensor** out);
  /* A view of base's storage. strides and offset are in elements of dtype, offset from where base's element 0 is. */
  int (*as_view)(atled_tensor* base, int32_t dtype, int32_t ndim, const int64_t* shape, const int64_t* strides,
                 int64_t offset, atled_tensor** out);
  /* A tensor over foreign memory; takes `managed` over on success and calls its deleter when the storage dies. */
  int (*from_dlpack)(DLManagedTensorVersioned* managed, atled_tensor** out);
  int (*to_dlpack)(atled_tensor* t, DLManagedTensorVersioned** out);
  int (*set_keys)(atled_tensor* t, uint64_t set, uint64_t clear);
  /* Counts one in-place change by `op` (dispatch does it for ops that declare theirs). */
  int (*bump_version)(atled_tensor* t, const atled_op* op);
  /* The last watched in-place change of t's storage: "add_ at train.py:12", or "" if none is known. */
  int (*last_change)(atled_tensor* t, char* text, size_t size);

  /* ops */
  int (*find_op)(const char* qualified_name, const atled_op** out); /* "core::add", loads a namespace when needed */
  int (*call)(const atled_op* op, uint32_t flags, atled_value* args, atled_value* outs);
  int (*redispatch)(atled_frame* frame);                   /* goes on below the layer that is running */
  void (*values_release)(atled_value* values, uint32_t n); /* drops owned results */

  /* errors of this thread */
  int (*set_error)(int32_t kind, const char* message); /* returns kind */
  int (*get_error)(atled_error* out);                  /* returns kind, ATLED_OK when none is set */
  void (*clear_error)(void);

  /* groups: core copies as much of the table as both sides know; stubs fill the rest */
  int (*group)(const char* name, uint32_t version, void* table, size_t size);
  int (*publish)(const char* name, uint32_t version, const void* table, size_t size);
} atled_api;

/* ---- groups (all version 1) ---------------------------------------------------------------------------------- */

typedef struct { /* "op" */
  int (*define)(const atled_op_def* def, const atled_op** out);
  int (*count)(uint32_t* out);
  int (*at)(uint32_t id, const atled_op** out);
} atled_op_group;

/* data[i], strides[i] (bytes): outputs first, then inputs, n elements each. The dtypes are those that were asked for.
 */
typedef void (*atled_loop)(void* ctx, char* const* data, const int64_t* strides, int64_t n);

typedef struct { /* "kernel" */
  int (*add)(const atled_op* op, int32_t device_type, atled_kernel kernel, void* ctx);
  /* Runs for any op that has no kernel of its own on that device. */
  int (*fallback)(int32_t device_type, atled_kernel kernel, void* ctx);
  /* Core's element-wise iterator over host memory: broadcasting, any strides, casts, threads. Operands are the frame's
   * outputs, then its tensor and scalar (Scalar, Tensor|Scalar) arguments in order. Inputs are read as in_dtype,
   * outputs written from out_dtype. */
  int (*elementwise)(atled_frame* frame, int32_t in_dtype, int32_t out_dtype, atled_loop loop, void* ctx);
  /* Runs the CPU kernel of frame->op on the frame as it is (its tensors must be readable host memory). */
  int (*run)(atled_frame* frame, int32_t device_type);
  /* Since 0.2. As elementwise, where ctx points to ctx_bytes plain bytes of which a copy will do. */
  int (*elementwise_of)(atled_frame* frame, int32_t in_dtype, int32_t out_dtype, atled_loop loop, const void* ctx,
                        size_t ctx_bytes);
  /* Since 0.2. Says that op's CPU kernel makes no calls and touches memory by no more than one elementwise_of, or
   * elementwise without a ctx: its calls may be put off, to be run together with others (docs/fusion.md). */
  int (*may_fuse)(const atled_op* op);
} atled_kernel_group;

typedef struct { /* "layer" */
  /* level 1..62: higher levels are entered first. While a handler runs, its level and those above are excluded on this
   * thread. Level 0 is no layer: a thread excludes it to mark the tensors that it makes (ATLED_TENSOR_INFERENCE). */
  int (*add)(const char* name, uint32_t level, atled_kernel handler, void* ctx);
  /* The calling thread's words, changed as (word | set) & ~clear; old may be NULL. Restore what you change. */
  int (*include)(uint64_t set, uint64_t clear, uint64_t* old);
  int (*exclude)(uint64_t set, uint64_t clear, uint64_t* old);
  /* Calls of op never enter these layers again (a layer that has nothing to do for an op says so once). */
  int (*skip)(const atled_op* op, uint64_t layers);
  /* atled_tensor.autograd has one owner in a process. It alone sets slots; drop: called when a tensor with one dies. */
  int (*own_slot)(const char* owner, void (*drop)(atled_tensor* t));
  int (*set_slot)(atled_tensor* t, void* value);
  /* Since 0.2. The tensor of which view ops made t: what the first of them was given. NULL when t is no view op's
   * result, or has got other memory since. Borrowed from t. */
  int (*base)(const atled_tensor* t, atled_tensor** out);
  /* Since 0.2. Adds to the keys that all tensors of t's storage share. */
  int (*share_keys)(atled_tensor* t, uint64_t set);
  /* Since 0.2. For a plugin that reads the memory of what calls gave, and of what the handlers of these layers (a bit
   * each) are given, only when it has settled it: puts functions into its own table with which element-wise calls may
   * be put off, to be run together (docs/fusion.md). Kernels need neither this nor settle. */
  int (*defer)(uint64_t layers, int (**call)(const atled_op*, uint32_t, atled_value*, atled_value*),
               int (**redispatch)(atled_frame*));
  /* Since 0.2. t's memory holds its values when this returns. */
  int (*settle)(atled_tensor* t);
} atled_layer_group;

typedef void* atled_stream;
typedef void* atled_event;

/* A device type. `self` is handed to each function. A function that a device has no use for may be NULL; core then acts
 * as a synchronous device does. */
typedef struct {
  uint32_t size;    /* sizeof(atled_device_def) */
  int32_t type;     /* DLPack's number */
  const char* name; /* "cuda" */
  void* self;
  int (*probe)(void* self, char* why, size_t size); /* ATLED_OK, or why it cannot be used here */
  int (*count)(void* self, int32_t* out);
  /* memory; stream NULL is the current one */
  int (*allocate)(void* self, int32_t index, size_t nbytes, atled_stream stream, void** out);
  void (*free)(void* self, int32_t index, void* ptr, size_t nbytes, atled_stream stream);
  int (*copy)(void* self, void* dst, DLDevice dst_device, const void* src, DLDevice src_device, size_t nbytes,
              atled_stream stream);
  int (*fill_zero)(void* self, int32_t index, void* ptr, size_t nbytes, atled_stream stream);
  int (*memory_stats)(void* self, int32_t index, char* json, size_t size);
  int (*trim)(void* self, int32_t index);
  /* streams and events */
  int (*current_stream)(void* self, int32_t index, atled_stream* out);
  int (*set_stream)(void* self, int32_t index, atled_stream stream);
  int (*stream_create)(void* self, int32_t index, int32_t priority, atled_stream* out);
  void (*stream_destroy)(void* self, int32_t index, atled_stream stream);
  int (*synchronize)(void* self, int32_t index, atled_stream stream); /* stream NULL: the whole device */
  int (*event_create)(void* self, int32_t index, int32_t timing, atled_event* out);
  void (*event_destroy)(void* self, int32_t index, atled_event event);
  int (*event_record)(void* self, atled_event event, atled_stream stream);
  int (*event_wait)(void* self, atled_event event, atled_stream stream);
  int (*event_query)(void* self, atled_event event, int32_t* done);
  int (*event_elapsed)(void* self, atled_event begin, atled_event end, double* milliseconds);
  /* Since 0.2. The device that a name without an index means; NULL for 0. */
  int (*current_device)(void* self, int32_t* out);
  /* Since 0.2. As copy, but where the host's memory allows it, the copy goes on when the call has returned. */
  int (*copy_async)(void* self, void* dst, DLDevice dst_device, const void* src, DLDevice src_device, size_t nbytes,
                    atled_stream stream);
  /* Since 0.2. The stream uses the memory that ptr lies in: freed, it is not handed out before the stream's work until
   * then is done. */
  int (*record_stream)(void* self, int32_t index, const void* ptr, atled_stream stream);
} atled_device_def;

typedef struct { /* "device" */
  int (*add)(const atled_device_def* def);
  int (*find)(const char* name, int32_t* type);
  int (*synchronize)(DLDevice device);
} atled_device_group;

typedef struct { /* "alloc" */
  int (*allocate)(DLDevice device, size_t nbytes, void** out);
  void (*free)(DLDevice device, void* ptr, size_t nbytes);
} atled_alloc_group;

typedef struct { /* "rng" */
  /* Takes n counters of a Philox4x32-10 stream (four 32-bit words each); NULL is the default generator. atled/philox.h
   * turns (seed, offset + i) into numbers: the same on every device and thread count. */
  int (*reserve)(atled_generator* generator, uint64_t n, uint64_t* seed, uint64_t* offset);
} atled_rng_group;

typedef void (*atled_range)(void* ctx, int64_t begin, int64_t end);

typedef struct { /* "parallel" */
  int (*num_threads)(void);
  /* Splits [0, n) into chunks whose borders are multiples of grain and runs them on the pool; nested calls run inline.
   */
  int (*run)(int64_t n, int64_t grain, atled_range body, void* ctx);
} atled_parallel_group;

typedef struct {                                        /* "py": hold the GIL; PyObject pointers are void * here */
  int (*to_python)(atled_tensor* t, void** out);        /* a new reference to the tensor's Python object */
  int (*from_python)(void* object, atled_tensor** out); /* borrowed; ATLED_E_ARGUMENT when object is no Tensor */
  int (*value_to_python)(const atled_value* value, void** out);
  int (*raise)(void);  /* turns this thread's error state into the Python exception; clears it */
  int (*catch_)(void); /* takes the current Python exception into the error state; returns its kind */
  int (*call_site)(char* text, size_t size); /* "file.py:12" of the innermost user frame */
  /* Since 0.2, and without the GIL as well. Notes that frame, for some ten nanoseconds: two words, both 0 where no
   * line is known. What was taken is released once; its text, as call_site's, is for messages. */
  int (*take_site)(uint64_t* words);
  int (*release_site)(const uint64_t* words);
  int (*site_text)(const uint64_t* words, char* text, size_t size);
  /* Since 0.2. As from_python, but what t's memory holds may be unsettled (see the group "layer"). */
  int (*peek)(void* object, atled_tensor** out);
} atled_py_group;

#define ATLED_REQUEST(table, name, release, buffer, buffer_size)                                               \
  {ATLED_MAGIC, ATLED_ABI_MAJOR, ATLED_ABI_MINOR, ATLED_ABI_TARGET_MINOR, (uint32_t)sizeof(atled_api), (name), \
   (release),   (table),         (buffer),        (buffer_size)}

#ifdef __cplusplus
}
#endif
#endif /* ATLED_ABI_H */
