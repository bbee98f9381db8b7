// cuDNN, opened when it is first needed, and its descriptors. All functions throw Error; any thread may call them.
#pragma once

#include <utility>

#include "atled/cuda.hpp"
#include "cuda/cudnn.h"

namespace atled::nn::cudnn {

// DeviceError where cuDNN is not installed: where it was looked for and what to install.
const Functions& functions();

// An error saying what was tried: NotImplementedOpError for what cuDNN does not take, else DeviceError.
void expect(Status status, const char* tried);

// While it lives: what cuDNN sets up, loads and compiles is no part of a graph that is being captured.
class OutsideCaptures {
 public:
  OutsideCaptures() { cuda::expect(cudaThreadExchangeStreamCaptureMode(&mode_), "prepare cuDNN"); }
  ~OutsideCaptures() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  OutsideCaptures(const OutsideCaptures&) = delete;
  OutsideCaptures& operator=(const OutsideCaptures&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

// A handle of the current device.
Handle make_handle();

// Owns a descriptor of cuDNN's.
class Object {
 public:
  explicit Object(Kind kind);
  Object(Object&& other) noexcept : it_(std::exchange(other.it_, nullptr)) {}
  Object& operator=(Object&& other) noexcept {
    std::swap(it_, other.it_);
    return *this;
  }
  ~Object() {
    if (it_) functions().destroy(it_);
  }
  operator Descriptor() const { return it_; }

  void set(Attribute attribute, Type type, int64_t count, const void* values) {
    expect(functions().set(it_, attribute, type, count, values), "describe a convolution");
  }
  template <class T>
  void set(Attribute attribute, Type type, T value) {
    set(attribute, type, 1, &value);
  }
  void set(Attribute attribute, const Object& other) { set(attribute, kTypeDescriptor, 1, &other.it_); }
  // No more can be set then.
  void finalize(const char* tried) { expect(functions().finalize(it_), tried); }

 private:
  Descriptor it_ = nullptr;
};

}  // namespace atled::nn::cudnn
