// x[...] and x[...] = v: Python keys become the ops slice, index and setitem_.
//
// A key turns into a flat list of four-int entries for `slice`: (0, start, stop, step), (1, index), (2) for a new axis
// and (3) where an index tensor stands, and into the list of index tensors for `index`, aligned with the dimensions
// that slice leaves.
#include "dispatch/error.h"
#include "python/python.h"

namespace atled::core::python {
namespace {

constexpr int kMaxEntries = 2 * ATLED_MAX_NDIM;

struct Key {
  int64_t spec[4 * kMaxEntries];
  int entries = 0;
  atled_tensor* indices[kMaxEntries];  // NULL: a full dimension
  int count = 0;
  int last_index = 0;               // one past the last index tensor
  int dim = 0;                      // dimensions of the input used so far
  PyObject* keep[2 * kMaxEntries];  // index tensors made on the way
  int kept = 0;

  Key() {}
  Key(const Key&) = delete;
  ~Key() {
    for (int i = 0; i < kept; ++i) Py_DECREF(keep[i]);
  }

  void add(int64_t kind, int64_t a = 0, int64_t b = 0, int64_t c = 0) {
    int64_t* at = spec + 4 * entries++;
    at[0] = kind;
    at[1] = a;
    at[2] = b;
    at[3] = c;
  }
  void keep_dim() { indices[count++] = nullptr; }
};

bool too_many(const atled_tensor* t, int wanted) {
  if (wanted <= t->dl.ndim) return false;
  raise(ATLED_E_BOUNDS, "index", "expected at most %d indices for shape %s, got %d", t->dl.ndim, shape_text(t).c_str(),
        wanted);
  return true;
}

bool add_full(const atled_tensor* t, Key& key) {
  if (too_many(t, key.dim + 1)) return false;
  key.add(0, 0, t->dl.shape[key.dim++], 1);
  key.keep_dim();
  return true;
}

// The index tensor itself, or, where it is on the CPU and t on a device, a copy beside t, which the key keeps. NULL
// with an exception.
atled_tensor* beside(const atled_tensor* t, Key& key, atled_tensor* index) {
  const DLDevice device = t->dl.device;
  const bool stays = index->dl.device.device_type != kDLCPU || device.device_type == kDLCPU ||
                     device.device_type == static_cast<DLDeviceType>(ATLED_DEVICE_META);
  if (stays) return index;
  retain(index);
  Ref from(wrap(index)), to(device_object(device));
  PyObject* moved = from && to ? PyObject_CallMethod(from.get(), "to", "O", to.get()) : nullptr;
  if (!moved) return nullptr;
  key.keep[key.kept++] = moved;
  return tensor_of(moved);
}

bool add_tensor(const atled_tensor* t, Key& key, atled_tensor* index) {
  const int uses = index->dtype == ATLED_BOOL ? index->dl.ndim : 1;
  if (index->dtype != ATLED_BOOL && !is_integer(index->dtype)) {
    raise(ATLED_E_BOUNDS, "index", "expected an index tensor of integers or bool, got %s", dtype_name(index->dtype));
    return false;
  }
  if (too_many(t, key.dim + uses) || !(index = beside(t, key, index))) return false;
  for (int i = 0; i < uses; ++i) key.add(3);
  key.dim += uses;
  key.indices[key.count++] = index;
  key.last_index = key.count;
  return true;
}

// A mask without dimensions: a new axis of length 1 or 0.
bool add_truth(const atled_tensor* t, Key& key, bool truth) {
  int64_t shape[1] = {truth ? 1 : 0};
  TensorImpl* made = make_empty(ATLED_INT64, 1, shape, nullptr, DLDevice{kDLCPU, 0});
  if (!made) return raise() != nullptr;
  if (truth) data<int64_t>(made)[0] = 0;
  key.keep[key.kept++] = wrap(made);
  atled_tensor* index = beside(t, key, made);
  if (!index) return false;
  key.add(2);
  key.indices[key.count++] = index;
  key.last_index = key.count;
  return true;
}

bool add_integer(const atled_tensor* t, Key& key, PyObject* object) {
  if (too_many(t, key.dim + 1)) return false;
  Py_ssize_t i = PyNumber_AsSsize_t(object, PyExc_IndexError);
  if (i == -1 && PyErr_Occurred()) return false;
  const int64_t size = t->dl.shape[key.dim];
  if (i < -size || i >= size) {
    raise(ATLED_E_BOUNDS, "index", "expected an index for dim %d in [%lld, %lld), got %lld", key.dim,
          static_cast<long long>(-size), static_cast<long long>(size), static_cast<long long>(i));
    return false;
  }
  key.add(1, i < 0 ? i + size : i);
  ++key.dim;
  return true;
}

bool add_slice(const atled_tensor* t, Key& key, PyObject* object) {
  if (too_many(t, key.dim + 1)) return false;
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(object, &start, &stop, &step) < 0) return false;
  PySlice_AdjustIndices(static_cast<Py_ssize_t>(t->dl.shape[key.dim]), &start, &stop, step);
  key.add(0, start, stop, step);
  ++key.dim;
  key.keep_dim();
  return true;
}

// How many dimensions an entry of the key takes.
int uses(PyObject* object) {
  if (object == Py_None || object == Py_Ellipsis || PyBool_Check(object)) return 0;
  if (is_tensor(object) && tensor_of(object)->dtype == ATLED_BOOL) return tensor_of(object)->dl.ndim;
  return 1;
}

bool add_entry(const atled_tensor* t, Key& key, PyObject* object) {
  if (key.entries >= kMaxEntries - 1 || key.kept >= 2 * kMaxEntries - 2) {
    raise(ATLED_E_BOUNDS, "index", "expected at most %d index entries", kMaxEntries);
    return false;
  }
  if (PyBool_Check(object)) return add_truth(t, key, object == Py_True);
  if (PyLong_Check(object)) return add_integer(t, key, object);
  if (PySlice_Check(object)) return add_slice(t, key, object);
  if (object == Py_None) {
    key.add(2);
    key.keep_dim();
    return true;
  }
  if (is_tensor(object)) {
    atled_tensor* index = tensor_of(object);
    // A number that nobody knows yet (inside vmap) is an index tensor like others.
    const bool unknown = index->keys & ATLED_KEY_OPAQUE && is_integer(index->dtype);
    if (index->dl.ndim > 0 || unknown) return add_tensor(t, key, index);
    if (index->dtype == ATLED_BOOL) {
      int truth = PyObject_IsTrue(object);
      return truth >= 0 && add_truth(t, key, truth != 0);
    }
    return add_integer(t, key, object);
  }
  if (PyIndex_Check(object) && !PySequence_Check(object)) return add_integer(t, key, object);
  if (PySequence_Check(object) && !PyUnicode_Check(object)) {
    Ref convert = import_function("atled.core._core", "asarray");
    Ref made(convert ? call_one(convert.get(), object) : nullptr);
    if (!made) return false;
    if (numel(tensor_of(made.get())) == 0 && is_floating(tensor_of(made.get())->dtype)) {
      made = Ref(PyObject_CallMethod(made.get(), "to", "O", Ref(dtype_object(ATLED_INT64)).get()));
      if (!made) return false;
    }
    key.keep[key.kept++] = Py_NewRef(made.get());
    return add_tensor(t, key, tensor_of(made.get()));
  }
  raise(ATLED_E_BOUNDS, "index", "expected integers, slices, ..., None, index tensors or masks, got %s",
        type_name(object).c_str());
  return false;
}

bool parse(const atled_tensor* t, Key& key, PyObject* object) {
  if (!PyTuple_Check(object)) {
    if (object != Py_Ellipsis) return add_entry(t, key, object);
    while (key.dim < t->dl.ndim)
      if (!add_full(t, key)) return false;
    return true;
  }
  const Py_ssize_t n = PyTuple_Size(object);
  int used = 0, ellipses = 0;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* entry = PyTuple_GetItem(object, i);
    used += uses(entry);
    ellipses += entry == Py_Ellipsis;
  }
  if (ellipses > 1) {
    raise(ATLED_E_BOUNDS, "index", "expected at most one ..., got %d", ellipses);
    return false;
  }
  if (too_many(t, used)) return false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* entry = PyTuple_GetItem(object, i);
    if (entry == Py_Ellipsis) {
      for (int k = t->dl.ndim - used; k > 0; --k)
        if (!add_full(t, key)) return false;
    } else if (!add_entry(t, key, entry)) {
      return false;
    }
  }
  return true;
}

}  // namespace

PyObject* get_item(PyObject* self, PyObject* object) {
  static const Op* slice = nullptr;
  static const Op* index = nullptr;
  if (!slice && (!(slice = need_op("core::slice")) || !(index = need_op("core::index")))) return nullptr;
  Key key;
  if (!parse(tensor_of(self), key, object)) return nullptr;
  // A key of index tensors and full dimensions alone needs no view first.
  bool direct = key.last_index > 0;
  for (int i = 0; i < key.entries && direct; ++i) {
    const int64_t* e = key.spec + 4 * i;
    direct = e[0] == 3 || (e[0] == 0 && e[3] == 1 && e[1] == 0 && i < tensor_of(self)->dl.ndim &&
                           e[2] == tensor_of(self)->dl.shape[i]);
  }
  Ref view;
  if (!direct) {
    atled_value values[2] = {value(tensor_of(self)), ints_value(key.spec, static_cast<size_t>(4 * key.entries))},
                outs[1];
    view = Ref(call_values(slice, 0, values, outs));
    if (!view || key.last_index == 0) return view.release();
  }
  atled_value values[2] = {value(tensor_of(direct ? self : view.get())),
                           tensors_value(key.indices, static_cast<size_t>(key.last_index))},
              outs[1];
  return call_values(index, 0, values, outs);
}

int set_item(PyObject* self, PyObject* object, PyObject* new_value) {
  static const Op* setitem = nullptr;
  if (!new_value) {
    raise(ATLED_E_ARGUMENT, "del", "a Tensor has a fixed shape; elements cannot be deleted");
    return -1;
  }
  if (!setitem && !(setitem = need_op("core::setitem_"))) return -1;
  Key key;
  if (!parse(tensor_of(self), key, object)) return -1;
  Scratch scratch;
  atled_value values[4] = {value(tensor_of(self)), ints_value(key.spec, static_cast<size_t>(4 * key.entries)),
                           tensors_value(key.indices, static_cast<size_t>(key.last_index)), none()};
  Ref made;
  if (is_tensor(new_value)) {
    atled_tensor* given = tensor_of(new_value);
    if (given->dl.ndim == 0) given = beside(tensor_of(self), key, given);
    if (!given) return -1;
    values[3] = value(given);
  } else if (to_scalar(new_value, &values[3], scratch)) {
  } else if (PyLong_Check(new_value)) {
    if (to_wide("setitem", new_value, &self, 1, &values[3], scratch) < 0) return -1;
  } else {
    Ref convert = import_function("atled.core._core", "asarray");
    made = Ref(convert ? call_one(convert.get(), new_value) : nullptr);
    atled_tensor* moved = made ? beside(tensor_of(self), key, tensor_of(made.get())) : nullptr;
    if (!moved) return -1;
    values[3] = value(moved);
  }
  atled_value outs[1];
  Ref result(call_values(setitem, 0, values, outs));
  return result ? 0 : -1;
}

}  // namespace atled::core::python
