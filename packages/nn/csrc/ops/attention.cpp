// Attention by blocks of queries, composed of core's ops on any device: no matrix of all queries and keys is made.
#include <algorithm>
#include <limits>
#include <utility>

#include "ops/operands.h"
#include "ops/rules.h"
#include "plugin.h"

namespace atled::nn {
namespace {

// (*, L, E), with the dimensions before the last two those of query.
void expect_rows(const atled_frame* f, int i) {
  const atled_tensor *t = arg_tensor(f, i), *query = arg_tensor(f, 0);
  const char* name = f->op->args[i].name;
  expect_dtype_of(t, name, query, "query");
  const int ndim = query->dl.ndim;
  bool alike = t->dl.ndim == ndim;
  for (int d = 0; alike && d < ndim - 2; ++d) alike = t->dl.shape[d] == query->dl.shape[d];
  if (!alike)
    fail(ATLED_E_SHAPE, "expected %s with query's dimensions before the last two, got %s and %s", name,
         shape_text(t).c_str(), shape_text(query).c_str());
}

void attention_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *query = arg_tensor(f, 0), *key = arg_tensor(f, 1), *value = arg_tensor(f, 2),
                     *bias = arg_tensor(f, 3);
  expect_float(query, "query");
  const int ndim = query->dl.ndim;
  if (ndim < 2) fail(ATLED_E_SHAPE, "expected query of shape (*, L, E), got %s", shape_text(query).c_str());
  expect_rows(f, 1);
  expect_rows(f, 2);
  const int64_t keys = key->dl.shape[ndim - 2];
  if (key->dl.shape[ndim - 1] != query->dl.shape[ndim - 1] || value->dl.shape[ndim - 2] != keys)
    fail(ATLED_E_SHAPE, "expected key (*, S, E) and value (*, S, V) for query (*, L, E), got %s, %s and %s",
         shape_text(key).c_str(), shape_text(value).c_str(), shape_text(query).c_str());
  if (bias) {
    expect_dtype_of(bias, "bias", query, "query");
    atled_spec scores;
    same_spec(scores, query);
    scores.shape[ndim - 1] = keys;
    const int lead = ndim - bias->dl.ndim;
    bool fits = lead >= 0 && bias->dl.ndim >= 2;
    for (int d = lead; fits && d < ndim; ++d)
      fits = bias->dl.shape[d - lead] == scores.shape[d] || bias->dl.shape[d - lead] == 1;
    if (!fits)
      fail(ATLED_E_SHAPE, "expected bias of at least 2 dimensions that broadcasts to %s, got %s",
           shape_text(ndim, scores.shape).c_str(), shape_text(bias).c_str());
    if (arg_bool(f, 4)) fail(ATLED_E_ARGUMENT, "expected bias or is_causal, got both");
  }
  if (arg_int(f, 6) < 1)
    fail(ATLED_E_VALUE, "expected block of at least 1, got %lld", static_cast<long long>(arg_int(f, 6)));
  same_spec(outs[0], query);
  outs[0].shape[ndim - 1] = value->dl.shape[ndim - 1];
}

// Elements [begin, begin + n) of dimension d, as a view.
Tensor part(atled_tensor* t, int d, int64_t begin, int64_t n) {
  int64_t shape[ATLED_MAX_NDIM];
  std::copy(t->dl.shape, t->dl.shape + t->dl.ndim, shape);
  shape[d] = n;
  atled_tensor* view = nullptr;
  check(api.as_view(t, t->dtype, t->dl.ndim, shape, t->dl.strides, begin * t->dl.strides[d], &view));
  return Tensor::steal(view);
}

// The last two dimensions the other way round, as a view.
Tensor turned(atled_tensor* t) {
  int64_t shape[ATLED_MAX_NDIM], strides[ATLED_MAX_NDIM];
  const int ndim = t->dl.ndim;
  std::copy(t->dl.shape, t->dl.shape + ndim, shape);
  std::copy(t->dl.strides, t->dl.strides + ndim, strides);
  std::swap(shape[ndim - 2], shape[ndim - 1]);
  std::swap(strides[ndim - 2], strides[ndim - 1]);
  atled_tensor* view = nullptr;
  check(api.as_view(t, t->dtype, ndim, shape, strides, 0, &view));
  return Tensor::steal(view);
}

// (*, n, m) at the start of memory that holds at least so much, for the dimensions of `like` before its last two.
Tensor within(atled_tensor* memory, const atled_tensor* like, int64_t n, int64_t m) {
  int64_t shape[ATLED_MAX_NDIM], strides[ATLED_MAX_NDIM];
  const int ndim = like->dl.ndim;
  std::copy(like->dl.shape, like->dl.shape + ndim, shape);
  shape[ndim - 2] = n;
  shape[ndim - 1] = m;
  int64_t step = 1;
  for (int d = ndim - 1; d >= 0; --d) {
    strides[d] = step;
    step *= shape[d];
  }
  atled_tensor* view = nullptr;
  check(api.as_view(memory, memory->dtype, ndim, shape, strides, 0, &view));
  return Tensor::steal(view);
}

// Runs an op that writes its result into a tensor.
void run_into(const Op& op, atled_tensor* result, std::initializer_list<atled_value> given) {
  atled_value out = value(result);
  op.run(ATLED_CALL_OUT, &out, given);
  api.release(out.u.tensor);
}

// Minus infinity above the diagonal of a square matrix.
Tensor above_diagonal(int64_t n, const atled_tensor* like) {
  static const Op fill{"core::fill_"}, triu{"core::triu"};
  const Tensor square = Tensor::empty(like->dtype, {n, n}, like->dl.device);
  atled_value out = none();
  fill.run(0, &out, {value(square), value(-std::numeric_limits<double>::infinity())});
  api.release(out.u.tensor);
  return triu(square, 1);
}

void attention(atled_frame* f) {
  static const Op matmul{"core::matmul"}, mul{"core::mul"}, add{"core::add"}, softmax{"core::softmax"};
  atled_tensor *query = arg_tensor(f, 0), *key = arg_tensor(f, 1), *values = arg_tensor(f, 2), *bias = arg_tensor(f, 3),
               *out = out_tensor(f);
  const bool causal = arg_bool(f, 4);
  const int ndim = query->dl.ndim, rows = ndim - 2;
  const int64_t length = query->dl.shape[rows], keys = key->dl.shape[rows], block = std::min(arg_int(f, 6), length);
  if (length == 0) return;
  const Tensor scaled = mul(query, arg_double(f, 5)), by_key = turned(key);
  int64_t most = block * keys;
  for (int d = 0; d < rows; ++d) most *= query->dl.shape[d];
  const Tensor scores_memory = Tensor::empty(query->dtype, {most}, query->dl.device),
               weights_memory = Tensor::empty(query->dtype, {most}, query->dl.device);
  const Tensor hidden = causal ? above_diagonal(block, query) : Tensor();
  for (int64_t begin = 0; begin < length; begin += block) {
    const int64_t n = std::min(block, length - begin), seen = causal ? std::min(begin + n, keys) : keys;
    const Tensor scores = within(scores_memory, query, n, seen), weights = within(weights_memory, query, n, seen);
    run_into(matmul, scores, {value(part(scaled, rows, begin, n)), value(part(by_key, ndim - 1, 0, seen))});
    if (causal && seen > begin) {
      const Tensor square = part(part(hidden, 0, 0, n), 1, 0, seen - begin);
      add.inplace(part(scores, ndim - 1, begin, seen - begin), square);
    } else if (bias) {
      const int dim = bias->dl.ndim - 2;
      add.inplace(scores, bias->dl.shape[dim] == 1 ? Tensor::borrow(bias) : part(bias, dim, begin, n));
    }
    run_into(softmax, weights, {value(scores), value(-1)});
    run_into(matmul, part(out, rows, begin, n), {value(weights), value(part(values, rows, 0, seen))});
  }
}

}  // namespace

void define_attention() {
  define(
      {"nn::attention(Tensor query, Tensor key, Tensor value, Tensor? bias=None, bool is_causal=False, float "
       "scale=1.0, int block=128) -> Tensor",
       "softmax(scale query @ key.mT + bias) @ value for query (*, L, E), key (*, S, E) and value (*, S, V), by so "
       "many queries at a time (Rabe & Staats 2021); is_causal hides keys behind a query's place.",
       shape<attention_rule>, ATLED_OP_FUNCTION});
  add_kernel("nn::attention", ATLED_DEVICE_ANY, kernel<attention>);
}

}  // namespace atled::nn
