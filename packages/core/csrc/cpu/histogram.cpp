#include "functors/histogram.h"

#include <algorithm>
#include <vector>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"
#include "functors/copy.h"

namespace atled::core {
namespace {

constexpr int64_t kChunk = 65536;  // rows that are counted into one table

// The edges of one dimension, and what they lie in.
struct Edges {
  Edges(atled_tensor* given, bool even) : owner(contiguous(given, ATLED_FLOAT64)), in(made(owner, even)) {}
  static BinEdges made(const Tensor& owner, bool even) {
    const double* edges = data<double>(owner);
    const int64_t bins = numel(owner) - 1;
    for (int64_t i = 0; i < bins; ++i)
      if (!(edges[i] <= edges[i + 1]))
        fail(ATLED_E_VALUE, "expected edges that rise, got %g before %g", edges[i], edges[i + 1]);
    return {edges, bins, edges[0], edges[bins], even};
  }
  Tensor owner;
  BinEdges in;
};

template <class T>
void count_rows(const T* row, const double* weight, int64_t n, const std::vector<Edges>& edges, double* table) {
  for (int64_t i = 0; i < n; ++i, row += edges.size()) {
    int64_t cell = 0;
    for (size_t d = 0; d < edges.size() && cell >= 0; ++d) {
      const int64_t bin = edges[d].in.find(Cast<double, T>{}(row[d]));
      cell = bin < 0 ? -1 : cell * edges[d].in.bins + bin;
    }
    if (cell >= 0) table[cell] += weight ? weight[i] : 1;
  }
}

void bin_counts(atled_frame* f) {
  const Tensor input = contiguous(arg_tensor(f, 0));
  const atled_tensor* out = out_tensor(f);
  Tensor weight;
  if (!arg_is_none(f, 1)) weight = contiguous(arg_tensor(f, 1), ATLED_FLOAT64);
  std::vector<Edges> edges;
  for (uint32_t d = 0; d < f->args[2].n; ++d) edges.emplace_back(f->args[2].u.tensors[d], arg_bool(f, 3));
  const int64_t n = input->dl.shape[0], width = input->dl.shape[1], cells = numel(out);
  // Tables of chunks that do not depend on the number of threads, added in order.
  const int64_t chunk = std::max(kChunk, 4 * cells), chunks = (n + chunk - 1) / chunk;
  std::vector<double> tables(static_cast<size_t>(chunks * cells), 0.0);
  visit_dtype(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!is_complex_type<T>) {
      parallel(chunks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t c = begin; c < end; ++c) {
          const int64_t first = c * chunk;
          count_rows(data<T>(input) + first * width, weight ? data<double>(weight) + first : nullptr,
                     std::min(chunk, n - first), edges, tables.data() + c * cells);
        }
      });
    }
  });
  double* total = data<double>(out);
  std::fill(total, total + cells, 0.0);
  for (int64_t c = 0; c < chunks; ++c)
    for (int64_t i = 0; i < cells; ++i) total[i] += tables[static_cast<size_t>(c * cells + i)];
}

void add_histogram() { cpu_kernel("core::bin_counts", kernel<bin_counts>); }
ATLED_KERNELS(add_histogram);

}  // namespace
}  // namespace atled::core
