"""Derivatives of functions: what they answer are functions again, which nest in each other and in vmap."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.autograd import _tape
from atled.autograd.func._vmap import vmap
from atled.autograd.grad_mode import enable_grad, is_grad_enabled, recorded
from atled.core._explained import explained
from atled.core.utils.pytree import TreeSpec, tree_flatten, tree_map

Argnums = int | tuple[int, ...]


def _split(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], argnums: Argnums, name: str
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A call as a function of the arguments that argnums names, and these arguments."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for number in numbers:
        if not isinstance(number, int) or not -len(args) <= number < len(args):
            raise at.InvalidValueError(
                f"{name}: expected argnums in [{-len(args)}, {len(args) - 1}] for {len(args)} positional arguments, "
                f"got {number}"
            )

    def of_chosen(*primals: Any) -> Any:
        whole = list(args)
        for number, primal in zip(numbers, primals, strict=True):
            whole[number] = primal
        return func(*whole, **kwargs)

    return of_chosen, tuple(args[number] for number in numbers)


def _tensors(tree: Any, name: str, what: str) -> tuple[list[at.Tensor], TreeSpec]:
    leaves, structure = tree_flatten(tree)
    for leaf in leaves:
        if not isinstance(leaf, at.Tensor):
            raise at.ArgumentError(f"{name}: expected {what} to be tensors, got {type(leaf).__name__}")
        expect_differentiable(leaf, name, what)
    return leaves, structure


def expect_differentiable(tensor: at.Tensor, name: str, what: str) -> None:
    """Raises DTypeError for integers and bools."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise at.DTypeError(f"{name}: expected {what} to be floating-point or complex, got {tensor.dtype}")


def dual(value: at.Tensor, tangent: at.Tensor, depth: int, name: str) -> at.Tensor:
    """The value with its tangent, as a tensor of the level; ShapeError where shape or dtype differ."""
    if value.shape != tangent.shape or value.dtype != tangent.dtype:
        raise at.ShapeError(
            f"{name}: expected a tangent of shape {tuple(value.shape)} and {value.dtype}, "
            f"got {tuple(tangent.shape)} and {tangent.dtype}"
        )
    return _tape.wrap(value, tangent, depth)


class _Recorded:
    """A call of a function, recorded for reverse mode."""

    def __init__(self, func: Callable[..., Any], primals: Any, name: str, has_aux: bool) -> None:
        leaves, structure = _tensors(primals, name, "what it differentiates by")
        self.outer = is_grad_enabled()
        self.higher = self.outer and any(leaf.requires_grad for leaf in leaves)
        with recorded(name):
            self.inputs = [_tape.differentiable_input(leaf) for leaf in leaves]
            answer = func(*structure.unflatten(self.inputs))
        self.structure = structure
        self.aux: Any = None
        if has_aux:
            if not isinstance(answer, tuple) or len(answer) != 2:
                raise at.ArgumentError(f"{name}: expected the function to answer (output, aux) with has_aux=True")
            answer, aux = answer
            self.aux = tree_map(self.outside, aux)
        self.answer = answer
        self.outputs, self.shape = _tensors(answer, name, "the function's results")
        # What else the outputs depend on may want to be differentiated by, too.
        self.higher = self.higher or (self.outer and _tape.leads_elsewhere(self.outputs, self.inputs))
        _tape.end_inputs(self.inputs)

    def outside(self, value: Any) -> Any:
        """A result as the caller is to see it: without the history that belongs to this call alone."""
        if not isinstance(value, at.Tensor) or self.higher:
            return value
        return _tape.without_history(value)

    def value(self) -> Any:
        """The function's results for the caller."""
        return tree_map(self.outside, self.answer)

    def pull(self, cotangents: Sequence[at.Tensor | None], retain: bool, create: bool | None = None) -> Any:
        """The gradients of the inputs, in their structure."""
        higher = self.higher if create is None else create
        used = [i for i, output in enumerate(self.outputs) if output.requires_grad]
        if not used:
            found: list[at.Tensor | None] = [None] * len(self.inputs)
        else:
            outputs = [self.outputs[i] for i in used]
            seeds = [cotangents[i] for i in used]
            found = _tape.backward(outputs, seeds, retain or higher, higher, self.inputs, False)
        filled = [at.zeros_like(x) if g is None else g for x, g in zip(self.inputs, found, strict=True)]
        return self.structure.unflatten(filled)


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that answers the gradient of ``func`` and its value: ``(gradient, value)``.

    With ``has_aux``, ``(gradient, (value, aux))``. The arguments are those of `grad`.

    >>> import atled.core as at
    >>> from atled.autograd.func import grad_and_value
    >>> gradient, value = grad_and_value(lambda x: (x * x).sum())(at.tensor([1.0, 2.0]))
    >>> gradient.tolist(), value.item()
    ([2.0, 4.0], 5.0)
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        of_chosen, primals = _split(func, args, kwargs, argnums, "grad")
        call = _Recorded(of_chosen, primals, "grad", has_aux)
        if not isinstance(call.answer, at.Tensor) or call.answer.numel() != 1:
            shape = tuple(call.answer.shape) if isinstance(call.answer, at.Tensor) else type(call.answer).__name__
            raise at.ShapeError(
                f"grad: expected the function to answer a tensor with one element, got {shape}; "
                "use vjp or jacrev for more"
            )
        if call.answer.is_complex():
            raise at.DTypeError(f"grad: expected a real result, got {call.answer.dtype}; use vjp")
        gradients = call.pull([None], False)
        gradient = gradients[0] if isinstance(argnums, int) else gradients
        return (gradient, (call.value(), call.aux)) if has_aux else (gradient, call.value())

    return differentiated


def value_and_grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """As `grad_and_value`, the value first: ``(value, gradient)``, or ``((value, aux), gradient)``.

    >>> import atled.core as at
    >>> from atled.autograd.func import value_and_grad
    >>> value, gradient = value_and_grad(at.sin)(at.tensor(0.0))
    >>> value.item(), gradient.item()
    (0.0, 1.0)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return value, gradient

    return differentiated


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that answers the gradient of ``func``, which answers one real number, by its arguments.

    argnums: which positional arguments, tensors or nested tuples, lists and dicts of them; a tuple of numbers answers a
    tuple of gradients.
    has_aux: ``func`` answers ``(value, aux)``, and the gradient function ``(gradient, aux)``.
    Raises ShapeError for a result of more than one element, DTypeError for integer arguments or a complex result.

    >>> import atled.core as at
    >>> from atled.autograd.func import grad
    >>> grad(grad(at.sin))(at.tensor(1.0)).item() == -at.sin(at.tensor(1.0)).item()
    True
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return differentiated


@explained
def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Calls ``func`` and answers ``(output, vjp_fn)``: vjp_fn(cotangents) answers the gradients of the primals.

    primals: tensors, or nested tuples, lists and dicts of them.
    has_aux: ``func`` answers ``(output, aux)``, and vjp ``(output, vjp_fn, aux)``.
    vjp_fn takes cotangents of the output's structure and shapes, as often as one likes; it answers a tuple with one
    entry for each primal.

    >>> import atled.core as at
    >>> from atled.autograd.func import vjp
    >>> output, back = vjp(at.sin, at.tensor([0.0, 1.0]))
    >>> back(at.ones(2))[0].tolist() == at.cos(at.tensor([0.0, 1.0])).tolist()
    True
    """
    call = _Recorded(func, primals, "vjp", has_aux)

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        seeds, structure = tree_flatten(cotangents)
        if structure != call.shape or len(seeds) != len(call.outputs):
            raise at.ArgumentError(
                f"vjp: expected cotangents in the structure of the output, with {len(call.outputs)} tensors, "
                f"got {len(seeds)}"
            )
        return call.pull(seeds, retain_graph, create_graph)

    output = call.value()
    return (output, vjp_fn, call.aux) if has_aux else (output, vjp_fn)


@explained
def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """Calls ``func`` and answers ``(output, tangent)``: the derivative of the output in the direction of ``tangents``.

    Forward mode: nothing is recorded, and no more memory is held than twice that of the call itself.

    primals, tangents: tuples of the same structure, of tensors of the same shapes and dtypes.
    strict: raise AutogradError for an output that depends on no primal, rather than answer zeros.
    has_aux: ``func`` answers ``(output, aux)``, and jvp ``(output, tangent, aux)``.

    >>> import atled.core as at
    >>> from atled.autograd.func import jvp
    >>> output, tangent = jvp(lambda x: x * x, (at.tensor(3.0),), (at.tensor(1.0),))
    >>> output.item(), tangent.item()
    (9.0, 6.0)
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple) or not primals:
        raise at.ArgumentError("jvp: expected primals and tangents to be tuples of at least one entry")
    values, structure = _tensors(primals, "jvp", "primals")
    moves, other = _tensors(tangents, "jvp", "tangents")
    if structure != other:
        raise at.ArgumentError("jvp: expected tangents in the structure of the primals")
    depth = _tape.begin("dual", 0, "")
    try:
        duals = [dual(value, move, depth, "jvp") for value, move in zip(values, moves, strict=True)]
        answer = func(*structure.unflatten(duals))
        aux: Any = None
        if has_aux:
            if not isinstance(answer, tuple) or len(answer) != 2:
                raise at.ArgumentError("jvp: expected the function to answer (output, aux) with has_aux=True")
            answer, aux = answer
            aux = tree_map(lambda leaf: _primal(leaf, depth), aux)
        results, shape = _tensors(answer, "jvp", "the function's results")
        held = [_tape.unwrap(result, depth) for result in results]
    finally:
        _tape.end()
    if strict and None in held:
        raise at.AutogradError(f"jvp: expected output {held.index(None)} to depend on a primal, as strict=True asks")
    output = [result if pair is None else pair[0] for result, pair in zip(results, held, strict=True)]
    tangent = [at.zeros_like(t) if pair is None else pair[1] for t, pair in zip(output, held, strict=True)]
    both = shape.unflatten(output), shape.unflatten(tangent)
    return (*both, aux) if has_aux else both


def _primal(value: Any, depth: int) -> Any:
    pair = _tape.unwrap(value, depth) if isinstance(value, at.Tensor) else None
    return value if pair is None else pair[0]


@explained
def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Calls ``func`` and answers ``(output, jvp_fn)``: ``jvp_fn(*tangents)`` is the derivative there, without ``func``.

    It costs more than one `jvp` and less than several: ``func`` runs once, and each call of jvp_fn goes through the
    recorded derivative alone.

    >>> import atled.core as at
    >>> from atled.autograd.func import linearize
    >>> output, push = linearize(at.sin, at.tensor(0.0))
    >>> push(at.tensor(2.0)).item()
    2.0
    """
    call = _Recorded(func, primals, "linearize", False)
    with enable_grad():
        cotangents = [_tape.differentiable_input(at.zeros_like(output)) for output in call.outputs]
        pulled, _ = tree_flatten(call.pull(cotangents, True, True))

    def jvp_fn(*tangents: Any) -> Any:
        moves, structure = _tensors(tangents, "linearize", "tangents")
        if structure != call.structure:
            raise at.ArgumentError("linearize: expected tangents in the structure of the primals")
        used = [i for i, gradient in enumerate(pulled) if gradient.requires_grad]
        found: list[at.Tensor | None] = [None] * len(cotangents)
        if used:
            roots = [pulled[i] for i in used]
            seeds = [moves[i] for i in used]
            found = _tape.backward(roots, seeds, True, call.higher, cotangents, False)
        return call.shape.unflatten(
            [at.zeros_like(c) if g is None else g for c, g in zip(cotangents, found, strict=True)]
        )

    return call.value(), jvp_fn


def _basis(leaves: list[at.Tensor]) -> list[at.Tensor]:
    """The unit vectors of all leaves together: of each leaf, its part of every one of them."""
    total = sum(leaf.numel() for leaf in leaves)
    parts = []
    start = 0
    for leaf in leaves:
        part = at.zeros((total, leaf.numel()), dtype=leaf.dtype, device=leaf.device)
        part[start : start + leaf.numel()] = at.eye(leaf.numel(), dtype=leaf.dtype, device=leaf.device)
        parts.append(part.reshape(total, *leaf.shape))
        start += leaf.numel()
    return parts


def _pieces(rows: at.Tensor, leaves: list[at.Tensor]) -> list[at.Tensor]:
    """The rows of a Jacobian that belong to each leaf, in the leaf's shape."""
    if len(leaves) == 1:
        return [rows.reshape(*leaves[0].shape, *rows.shape[1:])]
    split = at.split_with_sizes(rows, [leaf.numel() for leaf in leaves], 0)
    return [part.reshape(*leaf.shape, *rows.shape[1:]) for part, leaf in zip(split, leaves, strict=True)]


def _one_or_all(parts: tuple[Any, ...], argnums: Argnums) -> Any:
    return parts[0] if isinstance(argnums, int) else parts


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that answers the Jacobian of ``func``, by reverse mode: one row for each element of the output.

    Of an output of shape ``(*o)`` and an argument of shape ``(*i)`` it has shape ``(*o, *i)``; nested outputs and
    arguments give the outputs' structure, with the arguments' in each place.

    chunk_size: how many rows are computed in one go; None for all. The other arguments are those of `grad`.

    >>> import atled.core as at
    >>> from atled.autograd.func import jacrev
    >>> jacrev(lambda x: x * x)(at.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        of_chosen, primals = _split(func, args, kwargs, argnums, "jacrev")
        call = _Recorded(of_chosen, primals, "jacrev", has_aux)
        outputs = call.outputs
        rows = vmap(lambda *seeds: call.pull(list(seeds), True), chunk_size=chunk_size)(*_basis(outputs))
        leaves, structure = tree_flatten(rows)
        by_output: list[list[Any]] = [[] for _ in outputs]
        for leaf in leaves:
            for column, piece in zip(by_output, _pieces(leaf, outputs), strict=True):
                column.append(piece)
        places = [_one_or_all(structure.unflatten(column), argnums) for column in by_output]
        jacobian = call.shape.unflatten(places)
        return (jacobian, call.aux) if has_aux else jacobian

    return differentiated


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """A function that answers the Jacobian of ``func``, by forward mode: one column for each element of the arguments.

    The better one for functions with more results than arguments. Shapes and structures are those of `jacrev`.
    randomness: as for `vmap`.

    >>> import atled.core as at
    >>> from atled.autograd.func import jacfwd
    >>> jacfwd(lambda x: x * x)(at.tensor([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @functools.wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        of_chosen, primals = _split(func, args, kwargs, argnums, "jacfwd")
        leaves, structure = _tensors(primals, "jacfwd", "what it differentiates by")

        def push(*moves: at.Tensor) -> Any:
            found = jvp(of_chosen, primals, structure.unflatten(list(moves)), has_aux=has_aux)
            return found[1:]

        columns = vmap(push, randomness=randomness, chunk_size=chunk_size, out_dims=(-1, 0) if has_aux else -1)(
            *_basis(leaves)
        )
        tangents, shape = tree_flatten(columns[0])
        places = []
        for column in tangents:
            whole = column.shape[:-1]
            split = at.split_with_sizes(column, [leaf.numel() for leaf in leaves], -1) if len(leaves) > 1 else [column]
            pieces = [part.reshape(*whole, *leaf.shape) for part, leaf in zip(split, leaves, strict=True)]
            places.append(_one_or_all(structure.unflatten(pieces), argnums))
        jacobian = shape.unflatten(places)
        return (jacobian, tree_map(lambda leaf: leaf[0], columns[1])) if has_aux else jacobian

    return differentiated


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that answers the matrix of second derivatives of ``func``: forward mode over reverse mode.

    Of an output of shape ``(*o)`` and an argument of shape ``(*i)`` it has shape ``(*o, *i, *i)``.

    >>> import atled.core as at
    >>> from atled.autograd.func import hessian
    >>> hessian(lambda x: (x**3).sum())(at.tensor([1.0, 2.0])).tolist()
    [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacfwd(jacrev(func, argnums), argnums)
