// The error state of this thread (see the contract in atled/abi.h). The functions never throw.
#pragma once

#include "atled/abi.h"

namespace atled::core {

int set_error(int32_t kind, const char* message) noexcept;
int set_python_error(void* exception) noexcept;  // takes the reference over
int get_error(atled_error* out) noexcept;
void clear_error() noexcept;
// Notes the op that failed, unless one deeper inside was noted already.
void name_error(const char* op) noexcept;
// Takes the Python exception out of the state; the caller owns it. NULL when there is none.
void* take_python_error() noexcept;

// Set by the Python binding; drops a reference, taking the GIL.
extern void (*drop_python_reference)(void* object);

}  // namespace atled::core
