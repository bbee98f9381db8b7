#include "atled/levels.hpp"

#include "cpu/levels.h"

namespace atled::core {

Level cpu_level() { return static_cast<Level>(atled::cpu_level()); }

}  // namespace atled::core
