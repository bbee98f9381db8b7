// Attention in heads, without a matrix of scores where a device has kernels for that; else composed of products.
#include "ops/attention_products.h"
#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// query, key, value and bias from argument `first` on; answers query.
const atled_tensor* expect_heads(const atled_frame* f, int first) {
  const atled_tensor *query = arg_tensor(f, first), *key = arg_tensor(f, first + 1), *value = arg_tensor(f, first + 2),
                     *bias = arg_tensor(f, first + 3);
  expect_float(query, "query");
  expect_dtype_of(key, "key", query, "query");
  expect_dtype_of(value, "value", query, "query");
  expect_ndim(query, "query", 4, "(B, H, L, E)");
  expect_ndim(key, "key", 4, "(B, G, S, E)");
  expect_ndim(value, "value", 4, "(B, G, S, V)");
  const int64_t *q = query->dl.shape, *k = key->dl.shape, *v = value->dl.shape;
  const bool grouped = k[1] ? q[1] % k[1] == 0 : q[1] == 0;
  if (q[0] != k[0] || k[0] != v[0] || k[1] != v[1] || k[2] != v[2] || q[3] != k[3] || !grouped)
    fail(ATLED_E_SHAPE,
         "expected query (B, H, L, E), key (B, G, S, E) and value (B, G, S, V), H a multiple of G, got %s, %s and %s",
         shape_text(query).c_str(), shape_text(key).c_str(), shape_text(value).c_str());
  if (!bias) return query;
  const int64_t scores[] = {q[0], q[1], q[2], k[2]};
  const int ndim = bias->dl.ndim;
  bool fits = ndim <= 4;
  for (int d = 0; fits && d < ndim; ++d) fits = bias->dl.shape[d] == 1 || bias->dl.shape[d] == scores[4 - ndim + d];
  if (!fits)
    fail(ATLED_E_SHAPE, "expected bias that broadcasts to %s, got %s", shape_text(4, scores).c_str(),
         shape_text(bias).c_str());
  const bool on_cpu = query->dl.device.device_type == kDLCPU;
  if (bias->dtype != compute_dtype(query->dtype) && !(on_cpu && bias->dtype == ATLED_BOOL))
    fail(ATLED_E_DTYPE, "expected bias of dtype %s%s, got %s", dtype_name(compute_dtype(query->dtype)),
         on_cpu ? " or bool" : "", dtype_name(bias->dtype));
  return query;
}

void attended_spec(atled_spec& spec, const atled_tensor* query, const atled_tensor* value) {
  same_spec(spec, query);
  spec.shape[3] = value->dl.shape[3];
}

void forward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* query = expect_heads(f, 0);
  attended_spec(outs[0], query, arg_tensor(f, 2));
  set_spec(outs[1], compute_dtype(query->dtype), 3, query->dl.shape);
}

void backward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* query = expect_heads(f, 1);
  atled_spec attended;
  attended_spec(attended, query, arg_tensor(f, 3));
  for (int i : {0, 5}) {
    expect_shape(arg_tensor(f, i), f->op->args[i].name, 4, attended.shape);
    expect_dtype_of(arg_tensor(f, i), f->op->args[i].name, query, "query");
  }
  expect_shape(arg_tensor(f, 6), "lse", 3, query->dl.shape);
  if (arg_tensor(f, 6)->dtype != compute_dtype(query->dtype))
    fail(ATLED_E_DTYPE, "expected lse of dtype %s, got %s", dtype_name(compute_dtype(query->dtype)),
         dtype_name(arg_tensor(f, 6)->dtype));
  for (int i = 0; i < 3; ++i) same_spec(outs[i], arg_tensor(f, i + 1));
}

}  // namespace

void define_fused_attention() {
  define(
      {"nn::fused_attention(Tensor query, Tensor key, Tensor value, Tensor? bias=None, bool is_causal=False, float "
       "scale=1.0) -> (Tensor attended, Tensor lse)",
       "softmax(scale query @ key.mT + bias) @ value for query (B, H, L, E), key (B, G, S, E) and value (B, G, S, V), "
       "each of whose heads serves H / G neighbouring ones of query; is_causal hides keys behind a query's place. lse "
       "(B, H, L): the logarithm of the softmax's sum. bias is of lse's dtype, float32 for half precision, and has no "
       "gradient; on the CPU it may be bool, true where a query sees a key. A query without keys gets zeros on the "
       "CPU; elsewhere bias leaves each query a key.",
       shape<forward_rule>, ATLED_OP_FUNCTION});
  add_kernel("nn::fused_attention", ATLED_DEVICE_ANY, kernel<attention_by_products>);
  define(
      {"nn::fused_attention_backward(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor? bias, Tensor "
       "attended, Tensor lse, bool is_causal, float scale) -> (Tensor query, Tensor key, Tensor value)",
       "The gradients of fused_attention's query, key and value.", shape<backward_rule>, ATLED_OP_FUNCTION});
  add_kernel("nn::fused_attention_backward", ATLED_DEVICE_ANY, kernel<attention_backward_by_products>);
}

}  // namespace atled::nn
