"""From a list of samples to a batch of tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import atled.core as at
from atled.core._explained import explained

_NUMBERS = (bool, int, float, complex)


@explained
def default_collate(batch: Sequence[Any]) -> Any:
    """Stacks samples along a new first dimension, through any nesting of mappings, sequences and named tuples.

    Args:
        batch: samples of one structure. Tensors and NumPy arrays of one shape are stacked, and keep their dtype;
            numbers become a 1-d tensor (Python's ``float`` float64, ``int`` int64, ``bool`` bool); strings and bytes
            stay a list.

    Returns:
        The structure of one sample, with a batch at every leaf; a plain tuple becomes a list.

    Raises:
        ShapeError: arrays differ in shape, or sequences in length.
        DTypeError: a leaf is nothing that can be stacked.
        InvalidValueError: the batch is empty, or mappings differ in their keys.

    Example:
        >>> batch = default_collate([(1.0, "a"), (2.0, "b")])
        >>> batch[0].shape, batch[1]
        ((2,), ['a', 'b'])
    """
    if not len(batch):
        raise at.InvalidValueError("default_collate: expected at least one sample, got none")
    return _collate(list(batch), "sample")


def _collate(batch: list[Any], path: str) -> Any:
    first = batch[0]
    if isinstance(first, at.Tensor):
        try:
            return at.stack(batch)
        except at.AtledError:
            # What is wrong is looked for only now, since large batches of small tensors would feel it.
            for position, value in enumerate(batch):
                if not isinstance(value, at.Tensor):
                    raise _mixed("tensors", path, value, position) from None
            _check_shapes(batch, path)
            raise
    if isinstance(first, str | bytes):
        return batch
    if is_numpy(first):
        return _collate_numpy(batch, path)
    if isinstance(first, _NUMBERS):
        return _collate_numbers(batch, path)
    if isinstance(first, Mapping):
        return _rebuild_mapping(first, {key: _collate(_values(batch, key, path), f"{path}[{key!r}]") for key in first})
    if isinstance(first, Sequence):
        return _collate_sequences(batch, path)
    raise at.DTypeError(
        "default_collate: expected tensors, arrays, numbers, strings, mappings or sequences, "
        f"got {type(first).__name__} at {path}; convert it in the dataset or pass a collate_fn"
    )


def _collate_numpy(batch: list[Any], path: str) -> at.Tensor:
    import numpy as np

    _check_shapes(batch, path)
    if batch[0].dtype.kind not in "biufc":
        raise at.DTypeError(
            f"default_collate: expected numbers, got an array of {batch[0].dtype} at {path}; "
            "convert it in the dataset or pass a collate_fn"
        )
    # Of scalars, and of nothing else, NumPy makes the same at once and faster.
    return at.from_numpy(np.array(batch) if isinstance(batch[0], np.generic) else np.stack(batch))


def _collate_numbers(batch: list[Any], path: str) -> at.Tensor:
    kinds = set(map(type, batch))
    if not kinds.issubset(_NUMBERS):
        for position, value in enumerate(batch):
            if not isinstance(value, _NUMBERS):
                raise _mixed("numbers", path, value, position)
        # A subclass counts as what it derives from.
        kinds = {next(number for number in _NUMBERS if issubclass(kind, number)) for kind in kinds}
    return at.tensor(batch, dtype=at.float64 if max(kinds, key=_NUMBERS.index) is float else None)


def _mixed(expected: str, path: str, value: Any, position: int) -> at.DTypeError:
    return at.DTypeError(
        f"default_collate: expected {expected} at {path}, as in sample 0, got {type(value).__name__} "
        f"in sample {position} of the batch"
    )


def _collate_sequences(batch: list[Any], path: str) -> Any:
    first = batch[0]
    lengths = [len(sample) for sample in batch]
    if len(set(lengths)) > 1:
        raise at.ShapeError(f"default_collate: expected sequences of one length at {path}, got lengths {lengths}")
    columns = [
        _collate(list(column), f"{path}[{position}]") for position, column in enumerate(zip(*batch, strict=True))
    ]
    return columns if type(first) is tuple else _rebuild_sequence(first, columns)


def _values(batch: list[Any], key: Any, path: str) -> list[Any]:
    try:
        return [sample[key] for sample in batch]
    except KeyError:
        raise at.InvalidValueError(
            f"default_collate: expected the keys of sample 0 in every sample, got one without {key!r} at {path}"
        ) from None


def _check_shapes(batch: list[Any], path: str) -> None:
    expected = batch[0].shape
    for position, value in enumerate(batch):
        shape = getattr(value, "shape", ())
        if shape != expected:
            raise at.ShapeError(
                f"default_collate: expected shape {expected} at {path}, as in sample 0, got {shape} "
                f"in sample {position} of the batch; resize, crop or pad it in the dataset, or pass a collate_fn"
            )


def default_convert(data: Any) -> Any:
    """Turns NumPy arrays and scalars into tensors, through any nesting; all else stays as it is.

    Example:
        >>> import numpy as np
        >>> default_convert({"x": np.zeros(3), "name": "a"})["x"].shape
        (3,)
    """
    return map_leaves(_convert_leaf, data)


def _convert_leaf(leaf: Any) -> Any:
    import numpy as np

    return at.from_numpy(np.asarray(leaf)) if is_numpy(leaf) and leaf.dtype.kind in "biufc" else leaf


def map_leaves(function: Callable[[Any], Any], data: Any) -> Any:
    """Applies a function to every leaf of nested mappings and sequences; a plain tuple becomes a list."""
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {key: map_leaves(function, value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, str | bytes | bytearray | memoryview | range):
        values = [map_leaves(function, value) for value in data]
        return values if type(data) is tuple else _rebuild_sequence(data, values)
    return function(data)


def is_numpy(value: Any) -> bool:
    # The duck test spares a process that has no arrays the import of NumPy.
    if type(value).__module__ != "numpy" and not hasattr(value, "__array_interface__"):
        return False
    import numpy as np

    return isinstance(value, np.ndarray | np.generic)


def _rebuild_mapping(like: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    if isinstance(like, defaultdict):
        return defaultdict(like.default_factory, items)
    try:
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _rebuild_sequence(like: Sequence[Any], items: list[Any]) -> Any:
    if hasattr(like, "_fields"):
        return type(like)(*items)
    try:
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items
