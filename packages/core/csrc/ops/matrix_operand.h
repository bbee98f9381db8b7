// A tensor as matrices, as the kernels of products of every device see it.
#pragma once

#include <complex>

#include "atled/plugin.hpp"

namespace atled::core {

// (*, rows, columns), with strides in elements.
struct MatrixOperand {
  Tensor tensor;
  int64_t rows, columns, row, column;
  int batch;  // how many dimensions come before

  // A vector is one row (left) or one column.
  MatrixOperand(atled_tensor* t, bool left) : tensor(Tensor::borrow(t)) { describe(left); }

  void describe(bool left) {
    const int n = tensor->dl.ndim;
    const int64_t *shape = tensor->dl.shape, *strides = tensor->dl.strides;
    batch = n > 2 ? n - 2 : 0;
    if (n == 1) {
      rows = left ? 1 : shape[0];
      columns = left ? shape[0] : 1;
      row = left ? shape[0] : strides[0];
      column = left ? strides[0] : 1;
    } else {
      rows = shape[n - 2];
      columns = shape[n - 1];
      row = strides[n - 2];
      column = strides[n - 1];
    }
  }

  // All matrices as one with many rows, if they lie one behind another.
  bool fold() {
    int64_t total = rows;
    for (int d = batch - 1; d >= 0; --d) {
      if (tensor->dl.shape[d] != 1 && tensor->dl.strides[d] != total * row) return false;
      total *= tensor->dl.shape[d];
    }
    rows = total;
    batch = 0;
    return true;
  }
};

inline std::complex<double> complex_number(const atled_value& v) {
  return {as_double(v), v.tag == ATLED_COMPLEX_VALUE ? v.u.complex[1] : 0.0};
}

}  // namespace atled::core
