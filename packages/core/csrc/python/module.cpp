// atled.core._core: puts the parts of the binding together.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstring>

#include "abi/abi.h"
#include "abi/tables.h"
#include "cpu/float_mode.h"
#include "cpu/levels.h"
#include "cpu/parallel.h"
#include "dispatch/device.h"
#include "dispatch/dispatch.h"
#include "dispatch/error.h"
#include "dispatch/fusion.h"
#include "dispatch/generator.h"
#include "dispatch/host_fallback.h"
#include "dispatch/registry.h"
#include "dispatch/thread_state.h"
#include "memory/allocator.h"
#include "ops/rules.h"
#include "python/objects.h"
#include "python/python.h"
#include "python/python_op.h"
#include "tensor/dtype.h"

namespace nb = nanobind;

namespace atled::core::python {
namespace {

void check_or_raise(int status) {
  if (status == ATLED_OK) return;
  raise();
  throw nb::python_error();
}

[[noreturn]] void rethrow() { throw nb::python_error(); }
[[noreturn]] void rethrow_state() {
  raise();
  rethrow();
}

// ---- hooks that the parts below Python call ----

struct Gil {
  PyGILState_STATE state = PyGILState_Ensure();
  ~Gil() { PyGILState_Release(state); }
};

// Calls a function of _registry with strings; what it raises becomes the error state.
int ask_registry(const char* function, std::initializer_list<const char*> words) {
  if (!Py_IsInitialized()) return ATLED_OK;
  Gil gil;
  Ref f = import_function("atled.core._registry", function);
  Ref args(PyTuple_New(static_cast<Py_ssize_t>(words.size())));
  if (!f || !args) return catch_exception();
  Py_ssize_t i = 0;
  for (const char* w : words) PyTuple_SetItem(args.get(), i++, PyUnicode_FromString(w));
  Ref done(PyObject_Call(f.get(), args.get(), nullptr));
  return done ? ATLED_OK : catch_exception();
}

// The same, with the text of what is raised as the error state's.
int ask_registry_in_words(const char* function, std::initializer_list<const char*> words) {
  const int status = ask_registry(function, words);
  if (status == ATLED_OK) return status;
  Gil gil;
  Ref exception(static_cast<PyObject*>(take_python_error()));
  Ref text(exception ? PyObject_Str(exception.get()) : nullptr);
  const char* utf8 = text ? PyUnicode_AsUTF8AndSize(text.get(), nullptr) : nullptr;
  if (!utf8) PyErr_Clear();
  return utf8 ? set_error(ATLED_E_PLUGIN, utf8) : status;
}

void install_hooks() {
  drop_python_reference = [](void* object) {
    if (!Py_IsInitialized()) return;
    Gil gil;
    Py_DECREF(static_cast<PyObject*>(object));
  };
  load_ops = [](const char* ns) { return ask_registry("load_ops", {ns}); };
  load_kernels = [](const char* device, const char* ns) { return ask_registry_in_words("load_kernels", {device, ns}); };
  load_device = [](const char* name) { return ask_registry("load_device", {name}); };
  call_site = call_site_text;
  release_gil = release_the_gil;
  acquire_gil = acquire_the_gil;
  py_table = atled_py_group{
      [](atled_tensor* t, void** out) -> int {
        retain(t);
        *out = wrap(t);
        return *out ? ATLED_OK : catch_exception();
      },
      [](void* object, atled_tensor** out) -> int {
        PyObject* o = static_cast<PyObject*>(object);
        if (!is_tensor(o)) return set_error(ATLED_E_ARGUMENT, ("expected a Tensor, got " + type_name(o)).c_str());
        *out = tensor_of(o);
        const int status = settle(*out);
        return status == ATLED_OK ? settle_readers(*out) : status;  // who asks may write into it, too
      },
      [](const atled_value* v, void** out) -> int {
        *out = to_python(*v);
        return *out ? ATLED_OK : catch_exception();
      },
      []() -> int {
        raise();
        return ATLED_OK;
      },
      []() -> int { return catch_exception(); },
      call_site_text,
      take_site,
      release_site,
      site_text,
      [](void* object, atled_tensor** out) -> int {
        PyObject* o = static_cast<PyObject*>(object);
        if (!is_tensor(o)) return set_error(ATLED_E_ARGUMENT, ("expected a Tensor, got " + type_name(o)).c_str());
        *out = tensor_of(o);
        return ATLED_OK;
      },
  };
}

nb::object callable(const Op* op, bool inplace) {
  PyObject* o = op_callable(op, inplace);
  if (!o) rethrow();
  return nb::steal(o);
}

nb::object find(const std::string& name, bool inplace) {
  const Op* op = need_op(name.c_str());
  if (!op) rethrow();
  return callable(op, inplace);
}

void bind_registry(nb::module_& m) {
  m.def("_op", &find, nb::arg("name"), nb::arg("inplace") = false, "The callable of an op by its qualified name.");
  m.def(
      "ops",
      [] {
        nb::list list;
        for (uint32_t id = 0; id < op_count(); ++id) list.append(callable(op_at(id), false));
        return list;
      },
      "The callables of all registered ops, in order of registration.");
  m.def(
      "has_op", [](const std::string& name) { return lookup_op(name) != nullptr; }, nb::arg("name"),
      "True when an op of that qualified name, or alias, is registered already.\n\n"
      "Ops of another wheel are once it is imported.\n\n"
      ">>> at.has_op(\"core::exp\"), at.has_op(\"core::nothing\")\n(True, False)");
  m.def(
      "inplace_form",
      [](nb::handle op) -> nb::object {
        const Op* found = op_of_callable("inplace_form", op.ptr());
        if (!found) rethrow();
        return (found->traits & ATLED_OP_INPLACE) ? callable(found, true) : nb::none();
      },
      nb::arg("op"),
      "The callable of an op's in-place form, name_, or None where it has none.\n\n"
      ">>> at.inplace_form(at.exp) is at.exp_, at.inplace_form(at.sort)\n(True, None)");
  m.def(
      "has_kernel",
      [](nb::handle op, const std::string& device) {
        const Op* found = op_of_callable("has_kernel", op.ptr());
        if (!found) rethrow();
        DLDevice d;
        check_or_raise(parse_device(device.c_str(), &d));
        return find_kernel(found, d).run != nullptr;
      },
      nb::arg("op"), nb::arg("device"),
      "True when the op has a kernel for the device, one of its own or one for all.\n\n"
      "device: its name; DeviceError where no wheel provides it.\n\n"
      ">>> at.has_kernel(at.exp, \"cpu\")\nTrue");
  m.def(
      "load_plugin", [](const std::string& path) { check_or_raise(load_plugin(path.c_str())); }, nb::arg("path"),
      "Loads a plugin library and lets it register what it brings: ops, kernels, devices.\n\n"
      "path: the library's file. PluginError where it is none or raises, ABIError where it was built for another ABI. "
      "Wheels with an entry point in the group atled.plugins are loaded by themselves (docs/extending.md).\n\n"
      ">>> at.load_plugin(\"none.so\")  # doctest: +IGNORE_EXCEPTION_DETAIL\n"
      "Traceback (most recent call last):\n"
      "atled.core.PluginError: plugin none.so cannot be loaded: ...");
  m.def(
      "layers",
      [] {
        nb::dict names;
        for (uint32_t level = 0; level < 64; ++level)
          if (const char* name = layer_name(level)) names[nb::int_(level)] = name;
        return names;
      },
      "Level and name of each registered layer: what stands between a call and its kernel, such as autograd's tape.\n\n"
      ">>> all(isinstance(level, int) for level in at.layers())\nTrue");
  m.def(
      "peers",
      [] {
        nb::list list;
        for (const Peer& p : peers()) list.append(nb::make_tuple(p.distribution, p.version, p.minor, p.target_minor));
        return list;
      },
      "(distribution, version, ABI minor, oldest minor accepted) of each library that has negotiated, in order.\n\n"
      ">>> all(oldest <= minor for _, _, minor, oldest in at.peers())\nTrue");
  m.def(
      "cpu_level", [] { return cpu_level() == kAvx512 ? "avx512"
                               : cpu_level() == kAvx2 ? "avx2"
                                                      : "baseline"; },
      "The instruction set that kernels use: avx512, avx2 or baseline. ATLED_CPU_LEVEL lowers it.\n\n"
      ">>> at.cpu_level() in (\"avx512\", \"avx2\", \"baseline\")\nTrue");
  m.def(
      "_group",
      [](const char* name, uint32_t version, size_t size) {
        std::string bytes(size, 0);
        check_or_raise(get_group(name, version, bytes.data(), size));
        return nb::bytes(bytes.data(), size);
      },
      nb::arg("name"), nb::arg("version"), nb::arg("size"), "The first bytes of a table that a wheel published.");
  m.def("_raise_error", [] { rethrow_state(); }, "Raises what this thread's last failed call of a table has set.");
  m.def(
      "abi_version", [] { return nb::make_tuple(handshake()->major, handshake()->minor); },
      "(major, minor) of the C ABI (docs/abi.md).\n\n"
      ">>> major, minor = at.abi_version()\n>>> (major, minor) >= (0, 2)\nTrue");
}

void bind_process(nb::module_& m) {
  nb::object generator = m.attr("default_generator");
  m.def(
      "manual_seed", [generator](nb::int_ seed) { return generator.attr("manual_seed")(seed); }, nb::arg("seed"),
      "Seeds the default generator, which random ops draw from unless given another; returns it.\n\n"
      "seed: an int, of which 64 bits count. After it the same calls draw the same numbers, on any device and number "
      "of threads.\n\n"
      ">>> generator = at.manual_seed(0)\n>>> at.rand(3)\ntensor([0.3990, 0.8805, 0.7357])");
  m.def(
      "get_default_dtype", [] { return nb::steal(dtype_object(default_dtype())); },
      "The dtype of floating-point results that nothing else decides: of Python floats, and of integers in at.exp and "
      "its like.\n\n"
      ">>> at.get_default_dtype()\natled.float32");
  m.def(
      "set_default_dtype",
      [](nb::handle dtype) {
        int id = dtype_from(dtype.ptr());
        if (id < 0) {
          raise(ATLED_E_ARGUMENT, "set_default_dtype", "expected a dtype, got %s", type_name(dtype.ptr()).c_str());
          rethrow();
        }
        if (guard([&] { set_default_dtype(id); }) != ATLED_OK) check_or_raise(ATLED_E_DTYPE);
      },
      nb::arg("dtype"),
      "Sets the default floating-point dtype of the process: float16, bfloat16, float32 (at the start) or float64.\n\n"
      "DTypeError for another one.\n\n"
      ">>> at.set_default_dtype(at.float64)\n>>> at.tensor(1.5).dtype\natled.float64\n"
      ">>> at.set_default_dtype(at.float32)");
  m.def(
      "get_default_device", [] { return nb::steal(device_object(thread_state.device)); },
      "Where this thread makes tensors that nothing else places: the CPU unless set otherwise.\n\n"
      ">>> with at.device(\"meta\"):\n...     at.get_default_device()\ndevice('meta')");
  m.def(
      "set_default_device",
      [](nb::handle device) {
        DLDevice chosen{kDLCPU, 0};
        if (!device.is_none() && !device_from(device.ptr(), &chosen)) {
          if (!PyErr_Occurred())
            raise(ATLED_E_ARGUMENT, "set_default_device", "expected a device or its name, got %s",
                  type_name(device.ptr()).c_str());
          rethrow();
        }
        thread_state.device = chosen;
      },
      nb::arg("device").none(),
      "Sets where this thread makes tensors that nothing else places; None for the CPU.\n\n"
      "device: a device or its name; DeviceError where there is none such. ``with at.device(...)`` does it for a "
      "block.\n\n"
      ">>> at.set_default_device(\"meta\")\n>>> at.zeros(2).device\ndevice('meta')\n"
      ">>> at.set_default_device(None)");
  m.def(
      "set_flush_denormal",
      [](bool mode) {
        check_or_raise(settle_region());  // what was put off is computed in the mode it was called in
        if (kHasFloatMode) set_float_mode(mode ? float_mode() | kFlushDenormal : float_mode() & ~kFlushDenormal);
        return kHasFloatMode;
      },
      nb::arg("mode"),
      "Sets whether this thread's calls take subnormal numbers as zero; answers whether the processor can do that.\n\n"
      ">>> can = at.set_flush_denormal(True)\n>>> (at.tensor([1e-39]) * 1 == 0).item() == can\nTrue\n"
      ">>> at.set_flush_denormal(False) == can\nTrue");
  m.def(
      "_promote",
      [](nb::handle a, nb::handle b) {
        const int x = dtype_from(a.ptr()), y = dtype_from(b.ptr());
        if (x < 0 || y < 0) {
          raise(ATLED_E_ARGUMENT, "promote_types", "expected dtypes, got %s and %s", type_name(a.ptr()).c_str(),
                type_name(b.ptr()).c_str());
          rethrow();
        }
        int dtype = 0;
        const int status = guard([&] { dtype = promote(x, y); });
        if (status != ATLED_OK) name_error("promote_types");
        check_or_raise(status);
        return nb::steal(dtype_object(dtype));
      },
      nb::arg("a"), nb::arg("b"));
  m.def(
      "_promote_scalar",
      [](nb::handle dtype, nb::handle scalar) {
        Scratch scratch;
        atled_value v = none();
        // An integer counts as one whatever its size.
        if (!to_scalar(scalar.ptr(), &v, scratch) && !PyLong_Check(scalar.ptr())) {
          raise(ATLED_E_ARGUMENT, "result_type", "expected tensors, dtypes and numbers, got %s",
                type_name(scalar.ptr()).c_str());
          rethrow();
        }
        return nb::steal(dtype_object(dtype.is_none() ? scalar_dtype(v) : promote_scalar(dtype_from(dtype.ptr()), v)));
      },
      nb::arg("dtype").none(), nb::arg("scalar"));
  m.def("get_num_threads", &num_threads,
        "How many threads one op may use: the cores unless set otherwise. Results do not depend on it.\n\n"
        ">>> at.get_num_threads() >= 1\nTrue");
  m.def(
      "set_num_threads",
      [](int n) {
        if (n < 1) {
          raise(ATLED_E_VALUE, "set_num_threads", "expected at least 1, got %d", n);
          rethrow();
        }
        set_num_threads(n);
      },
      nb::arg("num_threads"),
      "Sets how many threads one op may use, in the whole process; InvalidValueError below 1.\n\n"
      ">>> before = at.get_num_threads()\n>>> at.set_num_threads(1)\n>>> at.get_num_threads()\n1\n"
      ">>> at.set_num_threads(before)");
  m.def(
      "fallback_to_cpu", [](const char* device, bool on) { check_or_raise(fallback_to_cpu(device, on)); },
      nb::arg("device"), nb::arg("on") = true,
      "Runs ops that have no kernel for a device on the CPU, by copies there and back, or stops doing so.\n\n"
      "device: the name of a type, such as \"cuda\"; DeviceError where no wheel provides it. Without it such ops raise "
      "NotImplementedOpError, so that nobody pays for copies unknowingly.\n\n"
      ">>> if at.cuda.is_available():\n...     at.fallback_to_cpu(\"cuda\")\n"
      "...     at.fallback_to_cpu(\"cuda\", False)");
  m.def(
      "_current_stream",
      [](nb::handle device) {
        DLDevice d{kDLCPU, 0};
        if (!device_from(device.ptr(), &d)) {
          raise(ATLED_E_ARGUMENT, "_current_stream", "expected a device, got %s", type_name(device.ptr()).c_str());
          rethrow();
        }
        const atled_device_def* def = device_def(d.device_type);
        atled_stream stream = nullptr;
        if (def && def->current_stream) check_or_raise(def->current_stream(def->self, d.device_id, &stream));
        return reinterpret_cast<uintptr_t>(stream);
      },
      nb::arg("device"),
      "The handle of this thread's current stream of a device; 0 is the default stream, or a device without streams.");
  m.def(
      "memory_stats",
      [] {
        MemoryStats s = memory_stats();
        nb::dict d;
        d["live_bytes"] = s.live_bytes;
        d["peak_bytes"] = s.peak_bytes;
        d["cached_bytes"] = s.cached_bytes;
        d["system_calls"] = s.system_calls;
        d["held_bytes"] = s.held_bytes;
        d["limit_bytes"] = s.limit_bytes;
        d["cache_limit_bytes"] = s.most_cached;
        return d;
      },
      "What the CPU allocator holds: live and peak bytes (in blocks above 64 KiB), cached bytes, blocks asked of the "
      "system, all bytes held with their limit (0 for none), and the most that is cached.\n\n"
      ">>> before = at.memory_stats()[\"live_bytes\"]\n>>> x = at.zeros(1 << 20)\n"
      ">>> at.memory_stats()[\"live_bytes\"] - before\n4194304");
  m.def(
      "set_memory_limit",
      [](int64_t bytes) {
        if (bytes < 0) {
          raise(ATLED_E_VALUE, "set_memory_limit", "expected at least 0, got %lld", static_cast<long long>(bytes));
          rethrow();
        }
        set_memory_limit(static_cast<uint64_t>(bytes));
      },
      nb::arg("limit"),
      "Sets how many bytes the CPU allocator may hold, cached ones too; 0 for no limit.\n\n"
      "What would go beyond raises OutOfMemoryError. ATLED_MEMORY_LIMIT (\"8G\") sets it at the start.\n\n"
      ">>> before = at.memory_stats()[\"limit_bytes\"]\n>>> at.set_memory_limit(1 << 40)\n"
      ">>> at.memory_stats()[\"limit_bytes\"] == 1 << 40\nTrue\n>>> at.set_memory_limit(before)");
  m.def("reset_peak_memory", &reset_peak,
        "Makes memory_stats' peak_bytes start from what is live now.\n\n"
        ">>> at.reset_peak_memory()\n>>> stats = at.memory_stats()\n"
        ">>> stats[\"peak_bytes\"] == stats[\"live_bytes\"]\nTrue");
  m.def("_enter_fusion", [] { check_or_raise(enter_region()); }, "Begins a region of this thread.");
  m.def("_leave_fusion", [] { check_or_raise(leave_region()); }, "Ends it, and runs what was put off.");
  m.def(
      "_fusion_counts", [] { return nb::make_tuple(fused_calls.load(), fused_runs.load()); },
      "Of this process: calls that were put off, and how many of them were run.");
  m.def(
      "_set_fusion_limit", [](int64_t limit) { return std::exchange(fusion_limit, limit); }, nb::arg("limit"),
      "Of how many elements a result must be to be put off; answers what it was.");
  m.def("trim_memory", &trim,
        "Gives cached memory of the CPU allocator back to the system.\n\n"
        ">>> at.trim_memory()\n>>> at.memory_stats()[\"cached_bytes\"]\n0");
}

}  // namespace

}  // namespace atled::core::python

NB_MODULE(_core, m) {
  using namespace atled::core;
  using namespace atled::core::python;
  nb::set_leak_warnings(false);  // dtypes and the default generator live as long as the process
  connect_core();
  install_hooks();
  PyObject* module = m.ptr();
  if (!init_errors(module)) rethrow();
  bind_objects(m);
  if (!init_size_type(module) || !init_tensor_type(module) || !init_op_type(module) || !init_explained_type(module))
    rethrow();
  check_or_raise(register_builtin_ops());
  if (!add_methods()) rethrow();
  if (PyModule_AddFunctions(module, construct_methods) < 0 || PyModule_AddFunctions(module, interop_methods) < 0 ||
      PyModule_AddFunctions(module, sharing_methods) < 0 || PyModule_AddFunctions(module, recording_methods) < 0)
    rethrow();
  bind_registry(m);
  bind_process(m);
  bind_python_ops(m);
  m.attr("__version__") = handshake()->version;
  m.attr("_abi") = nb::steal(PyCapsule_New(const_cast<atled_handshake*>(handshake()), ATLED_CAPSULE, nullptr));
  nb::object api = nb::steal(exchange_api_capsule());
  if (!api.is_valid() ||
      PyObject_SetAttrString(reinterpret_cast<PyObject*>(tensor_type), "__dlpack_c_exchange_api__", api.ptr()) < 0)
    rethrow();
}
