"""Starting backward runs."""

from collections.abc import Sequence

import atled.core as at
from atled.autograd import _tape
from atled.core._explained import explained

Tensors = at.Tensor | Sequence[at.Tensor]
Edge = tuple[_tape.Node, int]  # as graph.GradientEdge
Ends = at.Tensor | Edge | Sequence[at.Tensor | Edge]
Gradients = at.Tensor | Sequence[at.Tensor | None] | None


def _listed(ends: Ends) -> list[at.Tensor | Edge]:
    if isinstance(ends, at.Tensor):
        return [ends]
    if isinstance(ends, tuple) and ends and isinstance(ends[0], _tape.Node):
        return [(ends[0], ends[1])]
    return list(ends)  # type: ignore[arg-type]


def _origin(end: at.Tensor | Edge) -> str:
    return _tape.origin(end if isinstance(end, at.Tensor) else end[0])


def _zeros(end: at.Tensor | Edge) -> at.Tensor:
    if isinstance(end, at.Tensor):
        return at.zeros_like(end)
    shape, dtype, device = _described(end)
    return at.zeros(shape, dtype=dtype, device=device)


def _described(end: at.Tensor | Edge) -> tuple[tuple[int, ...], at.dtype, at.device]:
    if isinstance(end, at.Tensor):
        return tuple(end.shape), end.dtype, end.device
    found = _tape.outputs(end[0])[end[1]]
    assert found is not None
    return found


def _seeds(gradients: Gradients, count: int, name: str) -> list[at.Tensor | None]:
    if gradients is None:
        return [None] * count
    given: list[at.Tensor | None] = [gradients] if isinstance(gradients, at.Tensor) else list(gradients)
    if len(given) != count:
        raise at.InvalidValueError(f"{name}: expected as many gradients as tensors, {count}, got {len(given)}")
    return given


@explained
def backward(
    tensors: Ends,
    grad_tensors: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    inputs: Ends | None = None,
) -> None:
    """Computes the gradients of ``tensors`` and adds them to the ``grad`` of the leaves that they were made from.

    tensors: roots, or their edges (`graph.GradientEdge`); one with more than one element needs its gradient in
    ``grad_tensors``.
    retain_graph: keep what was saved for another run; default ``create_graph``.
    create_graph: record this run, so that its results can be differentiated again.
    inputs: accumulate into the ``grad`` of these alone, leaves or not.
    Raises AutogradError for a root that requires no grad, a graph whose saved tensors are gone or were changed.

    >>> import atled.core as at
    >>> import atled.autograd as autograd
    >>> x = at.tensor(3.0, requires_grad=True)
    >>> autograd.backward(x * x)
    >>> x.grad.item()
    6.0
    """
    roots = _listed(tensors)
    targets = None if inputs is None else _listed(inputs)
    if targets is not None and not targets:
        raise at.InvalidValueError("backward: expected inputs to name at least one tensor, got none")
    keep = create_graph if retain_graph is None else retain_graph
    _tape.backward(roots, _seeds(grad_tensors, len(roots), "backward"), keep, create_graph, targets, True)


@explained
def grad(
    outputs: Ends,
    inputs: Ends,
    grad_outputs: Gradients = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[at.Tensor | None, ...]:
    """The gradients of ``outputs``, weighted by ``grad_outputs`` and summed, with respect to ``inputs``.

    No ``.grad`` changes. Outputs and inputs are tensors or edges (`graph.GradientEdge`).

    only_inputs: PyTorch's, and True: `backward` is what accumulates in other leaves.
    allow_unused: answer None for an input that no output depends on, rather than raise; default ``materialize_grads``.
    is_grads_batched: ``grad_outputs`` have one dimension more, in front: one run for each entry along it, whose
    gradients are stacked.
    materialize_grads: answer zeros for such an input.
    The other arguments are those of `backward`.
    Raises AutogradError when an input is not part of the graph, and as `backward` does.

    >>> import atled.core as at
    >>> import atled.autograd as autograd
    >>> x = at.tensor(3.0, requires_grad=True)
    >>> (first,) = autograd.grad(x**3, x, create_graph=True)
    >>> (second,) = autograd.grad(first, x)
    >>> first.item(), second.item()
    (27.0, 18.0)
    """
    roots, targets = _listed(outputs), _listed(inputs)
    if not only_inputs:
        raise at.InvalidValueError("grad: expected only_inputs to be True, got False; backward() accumulates in leaves")
    if allow_unused is False and materialize_grads:
        raise at.InvalidValueError(
            "grad: expected allow_unused to be True or left out with materialize_grads=True, got False"
        )
    unused = materialize_grads if allow_unused is None else allow_unused
    keep = create_graph if retain_graph is None else retain_graph
    seeds = _seeds(grad_outputs, len(roots), "grad")
    if is_grads_batched:
        found = _batched(roots, seeds, keep, create_graph, targets)
    else:
        found = _tape.backward(roots, seeds, keep, create_graph, targets, False)
    for i, gradient in enumerate(found):
        if gradient is None and not unused:
            raise at.AutogradError(
                f"grad: no output depends on input {i}, {_origin(targets[i])} of shape {_described(targets[i])[0]}; "
                "pass allow_unused=True to get None for it"
            )
        if gradient is None and materialize_grads:
            found[i] = _zeros(targets[i])
    return tuple(found)


def _batched(
    roots: list[at.Tensor | Edge],
    seeds: list[at.Tensor | None],
    keep: bool,
    create_graph: bool,
    targets: list[at.Tensor | Edge],
) -> list[at.Tensor | None]:
    """A run for each entry along the seeds' first dimension; its gradients, stacked."""
    sizes = {seed.shape[0] if seed is not None and seed.ndim else None for seed in seeds}
    size = sizes.pop() if len(sizes) == 1 else None
    if not size:
        raise at.ShapeError(
            "grad: expected grad_outputs with a first dimension in common, of at least 1, with is_grads_batched=True, "
            f"got shapes {[None if seed is None else tuple(seed.shape) for seed in seeds]}"
        )
    runs = []
    for i in range(size):
        entries = [seed[i] for seed in seeds if seed is not None]
        runs.append(_tape.backward(roots, entries, keep or i < size - 1, create_graph, targets, False))
    return [None if column[0] is None else at.stack(column) for column in zip(*runs, strict=True)]


def tensor_backward(
    self: at.Tensor,
    gradient: at.Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Computes the gradients of this tensor and adds them to its leaves' ``grad``; see `atled.autograd.backward`.

    gradient: of this tensor, of its shape; needed unless it has one element.

    >>> import atled.core as at
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).backward(at.tensor([1.0, 10.0]))
    >>> x.grad.tolist()
    [2.0, 40.0]
    """
    if inputs is None:
        keep = create_graph if retain_graph is None else retain_graph
        _tape.backward((self,), (gradient,), keep, create_graph, None, True)
    else:
        backward(self, gradient, retain_graph, create_graph, inputs=inputs)
