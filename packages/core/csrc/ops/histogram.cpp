// Histograms: how many elements, or how much weight, falls between edges.
#include <cmath>

#include "dispatch/register.h"
#include "ops/rules.h"
#include "ops/settled.h"

namespace atled::core {
namespace {

const Op bin_counts_op{"core::bin_counts"};
const Op linspace_op{"core::linspace"};
const Op reshape_op{"core::reshape"};
const Op to_op{"core::to"};
const Op div_op{"core::div"};
const Op mul_op{"core::mul"};
const Op sum_op{"core::sum"};
const Op diff_op{"core::diff"};

// input (n, d), weight (n), and d vectors of edges.
void bin_counts_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *weight = arg_tensor(f, 1);
  const atled_value& edges = f->args[2];
  expect_real(input, "input");
  if (input->dl.ndim != 2 || input->dl.shape[1] != static_cast<int64_t>(edges.n) || edges.n == 0)
    fail(ATLED_E_SHAPE, "expected input of shape (n, %u), a column for each dimension of the bins, got %s", edges.n,
         shape_text(input).c_str());
  if (weight && (weight->dl.ndim != 1 || weight->dl.shape[0] != input->dl.shape[0]))
    fail(ATLED_E_SHAPE, "expected as many weights as elements, got shapes %s and %s", shape_text(weight).c_str(),
         shape_text(input).c_str());
  if (weight) expect_real(weight, "weight");
  outs[0].dtype = ATLED_FLOAT64;
  outs[0].has_strides = 0;
  outs[0].ndim = static_cast<int>(edges.n);
  for (uint32_t d = 0; d < edges.n; ++d) {
    const atled_tensor* t = edges.u.tensors[d];
    if (t->dl.ndim != 1 || t->dl.shape[0] < 2)
      fail(ATLED_E_SHAPE, "expected edges in one dimension, at least two, got shape %s", shape_text(t).c_str());
    outs[0].shape[d] = t->dl.shape[0] - 1;
  }
}

double number(const Tensor& t) {
  const Tensor here = to_op(t, dtype_value(ATLED_FLOAT64), device_value(DLDevice{kDLCPU, 0}));
  return settled_data<double>(here)[0];
}

// From the smallest to the largest element; where there is nothing between the two, half of width to either side.
struct Span {
  double low = 0, high = 1;
  Span() = default;
  Span(double l, double h, double width) : low(l), high(h) {
    if (!std::isfinite(low) || !std::isfinite(high))
      fail(ATLED_E_VALUE, "expected a finite range, got [%g, %g]; pass one, or take out NaN and infinities", low, high);
    if (low > high) fail(ATLED_E_VALUE, "expected a range from low to high, got [%g, %g]", low, high);
    if (low == high) {
      low -= width / 2;
      high += width / 2;
    }
  }
};
Span span_of(atled_tensor* input, double width) {
  static const Op amin{"core::amin"}, amax{"core::amax"};
  return numel(input) > 0 ? Span(number(amin(input)), number(amax(input)), width) : Span();
}

constexpr int64_t kMostBins = int64_t{1} << 46;

void expect_bins(int64_t bins) {
  if (bins < 1) fail(ATLED_E_VALUE, "expected at least one bin, got %lld", (long long)bins);
  if (bins > kMostBins) fail(ATLED_E_MEMORY, "expected at most 2^46 bins, got %lld", (long long)bins);
}

Tensor even_edges(const Span& span, int64_t bins, int dtype, const atled_tensor* input) {
  return linspace_op(span.low, span.high, bins + 1, dtype_value(dtype), device_value(input->dl.device));
}

Tensor counted(atled_tensor* input, const atled_value& weight, const Tensor& edges, bool even) {
  const int64_t column[2] = {numel(input), 1}, line = -1;
  atled_tensor* list[1] = {edges};
  const Tensor weights = is_none(weight) ? Tensor() : reshape_op(weight, ints_value(&line, 1));
  return bin_counts_op(reshape_op(input, ints_value(column, 2)), weights, tensors_value(list, 1), even);
}

void histc(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int64_t bins = arg_int(f, 1);
  const double low = arg_double(f, 2), high = arg_double(f, 3);
  expect_real(input, "input");
  expect_bins(bins);
  if (input->dtype == ATLED_BOOL) fail(ATLED_E_DTYPE, "expected numbers, got bool");
  const Span span = low == high ? span_of(input, 2) : Span(low, high, 2);
  // Edges of integers lie between them.
  const int dtype = is_floating(input->dtype) ? compute_dtype(input->dtype) : static_cast<int>(ATLED_FLOAT64);
  set_out(f, 0, to_op(counted(input, none(), even_edges(span, bins, dtype, input), true), dtype_value(input->dtype)));
}

void histogram(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const atled_value &bins = f->args[1], &range = f->args[2], &weight = f->args[3];
  expect_real(input, "input");
  const int dtype = float_dtype(input->dtype);
  const bool even = bins.tag != ATLED_TENSOR;
  if (!is_none(weight) && numel(weight.u.tensor) != numel(input))
    fail(ATLED_E_SHAPE, "expected weight of input's shape %s, got %s", shape_text(input).c_str(),
         shape_text(weight.u.tensor).c_str());
  Tensor edges;
  if (even) {
    if (bins.tag != ATLED_INT_VALUE) fail(ATLED_E_ARGUMENT, "expected bins to be an integer or a tensor of edges");
    expect_bins(as_int(bins));
    if (!is_none(range) && range.n != 2) fail(ATLED_E_ARGUMENT, "expected range to be two numbers, got %u", range.n);
    const Span span = is_none(range) ? span_of(input, 1) : Span(range.u.floats[0], range.u.floats[1], 1);
    edges = even_edges(span, as_int(bins), dtype, input);
  } else {
    if (!is_none(range)) fail(ATLED_E_ARGUMENT, "expected bins as edges or a range, got both");
    edges = to_op(bins, dtype_value(dtype));
  }
  Tensor hist = counted(input, weight, edges, even);
  if (arg_bool(f, 4)) hist = div_op(hist, mul_op(sum_op(hist), diff_op(to_op(edges, dtype_value(ATLED_FLOAT64)))));
  set_out(f, 0, to_op(hist, dtype_value(dtype)));
  set_out(f, 1, edges);
}

// histc and histogram look at values, so that layers see them whole rather than the ops that they are composed of.
void define_histogram() {
  define({"bin_counts(Tensor input, Tensor? weight, Tensor[] edges, bool even=False) -> Tensor",
          "How many rows of input, or how much weight, lie between rising edges in each dimension: float64.\n\n"
          "A bin holds its left edge, and the last its right one too. With even, the edges are evenly spaced.",
          shape<bin_counts_rule>, ATLED_OP_PRIVATE});
  define({"histc(Tensor input, int bins=100, Scalar min=0, Scalar max=0) -> Tensor",
          "How many elements fall into each of `bins` equal parts of [min, max], in input's dtype.\n\n"
          "What lies outside is left out; max itself belongs to the last part. With min = max, from the smallest to "
          "the largest element. InvalidValueError for bins below 1, min above max, or a range that is not finite.\n\n"
          ">>> at.histc(at.tensor([1.0, 2.0, 1.0]), 4, 0, 3)\n"
          "tensor([0., 2., 1., 0.])"});
  define(
      {"histogram(Tensor input, Tensor|Scalar bins=100, *, float[]? range=None, Tensor? weight=None, bool "
       "density=False) "
       "-> (Tensor hist, Tensor bin_edges)",
       "How many elements, or how much weight, falls into each bin, and the bins' edges.\n\n"
       "input: real; bins: how many, or a vector of rising edges, else InvalidValueError; range: (low, high), else "
       "from the smallest to the largest element; weight: of input's shape; density: scaled so that the integral is "
       "1.\n\n"
       ">>> at.histogram(at.tensor([1.0, 2.0, 1.0]), 2).hist\n"
       "tensor([2., 1.])"});
}
ATLED_OPS(define_histogram);

void add_histogram() {
  add_kernel("core::histc", ATLED_DEVICE_ANY, kernel<histc>);
  add_kernel("core::histogram", ATLED_DEVICE_ANY, kernel<histogram>);
}
ATLED_KERNELS(add_histogram);

}  // namespace
}  // namespace atled::core
