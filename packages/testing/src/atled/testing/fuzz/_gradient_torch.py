"""The same programs in PyTorch: its gradients, element by element, where it has the ops."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

import atled.core as at

from .._convert import Array
from ._gradient_check import Arrays, gradients
from ._gradient_program import Program, Step, Tensor

_ATOL, _RTOL = 1e-8, 1e-6

# Steps that are not compared, by a part of their text: where PyTorch 2.13 differs, and why. Finite differences, which
# the fuzzer takes of every program, side with atled in each case in which there is a derivative.
EXPLAINED = {
    "include_self=False": "amax and amin: an element of the target that equals the extreme gets a share all the same",
    "diagonal_scatter": "of windows that overlap: its copy overlaps as well",
    "hypot": "its gradient at (0, 0) is nan",
    "cholesky_": "the gradients of cholesky_solve and cholesky_inverse have a part for the triangle that is not read",
    "as_strided_scatter": "its gradient fails PyTorch's own gradcheck",
    "lstsq": "its other results are empty",
    "at.atan(": "on the branch cut the sign of a zero decides, and that hangs on the last bit of a matrix product",
    "at.angle(": "the same",
    "at.atan2(": "the same",
    "median": "of an expanded tensor it reads memory that is not the tensor's",
}


class NotThereError(Exception):
    """PyTorch has no such op, or takes other arguments."""


@cache
def _modules(namespace: str) -> list[Any]:
    torch = importlib.import_module("torch")
    functional = torch.nn.functional
    return {"linalg": [torch.linalg], "fft": [torch.fft], "special": [torch.special, torch], "nn": [functional]}.get(
        namespace, [torch, torch.Tensor, functional]
    )


_VIEWS_THERE = ("conj", "positive")  # of their argument's memory, where atled makes a copy


class Torch:
    """PyTorch as the world of a program."""

    def __init__(self) -> None:
        self.torch = importlib.import_module("torch")

    def call(self, op: str, *args: Any, **kwargs: Any) -> Any:
        """The function of that name, or the method."""
        namespace, _, name = op.rpartition("::")
        found = next((getattr(module, name) for module in _modules(namespace) if hasattr(module, name)), None)
        if found is None:
            raise NotThereError(op)
        mine = [self._mine(value) for value in args]
        try:
            result = found(*mine, **{key: self._mine(value) for key, value in kwargs.items()})
        except (TypeError, RuntimeError, IndexError, ValueError, NotImplementedError) as error:
            raise NotThereError(f"{op}: {error}") from error
        if self._recorded([*mine, *kwargs.values()]) and not self._recorded([result]):
            raise NotThereError(f"{op}: PyTorch does not differentiate it")
        return result.clone() if name in _VIEWS_THERE else result

    def _recorded(self, values: Iterable[Any]) -> bool:
        """Whether a tensor among them, or in a list among them, requires grad."""
        flat = (entry for value in values for entry in (value if isinstance(value, (list, tuple)) else [value]))
        return any(isinstance(entry, self.torch.Tensor) and entry.requires_grad for entry in flat)

    def _mine(self, value: Any) -> Any:
        return getattr(self.torch, value.name) if isinstance(value, at.dtype) else value

    def constant(self, array: Array) -> Tensor:
        """A copy."""
        return self.torch.from_numpy(np.array(array))

    def leaf(self, array: Array, layout: int) -> Tensor:
        """Contiguous: PyTorch has no negative strides."""
        return self.constant(array).requires_grad_()


def _apart(step: Step) -> Step:
    """The step, not run where it writes into memory that it reads: PyTorch then reads what it has just written."""

    def run(world: Any, target: Tensor, *others: Tensor) -> Any:
        if any(other.untyped_storage().data_ptr() == target.untyped_storage().data_ptr() for other in others):
            raise NotThereError("writes into memory that it reads")
        return step.run(world, target, *others)

    return replace(step, run=run) if step.in_place else step


def torch_gradients(program: Program, arrays: Arrays) -> tuple[float, Arrays]:
    """The loss and PyTorch's gradients; NotThereError where it cannot run the program."""
    world = Torch()
    program = replace(program, steps=tuple(map(_apart, program.steps)))
    try:
        leaves, slots = program.values(world, arrays)
        loss = program.loss(world, slots)
        if loss.requires_grad:
            loss.backward()
    except (TypeError, RuntimeError, IndexError, AttributeError, ValueError) as error:
        raise NotThereError(str(error)) from error
    return float(loss.detach()), [
        np.zeros_like(array) if leaf.grad is None else leaf.grad.resolve_conj().resolve_neg().numpy()
        for leaf, array in zip(leaves, arrays, strict=True)
    ]


def compare_with_torch(program: Program) -> tuple[bool, str]:
    """Whether PyTorch could run the program, and what is wrong, if anything is."""
    if any(part in step.text for step in program.steps for part in EXPLAINED):
        return False, ""
    # What reshape answers, a view or a copy, depends on memory order, and that of results is the library's own affair.
    reshapes = any("reshape" in step.text for step in program.steps)
    if reshapes and any(step.in_place for step in program.steps):
        return False, ""
    program = replace(program, leaves=tuple(replace(leaf, layout=-1) for leaf in program.leaves))
    arrays = [leaf.array for leaf in program.leaves]
    try:
        their_loss, theirs = torch_gradients(program, arrays)
    except NotThereError:
        return False, ""
    try:
        loss, ours = gradients(program, arrays)
    except at.NotImplementedOpError:
        return False, ""
    if not _near(np.asarray(loss), np.asarray(their_loss)):
        return True, f"the loss is {loss:.10g}, PyTorch's {their_loss:.10g}"
    for leaf, mine, other in zip(program.leaves, ours, theirs, strict=True):
        if not _near(mine, other):
            return True, f"the gradient of v{leaf.slot} is {mine.tolist()}, PyTorch's {other.tolist()}"
    return True, ""


def _near(mine: Array, other: Array) -> bool:
    scale = max(1.0, float(np.max(np.abs(other), initial=0.0)))
    return bool(np.allclose(mine / scale, other / scale, rtol=_RTOL, atol=_ATOL, equal_nan=True))
