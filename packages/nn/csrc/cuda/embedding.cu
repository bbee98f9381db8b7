// Rows that indices name. Gradients are added by core's index_add_, in an order that the indices alone decide.
#include "cuda/kernel.cuh"

namespace atled::nn {

namespace {

// None means no row; a negative padding_idx counts from the end.
int64_t padding_row(const atled_frame* f, int i, int64_t rows) {
  if (arg_is_none(f, i)) return -1;
  const int64_t row = arg_int(f, i);
  if (row < -rows || row >= rows)
    fail(ATLED_E_BOUNDS, "expected padding_idx in [%lld, %lld), got %lld", -static_cast<long long>(rows),
         static_cast<long long>(rows), static_cast<long long>(row));
  return row < 0 ? row + rows : row;
}

// int32 or int64, from 0 on. What is out of bounds is told, and counts as 0.
struct Indices {
  const void* data;
  bool wide;
  int64_t n, bound;
  atled_cuda_index_site site;

  Indices(const atled_tensor* t, int64_t rows, const IndexCall& call)
      : data(t->dl.data), wide(t->dtype == ATLED_INT64), n(numel(t)), bound(rows), site(call.site()) {}
  __device__ int64_t at(int64_t i) const {
    const int64_t index = wide ? static_cast<const int64_t*>(data)[i] : static_cast<const int32_t*>(data)[i];
    if (index >= 0 && index < bound) return index;
    report_index(site, -1, index, bound, i);
    return 0;
  }
};

struct alignas(16) Bytes16 {
  uint64_t low, high;
};

// A power of two of neighbouring threads for each row of `units`.
template <class Unit>
__global__ void __launch_bounds__(kThreads)
    rows_kernel(const Indices indices, const Unit* table, int64_t units, uint32_t lanes, Unit* out) {
  const int64_t per_block = kThreads / lanes;
  for (int64_t i = blockIdx.x * per_block + threadIdx.x / lanes; i < indices.n; i += gridDim.x * per_block) {
    const int64_t row = indices.at(i);
    if (indices.bound == 0) continue;
    for (int64_t k = threadIdx.x % lanes; k < units; k += lanes) out[i * units + k] = table[row * units + k];
  }
}

__global__ void __launch_bounds__(kThreads) settle_kernel(const Indices indices, int64_t* out) {
  for (int64_t i = thread_index(); i < indices.n; i += thread_count()) out[i] = indices.at(i);
}

// Divides each row by how often it is named.
template <class A>
__global__ void __launch_bounds__(kThreads) divide_kernel(A* rows, const A* counts, int64_t n, int64_t dim) {
  for (int64_t i = thread_index(); i < n; i += thread_count()) {
    const A count = counts[i / dim];
    if (count > 1) rows[i] /= count;
  }
}

template <class Unit>
void copy_rows(const On& on, const Indices& indices, const void* table, int64_t bytes, void* out) {
  const int64_t units = bytes / static_cast<int64_t>(sizeof(Unit));
  uint32_t lanes = 1;
  while (lanes < kThreads && lanes < units) lanes *= 2;
  on.run(rows_kernel<Unit>, blocks_for(indices.n, static_cast<int>(kThreads / lanes)), indices,
         static_cast<const Unit*>(table), units, lanes, static_cast<Unit*>(out));
}

void embedding(atled_frame* f) {
  const Tensor index = contiguous(arg_tensor(f, 0)), weight = contiguous(arg_tensor(f, 1));
  const int64_t rows = weight->dl.shape[0], bytes = weight->dl.shape[1] * itemsize(weight->dtype);
  padding_row(f, 2, rows);
  if (numel(index) == 0) return;
  const On on(weight);
  const IndexCall call(f, weight->dl.device.device_id, "input");
  const Indices indices(index, rows, call);
  const void* table = weight->dl.data;
  void* out = out_tensor(f)->dl.data;
  const auto odd =
      reinterpret_cast<uintptr_t>(table) | reinterpret_cast<uintptr_t>(out) | static_cast<uintptr_t>(bytes);
  if (odd % 16 == 0)
    copy_rows<Bytes16>(on, indices, table, bytes, out);
  else if (odd % 4 == 0)
    copy_rows<uint32_t>(on, indices, table, bytes, out);
  else
    copy_rows<uint16_t>(on, indices, table, bytes, out);
  call.finish();
}

Tensor zeros(int dtype, std::initializer_list<int64_t> shape, DLDevice device) {
  static const Op zero{"core::zero_"};
  Tensor made = Tensor::empty(dtype, shape, device);
  zero(made);
  return made;
}

void backward(atled_frame* f) {
  static const Op add{"core::index_add"}, fill{"core::fill_"}, zero{"core::zero_"}, copy{"core::copy_"},
      reshape{"core::reshape"}, select{"core::select"};
  const Tensor grad = contiguous(arg_tensor(f, 0)), index = contiguous(arg_tensor(f, 1));
  const int64_t rows = arg_int(f, 2), skip = padding_row(f, 3, rows), dim = grad->dl.shape[grad->dl.ndim - 1],
                n = numel(index), shape[2] = {n, dim};
  const int wide = compute_dtype(grad->dtype);
  const DLDevice device = grad->dl.device;
  atled_tensor* out = out_tensor(f);
  const On on(grad);
  const IndexCall call(f, device.device_id, "input");
  const Tensor settled = Tensor::empty(ATLED_INT64, {n}, device);
  if (n > 0) on.run(settle_kernel, blocks_for(n), Indices(index, rows, call), data<int64_t>(settled));
  call.finish();
  if (numel(out) == 0) return;
  // Half-precision sums are kept wide until the end.
  const Tensor sums = out->dtype == wide ? Tensor::borrow(out) : Tensor::empty(wide, {rows, dim}, device);
  zero(sums);
  add.inplace(sums, 0, settled, reshape(converted(grad, wide), ints_value(shape, 2)));
  if (arg_bool(f, 4)) {
    const Tensor ones = Tensor::empty(wide, {n}, device), counts = zeros(wide, {rows}, device);
    fill(ones, 1);
    add.inplace(counts, 0, settled, ones);
    visit_float(wide, [&](auto tag) {
      using A = Wide<typename decltype(tag)::type>;
      on.run(divide_kernel<A>, blocks_for(rows * dim), data<A>(sums), data<const A>(counts), rows * dim, dim);
    });
  }
  if (skip >= 0) zero(select(sums, 0, skip));
  if (sums.get() != out) copy(out, sums);
}

void add_embedding() {
  add_cuda_kernel<embedding>("nn::embedding");
  add_cuda_kernel<backward>("nn::embedding_backward");
}
ATLED_CUDA_KERNELS(add_embedding);

}  // namespace

}  // namespace atled::nn
