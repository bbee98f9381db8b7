"""Trading time for memory: what a function saves for its gradient is computed again when backward needs it.

The idea is that of Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016).
"""

import contextlib
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import atled.core as at
from atled.autograd import _tape
from atled.autograd._function import Function, FunctionContext
from atled.autograd.amp import as_now
from atled.autograd.grad_mode import enable_grad
from atled.autograd.graph import saved_tensors_hooks
from atled.core._explained import explained

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn"]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(at.AutogradError):
    """What was computed again is not what was computed first."""


class _Enough(BaseException):
    """All that is needed has been computed again."""


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing: the default of ``context_fn``.

    >>> from atled.autograd.checkpoint import noop_context_fn
    >>> first, second = noop_context_fn()
    >>> with first, second:
    ...     print("as it is")
    as it is
    """
    return contextlib.nullcontext(), contextlib.nullcontext()


def describe(tensor: at.Tensor) -> tuple[Any, ...]:
    """What two computations of a tensor are compared by: shape, dtype and device."""
    return tuple(tensor.shape), tensor.dtype, tensor.device


class Checkpoint(Function):
    """Saves the tensors among the arguments as any call does, so that a checkpoint around this one packs them.

    The second argument on are those tensors; the first makes it a recorded call.
    """

    @staticmethod
    def forward(ctx: FunctionContext, dummy: at.Tensor, *tensors: at.Tensor) -> at.Tensor:
        ctx.save_for_backward(*tensors)
        return dummy.clone()

    @staticmethod
    def backward(ctx: FunctionContext, *gradients: Any) -> Any:
        raise at.AutogradError("checkpoint: this node has no gradient")


class _Holder:
    """Stands in the graph for a saved tensor."""

    __slots__ = ("__weakref__", "place")

    def __init__(self, place: int) -> None:
        self.place = place


class _Region:
    """One call of a function: how to run it again, and what it saved, in order."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        preserve_rng_state: bool,
        recompute_context: AbstractContextManager[Any],
        check: bool,
        early_stop: bool,
        debug: bool,
    ) -> None:
        self.function = function
        self.state = at.default_generator.get_state() if preserve_rng_state else None
        self.recompute_context = recompute_context
        self.autocast = as_now()
        self.check = check
        self.early_stop = early_stop
        self.sites: list[str] | None = [] if debug else None
        self.holders: list[weakref.ref[_Holder]] = []
        self.kinds: list[tuple[Any, ...]] = []
        self.again: weakref.WeakKeyDictionary[_Holder, at.Tensor] = weakref.WeakKeyDictionary()
        # The tensors among the arguments are kept as saved tensors, with their places in args and kwargs.
        values = [*args, *kwargs.values()]
        self.names = tuple(kwargs)
        self.places = [i for i, value in enumerate(values) if isinstance(value, at.Tensor)]
        tensors = [values[i] for i in self.places]
        self.needs = [tensor.requires_grad for tensor in tensors]
        self.values = [None if isinstance(value, at.Tensor) else value for value in values]
        self.kept = Checkpoint.apply(at.empty(0, requires_grad=True), *(tensor.detach() for tensor in tensors))

    def pack(self, tensor: at.Tensor) -> _Holder:
        """The hook of the first run: remembers what the tensor was like, and keeps it not."""
        holder = _Holder(len(self.holders))
        self.holders.append(weakref.ref(holder))
        self.kinds.append(describe(tensor))
        if self.sites is not None:
            self.sites.append(_tape.call_site())
        return holder

    def unpack(self, holder: _Holder) -> at.Tensor:
        """The hook of backward: runs the function again where the tensor is not there yet."""
        tensor = self.again.pop(holder, None)
        if tensor is None:
            values = self._recompute()
            tensor = values.pop(holder)
            self.again.update(values)  # only now: other threads may take what lies there
        return tensor

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        values = list(self.values)
        saved = _tape.saved_tensors(self.kept.grad_fn)
        for place, tensor, needs in zip(self.places, saved, self.needs, strict=True):
            assert tensor is not None
            values[place] = tensor.detach().requires_grad_(needs)
        count = len(values) - len(self.names)
        return values[:count], dict(zip(self.names, values[count:], strict=True))

    def _recompute(self) -> "weakref.WeakKeyDictionary[_Holder, at.Tensor]":
        args, kwargs = self._arguments()
        second = _Second(self)
        with _generator_at(self.state), self.recompute_context, self.autocast, enable_grad():
            try:
                with saved_tensors_hooks(second.pack, lambda tensor: tensor):
                    self.function(*args, **kwargs)
            except _Enough:
                return second.values
        if second.count != len(self.holders):
            self.refuse(f"{len(self.holders)} saved tensors again", f"{second.count}", second)
        return second.values

    def refuse(self, expected: str, got: str, second: "_Second") -> None:
        """Says how the second run differs from the first."""
        text = f"checkpoint: expected {expected} when the function runs a second time, got {got}; "
        text += "its calls must not depend on anything that changes meanwhile"
        if self.sites is None:
            text += " (debug=True lists them)"
        else:
            for number, sites in ((1, self.sites), (2, second.sites)):
                text += f"\n  saved in run {number}: " + ", ".join(sites)
        raise CheckpointError(text)


class _Second:
    """The second run: hands what it saves to those who stand for it."""

    def __init__(self, region: _Region) -> None:
        self.region = region
        self.count = 0
        self.sites: list[str] = []
        self.values: weakref.WeakKeyDictionary[_Holder, at.Tensor] = weakref.WeakKeyDictionary()

    def pack(self, tensor: at.Tensor) -> at.Tensor:
        region, place = self.region, self.count
        self.count += 1
        if region.sites is not None:
            self.sites.append(_tape.call_site())
        if place >= len(region.holders):
            return tensor  # counted in the end
        kind = describe(tensor)
        if region.check and kind != region.kinds[place]:
            region.refuse(f"saved tensor {place} as {_text(region.kinds[place])}", _text(kind), self)
        holder = region.holders[place]()
        if holder is not None:
            self.values[holder] = tensor
        if region.early_stop and self.count == len(region.holders):
            raise _Enough
        return tensor


def _text(kind: tuple[Any, ...]) -> str:
    shape, dtype, device = kind
    return f"shape {shape}, {dtype.name}, {device}"


@contextlib.contextmanager
def _generator_at(state: at.Tensor | None) -> Iterator[None]:
    """The default generator in an earlier state, for a while."""
    if state is None:
        yield
        return
    before = at.default_generator.get_state()
    at.default_generator.set_state(state)
    try:
        yield
    finally:
        at.default_generator.set_state(before)


@explained
def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    preserve_rng_state: bool = True,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, whose calls save nothing: in backward it runs again for what their gradients need.

    The arguments are kept. Results, and gradients of any order, are those of a plain call; checkpoints may be nested.
    Inside `vmap` and `jvp`, and the derivatives made of them, it is a plain call, which saves what it needs.

    use_reentrant: PyTorch's choice between two ways that give the same; there is one here, for both.
    context_fn: answers two context managers, one around the first run and one around the second.
    determinism_check: ``"default"`` compares shapes, dtypes and devices of what the two runs save; ``"none"`` does not.
    debug: names in the error of that comparison the calls of both runs, with their lines.
    preserve_rng_state: the second run draws the numbers of the first from the default generator.
    early_stop: the second run ends as soon as all that is needed is there.
    Raises CheckpointError, in backward, when the second run saves other things than the first.

    >>> import atled.core as at
    >>> from atled.autograd.checkpoint import checkpoint
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> y = checkpoint(lambda x: (x * x).exp().sum(), x)
    >>> y.backward()
    >>> bool((x.grad == 2 * x * (x * x).exp()).all())
    True
    """
    if determinism_check not in ("default", "none"):
        raise at.InvalidValueError(
            f'checkpoint: expected determinism_check "default" or "none", got {determinism_check!r}'
        )
    first, second = context_fn()
    if not _tape.is_enabled() or _tape.depth():  # the second run would not know the levels of the first
        with first:
            return function(*args, **kwargs)
    check = determinism_check == "default"
    region = _Region(function, args, kwargs, preserve_rng_state, second, check, early_stop, debug)
    with saved_tensors_hooks(region.pack, region.unpack), first:
        return function(*args, **kwargs)


@explained
def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Calls functions one after the other on ``input``, in ``segments`` parts that are checkpoints, but for the last.

    functions: modules or other callables of one argument, or a module that iterates over its children.
    Raises InvalidValueError unless 1 <= segments <= the number of functions.

    >>> import atled.core as at
    >>> from atled.autograd.checkpoint import checkpoint_sequential
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint_sequential([at.sin, at.exp, at.tanh, at.sum], 2, x).backward()
    >>> x.grad.shape
    (2,)
    """
    steps = list(functions)
    if not 1 <= segments <= len(steps):
        raise at.InvalidValueError(
            f"checkpoint_sequential: expected segments from 1 to the {len(steps)} functions, got {segments}"
        )
    length = len(steps) // segments

    def part(begin: int, end: int | None) -> Callable[[Any], Any]:
        def run(value: Any) -> Any:
            for step in itertools.islice(steps, begin, end):
                value = step(value)
            return value

        return run

    for i in range(segments - 1):
        input = checkpoint(
            part(i * length, (i + 1) * length),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return part((segments - 1) * length, None)(input)
