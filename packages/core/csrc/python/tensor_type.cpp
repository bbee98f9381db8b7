// The Tensor class: a raw C type, so that operators and subscripts cost as little as CPython allows.
#include <Python.h>
#include <structmember.h>

#include <cstring>
#include <utility>

#include "dispatch/device.h"
#include "dispatch/dispatch.h"
#include "dispatch/fusion.h"
#include "dispatch/registry.h"
#include "python/python.h"
#include "tensor/dtype.h"

namespace atled::core::python {

PyTypeObject* tensor_type = nullptr;

PyObject* wrap(atled_tensor* t) {
  if (PyObject* known = static_cast<PyObject*>(impl(t)->python)) {
    Py_INCREF(known);
    release(t);
    return known;
  }
  PyTensor* self = PyObject_New(PyTensor, tensor_type);
  if (!self) {
    release(t);
    return nullptr;
  }
  self->tensor = t;
  self->weakrefs = nullptr;
  impl(t)->python = self;
  return reinterpret_cast<PyObject*>(self);
}

namespace {

void tensor_dealloc(PyObject* o) {
  PyTensor* self = reinterpret_cast<PyTensor*>(o);
  PyTypeObject* type = Py_TYPE(o);
  if (self->weakrefs) PyObject_ClearWeakRefs(o);
  if (self->tensor) {
    impl(self->tensor)->python = nullptr;
    release(self->tensor);
  }
  if (type == tensor_type)
    PyObject_Free(o);
  else
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(o);
  Py_DECREF(type);
}

bool is_loose_size(PyObject* o) { return (PyLong_Check(o) && !PyBool_Check(o)) || is_size(o); }

// What Tensor(...) makes of anything but one tensor, as PyTorch's old constructor: memory of a size given by ints or by
// a Size, or data as numbers of the default dtype.
Ref constructed(PyObject* args, PyObject* data) {
  bool sizes = !data || PyTuple_Size(args) > 1;
  for (Py_ssize_t i = 0; i < PyTuple_Size(args) && !PyErr_Occurred(); ++i)
    sizes = (sizes || i == 0) && is_loose_size(PyTuple_GetItem(args, i));
  if (sizes) {
    Ref empty = import_function("atled.core", "empty"), none(data ? nullptr : Py_BuildValue("(i)", 0));
    return Ref(empty ? PyObject_CallObject(empty.get(), data ? args : none.get()) : nullptr);
  }
  if (PyTuple_Size(args) > 1)
    return Ref(
        raise(ATLED_E_ARGUMENT, "Tensor", "expected sizes as ints, or data alone; at.tensor(data) takes a dtype"));
  Ref tensor = import_function("atled.core._core", "tensor"), one(PyTuple_Pack(1, data));
  Ref dtype(Py_BuildValue("{sN}", "dtype", dtype_object(default_dtype())));
  return Ref(tensor && one && dtype ? PyObject_Call(tensor.get(), one.get(), dtype.get()) : nullptr);
}

// Tensor(data): a tensor of this class over the memory of data, a tensor, or over a new one.
PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* data = PyTuple_Size(args) ? PyTuple_GetItem(args, 0) : nullptr;
  static const char* names[] = {"data", nullptr};
  if (kwargs && !PyArg_ParseTupleAndKeywords(args, kwargs, "O:Tensor", const_cast<char**>(names), &data))
    return nullptr;
  Ref made;
  if (!data || !is_tensor(data) || PyTuple_Size(args) > 1) {
    made = constructed(args, data);
    if (!made) return nullptr;
    data = made.get();
  }
  atled_tensor* source = tensor_of(data);
  TensorImpl* t = nullptr;
  if (make_view(source, source->dtype, source->dl.ndim, source->dl.shape, source->dl.strides, 0, &t) != ATLED_OK)
    return raise();
  t->flags &= static_cast<uint16_t>(~ATLED_TENSOR_VIEW);
  auto allocate = reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc));
  PyTensor* self = reinterpret_cast<PyTensor*>(allocate(type, 0));
  if (!self) {
    release(t);
    return nullptr;
  }
  self->tensor = t;
  self->weakrefs = nullptr;
  t->python = self;
  return reinterpret_cast<PyObject*>(self);
}

// ---- operators ----

struct Slot {
  const char* name;
  const Op* op = nullptr;
  const Op* get() { return op ? op : (op = need_op(name)); }
};

PyObject* binary(Slot& slot, PyObject* a, PyObject* b, uint32_t flags = 0) {
  const Op* op = slot.get();
  if (!op) return nullptr;
  atled_value values[32], outs[1];
  Scratch scratch;
  PyObject* operands[2] = {a, b};
  Ref array;
  for (int i = 0; i < 2; ++i) {
    const bool number = op->nargs > i && op->infos[static_cast<size_t>(i)].kind == Kind::kTensorOrScalar;
    if (is_tensor(operands[i])) {
      values[i] = value(tensor_of(operands[i]));
    } else if (!number || !to_scalar(operands[i], &values[i], scratch)) {
      if (PyErr_Occurred()) return nullptr;
      if (number && PyLong_Check(operands[i]) && is_tensor(operands[1 - i])) {
        if (to_wide(op->name, operands[i], operands, 2, &values[i], scratch) < 0) return nullptr;
        continue;
      }
      // NumPy's arrays (but not its scalars) are operands too, as tensors over their memory.
      if (PyObject_HasAttrString(operands[i], "__array_interface__") &&
          PyType_GetSlot(Py_TYPE(operands[i]), Py_mp_ass_subscript))
        array = Ref(adopt_foreign(operands[i]));
      if (PyErr_Occurred()) return nullptr;
      if (!array) Py_RETURN_NOTIMPLEMENTED;
      values[i] = value(tensor_of(array.get()));
    }
  }
  for (int i = 2; i < op->nargs; ++i) values[i] = op->args[i].fallback;
  if (flags) outs[0] = values[0];
  return call_values(op, flags, values, outs);
}

PyObject* unary(Slot& slot, PyObject* a) {
  const Op* op = slot.get();
  if (!op) return nullptr;
  atled_value values[32], outs[1];
  values[0] = value(tensor_of(a));
  for (int i = 1; i < op->nargs; ++i) values[i] = op->args[i].fallback;
  return call_values(op, 0, values, outs);
}

#define ATLED_BINARY(function, op_name)                    \
  PyObject* function(PyObject* a, PyObject* b) {           \
    static Slot slot{"core::" op_name};                    \
    return binary(slot, a, b);                             \
  }                                                        \
  PyObject* inplace_##function(PyObject* a, PyObject* b) { \
    static Slot slot{"core::" op_name};                    \
    return binary(slot, a, b, ATLED_CALL_INPLACE);         \
  }
#define ATLED_UNARY(function, op_name)  \
  PyObject* function(PyObject* a) {     \
    static Slot slot{"core::" op_name}; \
    return unary(slot, a);              \
  }

ATLED_BINARY(number_add, "add")
ATLED_BINARY(number_subtract, "sub")
ATLED_BINARY(number_multiply, "mul")
ATLED_BINARY(number_divide, "div")
ATLED_BINARY(number_floor_divide, "floor_divide")
ATLED_BINARY(number_remainder, "remainder")
ATLED_BINARY(number_and, "bitwise_and")
ATLED_BINARY(number_or, "bitwise_or")
ATLED_BINARY(number_xor, "bitwise_xor")
ATLED_BINARY(number_lshift, "bitwise_left_shift")
ATLED_BINARY(number_rshift, "bitwise_right_shift")
ATLED_BINARY(number_power2, "pow")
ATLED_UNARY(number_negative, "neg")
ATLED_UNARY(number_positive, "positive")
ATLED_UNARY(number_absolute, "abs")
ATLED_UNARY(number_invert, "bitwise_not")

PyObject* number_matmul(PyObject* a, PyObject* b) {
  static Slot slot{"core::matmul"};
  return binary(slot, a, b);
}
// The product has another layout than its operands: it is made aside, then written into the first.
PyObject* inplace_number_matmul(PyObject* a, PyObject* b) {
  Ref product(number_matmul(a, b));
  if (!product || !is_tensor(product.get())) return product.release();
  const atled_tensor *p = tensor_of(product.get()), *t = tensor_of(a);
  if (p->dl.ndim != t->dl.ndim || memcmp(p->dl.shape, t->dl.shape, sizeof(int64_t) * static_cast<size_t>(t->dl.ndim)))
    return raise(ATLED_E_SHAPE, "matmul_", "expected a product of input's shape %s, got %s", shape_text(t).c_str(),
                 shape_text(p).c_str());
  return PyObject_CallMethod(a, "copy_", "O", product.get());
}
// pow(a, b, modulus) is not computed: without an answer Python says so.
PyObject* number_power(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return number_power2(a, b);
}
PyObject* inplace_number_power(PyObject* a, PyObject* b, PyObject*) { return inplace_number_power2(a, b); }

PyObject* compare(PyObject* a, PyObject* b, int operation) {
  static Slot slots[] = {{"core::lt"}, {"core::le"}, {"core::eq"}, {"core::ne"}, {"core::gt"}, {"core::ge"}};
  return binary(slots[operation], a, b);
}

Py_hash_t tensor_hash(PyObject* o) { return static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(o) >> 4); }

int number_bool(PyObject* o) {
  if (numel(tensor_of(o)) != 1) {
    raise(ATLED_E_VALUE, "bool", "expected a tensor of one element, got shape %s; use any() or all()",
          shape_text(tensor_of(o)).c_str());
    return -1;
  }
  Ref number(item(tensor_of(o)));
  return number ? PyObject_IsTrue(number.get()) : -1;
}

PyObject* number_int(PyObject* o) {
  Ref number(item(tensor_of(o)));
  return number ? PyNumber_Long(number.get()) : nullptr;
}
PyObject* number_float(PyObject* o) {
  Ref number(item(tensor_of(o)));
  return number ? PyNumber_Float(number.get()) : nullptr;
}
PyObject* method_complex(PyObject* o, PyObject*) {
  Ref number(item(tensor_of(o)));
  if (!number || PyComplex_Check(number.get())) return number.release();
  const double real = PyFloat_AsDouble(number.get());
  return real == -1.0 && PyErr_Occurred() ? nullptr : PyComplex_FromDoubles(real, 0.0);
}
PyObject* number_index(PyObject* o) {
  const atled_tensor* t = tensor_of(o);
  if (!is_integer(t->dtype) || numel(t) != 1)
    return raise(ATLED_E_ARGUMENT, "index", "expected a tensor of one integer, got %s of shape %s",
                 dtype_name(t->dtype), shape_text(t).c_str());
  return item(tensor_of(o));
}

// ---- container ----

Py_ssize_t tensor_length(PyObject* o) {
  const atled_tensor* t = tensor_of(o);
  if (t->dl.ndim == 0) {
    raise(ATLED_E_ARGUMENT, "len", "expected a tensor of at least one dimension, got a 0-d tensor");
    return -1;
  }
  return static_cast<Py_ssize_t>(t->dl.shape[0]);
}

PyObject* tensor_iter(PyObject* o) {
  static const Op* unbind = nullptr;
  if (tensor_of(o)->dl.ndim == 0)
    return raise(ATLED_E_ARGUMENT, "iter", "expected a tensor of at least one dimension, got a 0-d tensor");
  if (!unbind && !(unbind = need_op("core::unbind"))) return nullptr;
  Ref rows(call_one(Ref(op_callable(unbind, false)).get(), o));
  return rows ? PyObject_GetIter(rows.get()) : nullptr;
}

int tensor_contains(PyObject* o, PyObject* key) {
  Ref same(compare(o, key, Py_EQ));
  if (!same) return -1;
  if (!is_tensor(same.get())) return 0;
  Ref any(PyObject_CallMethod(same.get(), "any", nullptr));
  return any ? PyObject_IsTrue(any.get()) : -1;
}

// ---- attributes ----

// What an add-on puts on Tensor is fetched when it is first asked for. Answers 1 when the attribute is there now, 0
// when nobody provides it, -1 with the exception of a provider that failed or is not installed.
int load_attribute(PyObject* name) {
  Ref load = import_function("atled.core._registry", "tensor_attribute");
  if (!load) return -1;
  Ref attribute(call_one(load.get(), name));
  if (!attribute) return -1;
  return PyObject_SetAttr(reinterpret_cast<PyObject*>(tensor_type), name, attribute.get()) < 0 ? -1 : 1;
}

bool special(PyObject* name) {
  const char* text = PyUnicode_AsUTF8AndSize(name, nullptr);
  return text && text[0] == '_';
}

PyObject* tensor_getattr(PyObject* o, PyObject* name) {
  PyObject* found = PyObject_GenericGetAttr(o, name);
  if (found || !PyErr_ExceptionMatches(PyExc_AttributeError) || special(name)) return found;
  PyErr_Clear();
  return load_attribute(name) < 0 ? nullptr : PyObject_GenericGetAttr(o, name);
}

int tensor_setattr(PyObject* o, PyObject* name, PyObject* new_value) {
  if (!special(name)) {
    Ref known(PyObject_GetAttr(reinterpret_cast<PyObject*>(Py_TYPE(o)), name));
    if (!known) {
      PyErr_Clear();
      if (load_attribute(name) < 0) {
        if (Py_TYPE(o) == tensor_type || !PyErr_ExceptionMatches(PyExc_AttributeError)) return -1;
        PyErr_Clear();  // a subclass may have attributes of its own
      }
    }
  }
  return PyObject_GenericSetAttr(o, name, new_value);
}

PyObject* ints_tuple(int n, const int64_t* items) {
  PyObject* tuple = PyTuple_New(n);
  for (int i = 0; tuple && i < n; ++i) PyTuple_SetItem(tuple, i, PyLong_FromLongLong(items[i]));
  return tuple;
}

PyObject* get_shape(PyObject* o, void*) { return size_object(tensor_of(o)->dl.ndim, tensor_of(o)->dl.shape); }
PyObject* get_ndim(PyObject* o, void*) { return PyLong_FromLong(tensor_of(o)->dl.ndim); }
PyObject* get_dtype(PyObject* o, void*) { return dtype_object(tensor_of(o)->dtype); }
PyObject* get_device(PyObject* o, void*) { return device_object(tensor_of(o)->dl.device); }
PyObject* get_itemsize(PyObject* o, void*) { return PyLong_FromLong(itemsize(tensor_of(o)->dtype)); }
PyObject* get_nbytes(PyObject* o, void*) {
  return PyLong_FromLongLong(numel(tensor_of(o)) * itemsize(tensor_of(o)->dtype));
}
PyObject* get_version(PyObject* o, void*) { return PyLong_FromUnsignedLongLong(tensor_of(o)->version->count); }
PyObject* get_is_cpu(PyObject* o, void*) { return PyBool_FromLong(tensor_of(o)->dl.device.device_type == kDLCPU); }
PyObject* get_is_cuda(PyObject* o, void*) { return PyBool_FromLong(tensor_of(o)->dl.device.device_type == kDLCUDA); }
PyObject* get_is_meta(PyObject* o, void*) {
  return PyBool_FromLong(tensor_of(o)->dl.device.device_type == ATLED_DEVICE_META);
}
PyObject* get_readonly(PyObject* o, void*) { return PyBool_FromLong(tensor_of(o)->flags & ATLED_TENSOR_READONLY); }

PyObject* transposed(PyObject* o, void*) {
  static Slot slot{"core::permute"};
  const atled_tensor* t = tensor_of(o);
  int64_t dims[ATLED_MAX_NDIM];
  for (int i = 0; i < t->dl.ndim; ++i) dims[i] = t->dl.ndim - 1 - i;
  const Op* op = slot.get();
  if (!op) return nullptr;
  atled_value values[2] = {value(tensor_of(o)), ints_value(dims, static_cast<size_t>(t->dl.ndim))}, outs[1];
  return call_values(op, 0, values, outs);
}

PyObject* matrix_transposed(PyObject* o, void*) {
  static Slot slot{"core::transpose"};
  const Op* op = slot.get();
  if (!op) return nullptr;
  if (tensor_of(o)->dl.ndim < 2)
    return raise(ATLED_E_SHAPE, "mT", "expected at least 2 dimensions, got shape %s", shape_text(tensor_of(o)).c_str());
  atled_value values[3] = {value(tensor_of(o)), value(-2), value(-1)}, outs[1];
  return call_values(op, 0, values, outs);
}

PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, nullptr,
     "Sizes of the dimensions, an at.Size: a tuple of ints with a method numel.\n\n"
     ">>> at.zeros(2, 3).shape\n(2, 3)",
     nullptr},
    {"ndim", get_ndim, nullptr,
     "Number of dimensions.\n\n"
     ">>> at.zeros(2, 3).ndim\n2",
     nullptr},
    {"dtype", get_dtype, nullptr,
     "Type of the elements.\n\n"
     ">>> at.zeros(2).dtype\natled.float32",
     nullptr},
    {"device", get_device, nullptr,
     "Where the elements are.\n\n"
     ">>> at.zeros(2).device\ndevice('cpu')",
     nullptr},
    {"itemsize", get_itemsize, nullptr,
     "Bytes per element.\n\n"
     ">>> at.float32.itemsize, at.zeros(2, dtype=at.float16).itemsize\n(4, 2)",
     nullptr},
    {"nbytes", get_nbytes, nullptr,
     "Bytes of all elements.\n\n"
     ">>> at.zeros(2, 3).nbytes\n24",
     nullptr},
    {"data", get_data, set_data,
     "The same elements as a tensor without history; assigned, the tensor takes them over.\n\n"
     ">>> x = at.tensor([1.0])\n>>> x.data += 1\n>>> x\ntensor([2.])",
     nullptr},
    {"T", transposed, nullptr,
     "The view with the dimensions in reverse order.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]]).T\ntensor([[1, 3],\n        [2, 4]])",
     nullptr},
    {"mT", matrix_transposed, nullptr,
     "The view with the last two dimensions exchanged; ShapeError below two.\n\n"
     ">>> at.tensor([[[1, 2], [3, 4]]]).mT\ntensor([[[1, 3],\n         [2, 4]]])",
     nullptr},
    {"is_cpu", get_is_cpu, nullptr,
     "True when the elements are in host memory.\n\n"
     ">>> at.zeros(2).is_cpu\nTrue",
     nullptr},
    {"is_cuda", get_is_cuda, nullptr,
     "True when the elements are on a CUDA device.\n\n"
     ">>> at.zeros(2, device=\"cpu\").is_cuda\nFalse",
     nullptr},
    {"is_meta", get_is_meta, nullptr,
     "True when there are no elements, only shape and dtype.\n\n"
     ">>> at.zeros(2, device=\"meta\").is_meta\nTrue",
     nullptr},
    {"is_readonly", get_readonly, nullptr,
     "True when in-place changes are refused.\n\n"
     ">>> at.frombuffer(b\"abc\", at.uint8).is_readonly\nTrue",
     nullptr},
    {"_version", get_version, nullptr, "How often the storage was changed in place.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyObject* method_size(PyObject* o, PyObject* args, PyObject* kwargs) {
  const atled_tensor* t = tensor_of(o);
  static const char* names[] = {"dim", nullptr};
  PyObject* dim = Py_None;
  if (kwargs ? !PyArg_ParseTupleAndKeywords(args, kwargs, "|O:size", const_cast<char**>(names), &dim)
             : !PyArg_ParseTuple(args, "|O:size", &dim))
    return nullptr;
  if (dim == Py_None) return get_shape(o, nullptr);
  Py_ssize_t i = PyNumber_AsSsize_t(dim, PyExc_IndexError);
  if (i == -1 && PyErr_Occurred()) return nullptr;
  return guarded("size", [&] {
    return PyLong_FromLongLong(t->dl.shape[t->dl.ndim ? wrap_dim(i, t->dl.ndim)
                                                      : (fail(ATLED_E_BOUNDS, "a 0-d tensor has no dimensions"), 0)]);
  });
}
PyObject* method_stride(PyObject* o, PyObject* args, PyObject* kwargs) {
  const atled_tensor* t = tensor_of(o);
  static const char* names[] = {"dim", nullptr};
  PyObject* dim = Py_None;
  if (kwargs ? !PyArg_ParseTupleAndKeywords(args, kwargs, "|O:stride", const_cast<char**>(names), &dim)
             : !PyArg_ParseTuple(args, "|O:stride", &dim))
    return nullptr;
  if (dim == Py_None) return ints_tuple(t->dl.ndim, t->dl.strides);
  Py_ssize_t i = PyNumber_AsSsize_t(dim, PyExc_IndexError);
  if (i == -1 && PyErr_Occurred()) return nullptr;
  return guarded("stride", [&] { return PyLong_FromLongLong(t->dl.strides[wrap_dim(i, t->dl.ndim)]); });
}
PyObject* method_numel(PyObject* o, PyObject*) { return PyLong_FromLongLong(numel(tensor_of(o))); }
PyObject* method_item(PyObject* o, PyObject*) { return item(tensor_of(o)); }
PyObject* method_is_contiguous(PyObject* o, PyObject* args, PyObject* kwargs) {
  if (!kwargs && PyTuple_Size(args) == 0) return PyBool_FromLong(is_contiguous(tensor_of(o)));
  static const char* names[] = {"memory_format", nullptr};
  PyObject* format = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:is_contiguous", const_cast<char**>(names), &format)) return nullptr;
  Ref ask = import_function("atled.core._methods", "is_in_format");
  return ask ? PyObject_CallFunctionObjArgs(ask.get(), o, format, nullptr) : nullptr;
}
PyObject* method_data_ptr(PyObject* o, PyObject*) {
  if (!readable(tensor_of(o), "data_ptr")) return nullptr;
  return lend(tensor_of(o)) == ATLED_OK ? PyLong_FromVoidPtr(tensor_of(o)->dl.data) : raise();  // for good
}
PyObject* method_is_opaque(PyObject* o, PyObject*) {
  return PyBool_FromLong((tensor_of(o)->keys & ATLED_KEY_OPAQUE) != 0);
}
PyObject* method_storage_offset(PyObject* o, PyObject*) {
  const TensorImpl* t = impl(tensor_of(o));
  return PyLong_FromLongLong((static_cast<char*>(t->dl.data) - static_cast<char*>(t->storage->data)) /
                             itemsize(t->dtype));
}
PyObject* method_is_floating(PyObject* o, PyObject*) { return PyBool_FromLong(is_floating(tensor_of(o)->dtype)); }
PyObject* method_is_complex(PyObject* o, PyObject*) { return PyBool_FromLong(is_complex(tensor_of(o)->dtype)); }
PyObject* method_shares(PyObject* o, PyObject* other) {
  if (!is_tensor(other)) return raise(ATLED_E_ARGUMENT, "shares_storage", "expected a Tensor");
  return PyBool_FromLong(tensor_of(o)->version == tensor_of(other)->version);
}

PyObject* tensor_repr(PyObject* o) {
  Ref format = import_function("atled.core._printing", "tensor_repr");
  return format ? call_one(format.get(), o) : nullptr;
}
PyObject* tensor_str(PyObject* o) {
  Ref format = import_function("atled.core._printing", "tensor_str");
  return format ? call_one(format.get(), o) : nullptr;
}

// view(*shape) or view(dtype): two ops under PyTorch's one name.
PyObject* method_view(PyObject* o, PyObject* args, PyObject* kwargs) {
  static const Op* view = nullptr;
  static const Op* view_dtype = nullptr;
  if (!view && (!(view = need_op("core::view")) || !(view_dtype = need_op("core::view_dtype")))) return nullptr;
  PyObject* named = kwargs ? PyDict_GetItemString(kwargs, "dtype") : nullptr;
  const bool by_dtype = named || (PyTuple_Size(args) == 1 && dtype_from(PyTuple_GetItem(args, 0)) >= 0);
  Ref op(op_callable(by_dtype ? view_dtype : view, false)), self(PyTuple_Pack(1, o));
  Ref all(op && self ? PySequence_Concat(self.get(), args) : nullptr);
  return all ? PyObject_Call(op.get(), all.get(), kwargs) : nullptr;
}

// What `to` reads from its arguments: a dtype, a device, or a tensor that has both, in any order.
PyObject* converted(PyObject* o, PyObject* dtype, PyObject* device, bool copy) {
  static Slot slot{"core::to"};
  const Op* op = slot.get();
  if (!op) return nullptr;
  atled_value values[4] = {value(tensor_of(o)), none(), none(), value(copy)}, outs[1];
  if (dtype) {
    const int id = dtype_from(dtype);
    if (id < 0) return raise(ATLED_E_ARGUMENT, "to", "expected dtype to be a dtype, got %s", type_name(dtype).c_str());
    values[1] = dtype_value(id);
  }
  if (device) {
    DLDevice d;
    if (!device_from(device, &d)) {
      return PyErr_Occurred() ? nullptr
                              : raise(ATLED_E_ARGUMENT, "to", "expected device to be a device or its name, got %s",
                                      type_name(device).c_str());
    }
    values[2] = device_value(d);
  }
  return call_values(op, 0, values, outs);
}

// What is copied to the host in the background needs memory there that the device may write to.
PyObject* converted_in_background(PyObject* o, PyObject* dtype, PyObject* device, bool copy) {
  DLDevice to;
  if (device && tensor_of(o)->dl.device.device_type != kDLCPU && device_from(device, &to) && to.device_type == kDLCPU) {
    Ref to_host = import_function("atled.core.cuda._interop", "to_host");
    return to_host ? PyObject_CallFunctionObjArgs(to_host.get(), o, dtype ? dtype : Py_None, nullptr) : nullptr;
  }
  if (PyErr_Occurred()) return nullptr;
  const NonBlocking background(true);
  return converted(o, dtype, device, copy);
}

PyObject* method_to(PyObject* o, PyObject* args, PyObject* kwargs) {
  PyObject *dtype = nullptr, *device = nullptr, *format = nullptr;
  Ref other_dtype, other_device;
  int copy = 0, background = 0, flags = 0;
  for (Py_ssize_t i = 0; i < PyTuple_Size(args); ++i) {
    PyObject* given = PyTuple_GetItem(args, i);
    if (PyBool_Check(given)) {  // PyTorch's trailing flags: non_blocking, then copy
      (flags++ == 0 ? background : copy) = given == Py_True;
    } else if (is_tensor(given)) {
      other_dtype = Ref(dtype_object(tensor_of(given)->dtype));
      other_device = Ref(device_object(tensor_of(given)->dl.device));
      dtype = other_dtype.get();
      device = other_device.get();
    } else if (dtype_from(given) >= 0) {
      dtype = given;
    } else if (given != Py_None) {
      device = given;
    }
  }
  PyObject *key = nullptr, *given = nullptr;
  for (Py_ssize_t at = 0; kwargs && PyDict_Next(kwargs, &at, &key, &given);) {
    const char* name = PyUnicode_AsUTF8AndSize(key, nullptr);
    if (!name) return nullptr;
    if (!strcmp(name, "dtype"))
      dtype = given == Py_None ? nullptr : given;
    else if (!strcmp(name, "device"))
      device = given == Py_None ? nullptr : given;
    else if (!strcmp(name, "copy"))
      copy = PyObject_IsTrue(given);
    else if (!strcmp(name, "non_blocking"))
      background = PyObject_IsTrue(given);
    else if (!strcmp(name, "memory_format"))
      format = given == Py_None ? nullptr : given;
    else
      return raise(ATLED_E_ARGUMENT, "to",
                   "got an unexpected argument %s; it takes dtype, device, copy, non_blocking and memory_format", name);
  }
  if (copy < 0 || background < 0) return nullptr;
  PyObject* result = (background ? converted_in_background : converted)(o, dtype, device, copy != 0);
  return format ? in_format(result, format) : result;
}

// The result in the order of memory_format, the only argument that a method takes, by name.
PyObject* in_format_of(PyObject* result, const char* method, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  if (!result || (n == 0 && !names)) return result;
  PyObject* name = n == 0 && PyTuple_Size(names) == 1 ? PyTuple_GetItem(names, 0) : nullptr;
  if (!name || PyUnicode_CompareWithASCIIString(name, "memory_format") != 0) {
    Py_DECREF(result);
    return raise(ATLED_E_ARGUMENT, method, "expected no argument but memory_format, by name");
  }
  return args[0] == Py_None ? result : in_format(result, args[0]);
}

const char* conversion_to(int dtype) {
  static constexpr std::pair<int, const char*> kNames[] = {
      {ATLED_BOOL, "bool"},     {ATLED_UINT8, "byte"},     {ATLED_INT8, "char"},        {ATLED_INT16, "short"},
      {ATLED_INT32, "int"},     {ATLED_INT64, "long"},     {ATLED_FLOAT16, "half"},     {ATLED_BFLOAT16, "bfloat16"},
      {ATLED_FLOAT32, "float"}, {ATLED_FLOAT64, "double"}, {ATLED_COMPLEX64, "cfloat"}, {ATLED_COMPLEX128, "cdouble"}};
  for (const auto& [known, name] : kNames)
    if (known == dtype) return name;
  return "to";
}

template <int kDtype>
PyObject* method_as(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  Ref dtype(dtype_object(kDtype));
  return in_format_of(converted(o, dtype.get(), nullptr, false), conversion_to(kDtype), args, n, names);
}

PyObject* method_cpu(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  Ref device(device_object(DLDevice{kDLCPU, 0}));
  return in_format_of(converted(o, nullptr, device.get(), false), "cpu", args, n, names);
}

PyObject* method_format(PyObject* o, PyObject* spec) {
  Ref format = import_function("atled.core._printing", "tensor_format");
  return format ? PyObject_CallFunctionObjArgs(format.get(), o, spec, nullptr) : nullptr;
}

template <class F>
PyCFunction method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef tensor_methods[] = {
    {"size", method(method_size), METH_VARARGS | METH_KEYWORDS,
     "size(dim=None): the shape, or one size; BoundsError for a dimension that there is not.\n\n"
     ">>> at.zeros(2, 3).size(), at.zeros(2, 3).size(-1)\n((2, 3), 3)"},
    {"stride", method(method_stride), METH_VARARGS | METH_KEYWORDS,
     "stride(dim=None): the strides in elements, or one of them.\n\n"
     ">>> at.zeros(2, 3).stride(), at.zeros(2, 3).t().stride()\n((3, 1), (1, 3))"},
    {"dim", [](PyObject* o, PyObject*) { return get_ndim(o, nullptr); }, METH_NOARGS,
     "Number of dimensions.\n\n"
     ">>> at.zeros(2, 3).ndim\n2"},
    {"numel", method_numel, METH_NOARGS,
     "Number of elements.\n\n"
     ">>> at.zeros(2, 3).numel()\n6"},
    {"nelement", method_numel, METH_NOARGS,
     "Number of elements.\n\n"
     ">>> at.zeros(2, 3).numel()\n6"},
    {"element_size", [](PyObject* o, PyObject*) { return get_itemsize(o, nullptr); }, METH_NOARGS,
     "Bytes per element.\n\n"
     ">>> at.float32.itemsize, at.zeros(2, dtype=at.float16).itemsize\n(4, 2)"},
    {"item", method_item, METH_NOARGS,
     "The single element as a Python number; InvalidValueError when there is not just one.\n\n"
     ">>> at.tensor([1.5]).item()\n1.5"},
    {"tolist", tensor_tolist, METH_NOARGS,
     "The elements as nested lists of Python numbers, of a 0-d tensor a number.\n\n"
     ">>> at.tensor([[1, 2], [3, 4]]).tolist()\n[[1, 2], [3, 4]]"},
    {"numpy", method(tensor_numpy), METH_VARARGS | METH_KEYWORDS,
     "numpy(*, force=False): a NumPy array over the same memory; by force also of a tensor that requires grad, or, as "
     "a copy, of one on another device.\n\n"
     ">>> x = at.tensor([1.0, 2.0])\n>>> x.numpy()[0] = 5\n>>> x\ntensor([5., 2.])"},
    {"is_contiguous", method(method_is_contiguous), METH_VARARGS | METH_KEYWORDS,
     "True when the elements lie in row-major order without gaps, or in that of memory_format.\n\n"
     ">>> at.zeros(2, 3).is_contiguous(), at.zeros(2, 3).t().is_contiguous()\n(True, False)"},
    {"is_floating_point", method_is_floating, METH_NOARGS,
     "True for float16, bfloat16, float32, float64 and float8.\n\n"
     ">>> at.tensor([1.5]).is_floating_point()\nTrue"},
    {"is_complex", method_is_complex, METH_NOARGS,
     "True for complex64 and complex128.\n\n"
     ">>> at.tensor([1j]).is_complex()\nTrue"},
    {"data_ptr", method_data_ptr, METH_NOARGS,
     "Address of element 0.\n\n"
     ">>> x = at.tensor([1.0, 2.0])\n>>> x[1:].data_ptr() - x.data_ptr()\n4"},
    {"_is_opaque", method_is_opaque, METH_NOARGS, nullptr},
    {"storage_offset", method_storage_offset, METH_NOARGS,
     "Position of element 0 in the storage, in elements.\n\n"
     ">>> at.arange(4)[2:].storage_offset()\n2"},
    {"shares_storage", method_shares, METH_O,
     "True when both are views of one storage.\n\n"
     ">>> x = at.arange(4)\n>>> x.shares_storage(x[2:]), x.shares_storage(x.clone())\n"
     "(True, False)"},
    {"view", method(method_view), METH_VARARGS | METH_KEYWORDS,
     "view(*shape) or view(dtype): the same elements in another shape, or the same bytes as another dtype, without a "
     "copy.\n\n"
     "ShapeError where the strides do not allow it, or the last dimension does not hold whole elements of the "
     "dtype.\n\n"
     ">>> at.arange(4).view(2, 2)\ntensor([[0, 1],\n        [2, 3]])\n"
     ">>> at.tensor([1.0]).view(at.int32)\ntensor([1065353216], dtype=int32)"},
    {"to", method(method_to), METH_VARARGS | METH_KEYWORDS,
     "to(dtype), to(device), to(device, dtype) or to(other): the tensor with another dtype or on another device; "
     "itself when it has both already, unless copy.\n\n"
     "Also by name: dtype, device, copy, memory_format, and non_blocking for copies between host and GPU. Floats are "
     "rounded towards 0 to integers; complex numbers lose their imaginary parts.\n\n"
     ">>> at.tensor([1.7, -1.7]).to(at.int32)\ntensor([ 1, -1], dtype=int32)"},
    {"cpu", method(method_cpu), METH_FASTCALL | METH_KEYWORDS,
     "The tensor in host memory, as memory_format says: itself if it is there.\n\n"
     ">>> x = at.zeros(2)\n>>> x.cpu() is x\nTrue"},
    {"bool", method(method_as<ATLED_BOOL>), METH_FASTCALL | METH_KEYWORDS, "to(at.bool)"},
    {"byte", method(method_as<ATLED_UINT8>), METH_FASTCALL | METH_KEYWORDS, "to(at.uint8)"},
    {"char", method(method_as<ATLED_INT8>), METH_FASTCALL | METH_KEYWORDS, "to(at.int8)"},
    {"short", method(method_as<ATLED_INT16>), METH_FASTCALL | METH_KEYWORDS, "to(at.int16)"},
    {"int", method(method_as<ATLED_INT32>), METH_FASTCALL | METH_KEYWORDS, "to(at.int32)"},
    {"long", method(method_as<ATLED_INT64>), METH_FASTCALL | METH_KEYWORDS, "to(at.int64)"},
    {"half", method(method_as<ATLED_FLOAT16>), METH_FASTCALL | METH_KEYWORDS, "to(at.float16)"},
    {"bfloat16", method(method_as<ATLED_BFLOAT16>), METH_FASTCALL | METH_KEYWORDS, "to(at.bfloat16)"},
    {"float", method(method_as<ATLED_FLOAT32>), METH_FASTCALL | METH_KEYWORDS, "to(at.float32)"},
    {"double", method(method_as<ATLED_FLOAT64>), METH_FASTCALL | METH_KEYWORDS, "to(at.float64)"},
    {"cfloat", method(method_as<ATLED_COMPLEX64>), METH_FASTCALL | METH_KEYWORDS, "to(at.complex64)"},
    {"cdouble", method(method_as<ATLED_COMPLEX128>), METH_FASTCALL | METH_KEYWORDS, "to(at.complex128)"},
    {"is_shared", tensor_is_shared, METH_NOARGS,
     "True when the elements are in memory that processes share: after share_memory_.\n\n"
     ">>> at.zeros(2).is_shared(), at.zeros(2).share_memory_().is_shared()\n(False, True)"},
    {"__format__", method_format, METH_O, nullptr},
    {"__complex__", method_complex, METH_NOARGS, nullptr},
    {"__dlpack__", method(tensor_dlpack), METH_VARARGS | METH_KEYWORDS, "A DLPack capsule over the same memory."},
    {"__dlpack_device__", tensor_dlpack_device, METH_NOARGS, "(device type, device index) as DLPack numbers them."},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef tensor_members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
                                {nullptr, 0, 0, 0, nullptr}};

template <class F>
void* slot(F f) {
  return reinterpret_cast<void*>(f);
}

PyType_Slot tensor_slots[] = {
    {Py_tp_dealloc, slot(tensor_dealloc)},
    {Py_tp_new, slot(tensor_new)},
    {Py_tp_repr, slot(tensor_repr)},
    {Py_tp_str, slot(tensor_str)},
    {Py_tp_hash, slot(tensor_hash)},
    {Py_tp_richcompare, slot(compare)},
    {Py_tp_iter, slot(tensor_iter)},
    {Py_tp_getattro, slot(tensor_getattr)},
    {Py_tp_setattro, slot(tensor_setattr)},
    {Py_tp_methods, tensor_methods},
    {Py_tp_members, tensor_members},
    {Py_tp_getset, tensor_getset},
    {Py_tp_doc,
     const_cast<char*>("A strided array of one dtype on one device: what every op takes and returns.\n\n"
                       "at.tensor makes one of data; at.Tensor(2, 3) is at.empty(2, 3), at.Tensor([1, 2]) a tensor of "
                       "the default float. Tensors take part in Python's arithmetic and NumPy's, are indexed as "
                       "NumPy's arrays are, and views share their memory.\n\n"
                       ">>> x = at.tensor([[1, 2], [3, 4]])\n>>> x[:, 0] += 10\n>>> x @ x\ntensor([[147,  30],\n"
                       "        [195,  42]])")},
    {Py_nb_add, slot(number_add)},
    {Py_nb_subtract, slot(number_subtract)},
    {Py_nb_multiply, slot(number_multiply)},
    {Py_nb_true_divide, slot(number_divide)},
    {Py_nb_floor_divide, slot(number_floor_divide)},
    {Py_nb_remainder, slot(number_remainder)},
    {Py_nb_power, slot(number_power)},
    {Py_nb_matrix_multiply, slot(number_matmul)},
    {Py_nb_and, slot(number_and)},
    {Py_nb_or, slot(number_or)},
    {Py_nb_xor, slot(number_xor)},
    {Py_nb_lshift, slot(number_lshift)},
    {Py_nb_rshift, slot(number_rshift)},
    {Py_nb_inplace_add, slot(inplace_number_add)},
    {Py_nb_inplace_subtract, slot(inplace_number_subtract)},
    {Py_nb_inplace_multiply, slot(inplace_number_multiply)},
    {Py_nb_inplace_true_divide, slot(inplace_number_divide)},
    {Py_nb_inplace_floor_divide, slot(inplace_number_floor_divide)},
    {Py_nb_inplace_remainder, slot(inplace_number_remainder)},
    {Py_nb_inplace_power, slot(inplace_number_power)},
    {Py_nb_inplace_matrix_multiply, slot(inplace_number_matmul)},
    {Py_nb_inplace_and, slot(inplace_number_and)},
    {Py_nb_inplace_or, slot(inplace_number_or)},
    {Py_nb_inplace_xor, slot(inplace_number_xor)},
    {Py_nb_inplace_lshift, slot(inplace_number_lshift)},
    {Py_nb_inplace_rshift, slot(inplace_number_rshift)},
    {Py_nb_negative, slot(number_negative)},
    {Py_nb_positive, slot(number_positive)},
    {Py_nb_absolute, slot(number_absolute)},
    {Py_nb_invert, slot(number_invert)},
    {Py_nb_bool, slot(number_bool)},
    {Py_nb_int, slot(number_int)},
    {Py_nb_float, slot(number_float)},
    {Py_nb_index, slot(number_index)},
    {Py_mp_length, slot(tensor_length)},
    {Py_mp_subscript, slot(get_item)},
    {Py_mp_ass_subscript, slot(set_item)},
    {Py_sq_contains, slot(tensor_contains)},
    {Py_bf_getbuffer, slot(get_buffer)},
    {Py_bf_releasebuffer, slot(release_buffer)},
    {0, nullptr}};

PyType_Spec tensor_spec = {"atled.core.Tensor", sizeof(PyTensor), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                           tensor_slots};

}  // namespace

bool init_tensor_type(PyObject* module) {
  tensor_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&tensor_spec));
  if (!tensor_type) return false;
  for (PyMethodDef* method = data_methods; method->ml_name; ++method) {
    Ref descriptor(PyDescr_NewMethod(tensor_type, method));
    if (!descriptor ||
        PyObject_SetAttrString(reinterpret_cast<PyObject*>(tensor_type), method->ml_name, descriptor.get()) < 0)
      return false;
  }
  return PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(tensor_type)) == 0;
}

bool add_methods() {
  PyObject* type = reinterpret_cast<PyObject*>(tensor_type);
  auto add = [&](const std::string& name, PyObject* callable) {
    Ref owned(callable);
    if (!callable || !PyObject_HasAttrString(type, name.c_str()))
      return callable && PyObject_SetAttrString(type, name.c_str(), callable) == 0;
    return true;
  };
  for (uint32_t id = 0; id < op_count(); ++id) {
    const Op* op = op_at(id);
    if (op->traits & (ATLED_OP_FUNCTION | ATLED_OP_PRIVATE)) continue;
    if (op->nargs == 0 || (op->infos[0].kind != Kind::kTensor && op->infos[0].kind != Kind::kTensorOrScalar)) continue;
    std::vector<std::string> names = op->aliases;
    names.insert(names.begin(), op->qualified);
    for (const std::string& qualified : names) {
      if (qualified.compare(0, 6, "core::") != 0) continue;
      const std::string name = qualified.substr(6);
      if (!add(name, op_callable(op, false))) return false;
      if ((op->traits & ATLED_OP_INPLACE) && !add(name + "_", op_callable(op, true))) return false;
    }
  }
  return true;
}

}  // namespace atled::core::python
