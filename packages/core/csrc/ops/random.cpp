// Random numbers. Element i of a draw depends on the generator's seed and position alone, not on threads or devices.
#include "dispatch/register.h"
#include "ops/rules.h"

namespace atled::core {
namespace {

constexpr uint32_t kFactory = ATLED_OP_FACTORY | ATLED_OP_FUNCTION | ATLED_OP_RANDOM;

int dtype_or(const atled_frame* f, int i, int fallback) {
  return f->args[i].tag == ATLED_DTYPE ? static_cast<int>(f->args[i].u.i) : fallback;
}

void expect_float_dtype(int dtype, bool complex_too) {
  if (!is_floating(dtype) && !(complex_too && is_complex(dtype)))
    fail(ATLED_E_DTYPE, "expected a floating-point dtype, got %s", dtype_name(dtype));
}

void set_size(atled_spec& spec, int dtype, const atled_value& size) {
  if (size.n > ATLED_MAX_NDIM) fail(ATLED_E_SHAPE, "expected at most %d dimensions, got %u", ATLED_MAX_NDIM, size.n);
  set_spec(spec, dtype, static_cast<int>(size.n), size.u.ints);
}

// (size, *, generator, dtype, device)
void float_size_rule(const atled_frame* f, atled_spec* outs) {
  set_size(outs[0], dtype_or(f, 2, default_dtype()), f->args[0]);
  expect_float_dtype(outs[0].dtype, true);
}

// (input, *, generator, dtype, device)
void float_like_rule(const atled_frame* f, atled_spec* outs) {
  same_spec(outs[0], arg_tensor(f, 0));
  outs[0].dtype = dtype_or(f, 2, outs[0].dtype);
  expect_float_dtype(outs[0].dtype, true);
}

// (low, high, size, *, generator, dtype, device), where randint(high, size) comes as low and high
void randint_rule(const atled_frame* f, atled_spec* outs) {
  const atled_value &high = f->args[1], &size = f->args[2];
  if (is_none(size) && is_none(high)) fail(ATLED_E_ARGUMENT, "expected a size");
  if (!is_none(size) && !is_none(high) && high.n != 1)
    fail(ATLED_E_ARGUMENT, "expected high to be one integer, got %u", high.n);
  set_size(outs[0], dtype_or(f, 4, ATLED_INT64), is_none(size) ? high : size);
}

void randint_like_rule(const atled_frame* f, atled_spec* outs) {
  same_spec(outs[0], arg_tensor(f, 0));
  outs[0].dtype = dtype_or(f, 4, outs[0].dtype);
}

void randperm_rule(const atled_frame* f, atled_spec* outs) {
  const int64_t n = arg_int(f, 0);
  if (n < 0) fail(ATLED_E_VALUE, "expected n >= 0, got %lld", (long long)n);
  set_spec(outs[0], dtype_or(f, 2, ATLED_INT64), {n});
}

void bernoulli_rule(const atled_frame* f, atled_spec* outs) {
  if (arg_is_none(f, 1)) expect_floating(arg_tensor(f, 0), "input");
  same_spec(outs[0], arg_tensor(f, 0));
}

void multinomial_rule(const atled_frame* f, atled_spec* outs) {
  const atled_tensor* input = arg_tensor(f, 0);
  const int64_t samples = arg_int(f, 1);
  expect_floating(input, "input");
  expect_real(input, "input");
  if (input->dl.ndim != 1 && input->dl.ndim != 2)
    fail(ATLED_E_SHAPE, "expected input of 1 or 2 dimensions, got shape %s", shape_text(input).c_str());
  if (samples < 1) fail(ATLED_E_VALUE, "expected num_samples >= 1, got %lld", (long long)samples);
  const int64_t categories = input->dl.shape[input->dl.ndim - 1];
  if (!arg_bool(f, 2) && samples > categories)
    fail(ATLED_E_VALUE, "expected num_samples <= %lld without replacement, got %lld", (long long)categories,
         (long long)samples);
  if (input->dl.ndim == 1) return set_spec(outs[0], ATLED_INT64, {samples});
  set_spec(outs[0], ATLED_INT64, {input->dl.shape[0], samples});
}

void poisson_rule(const atled_frame* f, atled_spec* outs) {
  expect_floating(arg_tensor(f, 0), "input");
  expect_real(arg_tensor(f, 0), "input");
  same_spec(outs[0], arg_tensor(f, 0));
}

// Shape and dtype that count and prob have in common.
void binomial_rule(const atled_frame* f, atled_spec* outs) {
  for (int i = 0; i < 2; ++i) {
    expect_floating(arg_tensor(f, i), f->op->args[i].name);
    expect_real(arg_tensor(f, i), f->op->args[i].name);
  }
  same_rule(f, outs);
}

// (mean, std, size, *, generator, dtype, device)
void normal_rule(const atled_frame* f, atled_spec* outs) {
  const atled_value &mean = f->args[0], &std = f->args[1], &size = f->args[2];
  if (std.tag != ATLED_TENSOR && !(arg_double(f, 1) >= 0))
    fail(ATLED_E_VALUE, "expected std >= 0, got %g", arg_double(f, 1));
  if (mean.tag == ATLED_TENSOR || std.tag == ATLED_TENSOR) {
    if (!is_none(size)) fail(ATLED_E_ARGUMENT, "expected no size when mean or std is a tensor");
    same_rule(f, outs);
  } else {
    if (is_none(size)) fail(ATLED_E_ARGUMENT, "expected a size when mean and std are numbers");
    set_size(outs[0], dtype_or(f, 4, default_dtype()), size);
  }
  expect_float_dtype(outs[0].dtype, true);
}

void define_draws() {
  define({"rand(int[*] size, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "Numbers uniform in [0, 1).\n\ndtype: floating (the default float) or complex.\n\n>>> at.rand(2, "
          "3).shape\n(2, 3)",
          shape<float_size_rule>, kFactory});
  define({"randn(int[*] size, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "Numbers from the normal distribution of mean 0 and variance 1 (complex: 1/2 in each part).\n\n"
          ">>> at.randn(2, 3).shape\n(2, 3)",
          shape<float_size_rule>, kFactory});
  define({"rand_like(Tensor input, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "rand in input's shape, dtype and device unless given.", shape<float_like_rule>, kFactory});
  define({"randn_like(Tensor input, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "randn in input's shape, dtype and device unless given.", shape<float_like_rule>, kFactory});
  define(
      {"randint(int low=0, int[]? high=None, int[]? size=None, *, Generator? generator=None, dtype? dtype=None, "
       "device? device=None) -> Tensor",
       "Integers uniform in [low, high); randint(high, size) starts at 0.\n\n"
       "dtype: int64 unless given.\n\n>>> at.randint(0, 10, (2, 3)).shape\n(2, 3)",
       shape<randint_rule>, kFactory});
  define(
      {"randint_like(Tensor input, int low=0, int? high=None, *, Generator? generator=None, dtype? dtype=None, "
       "device? device=None) -> Tensor",
       "randint in input's shape, dtype and device unless given; randint_like(input, high) starts at 0.",
       shape<randint_like_rule>, kFactory});
  define({"randperm(int n, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "The integers 0 to n - 1 in random order; int64 unless given.\n\n>>> "
          "at.randperm(4).sort().values\ntensor([0, 1, 2, 3])",
          shape<randperm_rule>, kFactory});
  define({"bernoulli(Tensor input, float? p=None, *, Generator? generator=None) -> Tensor",
          "1 with the probability that each element of input says, or p, else 0.\n\ninput: floating, in [0, 1]; with "
          "p, any dtype.",
          shape<bernoulli_rule>, ATLED_OP_RANDOM});
  define({"multinomial(Tensor input, int num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor",
          "Indices drawn with the weights that each row of input holds.\n\n"
          "input: floating, (n,) or (m, n), not negative. Returns int64 of shape (num_samples,) or (m, num_samples).",
          shape<multinomial_rule>, ATLED_OP_RANDOM});
  define({"poisson(Tensor input, Generator? generator=None) -> Tensor",
          "Numbers from the Poisson distributions whose rates input holds.\n\ninput: floating, not negative.",
          shape<poisson_rule>, ATLED_OP_RANDOM | ATLED_OP_FUNCTION});
  define({"binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor",
          "How many of count trials succeed, each with probability prob; the two broadcast.\n\n"
          "count: floating, whole numbers >= 0; prob: floating, in [0, 1].",
          shape<binomial_rule>, ATLED_OP_RANDOM | ATLED_OP_FUNCTION});
  define(
      {"normal(Tensor|Scalar mean=0.0, Tensor|Scalar std=1.0, int[]? size=None, *, Generator? generator=None, "
       "dtype? dtype=None, device? device=None) -> Tensor",
       "Normal numbers of the given means and deviations, which broadcast; with two numbers, size is needed.\n\n"
       "std: >= 0. No gradient goes through a draw: that of mean + std * randn(...) would.",
       shape<normal_rule>, kFactory});
}

void define_fills() {
  define({"uniform_(Tensor(a!) input, float from=0, float to=1, *, Generator? generator=None) -> Tensor",
          "Fills input with numbers uniform in [from, to).\n\ninput: floating. Returns input.", nullptr,
          ATLED_OP_RANDOM});
  define({"normal_(Tensor(a!) input, float mean=0, float std=1, *, Generator? generator=None) -> Tensor",
          "Fills input with normal numbers.\n\ninput: floating or complex; std >= 0. Returns input.", nullptr,
          ATLED_OP_RANDOM});
  define({"exponential_(Tensor(a!) input, float lambd=1, *, Generator? generator=None) -> Tensor",
          "Fills input with numbers from the exponential distribution of rate lambd > 0.\n\ninput: floating. Returns "
          "input.",
          nullptr, ATLED_OP_RANDOM});
  define({"cauchy_(Tensor(a!) input, float median=0, float sigma=1, *, Generator? generator=None) -> Tensor",
          "Fills input with numbers from the Cauchy distribution of that median and half width sigma > 0.\n\n"
          "input: floating. Returns input.",
          nullptr, ATLED_OP_RANDOM});
  define({"log_normal_(Tensor(a!) input, float mean=1, float std=2, *, Generator? generator=None) -> Tensor",
          "Fills input with numbers whose logarithms are normal, of that mean and deviation std > 0.\n\n"
          "input: floating. Returns input.",
          nullptr, ATLED_OP_RANDOM});
  define({"geometric_(Tensor(a!) input, float p, *, Generator? generator=None) -> Tensor",
          "Fills input with the numbers of trials up to the first success, where each succeeds with probability p.\n\n"
          "input: real; 0 < p < 1. Numbers beyond an integer dtype's largest become that. Returns input.",
          nullptr, ATLED_OP_RANDOM});
  define({"random_(Tensor(a!) input, int from=0, int? to=None, *, Generator? generator=None) -> Tensor",
          "Fills input with integers uniform in [from, to); without to, random_(to) starts at 0 and random_() takes "
          "all that "
          "input's dtype holds exactly.",
          nullptr, ATLED_OP_RANDOM});
  define({"bernoulli_(Tensor(a!) input, Tensor|Scalar p=0.5, *, Generator? generator=None) -> Tensor",
          "Fills input with 1 with probability p (a number, or a tensor that broadcasts), else 0. Returns input.",
          nullptr, ATLED_OP_RANDOM});
}

void define_random() {
  define_draws();
  define_fills();
}

ATLED_OPS(define_random);

}  // namespace
}  // namespace atled::core
