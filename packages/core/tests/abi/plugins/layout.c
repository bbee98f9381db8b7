/* The layout that is frozen: offsets and sizes on 64-bit machines. Compiled as C11 and as C++17; running it is not
 * needed. */
#include <atled/abi.h>

#ifdef __cplusplus
#define CHECK(condition) static_assert(condition, #condition)
#else
#define CHECK(condition) _Static_assert(condition, #condition)
#endif

CHECK(sizeof(void*) == 8);

CHECK(sizeof(DLTensor) == 48);
CHECK(offsetof(DLTensor, data) == 0);
CHECK(offsetof(DLTensor, device) == 8);
CHECK(offsetof(DLTensor, ndim) == 16);
CHECK(offsetof(DLTensor, dtype) == 20);
CHECK(offsetof(DLTensor, shape) == 24);
CHECK(offsetof(DLTensor, strides) == 32);
CHECK(offsetof(DLTensor, byte_offset) == 40);

CHECK(offsetof(atled_tensor, dl) == 0);
CHECK(offsetof(atled_tensor, keys) == 48);
CHECK(offsetof(atled_tensor, version) == 56);
CHECK(offsetof(atled_tensor, autograd) == 64);
CHECK(offsetof(atled_tensor, dtype) == 72);
CHECK(offsetof(atled_tensor, device_slot) == 73);
CHECK(offsetof(atled_tensor, flags) == 74);
CHECK(sizeof(atled_tensor) == 80);

CHECK(offsetof(atled_version, keys) == 16);
CHECK(sizeof(atled_version) == 24);
CHECK(sizeof(atled_value) == 16);
CHECK(offsetof(atled_value, tag) == 8);
CHECK(offsetof(atled_value, n) == 12);

CHECK(offsetof(atled_spec, shape) == 16);
CHECK(offsetof(atled_spec, strides) == 16 + 8 * ATLED_MAX_NDIM);
CHECK(sizeof(atled_spec) == 16 + 16 * ATLED_MAX_NDIM);

CHECK(offsetof(atled_arg, fallback) == 24);
CHECK(sizeof(atled_arg) == 40);
CHECK(offsetof(atled_op, ns) == 0);
CHECK(offsetof(atled_op, name) == 8);
CHECK(offsetof(atled_op, schema) == 16);
CHECK(offsetof(atled_op, doc) == 24);
CHECK(offsetof(atled_op, id) == 32);
CHECK(offsetof(atled_op, traits) == 36);
CHECK(offsetof(atled_op, nargs) == 40);
CHECK(offsetof(atled_op, nouts) == 42);
CHECK(offsetof(atled_op, args) == 48);
CHECK(offsetof(atled_op, out_names) == 56);

CHECK(offsetof(atled_frame, op) == 0);
CHECK(offsetof(atled_frame, args) == 8);
CHECK(offsetof(atled_frame, outs) == 16);
CHECK(offsetof(atled_frame, layers) == 24);
CHECK(offsetof(atled_frame, flags) == 32);
CHECK(sizeof(atled_frame) == 40);

CHECK(sizeof(atled_op_def) == 40);
CHECK(offsetof(atled_handshake, negotiate) == 32);
CHECK(sizeof(atled_handshake) == 40);
CHECK(offsetof(atled_request, target_minor) == 16);
CHECK(offsetof(atled_request, api) == 40);
CHECK(sizeof(atled_request) == 64);

/* The root table and the groups as of minor 2: entries are only ever added behind these. */
CHECK(offsetof(atled_api, retain) == 0);
CHECK(offsetof(atled_api, find_op) == 8 * 9);
CHECK(offsetof(atled_api, call) == 8 * 10);
CHECK(offsetof(atled_api, publish) == 8 * 17);
CHECK(sizeof(atled_api) == 8 * 18);
CHECK(sizeof(atled_op_group) == 8 * 3);
CHECK(sizeof(atled_kernel_group) == 8 * 6);
CHECK(offsetof(atled_layer_group, base) == 8 * 6); /* what minor 2 added */
CHECK(sizeof(atled_layer_group) == 8 * 10);
CHECK(sizeof(atled_device_group) == 8 * 3);
CHECK(sizeof(atled_alloc_group) == 8 * 2);
CHECK(sizeof(atled_rng_group) == 8);
CHECK(sizeof(atled_parallel_group) == 8 * 2);
CHECK(sizeof(atled_py_group) == 8 * 10);

int main(void) { return 0; }
