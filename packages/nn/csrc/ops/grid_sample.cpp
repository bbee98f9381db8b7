#include <cstring>

#include "ops/sampling.h"
#include "plugin.h"

namespace atled::nn {
namespace {

template <size_t count>
size_t chosen(const atled_frame* f, int i, const char* name, const char* const (&options)[count]) {
  const char* given = f->args[i].u.str;
  for (size_t k = 0; k < count; ++k)
    if (strcmp(given, options[k]) == 0) return k;
  fail(ATLED_E_VALUE, "expected %s '%s', '%s' or '%s', got '%s'", name, options[0], options[1], options[2], given);
}

// (n, c, places of the grid).
void sampled_shape(atled_spec& spec, int dtype, Shape input, Shape grid) {
  set_spec(spec, dtype, input.ndim, input.dims);
  for (int i = 2; i < input.ndim; ++i) spec.shape[i] = grid.dims[i - 1];
}

void forward_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *input = arg_tensor(f, 0), *grid = arg_tensor(f, 1);
  expect_float(input, "input");
  expect_dtype_of(grid, "grid", input, "input");
  sampling(shape_of(input), shape_of(grid), f, 2);
  sampled_shape(outs[0], input->dtype, shape_of(input), shape_of(grid));
}

void expect_grad(const atled_tensor* grad, Shape input, Shape grid) {
  atled_spec expected;
  sampled_shape(expected, grad->dtype, input, grid);
  expect_shape(grad, "grad", expected.ndim, expected.shape);
}

void to_input_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *grid = arg_tensor(f, 1);
  const Shape input = arg_shape(f, 2);
  expect_float(grad, "grad");
  expect_dtype_of(grid, "grid", grad, "grad");
  sampling(input, shape_of(grid), f, 3);
  expect_grad(grad, input, shape_of(grid));
  set_spec(outs[0], grad->dtype, input.ndim, input.dims);
}

void to_grid_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor *grad = arg_tensor(f, 0), *input = arg_tensor(f, 1), *grid = arg_tensor(f, 2);
  expect_float(grad, "grad");
  expect_dtype_of(input, "input", grad, "grad");
  expect_dtype_of(grid, "grid", grad, "grad");
  sampling(shape_of(input), shape_of(grid), f, 3);
  expect_grad(grad, shape_of(input), shape_of(grid));
  same_spec(outs[0], grid);
}

}  // namespace

Sampling sampling(Shape input, Shape grid, const atled_frame* f, int mode) {
  Sampling s{input.ndim - 2, 0, 0, 1, {1, 1, 1}, Sampled::kLinear, Outside::kZeros, arg_bool(f, mode + 2)};
  if ((s.dims != 2 && s.dims != 3) || grid.ndim != input.ndim || grid.dims[0] != input.dims[0] ||
      grid.dims[grid.ndim - 1] != s.dims)
    fail(ATLED_E_SHAPE,
         "expected input (N, C, H, W) and grid (N, h, w, 2), or (N, C, D, H, W) and (N, d, h, w, 3), got %s and %s",
         shape_text(input.ndim, input.dims).c_str(), shape_text(grid.ndim, grid.dims).c_str());
  s.images = input.dims[0];
  s.channels = input.dims[1];
  for (int i = 0; i < s.dims; ++i) {
    s.sizes[i] = input.dims[2 + i];
    s.points *= grid.dims[1 + i];
    if (s.sizes[i] > 1 << 24 && arg_tensor(f, 0)->dtype != ATLED_FLOAT64)
      fail(ATLED_E_SHAPE, "expected dimensions of at most 2^24, whose places float32 tells apart, got %s; use float64",
           shape_text(input.ndim, input.dims).c_str());
    if (s.sizes[i] < 1)
      fail(ATLED_E_SHAPE, "expected input of at least one element, got %s", shape_text(input.ndim, input.dims).c_str());
  }
  if (s.elements() > INT32_MAX)
    fail(ATLED_E_SHAPE, "expected input of less than 2^31 elements in a channel, got %s",
         shape_text(input.ndim, input.dims).c_str());
  s.mode = static_cast<Sampled>(chosen(f, mode, "mode", {"nearest", "bilinear", "bicubic"}));
  s.outside = static_cast<Outside>(chosen(f, mode + 1, "padding_mode", {"zeros", "border", "reflection"}));
  if (s.mode == Sampled::kCubic && s.dims == 3)
    fail(ATLED_E_VALUE, "expected mode 'nearest' or 'bilinear' for volumes, got 'bicubic'");
  return s;
}

void define_grid_sample() {
  define(
      {"nn::grid_sample(Tensor input, Tensor grid, str mode=\"bilinear\", str padding_mode=\"zeros\", bool "
       "align_corners=False) -> Tensor",
       "The values of images or volumes at given places (Jaderberg et al. 2015, section 3.3).\n\n"
       "input (N, C, H, W), grid (N, h, w, 2), x first, in [-1, 1]; or (N, C, D, H, W) and (N, d, h, w, "
       "3): floats of one dtype. Returns (N, C, h, w) or (N, C, d, h, w).\n\n"
       ">>> at.ops.nn.grid_sample(at.tensor([[[[1.0, 3.0]]]]), at.zeros(1, 1, 1, 2)).item()\n"
       "2.0",
       shape<forward_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::grid_sample_backward_input(Tensor grad, Tensor grid, int[] input_shape, str mode=\"bilinear\", str "
       "padding_mode=\"zeros\", bool align_corners=False) -> Tensor",
       "The gradient of grid_sample with respect to its input.", shape<to_input_rule>, ATLED_OP_FUNCTION});
  define(
      {"nn::grid_sample_backward_grid(Tensor grad, Tensor input, Tensor grid, str mode=\"bilinear\", str "
       "padding_mode=\"zeros\", bool align_corners=False) -> Tensor",
       "The gradient of grid_sample with respect to its grid; zeros for \"nearest\".", shape<to_grid_rule>,
       ATLED_OP_FUNCTION});
}

}  // namespace atled::nn
