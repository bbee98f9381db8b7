// All rules, for the devices to go through.
#pragma once

#include "adagrad.h"
#include "adam.h"
#include "rprop.h"
#include "sgd.h"

namespace atled::optim {

// Calls f(Tag<Rule>) for each.
template <class F>
void each_rule(const F& f) {
  f(Tag<Sgd>{});
  f(Tag<Adam>{});
  f(Tag<Adamax>{});
  f(Tag<NAdam>{});
  f(Tag<RAdam>{});
  f(Tag<Adagrad>{});
  f(Tag<Adadelta>{});
  f(Tag<RMSprop>{});
  f(Tag<Rprop>{});
  f(Tag<Asgd>{});
}

}  // namespace atled::optim
