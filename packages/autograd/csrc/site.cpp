#include "site.h"

#include <cstring>

#include "python/frame.h"
#include "thread_state.h"

namespace atled::autograd {

namespace {

bool in_own_module(const Frame& frame) {
  const Ref globals = frame.globals();
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

// What follows must not disturb an error that is under way.
struct KeepError {
  KeepError() { PyErr_Fetch(&type, &error, &traceback); }
  ~KeepError() { PyErr_Restore(type, error, traceback); }
  PyObject *type, *error, *traceback;
};

bool is_own(const Frame& frame) {
  PyObject* code = frame.code();
  Known& known = place_of(code);
  if (known.code == code) return known.own;
  const KeepError keep;
  known.own = in_own_module(frame);
  PyErr_Clear();
  Py_INCREF(code);
  Py_XDECREF(std::exchange(known.code, code));
  return known.own;
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
  if (const Node* node = this_thread.gradient_of) {
    Py_XINCREF(node->site.code);
    return node->site;
  }
  for (Frame frame = Frame::innermost(); frame; frame = frame.outer())
    if (!is_own(frame)) {
      Py_INCREF(frame.code());
      return {frame.code(), frame.offset()};
    }
  return {};
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
  if (set_) outer_ = std::exchange(this_thread.gradient_of, node);
}
GradientOf::GradientOf() : set_(true), outer_(std::exchange(this_thread.gradient_of, nullptr)) {}
GradientOf::~GradientOf() {
  if (set_) this_thread.gradient_of = outer_;
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
