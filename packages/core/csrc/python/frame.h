// The frames of Python's stack, from the innermost outwards.
//
// Where Python is not used through its limited API, they are read as the interpreter keeps them: an object for a frame
// takes longer than all else that is done to note a line.
#pragma once

#include "python/python.h"

#if !defined(Py_LIMITED_API) && PY_VERSION_HEX < 0x030C0000
#define ATLED_READS_FRAMES
#define Py_BUILD_CORE
#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE
#elif defined(Py_LIMITED_API) && !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace atled::core::python {

#if defined(ATLED_READS_FRAMES)

class Frame {
 public:
  static Frame innermost() { return Frame(PyThreadState_Get()->cframe->current_frame); }
  Frame outer() const { return Frame(frame_->previous); }
  PyObject* code() const { return reinterpret_cast<PyObject*>(frame_->f_code); }  // borrowed
  int offset() const {                                                            // of the instruction, in bytes
    return _PyInterpreterFrame_LASTI(frame_) * static_cast<int>(sizeof(_Py_CODEUNIT));
  }
  Ref globals() const { return Ref::borrow(frame_->f_globals); }
  explicit operator bool() const { return frame_; }

 private:
  explicit Frame(_PyInterpreterFrame* frame) : frame_(frame) {
    while (frame_ && _PyFrame_IsIncomplete(frame_)) frame_ = frame_->previous;
  }
  _PyInterpreterFrame* frame_;
};

#else

#if defined(Py_LIMITED_API)

inline int attribute_offset(PyFrameObject* frame) {
  Ref number(PyObject_GetAttrString(reinterpret_cast<PyObject*>(frame), "f_lasti"));
  return number ? static_cast<int>(PyLong_AsLong(number.get())) : -1;
}

inline PyFrameObject* attribute_back(PyFrameObject* frame) {
  PyObject* back = PyObject_GetAttrString(reinterpret_cast<PyObject*>(frame), "f_back");
  if (back == Py_None) Py_CLEAR(back);
  return reinterpret_cast<PyFrameObject*>(back);
}

// Every CPython since 3.11 exports these, though its limited API does not declare them.
template <class F>
F exported(const char* name, F otherwise) {
#if defined(_WIN32)
  (void)name;
  return otherwise;
#else
  void* found = dlsym(RTLD_DEFAULT, name);
  return found ? reinterpret_cast<F>(found) : otherwise;
#endif
}

inline int offset_in(PyFrameObject* frame) {
  static const auto read = exported("PyFrame_GetLasti", attribute_offset);
  return read(frame);
}

inline PyFrameObject* back_of(PyFrameObject* frame) {
  static const auto read = exported("PyFrame_GetBack", attribute_back);
  return read(frame);
}

#else

inline int offset_in(PyFrameObject* frame) { return PyFrame_GetLasti(frame); }
inline PyFrameObject* back_of(PyFrameObject* frame) { return PyFrame_GetBack(frame); }

#endif

class Frame {
 public:
  static Frame innermost() { return Frame(Ref::borrow(reinterpret_cast<PyObject*>(PyEval_GetFrame()))); }
  Frame outer() const { return Frame(Ref(reinterpret_cast<PyObject*>(back_of(object())))); }
  PyObject* code() const { return code_.get(); }
  int offset() const { return offset_in(object()); }
  Ref globals() const { return Ref(PyObject_GetAttrString(frame_.get(), "f_globals")); }
  explicit operator bool() const { return static_cast<bool>(frame_); }

 private:
  explicit Frame(Ref frame) : frame_(std::move(frame)) {
    if (frame_) code_ = Ref(reinterpret_cast<PyObject*>(PyFrame_GetCode(object())));
  }
  PyFrameObject* object() const { return reinterpret_cast<PyFrameObject*>(frame_.get()); }
  Ref frame_, code_;
};

#endif

}  // namespace atled::core::python
