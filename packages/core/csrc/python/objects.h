// The nanobind part of the binding.
#pragma once

#include <nanobind/nanobind.h>

namespace atled::core::python {

void bind_objects(nanobind::module_& m);

}  // namespace atled::core::python
