// The element-wise engine: one functor over tensors of any strides that broadcast together, and numbers by value.
//
// An operand is given with the dtype that the functor reads or writes; where the tensor's is another, it is converted
// in a pass of its own, but for float16 and bfloat16 around functors of float, which are converted in registers.
// Operands that lie side by side in memory take vectors of 16 bytes; others take offsets made by FastDivisor.
#pragma once

#include <tuple>
#include <utility>

#include "cuda/launch.cuh"
#include "functors/copy.h"
#include "functors/types.h"
#include "ops/rules.h"
#include "ops/scalars.h"

namespace atled::core::cuda {

// An unsigned type of a given size, to move elements without knowing what they are.
struct Bytes16 {
  uint64_t low, high;
};
// Where addresses are known to be multiples of 16: one access, not two.
struct alignas(16) Aligned16 {
  uint64_t low, high;
};
template <class F>
void visit_size(int bytes, F&& f) {
  if (bytes == 1) return f(Tag<uint8_t>{});
  if (bytes == 2) return f(Tag<uint16_t>{});
  if (bytes == 4) return f(Tag<uint32_t>{});
  if (bytes == 8) return f(Tag<uint64_t>{});
  f(Tag<Bytes16>{});
}

// out[...] = in[...] in out's dtype (cast.cu); `in` broadcasts.
void assign(const atled_tensor* out, const atled_value& value);
inline void assign(const atled_tensor* out, atled_tensor* in) { assign(out, value(in)); }

// ---- what kernels are handed ----

// How a functor's type X lies in memory: bool as any byte, float as F.
template <class X, class F>
using InMemory = std::conditional_t<std::is_same_v<X, float>, F, Stored<X>>;

template <class X, class M>
__device__ __forceinline__ X loaded(const M& m) {
  if constexpr (std::is_same_v<X, bool>) {
    return m != 0;
  } else if constexpr (std::is_same_v<X, M>) {
    return m;
  } else {
    return static_cast<X>(m);
  }
}

struct alignas(16) Number {
  char bytes[16];
};

template <int N>
struct Operands {
  char* data[N];  // NULL: the number at its place
  Number numbers[N];

  Operands(char* const* from, const Number* values) {
    for (int k = 0; k < N; ++k) {
      data[k] = from[k];
      numbers[k] = values[k];
    }
  }
};

// ---- kernels ----

template <class F, class Small, class R, class... A>
struct Element {
  static constexpr int kOperands = 1 + sizeof...(A);
  static constexpr size_t widest() {
    size_t most = sizeof(InMemory<R, Small>);
    ((most = sizeof(InMemory<A, Small>) > most ? sizeof(InMemory<A, Small>) : most), ...);
    return most;
  }
  static constexpr int kVector = static_cast<int>(16 / widest());

  template <class X>
  static __device__ __forceinline__ X number(const Number& n) {
    return *reinterpret_cast<const X*>(n.bytes);
  }
};

// Neighbours at once: `sides` has a bit for each operand that has them side by side; for others all are the same.
template <class F, class Small, class R, class... A, size_t... I>
__device__ __forceinline__ void apply_vector(const F& f, const Operands<1 + sizeof...(A)>& o,
                                             const int32_t (&offsets)[1 + sizeof...(A)], uint32_t sides,
                                             std::index_sequence<I...>) {
  using E = Element<F, Small, R, A...>;
  constexpr int V = E::kVector;
  std::tuple<Vector<InMemory<A, Small>, V>...> in;
  auto load = [&](auto& vector, int k) {
    using M = std::remove_reference_t<decltype(vector)>;
    if (sides >> k & 1) {
      vector = *reinterpret_cast<const M*>(o.data[k] + offsets[k]);
    } else if (o.data[k]) {
      const auto same =
          *reinterpret_cast<const std::remove_reference_t<decltype(vector.item[0])>*>(o.data[k] + offsets[k]);
#pragma unroll
      for (int v = 0; v < V; ++v) vector.item[v] = same;
    }
  };
  (load(std::get<I>(in), I + 1), ...);
  Vector<InMemory<R, Small>, V> out;
#pragma unroll
  for (int v = 0; v < V; ++v)
    out.item[v] = InMemory<R, Small>(
        f((o.data[I + 1] ? loaded<A>(std::get<I>(in).item[v]) : E::template number<A>(o.numbers[I + 1]))...));
  *reinterpret_cast<Vector<InMemory<R, Small>, V>*>(o.data[0] + offsets[0]) = out;
}

template <class F, class Small, class R, class... A, size_t... I>
__device__ __forceinline__ void apply_one(const F& f, const Operands<1 + sizeof...(A)>& o,
                                          const int32_t (&offsets)[1 + sizeof...(A)], std::index_sequence<I...>) {
  using E = Element<F, Small, R, A...>;
  *reinterpret_cast<InMemory<R, Small>*>(o.data[0] + offsets[0]) = InMemory<R, Small>(
      f((o.data[I + 1] ? loaded<A>(*reinterpret_cast<const InMemory<A, Small>*>(o.data[I + 1] + offsets[I + 1]))
                       : E::template number<A>(o.numbers[I + 1]))...));
}

template <class F, class Small, class R, class... A>
__global__ void __launch_bounds__(kThreads)
    dense_kernel(F f, Operands<1 + sizeof...(A)> o, uint32_t tensors, uint32_t n) {
  using E = Element<F, Small, R, A...>;
  constexpr uint32_t V = E::kVector;
  const uint32_t vectors = n / V;
  for (uint32_t i = thread_index(); i < vectors; i += thread_count()) {
    const int32_t offsets[] = {static_cast<int32_t>(i * V * sizeof(InMemory<R, Small>)),
                               static_cast<int32_t>(i * V * sizeof(InMemory<A, Small>))...};
    apply_vector<F, Small, R, A...>(f, o, offsets, tensors, std::index_sequence_for<A...>{});
  }
  // What is left fills less than a vector.
  const uint32_t i = vectors * V + thread_index();
  if (i < n) {
    const int32_t offsets[] = {static_cast<int32_t>(i * sizeof(InMemory<R, Small>)),
                               static_cast<int32_t>(i * sizeof(InMemory<A, Small>))...};
    apply_one<F, Small, R, A...>(f, o, offsets, std::index_sequence_for<A...>{});
  }
}

// `sides`: the walk goes over vectors; 0: over elements.
template <class F, class Small, class R, class... A>
__global__ void __launch_bounds__(kThreads) strided_kernel(F f, Operands<1 + sizeof...(A)> o, uint32_t sides,
                                                           const __grid_constant__ Offsets<1 + sizeof...(A)> walk) {
  for (uint32_t i = thread_index(); i < walk.total; i += thread_count()) {
    int32_t offsets[1 + sizeof...(A)];
    walk.locate(i, offsets);
    if (sides)
      apply_vector<F, Small, R, A...>(f, o, offsets, sides, std::index_sequence_for<A...>{});
    else
      apply_one<F, Small, R, A...>(f, o, offsets, std::index_sequence_for<A...>{});
  }
}

// ---- the host's side ----

template <class F, class Small, class R, class... A>
void launch_dense(const void* f, char* const* data, const Number* numbers, int64_t n, cudaStream_t stream) {
  uint32_t tensors = 0;
  for (uint32_t k = 0; k <= sizeof...(A); ++k) tensors |= uint32_t{data[k] != nullptr} << k;
  constexpr int kVector = Element<F, Small, R, A...>::kVector;
  launch(dense_kernel<F, Small, R, A...>, blocks_for((n + kVector - 1) / kVector, kThreads), kThreads, stream,
         *static_cast<const F*>(f), Operands<1 + sizeof...(A)>(data, numbers), tensors, static_cast<uint32_t>(n));
}
template <class F, class Small, class R, class... A>
void launch_strided(const void* f, char* const* data, const Number* numbers, uint32_t sides, const Walk& walk,
                    cudaStream_t stream) {
  constexpr int N = 1 + sizeof...(A);
  launch(strided_kernel<F, Small, R, A...>, blocks_for(walk.total(), kThreads), kThreads, stream,
         *static_cast<const F*>(f), Operands<N>(data, numbers), sides, Offsets<N>(walk));
}

class Elementwise {
 public:
  // The output first. Inputs broadcast to it. `dtype` is what the functor reads or writes.
  Elementwise& output(const atled_tensor* t, int dtype);
  Elementwise& input(const atled_tensor* t, int dtype);
  Elementwise& scalar(const atled_value& v, int dtype);
  // A tensor or a Python number; None is skipped.
  Elementwise& operand(const atled_value& v, int dtype);

  // R and A are the types of the operands' dtypes, or types of their sizes.
  template <class R, class... A, class F>
  void run(const F& f) {
    constexpr bool floats = (std::is_same_v<R, float> || ... || std::is_same_v<A, float>);
    const int small = settle(1 + sizeof...(A), floats);
    if (total_ > 0) {
      DeviceGuard device(device_.device_id);
      if constexpr (floats) {
        if (small == ATLED_FLOAT16) {
          pieces<F, Half, R, A...>(f);
        } else if (small == ATLED_BFLOAT16) {
          pieces<F, BFloat16, R, A...>(f);
        } else {
          pieces<F, float, R, A...>(f);
        }
      } else {
        pieces<F, float, R, A...>(f);
      }
    }
    deliver();
  }
  // The same where every tensor has its operand's dtype: nothing is converted.
  template <class R, class... A, class F>
  void run_as_is(const F& f) {
    settle(1 + sizeof...(A), false);
    if (total_ == 0) return;
    DeviceGuard device(device_.device_id);
    pieces<F, float, R, A...>(f);
  }

 private:
  struct Operand {
    const atled_tensor* tensor = nullptr;  // NULL: a number
    int dtype = 0;
  };

  // Converts what must be, and lays out the walk. Returns the dtype that floats have in memory.
  int settle(int operands, bool floats);
  // Writes an output that was converted.
  void deliver();

  // The two launches of a functor, its type hidden: what is around them exists once, not for every functor.
  struct Launches {
    int vector;
    int64_t items[kMaxOperands];
    void (*dense)(const void* f, char* const* data, const Number* numbers, int64_t n, cudaStream_t stream);
    void (*strided)(const void* f, char* const* data, const Number* numbers, uint32_t sides, const Walk& walk,
                    cudaStream_t stream);
  };
  void run_pieces(const void* f, const Launches& launches);

  template <class F, class Small, class R, class... A>
  void pieces(const F& f) {
    static constexpr Launches launches{Element<F, Small, R, A...>::kVector,
                                       {sizeof(InMemory<R, Small>), sizeof(InMemory<A, Small>)...},
                                       launch_dense<F, Small, R, A...>,
                                       launch_strided<F, Small, R, A...>};
    run_pieces(&f, launches);
  }

  int count_ = 0;
  int64_t total_ = 0;
  Operand operands_[kMaxOperands];
  Number numbers_[kMaxOperands];
  Tensor converted_[kMaxOperands];
  const atled_tensor* result_ = nullptr;  // where a converted output goes
  DLDevice device_{kDLCUDA, 0};
  Walk walk_;
};

// ---- tables of launches by dtype, as the CPU's families have tables of loops ----

using Launch = void (*)(Elementwise& e, const void* ctx);

template <class F, class R, class... A>
void launch_functor(Elementwise& e, const void* ctx) {
  if constexpr (std::is_empty_v<F>) {
    e.run<R, A...>(F{});
  } else {
    e.run<R, A...>(*static_cast<const F*>(ctx));
  }
}

// NULL where an op has no meaning, or no kernel yet. float16 and bfloat16 run through float32's.
struct LaunchTable {
  Launch launches[ATLED_NUM_DTYPES] = {};

  Launch operator[](int dtype) const { return launches[dtype]; }
  // Signed integers share the unsigned kernels: for arithmetic modulo 2^n.
  LaunchTable& share_signed() {
    for (int dtype = ATLED_UINT8; dtype <= ATLED_INT64; dtype += 2) launches[dtype + 1] = launches[dtype];
    return *this;
  }
  template <class F, class R, class... A>
  LaunchTable& set(int dtype) {
    launches[dtype] = launch_functor<F, R, A...>;
    return *this;
  }
  template <class F, class... T>
  LaunchTable& unary(Types<T...>) {
    (set<F, T, T>(dtype_of<T>), ...);
    return *this;
  }
  template <class F, class... T>
  LaunchTable& binary(Types<T...>) {
    (set<F, T, T, T>(dtype_of<T>), ...);
    return *this;
  }
  template <class F, class... T>
  LaunchTable& ternary(Types<T...>) {
    (set<F, T, T, T, T>(dtype_of<T>), ...);
    return *this;
  }
  // Results are bool.
  template <class F, class... T>
  LaunchTable& test(Types<T...>) {
    (set<F, bool, T>(dtype_of<T>), ...);
    return *this;
  }
  template <class F, class... T>
  LaunchTable& compare(Types<T...>) {
    (set<F, bool, T, T>(dtype_of<T>), ...);
    return *this;
  }
};

// The launch for what a dtype is computed in, or DTypeError.
Launch find_launch(const LaunchTable& table, int dtype);

// Kernels over all operands of the op; ctx is the LaunchTable.
int run_same(void* table, atled_frame* frame) noexcept;   // in and out the promoted dtype
int run_float(void* table, atled_frame* frame) noexcept;  // ... where integers become the default float
int run_bool(void* table, atled_frame* frame) noexcept;   // ... and the result is bool

}  // namespace atled::core::cuda
