#include <atled/levels.hpp>

#include "rules.h"

namespace atled::optim {
namespace {

// The loop over elements for each level of instructions; what it calls becomes part of it.
template <class T, class U>
inline void elements(const U& update, const typename U::Step& step, T* const* given, int64_t n) {
  constexpr int kOperands = U::kOperands;
  // Copies, which nothing that is written can be the same memory as: the loop is then vectorised.
  const U own = update;
  const typename U::Step own_step = step;
  T* at[kOperands];
  for (int k = 0; k < kOperands; ++k) at[k] = given[k];
  for (int64_t i = 0; i < n; ++i) {
    Compute<T> x[kOperands];
    for (int k = 0; k < kOperands; ++k) x[k] = Compute<T>(at[k][i]);
    own(own_step, x);
    for (int k = kOperands - 1; k >= 0; --k)
      if (k != 1) at[k][i] = T(x[k]);
  }
}
#if ATLED_X86_LEVELS
template <class T, class U>
ATLED_TARGET_AVX2 __attribute__((flatten)) void elements_avx2(const U& update, const typename U::Step& step,
                                                              T* const* given, int64_t n) {
  elements<T>(update, step, given, n);
}
#endif

// Has an update (step.h) change every element of the tensors of parameter i: entries of the lists, of which the
// gradient, at 1, stays as it is.
template <class T, class U>
void apply(const U& update, const typename U::Step& step, const atled_value* lists, uint32_t i) {
  atled_tensor* list[U::kOperands];
  for (int k = 0; k < U::kOperands; ++k) list[k] = entry(lists[k], i);
  auto run = elements<T, U>;
#if ATLED_X86_LEVELS
  if (cpu_level() >= kAvx2) run = elements_avx2<T, U>;
#endif
  walk<T>(list, U::kOperands, [&](T* const* given, int64_t n) { run(update, step, given, n); });
}

template <class Rule>
void step(atled_frame* f) {
  const StepCall<Rule> call(f);
  for (uint32_t i = 0; i < call.params.n; ++i) {
    double numbers[2] = {};
    call.numbers(i, numbers);
    if constexpr (Rule::kCounts > 0) {
      if (call.counted()) {
        for (int k = 0; k < Rule::kCounts; ++k) numbers[k] = *call.count(i, k);
        call.rule.advance(numbers);
        for (int k = 0; k < Rule::kCounts; ++k) numbers[k] = *call.count(i, k) = static_cast<float>(numbers[k]);
      }
    }
    visit_float(entry(call.params, i)->dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      call.template with_update<Compute<T>>(
          [&](const auto& update) { apply<T>(update, update.at(numbers), call.lists, i); });
    });
  }
  return_list(f, f->args[0]);
}

}  // namespace

void define_steps() {
  each_rule([](auto tag) {
    using Rule = typename decltype(tag)::type;
    const atled_op* op = define({Rule::kSchema, Rule::kDoc});
    add_kernel(op, ATLED_DEVICE_CPU, kernel<step<Rule>>);
    check(layer_group->skip(op, ~uint64_t{0}));  // an optimizer's step is not part of what is differentiated
  });
}

}  // namespace atled::optim
