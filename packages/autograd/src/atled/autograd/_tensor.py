"""What this package puts on Tensor, through the entry points ``atled.tensor_attributes``."""

import warnings
from collections.abc import Callable

import atled.core as at
from atled.autograd import _tape
from atled.autograd._engine import tensor_backward as backward  # noqa: F401 - an entry point
from atled.core._hooks import RemovableHandle


def _get_grad(self: at.Tensor) -> at.Tensor | None:
    found: at.Tensor | None = _tape.grad(self)
    if found is None and not _tape.is_leaf(self) and not _tape.retains_grad(self):
        warnings.warn(
            "grad of a tensor that is no leaf is not kept: "
            "call retain_grad() on it before backward, or look at the leaf",
            stacklevel=2,
        )
    return found


grad = property(
    _get_grad,
    lambda self, value: _tape.set_grad(self, value),
    lambda self: _tape.set_grad(self, None),
    "The gradient that backward has accumulated, or None.",
)
requires_grad = property(
    _tape.requires_grad,
    lambda self, value: _tape.set_requires_grad(self, value),
    None,
    "Whether calls with this tensor are recorded.",
)
grad_fn = property(_tape.grad_fn, None, None, "The recorded call that made this tensor, or None for a leaf.")
is_leaf = property(_tape.is_leaf, None, None, "Whether no recorded call made this tensor.")
output_nr = property(_tape.output_nr, None, None, "Which result of grad_fn this tensor is.")
retains_grad = property(_tape.retains_grad, None, None, "Whether a tensor that is no leaf keeps its gradient.")


def requires_grad_(self: at.Tensor, requires_grad: bool = True) -> at.Tensor:
    """Starts or stops recording calls with this leaf, and answers it.

    AutogradError for tensors of integers and for results of recorded calls.

    >>> import atled.core as at
    >>> x = at.tensor([1.0, 2.0]).requires_grad_()
    >>> (x * 2).requires_grad, x.requires_grad_(False).requires_grad
    (True, False)
    """
    return _tape.set_requires_grad(self, requires_grad)


def is_inference(self: at.Tensor) -> bool:
    """Whether this tensor's memory was allocated in `atled.autograd.inference_mode`.

    >>> import atled.core as at
    >>> from atled.autograd import inference_mode
    >>> with inference_mode():
    ...     x = at.ones(2)
    >>> x.is_inference(), x.clone().is_inference()
    (True, False)
    """
    return _tape.is_inference(self)


def detach(self: at.Tensor) -> at.Tensor:
    """A tensor over the same memory without history.

    >>> import atled.core as at
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> y = (x * 2).detach()
    >>> y.requires_grad, y.tolist()
    (False, [2.0, 4.0])
    """
    return _tape.detach(self)


def detach_(self: at.Tensor) -> at.Tensor:
    """Drops this tensor's history, and answers it; AutogradError for a view.

    >>> import atled.core as at
    >>> y = at.tensor([1.0, 2.0], requires_grad=True) * 2
    >>> y.detach_() is y, y.requires_grad, y.is_leaf
    (True, False, True)
    """
    return _tape.detach_(self)


def retain_grad(self: at.Tensor) -> None:
    """Keeps the gradient of this tensor in ``grad`` though it is no leaf.

    >>> import atled.core as at
    >>> x = at.tensor(3.0, requires_grad=True)
    >>> y = x * x
    >>> y.retain_grad()
    >>> (2 * y).backward()
    >>> y.grad.item(), x.grad.item()
    (2.0, 12.0)
    """
    _tape.retain_grad(self)


def register_hook(self: at.Tensor, hook: Callable[[at.Tensor], at.Tensor | None]) -> RemovableHandle:
    """Calls ``hook(gradient)`` whenever this tensor's gradient is complete; what it answers takes its place.

    >>> import atled.core as at
    >>> x = at.tensor(2.0, requires_grad=True)
    >>> handle = x.register_hook(lambda g: g * 10)
    >>> (x * 3).backward()
    >>> x.grad.item()
    30.0
    """
    return RemovableHandle(_tape.hooks(self), hook)


def register_post_accumulate_grad_hook(self: at.Tensor, hook: Callable[[at.Tensor], None]) -> RemovableHandle:
    """Calls ``hook(tensor)`` after a gradient was added to this leaf's ``grad``; answers a handle with ``remove()``.

    >>> import atled.core as at
    >>> x = at.tensor(2.0, requires_grad=True)
    >>> handle = x.register_post_accumulate_grad_hook(lambda t: print(t.grad.item()))
    >>> (x * 3).backward()
    3.0
    """
    return RemovableHandle(_tape.post_hooks(self), hook)
