// The error state of this thread (see the contract in atled/abi.h). The functions never throw.
#pragma once

#include "atled/abi.h"

namespace atled::core {

int set_error(int32_t kind, const char* message) noexcept;
int set_python_error(void* exception) noexcept;  // takes the reference over
int get_error(atled_error* out) noexcept;
void clear_error() noexcept;
// Notes the op that was called. Of ops that call each other the last to be noted, the outermost, is the one the user
// knows; what was noted first is what failed.
void name_error(const char* op) noexcept;
// What failed inside of the op that was called, "" where that op itself did. Lives until the next error.
const char* inner_error() noexcept;
// Takes the Python exception out of the state; the caller owns it. NULL when there is none.
void* take_python_error() noexcept;

// Set by the Python binding; drops a reference, taking the GIL.
extern void (*drop_python_reference)(void* object);

}  // namespace atled::core
