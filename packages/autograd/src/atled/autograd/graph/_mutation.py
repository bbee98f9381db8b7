"""Changing in place what a graph has saved."""

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import atled.core as at
from atled.autograd import _tape
from atled.autograd.graph._saving import saved_tensors_hooks


class _Handle:
    """A saved tensor: the graph holds it, and it holds the tensor, or its copy once that has been changed."""

    __slots__ = ("__weakref__", "context", "tensor")

    def __init__(self, tensor: at.Tensor, context: "MutationContext") -> None:
        self.tensor = tensor
        self.context = context


class MutationContext:
    """What `allow_mutation_on_saved_tensors` answers; ``clear()`` lets go of all that is saved."""

    def __init__(self) -> None:
        self._saved: dict[int, weakref.WeakSet[_Handle]] = {}  # by storage
        self._open = True

    def clear(self) -> None:
        """Lets go of the tensors; graphs recorded inside cannot run any more."""
        for handles in self._saved.values():
            for handle in handles:
                del handle.tensor
        self._saved.clear()

    def _pack(self, tensor: at.Tensor) -> _Handle:
        handle = _Handle(tensor, self)
        self._hold(handle)
        return handle

    def _hold(self, handle: _Handle) -> None:
        self._saved.setdefault(_tape.storage_key(handle.tensor), weakref.WeakSet()).add(handle)

    def _unpack(self, handle: _Handle) -> at.Tensor:
        if not self._open or not hasattr(handle, "tensor"):
            raise at.AutogradError(
                "allow_mutation_on_saved_tensors: expected backward to run inside the context in which its graph was "
                "recorded, and before clear()"
            )
        return handle.tensor

    def _before_change(self, storage: int) -> None:
        copies: dict[Any, at.Tensor] = {}
        for handle in self._saved.pop(storage, ()):
            t = handle.tensor
            key = (t.data_ptr(), t.dtype, tuple(t.shape), tuple(t.stride()))
            if key not in copies:
                copies[key] = t.clone()
            handle.tensor = copies[key]
            self._hold(handle)


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[MutationContext]:
    """A context manager in which tensors that a graph has saved may be changed in place: they are copied just before.

    Record and run backward inside, on one thread. Answers an object whose ``clear()`` lets go of what is saved.
    Raises AutogradError when it is nested, and when backward runs after its end.

    >>> import atled.core as at
    >>> from atled.autograd.graph import allow_mutation_on_saved_tensors
    >>> with allow_mutation_on_saved_tensors():
    ...     x = at.tensor([2.0, 3.0], requires_grad=True)
    ...     y = x.clone()
    ...     z = (y * y).sum()
    ...     _ = y.zero_()
    ...     z.backward()
    >>> x.grad.tolist()
    [4.0, 6.0]
    """
    context = MutationContext()
    outer = _tape.watch_mutation(context._before_change)
    try:
        if outer is not None:
            raise at.AutogradError("allow_mutation_on_saved_tensors: expected no other of its kind around it")
        with saved_tensors_hooks(context._pack, context._unpack):
            yield context
    finally:
        _tape.watch_mutation(outer)
        context.clear()
        context._open = False
