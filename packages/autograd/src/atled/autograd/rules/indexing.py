"""Rules of reading and writing by index."""

from typing import Any

import atled.core as at
from atled.autograd._math import scale
from atled.autograd._rule import RuleBook

_core, _own = at.ops.core, at.ops.autograd


def _region(g: Any, spec: Any, indices: Any) -> Any:
    """What setitem wrote to: the slice, then the indices into it."""
    part = _core.slice(g, spec)
    return _core.index(part, indices) if indices else part


def _index_put_input(g: Any, indices: Any, values_shape: Any, accumulate: bool) -> Any:
    return g if accumulate else _core.index_put(g, indices, g.new_zeros(values_shape))


def _scatter_input(g: Any, dim: Any, index: Any, reduce: Any) -> Any:
    if reduce is not None:
        raise at.NotImplementedOpError(
            "scatter: its gradient with reduce= is not implemented; use scatter_reduce or scatter_add"
        )
    return _core.scatter(g, dim, index, value=0)


def _added(g: Any, dim: Any, index: Any, src_shape: Any) -> Any:
    # src may be larger than index; what lies outside was not read.
    return _own.pad_to(_core.gather(g, dim, index), src_shape)


def _scatter_src(g: Any, dim: Any, index: Any, src_shape: Any, reduce: Any) -> Any:
    if reduce is not None:
        raise at.NotImplementedOpError(
            "scatter: its gradient with reduce= is not implemented; use scatter_reduce or scatter_add"
        )
    return _added(g, dim, index, src_shape)


def _counts(g: Any, dim: Any, index: Any, include_self: bool) -> Any:
    """How many values each element of a mean was made of."""
    start = at.ones_like(g) if include_self else at.zeros_like(g)
    count = _core.scatter_add(start, dim, index, _core.gather(at.ones_like(g), dim, index))
    return at.where(count == 0, 1, count)


def _winners(input: Any, dim: Any, index: Any, src: Any, include_self: bool, out: Any) -> Any:
    """How many values share the place of each extreme."""
    own = at.where(input == out, at.ones_like(out), 0) if include_self else at.zeros_like(out)
    chosen = at.where(src == _core.gather(out, dim, index), at.ones_like(src), 0)
    count = _core.scatter_add(own, dim, index, chosen)
    return at.where(count == 0, 1, count)


def _scatter_reduce_input(
    g: Any, input: Any, dim: Any, index: Any, src: Any, reduce: str, include_self: bool, out: Any
) -> Any:
    if reduce == "mean":
        g = g / _counts(g, dim, index, include_self)
    elif reduce in ("amax", "amin") and include_self:
        g = at.where(input == out, g / _winners(input, dim, index, src, include_self, out), 0)
    elif reduce == "prod" and include_self:
        safe = at.where(input == 0, 1, input)
        g = g * _core.scatter_reduce(safe, dim, index, src, "prod") / safe
    # Without include_self, only elements that no index names come from input.
    return g if include_self else _core.scatter(g, dim, index, value=0)


def _factors(g: Any, input: Any, dim: Any, index: Any, src: Any, include_self: bool, out: Any) -> Any:
    """The gradient of src in a product: the product of the others, also where src is the only zero among them."""
    zero = src == 0
    zeros = _core.scatter_add(at.zeros_like(g), dim, index, at.where(zero, at.ones_like(src), 0))
    alone = at.logical_and(zero, _core.gather(zeros, dim, index) == 1)
    others = _core.scatter_reduce(input, dim, index, at.where(alone, 1, src), "prod", include_self=include_self)
    rest = _core.gather(g * out, dim, index) / at.where(zero, 1, src)
    return at.where(alone, _core.gather(g * others, dim, index), rest)


def _scatter_reduce_src(
    g: Any, input: Any, dim: Any, index: Any, src: Any, reduce: str, include_self: bool, out: Any
) -> Any:
    if reduce == "mean":
        g = g / _counts(g, dim, index, include_self)
    elif reduce in ("amax", "amin"):
        g = g / _winners(input, dim, index, src, include_self, out)
        return at.where(src == _core.gather(out, dim, index), _core.gather(g, dim, index), 0)
    elif reduce == "prod":
        return _factors(g, input, dim, index, src, include_self, out)
    return _core.gather(g, dim, index)


def _embedding(g: Any, weight_shape: Any, indices: Any, padding_idx: int, scale_grad_by_freq: bool) -> Any:
    rows, index = g.reshape(-1, weight_shape[1]), indices.reshape(-1)
    if padding_idx >= 0:
        rows = at.where((index == padding_idx).unsqueeze(1), 0, rows)
    if scale_grad_by_freq:
        rows = rows / _core.index_select(at.bincount(index, None, weight_shape[0]), 0, index).unsqueeze(1)
    return _core.index_add(g.new_zeros(weight_shape), 0, index, rows)


def _index_select(input: Any, dim: int, index: Any) -> Any:
    return _core.index(input, [index]) if dim in (0, -input.ndim) and input.ndim else NotImplemented


def _embedding_by_index(weight: Any, indices: Any, padding_idx: int, scale_grad_by_freq: bool, sparse: bool) -> Any:
    return NotImplemented if scale_grad_by_freq or padding_idx >= 0 else _core.index(weight, [indices])


def _filled(x: Any, dim: int, index: Any) -> Any:
    """Which elements of x an index_fill writes: one mark for all that have an index along dim in common."""
    size, behind = (x.shape[dim], x.ndim - 1 - dim % x.ndim) if x.ndim else (1, 0)
    marks = _core.index_fill(at.zeros(size, dtype=at.bool, device=x.device), 0, index, True)
    return marks.reshape([-1, *[1] * behind] if x.ndim else [])


def _index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    if not isinstance(value, at.Tensor):
        return NotImplemented
    return at.where(_filled(input, dim, index), value.to(input.dtype), input)


def register(rule: RuleBook) -> None:
    rule.autocast("widest", *("index_put", "index_add", "index_copy", "scatter", "scatter_add", "scatter_reduce"))
    rule("embedding", weight=_embedding)
    rule(
        "index",
        input=lambda g, input_shape, indices: _core.index_put(g.new_zeros(input_shape), indices, g, accumulate=True),
    )
    rule("setitem_", input=lambda g, spec, indices: _core.setitem(g, spec, indices, 0), value=_region)
    rule("setitem", input=lambda g, spec, indices: _core.setitem(g, spec, indices, 0), value=_region)
    rule("index_put", input=_index_put_input, values=lambda g, indices: _core.index(g, indices))
    rule(
        "index_select",
        input=lambda g, input_shape, dim, index: _core.index_add(g.new_zeros(input_shape), dim, index, g),
    )
    rule(
        "index_add",
        input=lambda g: g,
        source=lambda g, dim, index, alpha: scale(_core.index_select(g, dim, index), alpha),
    )
    rule(
        "index_copy",
        input=lambda g, dim, index: _core.index_fill(g, dim, index, 0),
        source=lambda g, dim, index: _core.index_select(g, dim, index),
    )
    rule(
        "index_fill",
        input=lambda g, dim, index: _core.index_fill(g, dim, index, 0),
        value=lambda g, dim, index: at.where(_filled(g, dim, index), g, 0),
    )
    rule("gather", input=lambda g, input_shape, dim, index: _core.scatter_add(g.new_zeros(input_shape), dim, index, g))
    rule("scatter", input=_scatter_input, src=_scatter_src)
    rule("scatter_add", input=lambda g: g, src=_added)
    rule("scatter_reduce", input=_scatter_reduce_input, src=_scatter_reduce_src)
    rule("bincount", weights=lambda g, input: _core.index_select(g, 0, input))
    rule.non_differentiable("nonzero")
    rule.linear("index", "setitem_", "setitem", "index_put", "index_select", "index_add", "index_copy", "index_fill")
    rule.linear("gather", "scatter_add", "embedding", "bincount")
    rule.batch("index", "index")
    rule.batch("along", "index_select", "index_add", "index_copy", "index_fill")
    rule.batch("dims", "gather", "scatter", "scatter_add", "scatter_reduce")
    rule.batch("refused", "nonzero")
    rule.decompose("index_select", _index_select)
    rule.decompose("embedding", _embedding_by_index)
    rule.decompose("index_fill", _index_fill)
