// The one callable behind every op: a C type that parses arguments by schema into boxed values and calls the
// dispatcher.
//
// Beside the schema's own arguments it takes out= (structured ops and composites), requires_grad= (factories), and the
// array API's names for PyTorch's (axis for dim). An argument of a foreign type with __atled_call__(op, args, kwargs)
// takes the call over.
#include <Python.h>
#include <structmember.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_map>

#include "dispatch/dispatch.h"
#include "dispatch/error.h"
#include "dispatch/registry.h"
#include "python/python.h"

namespace atled::core::python {
namespace {

struct PyOp {
  PyObject_HEAD vectorcallfunc vectorcall;
  const Op* op;
  uint32_t flags;
  uint32_t positional;  // how many arguments may be given by position
  PyObject* name;       // interned
  PyObject** keys;      // interned argument names
  PyObject* results;    // the struct sequence type of several named results, made at first use
};

PyTypeObject* op_type = nullptr;
PyObject *key_out, *key_requires_grad, *key_pin_memory, *key_layout, *key_memory_format, *key_atled_call;

bool same_name(PyObject* a, PyObject* b) { return a == b || PyUnicode_Compare(a, b) == 0; }

// Other names of arguments: the array API's (and NumPy's) for those that the schemas have from PyTorch, and PyTorch's
// own where its documentation, whose names the schemas have, and its parser differ (linalg.eig(A) and eig(input=...)).
struct Synonym {
  const char *name, *argument;
};
constexpr Synonym kSynonyms[] = {{"axis", "dim"},   {"axis", "dims"},        {"keepdims", "keepdim"},
                                 {"axes", "dims"},  {"axes", "dim"},         {"shape", "size"},
                                 {"size", "shape"}, {"k", "diagonal"},       {"num", "steps"},
                                 {"stop", "end"},   {"shift", "shifts"},     {"axis0", "dim0"},
                                 {"axis1", "dim1"}, {"x", "input"},          {"a", "input"},
                                 {"x1", "input"},   {"x2", "other"},         {"input", "A"},
                                 {"input", "B"},    {"input", "L"},          {"input", "x"},
                                 {"input", "b"},    {"input2", "L"},         {"input2", "tau"},
                                 {"b", "B"},        {"other", "B"},          {"rcond", "rtol"},
                                 {"tol", "atol"},   {"element", "elements"}, {"test_element", "test_elements"}};

int find_argument(const PyOp* self, PyObject* key) {
  const int n = self->op->nargs;
  for (int i = 0; i < n; ++i)
    if (self->keys[i] == key) return i;
  for (int i = 0; i < n; ++i)
    if (PyUnicode_Compare(self->keys[i], key) == 0) return i;
  const char* text = PyUnicode_AsUTF8AndSize(key, nullptr);
  if (!text) {
    PyErr_Clear();
    return -1;
  }
  for (const Synonym& synonym : kSynonyms)
    if (strcmp(synonym.name, text) == 0)
      for (int i = 0; i < n; ++i)
        if (strcmp(self->op->args[i].name, synonym.argument) == 0) return i;
  return -1;
}

// layout=at.strided, the only one there is, or None.
bool expect_strided(const char* op, PyObject* layout) {
  if (layout == Py_None) return true;
  Ref strided = import_function("atled.core", "strided");
  if (!strided || layout == strided.get()) return strided.get() != nullptr;
  raise(ATLED_E_ARGUMENT, op, "expected layout to be at.strided, got %s", type_name(layout).c_str());
  return false;
}

std::string signature(const PyOp* self) {
  std::string text = self->op->schema_text;
  size_t colons = text.find("::");
  return colons == std::string::npos ? text : text.substr(colons + 2);
}

PyObject* wrong_type(const PyOp* self, int i, PyObject* object) {
  const atled_arg& arg = self->op->args[i];
  std::string type = arg.type;
  const char* mend = "";
  Kind kind = self->op->infos[static_cast<size_t>(i)].kind;
  if ((kind == Kind::kTensor || kind == Kind::kTensorOrScalar) && PySequence_Check(object) && !PyUnicode_Check(object))
    mend = "; make a tensor of it with at.asarray";
  return raise(ATLED_E_ARGUMENT, self->op->name, "expected %s to be %s, got %s%s", arg.name, type.c_str(),
               type_name(object).c_str(), mend);
}

// A foreign object among the arguments that handles the call itself; sets *handled.
PyObject* foreign_call(PyOp* self, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames, bool* handled) {
  const Py_ssize_t total = nargs + (kwnames ? PyTuple_Size(kwnames) : 0);
  auto handler = [](PyObject* o) -> PyObject* {
    if (is_tensor(o) || PyLong_Check(o) || PyFloat_Check(o) || PyUnicode_Check(o)) return nullptr;
    PyObject* found = PyObject_GetAttr(o, key_atled_call);
    if (!found) PyErr_Clear();
    return found;
  };
  Ref found;
  for (Py_ssize_t i = 0; i < total && !found; ++i) {
    found = Ref(handler(args[i]));
    if (!found && (PyList_Check(args[i]) || PyTuple_Check(args[i]))) {
      const Py_ssize_t n = PySequence_Size(args[i]);
      for (Py_ssize_t k = 0; k < n && !found; ++k) {
        Ref o(PySequence_GetItem(args[i], k));
        if (o) found = Ref(handler(o.get()));
      }
    }
  }
  if (!found) return nullptr;
  *handled = true;
  Ref list(PyTuple_New(nargs)), named(PyDict_New());
  if (!list || !named) return nullptr;
  for (Py_ssize_t i = 0; i < nargs; ++i) PyTuple_SetItem(list.get(), i, Py_NewRef(args[i]));
  for (Py_ssize_t i = nargs; i < total; ++i)
    if (PyDict_SetItem(named.get(), PyTuple_GetItem(kwnames, i - nargs), args[i]) < 0) return nullptr;
  return PyObject_CallFunctionObjArgs(found.get(), self, list.get(), named.get(), nullptr);
}

PyObject* result_type(PyOp* self) {
  if (self->results) return self->results;
  const Op* op = self->op;
  std::string name = std::string("atled.core.") + op->name + "_result";
  std::vector<PyStructSequence_Field> fields;
  for (int i = 0; i < op->nouts; ++i) fields.push_back({op->out_names[i], nullptr});
  fields.push_back({nullptr, nullptr});
  // CPython keeps the pointer to the name.
  PyStructSequence_Desc desc{strdup(name.c_str()), op->doc, fields.data(), op->nouts};
  self->results = reinterpret_cast<PyObject*>(PyStructSequence_NewType(&desc));
  return self->results;
}

// Takes the outputs over.
PyObject* results(PyOp* self, atled_value* outs) {
  const Op* op = self->op;
  auto one = [](atled_value& v) -> PyObject* {
    if (v.tag == ATLED_TENSOR) {
      atled_tensor* t = v.u.tensor;
      v = none();
      return wrap(t);
    }
    PyObject* object = to_python(v);
    release_values(&v, 1);
    return object;
  };
  if (op->nouts == 1) return one(outs[0]);
  if (op->nouts == 0) return Py_NewRef(Py_None);
  PyObject* tuple = nullptr;
  const bool named = op->out_names[0][0] != 0;
  if (named) {
    PyObject* type = result_type(self);
    tuple = type ? PyStructSequence_New(reinterpret_cast<PyTypeObject*>(type)) : nullptr;
  } else {
    tuple = PyTuple_New(op->nouts);
  }
  if (!tuple) {
    release_values(outs, op->nouts);
    return nullptr;
  }
  for (int i = 0; i < op->nouts; ++i) {
    PyObject* object = one(outs[i]);
    if (!object) {
      release_values(outs, op->nouts);
      Py_DECREF(tuple);
      return nullptr;
    }
    if (named)
      PyStructSequence_SetItem(tuple, i, object);
    else
      PyTuple_SetItem(tuple, i, object);
  }
  return tuple;
}

// Puts the tensors of out= into outs.
bool given_outputs(const PyOp* self, PyObject* out, atled_value* outs) {
  const Op* op = self->op;
  if (!op->takes_out()) {
    raise(ATLED_E_ARGUMENT, op->name, "has no out= form");
    return false;
  }
  if (op->nouts == 1 && is_tensor(out)) {
    outs[0] = value(tensor_of(out));
    return true;
  }
  if (PyTuple_Check(out) && PyTuple_Size(out) == op->nouts) {
    int i = 0;
    for (; i < op->nouts && is_tensor(PyTuple_GetItem(out, i)); ++i)
      outs[i] = value(tensor_of(PyTuple_GetItem(out, i)));
    if (i == op->nouts) return true;
  }
  raise(ATLED_E_ARGUMENT, op->name,
        op->nouts == 1 ? "expected out to be a Tensor, got %s" : "expected out to be a tuple of %2$d Tensors, got %1$s",
        type_name(out).c_str(), op->nouts);
  return false;
}

// What a method of result answers, where it is wanted, else result, which is given away.
PyObject* with(PyObject* result, PyObject* wanted, const char* method) {
  const int truth = result ? PyObject_IsTrue(wanted) : 0;
  if (truth == 0) return result;
  const Ref plain(result);
  return truth > 0 ? PyObject_CallMethod(result, method, nullptr) : nullptr;
}

const char* const kContiguous = "core::contiguous";

bool is_number(PyObject* object) { return PyLong_Check(object) || PyFloat_Check(object) || PyComplex_Check(object); }

PyObject* borrowed(const atled_value& tensor) { return wrap(Tensor::borrow(tensor.u.tensor).release()); }

PyObject* op_call(PyObject* callable, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  PyOp* self = reinterpret_cast<PyOp*>(callable);
  const Op* op = self->op;
  const int n = op->nargs;
  const Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
  atled_value values[32], outs[8];
  Scratch scratch;
  uint32_t flags = self->flags;
  PyObject *out = nullptr, *requires_grad = nullptr, *pin_memory = nullptr, *memory_format = nullptr;
  uint32_t seen = 0;  // a bit per argument

  auto take = [&](int i, PyObject* object) -> int {
    const ArgInfo& info = op->infos[static_cast<size_t>(i)];
    int status = convert(info, object, &values[i], scratch);
    if (status == 0 && info.kind == Kind::kTensorOrScalar && PyLong_Check(object))
      status = to_wide(op->name, object, args, nargs + (kwnames ? PyTuple_Size(kwnames) : 0), &values[i], scratch);
    seen |= 1u << i;
    return status;
  };
  // With a foreign object among the arguments, that one handles the call; else the error says what was wrong.
  auto failed = [&](int status, int i, PyObject* object) -> PyObject* {
    if (status == kTooWide)
      return raise(ATLED_E_VALUE, op->name, "expected %s to be an integer that fits 64 bits, got a larger one",
                   op->args[i].name);
    if (status < 0) return nullptr;
    // PyTorch's x.copy_(3).
    if (i == 1 && op->qualified == "core::copy_" && nargs && is_number(object))
      return PyObject_CallMethod(args[0], "fill_", "O", object);
    bool handled = false;
    PyObject* result = foreign_call(self, args, nargs, kwnames, &handled);
    return handled ? result : wrong_type(self, i, object);
  };

  Py_ssize_t given = nargs;
  for (Py_ssize_t i = 0; i < given; ++i) {
    if (i >= static_cast<Py_ssize_t>(self->positional)) {
      return raise(ATLED_E_ARGUMENT, op->name, "expected at most %u positional arguments, got %zd; its signature is %s",
                   self->positional, nargs, signature(self).c_str());
    }
    const ArgInfo& info = op->infos[static_cast<size_t>(i)];
    // Loose tensors, meshgrid(x, y), and loose integers, x.reshape(2, 3): all that are left belong to the list.
    if (info.variadic && info.kind == Kind::kTensorList && is_tensor(args[i])) {
      const size_t count = static_cast<size_t>(given - i);
      auto items = reinterpret_cast<atled_tensor**>(scratch.take(count));
      if (!items) return nullptr;
      for (size_t k = 0; k < count; ++k) {
        PyObject* object = args[i + static_cast<Py_ssize_t>(k)];
        if (!is_tensor(object)) return failed(0, static_cast<int>(i), object);
        items[k] = tensor_of(object);
      }
      values[i] = tensors_value(items, count);
      seen |= 1u << i;
      break;
    }
    if (info.variadic && info.kind == Kind::kInts && (i + 1 < given || PyLong_Check(args[i])) &&
        PyIndex_Check(args[i]) && !PyTuple_Check(args[i])) {
      const size_t count = static_cast<size_t>(given - i);
      int64_t* items = scratch.take(count);
      if (!items) return nullptr;
      for (size_t k = 0; k < count; ++k) {
        atled_value v;
        ArgInfo integer{};
        integer.kind = Kind::kInt;
        int status = convert(integer, args[i + static_cast<Py_ssize_t>(k)], &v, scratch);
        if (status <= 0) return failed(status, static_cast<int>(i), args[i + static_cast<Py_ssize_t>(k)]);
        items[k] = v.u.i;
      }
      values[i] = ints_value(items, count);
      seen |= 1u << i;
      break;
    }
    int status = take(static_cast<int>(i), args[i]);
    // PyTorch's x.std(False): a bool in the place of dim is for the `bool?` behind it.
    if (status == 0 && i + 1 == given && PyBool_Check(args[i]) && i + 1 < n) {
      const ArgInfo& next = op->infos[static_cast<size_t>(i + 1)];
      if (next.kind == Kind::kBool && next.optional && (op->args[i].flags & ATLED_ARG_DEFAULT)) {
        values[i] = op->args[i].fallback;
        status = take(static_cast<int>(i + 1), args[i]);
      }
    }
    if (status <= 0) return failed(status, static_cast<int>(i), args[i]);
  }
  if (kwnames) {
    const Py_ssize_t count = PyTuple_Size(kwnames);
    for (Py_ssize_t k = 0; k < count; ++k) {
      PyObject *key = PyTuple_GetItem(kwnames, k), *object = args[nargs + k];
      int i = find_argument(self, key);
      if (i < 0) {
        if (same_name(key, key_out) && !(flags & ATLED_CALL_INPLACE)) {
          out = object == Py_None ? nullptr : object;
          continue;
        }
        if (same_name(key, key_requires_grad) && (op->traits & ATLED_OP_FACTORY)) {
          requires_grad = object;
          continue;
        }
        if (same_name(key, key_pin_memory) && (op->traits & ATLED_OP_FACTORY)) {
          pin_memory = object;
          continue;
        }
        if (same_name(key, key_layout) && (op->traits & ATLED_OP_FACTORY)) {
          if (!expect_strided(op->name, object)) return nullptr;
          continue;
        }
        if (same_name(key, key_memory_format) && (op->traits & ATLED_OP_FACTORY || op->qualified == kContiguous)) {
          memory_format = object == Py_None ? nullptr : object;
          continue;
        }
        return raise(ATLED_E_ARGUMENT, op->name, "got an unexpected argument %s; its signature is %s",
                     PyUnicode_AsUTF8AndSize(key, nullptr), signature(self).c_str());
      }
      if (seen & (1u << i))
        return raise(ATLED_E_ARGUMENT, op->name, "got several values for argument %s", op->args[i].name);
      int status = take(i, object);
      if (status <= 0) return failed(status, i, object);
    }
  }
  if (seen != (n == 32 ? ~0u : (1u << n) - 1)) {
    for (int i = 0; i < n; ++i) {
      if (seen & (1u << i)) continue;
      if (!(op->args[i].flags & ATLED_ARG_DEFAULT)) {
        if (op->infos[static_cast<size_t>(i)].variadic) {
          values[i] = ints_value(scratch.words, 0);
          continue;
        }
        return raise(ATLED_E_ARGUMENT, op->name, "missing argument %s; its signature is %s", op->args[i].name,
                     signature(self).c_str());
      }
      values[i] = op->args[i].fallback;
    }
  }
  if (out) {
    if (!given_outputs(self, out, outs)) return nullptr;
    flags |= ATLED_CALL_OUT;
  } else if (flags & ATLED_CALL_INPLACE) {
    if (values[0].tag != ATLED_TENSOR) return wrong_type(self, 0, args[0]);
    outs[0] = values[0];
  }
  if (memory_format && op->qualified == kContiguous) return in_format(borrowed(values[0]), memory_format);
  if (call(op, flags, values, outs) != ATLED_OK) return raise();
  PyObject* result = results(self, outs);
  if (memory_format) result = in_format(result, memory_format);
  if (pin_memory) result = with(result, pin_memory, "pin_memory");
  return requires_grad ? with(result, requires_grad, "requires_grad_") : result;
}

void op_dealloc(PyObject* o) {
  PyOp* self = reinterpret_cast<PyOp*>(o);
  PyTypeObject* type = Py_TYPE(o);
  Py_XDECREF(self->name);
  Py_XDECREF(self->results);
  for (int i = 0; i < self->op->nargs; ++i) Py_XDECREF(self->keys[i]);
  delete[] self->keys;
  PyObject_Free(o);
  Py_DECREF(type);
}

PyObject* op_repr(PyObject* o) {
  PyOp* self = reinterpret_cast<PyOp*>(o);
  return PyUnicode_FromFormat("<op %s::%U>", self->op->ns, self->name);
}

PyObject* op_descr_get(PyObject* self, PyObject* object, PyObject*) {
  if (!object || object == Py_None) return Py_NewRef(self);
  return bound_method(self, object);
}

const Op* op_of(PyObject* o) { return reinterpret_cast<PyOp*>(o)->op; }

PyObject* get_name(PyObject* o, void*) { return Py_NewRef(reinterpret_cast<PyOp*>(o)->name); }
PyObject* get_ns(PyObject* o, void*) { return PyUnicode_FromString(op_of(o)->ns); }
PyObject* get_qualified(PyObject* o, void*) { return PyUnicode_FromString(op_of(o)->qualified.c_str()); }
PyObject* get_module(PyObject* o, void*) {
  const Op* op = op_of(o);
  return op->ns_text == "core" ? PyUnicode_FromString("atled.core") : PyUnicode_FromFormat("atled.core.ops.%s", op->ns);
}
PyObject* get_schema(PyObject* o, void*) { return PyUnicode_FromString(op_of(o)->schema); }
PyObject* get_summary(PyObject* o, void*) { return PyUnicode_FromString(op_of(o)->doc); }
PyObject* get_id(PyObject* o, void*) { return PyLong_FromUnsignedLong(op_of(o)->id); }

PyObject* get_args(PyObject* o, void*) {
  const Op* op = op_of(o);
  Ref list(PyTuple_New(op->nargs));
  for (int i = 0; list && i < op->nargs; ++i) {
    const atled_arg& a = op->args[i];
    Ref fallback((a.flags & ATLED_ARG_DEFAULT) ? to_python(a.fallback) : Py_NewRef(Py_Ellipsis));
    if (!fallback) return nullptr;
    PyObject* row = Py_BuildValue("(ssOI)", a.name, a.type, fallback.get(), a.flags);
    if (!row) return nullptr;
    PyTuple_SetItem(list.get(), i, row);
  }
  return list.release();
}

PyObject* get_results(PyObject* o, void*) {
  const Op* op = op_of(o);
  Ref list(PyTuple_New(op->nouts));
  for (int i = 0; list && i < op->nouts; ++i)
    PyTuple_SetItem(list.get(), i,
                    Py_BuildValue("(ss)", op->out_names[i], op->out_types[static_cast<size_t>(i)].c_str()));
  return list.release();
}

PyObject* get_aliases(PyObject* o, void*) {
  const Op* op = op_of(o);
  Ref list(PyTuple_New(static_cast<Py_ssize_t>(op->aliases.size())));
  for (size_t i = 0; list && i < op->aliases.size(); ++i)
    PyTuple_SetItem(list.get(), static_cast<Py_ssize_t>(i), PyUnicode_FromString(op->aliases[i].c_str()));
  return list.release();
}

PyObject* get_synonyms(PyObject* o, void*) {
  const Op* op = op_of(o);
  Ref names(PyDict_New());
  auto has = [&](const char* name) {
    return std::any_of(op->args, op->args + op->nargs, [&](const atled_arg& a) { return strcmp(a.name, name) == 0; });
  };
  for (const Synonym& synonym : kSynonyms) {
    if (!names || !has(synonym.argument) || has(synonym.name)) continue;
    Ref name(PyUnicode_FromString(synonym.name)), argument(PyUnicode_FromString(synonym.argument));
    if (!name || !argument) return nullptr;
    const int known = PyDict_Contains(names.get(), name.get());
    if (known < 0 || (!known && PyDict_SetItem(names.get(), name.get(), argument.get()) < 0)) return nullptr;
  }
  return names.release();
}

PyObject* get_traits(PyObject* o, void*) {
  constexpr struct {
    uint32_t bit;
    const char* name;
  } rows[] = {{ATLED_OP_ELEMENTWISE, "elementwise"}, {ATLED_OP_INPLACE, "inplace"}, {ATLED_OP_VIEW, "view"},
              {ATLED_OP_COMPOSITE, "composite"},     {ATLED_OP_RANDOM, "random"},   {ATLED_OP_FACTORY, "factory"},
              {ATLED_OP_FUNCTION, "function"},       {ATLED_OP_MUTATES, "mutates"}, {ATLED_OP_PRIVATE, "private"},
              {ATLED_OP_ANY_DEVICE, "any_device"},   {ATLED_OP_FLOAT8, "float8"}};
  const Op* op = op_of(o);
  Ref set(PyFrozenSet_New(nullptr)), list(PyList_New(0));
  for (const auto& row : rows) {
    if (!(op->traits & row.bit)) continue;
    Ref name(PyUnicode_FromString(row.name));
    if (!name || PyList_Append(list.get(), name.get()) < 0) return nullptr;
  }
  Ref structured(PyUnicode_FromString("structured")), out(PyUnicode_FromString("out"));
  if (op->structured() && PyList_Append(list.get(), structured.get()) < 0) return nullptr;
  if (op->takes_out() && PyList_Append(list.get(), out.get()) < 0) return nullptr;
  return PyFrozenSet_New(list.get());
}

PyGetSetDef op_getset[] = {
    {"name", get_name, nullptr, "The name, with the trailing underscore of an in-place form.", nullptr},
    {"__name__", get_name, nullptr, nullptr, nullptr},
    {"__qualname__", get_name, nullptr, nullptr, nullptr},
    {"__module__", get_module, nullptr, nullptr, nullptr},
    {"ns", get_ns, nullptr, "The namespace.", nullptr},
    {"qualified_name", get_qualified, nullptr, "namespace::name", nullptr},
    {"schema", get_schema, nullptr, "The schema as it was registered.", nullptr},
    {"doc", get_summary, nullptr, "The doc string as it was registered.", nullptr},
    {"id", get_id, nullptr, "Dense number in order of registration.", nullptr},
    {"args", get_args, nullptr, "(name, type, default or ..., flags) of each argument.", nullptr},
    {"results", get_results, nullptr, "(name or '', type) of each result.", nullptr},
    {"aliases", get_aliases, nullptr, "Other public names, as namespace::name.", nullptr},
    {"synonyms", get_synonyms, nullptr, "Other names of arguments: those of the array API, and whose they are.",
     nullptr},
    {"traits", get_traits, nullptr, "frozenset of trait names.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef op_members[] = {{"__vectorcalloffset__", T_PYSSIZET, offsetof(PyOp, vectorcall), READONLY, nullptr},
                            {nullptr, 0, 0, 0, nullptr}};

PyObject* op_reduce(PyObject* o, PyObject*) {
  PyOp* self = reinterpret_cast<PyOp*>(o);
  Ref find = import_function("atled.core._ops", "find");
  return find ? Py_BuildValue("(O(si))", find.get(), self->op->qualified.c_str(),
                              static_cast<int>((self->flags & ATLED_CALL_INPLACE) != 0))
              : nullptr;
}

PyMethodDef op_methods[] = {{"__reduce__", op_reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};

PyType_Slot op_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(op_dealloc)},
                          {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                          {Py_tp_repr, reinterpret_cast<void*>(op_repr)},
                          {Py_tp_descr_get, reinterpret_cast<void*>(op_descr_get)},
                          {Py_tp_getset, op_getset},
                          {Py_tp_methods, op_methods},
                          {Py_tp_members, op_members},
                          {0, nullptr}};

PyType_Spec op_spec = {
    "atled.core.Op", sizeof(PyOp), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    op_slots};

std::unordered_map<uint64_t, PyObject*>& callables() {
  static auto* all = new std::unordered_map<uint64_t, PyObject*>;
  return *all;
}

}  // namespace

PyObject* op_callable(const Op* op, bool inplace) {
  uint64_t key = uint64_t{op->id} * 2 + inplace;
  auto found = callables().find(key);
  if (found != callables().end()) return Py_NewRef(found->second);
  PyOp* self = PyObject_New(PyOp, op_type);
  if (!self) return nullptr;
  self->vectorcall = op_call;
  self->op = op;
  self->flags = inplace ? ATLED_CALL_INPLACE : 0;
  self->results = nullptr;
  self->name = PyUnicode_InternFromString((op->name_text + (inplace ? "_" : "")).c_str());
  self->keys = new PyObject*[op->nargs + 1];
  self->positional = 0;
  for (int i = 0; i < op->nargs; ++i) {
    self->keys[i] = PyUnicode_InternFromString(op->args[i].name);
    if (!(op->args[i].flags & ATLED_ARG_KEYWORD)) self->positional = static_cast<uint32_t>(i + 1);
  }
  callables()[key] = reinterpret_cast<PyObject*>(self);
  return Py_NewRef(reinterpret_cast<PyObject*>(self));
}

const Op* need_op(const char* name) {
  const atled_op* op = nullptr;
  if (find_op(name, &op) != ATLED_OK) {
    raise();
    return nullptr;
  }
  return as_op(op);
}

const Op* op_of_callable(const char* function, PyObject* object) {
  if (Py_TYPE(object) == op_type) return op_of(object);
  raise(ATLED_E_ARGUMENT, function, "expected op to be an op such as at.exp, got %s", type_name(object).c_str());
  return nullptr;
}

PyObject* call_values(const Op* op, uint32_t flags, atled_value* args, atled_value* outs) {
  if (call(op, flags, args, outs) != ATLED_OK) return raise();
  if (outs[0].tag == ATLED_TENSOR) return wrap(outs[0].u.tensor);
  PyObject* object = to_python(outs[0]);
  release_values(outs, op->nouts);
  return object;
}

PyObject* in_format(PyObject* result, PyObject* memory_format) {
  const Ref plain(result);
  Ref function = plain ? import_function("atled.core._methods", "in_format") : Ref();
  return function ? PyObject_CallFunctionObjArgs(function.get(), result, memory_format, nullptr) : nullptr;
}

bool init_op_type(PyObject* module) {
  key_out = PyUnicode_InternFromString("out");
  key_requires_grad = PyUnicode_InternFromString("requires_grad");
  key_pin_memory = PyUnicode_InternFromString("pin_memory");
  key_layout = PyUnicode_InternFromString("layout");
  key_memory_format = PyUnicode_InternFromString("memory_format");
  key_atled_call = PyUnicode_InternFromString("__atled_call__");
  op_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&op_spec));
  return op_type && PyModule_AddObjectRef(module, "Op", reinterpret_cast<PyObject*>(op_type)) == 0;
}

}  // namespace atled::core::python
