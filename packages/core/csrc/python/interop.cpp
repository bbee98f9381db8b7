// Zero-copy exchange: the buffer protocol, NumPy and DLPack, in both directions.
#include <cstring>
#include <vector>

#include "dispatch/device.h"
#include "dispatch/dispatch.h"
#include "dispatch/error.h"
#include "dispatch/fusion.h"
#include "python/python.h"

namespace atled::core::python {
namespace {

// Struct-module codes in the order of the dtypes; bfloat16 and float8 have none.
constexpr const char* kFormats[ATLED_NUM_DTYPES] = {"?", "B",     "b", "H", "h",  "I",  "i",     "Q",    "q",
                                                    "e", nullptr, "f", "d", "Zf", "Zd", nullptr, nullptr};

int dtype_of_format(const char* format, Py_ssize_t size) {
  if (!format) return ATLED_UINT8;
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  if (*format == '>' || *format == '!') return -1;
  if (!strcmp(format, "Zf")) return ATLED_COMPLEX64;
  if (!strcmp(format, "Zd")) return ATLED_COMPLEX128;
  if (format[0] == 0 || format[1] != 0) return -1;
  switch (format[0]) {
    case '?':
      return ATLED_BOOL;
    case 'e':
      return ATLED_FLOAT16;
    case 'f':
      return ATLED_FLOAT32;
    case 'd':
      return ATLED_FLOAT64;
    case 'c':
    case 'B':
    case 'H':
    case 'I':
    case 'L':
    case 'Q':
    case 'N':
      return size == 1 ? ATLED_UINT8 : size == 2 ? ATLED_UINT16 : size == 4 ? ATLED_UINT32 : ATLED_UINT64;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
    case 'n':
      return size == 1 ? ATLED_INT8 : size == 2 ? ATLED_INT16 : size == 4 ? ATLED_INT32 : ATLED_INT64;
    default:
      return -1;
  }
}

// Memory of a Python buffer as a DLPack tensor, which keeps the buffer until it dies.
struct BufferOwner {
  DLManagedTensorVersioned managed{};
  Py_buffer view;
  int64_t dims[2 * ATLED_MAX_NDIM];
};

void drop_buffer(DLManagedTensorVersioned* self) {
  BufferOwner* owner = static_cast<BufferOwner*>(self->manager_ctx);
  if (Py_IsInitialized()) {
    PyGILState_STATE gil = PyGILState_Ensure();
    PyBuffer_Release(&owner->view);
    PyGILState_Release(gil);
  }
  delete owner;
}

// Memory of a GPU may come before anything of atled's has been there.
void load_cuda(int type) {
  DLDevice device;
  if (type == kDLCUDA && device_slot(type) == 255 && parse_device("cuda", &device) != ATLED_OK) clear_error();
}

// A device's streams as DLPack and __cuda_array_interface__ number them: 1 is the default one.
atled_stream stream_from(long long number) { return reinterpret_cast<atled_stream>(number == 1 ? 0 : number); }
long long stream_number(atled_stream stream) { return stream ? reinterpret_cast<long long>(stream) : 1; }

// This thread's current stream of a device; false, with the error state set, where it has none.
bool current_stream(DLDevice device, atled_stream* out) {
  const atled_device_def* def = device_def(device.device_type);
  return def && def->current_stream && def->current_stream(def->self, device.device_id, out) == ATLED_OK;
}

// `second` waits for what `first` has been given.
int order_streams(DLDevice device, atled_stream first, atled_stream second) {
  const atled_device_def* def = device_def(device.device_type);
  if (first == second || !def || !def->event_create || !def->event_record || !def->event_wait) return ATLED_OK;
  atled_event event = nullptr;
  int status = def->event_create(def->self, device.device_id, 0, &event);
  if (status == ATLED_OK) status = def->event_record(def->self, event, first);
  if (status == ATLED_OK) status = def->event_wait(def->self, event, second);
  if (event && def->event_destroy) def->event_destroy(def->self, device.device_id, event);
  return status;
}

// What a consumer's stream is given from now on comes after all that made t, and t's memory lasts until it is done.
bool hand_over(const atled_tensor* t, PyObject* stream) {
  const DLDevice device = t->dl.device;
  atled_stream current = nullptr;
  if (!current_stream(device, &current)) return true;
  long long number = 1;
  if (stream != Py_None) {
    number = PyLong_Check(stream) && !PyBool_Check(stream) ? PyLong_AsLongLong(stream) : -2;
    if (PyErr_Occurred()) return false;
    if (number == 0 || number < -1) {
      raise(ATLED_E_VALUE, "__dlpack__",
            "expected stream to be None, -1 for no waiting, 1 for the default stream or a stream's address, got %s",
            number == 0 ? "0, which may mean several" : type_name(stream).c_str());
      return false;
    }
    if (number == -1) return true;
  }
  const atled_device_def* def = device_def(device.device_type);
  const atled_stream consumer = stream_from(number);
  int status = order_streams(device, current, consumer);
  if (status == ATLED_OK && consumer != current && def->record_stream && t->dl.data && numel(t) > 0)
    status = def->record_stream(def->self, device.device_id, t->dl.data, consumer);
  if (status != ATLED_OK) raise();
  return status == ATLED_OK;
}

PyObject* adopt(DLManagedTensorVersioned* managed) {
  TensorImpl* t = nullptr;
  load_cuda(managed->dl_tensor.device.device_type);
  if (make_foreign(managed, &t) != ATLED_OK) {
    raise();
    if (managed->deleter) managed->deleter(managed);
    return nullptr;
  }
  return wrap(t);
}

// Answers NULL without an exception when the object's elements are of a kind that atled does not have.
PyObject* from_buffer(PyObject* object) {
  BufferOwner* owner = new BufferOwner;
  if (PyObject_GetBuffer(object, &owner->view, PyBUF_FULL_RO) < 0) {
    delete owner;
    PyErr_Clear();
    return nullptr;
  }
  const Py_buffer& view = owner->view;
  int dtype = dtype_of_format(view.format, view.itemsize);
  bool fits = dtype >= 0 && view.ndim <= ATLED_MAX_NDIM && !view.suboffsets && itemsize(dtype) == view.itemsize;
  for (int i = 0; fits && i < view.ndim; ++i) {
    owner->dims[i] = view.shape ? view.shape[i] : view.len / view.itemsize;
    const int64_t bytes = view.strides ? view.strides[i] : view.itemsize;
    fits = bytes % view.itemsize == 0;
    owner->dims[ATLED_MAX_NDIM + i] = bytes / view.itemsize;
  }
  if (!fits) {
    PyBuffer_Release(&owner->view);
    delete owner;
    return nullptr;
  }
  DLManagedTensorVersioned& m = owner->managed;
  m.version = DLPackVersion{DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  m.manager_ctx = owner;
  m.deleter = drop_buffer;
  m.flags = view.readonly ? DLPACK_FLAG_BITMASK_READ_ONLY : 0;
  m.dl_tensor = DLTensor{view.buf,
                         DLDevice{kDLCPU, 0},
                         view.ndim,
                         DLDataType{dtype_infos[dtype].code, dtype_infos[dtype].bits, 1},
                         owner->dims,
                         owner->dims + ATLED_MAX_NDIM,
                         0};
  return adopt(&m);
}

bool is_column_major(const atled_tensor* t) {
  int64_t step = 1;
  for (int i = 0; i < t->dl.ndim; ++i) {
    if (t->dl.shape[i] != 1 && t->dl.strides[i] != step) return numel(t) == 0;
    step *= t->dl.shape[i];
  }
  return true;
}

// An unversioned DLPack tensor behind the versioned structure.
struct OldOwner {
  DLManagedTensorVersioned managed{};
  DLManagedTensor* old;
};

void drop_old(DLManagedTensorVersioned* self) {
  OldOwner* owner = static_cast<OldOwner*>(self->manager_ctx);
  if (owner->old->deleter) owner->old->deleter(owner->old);
  delete owner;
}

PyObject* from_capsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, "dltensor_versioned")) {
    auto* managed = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
    PyCapsule_SetName(capsule, "used_dltensor_versioned");
    return adopt(managed);
  }
  if (PyCapsule_IsValid(capsule, "dltensor")) {
    auto* old = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
    PyCapsule_SetName(capsule, "used_dltensor");
    OldOwner* owner = new OldOwner;
    owner->old = old;
    owner->managed.version = DLPackVersion{DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    owner->managed.manager_ctx = owner;
    owner->managed.deleter = drop_old;
    owner->managed.dl_tensor = old->dl_tensor;
    return adopt(&owner->managed);
  }
  return raise(ATLED_E_ARGUMENT, "from_dlpack", "expected an unused DLPack capsule, got %s",
               type_name(capsule).c_str());
}

// What an exporter is asked with: our newest version, and on a GPU the stream that will use the memory.
Ref dlpack_request(PyObject* object) {
  Ref request(Py_BuildValue("{s(ii)}", "max_version", DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION));
  Ref place(PyObject_HasAttrString(object, "__dlpack_device__")
                ? PyObject_CallMethod(object, "__dlpack_device__", nullptr)
                : nullptr);
  if (!place) {
    PyErr_Clear();
    return request;
  }
  Ref type(PySequence_GetItem(place.get(), 0)), index(PySequence_GetItem(place.get(), 1));
  DLDevice device{static_cast<DLDeviceType>(type ? PyLong_AsLong(type.get()) : -1),
                  static_cast<int32_t>(index ? PyLong_AsLong(index.get()) : -1)};
  if (PyErr_Occurred()) return Ref();
  load_cuda(device.device_type);
  atled_stream stream = nullptr;
  if (device_slot(device.device_type) != 255 && current_stream(device, &stream)) {
    Ref number(PyLong_FromLongLong(stream_number(stream)));
    if (!number || !request || PyDict_SetItemString(request.get(), "stream", number.get()) < 0) return Ref();
  }
  return request;
}

PyObject* from_dlpack(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"x", "device", "copy", nullptr};
  PyObject *object = nullptr, *device = Py_None, *copy = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OO:from_dlpack", const_cast<char**>(names), &object, &device,
                                   &copy))
    return nullptr;
  Ref result;
  if (PyCapsule_CheckExact(object)) {
    result = Ref(from_capsule(object));
  } else {
    Ref exporter(PyObject_GetAttrString(object, "__dlpack__"));
    if (!exporter) {
      PyErr_Clear();
      return raise(ATLED_E_ARGUMENT, "from_dlpack", "expected an object with __dlpack__ or a DLPack capsule, got %s",
                   type_name(object).c_str());
    }
    Ref empty(PyTuple_New(0)), named = dlpack_request(object);
    if (!named) return nullptr;
    Ref capsule(PyObject_Call(exporter.get(), empty.get(), named.get()));
    if (!capsule && PyErr_ExceptionMatches(PyExc_TypeError)) {  // an exporter from before DLPack 1.0
      PyErr_Clear();
      PyDict_DelItemString(named.get(), "max_version");
      capsule = Ref(PyObject_Call(exporter.get(), empty.get(), named.get()));
    }
    if (!capsule) return nullptr;
    result = Ref(from_capsule(capsule.get()));
  }
  if (result && device != Py_None) {
    Ref moved(PyObject_CallMethod(result.get(), "to", "O", device));
    if (moved && moved.get() != result.get() && copy == Py_False) {
      PyErr_SetString(PyExc_BufferError, "from_dlpack: another device needs a copy, which copy=False forbids");
      return nullptr;
    }
    result = std::move(moved);
  }
  if (result && copy == Py_True) result = Ref(PyObject_CallMethod(result.get(), "clone", nullptr));
  return result.release();
}

PyObject* from_numpy(PyObject*, PyObject* object) {
  PyObject* t = from_buffer(object);
  if (t || PyErr_Occurred()) return t;
  return raise(ATLED_E_DTYPE, "from_numpy", "expected an array in native byte order of a dtype that atled has, got %s",
               type_name(object).c_str());
}

PyObject* frombuffer(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"buffer", "dtype", "count", "offset", nullptr};
  PyObject *object = nullptr, *dtype_arg = nullptr;
  Py_ssize_t count = -1, offset = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|nn:frombuffer", const_cast<char**>(names), &object, &dtype_arg,
                                   &count, &offset))
    return nullptr;
  int dtype = dtype_from(dtype_arg);
  if (dtype < 0) return raise(ATLED_E_ARGUMENT, "frombuffer", "expected dtype to be a dtype");
  Ref bytes(PyMemoryView_FromObject(object));
  if (bytes) bytes = Ref(PyObject_CallMethod(bytes.get(), "cast", "s", "B"));
  Ref raw(bytes ? from_buffer(bytes.get()) : nullptr);
  if (!raw) return PyErr_Occurred() ? nullptr : raise(ATLED_E_VALUE, "frombuffer", "expected a contiguous buffer");
  atled_tensor* t = tensor_of(raw.get());
  const int64_t total = t->dl.shape[0], item = itemsize(dtype);
  if (offset < 0 || offset > total || (count < 0 && (total - offset) % item != 0) ||
      (count >= 0 && count > (total - offset) / item)) {
    return raise(ATLED_E_VALUE, "frombuffer",
                 "expected %s elements of %lld bytes from offset %zd to fill the buffer of %lld bytes",
                 count < 0 ? "whole" : std::to_string(count).c_str(), static_cast<long long>(item), offset,
                 static_cast<long long>(total));
  }
  DLManagedTensorVersioned* managed = nullptr;
  if (export_dlpack(t, &managed) != ATLED_OK) return raise();
  // The exported structure is ours alone, so it may describe the same bytes in another way.
  int64_t* dims = managed->dl_tensor.shape;
  dims[0] = count < 0 ? (total - offset) / item : count;
  managed->dl_tensor.dtype = DLDataType{dtype_infos[dtype].code, dtype_infos[dtype].bits, 1};
  managed->dl_tensor.byte_offset = static_cast<uint64_t>(offset);
  return adopt(managed);
}

// Memory at an address, which `owner` keeps.
struct AddressOwner {
  DLManagedTensorVersioned managed{};
  PyObject* owner;
  int64_t dims[2 * ATLED_MAX_NDIM];
};

void drop_address(DLManagedTensorVersioned* self) {
  AddressOwner* kept = static_cast<AddressOwner*>(self->manager_ctx);
  if (Py_IsInitialized()) {
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_DECREF(kept->owner);
    PyGILState_Release(gil);
  }
  delete kept;
}

PyObject* from_address(PyObject*, PyObject* args) {
  PyObject *owner = nullptr, *kind = nullptr, *shape = nullptr, *strides = nullptr, *place = nullptr;
  unsigned long long address = 0;
  int readonly = 0;
  if (!PyArg_ParseTuple(args, "OKOO!O!Op:_from_address", &owner, &address, &kind, &PyTuple_Type, &shape, &PyTuple_Type,
                        &strides, &place, &readonly))
    return nullptr;
  const int dtype = dtype_from(kind);
  DLDevice device;
  const Py_ssize_t ndim = PyTuple_Size(shape);
  if (dtype < 0 || ndim > ATLED_MAX_NDIM || PyTuple_Size(strides) != ndim)
    return raise(ATLED_E_ARGUMENT, "_from_address", "expected a dtype, a shape and as many strides");
  if (!device_from(place, &device))
    return PyErr_Occurred() ? nullptr : raise(ATLED_E_ARGUMENT, "_from_address", "expected a device");
  auto* kept = new AddressOwner;
  for (Py_ssize_t i = 0; i < ndim; ++i) {
    kept->dims[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
    kept->dims[ATLED_MAX_NDIM + i] = PyLong_AsLongLong(PyTuple_GetItem(strides, i));
  }
  if (PyErr_Occurred()) {
    delete kept;
    return nullptr;
  }
  kept->owner = Py_NewRef(owner);
  DLManagedTensorVersioned& m = kept->managed;
  m.version = DLPackVersion{DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
  m.manager_ctx = kept;
  m.deleter = drop_address;
  m.flags = readonly ? DLPACK_FLAG_BITMASK_READ_ONLY : 0;
  m.dl_tensor = DLTensor{reinterpret_cast<void*>(static_cast<uintptr_t>(address)),
                         device,
                         static_cast<int32_t>(ndim),
                         DLDataType{dtype_infos[dtype].code, dtype_infos[dtype].bits, 1},
                         kept->dims,
                         kept->dims + ATLED_MAX_NDIM,
                         0};
  return adopt(&m);
}

}  // namespace

namespace {
// What a buffer of a tensor needs while it lives: the tensor itself may become another one (Tensor.data, set_, t_).
struct Exported {
  Tensor memory;
  std::vector<Py_ssize_t> dims;  // shape, then strides in bytes

  ~Exported() { take_back(memory); }
};
}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  atled_tensor* t = tensor_of(self);
  view->obj = nullptr;
  if (!readable(t, "buffer")) return -1;
  const char* format = kFormats[t->dtype];
  if (t->dl.device.device_type != kDLCPU || !format) {
    PyErr_SetString(
        PyExc_BufferError,
        "this tensor cannot be exported as a buffer: it is not on cpu, or is of a dtype that buffers do not have "
        "(bfloat16, float8); use .to()");
    return -1;
  }
  if ((flags & PyBUF_WRITABLE) && (t->flags & ATLED_TENSOR_READONLY)) {
    PyErr_SetString(PyExc_BufferError, "the tensor is read-only");
    return -1;
  }
  // These flags contain each other: PyBUF_STRIDES has PyBUF_ND's bit, and the contiguous ones have those of
  // PyBUF_STRIDES.
  auto asked = [flags](int flag) { return (flags & flag) == flag; };
  const bool row_major = !asked(PyBUF_STRIDES) || asked(PyBUF_C_CONTIGUOUS) || asked(PyBUF_ANY_CONTIGUOUS);
  if ((row_major && !is_contiguous(t)) || (asked(PyBUF_F_CONTIGUOUS) && !is_column_major(t))) {
    PyErr_SetString(PyExc_BufferError, "the tensor is not contiguous; use .contiguous()");
    return -1;
  }
  const int n = t->dl.ndim;
  TensorImpl* memory = nullptr;
  if (make_view(t, t->dtype, n, t->dl.shape, t->dl.strides, 0, &memory) != ATLED_OK) {
    raise();
    return -1;
  }
  Tensor lent = Tensor::steal(memory);
  if (lend(lent) != ATLED_OK) {
    raise();
    return -1;
  }
  auto* kept = new Exported{std::move(lent), std::vector<Py_ssize_t>(2 * static_cast<size_t>(n) + 1)};
  Py_ssize_t* dims = kept->dims.data();
  const int item = itemsize(t->dtype);
  for (int i = 0; i < n; ++i) {
    dims[i] = static_cast<Py_ssize_t>(t->dl.shape[i]);
    dims[n + i] = static_cast<Py_ssize_t>(t->dl.strides[i] * item);
  }
  view->obj = Py_NewRef(self);
  view->buf = t->dl.data;
  view->len = static_cast<Py_ssize_t>(numel(t) * item);
  view->itemsize = item;
  view->readonly = (t->flags & ATLED_TENSOR_READONLY) != 0;
  view->ndim = n;
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) ? dims : nullptr;
  view->strides = asked(PyBUF_STRIDES) ? dims + n : nullptr;
  view->suboffsets = nullptr;
  view->internal = kept;
  return 0;
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Exported*>(view->internal); }

PyObject* tensor_numpy(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"force", nullptr};
  int force = 0;
  if ((kwargs || PyTuple_Size(args)) &&
      !PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:numpy", const_cast<char**>(names), &force))
    return nullptr;
  atled_tensor* t = tensor_of(self);
  Ref plain;  // what `force` makes: off the graph, and on the host
  if (force && keys_of(t) && PyObject_HasAttrString(self, "detach")) {
    if (!(plain = Ref(PyObject_CallMethod(self, "detach", nullptr)))) return nullptr;
    t = tensor_of(self = plain.get());
  }
  if (force && t->dl.device.device_type != kDLCPU) {
    if (!(plain = Ref(PyObject_CallMethod(self, "cpu", nullptr)))) return nullptr;
    t = tensor_of(self = plain.get());
  }
  if (!readable(t, "numpy")) return nullptr;
  if (t->dl.device.device_type != kDLCPU)
    return raise(ATLED_E_DEVICE, "numpy", "expected a tensor on cpu, got %s; use .to(\"cpu\") first",
                 device_text(t->dl.device).c_str());
  if (keys_of(t)) {
    Ref needs(PyObject_GetAttrString(self, "requires_grad"));
    if (!needs) return nullptr;
    if (needs.get() == Py_True)
      return raise(ATLED_E_AUTOGRAD, "numpy",
                   "the tensor requires grad, which NumPy cannot record; use .detach().numpy()");
  }
  static PyObject* as_array = nullptr;  // kept, since importing takes longer than the call
  if (!as_array && !(as_array = import_function("numpy", "asarray").release())) return nullptr;
  if (kFormats[t->dtype]) return call_one(as_array, self);
  Ref type = import_function("ml_dtypes", dtype_name(t->dtype));
  if (!type) {
    PyErr_Clear();
    return raise(ATLED_E_DTYPE, "numpy", "NumPy has no %s; use .to(at.float32).numpy(), or pip install ml_dtypes",
                 dtype_name(t->dtype));
  }
  const int unit = itemsize(t->dtype) == 1 ? ATLED_UINT8 : ATLED_UINT16;
  Ref bits(PyObject_CallMethod(self, "view", "O", Ref(dtype_object(unit)).get()));
  Ref array(bits ? call_one(as_array, bits.get()) : nullptr);
  return array ? PyObject_CallMethod(array.get(), "view", "O", type.get()) : nullptr;
}

PyObject* tensor_dlpack_device(PyObject* self, PyObject*) {
  const DLDevice& d = tensor_of(self)->dl.device;
  return Py_BuildValue("(ii)", static_cast<int>(d.device_type), static_cast<int>(d.device_id));
}

PyObject* tensor_dlpack(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"stream", "max_version", "dl_device", "copy", nullptr};
  PyObject *stream = Py_None, *version = Py_None, *device = Py_None, *copy = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__", const_cast<char**>(names), &stream, &version,
                                   &device, &copy))
    return nullptr;
  if (stream != Py_None && tensor_of(self)->dl.device.device_type == kDLCPU)
    return raise(ATLED_E_VALUE, "__dlpack__", "expected stream to be None for a tensor on cpu, which has no streams");
  if (!readable(tensor_of(self), "__dlpack__")) return nullptr;
  Ref source = Ref::borrow(self);
  bool copied = copy == Py_True;
  if (copied) {
    source = Ref(PyObject_CallMethod(self, "clone", nullptr));
    if (!source) return nullptr;
  }
  atled_tensor* t = tensor_of(source.get());
  if (device != Py_None) {
    int type = 0, index = 0;
    if (!PyArg_ParseTuple(device, "ii:dl_device", &type, &index)) return nullptr;
    if (type != t->dl.device.device_type) {
      if (copy == Py_False) {
        PyErr_SetString(PyExc_BufferError, "__dlpack__: another device needs a copy, which copy=False forbids");
        return nullptr;
      }
      Ref target(device_object(DLDevice{type, index}));
      source = Ref(target ? PyObject_CallMethod(source.get(), "to", "O", target.get()) : nullptr);
      if (!source) {
        if (!PyErr_ExceptionMatches(PyExc_MemoryError))
          PyErr_Format(PyExc_BufferError,
                       "__dlpack__: expected dl_device to be one that tensors can move to, got (%d, %d)", type, index);
        return nullptr;
      }
      t = tensor_of(source.get());
      copied = true;
    }
  }
  if (t->dl.device.device_type != kDLCPU && !hand_over(t, stream)) return nullptr;
  int major = 0, minor = 0;
  if (version != Py_None && !PyArg_ParseTuple(version, "ii:max_version", &major, &minor)) return nullptr;
  DLManagedTensorVersioned* managed = nullptr;
  if (export_dlpack(t, &managed) != ATLED_OK) return raise();
  if (copied) managed->flags |= DLPACK_FLAG_BITMASK_IS_COPIED;
  if (major >= 1) {
    return PyCapsule_New(managed, "dltensor_versioned", [](PyObject* capsule) {
      if (!PyCapsule_IsValid(capsule, "dltensor_versioned")) return;
      auto* m = static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
      m->deleter(m);
    });
  }
  if (t->flags & ATLED_TENSOR_READONLY) {
    managed->deleter(managed);
    PyErr_SetString(PyExc_BufferError,
                    "__dlpack__: a read-only tensor needs a consumer of DLPack 1.0 or later (max_version)");
    return nullptr;
  }
  auto* old = new DLManagedTensor;
  old->dl_tensor = managed->dl_tensor;
  old->manager_ctx = managed;
  old->deleter = [](DLManagedTensor* m) {
    auto* inner = static_cast<DLManagedTensorVersioned*>(m->manager_ctx);
    inner->deleter(inner);
    delete m;
  };
  return PyCapsule_New(old, "dltensor", [](PyObject* capsule) {
    if (!PyCapsule_IsValid(capsule, "dltensor")) return;
    auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
    m->deleter(m);
  });
}

namespace {

// DLPack 1.2's DLPackExchangeAPI (https://dmlc.github.io/dlpack/latest/python_spec.html): C functions instead of a
// Python call per tensor.
struct ExchangeHeader {
  DLPackVersion version;
  struct ExchangeHeader* prev_api;
};
using SetError = void (*)(void* ctx, const char* kind, const char* message);
struct ExchangeApi {
  ExchangeHeader header;
  int (*managed_tensor_allocator)(DLTensor* prototype, DLManagedTensorVersioned** out, void* error_ctx,
                                  SetError set_error);
  int (*managed_tensor_from_py_object_no_sync)(void* object, DLManagedTensorVersioned** out);
  int (*managed_tensor_to_py_object_no_sync)(DLManagedTensorVersioned* tensor, void** out);
  int (*dltensor_from_py_object_no_sync)(void* object, DLTensor* out);
  int (*current_work_stream)(DLDeviceType type, int32_t index, void** out);
};

int exchange_allocate(DLTensor* prototype, DLManagedTensorVersioned** out, void* ctx, SetError report) {
  int dtype = 0;
  while (dtype < ATLED_NUM_DTYPES &&
         (dtype_infos[dtype].code != prototype->dtype.code || dtype_infos[dtype].bits != prototype->dtype.bits))
    ++dtype;
  if (dtype == ATLED_NUM_DTYPES || prototype->dtype.lanes != 1) {
    report(ctx, "TypeError", "atled has no such dtype");
    return -1;
  }
  TensorImpl* t = make_empty(dtype, prototype->ndim, prototype->shape, nullptr, prototype->device);
  int status = t ? export_dlpack(t, out) : ATLED_E_MEMORY;
  release(t);
  if (status == ATLED_OK) return 0;
  atled_error error;
  get_error(&error);
  report(ctx, "MemoryError", error.message);
  return -1;
}

int exchange_from(void* object, DLManagedTensorVersioned** out) {
  PyObject* o = static_cast<PyObject*>(object);
  if (!is_tensor(o)) {
    PyErr_SetString(PyExc_TypeError, "expected an atled Tensor");
    return -1;
  }
  if (export_dlpack(tensor_of(o), out) == ATLED_OK) return 0;
  raise();
  return -1;
}

int exchange_to(DLManagedTensorVersioned* tensor, void** out) {
  *out = adopt(tensor);
  return *out ? 0 : -1;
}

int exchange_borrow(void* object, DLTensor* out) {
  PyObject* o = static_cast<PyObject*>(object);
  if (!is_tensor(o)) {
    PyErr_SetString(PyExc_TypeError, "expected an atled Tensor");
    return -1;
  }
  *out = tensor_of(o)->dl;
  return 0;
}

int exchange_stream(DLDeviceType type, int32_t index, void** out) {
  const atled_device_def* def = device_def(type);
  *out = nullptr;
  return def && def->current_stream ? def->current_stream(def->self, index, out) : 0;
}

ExchangeApi exchange_api{{{1, 2}, nullptr}, exchange_allocate, exchange_from,
                         exchange_to,       exchange_borrow,   exchange_stream};

}  // namespace

PyObject* exchange_api_capsule() { return PyCapsule_New(&exchange_api, "dlpack_exchange_api", nullptr); }

// Zero-copy where the object has a buffer or speaks DLPack; NULL without an exception when it has neither.
PyObject* adopt_foreign(PyObject* object) {
  if (PyObject_CheckBuffer(object) && !PyBytes_Check(object)) {
    PyObject* t = from_buffer(object);
    if (t || PyErr_Occurred()) return t;
  }
  if (!PyObject_HasAttrString(object, "__dlpack__")) {
    if (!PyObject_HasAttrString(object, "__cuda_array_interface__")) return nullptr;
    Ref adopt_it = import_function("atled.core.cuda._interop", "from_interface");
    return adopt_it ? call_one(adopt_it.get(), object) : nullptr;
  }
  Ref args(PyTuple_Pack(1, object));
  PyObject* t = args ? from_dlpack(nullptr, args.get(), nullptr) : nullptr;
  if (!t && PyErr_ExceptionMatches(PyExc_BufferError)) {
    PyErr_Clear();
    Ref dtype(PyObject_GetAttrString(object, "dtype")), text(dtype ? PyObject_Str(dtype.get()) : nullptr);
    if (!text) PyErr_Clear();
    return raise(ATLED_E_DTYPE, "asarray", "expected an array of a dtype that atled has, got %s",
                 text ? PyUnicode_AsUTF8AndSize(text.get(), nullptr) : type_name(object).c_str());
  }
  return t;
}

PyMethodDef interop_methods[] = {
    {"from_dlpack", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(from_dlpack)),
     METH_VARARGS | METH_KEYWORDS,
     "from_dlpack(x, *, device=None, copy=None): a tensor over the memory of an object that speaks DLPack.\n\n"
     "x: an object with __dlpack__, such as PyTorch's tensors, CuPy's and NumPy's arrays, or a capsule; ArgumentError "
     "for another. device: where to copy it; copy: True for a copy, False for none.\n\n"
     ">>> import numpy as np\n>>> at.from_dlpack(np.arange(3))\ntensor([0, 1, 2])"},
    {"from_numpy", from_numpy, METH_O,
     "from_numpy(array): a tensor over the memory of a NumPy array or another buffer.\n\n"
     "Writing to one writes to the other; of a read-only array the tensor is read-only. DTypeError for a dtype that "
     "atled lacks or bytes in another order.\n\n"
     ">>> import numpy as np\n>>> at.from_numpy(np.array([[1.5, 2.5]]))\n"
     "tensor([[1.5000, 2.5000]], dtype=float64)"},
    {"frombuffer", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(frombuffer)),
     METH_VARARGS | METH_KEYWORDS,
     "frombuffer(buffer, dtype, count=-1, offset=0): a 1-d tensor over the bytes of a buffer.\n\n"
     "count: how many elements, -1 for all; offset: the first byte. The tensor is read-only where the buffer is, as "
     "bytes are. InvalidValueError where elements do not fit.\n\n"
     ">>> at.frombuffer(b\"\\x01\\x00\\x02\\x00\", at.uint8, count=3, offset=1)\n"
     "tensor([0, 2, 0], dtype=uint8)"},
    {"_from_address", from_address, METH_VARARGS,
     "_from_address(owner, address, dtype, shape, strides, device, readonly): a tensor over memory that owner keeps."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::core::python
