// OpenBLAS, opened when it is first needed. It runs on the calling thread only: products are divided over core's own
// pool, which keeps to the number of threads that was asked for and survives a fork.
#pragma once

#include <complex>
#include <cstdint>

namespace atled::core {

constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;

template <class T>
struct BlasNumber {
  using type = T;  // float and double are handed over by value
};
template <class T>
struct BlasNumber<std::complex<T>> {
  using type = const void*;
};

// The functions for one element type.
template <class T>
struct Blas {
  using Number = typename BlasNumber<T>::type;
  void (*gemm)(int order, int trans_a, int trans_b, int m, int n, int k, Number alpha, const T* a, int lda, const T* b,
               int ldb, Number beta, T* c, int ldc);
  void (*gemv)(int order, int trans, int m, int n, Number alpha, const T* a, int lda, const T* x, int incx, Number beta,
               T* y, int incy);

  static Number number(const T& x) {
    if constexpr (std::is_pointer_v<Number>) {
      return &x;
    } else {
      return x;
    }
  }
};

// A function of the library by its full name; NULL when it or the library is not there.
void* blas_symbol(const char* name);

// While it lives, OpenBLAS uses as many threads of its own as the pool would: for work that cannot be divided over the
// pool. Not to be made on the pool's own threads. One at a time; others wait.
class BlasThreads {
 public:
  explicit BlasThreads(bool wanted);
  ~BlasThreads();
  BlasThreads(const BlasThreads&) = delete;
  BlasThreads& operator=(const BlasThreads&) = delete;

 private:
  bool raised_ = false;
};

// NULL when the library is not there. T: float, double or their complex.
template <class T>
const Blas<T>* blas();

}  // namespace atled::core
