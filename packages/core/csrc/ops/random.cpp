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
  const int dtype = dtype_or(f, 2, ATLED_INT64);
  const int bits = dtype == ATLED_BOOL ? 1 : 8 * itemsize(dtype) - (is_signed(dtype) ? 1 : 0);
  if (dtype < ATLED_FLOAT16 && bits < 63 && n > int64_t{1} << bits)
    fail(ATLED_E_VALUE, "expected n of at most %lld for %s, got %lld", (long long)(int64_t{1} << bits),
         dtype_name(dtype), (long long)n);
  set_spec(outs[0], dtype, {n});
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
  if (std.tag == ATLED_TENSOR) expect_real(std.u.tensor, "std");
  if (std.tag == ATLED_COMPLEX_VALUE) fail(ATLED_E_DTYPE, "expected std to be real, got a complex number");
  if (mean.tag == ATLED_TENSOR || std.tag == ATLED_TENSOR) {
    if (!is_none(size)) fail(ATLED_E_ARGUMENT, "expected no size when mean or std is a tensor");
    same_rule(f, outs);
  } else {
    if (is_none(size)) fail(ATLED_E_ARGUMENT, "expected a size when mean and std are numbers");
    set_size(outs[0], dtype_or(f, 4, default_dtype()), size);
  }
  expect_float_dtype(outs[0].dtype, true);
  if (mean.tag == ATLED_COMPLEX_VALUE && !is_complex(outs[0].dtype))
    fail(ATLED_E_DTYPE, "expected a real mean for %s, got a complex one", dtype_name(outs[0].dtype));
}

void define_draws() {
  define({"rand(int[*] size, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "Numbers uniform in [0, 1): multiples of 2^-24 in float32, 2^-53 in float64, 2^-11 in float16, 2^-8 in "
          "bfloat16.\n\n"
          "dtype: floating (the default float) or complex, whose parts are drawn each, else DTypeError. What is drawn "
          "depends on the generator's seed (the default one's is set by manual_seed) and how much was drawn before, "
          "not on the number of threads.\n\n"
          ">>> at.rand(3, generator=at.Generator().manual_seed(0))\ntensor([0.3990, 0.8805, 0.7357])",
          shape<float_size_rule>, kFactory});
  define({"randn(int[*] size, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "Numbers from the normal distribution of mean 0 and variance 1 (complex: 1/2 in each part).\n\n"
          "dtype and generator: as for rand.\n\n"
          ">>> at.randn(3, generator=at.Generator().manual_seed(0))\n"
          "tensor([ 0.7379, -0.6884, -1.2860])",
          shape<float_size_rule>, kFactory});
  define({"rand_like(Tensor input, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "rand in input's shape, dtype and device unless given.\n\n"
          ">>> at.rand_like(at.zeros(1, 2), generator=at.Generator().manual_seed(0))\n"
          "tensor([[0.3990, 0.8805]])",
          shape<float_like_rule>, kFactory});
  define({"randn_like(Tensor input, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "randn in input's shape, dtype and device unless given.\n\n"
          ">>> at.randn_like(at.zeros(1, 2), generator=at.Generator().manual_seed(0))\n"
          "tensor([[ 0.7379, -0.6884]])",
          shape<float_like_rule>, kFactory});
  define(
      {"randint(int low=0, int[]? high=None, int[]? size=None, *, Generator? generator=None, dtype? dtype=None, "
       "device? device=None) -> Tensor",
       "Integers uniform in [low, high); randint(high, size) starts at 0.\n\n"
       "dtype: int64 unless given; floats round. InvalidValueError where low is not below high, or an integer dtype "
       "does not hold both low and high - 1.\n\n"
       ">>> at.randint(10, (5,), generator=at.Generator().manual_seed(0))\ntensor([3, 8, 7, 6, 9])\n"
       ">>> at.randint(-1, 2, (5,), generator=at.Generator().manual_seed(0))\n"
       "tensor([0, 1, 1, 0, 1])",
       shape<randint_rule>, kFactory});
  define(
      {"randint_like(Tensor input, int low=0, int? high=None, *, Generator? generator=None, dtype? dtype=None, "
       "device? device=None) -> Tensor",
       "randint in input's shape, dtype and device unless given; randint_like(input, high) starts at 0.\n\n"
       ">>> at.randint_like(at.zeros(5), 10, generator=at.Generator().manual_seed(0))\n"
       "tensor([3., 8., 7., 6., 9.])",
       shape<randint_like_rule>, kFactory});
  define({"randperm(int n, *, Generator? generator=None, dtype? dtype=None, device? device=None) -> Tensor",
          "The integers 0 to n - 1 in random order; int64 unless given.\n\n"
          "InvalidValueError where n is negative, or an integer dtype does not hold n - 1.\n\n"
          ">>> at.randperm(5, generator=at.Generator().manual_seed(0))\ntensor([4, 1, 3, 2, 0])",
          shape<randperm_rule>, kFactory});
  define({"bernoulli(Tensor input, float? p=None, *, Generator? generator=None) -> Tensor",
          "1 with the probability that each element of input says, or p, else 0.\n\n"
          "input: floating, in [0, 1] (InvalidValueError); with p, any dtype, and its values do not count. Returns "
          "input's shape and dtype.\n\n"
          ">>> at.bernoulli(at.tensor([0.0, 1.0, 0.5, 0.5]), generator=at.Generator().manual_seed(0))\n"
          "tensor([0., 1., 0., 0.])",
          shape<bernoulli_rule>, ATLED_OP_RANDOM});
  define({"multinomial(Tensor input, int num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor",
          "Indices drawn with the weights that each row of input holds.\n\n"
          "input: floating, (n,) or (m, n), not negative; the weights need not add up to 1. Without replacement, each "
          "index is drawn at most once. Returns int64 of shape (num_samples,) or (m, num_samples). InvalidValueError "
          "for bad weights, and for too few that are not zero.\n\n"
          ">>> at.multinomial(at.tensor([0.0, 3.0, 1.0]), 4, True, generator=at.Generator().manual_seed(0))\n"
          "tensor([1, 1, 2, 1])",
          shape<multinomial_rule>, ATLED_OP_RANDOM});
  define(
      {"poisson(Tensor input, Generator? generator=None) -> Tensor",
       "Numbers from the Poisson distributions whose rates input holds.\n\n"
       "input: floating, finite and not negative (InvalidValueError). Returns its shape and dtype, whole numbers.\n\n"
       ">>> at.poisson(at.tensor([0.0, 4.0, 100.0]), at.Generator().manual_seed(0))\n"
       "tensor([  0.,   2., 120.])",
       shape<poisson_rule>, ATLED_OP_RANDOM | ATLED_OP_FUNCTION});
  define({"binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor",
          "How many of count trials succeed, each with probability prob; the two broadcast.\n\n"
          "count: floating, whole numbers >= 0; prob: floating, in [0, 1] (InvalidValueError).\n\n"
          ">>> at.binomial(at.tensor([10.0]), at.tensor([0.0, 0.5, 1.0]), at.Generator().manual_seed(0))\n"
          "tensor([ 0.,  2., 10.])",
          shape<binomial_rule>, ATLED_OP_RANDOM | ATLED_OP_FUNCTION});
  define(
      {"normal(Tensor|Scalar mean=0.0, Tensor|Scalar std=1.0, int[]? size=None, *, Generator? generator=None, "
       "dtype? dtype=None, device? device=None) -> Tensor",
       "Normal numbers of the given means and deviations, which broadcast; with two numbers, size is needed.\n\n"
       "std: real, >= 0 (InvalidValueError; a tensor's values are looked at on the CPU alone). No gradient goes "
       "through "
       "a draw: that of mean + std * randn(...) would.\n\n"
       ">>> at.normal(at.tensor([0.0, 100.0]), 1.0, generator=at.Generator().manual_seed(0))\n"
       "tensor([ 0.7379, 99.3116])",
       shape<normal_rule>, kFactory});
}

void define_fills() {
  define({"uniform_(Tensor(a!) input, float from=0, float to=1, *, Generator? generator=None) -> Tensor",
          "Fills input with numbers uniform in [from, to), in place.\n\n"
          "input: floating. Returns input. InvalidValueError where from is above to, or the two are infinitely far "
          "apart.\n\n"
          ">>> at.zeros(3).uniform_(-1, 1, generator=at.Generator().manual_seed(0))\n"
          "tensor([-0.2019,  0.7610,  0.4714])",
          nullptr, ATLED_OP_RANDOM});
  define({"normal_(Tensor(a!) input, float mean=0, float std=1, *, Generator? generator=None) -> Tensor",
          "Fills input with normal numbers, in place.\n\n"
          "input: floating or complex; std >= 0. Returns input.\n\n"
          ">>> at.zeros(3).normal_(100, 2, generator=at.Generator().manual_seed(0))\n"
          "tensor([101.4759,  98.6231,  97.4280])",
          nullptr, ATLED_OP_RANDOM});
  define({"exponential_(Tensor(a!) input, float lambd=1, *, Generator? generator=None) -> Tensor",
          "Fills input with numbers from the exponential distribution of rate lambd > 0 (mean 1 / lambd), in place.\n\n"
          "input: floating. Returns input.\n\n"
          ">>> at.zeros(3).exponential_(0.5, generator=at.Generator().manual_seed(0))\n"
          "tensor([1.0185, 4.2492, 2.6614])",
          nullptr, ATLED_OP_RANDOM});
  define({"cauchy_(Tensor(a!) input, float median=0, float sigma=1, *, Generator? generator=None) -> Tensor",
          "Fills input with numbers from the Cauchy distribution of that median and half width sigma > 0, in place.\n\n"
          "input: floating. Returns input.\n\n"
          ">>> at.zeros(3).cauchy_(generator=at.Generator().manual_seed(0))\n"
          "tensor([-0.3282,  2.5378,  0.9140])",
          nullptr, ATLED_OP_RANDOM});
  define({"log_normal_(Tensor(a!) input, float mean=1, float std=2, *, Generator? generator=None) -> Tensor",
          "Fills input with numbers whose logarithms are normal, of that mean and deviation std > 0, in place.\n\n"
          "input: floating. Returns input.\n\n"
          ">>> at.zeros(3).log_normal_(0, 1, generator=at.Generator().manual_seed(0))\n"
          "tensor([2.0916, 0.5024, 0.2764])",
          nullptr, ATLED_OP_RANDOM});
  define({"geometric_(Tensor(a!) input, float p, *, Generator? generator=None) -> Tensor",
          "Fills input with the numbers of trials up to the first success, where each succeeds with probability p, in "
          "place.\n\n"
          "input: real; 0 < p < 1. Numbers beyond an integer dtype's largest become that. Returns input.\n\n"
          ">>> at.zeros(4).geometric_(0.25, generator=at.Generator().manual_seed(0))\n"
          "tensor([ 2.,  5., 13.,  5.])",
          nullptr, ATLED_OP_RANDOM});
  define({"random_(Tensor(a!) input, int from=0, int? to=None, *, Generator? generator=None) -> Tensor",
          "Fills input with integers uniform in [from, to), in place; without to, random_(to) starts at 0 and "
          "random_() takes all that input's dtype holds exactly.\n\n"
          "InvalidValueError where from is not below to, or an integer dtype does not hold them. Returns input.\n\n"
          ">>> at.zeros(4).random_(10, generator=at.Generator().manual_seed(0))\n"
          "tensor([3., 8., 7., 6.])",
          nullptr, ATLED_OP_RANDOM});
  define({"bernoulli_(Tensor(a!) input, Tensor|Scalar p=0.5, *, Generator? generator=None) -> Tensor",
          "Fills input with 1 with probability p (a number, or a tensor that broadcasts), else 0, in place. Returns "
          "input.\n\n"
          "p: in [0, 1] (InvalidValueError).\n\n"
          ">>> at.zeros(3).bernoulli_(at.tensor([0.0, 0.5, 1.0]), generator=at.Generator().manual_seed(0))\n"
          "tensor([0., 0., 1.])",
          nullptr, ATLED_OP_RANDOM});
}

void define_random() {
  define_draws();
  define_fills();
}

ATLED_OPS(define_random);

}  // namespace
}  // namespace atled::core
