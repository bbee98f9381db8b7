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

// set_autocast((on, bfloat16, cache, entered)) -> what was there before
PyObject* set(PyObject*, PyObject* wanted) {
  return python_call([&] {
    unsigned long long on = 0, bfloat16 = 0;
    int cache = 0, entered = 0;
    if (!PyArg_ParseTuple(wanted, "KKpp:set_autocast", &on, &bfloat16, &cache, &entered)) throw_python();
    Ref before = need(to_tuple(autocast()));
    set_autocast({on, bfloat16, cache != 0, entered != 0});
    return before.take();
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
                                  {"set_autocast", set, METH_O, nullptr},
                                  {"device_type", device_type, METH_O, nullptr},
                                  {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::autograd
