#include <algorithm>

#include "cuda/readback.h"
#include "ops/joined.h"

namespace atled::core::cuda {

namespace {

constexpr int kPieces = 64;  // that one launch copies

// Pieces that lie side by side in memory, and where their rows go in those of the result. In units of U.
template <class U>
struct Pieces {
  const U* from[kPieces];
  int64_t start[kPieces];  // in the result's row
  FastDivisor width[kPieces];
  uint32_t total[kPieces];
  U* to;
  int64_t pitch;
};

// A piece for each block in y.
template <class U>
__global__ void __launch_bounds__(kThreads) join_kernel(const __grid_constant__ Pieces<U> pieces) {
  const uint32_t k = blockIdx.y, total = pieces.total[k];
  const FastDivisor width = pieces.width[k];
  const U* from = pieces.from[k];
  U* to = pieces.to + pieces.start[k];
  constexpr uint32_t N = 4;
  const uint32_t step = thread_count();
  for (uint32_t first = thread_index(); first < total; first += N * step) {
    U held[N];
#pragma unroll
    for (uint32_t n = 0; n < N; ++n)
      if (first + n * step < total) held[n] = from[first + n * step];
#pragma unroll
    for (uint32_t n = 0; n < N; ++n)
      if (const uint32_t i = first + n * step; i < total) {
        const uint32_t row = width.quotient(i);
        to[row * pieces.pitch + (i - row * width.divisor)] = held[n];
      }
  }
}

// Bytes of a piece and where they go.
struct Piece {
  const char* from;
  int64_t start, width, rows;
};

template <class U>
void launch_pieces(const Piece* piece, size_t count, char* to, int64_t pitch, cudaStream_t stream) {
  constexpr int64_t unit = sizeof(U);
  Pieces<U> pieces;
  pieces.to = reinterpret_cast<U*>(to);
  pieces.pitch = pitch / unit;
  int64_t longest = 0;
  for (size_t k = 0; k < count; ++k) {
    const int64_t width = piece[k].width / unit, total = width * piece[k].rows;
    pieces.from[k] = reinterpret_cast<const U*>(piece[k].from);
    pieces.start[k] = piece[k].start / unit;
    pieces.width[k] = FastDivisor(static_cast<uint32_t>(width));
    pieces.total[k] = static_cast<uint32_t>(total);
    longest = std::max(longest, total);
  }
  const dim3 blocks(blocks_for(longest, 4 * kThreads, 1 << 14), static_cast<unsigned>(count));
  launch(join_kernel<U>, blocks, kThreads, stream, pieces);
}

// The tensors one behind another along a dimension of out, in which each is lengths[i] long. What is contiguous and of
// out's dtype goes by few launches; view(i, offset) is where another one goes.
template <class View>
void join(atled_tensor* out, const atled_value& tensors, int dim, const int64_t* lengths, View&& view) {
  int64_t rows = 1, inner = itemsize(out->dtype), offset = 0;
  for (int d = 0; d < dim; ++d) rows *= out->dl.shape[d];
  for (int d = dim + 1; d < out->dl.ndim; ++d) inner *= out->dl.shape[d];
  const int64_t pitch = inner * out->dl.shape[dim];
  std::vector<Piece> pieces;
  uint64_t all = reinterpret_cast<uint64_t>(out->dl.data) | static_cast<uint64_t>(pitch);
  for (uint32_t i = 0; i < tensors.n; offset += lengths[i++]) {
    atled_tensor* t = tensors.u.tensors[i];
    if (numel(t) == 0) continue;
    const Piece piece{data<char>(t), offset * inner, lengths[i] * inner, rows};
    if (!is_contiguous(out) || !is_contiguous(t) || t->dtype != out->dtype || piece.width * rows > kMaxOffset) {
      assign(view(i, offset), t);
      continue;
    }
    all |= reinterpret_cast<uint64_t>(piece.from) | static_cast<uint64_t>(piece.start | piece.width);
    pieces.push_back(piece);
  }
  if (pieces.empty()) return;
  int unit = 1;
  while (unit < 16 && all % (2 * static_cast<uint64_t>(unit)) == 0) unit *= 2;
  DeviceGuard device(out->dl.device.device_id);
  visit_size(unit, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using U = std::conditional_t<std::is_same_v<T, Bytes16>, Aligned16, T>;
    for (size_t k = 0; k < pieces.size(); k += kPieces)
      launch_pieces<U>(&pieces[k], std::min<size_t>(kPieces, pieces.size() - k), data<char>(out), pitch,
                       current_stream(out->dl.device.device_id));
  });
}

void cat(atled_frame* f) {
  const atled_value& tensors = f->args[0];
  atled_tensor* out = out_tensor(f);
  const int dim = wrap_dim(arg_int(f, 1), out->dl.ndim);
  std::vector<int64_t> lengths(tensors.n, 0);
  for (uint32_t i = 0; i < tensors.n; ++i)
    if (numel(tensors.u.tensors[i]) > 0) lengths[i] = tensors.u.tensors[i]->dl.shape[dim];
  join(out, tensors, dim, lengths.data(), [&](uint32_t i, int64_t offset) {
    Layout piece(out);
    piece.shape[dim] = lengths[i];
    piece.offset = offset * piece.strides[dim];
    return piece.view(out);
  });
}

void stack(atled_frame* f) {
  atled_tensor* out = out_tensor(f);
  const int dim = wrap_dim(arg_int(f, 1), out->dl.ndim);
  const std::vector<int64_t> ones(f->args[0].n, 1);
  join(out, f->args[0], dim, ones.data(), [&](uint32_t, int64_t offset) {
    Layout piece(out);
    piece.offset = offset * piece.strides[dim];
    piece.erase(dim);
    return piece.view(out);
  });
}

void copy_piece(atled_tensor* to, atled_tensor* from) { assign(to, from); }

void flip(atled_frame* f) { assign(out_tensor(f), flipped(arg_tensor(f, 0), f->args[1]).get()); }

void roll(atled_frame* f) {
  atled_tensor *out = out_tensor(f), *input = arg_tensor(f, 0);
  if (numel(out) == 0) return;
  const atled_value& dims = f->args[2];
  const Tensor from = is_none(dims) ? contiguous(input, input->dtype) : Tensor::borrow(input);
  roll_into(out, from, f->args[1], dims, copy_piece);
}

void repeat(atled_frame* f) { repeat_into(out_tensor(f), arg_tensor(f, 0), copy_piece); }

// How many of the running sums are not above i: the entry that result i belongs to.
__global__ void __launch_bounds__(kThreads) entry_kernel(const int64_t* sums, int64_t n, int64_t* out, int64_t total) {
  for (int64_t i = thread_index(); i < total; i += thread_count()) {
    int64_t low = 0, high = n;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (sums[middle] <= i)
        low = middle + 1;
      else
        high = middle;
    }
    out[i] = low;
  }
}

void repeat_indices(atled_frame* f) {
  static const Op cumsum{"core::cumsum"};
  atled_tensor* repeats = arg_tensor(f, 0);
  if (!is_integer(repeats->dtype) || repeats->dl.ndim > 1)
    fail(ATLED_E_DTYPE, "expected repeats of an integer dtype in one dimension, got %s of shape %s",
         dtype_name(repeats->dtype), shape_text(repeats).c_str());
  const Tensor counts = contiguous(repeats, ATLED_INT64);
  const DLDevice device = counts->dl.device;
  const int64_t n = numel(counts);
  int64_t total = 0;
  Tensor sums;
  if (n > 0) {
    const Range range = range_of(counts);
    if (range.low < 0) fail(ATLED_E_VALUE, "expected repeats >= 0, got %lld", (long long)range.low);
    if (static_cast<double>(range.high) * static_cast<double>(n) > 9e18)
      fail(ATLED_E_MEMORY, "expected fewer than 2^63 repeats in all");
    sums = cumsum(counts, 0);
    total = read_back(data<int64_t>(sums) + n - 1, 1, device)[0];
  }
  const Tensor out = Tensor::empty(ATLED_INT64, {total}, device);
  if (total > 0) {
    DeviceGuard current(device.device_id);
    launch(entry_kernel, blocks_for(total, kThreads), kThreads, current_stream(device.device_id), data<int64_t>(sums),
           n, data<int64_t>(out), total);
  }
  set_out(f, 0, out);
}

void add_joining() {
  cuda_kernel("core::cat", kernel<cat>);
  cuda_kernel("core::stack", kernel<stack>);
  cuda_kernel("core::flip", kernel<flip>);
  cuda_kernel("core::roll", kernel<roll>);
  cuda_kernel("core::repeat", kernel<repeat>);
  cuda_kernel("core::tile", kernel<repeat>);
  cuda_kernel("core::repeat_indices", kernel<repeat_indices>);
}
ATLED_CUDA_KERNELS(add_joining);

}  // namespace

}  // namespace atled::core::cuda
