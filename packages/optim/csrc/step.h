// Optimizers' steps as ops: op(params, grads, state..., numbers..., settings..., counts...) changes params and state in
// place and returns params. A rule (sgd.h, adam.h and the others) is all that one needs, on every device:
//
//   kOp, kSchema, kDoc  the op
//   kStates, kOptional  how many lists of state there are, and how many of those, the last ones, may be empty
//   kNumbers            how many lists with a number for each parameter there are: its steps, from 1 on, or what they
//                       come to
//   kCounts             how many lists, each optional, of float32 tensors end the arguments: the numbers on the device,
//                       in place of the others, so that a captured graph goes on counting
//   Rule(Settings)      reads the settings, in order
//   advance(numbers)    where there are counts: makes them those of the step that is to come
//   Update<C, kGiven>   the step of one element, computed in C; bit k of kGiven: optional list k is not empty
//     kOperands         how many tensors a parameter's step involves
//     Step              what differs from parameter to parameter
//     at(numbers)       the Step
//     operator()(step, x)  changes x: an element of the parameter, its gradient, and its state where that is given
#pragma once

#include <cmath>

#include "lists.h"

namespace atled::optim {

// Reads arguments one after the other.
class Settings {
 public:
  Settings(const atled_frame* f, int first) : frame_(f), next_(first) {}
  double number() { return arg_double(frame_, next_++); }
  bool flag() { return arg_bool(frame_, next_++); }

 private:
  const atled_frame* frame_;
  int next_;
};

// For rules whose only number is the step's.
struct Counting {
  ATLED_HOST_DEVICE void advance(double* numbers) const { numbers[0] += 1; }
};

// The arguments of such an op, checked.
template <class Rule>
class StepCall {
 public:
  static constexpr int kLists = 2 + Rule::kStates;
  static_assert(kLists <= kMaxStreams);

  const Rule rule;
  atled_value lists[kLists];  // params, grads and the state that is given, without gaps and all real
  int n = 0;
  Tensors params = lists[0];

  explicit StepCall(const atled_frame* f) : rule(Settings(f, kLists + Rule::kNumbers)), frame_(f) {
    Tensors given = check_params(f->args[0]);
    real_.reserve(kLists);
    for (int k = 0; k < kLists; ++k) {
      const int optional = k - (kLists - Rule::kOptional);
      if (optional >= 0 && f->args[k].n == 0) continue;
      if (k > 0) check_list(f->op->args[k].name, f->args[k], given);
      if (optional >= 0) given_ |= 1u << optional;
      lists[n++] = real_.emplace_back(f->args[k], view_as_real);
    }
    for (int k = kLists; k < kLists + Rule::kNumbers; ++k)
      check_numbers(f->op->args[k].name, f->args[k], given, counted());
    if (!counted()) return;
    for (int k = f->op->nargs - Rule::kCounts; k < f->op->nargs; ++k)
      check_counts(f->op->args[k].name, f->args[k], given);
  }

  // Whether the numbers are on the device.
  bool counted() const { return Rule::kCounts > 0 && !is_none(frame_->args[frame_->op->nargs - Rule::kCounts]); }
  // Number k of parameter i, on the device.
  float* count(uint32_t i, int k) const {
    return data<float>(entry(frame_->args[frame_->op->nargs - Rule::kCounts + k], i));
  }
  // The numbers of parameter i that were given.
  void numbers(uint32_t i, double* to) const {
    for (int k = 0; k < Rule::kNumbers; ++k) {
      const atled_value& list = frame_->args[kLists + k];
      to[k] = list.tag == ATLED_INTS ? static_cast<double>(list.u.ints[i]) : list.u.floats[i];
    }
  }
  // Calls f with the update in type C.
  template <class C, unsigned kGiven = 0, class F>
  void with_update(F&& f) const {
    if (kGiven == given_)
      f(typename Rule::template Update<C, kGiven>(rule));
    else if constexpr (kGiven + 1 < 1u << Rule::kOptional)
      with_update<C, kGiven + 1>(f);
  }

 private:
  const atled_frame* frame_;
  std::vector<RealList> real_;
  unsigned given_ = 0;
};

}  // namespace atled::optim
