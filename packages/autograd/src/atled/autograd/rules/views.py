"""Rules of views."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook

_core, _own = at.ops.core, at.ops.autograd


def _permute(g: Any, dims: Any) -> Any:
    order = [d % max(len(dims), 1) for d in dims]
    return at.permute(g, [order.index(d) for d in range(len(order))])


def _unfold(g: Any, input_shape: Any, dimension: int, size: int, step: int) -> Any:
    # Windows may overlap: each entry says where it came from.
    count = 1
    for n in input_shape:
        count *= n
    places = at.arange(count, device=g.device).reshape(tuple(input_shape)).unfold(dimension, size, step).reshape(-1)
    return g.new_zeros((count,)).index_add(0, places, g.reshape(-1)).reshape(tuple(input_shape))


def _places(shape: Any, stride: Any, offset: int, device: Any) -> Any:
    """Where in memory the elements of a tensor lie."""
    places = at.full((1,) * len(shape), offset, dtype=at.int64, device=device)
    for d, (n, step) in enumerate(zip(shape, stride, strict=True)):
        places = places + (at.arange(n, device=device) * step).reshape([n if k == d else 1 for k in range(len(shape))])
    return places.reshape(-1)


def _as_strided(g: Any, input: Any, size: Any, stride: Any, storage_offset: Any) -> Any:
    own = _places(input.shape, input.stride(), input.storage_offset(), g.device)
    start = input.storage_offset() if storage_offset is None else storage_offset
    made = _places(size, stride, start, g.device)
    if own.numel() == 0:
        return g.new_zeros(tuple(input.shape))
    low = min([int(at.amin(own)), *([int(at.amin(made))] if made.numel() else [])])
    high = max([int(at.amax(own)), *([int(at.amax(made))] if made.numel() else [])])
    memory = g.new_zeros((high - low + 1,)).index_add(0, made - low, g.reshape(-1))
    # Elements of an expanded input that share memory share its gradient.
    owners = g.new_zeros((high - low + 1,)).index_add(0, own - low, g.new_ones((own.numel(),)))
    return (memory / at.where(owners == 0, 1, owners)).index_select(0, own - low).reshape(tuple(input.shape))


def _strided_batch(input: Any, size: Any, stride: Any, storage_offset: Any) -> Any:
    if storage_offset is not None:
        raise at.NotImplementedOpError(
            "as_strided: a tensor inside vmap has no place in a storage of its own; leave out storage_offset"
        )
    return NotImplemented


def register(rule: RuleBook) -> None:
    for op in ("view", "squeeze", "unsqueeze"):
        rule(op, input=lambda g, input_shape: at.reshape(g, input_shape))
    rule.not_implemented("view_dtype", "the bits of a number are no smooth function of it")
    rule("permute", input=_permute)
    rule("transpose", input=lambda g, dim0, dim1: at.transpose(g, dim0, dim1))
    rule("t", input=lambda g: at.t(g))
    rule("matrix_transpose", input=lambda g: at.matrix_transpose(g))
    rule("movedim", input=lambda g, source, destination: at.movedim(g, destination, source))
    rule("expand", input=lambda g: g)
    rule("select", input=lambda g, input_shape, dim, index: _own.put_select(g, input_shape, dim, index))
    rule("narrow", input=lambda g, input_shape, dim, start, length: _own.put_narrow(g, input_shape, dim, start, length))
    rule("slice", input=lambda g, input_shape, spec: _own.put_slice(g, input_shape, spec))
    rule(
        "diagonal",
        input=lambda g, input_shape, offset, dim1, dim2: _own.put_diagonal(g, input_shape, offset, dim1, dim2),
    )
    rule("as_strided", input=_as_strided)
    rule("unfold", input=_unfold)
    rule("unbind", input=lambda gs, dim: at.stack(gs, dim))
    for op in ("split", "split_with_sizes", "chunk"):
        rule(op, input=lambda gs, dim: at.cat(gs, dim))
    rule.linear("view", "squeeze", "unsqueeze", "permute", "transpose", "t", "matrix_transpose", "movedim", "expand")
    rule.linear("select", "narrow", "slice", "diagonal", "as_strided", "unfold")
    rule.linear("unbind", "split", "split_with_sizes", "chunk")
    rule.batch("sizes", "view", "expand", "as_strided")
    rule.batch("entries", "slice")
    rule.batch("dims", "transpose", "squeeze", "movedim", "select", "narrow", "diagonal", "unfold")
    rule.batch("dims", "unbind", "split", "split_with_sizes", "chunk")
    rule.batch("order", "permute")
    rule.batch("places", "unsqueeze")
    rule.batch("aligned", "matrix_transpose", "view_dtype")
    rule.decompose("t", lambda input: at.transpose(input, 0, 1) if input.ndim == 2 else input.view(input.shape))
    rule.decompose("as_strided", _strided_batch)
