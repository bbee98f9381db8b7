"""What every optimizer has: parameter groups, state, and their way into files."""

from __future__ import annotations

import functools
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._core import _recording
from atled.core._explained import ExplainsInit, explained
from atled.core._hooks import RemovableHandle
from atled.optim._state import expect_groups, expect_keys

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]


def _is_leaf(param: Tensor) -> bool:
    from atled.core import _registry

    # Without atled-autograd nothing is recorded.
    return "is_leaf" not in _registry.names("atled.tensor_attributes") or bool(param.is_leaf)


def plain(tensor: Tensor) -> Tensor:
    """The tensor as one that nothing is recorded of, over the same memory."""
    from atled.core import _registry

    found: Tensor = tensor.detach() if "detach" in _registry.names("atled.tensor_attributes") else tensor
    return found


def real(tensor: Tensor) -> Tensor:
    """The tensor, or of a complex one its real and imaginary parts: (..., 2), the same memory."""
    return at.view_as_real(tensor) if tensor.dtype.is_complex else tensor


def with_recording(closure: Callable[[], Any]) -> Any:
    """What ``closure`` returns; its calls are recorded, also within ``no_grad()``."""
    if not callable(closure):
        raise at.ArgumentError(f"step: expected closure to be a function, got {type(closure).__name__}")
    # Whoever switched recording off has loaded the module that switches it on.
    modes: Any = sys.modules.get("atled.autograd.grad_mode")
    if modes is None:
        return closure()
    with modes.enable_grad():
        return closure()


class Optimizer(ExplainsInit):
    """Base of the optimizers.

    ``params`` is an iterable of tensors, of (name, tensor) pairs, or of dicts with the key ``params`` and settings of
    their own; ``defaults`` are the settings of groups that do not say otherwise. Complex parameters are stepped as
    pairs of real numbers (`Adafactor` and `Muon` take real ones only). A subclass has a ``step`` of its own, as in
    PyTorch, or an ``_update``, which ``step`` calls with the parameters of each group that have gradients.

    Errors: ``ArgumentError`` for parameters that are no tensors, come twice or are none at all; ``InvalidValueError``
    for those that are no leaves.

    >>> from atled import optim
    >>> class Signs(optim.Optimizer):
    ...     def __init__(self, params, lr=0.5):
    ...         super().__init__(params, {"lr": lr})
    ...     def _update(self, group, params, grads):
    ...         for param, grad in zip(params, grads):
    ...             param.sub_(group["lr"] * at.sign(grad))
    >>> weight, bias = at.tensor([1.0, 2.0]), at.tensor([0.0])
    >>> signs = Signs([{"params": [weight]}, {"params": [bias], "lr": 0.25}])
    >>> signs.step(grads=[at.tensor([3.0, -4.0]), at.tensor([5.0])])
    >>> weight.tolist(), bias.tolist()
    ([0.5, 2.5], [-0.25])
    """

    #: Numbers in the state, beside ``step``, that PyTorch keeps as tensors.
    _numbers: frozenset[str] = frozenset()
    #: Whether a step was taken since a schedule was made; PyTorch's name, which programs set to be spared the warning.
    _opt_called = False

    @explained
    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise at.ArgumentError(
                "optimizer: expected an iterable of tensors or of dicts, got one Tensor; put it in a list"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        given: list[Any] = list(params)
        if not given:
            raise at.ArgumentError("optimizer: expected at least one parameter, got an empty list")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    @explained
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group: a dict with ``params`` and any settings; the others are the defaults.

        Errors are those of the constructor, also for a parameter that another group has.

        >>> from atled import optim
        >>> optimizer = optim.SGD([at.ones(1)], lr=0.5)
        >>> optimizer.add_param_group({"params": [at.ones(2)], "lr": 0.125})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.5, 0.125]
        """
        group = {**self.defaults, **param_group}
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        if params and isinstance(params[0], tuple):
            group["param_names"] = [name for name, _ in params]
            params = [param for _, param in params]
        known = {id(param) for other in self.param_groups for param in other["params"]}
        for param in params:
            if not isinstance(param, Tensor):
                raise at.ArgumentError(f"optimizer: expected parameters that are Tensors, got {type(param).__name__}")
            if id(param) in known:
                raise at.ArgumentError("optimizer: expected each parameter once, got one twice; share it in one group")
            if not _is_leaf(param):
                raise at.InvalidValueError(
                    "optimizer: expected parameters that are leaves, got the result of a recorded call, which gets no "
                    "gradient; take detach().requires_grad_() of it, or mark the leaf itself"
                )
            known.add(id(param))
        group["params"] = params
        self._check(group)
        self.param_groups.append(group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # subclasses of PyTorch's programs call it

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients, or sets them to zero when ``set_to_none`` is false."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad.detach_().zero_()

    def step(self, closure: Callable[[], Any] | None = None, *, grads: Sequence[Tensor | None] | None = None) -> Any:
        """Changes the parameters once, in place.

        The gradients are the parameters' ``grad``, or ``grads``, one per parameter in order over all groups (None skips
        one), so that tensors which nothing differentiated can be stepped. ``closure`` computes the loss anew first; its
        value is returned. Its calls are recorded, also within ``no_grad()``.
        """
        if _recording():
            with self._range():
                return self._step(closure, grads)
        return self._step(closure, grads)

    def _range(self) -> AbstractContextManager[Any]:
        """What a profiler that records shows of a step."""
        name = f"Optimizer.step#{type(self).__name__}.step"
        return at.profiler.record_function(name) if _recording() else nullcontext()

    def _step(self, closure: Callable[[], Any] | None, grads: Sequence[Tensor | None] | None) -> Any:
        loss = None if closure is None else with_recording(closure)
        if grads is not None and len(grads) != len(self._all()):
            raise at.ArgumentError(f"step: expected one gradient per parameter, {len(self._all())}, got {len(grads)}")
        at_grad = 0
        for group in self.param_groups:
            params = group["params"]
            if grads is None:
                found = [param.grad for param in params]
            else:
                found = list(grads[at_grad : at_grad + len(params)])
                at_grad += len(params)
            if params and all(grad is not None for grad in found):
                self._update(group, params, found)
                continue
            pairs = [(param, grad) for param, grad in zip(params, found, strict=True) if grad is not None]
            if pairs:
                self._update(group, [param for param, _ in pairs], [grad for _, grad in pairs])
        return loss

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        """Steps the parameters of a group that have gradients."""
        raise NotImplementedError(f"{type(self).__name__}: expected it to define step() or _update()")

    def _check(self, group: dict[str, Any]) -> None:
        """Raises InvalidValueError when a setting makes no sense."""
        if "lr" in group:
            require(group["lr"] >= 0, "lr", "at least 0", group["lr"])

    def _hooks(self, table: str) -> dict[int, Callable[..., Any]]:
        tables: dict[str, dict[int, Callable[..., Any]]] = self.__dict__.setdefault("_hook_tables", {})
        return tables.setdefault(table, {})

    def _called(self, table: str) -> list[Callable[..., Any]]:
        return list(self.__dict__.get("_hook_tables", {}).get(table, {}).values())

    def _see_steps(self) -> None:
        """Has steps go by way of `_step_between_hooks`; without hooks or schedules they stay as they are."""
        self.__dict__.setdefault("step", functools.partial(_step_between_hooks, self))

    def _sees_steps(self) -> bool:
        """Whether they do: a program may have put a ``step`` of its own in their place."""
        step = self.__dict__.get("step")
        return isinstance(step, functools.partial) and step.func is _step_between_hooks

    def _step_hook(self, table: str, hook: Callable[..., Any]) -> RemovableHandle:
        self._see_steps()
        return RemovableHandle(self._hooks(table), hook)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` before each step, with the optimizer as the first of ``args``.

        It may answer other arguments, ``(args, kwargs)``. The handle's ``remove()`` takes the hook away.

        >>> import atled.core as at
        >>> from atled import optim
        >>> optimizer = optim.SGD([at.ones(1)], lr=0.1)
        >>> handle = optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: print("before a step"))
        >>> optimizer.step(grads=[at.ones(1)])
        before a step
        """
        return self._step_hook("step_before", hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` after each step."""
        return self._step_hook("step_after", hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer)`` before `state_dict`."""
        return RemovableHandle(self._hooks("state_before"), hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` after `state_dict`; it may change the dict or answer another."""
        return RemovableHandle(self._hooks("state_after"), hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)`` with a copy before `load_state_dict`; it may answer another dict."""
        return RemovableHandle(self._hooks("load_before"), hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Calls ``hook(optimizer)`` after `load_state_dict`."""
        return RemovableHandle(self._hooks("load_after"), hook, prepend)

    def state_dict(self) -> dict[str, Any]:
        """State and settings, with parameters as numbers in order: what ``load_state_dict`` and ``at.save`` take.

        >>> from atled import optim
        >>> optimizer = optim.SGD([at.ones(1)], lr=0.5, momentum=0.9)
        >>> optimizer.step(grads=[at.ones(1)])
        >>> state = optimizer.state_dict()
        >>> state["state"][0]["momentum_buffer"].tolist(), state["param_groups"][0]["params"]
        ([1.0], [0])
        """
        for hook in self._called("state_before"):
            hook(self)
        state = self._own_state()
        for hook in self._called("state_after"):
            changed = hook(self, state)
            state = state if changed is None else changed
        return state

    def _own_state(self) -> dict[str, Any]:
        number = {id(param): i for i, param in enumerate(self._all())}
        groups = [
            {key: value for key, value in group.items() if key != "params"}
            | {"params": [number[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        return {
            "state": {number[id(param)]: dict(state) for param, state in self.state.items()},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what ``state_dict`` gave, copying tensors to each parameter's dtype and device.

        Errors, which change nothing: ``ArgumentError`` for what is no mapping with the list ``param_groups`` and the
        dict ``state``; ``InvalidValueError`` where one of them is missing, the number of groups, or of parameters in a
        group, is another, and for the state of a parameter that no group has.

        >>> from atled import optim
        >>> saved = optim.SGD([at.ones(1)], lr=0.5).state_dict()
        >>> optimizer = optim.SGD([at.zeros(1)], lr=0.1)
        >>> optimizer.load_state_dict(saved)
        >>> optimizer.param_groups[0]["lr"]
        0.5
        """
        expect_keys(type(self).__name__, state_dict)
        state_dict = dict(state_dict)
        for hook in self._called("load_before"):
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        self._take_over(state_dict)
        for hook in self._called("load_after"):
            hook(self)

    def _take_over(self, state_dict: Mapping[str, Any]) -> None:
        expect_groups(state_dict, self.param_groups, type(self).__name__)
        groups = state_dict["param_groups"]
        by_number = dict(zip((n for group in groups for n in group["params"]), self._all(), strict=True))
        self.state = defaultdict(dict)
        for number, entries in state_dict["state"].items():
            param = by_number[int(number)]
            self.state[param] = {key: self._adopted(key, value, param) for key, value in entries.items()}
        self.param_groups = [
            # A group that another version saved may lack settings.
            {
                **self.defaults,
                **{key: value for key, value in other.items() if key != "params"},
                "params": own["params"],
            }
            for own, other in zip(self.param_groups, groups, strict=True)
        ]

    def _adopted(self, key: str, value: Any, param: Tensor) -> Any:
        if isinstance(value, list):
            return [self._adopted(key, each, param) for each in value]
        if not isinstance(value, Tensor):
            return value
        if key == "step":
            return int(value.item())
        if key in self._numbers:
            return value.item()
        return at.tensor(value, dtype=param.dtype, device=param.device)

    def _all(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {value}" for key, value in sorted(group.items()) if key != "params"]
        return "\n".join([*lines, ")"])


def _step_between_hooks(*args: Any, **kwargs: Any) -> Any:
    """`Optimizer.step` of the first argument, between the hooks; they see that argument too, as PyTorch's do."""
    optimizer: Optimizer = args[0]
    optimizer._opt_called = True
    before = optimizer._called("step_before")
    if not before and not optimizer._called("step_after") and optimizer._sees_steps():
        del optimizer.step  # a schedule wanted to know of the first one; the others cost no more than without it
    for hook in before:
        changed = hook(optimizer, args, kwargs)
        if changed is None:
            continue
        if not (isinstance(changed, tuple) and len(changed) == 2):
            raise at.ArgumentError(f"step pre-hook: expected None or (args, kwargs), got {type(changed).__name__}")
        args, kwargs = changed
    answer = type(optimizer).step(*args, **kwargs)
    for hook in optimizer._called("step_after"):
        hook(optimizer, args, kwargs)
    return answer


def require(condition: bool, name: str, expected: str, got: Any, what: str = "optimizer") -> None:
    """Raises InvalidValueError that names the setting, unless the condition holds."""
    if not condition:
        raise at.InvalidValueError(f"{what}: expected {name} {expected}, got {got}")


def expect_alike(optimizer: Optimizer, params: list[Tensor], grads: list[Tensor]) -> None:
    """Raises ShapeError or DTypeError for a complex parameter, or a gradient that is not like its parameter."""
    name = type(optimizer).__name__
    for param, grad in zip(params, grads, strict=True):
        if param.dtype.is_complex:
            raise at.DTypeError(f"{name}: expected real parameters, got {param.dtype.name}; give others to AdamW")
        if grad.shape != param.shape:
            raise at.ShapeError(
                f"{name}: expected a gradient of shape {param.shape} as its parameter, got {grad.shape}"
            )
        if grad.dtype != param.dtype:
            raise at.DTypeError(
                f"{name}: expected a gradient of dtype {param.dtype.name} as its parameter, got {grad.dtype.name}"
            )


def expect_one_way(optimizer: Optimizer, differentiable: bool) -> None:
    """Raises InvalidValueError for a step that autograd should record."""
    if differentiable:
        raise at.InvalidValueError(
            f"{type(optimizer).__name__}: expected differentiable=False, got True; write the step with recorded ops"
        )


def buffer_for(state: dict[str, Any], key: str, param: Tensor) -> Tensor:
    """The state tensor of a parameter, made of zeros at first use."""
    found: Tensor | None = state.get(key)
    if found is None:
        _expect_no_capture(key, param)
        found = state[key] = at.zeros(param.shape, dtype=param.dtype, device=param.device)
    return found


def count_for(state: dict[str, Any], key: str, param: Tensor, start: float = 0.0) -> Tensor:
    """A number of the state as a float32 on the parameter's device, ``start`` at first use."""
    found = state.get(key, start)
    if not isinstance(found, Tensor):
        _expect_no_capture(key, param)
        found = state[key] = at.full((), float(found), dtype=at.float32, device=param.device)
    return found


def _expect_no_capture(key: str, param: Tensor) -> None:
    """What makes state may not become part of a CUDA graph, whose replays would make it anew."""
    if param.device.type == "cuda" and at.cuda.is_current_stream_capturing():
        raise at.OperationError(
            f"optimizer: expected {key} to be there when a graph is captured, got none yet; call step() once before"
        )
