"""A Function called with tensors of a running vmap or jvp whose step the tape does not record at that level.

Then its forward is not to be taken apart: the levels further out would differentiate what it is made of, in place of
the gradient that it states.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import atled.core as at
from atled.autograd import _tape
from atled.autograd.grad_mode import is_grad_enabled, recorded


@dataclass(frozen=True)
class VmapInfo:
    """What ``Function.vmap`` is told: the size of the batch."""

    batch_size: int


def deepest(args: tuple[Any, ...]) -> int:
    """The innermost level that an argument is of; 0 for none."""
    return max((_tape.depth_of(a) for a in args if isinstance(a, at.Tensor)), default=0)


def lifted(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, those with a history of a level further out as tensors of the level of the innermost history."""
    depths = [_tape.history_depth(a) if isinstance(a, at.Tensor) else -1 for a in args]
    level = max(depths, default=-1)
    if not deepest(args) < level <= _tape.depth():
        return args
    return tuple(_tape.at_level(a, level) if 0 <= d < level else a for a, d in zip(args, depths, strict=True))


def _opened(args: tuple[Any, ...], level: int) -> tuple[list[Any], list[Any], list[bool]]:
    """What the arguments stand for at a level, their tangents, and which are of that level."""
    values, tangents, inside = [], [], []
    for a in args:
        pair = _tape.unwrap(a, level) if isinstance(a, at.Tensor) else None
        values.append(a if pair is None else pair[0])
        tangents.append(None if pair is None else pair[1])
        inside.append(pair is not None)
    return values, tangents, inside


def _requires_grad(value: Any) -> bool:
    """Whether a level further out differentiates by it."""
    while isinstance(value, at.Tensor):
        if value.requires_grad:
            return True
        depth = _tape.depth_of(value)
        pair = _tape.unwrap(value, depth) if depth else None
        value = None if pair is None else pair[0]
    return False


def call(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any], level: int) -> Any:
    """The results of ``cls.apply(*args)``, or NotImplemented where its forward may run as it is."""
    values, tangents, inside = _opened(args, level)
    if any(tangent is not None for tangent in tangents):
        return _pushed(cls, values, tangents, kwargs, level)
    if cls.vmap is not _plain_vmap:
        info = VmapInfo(next(v.shape[0] for v, own in zip(values, inside, strict=True) if own))
        output, places = cls.vmap(info, tuple(0 if own else None for own in inside), *values, **kwargs)
        return _each(output, lambda t, i: _batched(t, places[i] if isinstance(places, tuple) else places, level))
    if any(_requires_grad(value) for value in values):
        raise at.AutogradError(
            f"{cls.__name__}: expected a static vmap(info, in_dims, *args) that answers (output, out_dims), to "
            "differentiate through vmap of it; define one, or call it outside of vmap"
        )
    return NotImplemented


def _plain_vmap(info: VmapInfo, in_dims: tuple[int | None, ...], *args: Any) -> Any:
    """What a subclass defines for `vmap`: answers ``(output, out_dims)`` for arguments with a dimension of the batch.

    in_dims: for each argument where that dimension is, or None.
    """
    raise NotImplementedError("Function.vmap")


def _each(output: Any, function: Callable[[Any, int], Any]) -> Any:
    if isinstance(output, (tuple, list)):
        return type(output)([function(t, i) for i, t in enumerate(output)])
    return function(output, 0)


def _batched(value: Any, place: int | None, level: int) -> Any:
    if place is None or not isinstance(value, at.Tensor):
        return value
    return _tape.wrap(at.movedim(value, place, 0) if place else value, None, level)


def _pushed(cls: Any, values: list[Any], tangents: list[Any], kwargs: dict[str, Any], level: int) -> Any:
    # Its own jvp reads tensors without history, so that levels further out could not differentiate by them.
    higher = is_grad_enabled() and any(_requires_grad(value) for value in values)
    if cls.jvp is not _plain_jvp and not higher:
        output, context = cls._run(tuple(values), kwargs)
        moves = cls.jvp(context, *tangents)
        moves = moves if isinstance(moves, tuple) else (moves,)
        return _each(output, lambda t, i: t if moves[i] is None else _tape.wrap(t, moves[i], level))
    # The gradient that the function states is linear in what it is given: differentiated by that, it is the tangent.
    with recorded(cls.__name__):
        moving = [i for i, tangent in enumerate(tangents) if tangent is not None]
        inputs = {i: _tape.differentiable_input(values[i], level - 1) for i in moving}
        output = cls.apply(*(inputs.get(i, value) for i, value in enumerate(values)), **kwargs)
        results = list(output) if isinstance(output, (tuple, list)) else [output]
        kept = [t for t in results if isinstance(t, at.Tensor) and t.requires_grad]
        seeds = [_tape.differentiable_input(at.zeros_like(t), level - 1) for t in kept]
        pulled = _tape.backward(kept, seeds, True, True, list(inputs.values()), False) if kept else []
    roots = [(g, tangents[i]) for i, g in zip(moving, pulled, strict=False) if g is not None and g.requires_grad]
    found: list[Any] = [None] * len(seeds)
    if roots:
        found = _tape.backward([g for g, _ in roots], [t for _, t in roots], True, True, seeds, False)
    moves_of = {id(t): move for t, move in zip(kept, found, strict=True)}

    def wrapped(t: Any, i: int) -> Any:
        if id(t) not in moves_of:
            return t
        move = moves_of[id(t)]
        return _tape.wrap(t if higher else _tape.without_history(t), at.zeros_like(t) if move is None else move, level)

    return _each(output, wrapped)


def _plain_jvp(ctx: Any, *tangents: Any) -> Any:
    """What a subclass defines for forward mode: the tangent of each result from those of the arguments (or None)."""
    raise NotImplementedError("Function.jvp")
