// NVIDIA's libraries, opened when they are first needed. All functions throw Error; any thread may call them.
#pragma once

#include "atled/plugin.hpp"

namespace atled::core::cuda {

class Library {
 public:
  // The file, such as "libcublasLt.so.13": the one beside this library, or that the process has already, the system's,
  // one of NVIDIA's wheels' or a toolkit's. It stays open. DeviceError says where it was looked for, and what to do.
  explicit Library(const char* file, const char* mend = "pip install \"atled-core[cuda]\" brings it");

  void* handle() const { return handle_; }  // for dlsym

  // DeviceError where the library has no such function.
  template <class Function>
  void find(const char* name, Function** out) const {
    *out = reinterpret_cast<Function*>(find(name));
  }

 private:
  void* find(const char* name) const;
  const char* file_;
  void* handle_ = nullptr;
};

// Folders to look in after the system's, separated by colons: those of the wheels that the interpreter has.
void set_library_folders(const char* folders);

}  // namespace atled::core::cuda
