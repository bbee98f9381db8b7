// dtype, device and Generator: bound with nanobind, looked at from the raw parts through a few C functions.
#include "python/objects.h"

#include <nanobind/nanobind.h>
#include <nanobind/operators.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <vector>

#include "dispatch/device.h"
#include "dispatch/error.h"
#include "dispatch/generator.h"
#include "dispatch/thread_state.h"
#include "python/python.h"

namespace nb = nanobind;

namespace atled::core::python {
namespace {

struct Dtype {
  int id;
};
struct Device {
  DLDevice value;
};
struct Generator : atled_generator {};

struct State {
  uint64_t seed, offset;
};

State state_of(atled_generator& g) {
  std::lock_guard<std::mutex> lock(g.mutex);
  return {g.seed, g.offset};
}

void put(atled_generator& g, State state) {
  std::lock_guard<std::mutex> lock(g.mutex);
  g.seed = state.seed;
  g.offset = state.offset;
}

// Seed and offset, the least byte of each first.
PyObject* state_tensor(State state) {
  Tensor bytes;
  if (guard([&] { bytes = Tensor::empty(ATLED_UINT8, {16}); }) != ATLED_OK) throw nb::python_error();
  for (int i = 0; i < 16; ++i)
    data<uint8_t>(bytes)[i] = static_cast<uint8_t>((i < 8 ? state.seed : state.offset) >> 8 * (i % 8));
  return wrap(bytes.release());
}

State state_from(PyObject* object) {
  const atled_tensor* t = is_tensor(object) ? tensor_of(object) : nullptr;
  if (!t || t->dtype != ATLED_UINT8 || t->dl.ndim != 1 || t->dl.shape[0] != 16 || t->dl.device.device_type != kDLCPU) {
    raise(ATLED_E_ARGUMENT, "set_state", "expected a uint8 tensor of shape (16,), as get_state gives it");
    throw nb::python_error();
  }
  if (!readable(t, "set_state")) throw nb::python_error();
  State state{0, 0};
  for (int i = 0; i < 16; ++i)
    (i < 8 ? state.seed : state.offset) |= static_cast<uint64_t>(data<uint8_t>(t)[i * t->dl.strides[0]]) << 8 * (i % 8);
  return state;
}

PyObject* dtype_objects[ATLED_NUM_DTYPES] = {};
PyTypeObject* dtype_type = nullptr;
PyTypeObject* device_type = nullptr;
PyTypeObject* generator_type = nullptr;
PyObject* default_generator_ = nullptr;

[[noreturn]] void raise_error() {
  raise();
  throw nb::python_error();
}

Device make_device(const std::string& text) {
  Device d;
  if (parse_device(text.c_str(), &d.value) != ATLED_OK) raise_error();
  return d;
}

// The default devices that `with device(...)` has set aside on this thread.
thread_local std::vector<DLDevice> outer_devices;

std::string name_of(const Device& d) {
  std::string text = device_text(DLDevice{d.value.device_type, 0});
  return text.substr(0, text.find(':'));
}

}  // namespace

void bind_objects(nb::module_& m) {
  nb::class_<Dtype>(m, "dtype",
                    "The type of a tensor's elements: at.float32 and its like, of which there is one object each.\n\n"
                    ">>> at.float16, at.float16.name, at.float16.itemsize\n(atled.float16, 'float16', 2)")
      .def_prop_ro(
          "name", [](const Dtype& d) { return std::string(dtype_name(d.id)); }, "Such as 'float32'.")
      .def_prop_ro(
          "itemsize", [](const Dtype& d) { return itemsize(d.id); },
          "Bytes per element.\n\n"
          ">>> at.float32.itemsize, at.zeros(2, dtype=at.float16).itemsize\n(4, 2)")
      .def_prop_ro(
          "is_floating_point", [](const Dtype& d) { return is_floating(d.id); }, "Whether it is one of real floats.")
      .def_prop_ro(
          "is_complex", [](const Dtype& d) { return is_complex(d.id); }, "Whether it is one of complex numbers.")
      .def_prop_ro(
          "is_signed", [](const Dtype& d) { return is_signed(d.id); }, "Whether it has negative numbers.")
      .def("__repr__", [](const Dtype& d) { return std::string("atled.") + dtype_name(d.id); })
      .def("__reduce__", [](const Dtype& d) { return nb::str(dtype_name(d.id)); });  // the name in this module
  dtype_type = reinterpret_cast<PyTypeObject*>(nb::type<Dtype>().ptr());
  nb::list dtypes;
  for (int id = 0; id < ATLED_NUM_DTYPES; ++id) {
    nb::object o = nb::cast(Dtype{id});
    m.attr(dtype_name(id)) = o;
    dtypes.append(o);
    dtype_objects[id] = o.release().ptr();
  }
  m.attr("_dtypes") = nb::tuple(dtypes);

  nb::class_<Device>(m, "device",
                     "Where tensors are: device('cpu'), device('cuda', 1), device('cuda:1'). In a with statement, "
                     "where this thread makes tensors that nothing else places.\n\n"
                     "Devices are equal to their names. DeviceError where no wheel provides the type. Tensors of "
                     "device \"meta\" have a shape and a dtype, and no elements.\n\n"
                     ">>> device = at.device(\"cpu\")\n>>> device.type, device.index, device == \"cpu\"\n"
                     "('cpu', 0, True)\n>>> with at.device(\"meta\"):\n"
                     "...     at.zeros(1000, 1000) @ at.zeros(1000, 3)\n"
                     "tensor(..., size=(1000, 3), device='meta')")
      .def(
          "__init__",
          [](Device* self, const std::string& type, std::optional<int> index) {
            new (self) Device(make_device(index ? type + ":" + std::to_string(*index) : type));
          },
          nb::arg("type"), nb::arg("index") = nb::none())
      .def(
          "__init__", [](Device* self, const Device& other) { new (self) Device(other); }, nb::arg("device"))
      .def("__init__",
           [](Device*, nb::args args, nb::kwargs) {
             const std::string got = args.size() ? type_name(nb::object(args[0]).ptr()) : "none";
             raise(ATLED_E_ARGUMENT, "device",
                   "expected a type such as \"cpu\" or \"cuda:1\" and an index, or a device, got %s", got.c_str());
             throw nb::python_error();
           })
      .def_prop_ro(
          "type", [](const Device& d) { return name_of(d); }, "Such as 'cpu' or 'cuda'.")
      .def_prop_ro(
          "index", [](const Device& d) { return d.value.device_id; }, "Which device of the type.")
      .def("__repr__", [](const Device& d) { return "device('" + device_text(d.value) + "')"; })
      .def("__str__", [](const Device& d) { return device_text(d.value); })
      .def("__eq__",
           [](const Device& a, nb::handle b) {
             DLDevice other;
             if (!device_from(b.ptr(), &other)) {
               PyErr_Clear();
               return false;
             }
             return a.value.device_type == other.device_type && a.value.device_id == other.device_id;
           })
      .def("__hash__", [](const Device& d) { return d.value.device_type * 1031 + d.value.device_id; })
      .def("__enter__",
           [](nb::object self) {
             outer_devices.push_back(thread_state.device);
             thread_state.device = nb::cast<Device&>(self).value;
             return self;
           })
      .def("__exit__",
           [](Device&, nb::args) {
             if (outer_devices.empty()) return;
             thread_state.device = outer_devices.back();
             outer_devices.pop_back();
           })
      .def("__reduce__",
           [](const Device& d) { return nb::make_tuple(nb::type<Device>(), nb::make_tuple(device_text(d.value))); });
  device_type = reinterpret_cast<PyTypeObject*>(nb::type<Device>().ptr());

  nb::class_<Generator>(
      m, "Generator",
      "A stream of random numbers (Philox4x32-10): the same seed gives the same numbers on every device.\n\n"
      "Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3. A new one has the default generator's seed and "
      "is at its start. Random ops take it as generator=.\n\n"
      ">>> generator = at.Generator().manual_seed(0)\n"
      ">>> at.randint(100, (4,), generator=generator)\ntensor([39, 88, 73, 60])\n"
      ">>> at.randint(100, (4,), generator=generator)\ntensor([97, 36, 69,  3])")
      .def(
          "__init__",
          [](Generator* self, nb::handle device) {
            if (!device.is_none() && !PyUnicode_Check(device.ptr()) && !nb::isinstance<Device>(device)) {
              raise(ATLED_E_ARGUMENT, "Generator", "expected device to be a device or its name, got %s",
                    type_name(device.ptr()).c_str());
              throw nb::python_error();
            }
            new (self) Generator;
            self->seed = state_of(default_generator()).seed;
          },
          nb::arg("device") = nb::none())
      .def(
          "manual_seed",
          [](nb::object self, nb::int_ seed) {
            put(nb::cast<Generator&>(self), {PyLong_AsUnsignedLongLongMask(seed.ptr()), 0});
            return self;
          },
          nb::arg("seed"),
          "Starts the stream of a seed; returns the generator.\n\n"
          ">>> at.Generator().manual_seed(7).initial_seed()\n7")
      .def(
          "initial_seed", [](Generator& g) { return state_of(g).seed; },
          "The seed of the stream.\n\n"
          ">>> at.Generator().manual_seed(7).initial_seed()\n7")
      .def(
          "seed",
          [](Generator& g) {
            // Before the lock, as Python may run something else meanwhile.
            nb::object bits = nb::module_::import_("os").attr("urandom")(8);
            const auto seed =
                nb::cast<uint64_t>(nb::module_::import_("builtins").attr("int").attr("from_bytes")(bits, "little"));
            put(g, {seed, 0});
            return seed;
          },
          "Starts a stream with a seed from the system; returns the seed.\n\n"
          ">>> generator = at.Generator()\n>>> generator.seed() == generator.initial_seed()\nTrue")
      .def(
          "get_state", [](Generator& g) { return nb::steal(state_tensor(state_of(g))); },
          "Seed and position, 16 bytes in a uint8 tensor: set_state takes it.\n\n"
          ">>> at.Generator().manual_seed(3).get_state().tolist()\n"
          "[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]")
      .def(
          "clone_state",
          [](Generator& g) {
            auto* copy = new Generator;
            put(*copy, state_of(g));
            return copy;
          },
          nb::rv_policy::take_ownership,
          "Another generator at the same position of the same stream, which goes on by itself.\n\n"
          ">>> generator = at.Generator().manual_seed(0)\n>>> twin = generator.clone_state()\n"
          ">>> (at.rand(3, generator=generator) == at.rand(3, generator=twin)).all()\ntensor(True)")
      .def(
          "set_state",
          [](nb::object self, nb::handle new_state) {
            put(nb::cast<Generator&>(self), state_from(new_state.ptr()));
            return self;
          },
          nb::arg("new_state"),
          "Goes back to a state of get_state; returns the generator.\n\n"
          ">>> generator = at.Generator().manual_seed(0)\n>>> state = generator.get_state()\n"
          ">>> first = at.rand(3, generator=generator)\n"
          ">>> (at.rand(3, generator=generator.set_state(state)) == first).all()\ntensor(True)")
      .def_prop_ro("device", [](const Generator&) { return Device{{kDLCPU, 0}}; }, "The CPU, where its state is.");
  generator_type = reinterpret_cast<PyTypeObject*>(nb::type<Generator>().ptr());
  // The default generator is a Generator with nothing added, so the object may be seen as one.
  nb::object shared = nb::cast(static_cast<Generator*>(&default_generator()), nb::rv_policy::reference);
  m.attr("default_generator") = shared;
  default_generator_ = shared.release().ptr();
}

int dtype_from(PyObject* object) {
  if (Py_TYPE(object) == dtype_type) return nb::inst_ptr<Dtype>(nb::handle(object))->id;
  if (object == reinterpret_cast<PyObject*>(&PyFloat_Type)) return ATLED_FLOAT64;
  if (object == reinterpret_cast<PyObject*>(&PyLong_Type)) return ATLED_INT64;
  if (object == reinterpret_cast<PyObject*>(&PyBool_Type)) return ATLED_BOOL;
  if (object == reinterpret_cast<PyObject*>(&PyComplex_Type)) return ATLED_COMPLEX128;
  return -1;
}

PyObject* dtype_object(int dtype) { return Py_NewRef(dtype_objects[dtype]); }

bool device_from(PyObject* object, DLDevice* out) {
  if (Py_TYPE(object) == device_type) {
    *out = nb::inst_ptr<Device>(nb::handle(object))->value;
    return true;
  }
  if (!PyUnicode_Check(object)) return false;
  const char* text = PyUnicode_AsUTF8AndSize(object, nullptr);
  if (text && parse_device(text, out) == ATLED_OK) return true;
  if (text) raise();
  return false;
}

PyObject* device_object(DLDevice device) {
  static PyObject* cpu = nb::cast(Device{{kDLCPU, 0}}).release().ptr();
  if (device.device_type == kDLCPU) return Py_NewRef(cpu);
  return nb::cast(Device{device}).release().ptr();
}

atled_generator* generator_from(PyObject* object) {
  return Py_TYPE(object) == generator_type ? nb::inst_ptr<Generator>(nb::handle(object)) : nullptr;
}

PyObject* generator_object(atled_generator* generator) {
  nb::object found = nb::find(static_cast<Generator*>(generator));
  return found.is_valid() ? found.release().ptr() : Py_NewRef(default_generator_);
}

}  // namespace atled::core::python
