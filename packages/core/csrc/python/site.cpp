// Where in the user's program something is done: noted as a code object and an instruction, made a text when needed.
//
// Code objects that were noted stay for good, so that noting and forgetting one needs no count of references, and a
// thread that has let go of the GIL for an op can say where it did.
#include <cstdio>
#include <cstring>
#include <string>

#include "python/frame.h"
#include "python/python.h"

namespace atled::core::python {

namespace {

struct Gil {
  PyGILState_STATE state = PyGILState_Ensure();
  ~Gil() { PyGILState_Release(state); }
};

// What follows must not disturb an error that is under way.
class KeepError {
 public:
  KeepError() { PyErr_Fetch(&type_, &error_, &traceback_); }
  ~KeepError() {
    PyErr_Clear();
    PyErr_Restore(type_, error_, traceback_);
  }

 private:
  PyObject *type_, *error_, *traceback_;
};

bool in_own_module(const Frame& frame) {
  const Ref globals = frame.globals();
  PyObject* module = globals ? PyDict_GetItemString(globals.get(), "__name__") : nullptr;
  const char* name = module && PyUnicode_Check(module) ? PyUnicode_AsUTF8AndSize(module, nullptr) : nullptr;
  return name && strncmp(name, "atled.", 6) == 0;
}

// Whether codes are of atled's modules, for those met last; owned, so that no other comes to lie at their address, and
// the user's as long as the process.
struct Known {
  PyObject* code = nullptr;
  bool own = false;
};
Known table[256];

bool is_own(const Frame& frame) {
  PyObject* code = frame.code();
  Known& known = table[reinterpret_cast<uintptr_t>(code) >> 4 & 255];
  if (known.code == code) return known.own;
  const KeepError keep;
  const bool own = in_own_module(frame);
  PyObject* former = known.own ? known.code : nullptr;
  Py_INCREF(code);
  known = Known{code, own};
  Py_XDECREF(former);
  return own;
}

PyObject* code_of(const uint64_t* words) { return reinterpret_cast<PyObject*>(static_cast<uintptr_t>(words[0])); }

// The line of an instruction, from code.co_lines(): triples (first offset, end, line or None).
long line_of(PyObject* code, long offset) {
  Ref lines(PyObject_CallMethod(code, "co_lines", nullptr));
  Ref rows(lines ? PySequence_List(lines.get()) : nullptr);
  for (Py_ssize_t i = 0; rows && i < PyList_Size(rows.get()); ++i) {
    PyObject* row = PyList_GetItem(rows.get(), i);
    if (PyLong_AsLong(PyTuple_GetItem(row, 1)) <= offset) continue;
    PyObject* line = PyTuple_GetItem(row, 2);
    return line == Py_None ? 0 : PyLong_AsLong(line);
  }
  return 0;
}

struct Words {
  uint64_t code = 0, offset = 0;
};

Words here() {
  for (Frame frame = Frame::innermost(); frame; frame = frame.outer())
    if (!is_own(frame)) return {reinterpret_cast<uintptr_t>(frame.code()), static_cast<uint64_t>(frame.offset())};
  return {};
}

// Packages whose functions call what they are given, which is what the user means.
bool calls_for_user(const char* module) {
  for (const char* package : {"atled.autograd.", "atled.testing."})
    if (strncmp(module, package, strlen(package)) == 0) return true;
  return false;
}

// Whether the public module that a private one is part of has something of that name: atled.core for atled.core._ops.
bool is_public(const std::string& module, const char* name) {
  Ref path(PyUnicode_FromString(module.substr(0, module.find("._")).c_str()));
  Ref found(path ? PyImport_GetModule(path.get()) : nullptr);
  PyObject* names = found && PyModule_Check(found.get()) ? PyModule_GetDict(found.get()) : nullptr;
  return names && PyDict_GetItemString(names, name);
}

// Whether it is a method of Tensor: those in Python are functions of core's modules.
bool is_method(const std::string& module, const char* name) {
  return module.compare(0, 11, "atled.core.") == 0 &&
         PyObject_HasAttrString(reinterpret_cast<PyObject*>(tensor_type), name);
}

bool in_use = false;         // somebody takes sites
thread_local Words outside;  // where this thread let go of the GIL

}  // namespace

// From the error outwards, up to the user's own function or to a method, such as a layer's.
std::string called_function(const char* failed) {
  std::string name;
  bool known = !failed;
  for (Frame frame = Frame::innermost(); frame && is_own(frame); frame = frame.outer()) {
    const Ref globals = frame.globals(), qualified(PyObject_GetAttrString(frame.code(), "co_qualname"));
    PyObject* module = globals ? PyDict_GetItemString(globals.get(), "__name__") : nullptr;
    const char* home = module ? PyUnicode_AsUTF8AndSize(module, nullptr) : nullptr;
    const char* text = home && qualified ? PyUnicode_AsUTF8AndSize(qualified.get(), nullptr) : nullptr;
    if (!text) break;
    if (calls_for_user(home) || strstr(text, "<locals>")) continue;
    if (strchr(text, '.')) break;
    known = known || is_public(home, failed);
    if (text[0] != '_' && (is_public(home, text) || is_method(home, text))) name = text;
  }
  PyErr_Clear();
  return known ? name : "";
}

void* release_the_gil() {
  if (!has_gil()) return nullptr;
  if (in_use) outside = here();
  return PyEval_SaveThread();
}

void acquire_the_gil(void* token) {
  PyEval_RestoreThread(static_cast<PyThreadState*>(token));
  outside = {};
}

int take_site(uint64_t* words) {
  Words taken;
  if (Py_IsInitialized()) {
    const bool inside = has_gil();
    taken = inside ? here() : outside;
    in_use = in_use || inside;
  }
  words[0] = taken.code;
  words[1] = taken.offset;
  return ATLED_OK;
}

int release_site(const uint64_t*) { return ATLED_OK; }

int site_text(const uint64_t* words, char* text, size_t size) {
  text[0] = 0;
  if (!words[0] || !Py_IsInitialized()) return ATLED_OK;
  const Gil gil;
  const KeepError keep;
  Ref file(PyObject_GetAttrString(code_of(words), "co_filename"));
  const char* path = file ? PyUnicode_AsUTF8AndSize(file.get(), nullptr) : nullptr;
  snprintf(text, size, "%s:%ld", path ? path : "?", line_of(code_of(words), static_cast<long>(words[1])));
  return ATLED_OK;
}

int call_site_text(char* text, size_t size) {
  uint64_t words[2];
  take_site(words);
  site_text(words, text, size);
  return release_site(words);
}

}  // namespace atled::core::python
