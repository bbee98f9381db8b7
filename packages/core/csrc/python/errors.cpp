#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "dispatch/error.h"
#include "python/python.h"

namespace atled::core::python {
namespace {

struct Row {
  int kind;
  const char* name;
  PyObject** base;
  const char* doc;
  PyObject** other_base = nullptr;
};

PyObject* base_class = nullptr;
PyObject* classes[ATLED_E_LINALG + 1] = {};

PyObject* class_of(int kind) {
  PyObject* c = kind > 0 && kind <= ATLED_E_LINALG ? classes[kind] : nullptr;
  return c ? c : PyExc_RuntimeError;
}

// Whether two names are one but for the underscores around them, which tell apart forms of a function.
bool same_function(std::string_view a, std::string_view b) {
  auto bare = [](std::string_view name) {
    const size_t first = name.find_first_not_of('_');
    return first == name.npos ? name : name.substr(first, name.find_last_not_of('_') + 1 - first);
  };
  return bare(a) == bare(b);
}

// Names the user's call; what failed inside of it is said in a note, for its arguments may have names of their own.
void raise_named(int kind, const char* op, const char* failed, const char* message) {
  const std::string function = called_function();
  const char* name = function.empty() ? op : function.c_str();
  PyErr_Format(class_of(kind), "%s: %s", name, message);
  if (same_function(failed, name)) return;
  PyObject *type = nullptr, *error = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  const std::string note = std::string("in ") + failed + ", which " + name + " calls";
  Ref done(error ? PyObject_CallMethod(error, "add_note", "s", note.c_str()) : nullptr);
  if (!done) PyErr_Clear();
  PyErr_Restore(type, error, traceback);
}

// AtledError.__init__: of "conv2d: expected ...", which Python code raises in conv2d, the name becomes that of the
// function that the user called.
PyObject* init_error(PyObject* self, PyObject* args, PyObject* kwargs) {
  PyObject* message = PyTuple_Size(args) == 1 ? PyTuple_GetItem(args, 0) : nullptr;
  const char* text = message && PyUnicode_Check(message) ? PyUnicode_AsUTF8AndSize(message, nullptr) : nullptr;
  const char* colon = text ? strstr(text, ": ") : nullptr;
  PyErr_Clear();
  Ref given = Ref::borrow(args);
  if (colon) {
    const std::string failed(text, colon), name = called_function(failed.c_str());
    if (!name.empty() && name != failed) given = Ref(Py_BuildValue("(s)", (name + colon).c_str()));
  }
  Ref next(PyObject_CallFunctionObjArgs(reinterpret_cast<PyObject*>(&PySuper_Type), base_class, self, nullptr));
  Ref init(given && next ? PyObject_GetAttrString(next.get(), "__init__") : nullptr);
  return init ? PyObject_Call(init.get(), given.get(), kwargs) : nullptr;
}

PyMethodDef init_method = {"__init__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(init_error)),
                           METH_VARARGS | METH_KEYWORDS, nullptr};

// An error that the Python kernel of an op `failed` made names the op that called it, as those of other kernels do.
void name_outer(PyObject* exception, const char* failed, const char* op) {
  if (!failed[0] || PyObject_IsInstance(exception, base_class) != 1) return;
  const Ref text(PyObject_Str(exception));
  const char* message = text ? PyUnicode_AsUTF8AndSize(text.get(), nullptr) : nullptr;
  const std::string start = std::string(failed) + ": ";
  if (message && strncmp(message, start.c_str(), start.size()) == 0) {
    const Ref args(Py_BuildValue("(s)", (std::string(op) + ": " + (message + start.size())).c_str()));
    if (args) PyObject_SetAttrString(exception, "args", args.get());
  }
  PyErr_Clear();
}

}  // namespace

bool init_errors(PyObject* module) {
  const Row rows[] = {
      {ATLED_E_RUNTIME, "OperationError", &PyExc_RuntimeError, "An operation failed."},
      {ATLED_E_SHAPE, "ShapeError", &PyExc_ValueError, "Shapes do not fit."},
      {ATLED_E_DTYPE, "DTypeError", &PyExc_TypeError, "A dtype does not fit."},
      {ATLED_E_DEVICE, "DeviceError", &PyExc_RuntimeError, "A device is missing or does not fit."},
      {ATLED_E_BOUNDS, "BoundsError", &PyExc_IndexError, "An index or axis is out of range."},
      {ATLED_E_ARGUMENT, "ArgumentError", &PyExc_TypeError, "Wrong names, number or types of arguments."},
      {ATLED_E_VALUE, "InvalidValueError", &PyExc_ValueError, "An argument has a value that makes no sense."},
      {ATLED_E_NOT_IMPLEMENTED, "NotImplementedOpError", &PyExc_NotImplementedError, "No op or kernel does this."},
      {ATLED_E_MEMORY, "OutOfMemoryError", &PyExc_MemoryError, "Memory is exhausted."},
      {ATLED_E_ABI, "ABIError", &PyExc_ImportError, "Two wheels were built for ABIs that do not go together."},
      {ATLED_E_PLUGIN, "PluginError", &PyExc_ImportError, "A plugin is missing, broken or in conflict with another."},
      {ATLED_E_AUTOGRAD, "AutogradError", &PyExc_RuntimeError, "Differentiation cannot go on."},
      {ATLED_E_FORMAT, "FormatError", &PyExc_ValueError, "A file does not have the format it should have."},
      {ATLED_E_LINALG, "LinAlgError", &PyExc_RuntimeError,
       "A matrix has no such factorization, inverse or solution: PyTorch's is a RuntimeError, NumPy's a ValueError.",
       &PyExc_ValueError},
  };
  base_class =
      PyErr_NewExceptionWithDoc("atled.core.AtledError", "What every error of atled also is.", nullptr, nullptr);
  if (!base_class || PyModule_AddObjectRef(module, "AtledError", base_class) < 0) return false;
  Ref init(PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(base_class), &init_method));
  if (!init || PyObject_SetAttrString(base_class, "__init__", init.get()) < 0) return false;
  for (const Row& row : rows) {
    Ref bases(row.other_base ? PyTuple_Pack(3, base_class, *row.base, *row.other_base)
                             : PyTuple_Pack(2, base_class, *row.base));
    char name[64];
    snprintf(name, sizeof name, "atled.core.%s", row.name);
    if (!bases) return false;
    classes[row.kind] = PyErr_NewExceptionWithDoc(name, row.doc, bases.get(), nullptr);
    if (!classes[row.kind] || PyModule_AddObjectRef(module, row.name, classes[row.kind]) < 0) return false;
  }
  return true;
}

PyObject* raise() {
  atled_error error;
  int kind = get_error(&error);
  if (kind == ATLED_OK) {
    PyErr_SetString(PyExc_SystemError, "atled: a function failed without setting an error");
    return nullptr;
  }
  if (PyObject* exception = static_cast<PyObject*>(take_python_error())) {
    name_outer(exception, inner_error(), error.op);
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception);
    Py_DECREF(exception);
  } else if (error.op[0]) {
    const char* inner = inner_error();
    raise_named(kind, error.op, inner[0] ? inner : error.op, error.message);
  } else {
    PyErr_SetString(class_of(kind), error.message);
  }
  clear_error();
  return nullptr;
}

PyObject* raise(int kind, const char* op, const char* format, ...) {
  char text[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  if (op && op[0])
    raise_named(kind, op, op, text);
  else
    PyErr_SetString(class_of(kind), text);
  return nullptr;
}

std::string type_name(PyObject* object) {
  Ref name(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__name__"));
  const char* text = name ? PyUnicode_AsUTF8AndSize(name.get(), nullptr) : nullptr;
  if (!text) return "object";
  if (strcmp(text, "Tensor") != 0 || is_tensor(object)) return text;
  // Another library's, which the name alone would not tell.
  Ref module(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__module__"));
  const char* home = module ? PyUnicode_AsUTF8AndSize(module.get(), nullptr) : nullptr;
  return home ? std::string(home) + "." + text : text;
}

int catch_exception() {
#if PY_VERSION_HEX >= 0x030C0000
  PyObject* exception = PyErr_GetRaisedException();
#else
  PyObject *type = nullptr, *exception = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &exception, &traceback);
  PyErr_NormalizeException(&type, &exception, &traceback);
  if (traceback && exception) PyException_SetTraceback(exception, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
#endif
  if (!exception) return set_error(ATLED_E_RUNTIME, "a Python call failed without an exception");
  return set_python_error(exception);
}

Ref import_function(const char* module, const char* name) {
  Ref package(PyImport_ImportModule(module));
  return package ? Ref(PyObject_GetAttrString(package.get(), name)) : Ref();
}

}  // namespace atled::core::python
