"""Hooks for what recorded calls save."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import atled.core as at
from atled.autograd import _tape


class saved_tensors_hooks:
    """A context manager, of this thread, that says how calls inside save tensors for their gradients.

    pack_hook: ``object = pack_hook(tensor)`` is called without recording for each tensor that a call saves, with an
        alias of it that has no history; the graph keeps the object in the tensor's place.
    unpack_hook: ``tensor = unpack_hook(object)`` is called when the gradient is computed, once for each time that the
        node runs. It must answer a tensor of the same shape, dtype and device (ArgumentError for what is no Tensor).

    Of nested ones the innermost counts, unless its pack_hook answers NotImplemented: then the next one around is asked,
    and where there is none the tensor is saved as it is. A tensor that was packed may be changed in place later: what
    was packed is used. A pack hook that changes its argument in place is an AutogradError.

    >>> import atled.core as at
    >>> from atled.autograd.graph import saved_tensors_hooks
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> with saved_tensors_hooks(lambda t: t.numpy(), lambda array: at.tensor(array)):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad.tolist()
    [2.0, 4.0]
    """

    def __init__(self, pack_hook: Callable[[at.Tensor], Any], unpack_hook: Callable[[Any], at.Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        _tape.push_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *error: object) -> None:
        _tape.pop_hooks()


class save_on_cpu(saved_tensors_hooks):
    """A context manager in which calls save tensors in host memory, and move them back when the gradient needs them.

    What is on the CPU already is not copied.

    pin_memory: save into pinned memory, from which copies to the device run beside its work.
    device_type: the type of device whose memory is to be spared; where it is not there, memory is not pinned.

    >>> import atled.core as at
    >>> from atled.autograd.graph import save_on_cpu
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> with save_on_cpu():
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad.tolist()
    [2.0, 4.0]
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: at.Tensor) -> tuple[at.device, at.Tensor]:
            if not pin_memory or tensor.device.type != device_type:
                return tensor.device, tensor.cpu()
            packed = at.empty(tensor.shape, dtype=tensor.dtype).pin_memory()
            return tensor.device, packed.copy_(tensor, non_blocking=True)

        def unpack(packed: tuple[at.device, at.Tensor]) -> at.Tensor:
            device, tensor = packed
            return tensor.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A context manager, and decorator, in which `saved_tensors_hooks` raise RuntimeError with this message.

    So does entering it where hooks are set.

    >>> from atled.autograd.graph import disable_saved_tensors_hooks, saved_tensors_hooks
    >>> with disable_saved_tensors_hooks("no hooks here"):
    ...     with saved_tensors_hooks(lambda t: t, lambda t: t):
    ...         pass
    Traceback (most recent call last):
        ...
    RuntimeError: no hooks here
    """
    before = _tape.disable_hooks(error_message)
    try:
        yield
    finally:
        _tape.disable_hooks(before)
