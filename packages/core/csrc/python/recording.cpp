// What atled.core.profiler needs: begin and end of a recording, ranges, and the records as Python objects.
#include <cstring>
#include <map>

#include "dispatch/device.h"
#include "dispatch/recorder.h"
#include "python/python.h"
#include "tensor/dtype.h"

namespace atled::core::python {
namespace {

PyObject* start(PyObject*, PyObject* number) {
  const unsigned long what = PyLong_AsUnsignedLong(number);
  if (PyErr_Occurred()) return nullptr;
  if (!start_recording(static_cast<uint32_t>(what)))
    return raise(ATLED_E_RUNTIME, "profile", "one is recording already; end that one first, or let it record this too");
  return PyLong_FromLongLong(recorder_now());
}

Ref need(PyObject* object) {
  if (!object) throw Raised{catch_exception()};
  return Ref(object);
}

// (dtype, size...) at `word`, or None for a tensor that was not given; goes on to the next.
Ref tensor_words(const int64_t*& word) {
  const int64_t head = *word++;
  if (head < 0) return Ref::borrow(Py_None);
  const int ndim = static_cast<int>(head & 255);
  Ref made = need(PyTuple_New(ndim + 1));
  PyTuple_SetItem(made.get(), 0, need(PyUnicode_FromString(dtype_name(static_cast<int>(head >> 8)))).release());
  for (int d = 0; d < ndim; ++d) PyTuple_SetItem(made.get(), d + 1, need(PyLong_FromLongLong(*word++)).release());
  return made;
}

// A list with a tuple for each tensor, a list of them for a list, and None for another value.
Ref words(const int64_t* word) {
  if (!word) return Ref::borrow(Py_None);
  const Py_ssize_t n = static_cast<Py_ssize_t>(*word++);
  Ref made = need(PyList_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    const int64_t head = *word++;
    const Py_ssize_t count = static_cast<Py_ssize_t>(head & UINT32_MAX);
    Ref item;
    if (head >> 32 == ATLED_TENSORS) {
      item = need(PyList_New(count));
      for (Py_ssize_t k = 0; k < count; ++k) PyList_SetItem(item.get(), k, tensor_words(word).release());
    } else {
      item = head >> 32 == ATLED_TENSOR ? tensor_words(word) : Ref::borrow(Py_None);
    }
    PyList_SetItem(made.get(), i, item.release());
  }
  return made;
}

class Sites {
 public:
  Ref text(const uint64_t* site) {
    if (!site[0]) return need(PyUnicode_FromString(""));
    Ref& known = known_[{site[0], site[1]}];
    if (!known) {
      char text[1024];
      check(site_text(site, text, sizeof text));
      known = need(PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(strlen(text)), "replace"));
    }
    return Ref::borrow(known.get());
  }

 private:
  std::map<std::pair<uint64_t, uint64_t>, Ref> known_;
};

Ref device_words(const Recording& all, const Record& record) {
  int64_t begin = 0, end = 0;
  if (!device_time(all, record, &begin, &end)) return Ref::borrow(Py_None);
  const std::string name = device_text(record.device);
  return need(Py_BuildValue("(sKLL)", name.c_str(),
                            static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(record.stream)),
                            static_cast<long long>(begin), static_cast<long long>(end)));
}

using LL = long long;

Ref as_tuple(const Recording& all, const Record& r, Sites& sites) {
  const Ref site = sites.text(r.site), arguments = words(r.arguments), results = words(r.results);
  const Ref device = device_words(all, r);
  std::string name = r.name;
  if (r.inplace && name.back() != '_') name += '_';
  return need(Py_BuildValue("(siLLLKLLLLOOOOi)", name.c_str(), static_cast<int>(r.kind), LL{r.begin},
                            LL{r.end ? r.end : all.end}, LL{r.parent}, static_cast<unsigned long long>(r.sequence),
                            LL{r.allocated[0]}, LL{r.freed[0]}, LL{r.allocated[1]}, LL{r.freed[1]}, site.get(),
                            arguments.get(), results.get(), device.get(), int{r.failed}));
}

PyObject* stop(PyObject*, PyObject*) {
  return guarded("profile", [&] {
    struct Events {
      Recording all;
      ~Events() { drop_events(all); }
    } held{stop_recording()};
    {
      void* token = release_the_gil();
      int status = ATLED_OK;
      for (const DeviceClock& clock : held.all.clocks)
        if (status == ATLED_OK) status = device_synchronize(clock.device);
      if (token) acquire_the_gil(token);
      check(status);
    }
    Ref tracks = need(PyList_New(0));
    Sites sites;
    for (const Track& track : held.all.tracks) {
      Ref records = need(PyList_New(static_cast<Py_ssize_t>(track.count)));
      for (int64_t i = 0; i < track.count; ++i)
        PyList_SetItem(records.get(), static_cast<Py_ssize_t>(i), as_tuple(held.all, track.at(i), sites).release());
      const Ref one =
          need(Py_BuildValue("(KLO)", static_cast<unsigned long long>(track.thread), LL{track.dropped}, records.get()));
      if (PyList_Append(tracks.get(), one.get()) != 0) throw Raised{catch_exception()};
    }
    return tracks.release();
  });
}

PyObject* begin(PyObject*, PyObject* text) {
  const char* name = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, nullptr) : nullptr;
  if (!name)
    return PyErr_Occurred() ? nullptr
                            : raise(ATLED_E_ARGUMENT, "record_function", "expected a name that is a str, got %s",
                                    type_name(text).c_str());
  return PyLong_FromUnsignedLongLong(begin_range(name, RecordKind::kRange, 0));
}

PyObject* end(PyObject*, PyObject* number) {
  const unsigned long long range = PyLong_AsUnsignedLongLong(number);
  if (PyErr_Occurred()) return nullptr;
  end_range(range);
  Py_RETURN_NONE;
}

PyObject* is_on(PyObject*, PyObject*) { return PyBool_FromLong(recording.load(std::memory_order_relaxed) != 0); }

}  // namespace

PyMethodDef recording_methods[] = {
    {"_start_recording", start, METH_O,
     "_start_recording(what): records from now on, and answers its time; the bits are in recorder.h."},
    {"_stop_recording", stop, METH_NOARGS,
     "_stop_recording(): (thread, records lost, records) of each thread that did something."},
    {"_recording", is_on, METH_NOARGS, "_recording(): whether a profiler records."},
    {"_begin_range", begin, METH_O, "_begin_range(name): begins a range on this thread; its number for _end_range."},
    {"_end_range", end, METH_O, "_end_range(range): ends a range, and those in it."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace atled::core::python
