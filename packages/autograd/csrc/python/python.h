// What the C++ of this package needs of Python: references, the GIL, and errors in both directions.
#pragma once

#include "node.h"

namespace atled::autograd {

class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* owned) : object_(owned) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { Py_XDECREF(object_); }
  static Ref borrow(PyObject* object) {
    Py_XINCREF(object);
    return Ref(object);
  }
  PyObject* get() const { return object_; }
  PyObject* take() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_; }

 private:
  PyObject* object_ = nullptr;
};

// Holds the GIL; fine when this thread has it already.
struct Gil {
  Gil() : state(PyGILState_Ensure()) {}
  ~Gil() { PyGILState_Release(state); }
  PyGILState_STATE state;
};

// The Python exception that is set travels on as a C++ one.
[[noreturn]] inline void throw_python() { throw Raised{py_group->catch_()}; }

inline Ref need(PyObject* object) {
  if (!object) throw_python();
  return Ref(object);
}

// The Python face of a tensor; NULL becomes None.
inline Ref to_python(atled_tensor* t) {
  if (!t) return Ref::borrow(Py_None);
  void* object = nullptr;
  check(py_group->to_python(t, &object));
  return Ref(static_cast<PyObject*>(object));
}

inline Ref to_python(const atled_value& v) {
  void* object = nullptr;
  check(py_group->value_to_python(&v, &object));
  return Ref(static_cast<PyObject*>(object));
}

inline std::string type_name(PyObject* object) {
  Ref name(PyType_GetName(Py_TYPE(object)));
  const char* text = name ? PyUnicode_AsUTF8AndSize(name.get(), nullptr) : nullptr;
  return text ? text : "an object";
}

// Borrowed from the object.
inline atled_tensor* tensor_of(PyObject* object) {
  atled_tensor* t = nullptr;
  check(py_group->peek(object, &t));
  return t;
}
inline atled_tensor* tensor_or_null(PyObject* object) {
  atled_tensor* t = nullptr;
  if (object == Py_None || py_group->peek(object, &t) == ATLED_OK) return t;
  api.clear_error();
  return nullptr;
}

// Runs f for a function that Python calls; what f throws becomes the Python exception.
template <class F>
PyObject* python_call(F&& f) noexcept {
  PyObject* result = nullptr;
  if (guard([&] { result = f(); }) == ATLED_OK) return result;
  py_group->raise();
  return nullptr;
}

// Puts the functions of each file into the module.
extern PyMethodDef tensor_methods[], engine_methods[], rule_methods[], function_methods[], graph_methods[],
    mode_methods[], transform_methods[], autocast_methods[];
bool init_node_type(PyObject* module);
// The Python object of a node: always the same one while it lives.
Ref wrap_node(Node* node);
// "MulBackward".
std::string node_name(const Node* node);

}  // namespace atled::autograd
