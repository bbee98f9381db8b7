"""Rules of joining, repeating and rearranging."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook


def _cat(g: Any, tensors_shape: Any, dim: int) -> Any:
    # Tensors of shape (0,) may be among others of any shape.
    sizes = [0 if len(shape) == 1 and shape[0] == 0 else shape[dim] for shape in tensors_shape]
    return at.split_with_sizes(g, sizes, dim)


def _repeat(g: Any, input_shape: Any, repeats: Any) -> Any:
    repeats = tuple(repeats)
    shape = (1,) * (len(repeats) - len(input_shape)) + tuple(input_shape)
    repeats = (1,) * (len(shape) - len(repeats)) + repeats
    if 0 in repeats:
        return g.new_zeros(tuple(input_shape))
    pairs = tuple(size for pair in zip(repeats, shape, strict=True) for size in pair)
    return g.reshape(pairs).sum(tuple(range(0, len(pairs), 2))).reshape(tuple(input_shape)) if pairs else g


def _roll(input: Any, shifts: Any, dims: Any) -> Any:
    if dims:
        return NotImplemented
    return at.roll(input.reshape(-1), shifts, [0]).reshape(input.shape)


def register(rule: RuleBook) -> None:
    rule("cat", tensors=_cat)
    rule("stack", tensors=lambda g, dim: at.unbind(g, dim))
    rule("flip", input=lambda g, dims: at.flip(g, dims))
    rule("roll", input=lambda g, shifts, dims: at.roll(g, [-shift for shift in shifts], dims))
    rule("repeat", input=_repeat)
    rule("tile", input=lambda g, input_shape, dims: _repeat(g, input_shape, dims))
    rule.non_differentiable("repeat_indices")
    rule.linear("cat", "stack", "flip", "roll", "repeat", "tile")
    rule.batch("dims", "cat", "flip", "roll")
    rule.batch("places", "stack")
    rule.batch("repeats", "repeat", "tile")
    rule.batch("refused", "repeat_indices")
    rule.decompose("roll", _roll)
