// The extension module atled.autograd._tape.
#include "autocast.h"
#include "modes.h"
#include "mutation.h"
#include "python/python.h"
#include "record.h"
#include "transform.h"

namespace atled::autograd {

void define_ops();         // ops.cpp
void define_products();    // products.cpp
void define_reductions();  // reductions.cpp

namespace {

PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                          "atled.autograd._tape",
                          "The tape; see atled.autograd.",
                          -1,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr,
                          nullptr};

bool connect_core() {
  char error[512] = "";
  const Ref imported(PyImport_ImportModule("atled.core"));  // the capsule is an attribute of it
  if (!imported) return false;
  auto* core = static_cast<const atled_handshake*>(PyCapsule_Import(ATLED_CAPSULE, 0));
  if (!core) return false;
  if (!connect(core, "atled-autograd", ATLED_AUTOGRAD_VERSION, error, sizeof error)) {
    PyErr_SetString(PyExc_ImportError, error);
    return false;
  }
  const int status = guard([] {
    add_layer("autograd", kLevel, on_call);
    add_layer("transform", kTransformLevel, on_transform);
    check(layer_group->own_slot("atled-autograd", drop_slot));
    define_ops();
    define_products();
    define_reductions();
    add_mutation_layer();
    add_autocast_layer();
    watch_profiler();
  });
  if (status != ATLED_OK) py_group->raise();
  return status == ATLED_OK;
}

}  // namespace

}  // namespace atled::autograd

PyMODINIT_FUNC PyInit__tape() {
  using namespace atled::autograd;
  if (!connect_core()) return nullptr;
  PyObject* module = PyModule_Create(&definition);
  if (!module) return nullptr;
  bool fine = init_node_type(module);
  for (PyMethodDef* methods : {tensor_methods, engine_methods, rule_methods, function_methods, graph_methods,
                               mode_methods, transform_methods, autocast_methods})
    fine = fine && PyModule_AddFunctions(module, methods) == 0;
  if (!fine) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
