"""What the functions of this package share: checking arguments and results, and putting tuples away and back."""

from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.autograd import _tape
from atled.autograd._engine import grad
from atled.autograd._math import is_complex

Function = Callable[..., Any]
Tensors = at.Tensor | tuple[at.Tensor, ...]
List = tuple[at.Tensor, ...]


def listed(value: Any, what: str, name: str) -> List:
    """A tensor or a tuple of tensors as a tuple; ArgumentError for anything else."""
    if isinstance(value, at.Tensor):
        return (value,)
    if not isinstance(value, tuple):
        raise at.ArgumentError(
            f"{name}: expected {what} to be a Tensor or a tuple of Tensors, got {type(value).__name__}"
        )
    for i, entry in enumerate(value):
        if not isinstance(entry, at.Tensor):
            raise at.ArgumentError(f"{name}: expected {what} {i} to be a Tensor, got {type(entry).__name__}")
    return value


def like(results: Sequence[Any], model: Any) -> Any:
    """The only result for what was a tensor, all of them as a tuple for what was a tuple."""
    return tuple(results) if isinstance(model, tuple) else results[0]


def fresh(inputs: List, create_graph: bool) -> List:
    """Tensors of the same values to differentiate in; with create_graph their history goes on to the inputs."""
    made = []
    for x in inputs:
        keep = create_graph and _tape.requires_grad(x)
        made.append(at.ops.core.view(x, x.shape) if keep else _tape.set_requires_grad(x.detach(), True))
    return tuple(made)


def call(func: Function, inputs: List, name: str) -> tuple[Any, List]:
    """What func answers, as it is and as a tuple."""
    output = func(*inputs)
    return output, listed(output, "the result of func", name)


def scalar(output: Any, name: str) -> at.Tensor:
    """The one real element that a Hessian is of."""
    (value,) = listed(output, "the result of func", name)
    if value.numel() != 1 or is_complex(value.dtype):
        raise at.ShapeError(
            f"{name}: expected func to answer one real element, got shape {tuple(value.shape)} of {value.dtype.name}"
        )
    return value


def vector(v: Any, model: List, name: str, whose: str) -> List:
    """v as a tuple of tensors shaped as model; ones for None where model has one real element."""
    if v is None:
        if len(model) != 1 or model[0].numel() != 1 or is_complex(model[0].dtype):
            raise at.InvalidValueError(
                f"{name}: expected v, got None, which stands for 1 where {whose} is a single real element"
            )
        return (at.ones_like(model[0].detach()),)
    given = listed(v, "v", name)
    if len(given) != len(model):
        raise at.InvalidValueError(f"{name}: expected {len(model)} tensors in v, got {len(given)}")
    for i, (entry, other) in enumerate(zip(given, model, strict=True)):
        if tuple(entry.shape) != tuple(other.shape):
            raise at.ShapeError(f"{name}: expected v {i} of shape {tuple(other.shape)}, got {tuple(entry.shape)}")
    return given


def require_recorded(outputs: List, strict: bool, name: str) -> None:
    """AutogradError in strict mode when an output does not depend on any input."""
    for i, output in enumerate(outputs):
        if strict and not _tape.requires_grad(output):
            raise at.AutogradError(
                f"{name}: expected output {i} of func to depend on its inputs, got a constant (strict=False: zeros)"
            )


def pull(
    outputs: Sequence[at.Tensor],
    inputs: List,
    seeds: Sequence[at.Tensor],
    *,
    create_graph: bool,
    retain_graph: bool | None = None,
    strict: bool = False,
    name: str = "",
) -> List:
    """The gradients of the inputs, with zeros for those that nothing depends on; in strict mode AutogradError."""
    recorded = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if _tape.requires_grad(output)]
    found: Sequence[at.Tensor | None] = [None] * len(inputs)
    if recorded:
        roots, weights = [output for output, _ in recorded], [seed for _, seed in recorded]
        found = grad(roots, inputs, weights, retain_graph, create_graph, allow_unused=True)
    for i, gradient in enumerate(found):
        if strict and (gradient is None or (create_graph and not _tape.requires_grad(gradient))):
            how = "" if gradient is None else "'s derivative"
            raise at.AutogradError(
                f"{name}: expected func{how} to depend on input {i}, got one that does not; strict=False answers zeros"
            )
    return tuple(at.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True))


def finished(tensors: Sequence[at.Tensor], create_graph: bool) -> List:
    """Results without history, unless that was asked for."""
    return tuple(tensors) if create_graph else tuple(t.detach() for t in tensors)


def pushed(
    outputs: List, inputs: List, *, create_graph: bool, strict: bool = False, name: str = ""
) -> Callable[[List], List]:
    """The derivative of the outputs along tangents of the inputs, as a function of those.

    Reverse mode twice: what reverse mode answers is linear in the outputs' gradients, and its transpose is this.
    """
    dummies = tuple(_tape.set_requires_grad(at.zeros_like(output.detach()), True) for output in outputs)
    found = pull(outputs, inputs, dummies, create_graph=True, strict=strict, name=name)

    def push(tangents: List) -> List:
        return pull(found, dummies, tangents, create_graph=create_graph, retain_graph=True)

    return push
