// Devices as the calling thread's current one for a while, by the driver's stack of contexts: what was current before,
// a device without a context as well, is so again afterwards. cudaSetDevice would make the former device a context,
// hundreds of megabytes, only to go back to it. Any thread may call these; nothing is thrown, nor noted for
// cudaGetLastError.
#pragma once

#include <cuda_runtime_api.h>

namespace atled::cuda {

// Makes a device current, with a context if it has none yet; undone by leave_device() on the same thread.
cudaError_t enter_device(int device);
cudaError_t leave_device();

// A function of the driver's, in the form that it has had since CUDA 10.2 at the latest; false where there is none.
bool find_in_driver(const char* name, void** out);
template <class Function>
bool find_in_driver(const char* name, Function** out) {
  return find_in_driver(name, reinterpret_cast<void**>(out));
}

}  // namespace atled::cuda
