#include "cuda/cudnn_library.h"

#include <dlfcn.h>

namespace atled::nn::cudnn {

namespace {

constexpr const char* kMend = "pip install \"atled-nn[cuda]\" brings it";

template <class Function>
void find(void* library, const char* name, Function** out) {
  void* function = dlsym(library, name);
  if (!function) fail(ATLED_E_DEVICE, "cuda: expected the function %s in %s, which has none", name, kFile);
  *out = reinterpret_cast<Function*>(function);
}

}  // namespace

const Functions& functions() {
  static const Functions all = [] {
    void* library = nullptr;
    check(cuda::cuda_group->open_library(kFile, kMend, &library));
    Functions f;
#define ATLED_CUDNN_FIND(result, member, name, parameters) find(library, #name, &f.member);
    ATLED_CUDNN_FUNCTIONS(ATLED_CUDNN_FIND)
#undef ATLED_CUDNN_FIND
    return f;
  }();
  return all;
}

void expect(Status status, const char* tried) {
  if (status == kSuccess) return;
  const Functions& f = functions();
  char why[512] = "";
  f.last_error(why, sizeof why);
  why[sizeof why - 1] = 0;
  // Its kinds of errors come in thousands.
  const int thousand = status / 1000 * 1000;
  const int kind = thousand == kBadParam || thousand == kNotSupported ? ATLED_E_NOT_IMPLEMENTED : ATLED_E_DEVICE;
  fail(kind, "cuda: cuDNN could not %s: %s (%d)%s%s", tried, f.error_string(status), status, *why ? ": " : "", why);
}

Handle make_handle() {
  const Functions& f = functions();
  const OutsideCaptures outside;
  Handle handle = nullptr;
  expect(f.create(&handle), "start");
  return handle;
}

Object::Object(Kind kind) { expect(functions().describe(kind, &it_), "describe a convolution"); }

}  // namespace atled::nn::cudnn
