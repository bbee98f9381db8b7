#include "rules.h"

namespace atled::optim {
namespace {

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
  return_list(f, call.params);
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
