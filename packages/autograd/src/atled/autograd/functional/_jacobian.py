"""Whole Jacobians and Hessians, a row or a column at a time."""

from collections.abc import Iterator
from typing import Any

import atled.core as at
from atled.autograd._math import is_complex
from atled.autograd.functional import _arguments as a
from atled.autograd.grad_mode import recorded
from atled.core._explained import explained

_STRATEGIES = ("reverse-mode", "forward-mode")


@explained
def jacobian(
    func: a.Function,
    inputs: a.Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of each element of ``func(*inputs)`` in each element of the inputs.

    inputs: a tensor or a tuple. Answers a tensor of shape ``output.shape + input.shape`` for each output and input,
    in a tuple where there was one: ``result[output][input]``.
    create_graph: record it, so that it can be differentiated. strict: AutogradError, in place of zeros, for an output
    or an input that nothing depends on.
    strategy: "reverse-mode" takes a run for each element of the outputs, "forward-mode" one for each of the inputs.
    vectorize: not with strict; whether runs may be made together, which changes no result.

    Complex numbers: of a complex output it is df/dx for a real input and df/dz for a complex one, in which func has to
    be holomorphic; of a real output in a complex input the tape's gradient.

    >>> import atled.core as at
    >>> from atled.autograd.functional import jacobian
    >>> jacobian(lambda x: x * x.sum(), at.tensor([1.0, 2.0])).tolist()
    [[4.0, 1.0], [2.0, 5.0]]
    """
    name = "jacobian"
    if strategy not in _STRATEGIES:
        raise at.InvalidValueError(f"{name}: expected strategy to be one of {_STRATEGIES}, got {strategy!r}")
    if strict and vectorize:
        raise at.InvalidValueError(f"{name}: expected strict or vectorize, got both; leave one of them out")
    given = a.listed(inputs, "inputs", name)
    with recorded(name):
        used = a.fresh(given, create_graph)
        output, outputs = a.call(func, used, name)
        a.require_recorded(outputs, strict, name)
        if strategy == "reverse-mode":
            rows = [_by_rows(one, used, create_graph, strict) for one in outputs]
        else:
            rows = _by_columns(outputs, used, create_graph, strict)
    return a.like([a.like(a.finished(row, create_graph), inputs) for row in rows], output)


def _basis(x: at.Tensor) -> Iterator[at.Tensor]:
    """For each element of x, ones there and zeros elsewhere."""
    count = x.numel()
    yield from at.eye(count, dtype=x.dtype, device=x.device).reshape(count, *x.shape).unbind()


def _stacked(parts: list[at.Tensor], shape: tuple[int, ...], like: at.Tensor, dtype: at.dtype) -> at.Tensor:
    if not parts:
        return at.zeros(shape, dtype=dtype, device=like.device)
    return at.stack([part.to(dtype) for part in parts]).reshape(shape)


def _by_rows(output: at.Tensor, inputs: a.List, create_graph: bool, strict: bool) -> a.List:
    """Of one output, for each input."""
    turned = is_complex(output.dtype) and any(not is_complex(x.dtype) for x in inputs)
    rows: list[list[at.Tensor]] = [[] for _ in inputs]

    def pull(seed: at.Tensor) -> a.List:
        return a.pull(
            (output,), inputs, (seed,), create_graph=create_graph, retain_graph=True, strict=strict, name="jacobian"
        )

    for seed in _basis(output):
        first = pull(seed)
        # Re⟨v, J dx⟩ for v = 1 and v = i are the parts of J; of a holomorphic function the gradient is conj(J).
        second = pull(seed * 1j) if turned else first
        for row, x, g, h in zip(rows, inputs, first, second, strict=True):
            if not is_complex(output.dtype):
                row.append(g)
            else:
                row.append(g.conj() if is_complex(x.dtype) else at.complex(g, h))
    return tuple(
        _stacked(row, (*output.shape, *x.shape), x, x.dtype if is_complex(x.dtype) else output.dtype)
        for row, x in zip(rows, inputs, strict=True)
    )


def _by_columns(outputs: a.List, inputs: a.List, create_graph: bool, strict: bool) -> list[a.List]:
    push = a.pushed(outputs, inputs, create_graph=create_graph, strict=strict, name="jacobian")
    found: list[list[at.Tensor]] = [[] for _ in outputs]
    for i, x in enumerate(inputs):
        columns: list[list[at.Tensor]] = [[] for _ in outputs]
        for direction in _basis(x):
            first = push(_alone(direction, i, inputs))
            for_real = is_complex(x.dtype) and any(not is_complex(output.dtype) for output in outputs)
            second = push(_alone(direction * 1j, i, inputs)) if for_real else first
            for column, output, along, turned in zip(columns, outputs, first, second, strict=True):
                real_of_complex = is_complex(x.dtype) and not is_complex(output.dtype)
                column.append(at.complex(along, turned) if real_of_complex else along)
        for whole, column, output in zip(found, columns, outputs, strict=True):
            dtype = x.dtype if is_complex(x.dtype) else output.dtype
            stacked = _stacked(column, (x.numel(), output.numel()), output, dtype)
            whole.append(stacked.transpose(0, 1).reshape(*output.shape, *x.shape))
    return [tuple(whole) for whole in found]


def _alone(direction: at.Tensor, i: int, inputs: a.List) -> a.List:
    return tuple(direction if k == i else at.zeros_like(x.detach()) for k, x in enumerate(inputs))


@explained
def hessian(
    func: a.Function,
    inputs: a.Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function that answers one real element: ``result[i][j]`` for inputs i and j.

    inputs: real tensors; of complex ones `hvp` and `vhp` answer products. Each result has shape
    ``inputs[i].shape + inputs[j].shape``. The other arguments are those of `jacobian`, which the outer derivative is
    taken with.

    >>> import atled.core as at
    >>> from atled.autograd.functional import hessian
    >>> hessian(lambda x: (x**3).sum(), at.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    given = a.listed(inputs, "inputs", "hessian")
    for i, x in enumerate(given):
        if is_complex(x.dtype):
            raise at.DTypeError(
                f"hessian: expected real inputs, got {x.dtype.name} for input {i}; hvp and vhp take complex ones"
            )

    def slopes(*xs: at.Tensor) -> Any:
        value = a.scalar(func(*xs), "hessian")
        a.require_recorded((value,), strict, "hessian")
        found = a.pull((value,), xs, (at.ones_like(value.detach()),), create_graph=True, strict=strict, name="hessian")
        return found if isinstance(inputs, tuple) else found[0]

    return jacobian(slopes, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
