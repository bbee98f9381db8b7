"""Rules of matrix products."""

from typing import Any

import atled.core as at
from atled.autograd._math import conj, scale
from atled.autograd._rule import RuleBook

_core, _own = at.ops.core, at.ops.autograd


def _matmul(input: Any, other: Any) -> Any:
    """Vectors as matrices, which leading dimensions do not change."""
    if input.ndim == 1 and other.ndim == 1:
        return (input * other).sum()
    if other.ndim == 1:
        return at.matmul(input, other.unsqueeze(-1)).squeeze(-1)
    if input.ndim == 1:
        return at.matmul(input.unsqueeze(0), other).squeeze(-2)
    return NotImplemented


def _narrow(g: Any, factor: Any, out_dtype: Any) -> Any:
    """A gradient as what it is multiplied with: halves whose product was asked for in float32 have theirs in halves."""
    return g if out_dtype is None else g.to(factor.dtype)


def _product(input: Any, other: Any, out_dtype: Any = None) -> Any:
    """Halves are exact in float32, and so are their products there."""
    return at.matmul(input, other) if out_dtype is None else at.matmul(input.to(out_dtype), other.to(out_dtype))


def _add_product(input: Any, one: Any, two: Any, out_dtype: Any, beta: Any, alpha: Any) -> Any:
    product = _product(one, two, out_dtype)
    product = product * alpha if alpha != 1 else product
    # With beta 0 the input counts for nothing, NaN included.
    if beta == 0:
        return product
    return at.add(product, input if beta == 1 else input * beta)


def register(rule: RuleBook) -> None:
    rule.autocast("lower", *("matmul", "mm", "bmm", "mv", "addmm", "addmm_relu", "addmm_gelu", "addmv", "baddbmm"))
    rule(
        "matmul",
        input=lambda g, other, input_shape: _own.matmul_input(g, other, input_shape),
        other=lambda g, input, other_shape: _own.matmul_other(g, input, other_shape),
    )
    for op in ("mm", "bmm"):
        rule(
            op,
            input=lambda g, mat2, input_shape, out_dtype: _own.matmul_input(
                _narrow(g, mat2, out_dtype), mat2, input_shape
            ),
            mat2=lambda g, input, mat2_shape, out_dtype: _own.matmul_other(
                _narrow(g, input, out_dtype), input, mat2_shape
            ),
        )
    rule(
        "mv",
        input=lambda g, vec, input_shape: _own.matmul_input(g, vec, input_shape),
        vec=lambda g, input, vec_shape: _own.matmul_other(g, input, vec_shape),
    )
    rule("dot", input=lambda g, tensor: g * conj(tensor), tensor=lambda g, input: g * conj(input))
    rule(
        "addmm",
        input=lambda g, beta: scale(g, conj(beta)),
        mat1=lambda g, mat2, mat1_shape, out_dtype, alpha: scale(
            _own.matmul_input(_narrow(g, mat2, out_dtype), mat2, mat1_shape), conj(alpha)
        ),
        mat2=lambda g, mat1, mat2_shape, out_dtype, alpha: scale(
            _own.matmul_other(_narrow(g, mat1, out_dtype), mat1, mat2_shape), conj(alpha)
        ),
    )
    rule(
        "addmm_relu",
        input=lambda g, out: _core.relu_backward(g, out),
        mat1=lambda g, mat2, mat1_shape, out: _own.matmul_input(_core.relu_backward(g, out), mat2, mat1_shape),
        mat2=lambda g, mat1, mat2_shape, out: _own.matmul_other(_core.relu_backward(g, out), mat1, mat2_shape),
    )
    rule.not_implemented("addmm_gelu", "nn's linear_gelu, which calls it, has a gradient of its own")
    rule(
        "addmv",
        input=lambda g, beta: scale(g, conj(beta)),
        mat=lambda g, vec, mat_shape, alpha: scale(_own.matmul_input(g, vec, mat_shape), conj(alpha)),
        vec=lambda g, mat, vec_shape, alpha: scale(_own.matmul_other(g, mat, vec_shape), conj(alpha)),
    )
    rule(
        "baddbmm",
        input=lambda g, beta: scale(g, conj(beta)),
        batch1=lambda g, batch2, batch1_shape, out_dtype, alpha: scale(
            _own.matmul_input(_narrow(g, batch2, out_dtype), batch2, batch1_shape), conj(alpha)
        ),
        batch2=lambda g, batch1, batch2_shape, out_dtype, alpha: scale(
            _own.matmul_other(_narrow(g, batch1, out_dtype), batch1, batch2_shape), conj(alpha)
        ),
    )
    rule.multilinear("matmul", "mm", "bmm", "mv", "dot")
    rule.batch("aligned", "matmul")
    rule.decompose("matmul", _matmul)
    for op in ("mm", "bmm", "mv"):
        rule.decompose(op, _product)
    rule.decompose("dot", lambda input, tensor: at.matmul(input, tensor))
    rule.decompose("addmm", _add_product)
    rule.decompose("addmv", lambda input, mat, vec, beta, alpha: _add_product(input, mat, vec, None, beta, alpha))
    rule.decompose("baddbmm", _add_product)
    rule.not_implemented("scaled_mm", "gradients are no float8; give the product one of its own with a Function")
