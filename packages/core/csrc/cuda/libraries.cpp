#include "cuda/libraries.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

namespace atled::core::cuda {

namespace {

std::mutex mutex;
std::string wheels;  // what set_library_folders was given

// Up to the last slash, without it.
std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Where this library lies: site-packages/atled/core where it was installed from a wheel.
std::string own_folder() {
  Dl_info own{};
  const bool known = dladdr(reinterpret_cast<const void*>(&set_library_folders), &own) && own.dli_fname;
  return known ? folder_of(own.dli_fname) : ".";
}

std::vector<std::string> folders() {
  std::vector<std::string> list;
  {
    std::lock_guard<std::mutex> lock(mutex);
    for (size_t from = 0; from < wheels.size();) {
      const size_t to = std::min(wheels.find(':', from), wheels.size());
      if (to > from) list.push_back(wheels.substr(from, to - from));
      from = to + 1;
    }
  }
  list.push_back(folder_of(folder_of(own_folder())) + "/nvidia/cu13/lib");
  if (const char* home = std::getenv("CUDA_HOME")) list.push_back(std::string(home) + "/lib64");
  list.push_back("/usr/local/cuda/lib64");
  return list;
}

}  // namespace

void set_library_folders(const char* list) {
  std::lock_guard<std::mutex> lock(mutex);
  wheels = list ? list : "";
}

Library::Library(const char* file, const char* mend) : file_(file) {
  std::string tried, broken;
  auto open = [&](const std::string& path, const std::string& where) {
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_) return true;
    // A file that is there says more than all those that are not.
    const char* why = dlerror();
    if (why && broken.empty() && why != path + ": cannot open shared object file: No such file or directory")
      broken = why;
    tried += (tried.empty() ? "" : ", ") + where;
    return false;
  };
  // Without a folder: what the process has already, or the system's.
  if (open(own_folder() + "/" + file, own_folder()) || open(file, "the system's library path")) return;
  for (const std::string& folder : folders())
    if (open(folder + "/" + file, folder)) return;
  throw Error(ATLED_E_DEVICE, "cuda: expected " + std::string(file) + ", looked for it in " + tried +
                                  (broken.empty() ? std::string() : ", found one that cannot be loaded: " + broken) +
                                  "; " + mend);
}

void* Library::find(const char* name) const {
  void* function = dlsym(handle_, name);
  if (!function) fail(ATLED_E_DEVICE, "cuda: expected the function %s in %s, which has none", name, file_);
  return function;
}

}  // namespace atled::core::cuda
