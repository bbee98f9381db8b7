"""Where gradient rules are kept, and how they are written.

A rule is a set of functions, one for each tensor argument that has a gradient. The names of a function's parameters say
what it wants, and only that is saved:

=====================  ==========================================================================================
``g``                  the gradient of the op's (first) output
``g_values``           the gradient of the output that the schema names ``values``
``gs``                 the gradients of all outputs, as a tuple (for ops that answer ``Tensor[]``)
an argument's name     the argument, as it was given
``out``, ``values``    the (first) output, or the one of that name
``input_shape``        the shape of the argument ``input``, without keeping the tensor; so ``_dtype`` and ``_device``
``needs``              which of the rule's targets need a gradient (joint rules)
=====================  ==========================================================================================

What broadcasting and promotion did to an argument is undone by the tape: a rule answers the gradient of the broadcast
one.
"""

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import atled.core as at
from atled.autograd import _tape, _trace
from atled.autograd._math import conj
from atled.core import _registry

Gradient = Callable[..., Any]

_ELEMENTWISE = 1  # the trait's bit in the ABI


@dataclass(frozen=True)
class Part:
    """A function for one target, or a joint one for several; None marks targets that have no gradient."""

    targets: tuple[str, ...]
    function: Gradient | None
    joint: bool = False

    def row(self) -> tuple[tuple[str, ...], Gradient | None, tuple[str, ...], bool]:
        """What the tape reads."""
        names = () if self.function is None else parameter_names(self.function)
        return self.targets, self.function, names, self.joint


@dataclass(frozen=True)
class Rule:
    """All that is known of one op's gradient: parts, or a mark with its reason."""

    parts: tuple[Part, ...] = ()
    mark: str = "rule"  # or "non_differentiable" or "not_implemented"
    why: str = ""
    constants: tuple[str, ...] = ()  # outputs that are left out of the graph


@dataclass
class Transforms:
    """How an op's calls go through forward mode, batching and autocast; None where its traits say it (see
    `transforms_of`)."""

    forward: str | None = None
    batching: str | None = None
    decomposition: Callable[..., Any] | None = None
    tangent: Callable[..., Any] | None = None
    autocast: str = "as given"


_rules: dict[str, Rule] = {}
_transforms: dict[str, Transforms] = {}
_loaded: set[str] = set()  # namespaces
_begun: set[str] = set()  # those whose rules the thread that has _loading registers now, and those loaded
_loading = threading.RLock()
_missed: set[str] = set()  # ops that the tape has met without a rule


def parameter_names(function: Gradient) -> tuple[str, ...]:
    """The names that a rule's function asks for; TypeError for ``*args``, ``**kwargs`` and keyword-only ones."""
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"gradient rule: expected plain parameters whose names say what to save, got {parameter}")
    return tuple(parameter.name for parameter in parameters)


class RuleBook:
    """Registers the rules of one namespace of ops; what an ``atled.gradients`` entry point is called with.

    `atled.autograd.rule` is that of core's ops, and takes any op by its full name. Calling it registers a function for
    each argument that has a gradient; the methods mark ops, and say how they go through forward mode, `vmap` and
    autocast.

    >>> import atled.core as at
    >>> from atled.autograd import rule
    >>> op = at.define_op("rule_example::cube(Tensor input) -> Tensor", "x^3.")
    >>> at.add_kernel(op, "any", lambda x: x * x * x)
    >>> rule("rule_example::cube", input=lambda g, input: g * 3 * input * input)
    >>> x = at.tensor(2.0, requires_grad=True)
    >>> op(x).backward()
    >>> x.grad.item()
    12.0
    """

    #: The complex conjugate, for rules of complex arguments; what is real stays as it is, at no cost.
    conj = staticmethod(conj)

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def _put(self, op: str, rule: Rule) -> None:
        name = op if "::" in op else f"{self.namespace}::{op}"
        old = _rules.get(name)
        if old is not None and old.mark == rule.mark == "rule":
            new = {target for part in rule.parts for target in part.targets}
            kept = (part for part in old.parts if new.isdisjoint(part.targets))
            rule = Rule((*kept, *rule.parts), constants=old.constants + rule.constants)
        _rules[name] = rule
        if old is not None or name in _missed:
            _tape.forget(name)

    def __call__(self, op: str, /, **functions: Gradient | None) -> None:
        """Registers one function for each differentiable argument of ``op``; None says that it has no gradient.

        >>> from atled.autograd import rule
        >>> rule("core::mul", input=lambda g, other: g * other, other=lambda g, input: g * input)  # doctest: +SKIP
        """
        if not isinstance(op, str):
            raise at.ArgumentError(f"rule: expected the name of an op, got {type(op).__name__}")
        if odd := [
            argument for argument, function in functions.items() if not (function is None or callable(function))
        ]:
            raise at.ArgumentError(f"rule: expected functions or None, got another object for {odd[0]} of {op}")
        self._put(op, Rule(tuple(Part((argument,), function) for argument, function in functions.items())))

    def _transforms(self, op: str) -> Transforms:
        name = op if "::" in op else f"{self.namespace}::{op}"
        if name in _rules or name in _missed:
            _tape.forget(name)
        return _transforms.setdefault(name, Transforms())

    def linear(self, *ops: str) -> None:
        """Says that ops are linear in the arguments that have gradients: their tangents go through the same call."""
        for op in ops:
            self._transforms(op).forward = "linear"

    def multilinear(self, *ops: str) -> None:
        """Says that ops are linear in each argument that has a gradient while the others stay (products)."""
        for op in ops:
            self._transforms(op).forward = "multilinear"

    def transposed(self, *ops: str) -> None:
        """Has tangents of element-wise ops come from their gradients, where the op is not holomorphic."""
        for op in ops:
            self._transforms(op).forward = "transposed"

    def tangent(self, op: str, function: Callable[..., Any], /) -> None:
        """Registers what forward mode calls for an op whose gradient functions do not say it (see `transposed`).

        function: gets three tuples, the arguments and results in the schema's order and for each argument its tangent
        or None; answers the result's tangent, or a tuple with one or None for each result.
        """
        self._transforms(op).tangent = function

    def batch(self, how: str, *ops: str) -> None:
        """Says how `vmap` calls ops once for a whole batch.

        how: ``"aligned"`` (broadcasting, or leading dimensions are left alone), ``"dims"`` (dimensions that arguments
        name move by one), ``"places"`` (the same, where they name dimensions of a result with one more), ``"order"``
        (a list of all dimensions), ``"along"`` (as dims, with an index that is the same for all), ``"index"`` and
        ``"entries"`` (what subscripts are made of), ``"sizes"`` and ``"repeats"`` (a shape that an argument gives gets
        the batch, or a 1, in front), ``"loop"`` (one call for
        each element), ``"refused"`` (the result's shape depends on values).
        """
        for op in ops:
            self._transforms(op).batching = how

    def decompose(self, op: str, function: Callable[..., Any], /) -> None:
        """Has `vmap` call other ops in an op's place.

        function: gets the op's arguments in the schema's order, without their batch dimension, and answers its result,
        or NotImplemented to have the call batched as `batch` says.
        """
        self._transforms(op).decomposition = function

    def autocast(self, how: str, *ops: str) -> None:
        """Says what `atled.autograd.autocast` makes of the floating arguments of calls (float64 is left alone).

        how: ``"lower"`` (the lower precision, for products), ``"float32"`` (of half precision, for what overflows or
        loses digits in it), ``"widest"`` (float32 where they differ, for ops that take one dtype).
        """
        if how not in ("lower", "float32", "widest"):
            raise ValueError(f"autocast: expected 'lower', 'float32' or 'widest', got {how!r}")
        for op in ops:
            self._transforms(op).autocast = how

    def joint(self, op: str, arguments: tuple[str, ...], function: Gradient, /) -> None:
        """Registers one function for several arguments; it answers a tuple with a gradient or None for each."""
        self._put(op, Rule((Part(arguments, function, joint=True),)))

    def constant(self, op: str, *outputs: str) -> None:
        """Says which outputs of an op, by their names in its schema, carry no gradient (saved statistics, masks)."""
        self._put(op, Rule(constants=outputs))

    def non_differentiable(self, *ops: str) -> None:
        """Marks ops whose results never have a gradient: the tape leaves their calls alone."""
        for op in ops:
            self._put(op, Rule(mark="non_differentiable"))

    def not_implemented(self, op: str, why: str) -> None:
        """Marks an op that could have a gradient and has none yet; recording it is an error that says why."""
        self._put(op, Rule(mark="not_implemented", why=why))


#: Registers rules of core's ops, or of any op by its full name: ``rule("mine::op", input=lambda g: ...)``.
rule = RuleBook("core")


def load(namespace: str) -> None:
    """Registers what installed distributions provide for a namespace; does nothing the second time."""
    if namespace in _loaded:
        return
    with _loading:  # who comes second waits until the rules are all there
        if namespace in _begun:
            return
        _begun.add(namespace)
        register = _registry.find("atled.gradients", namespace)
        if callable(register):
            register(RuleBook(namespace))
        _loaded.add(namespace)


def find(namespace: str, op: str) -> Rule | None:
    """The rule of an op, or None."""
    load(namespace)
    return _rules.get(f"{namespace}::{op}")


def transforms_of(
    namespace: str, op: str
) -> tuple[str, str, Callable[..., Any] | None, Callable[..., Any] | None, str]:
    """How an op goes through forward mode and batching, its decomposition, its tangents' function, and autocast.

    As marked, or as its traits say: element-wise ops are ``"diagonal"`` and ``"aligned"``, all others, without a mark,
    ``"transposed"`` and ``"loop"``.
    """
    load(namespace)
    marked = _transforms.get(f"{namespace}::{op}", Transforms())
    elementwise = bool(_tape.signature(f"{namespace}::{op}")[2] & _ELEMENTWISE)
    forward = marked.forward or ("diagonal" if elementwise else "transposed")
    batching = marked.batching or ("aligned" if elementwise else "loop")
    return forward, batching, marked.decomposition, marked.tangent, marked.autocast


def lookup(namespace: str, op: str) -> tuple[Any, ...]:
    """What the tape asks when it meets an op for the first time."""
    found = find(namespace, op)
    transforms = transforms_of(namespace, op)
    if found is None:
        _missed.add(f"{namespace}::{op}")
        return "missing", "", (), transforms
    if found.mark != "rule":
        return found.mark, found.why, (), transforms
    return found.mark, tuple(part.row() for part in found.parts), found.constants, transforms


def load_tape() -> None:
    """Registers the layer and this package's ops; importing the tape has done so."""


_tape.connect(lookup, _trace.trace)


def coverage(namespace: str | None = None) -> dict[str, str]:
    """What each registered op has: ``"rule"``, ``"non_differentiable"``, ``"not_implemented"`` or ``"missing"``.

    namespace: None for all. Composite ops are left out: the ops that they call are recorded in their place.

    >>> from atled.autograd import coverage
    >>> table = coverage("core")
    >>> table["core::mul"], table["core::argmax"]
    ('rule', 'non_differentiable')
    """
    table = {}
    for name in _tape.ops():
        space, op = name.split("::")
        if namespace in (None, space):
            found = find(space, op)
            table[name] = "missing" if found is None else found.mark
    return table
