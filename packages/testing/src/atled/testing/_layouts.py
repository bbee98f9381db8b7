"""The same values in memory orders that careless kernels get wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

import atled.core as at

from ._convert import Array, from_numpy


def packed(array: Array) -> Array:
    """A row-major copy; NumPy's ascontiguousarray would make 0-d arrays 1-d."""
    return np.array(array, order="C")


def transposed(array: Array, device: str) -> at.Tensor:
    """Dimensions in reverse order in memory."""
    axes = tuple(reversed(range(array.ndim)))
    return from_numpy(packed(array.transpose(axes)), device).permute(axes)


def stepped(array: Array, device: str) -> at.Tensor:
    """Every second element of a longer last dimension, from its second element on."""
    if array.ndim == 0:
        return from_numpy(np.stack([array, array]), device)[1]
    wide = np.repeat(array, 2, axis=-1)
    wide = np.concatenate([wide[..., :1], wide], axis=-1)
    return from_numpy(packed(wide), device)[..., 2::2]


def reversed_(array: Array, device: str) -> at.Tensor:
    """Negative strides in every dimension (on the CPU; elsewhere as `stepped`)."""
    if device != "cpu" or array.ndim == 0 or array.dtype.isbuiltin != 1:
        return stepped(array, device)
    flip = (slice(None, None, -1),) * array.ndim
    return at.from_numpy(packed(array[flip])[flip])


def expanded(array: Array, device: str) -> at.Tensor:
    """Stride 0 in the dimensions along which all elements are the same; else as `transposed`."""
    narrow = array
    for dim, size in enumerate(array.shape):
        first = np.take(narrow, [0], axis=dim) if size else narrow
        if size > 1 and np.array_equal(np.broadcast_to(first, narrow.shape), narrow):
            narrow = first
    if narrow is array:
        return transposed(array, device)
    return from_numpy(packed(narrow), device).expand(array.shape)


Layout = Callable[[Array, str], at.Tensor]
LAYOUTS: tuple[Layout, ...] = (transposed, stepped, reversed_, expanded)


def cycle_layouts(start: int) -> Callable[[Array, str], at.Tensor]:
    """A converter that gives each array it meets another layout."""
    layouts: Iterator[Layout] = itertools.cycle(LAYOUTS[start:] + LAYOUTS[:start])
    return lambda array, device: next(layouts)(array, device)
