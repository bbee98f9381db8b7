"""Gradients of one's own: Function."""

import functools
from collections.abc import Callable
from typing import Any

import atled.core as at
from atled.autograd import _function_levels, _tape
from atled.autograd.grad_mode import no_grad


class FunctionContext:
    """What forward leaves for backward: saved tensors, and any attribute that it sets.

    needs_input_grad: a bool for each argument of forward.

    >>> import atled.core as at
    >>> from atled.autograd import Function
    >>> class Scaled(Function):
    ...     @staticmethod
    ...     def forward(ctx, x, factor):
    ...         ctx.factor = factor
    ...         print(ctx.needs_input_grad)
    ...         return x * factor
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * ctx.factor, None
    >>> x = at.tensor(1.0, requires_grad=True)
    >>> Scaled.apply(x, 3.0).backward()
    (True, False)
    >>> x.grad.item()
    3.0
    """

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self, function: "type[Function]", positions: list[int], arguments: int) -> None:
        self._function = function
        self._positions = positions  # of the tensors among forward's arguments
        self._arguments = arguments
        self._to_save: tuple[at.Tensor | None, ...] = ()
        self._for_jvp: tuple[at.Tensor | None, ...] | None = None
        self._dirty: tuple[at.Tensor, ...] = ()
        self._constant: tuple[at.Tensor, ...] = ()
        self._materialize = True
        self._node: Any = None

    def save_for_backward(self, *tensors: at.Tensor | None) -> None:
        """Keeps tensors for `saved_tensors`; their later in-place change is an error there. The last call counts."""
        _expect_tensors("save_for_backward", tensors)
        self._to_save = tensors

    def save_for_forward(self, *tensors: at.Tensor | None) -> None:
        """Keeps tensors for `saved_tensors` in ``jvp``, which finds those of `save_for_backward` without this call."""
        _expect_tensors("save_for_forward", tensors)
        self._for_jvp = tensors

    def mark_dirty(self, *tensors: at.Tensor) -> None:
        """Says which arguments forward has changed in place; each must be among its results."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: at.Tensor) -> None:
        """Says which results have no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for results that nothing used."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[at.Tensor | None, ...]:
        """What `save_for_backward` kept; only while backward or ``jvp`` runs."""
        if self._node is None:
            return self._to_save if self._for_jvp is None else self._for_jvp
        saved: tuple[at.Tensor | None, ...] = _tape.saved_tensors(self._node)
        return saved

    def _backward(self, node: Any, gradients: tuple[at.Tensor | None, ...]) -> tuple[at.Tensor | None, ...]:
        """What the tape calls; answers one gradient for each tensor among forward's arguments."""
        outer, self._node = self._node, node
        try:
            answer = self._function.backward(self, *gradients)
        finally:
            self._node = outer
        given = answer if isinstance(answer, tuple) else (answer,)
        if len(given) != self._arguments and not (
            len(given) > self._arguments and all(g is None for g in given[self._arguments :])
        ):
            raise at.AutogradError(
                f"{self._function.__name__}.backward: expected {self._arguments} gradients, "
                f"one for each argument of forward, got {len(given)}"
            )
        for i, gradient in enumerate(given):
            if gradient is not None and i not in self._positions:
                raise at.AutogradError(
                    f"{self._function.__name__}.backward: expected None for argument {i}, which is no tensor"
                )
        return tuple(given[i] for i in self._positions)


def _expect_tensors(name: str, values: tuple[object, ...]) -> None:
    for value in values:
        if value is not None and not isinstance(value, at.Tensor):
            raise at.ArgumentError(f"{name}: expected Tensors and None, got {type(value).__name__}")


class Function:
    """A step with a gradient of its own: subclass it with static ``forward`` and ``backward``, and call ``apply``.

    Either ``forward(ctx, *args)``, or ``forward(*args)`` with ``setup_context(ctx, inputs, output)``.
    ``backward(ctx, *gradients)`` gets a gradient for each result, and answers one, or None, for each argument. It can
    be differentiated in its turn when it is made of differentiable steps.

    >>> import atled.core as at
    >>> from atled.autograd import Function
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * 3 * x * x
    >>> x = at.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad.item()
    12.0
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The step itself; calls in it are not recorded."""
        raise NotImplementedError("Function.forward: expected a subclass to define it")

    @staticmethod
    def setup_context(ctx: FunctionContext, inputs: tuple[Any, ...], output: Any) -> Any:
        """Leaves in ctx what backward needs, for a forward that takes no ctx."""
        raise NotImplementedError("Function.setup_context")

    @staticmethod
    def backward(ctx: FunctionContext, *gradients: Any) -> Any:
        """The gradient of each argument of forward from those of its results."""
        raise NotImplementedError("Function.backward: expected a subclass to define it")

    #: ``jvp(ctx, *tangents)``, where a subclass defines it: forward mode of its own, in place of what backward implies.
    jvp = staticmethod(_function_levels._plain_jvp)
    #: ``vmap(info, in_dims, *args)``, where a subclass defines it: answers ``(output, out_dims)`` for a whole batch.
    vmap = staticmethod(_function_levels._plain_vmap)

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward, and records it when recording is on and an argument requires grad."""
        level = 0
        if _tape.depth():
            args = _function_levels.lifted(args)
            level = _function_levels.deepest(args)
        if level and all(_tape.history_depth(a) < level for a in args if isinstance(a, at.Tensor)):
            answer = _function_levels.call(cls, args, kwargs, level)
            if answer is not NotImplemented:
                return answer
        output, context = cls._run(args, kwargs)
        if not _tape.is_enabled() or not any(context.needs_input_grad):
            return output
        return cls._record(context, [args[i] for i in context._positions], output)

    @classmethod
    def _run(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, FunctionContext]:
        """Forward, without recording."""
        positions = [i for i, argument in enumerate(args) if isinstance(argument, at.Tensor)]
        context = FunctionContext(cls, positions, len(args))
        context.needs_input_grad = tuple(
            isinstance(argument, at.Tensor) and _tape.requires_grad(argument) for argument in args
        )
        if _tape.depth():
            return cls._run_inside(context, args, kwargs), context
        enabled = _tape.set_enabled(False)
        try:
            return cls._forward(context, args, kwargs), context
        finally:
            _tape.set_enabled(enabled)

    @classmethod
    def _forward(cls, context: FunctionContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if cls.setup_context is Function.setup_context:
            return cls.forward(context, *args, **kwargs)
        output = cls.forward(*args, **kwargs)
        cls.setup_context(context, args, output)
        return output

    @classmethod
    def _run_inside(cls, context: FunctionContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Forward inside a vmap or jvp: on tensors without history, for levels further out are to record it."""
        plain = tuple(_tape.without_history(a) if isinstance(a, at.Tensor) else a for a in args)
        given = {id(p): a for p, a in zip(plain, args, strict=True) if isinstance(a, at.Tensor)}
        output = cls._forward(context, plain, kwargs)
        level = _function_levels.deepest(plain)
        answer = _function_levels.call(cls, plain, kwargs, level) if level else NotImplemented
        if answer is not NotImplemented:  # the same values, with what the levels further out are to see of them
            results = (output, answer) if isinstance(output, (tuple, list)) else ((output,), (answer,))
            given |= {id(own): seen for own, seen in zip(*results, strict=True) if id(own) not in given}
        context._to_save = tuple(given.get(id(t), t) for t in context._to_save)
        context._dirty = tuple(given.get(id(t), t) for t in context._dirty)
        if isinstance(output, (tuple, list)):
            return type(output)([given.get(id(t), t) for t in output])
        return given.get(id(output), output)

    @classmethod
    def _record(cls, context: FunctionContext, inputs: list[at.Tensor], output: Any) -> Any:
        several = isinstance(output, (tuple, list))
        results = list(output) if several else [output]
        tensors = [result if isinstance(result, at.Tensor) else None for result in results]
        constant = {id(tensor) for tensor in context._constant}
        differentiable = [
            tensor is not None and id(tensor) not in constant and tensor.dtype in _DIFFERENTIABLE for tensor in tensors
        ]
        for tensor in context._dirty:
            if all(tensor is not result for result in results):
                raise at.AutogradError(
                    f"{cls.__name__}: expected each tensor that was marked dirty among the results of forward"
                )
        seen = _tape.record(context, cls.__name__, inputs, tensors, context._to_save, context._dirty, differentiable)
        context._to_save = context._dirty = context._constant = ()
        final = [result if tensor is None else tensor for result, tensor in zip(results, seen, strict=True)]
        if not several:
            return final[0]
        return type(output)(final) if isinstance(output, list) else tuple(final)


class _Once(Function):
    """Gives gradients a history that says why they have none."""

    @staticmethod
    def forward(ctx: FunctionContext, name: str, seed: at.Tensor, *gradients: at.Tensor) -> tuple[at.Tensor, ...]:
        ctx.name = name  # type: ignore[attr-defined]
        return tuple(gradient.detach() for gradient in gradients)

    @staticmethod
    def backward(ctx: FunctionContext, *gradients: Any) -> Any:
        name = ctx.name  # type: ignore[attr-defined]
        raise at.AutogradError(
            f"{name}: its backward is marked once_differentiable, and cannot be differentiated again"
        )


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Marks the backward of a `Function` as one that cannot be differentiated in its turn.

    It runs without recording; an attempt to differentiate what it answers raises AutogradError.

    >>> import atled.core as at
    >>> from atled.autograd import Function, once_differentiable
    >>> class Double(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...
    ...     @staticmethod
    ...     @once_differentiable
    ...     def backward(ctx, g):
    ...         return at.tensor(2 * g.numpy())
    >>> x = at.tensor(1.0, requires_grad=True)
    >>> Double.apply(x).backward()
    >>> x.grad.item()
    2.0
    """

    @functools.wraps(backward)
    def once(ctx: FunctionContext, *gradients: Any) -> Any:
        with no_grad():
            answer = backward(ctx, *gradients)
        needed = any(isinstance(g, at.Tensor) and g.requires_grad for g in gradients)
        if not (_tape.is_enabled() and needed):
            return answer
        several = list(answer) if isinstance(answer, tuple) else [answer]
        places = [i for i, gradient in enumerate(several) if isinstance(gradient, at.Tensor)]
        seed = at.zeros((), requires_grad=True)
        marked = _Once.apply(ctx._function.__name__, seed, *(several[i] for i in places))
        for i, gradient in zip(places, marked, strict=True):
            several[i] = gradient
        return tuple(several)

    return once


_DIFFERENTIABLE = (at.float16, at.bfloat16, at.float32, at.float64, at.complex64, at.complex128)
