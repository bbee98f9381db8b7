"""Forward mode within a block: a dual tensor carries its tangent along, where `func.jvp` takes a function.

>>> import atled.core as at
>>> x, v = at.tensor([1.0, 2.0]), at.tensor([1.0, 0.5])
>>> with dual_level():
...     y = make_dual(x, v) ** 2
...     primal, tangent = unpack_dual(y)
>>> primal.tolist(), tangent.tolist()
([1.0, 4.0], [2.0, 2.0])
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from typing import NamedTuple

import atled.core as at
from atled.autograd import _tape
from atled.autograd.func._derivatives import dual, expect_differentiable
from atled.core._explained import explained

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class _Entered(threading.local):
    """The levels of this thread that were entered here, in the numbers of the tape's."""

    def __init__(self) -> None:
        self.levels: list[int] = []


_entered = _Entered()


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` answers: a tensor's value, and its tangent or None.

    >>> import atled.core as at
    >>> unpack_dual(at.ones(2)).tangent is None
    True
    """

    primal: at.Tensor
    tangent: at.Tensor | None


def enter_dual_level() -> int:
    """Begins a level, in which tensors may carry tangents, and answers its number; better a `dual_level` block.

    >>> level = enter_dual_level()
    >>> exit_dual_level(level=level)
    """
    level = _tape.begin("dual", 0, "")
    _entered.levels.append(level)
    return level


@explained
def exit_dual_level(*, level: int | None = None) -> None:
    """Ends the level that was entered last; OperationError for another, and where there is none.

    >>> _ = enter_dual_level()
    >>> exit_dual_level()
    """
    last = _last("exit_dual_level")
    if level not in (None, last) or _tape.depth() != last:
        raise at.OperationError(
            "exit_dual_level: expected the level that was entered last, outside of vmap and jvp that began in it, got "
            f"level {last if level is None else level}"
        )
    _entered.levels.pop()
    _tape.end()


def _last(name: str) -> int:
    if not _entered.levels:
        raise at.OperationError(f"{name}: expected a level that was entered on this thread, got none; use dual_level()")
    return _entered.levels[-1]


def _expect(level: int, name: str) -> int:
    if level not in _entered.levels:
        raise at.InvalidValueError(f"{name}: expected a level that enter_dual_level() answered, got {level}")
    return level


class dual_level(ContextDecorator):
    """A block, or a function that is decorated, in which tensors may carry tangents; blocks nest, with `func` as well.

    >>> import atled.core as at
    >>> with dual_level():
    ...     x = make_dual(at.tensor(2.0), at.tensor(1.0))
    ...     with dual_level():
    ...         y = make_dual(x, at.tensor(1.0)) ** 3
    ...         slope = unpack_dual(y).tangent
    ...     second = unpack_dual(slope).tangent
    >>> second.item()
    12.0
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *_: object) -> None:
        exit_dual_level()


@explained
def make_dual(tensor: at.Tensor, tangent: at.Tensor, *, level: int | None = None) -> at.Tensor:
    """A tensor over the memory of ``tensor`` that carries a tangent, and so does what is computed of it.

    The tangent, of the same shape and dtype, is where ``tensor`` moves to; a result's is where that moves to then. Both
    can be differentiated backward, if ``tensor`` or ``tangent`` require a gradient. To have the tangent of a gradient,
    differentiate by the dual tensor, after ``requires_grad_()``.

    level: which one, of several that were entered; the last by default. Errors: OperationError outside of `dual_level`,
    DTypeError for integers, ShapeError where shape or dtype differ, InvalidValueError for a tensor that has a tangent
    of this level already, or is of a vmap or jvp within it, and for a level that there is not.

    >>> import atled.core as at
    >>> x, v = at.tensor([1.0, 2.0]), at.tensor([1.0, 0.0])
    >>> with dual_level():
    ...     y = make_dual(x, v).requires_grad_()
    ...     (gradient,) = at.autograd.grad((y**3).sum(), [y])
    ...     print(unpack_dual(gradient).tangent)  # the Hessian times v
    tensor([6., 0.])
    """
    where = _last("make_dual") if level is None else _expect(level, "make_dual")
    for each, what in ((tensor, "a tensor"), (tangent, "a tangent")):
        expect_differentiable(each, "make_dual", what)
        if _tape.depth_of(each) >= where:
            raise at.InvalidValueError(
                f"make_dual: expected {what} without a tangent of level {where}, got one of level "
                f"{_tape.depth_of(each)}; unpack_dual() it, or enter a level inside of a vmap or jvp"
            )
    return dual(tensor, tangent, where, "make_dual")


@explained
def unpack_dual(tensor: at.Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The value of a tensor and its tangent, which is None where it carries none: ``(primal, tangent)``.

    Once its level has ended, a tensor has no tangent any more and takes part in no call; its value is what this answers
    then. ``level`` is as for `make_dual`.

    >>> import atled.core as at
    >>> with dual_level():
    ...     y = at.sin(make_dual(at.tensor(0.0), at.tensor(2.0)))
    ...     inside = unpack_dual(y).tangent.item()
    >>> inside, unpack_dual(y)
    (2.0, UnpackedDualTensor(primal=tensor(0.), tangent=None))
    """
    if level is not None:
        _expect(level, "unpack_dual")
    elif _entered.levels:
        level = _entered.levels[-1]
    try:
        pair = _tape.unwrap(tensor, level or 0)
    except at.AutogradError:  # of a level that has ended
        return UnpackedDualTensor(at.Tensor(tensor), None)
    return UnpackedDualTensor(tensor, None) if pair is None else UnpackedDualTensor(*pair)
