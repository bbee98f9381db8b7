// Ops and kernels written in Python.
#pragma once

#include <nanobind/nanobind.h>

namespace atled::core::python {

void bind_python_ops(nanobind::module_& m);

}  // namespace atled::core::python
