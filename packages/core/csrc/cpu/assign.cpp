#include "cpu/assign.h"

#include <cstring>

#include "cpu/cast.h"
#include "cpu/iterator.h"
#include "cpu/levels.h"
#include "cpu/parallel.h"
#include "cpu/short_rows.h"
#include "tensor/tensor.h"

namespace atled::core {

namespace {

namespace copies {

#define ATLED_LEVEL_BODY "cpu/assign.inl"
#include "cpu/each_level.inl"

}  // namespace copies

// memcpy, but for what begins less than a cache line further in its page than what it is copied from: the instruction
// that the C library takes for long copies crawls there on AMD's Zen (glibc's bug 30994), so it gets short ones.
void copy_bytes(char* out, const char* in, int64_t n) {
  constexpr int64_t kLong = 2048, kShort = 256;
  const uintptr_t ahead = (reinterpret_cast<uintptr_t>(out) - reinterpret_cast<uintptr_t>(in)) % 4096;
  if (n >= kLong && ahead != 0 && ahead < 64)
    for (; n > kShort; n -= kShort, out += kShort, in += kShort) std::memcpy(out, in, kShort);
  std::memcpy(out, in, static_cast<size_t>(n));
}

template <class T>
void copy_loop(void*, char* const* data, const int64_t* strides, int64_t n) {
  char* out = data[0];
  const char* in = data[1];
  if (strides[0] == sizeof(T) && strides[1] == sizeof(T)) {
    copy_bytes(out, in, n * int64_t{sizeof(T)});
  } else if (strides[0] == sizeof(T) && strides[1] == -static_cast<int64_t>(sizeof(T))) {
    ATLED_PICK_OF(copies, backwards<T>)(reinterpret_cast<T*>(out), reinterpret_cast<const T*>(in), n);
  } else if (strides[0] == sizeof(T)) {
    ATLED_PICK(gathered<T>)(in, strides[1], n, reinterpret_cast<T*>(out));
  } else {
    for (int64_t i = 0; i < n; ++i)
      *reinterpret_cast<T*>(out + i * strides[0]) = *reinterpret_cast<const T*>(in + i * strides[1]);
  }
}

template <class T>
void copy_rows_loop(void* ctx, char* const* data, const int64_t* strides, const int64_t* steps, int64_t n,
                    int64_t rows) {
  constexpr int64_t kShort = 256;  // bytes
  if (strides[0] == sizeof(T) && n * int64_t{sizeof(T)} <= kShort)
    return copy_rows(data[0], steps[0], data[1], strides[1], steps[1], n, rows, sizeof(T));
  for (int64_t r = 0; r < rows; ++r) {
    char* row[] = {data[0] + r * steps[0], data[1] + r * steps[1]};
    copy_loop<T>(ctx, row, strides, n);
  }
}

void cast_copy(void* cast, char* const* data, const int64_t* strides, int64_t n) {
  (*static_cast<const CastLoop*>(cast))(data[0], strides[0], data[1], strides[1], n);
}

}  // namespace

void assign(const atled_tensor* out, const atled_value& value) {
  if (value.tag == ATLED_TENSOR && value.u.tensor->dtype != out->dtype) {
    const int from = value.u.tensor->dtype;
    CastLoop cast = cast_loop(from, out->dtype);
    return Elementwise().output(out, out->dtype).input(value.u.tensor, from).run(cast_copy, &cast);
  }
  visit_size(itemsize(out->dtype), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Elementwise()
        .output(out, out->dtype)
        .operand(value, out->dtype)
        .run_rows(copy_loop<T>, copy_rows_loop<T>, nullptr, 0);
  });
}

void assign_zero(const atled_tensor* out) {
  if (!is_contiguous(out)) return assign(out, value(0));
  char* begin = data<char>(out);
  parallel(numel(out) * itemsize(out->dtype), 1 << 18,
           [&](int64_t from, int64_t to) { std::memset(begin + from, 0, static_cast<size_t>(to - from)); });
}

Tensor contiguous(atled_tensor* t, int dtype) {
  if (is_contiguous(t) && t->dtype == dtype) return Tensor::borrow(t);
  Tensor copy = Tensor::empty(dtype, t->dl.ndim, t->dl.shape, t->dl.device);
  assign(copy, t);
  return copy;
}

bool may_overlap(const atled_tensor* a, const atled_tensor* b) {
  if (a->version != b->version) return false;
  const char *a_begin, *a_end, *b_begin, *b_end;
  byte_range(a, &a_begin, &a_end);
  byte_range(b, &b_begin, &b_end);
  return a_begin < b_end && b_begin < a_end;
}

}  // namespace atled::core
