#include "dispatch/error.h"

#include <new>

#include "dispatch/thread_state.h"

namespace atled::core {

ATLED_THREAD_LOCAL ThreadState thread_state;
void (*drop_python_reference)(void* object) = nullptr;

namespace {

struct ErrorOwner {
  ErrorState state;
  ErrorOwner() { thread_state.error = &state; }
  ~ErrorOwner() {
    thread_state.error = nullptr;
    if (state.python && drop_python_reference) drop_python_reference(state.python);
  }
};

ErrorState& state() {
  if (!thread_state.error) {
    static thread_local ErrorOwner owner;
    thread_state.error = &owner.state;
  }
  return *thread_state.error;
}

void reset(ErrorState& s, int32_t kind) {
  if (s.python) {
    void* python = s.python;
    s.python = nullptr;
    drop_python_reference(python);
  }
  s.kind = kind;
  s.op.clear();
  s.inner.clear();
}

}  // namespace

int set_error(int32_t kind, const char* message) noexcept {
  ErrorState& s = state();
  reset(s, kind);
  try {
    s.message = message;
  } catch (const std::bad_alloc&) {
    s.message.clear();
  }
  return kind;
}

int set_python_error(void* exception) noexcept {
  ErrorState& s = state();
  reset(s, ATLED_E_PYTHON);
  s.message = "a Python exception";
  s.python = exception;
  return ATLED_E_PYTHON;
}

int get_error(atled_error* out) noexcept {
  ErrorState* s = thread_state.error;
  if (!s || s->kind == ATLED_OK) {
    *out = atled_error{ATLED_OK, "", "", nullptr};
    return ATLED_OK;
  }
  *out = atled_error{s->kind, s->message.c_str(), s->op.c_str(), s->python};
  return s->kind;
}

void clear_error() noexcept {
  if (thread_state.error) reset(*thread_state.error, ATLED_OK);
}

void name_error(const char* op) noexcept {
  ErrorState& s = state();
  if (s.kind == ATLED_OK || s.op == op) return;
  if (s.inner.empty()) s.inner.swap(s.op);
  s.op = op;
}

const char* inner_error() noexcept { return thread_state.error ? thread_state.error->inner.c_str() : ""; }

void* take_python_error() noexcept {
  if (!thread_state.error) return nullptr;
  void* python = thread_state.error->python;
  thread_state.error->python = nullptr;
  return python;
}

}  // namespace atled::core
