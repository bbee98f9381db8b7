"""Rules of the ops that other rules are made of (csrc/ops.cpp)."""

import atled.core as at
from atled.autograd._rule import RuleBook

_core, _own = at.ops.core, at.ops.autograd


def register(rule: RuleBook) -> None:
    rule(
        "strided_get",
        input=lambda g, input_shape, base_stride, size, stride, offset: _own.strided_put(
            None, g, input_shape, base_stride, size, stride, offset
        ),
    )
    rule(
        "strided_put",
        input=lambda g, shape, base_stride, size, stride, offset: _own.strided_put(
            g, None, shape, base_stride, size, stride, offset
        ),
        src=lambda g, base_stride, size, stride, offset: _own.strided_get(g, base_stride, size, stride, offset),
    )
    rule("put_select", input=lambda g, dim, index: at.select(g, dim, index))
    rule("put_narrow", input=lambda g, dim, start, length: at.narrow(g, dim, start, length))
    rule("put_slice", input=lambda g, spec: _core.slice(g, spec))
    rule("put_diagonal", input=lambda g, offset, dim1, dim2: at.diagonal(g, offset, dim1, dim2))
    rule.linear("put_select", "put_narrow", "put_slice", "put_diagonal", "strided_get", "strided_put")
