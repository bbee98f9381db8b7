#include "python/python_op.h"

#include <nanobind/stl/string.h>

#include <algorithm>

#include "dispatch/device.h"
#include "dispatch/registry.h"
#include "dispatch/thread_state.h"
#include "memory/allocator.h"
#include "python/python.h"

namespace nb = nanobind;

namespace atled::core::python {
namespace {

// A result of an op with a shape rule is copied: a kernel fills what it is given, which others may hold too.
void fill_output(atled_frame* frame, int i, const Tensor& made) {
  atled_tensor* out = frame->outs[i].u.tensor;
  const DLTensor &a = made->dl, &b = out->dl;
  const bool fits = a.ndim == b.ndim && std::equal(a.shape, a.shape + a.ndim, b.shape);
  if (!fits || made->dtype != out->dtype)
    fail(ATLED_E_RUNTIME, "expected the Python kernel to return %s of shape %s, got %s of shape %s",
         dtype_name(out->dtype), shape_text(out).c_str(), dtype_name(made->dtype), shape_text(made).c_str());
  static const atled::Op copy{"core::copy_"};
  copy(out, made);
}

// Stores what the Python kernel answered as owned results.
int store_results(atled_frame* frame, PyObject* answer) {
  const Op* op = as_op(frame->op);
  return guard([&] {
    auto one = [&](PyObject* o, const std::string& type) -> atled_value {
      if (is_tensor(o)) return value(Tensor::borrow(tensor_of(o)).release());
      Scratch scratch;
      atled_value v = none();
      if (type == "Tensor" || !to_scalar(o, &v, scratch) || v.tag == ATLED_COMPLEX_VALUE)
        fail(ATLED_E_ARGUMENT, "expected the Python kernel to return %s, got %s", type.c_str(), type_name(o).c_str());
      return v;
    };
    auto put = [&](int i, PyObject* o) {
      atled_value v = one(o, op->out_types[static_cast<size_t>(i)]);
      if (op->structured())
        fill_output(frame, i, Tensor::steal(v.u.tensor));
      else
        frame->outs[i] = v;
    };
    if (op->nouts == 0) return;
    if (op->out_list || op->nouts > 1) {
      if (!PyTuple_Check(answer) && !PyList_Check(answer))
        fail(ATLED_E_ARGUMENT, "expected the Python kernel to return a tuple, got %s", type_name(answer).c_str());
      const Py_ssize_t n = PySequence_Size(answer);
      if (!op->out_list && n != op->nouts)
        fail(ATLED_E_ARGUMENT, "expected the Python kernel to return %d results, got %zd", op->nouts, n);
      std::vector<Tensor> list;
      for (Py_ssize_t i = 0; i < n; ++i) {
        Ref o(PySequence_GetItem(answer, i));
        if (!o) throw Raised{catch_exception()};
        if (op->out_list) {
          atled_value v = one(o.get(), "Tensor");
          list.push_back(Tensor::steal(v.u.tensor));
        } else {
          put(static_cast<int>(i), o.get());
        }
      }
      if (op->out_list) set_out_list(frame, 0, list);
      return;
    }
    put(0, answer);
  });
}

// Layers see a composite's calls, but not what another kernel does, even of an op that they passed over.
class Unseen {
 public:
  explicit Unseen(const Op* op) : before_(thread_state.exclude) {
    constexpr uint64_t kLevels = ~uint64_t{1};  // all but level 0, which is no layer
    if (!(op->traits & ATLED_OP_COMPOSITE)) thread_state.exclude |= kLevels;
  }
  ~Unseen() { thread_state.exclude = before_; }
  Unseen(const Unseen&) = delete;
  Unseen& operator=(const Unseen&) = delete;

 private:
  uint64_t before_;
};

// ctx is the Python function; it gets the arguments by position and answers the results.
int run_python_kernel(void* ctx, atled_frame* frame) noexcept {
  PyGILState_STATE gil = PyGILState_Ensure();
  int status = ATLED_OK;
  {
    const Op* op = as_op(frame->op);
    const Unseen unseen(op);
    Ref args(PyTuple_New(op->nargs));
    for (int i = 0; args && i < op->nargs; ++i) {
      PyObject* o = to_python(frame->args[i]);
      if (!o)
        args = Ref();
      else
        PyTuple_SetItem(args.get(), i, o);
    }
    Ref answer(args ? PyObject_Call(static_cast<PyObject*>(ctx), args.get(), nullptr) : nullptr);
    if (!answer)
      status = catch_exception();
    else if (op->mutated < 0)
      status = store_results(frame, answer.get());
  }
  PyGILState_Release(gil);
  return status;
}

}  // namespace

void bind_python_ops(nb::module_& m) {
  m.def(
      "define_op",
      [](const std::string& schema, const std::string& doc, bool composite) -> nb::object {
        atled_op_def def{};
        def.size = sizeof def;
        def.schema = schema.c_str();
        def.doc = doc.c_str();
        def.traits = composite ? ATLED_OP_COMPOSITE : ATLED_OP_FLOAT8;  // Python's tensors raise for themselves
        const atled_op* op = nullptr;
        if (define_op(&def, &op) != ATLED_OK) {
          raise();
          throw nb::python_error();
        }
        return nb::steal(op_callable(as_op(op), false));
      },
      nb::arg("schema"), nb::arg("doc") = "", nb::kw_only(), nb::arg("composite") = false,
      "Registers an op by its schema and returns its callable; composite says that its kernel calls other ops and "
      "layers shall see those.\n\n"
      "schema: a name in a namespace of your own, arguments and results (docs/extending.md). The op is then in at.ops. "
      "InvalidValueError for a schema that makes no sense, PluginError for a name that is taken.\n\n"
      ">>> twice = at.define_op(\"docs::twice(Tensor input) -> Tensor\", \"Two times the input.\", composite=True)\n"
      ">>> at.add_kernel(twice, \"any\", lambda x: x + x)\n>>> at.ops.docs.twice(at.tensor([1, 2]))\n"
      "tensor([2, 4])");
  m.def(
      "add_kernel",
      [](nb::handle op, const std::string& device, nb::object function) {
        const Op* found = op_of_callable("add_kernel", op.ptr());
        DLDevice d{ATLED_DEVICE_ANY, 0};
        const bool known = device == "any" || device_named(device.c_str(), &d.device_type) ||
                           parse_device(device.c_str(), &d) == ATLED_OK;
        if (!found || !known) {
          if (found) raise();
          throw nb::python_error();
        }
        if (add_kernel_entry(found, d.device_type, run_python_kernel, function.ptr()) != ATLED_OK) {
          raise();
          throw nb::python_error();
        }
        function.inc_ref();  // kernels are never removed
      },
      nb::arg("op"), nb::arg("device"), nb::arg("function"),
      "Registers a Python function as the kernel of an op for a device, or for \"any\": it gets the arguments by "
      "position and returns the results.\n\n"
      "What it raises goes to the caller of the op; an op without a kernel for a device raises "
      "NotImplementedOpError.\n\n"
      ">>> thrice = at.define_op(\"docs::thrice(Tensor input) -> Tensor\")\n"
      ">>> at.add_kernel(thrice, \"cpu\", lambda x: x * 3)\n>>> thrice(at.tensor([1, 2]))\n"
      "tensor([3, 6])");
}

}  // namespace atled::core::python
