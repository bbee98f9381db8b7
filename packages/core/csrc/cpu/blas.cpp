#include "cpu/blas.h"

#include <mutex>
#include <string>

#include "cpu/parallel.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace atled::core {

namespace {

#if defined(_WIN32)

void* open_beside(const char* file) {
  HMODULE self = nullptr;
  char path[4096];
  if (!GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                          reinterpret_cast<const char*>(&open_beside), &self) ||
      !GetModuleFileNameA(self, path, sizeof path))
    return nullptr;
  const std::string own(path);
  return LoadLibraryExA((own.substr(0, own.rfind('\\') + 1) + file).c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH);
}

void* symbol(void* library, const char* name) {
  return library ? reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name)) : nullptr;
}

#else

void* open_beside(const char* file) {
  Dl_info self;
  if (!dladdr(reinterpret_cast<const void*>(&open_beside), &self) || !self.dli_fname) return nullptr;
  const std::string own(self.dli_fname);
  return dlopen((own.substr(0, own.rfind('/') + 1) + file).c_str(), RTLD_NOW | RTLD_LOCAL);
}

void* symbol(void* library, const char* name) { return library ? dlsym(library, name) : nullptr; }

#endif

void set_blas_threads(void* from, int n) {
  using SetThreads = void (*)(int);
  if (auto set = reinterpret_cast<SetThreads>(symbol(from, "scipy_openblas_set_num_threads"))) set(n);
}

void* library() {
#if defined(ATLED_OPENBLAS_FILE)
  static void* const opened = [] {
    void* fresh = open_beside(ATLED_OPENBLAS_FILE);
    set_blas_threads(fresh, 1);
    return fresh;
  }();
  return opened;
#else
  return nullptr;
#endif
}

template <class T>
Blas<T> find(const char* gemm, const char* gemv) {
  Blas<T> found{};
  found.gemm = reinterpret_cast<decltype(found.gemm)>(symbol(library(), gemm));
  found.gemv = reinterpret_cast<decltype(found.gemv)>(symbol(library(), gemv));
  return found;
}

std::mutex& raising() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void* blas_symbol(const char* name) { return symbol(library(), name); }

BlasThreads::BlasThreads(bool wanted) {
  if (!wanted || num_threads() == 1) return;
  raising().lock();
  raised_ = true;
  set_blas_threads(library(), num_threads());
}

BlasThreads::~BlasThreads() {
  if (!raised_) return;
  set_blas_threads(library(), 1);
  raising().unlock();
}

template <>
const Blas<float>* blas() {
  static const Blas<float> found = find<float>("scipy_cblas_sgemm", "scipy_cblas_sgemv");
  return found.gemm && found.gemv ? &found : nullptr;
}
template <>
const Blas<double>* blas() {
  static const Blas<double> found = find<double>("scipy_cblas_dgemm", "scipy_cblas_dgemv");
  return found.gemm && found.gemv ? &found : nullptr;
}
template <>
const Blas<std::complex<float>>* blas() {
  using T = std::complex<float>;
  static const Blas<T> found = find<T>("scipy_cblas_cgemm", "scipy_cblas_cgemv");
  return found.gemm && found.gemv ? &found : nullptr;
}
template <>
const Blas<std::complex<double>>* blas() {
  using T = std::complex<double>;
  static const Blas<T> found = find<T>("scipy_cblas_zgemm", "scipy_cblas_zgemv");
  return found.gemm && found.gemv ? &found : nullptr;
}

}  // namespace atled::core
