// Batches of matrices: where each lies, and getting it in and out of the column-major scratch memory of LAPACK.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstring>
#include <memory>
#include <vector>

#include "cpu/assign.h"
#include "cpu/lapack.h"
#include "cpu/parallel.h"

namespace atled::core {

// One matrix in memory, element (i, j) at data[i * row + j * column].
template <class T>
struct Matrix {
  T* data;
  int64_t rows, columns, row, column;

  T& operator()(int64_t i, int64_t j) const { return data[i * row + j * column]; }
  Matrix transposed() const { return {data, columns, rows, column, row}; }
};

// Column-major without gaps.
template <class T>
Matrix<T> column_major(T* data, int64_t rows, int64_t columns) {
  return {data, rows, columns, 1, std::max<int64_t>(rows, 1)};
}

// In blocks, so that a transposition reads and writes whole cache lines.
template <class T>
void copy(const Matrix<T>& from, const Matrix<T>& to) {
  if (from.row == 1 && to.row == 1) {
    for (int64_t j = 0; j < to.columns; ++j) std::copy_n(from.data + j * from.column, to.rows, to.data + j * to.column);
    return;
  }
  if (from.column == 1 && to.column == 1) {
    for (int64_t i = 0; i < to.rows; ++i) std::copy_n(from.data + i * from.row, to.columns, to.data + i * to.row);
    return;
  }
  constexpr int64_t kBlock = 16;
  for (int64_t j0 = 0; j0 < to.columns; j0 += kBlock)
    for (int64_t i0 = 0; i0 < to.rows; i0 += kBlock)
      for (int64_t j = j0; j < std::min(j0 + kBlock, to.columns); ++j)
        for (int64_t i = i0; i < std::min(i0 + kBlock, to.rows); ++i) to(i, j) = from(i, j);
}

// The matrices of a tensor (*, rows, columns) of dtype T (cast where it is another), or with `vectors` of (*, rows);
// its batch dimensions broadcast to `shape`.
template <class T>
class MatrixBatch {
 public:
  MatrixBatch(atled_tensor* t, int ndim, const int64_t* shape, bool vectors = false)
      : tensor_(t->dtype == dtype_of<T> ? Tensor::borrow(t) : contiguous(t, dtype_of<T>)) {
    const DLTensor& dl = tensor_->dl;
    const int own = dl.ndim - (vectors ? 1 : 2);
    rows = dl.shape[own];
    columns = vectors ? 1 : dl.shape[own + 1];
    row_ = dl.strides[own];
    column_ = vectors ? 1 : dl.strides[own + 1];
    int64_t count = 1;
    for (int d = 0; d < ndim; ++d) count *= shape[d];
    step_ = rows * columns;
    bool whole = is_contiguous(tensor_);
    for (int d = 0; d < ndim && whole; ++d) whole = own == ndim && dl.shape[d] == shape[d];
    if (whole || count <= 1) return;
    offsets_.resize(static_cast<size_t>(count));
    int64_t index[ATLED_MAX_NDIM] = {};
    for (int64_t& offset : offsets_) {
      offset = 0;
      for (int d = ndim - own; d < ndim; ++d)
        if (dl.shape[d - ndim + own] != 1) offset += index[d] * dl.strides[d - ndim + own];
      for (int d = ndim - 1; d >= 0 && ++index[d] == shape[d]; --d) index[d] = 0;
    }
  }
  // The batch is the tensor's own.
  explicit MatrixBatch(atled_tensor* t, bool vectors = false)
      : MatrixBatch(t, t->dl.ndim - (vectors ? 1 : 2), t->dl.shape, vectors) {}

  Matrix<T> operator[](int64_t i) const {
    T* start = data<T>(tensor_) + (offsets_.empty() ? i * step_ : offsets_[static_cast<size_t>(i)]);
    return {start, rows, columns, row_, column_};
  }

  int64_t rows, columns;

 private:
  Tensor tensor_;
  int64_t row_, column_, step_;
  std::vector<int64_t> offsets_;
};

// How many matrices the first `ndim` dimensions hold.
inline int64_t batch_size(int ndim, const int64_t* shape) {
  int64_t n = 1;
  for (int d = 0; d < ndim; ++d) n *= shape[d];
  return n;
}
inline int64_t batch_size(const atled_tensor* t) { return batch_size(t->dl.ndim - 2, t->dl.shape); }

// Uninitialised memory for one thread's work.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t n)
      : size_(n), memory_(static_cast<T*>(::operator new(sizeof(T) * size_t(std::max<int64_t>(n, 1))))) {}
  ~Scratch() { ::operator delete(memory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator T*() const { return memory_; }
  T* get() const { return memory_; }
  int64_t size() const { return size_; }

 private:
  int64_t size_;
  T* memory_;
};

// Runs f(begin, end) over the matrices of a batch, divided over the pool; a single large one has OpenBLAS's threads
// instead. cost: about how many floating-point operations one takes.
template <class F>
void each_matrix(int64_t count, double cost, F&& f) {
  constexpr double kPiece = 1e5, kLarge = 1e7;
  BlasThreads threads(count == 1 && cost >= kLarge);
  parallel(count, std::max<int64_t>(1, static_cast<int64_t>(kPiece / std::max(cost, 1.0))), f);
}

// The length of a work array that a routine answered as a number.
template <class T>
int work_size(const T& answer) {
  // Single precision cannot hold every length, so a little is added.
  return static_cast<int>(std::real(answer) * 1.0001) + 1;
}

// A call of a routine with a work array, whose length it is asked for first: run(work, length).
template <class T, class F>
class Work {
 public:
  explicit Work(F run) : run_(run), work_(ask(run)) {}
  void operator()() const { run_(work_.get(), static_cast<int>(work_.size())); }

 private:
  static int64_t ask(F& run) {
    T size{};
    run(&size, -1);
    return work_size(size);
  }
  F run_;
  Scratch<T> work_;
};
template <class T, class F>
Work<T, F> with_work(F run) {
  return Work<T, F>(run);
}

// LAPACK counts in 32 bits.
inline int lapack_int(int64_t n) {
  if (n > INT32_MAX) fail(ATLED_E_SHAPE, "expected matrices of sizes below 2^31, got %lld", (long long)n);
  return static_cast<int>(n);
}

// Registers a CPU kernel run(tag, frame), where tag is that of the first result's dtype.
template <class F>
void lapack_kernel(const char* op, F run) {
  static const F body = run;
  const void* ctx = &body;
  add_kernel(
      op, ATLED_DEVICE_CPU,
      [](void* given, atled_frame* f) {
        const F& chosen = *static_cast<const F*>(given);
        return guard([&] { visit_lapack(out_tensor(f)->dtype, [&](auto tag) { chosen(tag, f); }); });
      },
      const_cast<void*>(ctx));
}

template <class T>
bool all_finite(const Matrix<T>& a) {
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.columns; ++j)
      if (!std::isfinite(std::real(a(i, j))) || !std::isfinite(std::imag(a(i, j)))) return false;
  return true;
}

template <class T>
void set_identity(const Matrix<T>& a) {
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.columns; ++j) a(i, j) = i == j ? T(1) : T(0);
}

template <class T>
T conjugate(const T& x) {
  if constexpr (kIsComplex<T>) {
    return std::conj(x);
  } else {
    return x;
  }
}

}  // namespace atled::core
