// What the rules and composites of linear algebra share: checks of matrices, shapes of batches, and the errors that
// LAPACK's info stands for. All throw Error.
#pragma once

#include <initializer_list>

#include "atled/plugin.hpp"

namespace atled::core {

// ShapeError unless t has at least two dimensions; or, square, the last two are equal too.
void expect_matrices(const atled_tensor* t, const char* name);
void expect_square(const atled_tensor* t, const char* name);

// The dtype that LAPACK computes in: float32, float64 or their complex. DTypeError for others, naming the argument.
int lapack_dtype(const atled_tensor* t, const char* name);
// The common one of two arguments.
int lapack_dtype(const atled_tensor* a, const char* a_name, const atled_tensor* b, const char* b_name);

inline int64_t rows_of(const atled_tensor* t) { return t->dl.shape[t->dl.ndim - 2]; }
inline int64_t columns_of(const atled_tensor* t) { return t->dl.shape[t->dl.ndim - 1]; }

// t's dimensions but for the last `drop`, followed by dims.
void batch_spec(atled_spec& spec, int dtype, const atled_tensor* t, int drop, std::initializer_list<int64_t> dims);
// The batch dimensions (all but the last two) of a and b, broadcast, followed by dims.
void joined_spec(atled_spec& spec, int dtype, const atled_tensor* a, const atled_tensor* b,
                 std::initializer_list<int64_t> dims);
// As above, where each tensor's count of dimensions that are no batch is given.
void joined_spec(atled_spec& spec, int dtype, const atled_tensor* a, int a_own, const atled_tensor* b, int b_own,
                 std::initializer_list<int64_t> dims);

// Whether b holds one vector for each matrix of a, rather than matrices (PyTorch's rule): it is 1-d, or has a's batch
// dimensions and a's number of rows and nothing else.
bool holds_vectors(const atled_tensor* a, const atled_tensor* b);

// LinAlgError naming the first matrix whose info (int32, the shape of the batch) is not 0: "expected an invertible
// matrix, got a singular one at batch index (2,)". `format` has a %d for info, or none. Without data, and inside vmap,
// does nothing.
void expect_success(const Tensor& info, const char* format);

// Whether an op that answers info is to raise itself: inside vmap, where it alone sees all matrices.
template <class... Values>
atled_value in_vmap(const Values&... matrices) {
  return value((... || ((matrices.u.tensor->keys & ATLED_KEY_OPAQUE) != 0)));
}

}  // namespace atled::core
