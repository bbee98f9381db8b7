// Hearing of changes before they happen, for copies of what is needed later.
#pragma once

#include "node.h"

namespace atled::autograd {

// Calls of this thread that change tensors in place first call function(storage) for each, with the number that
// storage_key answers; None ends that. Answers the function before, owned.
PyObject* watch_mutation(PyObject* function);
void add_mutation_layer();

}  // namespace atled::autograd
