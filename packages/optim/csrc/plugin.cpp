#include "lists.h"

#ifndef ATLED_VERSION
#define ATLED_VERSION "0.1.0"
#endif

namespace atled::optim {

namespace {

void init() {
  define_steps();
  define_gradients();
}

}  // namespace
}  // namespace atled::optim

ATLED_PLUGIN("atled-optim", ATLED_VERSION, atled::optim::init)
