// Mixed precision as Python's amp sees it.
#include "autocast.h"

#include "python/python.h"

namespace atled::autograd {

namespace {

PyObject* to_tuple(const Autocast& mode) {
  return need(Py_BuildValue("(KKNN)", static_cast<unsigned long long>(mode.on),
                            static_cast<unsigned long long>(mode.bfloat16), PyBool_FromLong(mode.cache),
                            PyBool_FromLong(mode.entered)))
      .take();
}

// autocast() -> (on, bfloat16, cache, entered) of this thread; the first two are words with a bit for each device type
PyObject* get(PyObject*, PyObject*) {
  return python_call([] { return to_tuple(autocast()); });
}

// set_autocast((on, bfloat16, cache, entered), leaving) -> what was there before
PyObject* set(PyObject*, PyObject* args) {
  return python_call([&] {
    unsigned long long on = 0, bfloat16 = 0;
    int cache = 0, entered = 0, leaving = 0;
    if (!PyArg_ParseTuple(args, "(KKpp)p:set_autocast", &on, &bfloat16, &cache, &entered, &leaving)) throw_python();
    Ref before = need(to_tuple(autocast()));
    set_autocast({on, bfloat16, cache != 0, entered != 0}, leaving != 0);
    return before.take();
  });
}

// autocast_tensors("lower", "float32" or "widest", tensors and Nones) -> a tuple of them
PyObject* tensors(PyObject*, PyObject* args) {
  return python_call([&] {
    const char* name = nullptr;
    PyObject* given = nullptr;
    if (!PyArg_ParseTuple(args, "sO!:autocast_tensors", &name, &PyTuple_Type, &given)) throw_python();
    const auto how = name[0] == 'l'   ? Rule::Autocast::kLower
                     : name[0] == 'f' ? Rule::Autocast::kFloat32
                                      : Rule::Autocast::kWidest;
    std::vector<atled_tensor*> list;
    for (Py_ssize_t i = 0; i < PyTuple_Size(given); ++i) {
      PyObject* object = PyTuple_GetItem(given, i);
      list.push_back(object == Py_None ? nullptr : tensor_of(object));
    }
    const std::vector<Tensor> found = autocast_tensors(how, list);
    Ref answer = need(PyTuple_New(PyTuple_Size(given)));
    for (size_t i = 0; i < found.size(); ++i)
      PyTuple_SetItem(answer.get(), static_cast<Py_ssize_t>(i), to_python(found[i].get()).take());
    return answer.take();
  });
}

// device_type("cuda") -> DLPack's number
PyObject* device_type(PyObject*, PyObject* name) {
  return python_call([&] {
    const char* text = PyUnicode_AsUTF8AndSize(name, nullptr);
    if (!text) throw_python();
    int32_t type = 0;
    check(device_group->find(text, &type));
    return PyLong_FromLong(type);
  });
}

}  // namespace

PyMethodDef autocast_methods[] = {{"autocast", get, METH_NOARGS, nullptr},
                                  {"set_autocast", set, METH_VARARGS, nullptr},
                                  {"autocast_tensors", tensors, METH_VARARGS, nullptr},
                                  {"device_type", device_type, METH_O, nullptr},
                                  {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
