#include "tensor/shared.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "dispatch/error.h"

namespace atled::core {
namespace {

struct Mapping {
  DLManagedTensorVersioned managed{};
  int64_t nbytes, shape, stride = 1;
  int descriptor;
};

void unmap(DLManagedTensorVersioned* self) {
  Mapping* mapping = static_cast<Mapping*>(self->manager_ctx);
  munmap(self->dl_tensor.data, static_cast<size_t>(mapping->nbytes));
  close(mapping->descriptor);
  delete mapping;
}

int system_error(const char* what) {
  char text[160];
  snprintf(text, sizeof text, "shared memory: %s: %s", what, strerror(errno));
  return set_error(ATLED_E_RUNTIME, text);
}

}  // namespace

int map_shared(int descriptor, int64_t nbytes, int dtype, TensorImpl** out) noexcept {
  if (nbytes <= 0) return set_error(ATLED_E_VALUE, "expected shared memory of at least one byte");
  Mapping* mapping = new (std::nothrow) Mapping;
  if (!mapping) return set_error(ATLED_E_MEMORY, "no memory for a mapping");
  mapping->nbytes = nbytes;
  mapping->shape = nbytes / itemsize(dtype);
  mapping->descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (mapping->descriptor < 0) {
    delete mapping;
    return system_error("its descriptor cannot be duplicated");
  }
  void* data = mmap(nullptr, static_cast<size_t>(nbytes), PROT_READ | PROT_WRITE, MAP_SHARED, mapping->descriptor, 0);
  if (data == MAP_FAILED) {
    close(mapping->descriptor);
    delete mapping;
    return system_error("it cannot be mapped");
  }
  DLManagedTensorVersioned& m = mapping->managed;
  m.version = DLPackVersion{DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  m.manager_ctx = mapping;
  m.deleter = unmap;
  m.dl_tensor = DLTensor{data,
                         DLDevice{kDLCPU, 0},
                         1,
                         DLDataType{dtype_infos[dtype].code, dtype_infos[dtype].bits, 1},
                         &mapping->shape,
                         &mapping->stride,
                         0};
  int status = make_foreign(&m, out);
  if (status != ATLED_OK) unmap(&m);
  return status;
}

bool find_shared(const atled_tensor* t, SharedPlace* out) noexcept {
  const Storage* storage = impl(t)->storage;
  if (!storage->foreign || storage->foreign->deleter != unmap) return false;
  const Mapping* mapping = static_cast<const Mapping*>(storage->foreign->manager_ctx);
  *out = SharedPlace{mapping->descriptor, mapping->nbytes,
                     static_cast<char*>(t->dl.data) - static_cast<char*>(storage->data)};
  return true;
}

}  // namespace atled::core
