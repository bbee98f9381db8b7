#include "ops/attention_products.h"

#include <limits>

#include "ops/operands.h"
#include "ops/rules.h"

namespace atled::nn {
namespace {

const Op matmul{"core::matmul"}, mul{"core::mul"}, add{"core::add"}, sub{"core::sub"}, exp_op{"core::exp"},
    transpose{"core::transpose"}, unsqueeze{"core::unsqueeze"}, logsumexp{"core::logsumexp"}, sum{"core::sum"},
    copy{"core::copy_"}, fill{"core::fill_"}, triu{"core::triu"};

Tensor in_shape(const Tensor& whole, std::initializer_list<int64_t> shape) {
  int64_t strides[ATLED_MAX_NDIM], step = 1;
  for (int d = static_cast<int>(shape.size()) - 1; d >= 0; --d) {
    strides[d] = step;
    step *= shape.begin()[d];
  }
  atled_tensor* view = nullptr;
  check(api.as_view(whole, whole->dtype, static_cast<int>(shape.size()), shape.begin(), strides, 0, &view));
  return Tensor::steal(view);
}

void assign(atled_tensor* to, const Tensor& from) { copy.inplace(to, from); }
Tensor turned(const Tensor& t) { return transpose(t, -2, -1); }

// The arguments from `first` on: query (B, H, L, E), key (B, G, S, E) and value (B, G, S, V). The H / G heads of query
// that share one of key are more queries of that head in products: (B, G, H / G L, ...).
struct Heads {
  Heads(atled_frame* f, int first)
      : dtype(compute_dtype(arg_tensor(f, first)->dtype)),
        query(wide(arg_tensor(f, first))),
        key(wide(arg_tensor(f, first + 1))),
        value(wide(arg_tensor(f, first + 2))),
        batches(query->dl.shape[0]),
        heads(query->dl.shape[1]),
        groups(key->dl.shape[1]),
        length(query->dl.shape[2]),
        keys(key->dl.shape[2]) {}

  Tensor wide(atled_tensor* t) const { return converted(t, dtype); }
  Tensor grouped(const Tensor& t) const {
    return in_shape(t, {batches, groups, groups ? heads / groups * length : 0, t->dl.shape[3]});
  }
  Tensor by_heads(const Tensor& product) const {
    return in_shape(product, {batches, heads, length, product->dl.shape[3]});
  }
  Tensor scores(atled_tensor* bias, bool causal, double scale) const {
    const Tensor all = by_heads(contiguous(matmul(grouped(contiguous(mul(query, scale))), turned(key))));
    if (bias) add.inplace(all, bias);
    if (causal) {
      const Tensor hidden = Tensor::empty(dtype, {length, keys}, query->dl.device);
      fill.inplace(hidden, -std::numeric_limits<double>::infinity());
      add.inplace(all, triu(hidden, 1));
    }
    return all;
  }

  int dtype;
  Tensor query, key, value;
  int64_t batches, heads, groups, length, keys;
};

}  // namespace

void attention_by_products(atled_frame* f) {
  const Heads h(f, 0);
  const Tensor scores = h.scores(arg_tensor(f, 3), arg_bool(f, 4), arg_double(f, 5));
  const Tensor lse = logsumexp(scores, -1);
  const Tensor weights = contiguous(exp_op(sub(scores, unsqueeze(lse, -1))));
  assign(out_tensor(f, 0), h.by_heads(contiguous(matmul(h.grouped(weights), h.value))));
  assign(out_tensor(f, 1), lse);
}

// With weights P = exp(scores - lse) and dP = grad value^T, scores have the gradient P (dP - sum(grad out)).
void attention_backward_by_products(atled_frame* f) {
  const Heads h(f, 1);
  const double scale = arg_double(f, 8);
  const Tensor grad = h.wide(arg_tensor(f, 0)), out = h.wide(arg_tensor(f, 5));
  const Tensor scores = h.scores(arg_tensor(f, 4), arg_bool(f, 7), scale);
  const Tensor weights = contiguous(exp_op(sub(scores, unsqueeze(arg_tensor(f, 6), -1))));
  const Tensor rows = h.grouped(grad), mean = sum(mul(grad, out), -1, true);
  const Tensor to_weights = h.by_heads(contiguous(matmul(rows, turned(h.value))));
  const Tensor to_scores = h.grouped(contiguous(mul(mul(weights, sub(to_weights, mean)), scale)));
  assign(out_tensor(f, 0), h.by_heads(contiguous(matmul(to_scores, h.key))));
  assign(out_tensor(f, 1), matmul(turned(to_scores), h.grouped(h.query)));
  assign(out_tensor(f, 2), matmul(turned(h.grouped(weights)), rows));
}

}  // namespace atled::nn
