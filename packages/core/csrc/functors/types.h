// Lists of types that a functor is made for.
#pragma once

#include <complex>
#include <cstdint>

namespace atled::core {

template <class... T>
struct Types {};

using Integers = Types<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>;
using Unsigned = Types<uint8_t, uint16_t, uint32_t, uint64_t>;
using Floats = Types<float, double>;
using Complexes = Types<std::complex<float>, std::complex<double>>;

}  // namespace atled::core
