#include <algorithm>
#include <string>
#include <vector>

#include "cpu/assign.h"
#include "cpu/order.h"
#include "cpu/parallel.h"
#include "dispatch/register.h"
#include "functors/copy.h"
#include "ops/layout.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

// The lines of a tensor along one dimension, of a contiguous tensor of another length in it too.
struct Lines {
  Lines(const atled_tensor* t, int dim) {
    const int64_t* shape = t->dl.shape;
    for (int d = 0; d < t->dl.ndim; ++d) (d < dim ? outer : d > dim ? inner : n) *= shape[d];
  }
  int64_t outer = 1, n = 1, inner = 1;
  int64_t count() const { return outer * inner; }
  // The first element of line i when lines have `length` elements, `inner` apart.
  int64_t start(int64_t i, int64_t length) const { return i / inner * length * inner + i % inner; }
};

template <class F>
void visit_real(int dtype, F&& f) {
  visit_dtype(dtype, [&](auto tag) {
    if constexpr (!is_complex_type<typename decltype(tag)::type>) f(tag);
  });
}

// values and indices (each may be NULL) of the first `kept` elements of every sorted line.
void sort_lines(atled_tensor* input, int dim, bool descending, int64_t kept, bool sorted, atled_tensor* values,
                atled_tensor* indices) {
  const Tensor whole = contiguous(input);
  const Lines lines(whole, dim);
  if (lines.count() == 0 || kept == 0) return;
  visit_real(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Item = Keyed<KeyOf<T>>;
    const T* from = data<T>(whole);
    T* value = values ? data<T>(values) : nullptr;
    int64_t* index = indices ? data<int64_t>(indices) : nullptr;
    const int64_t n = lines.n, step = lines.inner;
    const bool partial = kept < n && kept <= n / 4;
    parallel(lines.count(), std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end) {
      // For few of many, a buffer of candidates that is thinned out whenever it is full.
      const int64_t room = partial ? std::min(n, std::max<int64_t>(4 * kept, 256)) : n;
      std::vector<Item> items(static_cast<size_t>(room)), spare(static_cast<size_t>(n < 96 ? 0 : room));
      for (int64_t line = begin; line < end; ++line) {
        const T* in = from + lines.start(line, n);
        int64_t count = 0;
        Item bound{};
        bool bounded = false;
        for (int64_t i = 0; i < n; ++i) {
          const Item item{key_of(in[i * step], descending), i};
          if (bounded && !(item.key < bound.key)) continue;
          items[static_cast<size_t>(count++)] = item;
          if (count < room || i + 1 == n || !partial) continue;
          std::nth_element(items.begin(), items.begin() + (kept - 1), items.begin() + count);
          bound = items[static_cast<size_t>(kept - 1)];
          bounded = true;
          count = kept;
        }
        if (kept < count) std::nth_element(items.begin(), items.begin() + (kept - 1), items.begin() + count);
        if (kept < n) {
          if (sorted) std::sort(items.begin(), items.begin() + kept);
        } else {
          sort_keyed(items.data(), spare.data(), n);
        }
        const int64_t to = lines.start(line, kept);
        for (int64_t i = 0; i < kept; ++i) {
          const int64_t at = items[static_cast<size_t>(i)].index;
          if (value) value[to + i * step] = in[at * step];
          if (index) index[to + i * step] = at;
        }
      }
    });
  });
}

int64_t length_of(const atled_tensor* t, int dim) { return t->dl.ndim ? t->dl.shape[dim] : 1; }

void sort(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 2), length_of(input, dim), true, out_tensor(f, 0), out_tensor(f, 1));
}

void argsort(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 1), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 2), length_of(input, dim), true, nullptr, out_tensor(f));
}

void topk(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  sort_lines(input, dim, arg_bool(f, 3), arg_int(f, 1), true, out_tensor(f, 0), out_tensor(f, 1));
}

void kthvalue(atled_frame* f) {
  atled_tensor* input = arg_tensor(f, 0);
  const int dim = wrap_dim(arg_int(f, 2), input->dl.ndim);
  const Tensor whole = contiguous(input);
  const Lines lines(whole, dim);
  const int64_t n = lines.n, k = arg_int(f, 1) - 1;
  visit_real(input->dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Item = Keyed<KeyOf<T>>;
    parallel(lines.count(), std::max<int64_t>(1, 8192 / n), [&](int64_t begin, int64_t end) {
      std::vector<Item> items(static_cast<size_t>(n));
      for (int64_t line = begin; line < end; ++line) {
        const T* in = data<T>(whole) + lines.start(line, n);
        for (int64_t i = 0; i < n; ++i) items[static_cast<size_t>(i)] = Item{key_of(in[i * lines.inner], false), i};
        std::nth_element(items.begin(), items.begin() + k, items.end());
        const int64_t at = items[static_cast<size_t>(k)].index;
        data<T>(out_tensor(f, 0))[line] = in[at * lines.inner];
        data<int64_t>(out_tensor(f, 1))[line] = at;
      }
    });
  });
}

void searchsorted(atled_frame* f) {
  atled_tensor *sequence = arg_tensor(f, 0), *out = out_tensor(f);
  const atled_value &input = f->args[1], &side = f->args[4], &sorter = f->args[5];
  bool right = arg_bool(f, 3);
  if (!is_none(side)) {
    const std::string text(side.u.str, side.n);
    if (text != "left" && text != "right") fail(ATLED_E_VALUE, "expected side \"left\" or \"right\", got \"%s\"", text.c_str());
    if (right && text == "left") fail(ATLED_E_VALUE, "expected right and side to agree, got True and \"left\"");
    right = text == "right";
  }
  static const Op gather{"core::gather"};
  Tensor sorted = Tensor::borrow(sequence);
  if (!is_none(sorter)) sorted = gather(sequence, -1, sorter.u.tensor);
  const int dtype = input.tag == ATLED_TENSOR ? promote(sequence->dtype, input.u.tensor->dtype) : promote_scalar(sequence->dtype, input);
  sorted = contiguous(sorted, dtype);
  Tensor wanted = Tensor::empty(dtype, out->dl.ndim, out->dl.shape);
  assign(wanted, input);
  const int64_t n = sorted->dl.shape[sorted->dl.ndim - 1], count = numel(out);
  const int64_t per_line = sorted->dl.ndim == 1 ? count : (out->dl.ndim ? out->dl.shape[out->dl.ndim - 1] : 1);
  visit_real(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    parallel(count, 2048, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* line = data<T>(sorted) + (sorted->dl.ndim == 1 ? 0 : i / per_line * n);
        const auto key = key_of(data<T>(wanted)[i], false);
        int64_t low = 0, high = n;
        while (low < high) {
          const int64_t middle = low + (high - low) / 2;
          const auto here = key_of(line[middle], false);
          if (right ? here <= key : here < key) {
            low = middle + 1;
          } else {
            high = middle;
          }
        }
        if (out->dtype == ATLED_INT32) {
          data<int32_t>(out)[i] = static_cast<int32_t>(low);
        } else {
          data<int64_t>(out)[i] = low;
        }
      }
    });
  });
}

void bucketize(atled_frame* f) {
  static const Op search{"core::searchsorted"};
  atled_value out = none();
  search.run(0, &out, {f->args[1], f->args[0], f->args[2], f->args[3]});
  set_out(f, 0, Tensor::steal(out.u.tensor));
}

void msort(atled_frame* f) {
  static const Op sort_op{"core::sort"};
  atled_value outs[2] = {none(), none()};
  sort_op.run(0, outs, {f->args[0], value(0)});
  set_out(f, 0, Tensor::steal(outs[0].u.tensor));
  api.release(outs[1].u.tensor);
}

void add_sorting() {
  auto cpu = [](const char* op, atled_kernel run) { add_kernel(op, ATLED_DEVICE_CPU, run); };
  cpu("core::sort", kernel<sort>);
  cpu("core::argsort", kernel<argsort>);
  cpu("core::topk", kernel<topk>);
  cpu("core::kthvalue", kernel<kthvalue>);
  cpu("core::searchsorted", kernel<searchsorted>);
  add_kernel("core::bucketize", ATLED_DEVICE_ANY, kernel<bucketize>);
  add_kernel("core::msort", ATLED_DEVICE_ANY, kernel<msort>);
}

ATLED_KERNELS(add_sorting);

}  // namespace
}  // namespace atled::core
