#include "site.h"

#include <cstring>

#include "python/python.h"
#if defined(Py_LIMITED_API) && !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace atled::autograd {

namespace {

thread_local const Node* gradient_of = nullptr;

#if defined(Py_LIMITED_API)

int attribute_offset(PyFrameObject* frame) {
  Ref number(PyObject_GetAttrString(reinterpret_cast<PyObject*>(frame), "f_lasti"));
  return number ? static_cast<int>(PyLong_AsLong(number.get())) : -1;
}

PyFrameObject* attribute_back(PyFrameObject* frame) {
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

int offset_in(PyFrameObject* frame) {
  static const auto read = exported("PyFrame_GetLasti", attribute_offset);
  return read(frame);
}

PyFrameObject* back_of(PyFrameObject* frame) {
  static const auto read = exported("PyFrame_GetBack", attribute_back);
  return read(frame);
}

// Where it cannot be asked, calls are not noted.
bool has_gil() {
  static const auto ask = exported("PyGILState_Check", +[] { return 0; });
  return ask() != 0;
}

#else

int offset_in(PyFrameObject* frame) { return PyFrame_GetLasti(frame); }
PyFrameObject* back_of(PyFrameObject* frame) { return PyFrame_GetBack(frame); }
bool has_gil() { return PyGILState_Check() != 0; }

#endif

bool in_own_module(PyFrameObject* frame) {
  Ref globals(PyObject_GetAttrString(reinterpret_cast<PyObject*>(frame), "f_globals"));
  PyObject* module = globals ? PyDict_GetItemString(globals.get(), "__name__") : nullptr;
  const char* name = module && PyUnicode_Check(module) ? PyUnicode_AsUTF8AndSize(module, nullptr) : nullptr;
  return name && strncmp(name, "atled.", 6) == 0;
}

// Whether codes are of atled's modules, for those met last; owned, so that no other comes to lie at their address.
struct Known {
  PyObject* code = nullptr;
  bool own = false;
};
Known table[256];

Known& place_of(PyObject* code) { return table[reinterpret_cast<uintptr_t>(code) >> 4 & 255]; }

bool is_own(PyObject* code, PyFrameObject* frame) {
  Known& known = place_of(code);
  if (known.code == code) return known.own;
  known.own = in_own_module(frame);
  Py_INCREF(code);
  Py_XDECREF(std::exchange(known.code, code));
  return known.own;
}

PyObject* code_of(PyFrameObject* frame) { return reinterpret_cast<PyObject*>(PyFrame_GetCode(frame)); }

// What follows must not disturb an error that is under way.
struct KeepError {
  KeepError() { PyErr_Fetch(&type, &error, &traceback); }
  ~KeepError() { PyErr_Restore(type, error, traceback); }
  PyObject *type, *error, *traceback;
};

Site user_frame(PyFrameObject* frame) {
  const KeepError keep;
  Ref at = Ref::borrow(reinterpret_cast<PyObject*>(frame));
  while (at) {
    PyFrameObject* f = reinterpret_cast<PyFrameObject*>(at.get());
    Ref code(code_of(f));
    if (!is_own(code.get(), f)) return {code.take(), offset_in(f)};
    at = Ref(reinterpret_cast<PyObject*>(back_of(f)));
  }
  PyErr_Clear();
  return {};
}

// The line of an instruction, from code.co_lines(): triples (first offset, end, line or None).
long line_of(const Site& site) {
  Ref lines(PyObject_CallMethod(site.code, "co_lines", nullptr));
  Ref rows(lines ? PySequence_List(lines.get()) : nullptr);
  for (Py_ssize_t i = 0; rows && i < PyList_Size(rows.get()); ++i) {
    PyObject* row = PyList_GetItem(rows.get(), i);
    if (PyLong_AsLong(PyTuple_GetItem(row, 1)) <= site.offset) continue;
    PyObject* line = PyTuple_GetItem(row, 2);
    return line == Py_None ? 0 : PyLong_AsLong(line);
  }
  return 0;
}

}  // namespace

Site here() noexcept {
  if (!has_gil()) return {};
  if (gradient_of) {
    Py_XINCREF(gradient_of->site.code);
    return gradient_of->site;
  }
  PyFrameObject* frame = PyEval_GetFrame();
  if (!frame) return {};
  PyObject* code = code_of(frame);
  const Known& known = place_of(code);
  if (known.code == code && !known.own) return {code, offset_in(frame)};
  Py_DECREF(code);
  return user_frame(frame);
}

void drop_site(Site& site) noexcept {
  PyObject* code = std::exchange(site.code, nullptr);
  if (!code) return;
  if (has_gil())
    Py_DECREF(code);
  else
    drop_python(code);
}

std::string site_text(const Site& site) {
  if (!site.code) return "";
  const KeepError keep;
  Ref file(PyObject_GetAttrString(site.code, "co_filename"));
  const char* path = file ? PyUnicode_AsUTF8AndSize(file.get(), nullptr) : nullptr;
  std::string text = std::string(path ? path : "?") + ":" + std::to_string(line_of(site));
  PyErr_Clear();
  return text;
}

std::string call_text(const Node* node) {
  const std::string site = site_text(node->site);
  return site.empty() ? node->name : std::string(node->name) + " at " + site;
}

std::string origin_text(atled_tensor* t) {
  if (const Node* node = history(t)) return "the result of " + call_text(node);
  const Meta* meta = meta_of(t);
  const std::string site = meta && meta->extra ? site_text(meta->extra->site) : "";
  return site.empty() ? "a leaf" : "a leaf since " + site;
}

GradientOf::GradientOf(const Node* node) : set_(node) {
  if (set_) outer_ = std::exchange(gradient_of, node);
}
GradientOf::GradientOf() : set_(true), outer_(std::exchange(gradient_of, nullptr)) {}
GradientOf::~GradientOf() {
  if (set_) gradient_of = outer_;
}

void rethrow_noted(const Node* node) {
  try {
    throw;
  } catch (const Raised&) {
    py_group->raise();
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    const std::string note = "in the gradient of " + call_text(node);
    Ref done(error ? PyObject_CallMethod(error, "add_note", "s", note.c_str()) : nullptr);
    if (!done) PyErr_Clear();
    PyErr_Restore(type, error, traceback);
    throw_python();
  }
}

}  // namespace atled::autograd
