"""vmap: a function of one element, applied to a batch of them by calls for the whole batch."""

import functools
from collections.abc import Callable
from typing import Any

import atled.core as at
from atled.autograd import _tape
from atled.core._explained import explained
from atled.core.utils.pytree import tree_flatten, tree_leaves

_DIMS = "an int or None for each argument (or a nested tuple like it)"


@explained
def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that applies ``func`` to each element along a dimension of its arguments and stacks the results.

    Inside, tensors have no batch dimension; each op is called once for the whole batch.

    func: takes and answers tensors, or nested tuples, lists and dicts of them; it must not look at values (``item()``,
    ``if x > 0``), which differ between the elements.
    in_dims: the dimension to map over, for every positional argument or each (a nested tuple like it); None for an
    argument that is the same for all elements. Keyword arguments are mapped over dimension 0.
    out_dims: where the batch dimension is in the results, for all or each of them.
    randomness: what ops that draw random numbers do: ``"error"``, ``"different"`` numbers for each element, ``"same"``.
    chunk_size: at most this many elements in one go, to bound memory; None for all.
    Raises ShapeError for batches of different sizes, AutogradError for what cannot be batched, InvalidValueError and
    ArgumentError for wrong ``in_dims`` and ``out_dims``.

    >>> import atled.core as at
    >>> from atled.autograd.func import vmap
    >>> a, b = at.arange(6.0).reshape(3, 2), at.ones(3, 2)
    >>> vmap(lambda x, y: (x * y).sum())(a, b).tolist()
    [1.0, 5.0, 9.0]
    """
    if randomness not in ("error", "different", "same"):
        raise at.InvalidValueError(f'vmap: expected randomness "error", "different" or "same", got {randomness!r}')
    if chunk_size is not None and chunk_size < 1:
        raise at.InvalidValueError(f"vmap: expected a positive chunk_size or None, got {chunk_size}")

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree_flatten((args, kwargs))
        dims = _input_dims(in_dims, args, leaves)
        size = _batch_size(leaves, dims)
        step = size if chunk_size is None else min(chunk_size, size)
        if step >= size:
            return _run(func, leaves, structure, dims, size, out_dims, randomness)
        parts = []
        for start in range(0, size, step):
            length = min(step, size - start)
            piece = [
                leaf if dim is None else at.narrow(leaf, dim, start, length)
                for leaf, dim in zip(leaves, dims, strict=True)
            ]
            parts.append(_run(func, piece, structure, dims, length, 0, randomness))
        return _joined(parts, out_dims)

    return mapped


def _input_dims(in_dims: Any, args: tuple[Any, ...], leaves: list[Any]) -> list[int | None]:
    prefix = tuple(in_dims) if isinstance(in_dims, list) else in_dims
    try:
        dims = _spread(prefix, args)
    except (ValueError, KeyError):
        raise at.InvalidValueError(
            f"vmap: expected in_dims to be {_DIMS}, for {len(args)} positional arguments, got {in_dims!r}"
        ) from None
    checked: list[int | None] = []
    dims += [0] * (len(leaves) - len(dims))  # of keyword arguments
    for dim, leaf in zip(dims, leaves, strict=True):
        if dim is not None and (not isinstance(dim, int) or isinstance(dim, bool)):
            raise at.ArgumentError(f"vmap: expected in_dims to be {_DIMS}, got {dim!r}")
        if not isinstance(leaf, at.Tensor):
            # Numbers and the like are the same for all, unless in_dims asks for their dimension.
            if dim is not None and not isinstance(in_dims, int):
                raise at.ArgumentError(f"vmap: expected a Tensor where in_dims says {dim}, got {type(leaf).__name__}")
            checked.append(None)
            continue
        if dim is not None and not -leaf.ndim <= dim < leaf.ndim:
            raise at.BoundsError(
                f"vmap: expected in_dims in [{-leaf.ndim}, {leaf.ndim - 1}] for a tensor of shape "
                f"{tuple(leaf.shape)}, got {dim}"
            )
        checked.append(dim)
    return checked


def _spread(prefix: Any, tree: Any) -> list[Any]:
    """For each leaf of a tree the entry of ``prefix``, a tree that may end earlier; ValueError where they differ."""
    if not isinstance(prefix, (tuple, list, dict)):
        return [prefix] * len(tree_leaves(tree))
    alike = isinstance(tree, dict) if isinstance(prefix, dict) else isinstance(tree, (tuple, list))
    if not alike or len(prefix) != len(tree):
        raise ValueError("other structure")
    keys = tree if isinstance(tree, dict) else range(len(tree))
    return [entry for key in keys for entry in _spread(prefix[key], tree[key])]


def _batch_size(leaves: list[Any], dims: list[int | None]) -> int:
    sizes = {leaf.shape[dim] for leaf, dim in zip(leaves, dims, strict=True) if dim is not None}
    if not sizes:
        raise at.InvalidValueError("vmap: expected at least one tensor to map over, got none (all in_dims are None)")
    if len(sizes) > 1:
        raise at.ShapeError(
            f"vmap: expected the same size along all mapped dimensions, got {', '.join(map(str, sorted(sizes)))}"
        )
    size: int = sizes.pop()
    return size


def _run(
    func: Callable[..., Any],
    leaves: list[Any],
    structure: Any,
    dims: list[int | None],
    size: int,
    out_dims: Any,
    randomness: str,
) -> Any:
    depth = _tape.begin("batch", size, randomness)
    try:
        inside = [
            leaf if dim is None else _tape.wrap(_front(leaf, dim), None, depth)
            for leaf, dim in zip(leaves, dims, strict=True)
        ]
        args, kwargs = structure.unflatten(inside)
        answer = func(*args, **kwargs)
        results, shape = tree_flatten(answer)
        try:
            places = _spread(out_dims, answer)
        except (ValueError, KeyError):
            raise at.InvalidValueError(
                f"vmap: expected out_dims to be an int, or one for each of {len(results)} results, got {out_dims!r}"
            ) from None
        held = [_unwrapped(result, depth) for result in results]
    finally:
        _tape.end()
    return shape.unflatten([_placed(*one, place, size) for one, place in zip(held, places, strict=True)])


def _front(tensor: at.Tensor, dim: int) -> at.Tensor:
    return tensor if dim == 0 else at.movedim(tensor, dim, 0)


def _unwrapped(result: Any, depth: int) -> tuple[at.Tensor, bool]:
    if not isinstance(result, at.Tensor):
        raise at.ArgumentError(
            f"vmap: expected the function to answer tensors, got {type(result).__name__}; answer what is the same for "
            "all elements as a tensor too"
        )
    held = _tape.unwrap(result, depth)
    return (result, False) if held is None else (held[0], True)


def _placed(tensor: at.Tensor, batched: bool, place: int | None, size: int) -> at.Tensor:
    if place is None:
        if batched:
            raise at.InvalidValueError("vmap: expected out_dims other than None for a result that has a batch")
        return tensor
    if not batched:
        tensor = tensor.expand((size, *tensor.shape))
    if not -tensor.ndim <= place < tensor.ndim:
        raise at.BoundsError(
            f"vmap: expected out_dims in [{-tensor.ndim}, {tensor.ndim - 1}] for a result of shape "
            f"{tuple(tensor.shape[1:])}, got {place}"
        )
    return tensor if place == 0 else at.movedim(tensor, 0, place)


def _joined(parts: list[Any], out_dims: Any) -> Any:
    flat = [tree_flatten(part) for part in parts]
    structure = flat[0][1]
    places = _spread(out_dims, parts[0])
    joined = [at.cat(list(column)) for column in zip(*(leaves for leaves, _ in flat), strict=True)]
    return structure.unflatten(
        [t if place in (0, None) else at.movedim(t, 0, place) for t, place in zip(joined, places, strict=True)],
    )
