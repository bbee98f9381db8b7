"""Comparing gradients with finite differences, by random projection.

For random v and u, the derivative of L(t) = Re⟨v, f(x + t·u)⟩ at 0 is Re⟨J*v, u⟩: the left side comes from central
differences, the right side from one backward run. A wrong Jacobian agrees for almost no v and u, so few of them
suffice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import atled.core as at
from atled.autograd import _tape
from atled.autograd._engine import grad
from atled.autograd.grad_mode import recorded
from atled.core._explained import explained

Array = np.ndarray[Any, np.dtype[Any]]
Function = Callable[..., Any]


class GradcheckError(at.AutogradError):
    """A gradient that finite differences do not confirm."""


def _array(tensor: at.Tensor) -> Array:
    return np.asarray(tensor.detach().to(device="cpu").numpy())


def _like(values: Array, tensor: at.Tensor) -> at.Tensor:
    return at.asarray(values.astype(tensor.dtype.name)).to(device=tensor.device)


def _is_complex(tensor: at.Tensor) -> bool:
    return tensor.dtype in (at.complex64, at.complex128)


def _is_differentiable(tensor: object) -> bool:
    return isinstance(tensor, at.Tensor) and tensor.dtype in (at.float32, at.float64, at.complex64, at.complex128)


def _random(rng: np.random.Generator, tensor: at.Tensor) -> Array:
    values = rng.standard_normal(tensor.shape)
    return values + 1j * rng.standard_normal(tensor.shape) if _is_complex(tensor) else np.asarray(values)


def _outputs(func: Function, inputs: Sequence[Any]) -> list[at.Tensor]:
    result = func(*inputs)
    listed = list(result) if isinstance(result, (tuple, list)) else [result]
    return [output for output in listed if _is_differentiable(output)]


def _product(a: Array, b: Array) -> float:
    """Re⟨a, b⟩."""
    return float(np.sum(np.conj(a) * b).real)


def _moved(func: Function, inputs: Sequence[Any], i: int, step: Array) -> list[Array]:
    moved = _like(_array(inputs[i]) + step, inputs[i])
    moved.requires_grad_()
    return [_array(output) for output in _outputs(func, [moved if k == i else x for k, x in enumerate(inputs)])]


def _check_input(
    func: Function,
    inputs: Sequence[Any],
    i: int,
    seeds: list[Array],
    slope: Array,
    rng: np.random.Generator,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    for _ in range(2):
        direction = _random(rng, inputs[i])
        ahead, behind = _moved(func, inputs, i, eps * direction), _moved(func, inputs, i, -eps * direction)
        numeric = sum(_product(v, (a - b) / (2 * eps)) for v, a, b in zip(seeds, ahead, behind, strict=True))
        analytic = _product(slope, direction)
        if not abs(analytic - numeric) <= atol + rtol * abs(numeric):
            raise GradcheckError(
                f"gradcheck: the gradient of input {i} (shape {tuple(inputs[i].shape)}, {inputs[i].dtype.name}) "
                f"is wrong: along a random direction the tape says {analytic:.8g}, finite differences {numeric:.8g}"
            )


def _slopes(func: Function, inputs: Sequence[Any], chosen: list[int], seeds: list[Array]) -> list[at.Tensor]:
    """What the tape says. An output that is not recorded has to be constant, which the differences show."""
    outputs = [
        (output, seed)
        for output, seed in zip(_outputs(func, inputs), seeds, strict=True)
        if _tape.requires_grad(output)
    ]
    targets = [inputs[i] for i in chosen]
    if not outputs:
        return [at.zeros_like(target) for target in targets]
    weights = [_like(seed, output) for output, seed in outputs]
    found = grad([output for output, _ in outputs], targets, weights, allow_unused=True, materialize_grads=True)
    return [slope for slope in found if slope is not None]


def _check(func: Function, inputs: Sequence[Any], eps: float, atol: float, rtol: float) -> None:
    rng = np.random.default_rng(0)
    chosen = [i for i, x in enumerate(inputs) if isinstance(x, at.Tensor) and _tape.requires_grad(x)]
    if not chosen:
        raise at.InvalidValueError("gradcheck: expected at least one input that requires grad, got none")
    for i in chosen:
        if inputs[i].dtype not in (at.float64, at.complex128):
            raise at.DTypeError(
                "gradcheck: expected inputs of float64 or complex128, whose finite differences are exact enough, "
                f"got {inputs[i].dtype.name} for input {i}"
            )
    outputs = _outputs(func, inputs)
    seeds = [_random(rng, output) for output in outputs]
    slopes, again = (_slopes(func, inputs, chosen, seeds) for _ in range(2))
    for i, slope, repeated in zip(chosen, slopes, again, strict=True):
        if tuple(slope.shape) != tuple(inputs[i].shape) or slope.dtype != inputs[i].dtype:
            raise GradcheckError(
                f"gradcheck: the gradient of input {i} has shape {tuple(slope.shape)} and {slope.dtype.name}"
            )
        if not np.array_equal(_array(slope), _array(repeated), equal_nan=True):
            raise GradcheckError(f"gradcheck: the gradient of input {i} differs from run to run")
        _check_input(func, inputs, i, seeds, _array(slope), rng, eps, atol, rtol)


@explained
def gradcheck(
    func: Function,
    inputs: at.Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compares the gradients of ``func(*inputs)`` with central differences; True, or GradcheckError.

    inputs: those that require grad are checked; float64 or complex128, at points where func is smooth.
    eps: the step; atol, rtol: what the two may differ by. raise_exception: False answers False instead.

    >>> import atled.core as at
    >>> from atled.autograd import gradcheck
    >>> gradcheck(at.sin, at.tensor([0.3, 1.2], dtype=at.float64, requires_grad=True))
    True
    """
    given = (inputs,) if isinstance(inputs, at.Tensor) else tuple(inputs)
    try:
        with recorded("gradcheck"):
            _check(func, given, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


@explained
def gradgradcheck(
    func: Function,
    inputs: at.Tensor | Sequence[Any],
    grad_outputs: at.Tensor | Sequence[at.Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compares second derivatives with differences of first ones; arguments and answers as those of `gradcheck`.

    grad_outputs: where to weigh the outputs; random ones by default.

    >>> import atled.core as at
    >>> from atled.autograd import gradgradcheck
    >>> gradgradcheck(at.sin, at.tensor([0.3, 1.2], dtype=at.float64, requires_grad=True))
    True
    """
    given = (inputs,) if isinstance(inputs, at.Tensor) else tuple(inputs)
    chosen = [i for i, x in enumerate(given) if isinstance(x, at.Tensor) and _tape.requires_grad(x)]
    with recorded("gradgradcheck"):
        outputs = [output for output in _outputs(func, given) if _tape.requires_grad(output)]
    rng = np.random.default_rng(1)
    if grad_outputs is None:
        seeds = [_like(_random(rng, output), output).requires_grad_() for output in outputs]
    else:
        seeds = [grad_outputs] if isinstance(grad_outputs, at.Tensor) else list(grad_outputs)

    def first(*arguments: Any) -> tuple[at.Tensor | None, ...]:
        arguments, weights = arguments[: len(given)], arguments[len(given) :]
        recorded = [output for output in _outputs(func, arguments) if _tape.requires_grad(output)]
        targets = [arguments[i] for i in chosen]
        return grad(recorded, targets, weights, create_graph=True, materialize_grads=True)

    return gradcheck(first, (*given, *seeds), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
