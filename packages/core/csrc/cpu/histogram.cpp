#include <algorithm>
#include <vector>

#include "cpu/assign.h"
#include "cpu/kernels.h"
#include "cpu/parallel.h"

namespace atled::core {
namespace {

constexpr int64_t kChunk = 65536;  // rows that are counted into one table

// The edges of one dimension.
class Edges {
 public:
  Edges(atled_tensor* edges, bool even) : owner_(contiguous(edges, ATLED_FLOAT64)), even_(even) {
    edges_ = data<double>(owner_);
    bins_ = numel(owner_) - 1;
    for (int64_t i = 0; i < bins_; ++i)
      if (!(edges_[i] <= edges_[i + 1]))
        fail(ATLED_E_VALUE, "expected edges that rise, got %g before %g", edges_[i], edges_[i + 1]);
    scale_ = static_cast<double>(bins_) / (edges_[bins_] - edges_[0]);
  }
  int64_t bins() const { return bins_; }

  // -1 outside, and for NaN.
  int64_t find(double x) const {
    if (!(x >= edges_[0] && x <= edges_[bins_])) return -1;
    if (x == edges_[bins_]) return bins_ - 1;
    if (!even_) return std::upper_bound(edges_, edges_ + bins_ + 1, x) - edges_ - 1;
    // Rounding may lead to a neighbour.
    int64_t bin = std::min(bins_ - 1, static_cast<int64_t>((x - edges_[0]) * scale_));
    while (bin > 0 && x < edges_[bin]) --bin;
    while (bin + 1 < bins_ && x >= edges_[bin + 1]) ++bin;
    return bin;
  }

 private:
  Tensor owner_;
  const double* edges_;
  int64_t bins_;
  double scale_;
  bool even_;
};

template <class T>
void count_rows(const T* row, const double* weight, int64_t n, const std::vector<Edges>& edges, double* table) {
  for (int64_t i = 0; i < n; ++i, row += edges.size()) {
    int64_t cell = 0;
    for (size_t d = 0; d < edges.size() && cell >= 0; ++d) {
      const int64_t bin = edges[d].find(Cast<double, T>{}(row[d]));
      cell = bin < 0 ? -1 : cell * edges[d].bins() + bin;
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
