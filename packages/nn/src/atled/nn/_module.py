"""The base class of all layers and models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import atled.core as at
from atled.core._explained import ExplainsInit, explained, explanation
from atled.core._hooks import RemovableHandle

from . import _state
from ._backward_hooks import passing
from ._hooks import Hooks, table_property
from ._parameter import Parameter, detached, gradient, set_requires_grad
from ._registered import Registered

_PARAMETER, _BUFFER, _MODULE = "parameter", "buffer", "module"


class Module(ExplainsInit):
    """What computes with parameters of its own: subclass it, make the parts in ``__init__`` and compute in ``forward``.

    Parameters and modules that are assigned to attributes are found by ``parameters()``, ``state_dict()``, ``to()`` and
    the like; tensors that belong to the module but are not learnt are registered with ``register_buffer``.

    >>> import atled.core as at
    >>> from atled import nn
    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = nn.Linear(3, 3)
    ...     def forward(self, x):
    ...         return self.layer(self.layer(x))
    >>> Twice()(at.ones(2, 3)).shape
    (2, 3)
    """

    # What is registered lives in the instance's __dict__, as other attributes do, so that reading it costs no more.
    # _kinds says which names they are, in the order of their registration.
    _kinds: dict[str, str]
    _transient: set[str]
    _hooks: Hooks | None = None
    _version: int = 1  # of the class's part of a state dict, for its own _load_from_state_dict
    training: bool

    def __init__(self) -> None:
        own = self.__dict__
        own["training"] = True
        own["_kinds"] = {}
        own["_transient"] = set()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; subclasses define it. Call the module itself, which also runs its hooks."""
        raise NotImplementedError(f"{type(self).__name__}: expected the class to define forward(), got none")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs ``forward`` between the hooks that were registered."""
        try:
            if self._hooks is None:
                return self.forward(*args, **kwargs)
            return self._hooks.call(self, args, kwargs)
        except Exception as error:
            better = explanation(type(self).forward, (self, *args), kwargs, error)
            if better is None:
                raise
            raise better from None

    # ---- attributes ----

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._register(_PARAMETER, name, value)
        elif isinstance(value, Module):
            self._register(_MODULE, name, value)
        else:
            kinds = self.__dict__.get("_kinds")
            if kinds and name in kinds:
                _check_kind(name, kinds[name], value)
                self.__dict__[name] = value
            else:
                object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._kinds.pop(name, None)
        self._transient.discard(name)

    def _register(self, kind: str, name: str, value: Any) -> None:
        own = self.__dict__
        if "_kinds" not in own:
            raise AttributeError(f"{type(self).__name__}: expected super().__init__() before {name!r} is assigned")
        if not isinstance(name, str):
            raise TypeError(f"expected the name of a {kind} to be a str, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"expected the name of a {kind} not to be empty nor to contain '.', got {name!r}")
        if name not in own["_kinds"] and name not in own and hasattr(type(self), name):
            raise KeyError(f"attribute {name!r} of {type(self).__name__} exists already")
        # A name that changes its kind takes a new place in the order.
        if own["_kinds"].get(name, kind) != kind:
            del own["_kinds"][name]
        own["_kinds"][name] = kind
        own["_transient"].discard(name)
        own[name] = value

    def _expect_free(self, kind: str, name: str) -> None:
        """KeyError where a name stands for something of another kind, which registering would replace unseen."""
        own = self.__dict__
        if own.get("_kinds", {}).get(name, kind) != kind or (name in own and name not in own["_kinds"]):
            raise KeyError(f"attribute {name!r} exists already; assign to it, or delete it first")

    @explained
    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter under a name; None reserves the name, which is then in no list and no state dict.

        TypeError for what is neither a `Parameter` nor None.

        >>> import atled.core as at
        >>> from atled import nn
        >>> module = nn.Module()
        >>> module.register_parameter("scale", nn.Parameter(at.ones(2)))
        >>> module.register_parameter("shift", None)
        >>> list(module.state_dict()), module.shift is None
        (['scale'], True)
        """
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"expected parameter {name!r} to be a Parameter or None, got {type(param).__name__}")
        self._expect_free(_PARAMETER, name)
        self._register(_PARAMETER, name, param)

    @explained
    def register_buffer(self, name: str, tensor: at.Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is not learnt but belongs to the module; it is in the state dict if persistent.

        >>> import atled.core as at
        >>> from atled import nn
        >>> module = nn.Module()
        >>> module.register_buffer("mean", at.zeros(2))
        >>> module.register_buffer("scratch", at.zeros(2), persistent=False)
        >>> [name for name, _ in module.named_buffers()], list(module.state_dict())
        (['mean', 'scratch'], ['mean'])
        """
        if tensor is not None and not isinstance(tensor, at.Tensor):
            raise TypeError(f"expected buffer {name!r} to be a Tensor or None, got {type(tensor).__name__}")
        self._expect_free(_BUFFER, name)
        self._register(_BUFFER, name, tensor)
        if not persistent:
            self._transient.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Adds a module under a name; None reserves the name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"expected module {name!r} to be a Module or None, got {type(module).__name__}")
        self._expect_free(_MODULE, name)
        self._register(_MODULE, name, module)

    add_module = register_module

    def _own(self, kind: str) -> dict[str, Any]:
        own = self.__dict__
        return {name: own[name] for name, of_kind in own["_kinds"].items() if of_kind == kind}

    # PyTorch's private names, through which programs replace and remove what is registered.

    @property
    def _parameters(self) -> dict[str, Parameter | None]:
        return Registered(self, _PARAMETER)

    @property
    def _buffers(self) -> dict[str, at.Tensor | None]:
        return Registered(self, _BUFFER)

    @property
    def _modules(self) -> dict[str, Module | None]:
        return Registered(self, _MODULE)

    _forward_pre_hooks = table_property("before")
    _forward_hooks = table_property("after")
    _backward_pre_hooks = table_property("backward_before")
    _backward_hooks = table_property("backward")

    # ---- what belongs to it ----

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The names and modules that are assigned to attributes, each module once.

        >>> from atled import nn
        >>> [name for name, _ in nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU())).named_children()]
        ['0', '1']
        """
        seen: set[int] = set()
        for name, module in self._own(_MODULE).items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules that are assigned to attributes."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """The module itself and all modules within, with their dotted names; a module comes before those within it.

        >>> from atled import nn
        >>> [name for name, _ in nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU())).named_modules()]
        ['', '0', '1', '1.0']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._own(_MODULE).items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """The module itself and all modules within, each once."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def _named(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in module._own(kind).items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names, shared ones once; without ``recurse`` the module's own.

        >>> from atled import nn
        >>> [(name, p.shape) for name, p in nn.Sequential(nn.Linear(3, 2), nn.ReLU()).named_parameters()]
        [('0.weight', (2, 3)), ('0.bias', (2,))]
        """
        return self._named(_PARAMETER, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, shared ones once: what an optimizer takes.

        >>> from atled import nn
        >>> sum(p.numel() for p in nn.Linear(3, 2).parameters())
        8
        """
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, at.Tensor]]:
        """All buffers with their dotted names, shared ones once."""
        return self._named(_BUFFER, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[at.Tensor]:
        """All buffers, shared ones once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    @explained
    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name, itself for ``""``; AttributeError where there is none.

        >>> from atled import nn
        >>> nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU())).get_submodule("1.0")
        ReLU()
        """
        module: Module = self
        for name in filter(None, target.split(".")):
            found = module.__dict__.get(name) if isinstance(module, Module) else None
            if not isinstance(found, Module):
                raise AttributeError(f"{type(module).__name__} has no module {name!r} (of {target!r})")
            module = found
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Replaces the module with a dotted name, or adds it; AttributeError where ``strict`` and there is none."""
        path, _, name = target.rpartition(".")
        if strict:
            self.get_submodule(target)
        self.get_submodule(path).register_module(name, module)

    def _get(self, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if module._kinds.get(name) != kind:
            raise AttributeError(f"{type(module).__name__} has no {kind} {name!r} (of {target!r})")
        return module.__dict__[name]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name; AttributeError where there is none."""
        parameter: Parameter = self._get(_PARAMETER, target)
        return parameter

    def get_buffer(self, target: str) -> at.Tensor:
        """The buffer with a dotted name; AttributeError where there is none."""
        buffer: at.Tensor = self._get(_BUFFER, target)
        return buffer

    # ---- modes and conversions ----

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, which dropout and batch normalisation look at, here and in all modules within.

        Answers the module.

        >>> from atled import nn
        >>> model = nn.Sequential(nn.Dropout())
        >>> model[0].training, model.train(False)[0].training
        (True, False)
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: expected mode to be a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Sets evaluation mode, ``train(False)``, and answers the module.

        >>> import atled.core as at
        >>> from atled import nn
        >>> nn.Dropout(0.5).eval()(at.ones(2)).tolist()
        [1.0, 1.0]
        """
        return self.train(False)

    @explained
    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Calls a function with every module within, then with the module itself, which it answers.

        >>> from atled import nn
        >>> def zero_bias(module):
        ...     if isinstance(module, nn.Linear):
        ...         nn.init.zeros_(module.bias)
        >>> nn.Sequential(nn.Linear(2, 3)).apply(zero_bias)[0].bias.tolist()
        [0.0, 0.0, 0.0]
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Says of all parameters whether they are learnt."""
        for parameter in self.parameters():
            set_requires_grad(parameter, requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or fills them with zeros."""
        for parameter in self.parameters():
            grad = gradient(parameter)
            if grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                detached(grad).zero_()

    def _convert(self, convert: Callable[[at.Tensor], at.Tensor]) -> Self:
        """Makes of each parameter, which stays the same object, and of each buffer what `convert` answers."""
        made: dict[int, at.Tensor] = {}
        for module in self.modules():
            for name, kind in module._kinds.items():
                old = module.__dict__[name]
                if kind == _MODULE or old is None:
                    continue
                if id(old) not in made:
                    made[id(old)] = _converted(old, convert)
                module.__dict__[name] = made[id(old)]
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves to a device, and floating parameters and buffers to a dtype; answers the module.

        The arguments are a device, a dtype, both, or a tensor that has them; ``memory_format`` says how parameters and
        buffers of four dimensions (five for ``channels_last_3d``) lie in memory. Parameters stay the same objects, with
        other data, so that an optimizer still has them; what it has made for them (momenta) is not converted.

        >>> import atled.core as at
        >>> from atled import nn
        >>> layer = nn.BatchNorm1d(2).to(at.float64)
        >>> layer.weight.dtype.name, layer.num_batches_tracked.dtype.name
        ('float64', 'int64')
        """
        format = kwargs.pop("memory_format", None)
        device, dtype = _target(args, kwargs)

        def convert(t: at.Tensor) -> at.Tensor:
            floating = dtype is not None and (t.is_floating_point() or t.is_complex())
            if device is not None or floating:
                t = t.to(device, dtype if floating else None)
            lies = format is not None and t.ndim == (5 if format == at.channels_last_3d else 4)
            return t.contiguous(memory_format=format) if lies else t

        return self._convert(convert)

    def type(self, dst_type: at.dtype) -> Self:
        """Floating parameters and buffers to a dtype."""
        return self.to(dst_type)

    def share_memory(self) -> Self:
        """Moves parameters and buffers into memory that processes share (``Tensor.share_memory_``), each in place."""
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.share_memory_()
        return self

    def to_empty(self, *, device: at.device | str, recurse: bool = True) -> Self:
        """Gives parameters and buffers new memory on a device, whose content is whatever was there.

        For a module that was made without memory. ``recurse`` is PyTorch's and must be true.

        >>> import atled.core as at
        >>> from atled import nn
        >>> with at.device("meta"):
        ...     layer = nn.Linear(3, 2)
        >>> layer.to_empty(device="cpu").weight.device.type
        'cpu'
        """
        if not recurse:
            raise at.InvalidValueError("to_empty: expected recurse=True; call it on the children that are meant")
        return self._convert(lambda t: at.empty_like(t, device=device))

    def float(self) -> Self:
        """Floating parameters and buffers to float32."""
        return self.to(at.float32)

    def double(self) -> Self:
        """Floating parameters and buffers to float64."""
        return self.to(at.float64)

    def half(self) -> Self:
        """Floating parameters and buffers to float16."""
        return self.to(at.float16)

    def bfloat16(self) -> Self:
        """Floating parameters and buffers to bfloat16."""
        return self.to(at.bfloat16)

    def cpu(self) -> Self:
        """All parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:
        """All parameters and buffers to a CUDA device."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    # ---- state ----

    @explained
    def state_dict(
        self, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, at.Tensor]:
        """All parameters and persistent buffers by their dotted names, as tensors that share their memory.

        >>> from atled import nn
        >>> list(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, affine=False)).state_dict())
        ['0.weight', '0.bias', '1.running_mean', '1.running_var', '1.num_batches_tracked']
        """
        return _state.collect(self, {} if destination is None else destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: dict[str, at.Tensor], strict: bool = True, assign: bool = False
    ) -> _state.IncompatibleKeys:
        """Copies a state dict into the parameters and buffers, or with ``assign`` puts its tensors in their place.

        StateDictError lists all keys that are missing or unexpected (unless ``strict`` is false) and all shapes that
        differ; nothing has been changed then. Answers the missing and the unexpected keys.

        >>> import atled.core as at
        >>> from atled import nn
        >>> layer = nn.Linear(2, 1)
        >>> layer.load_state_dict({"weight": at.tensor([[1.0, 2.0]])}, strict=False).missing_keys
        ['bias']
        >>> layer.weight.tolist()
        [[1.0, 2.0]]
        """
        return _state.restore(self, state_dict, strict, assign)

    def get_extra_state(self) -> Any:
        """What a subclass wants in the state dict beside its tensors; it defines `set_extra_state`, too."""
        raise NotImplementedError(f"{type(self).__name__}: expected the class to define get_extra_state(), got none")

    def set_extra_state(self, state: Any) -> None:
        """Takes over what `get_extra_state` gave."""
        raise NotImplementedError(f"{type(self).__name__}: expected the class to define set_extra_state(), got none")

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """For classes that change a state dict before it is loaded, as those of `register_load_state_dict_pre_hook`."""

    # ---- hooks ----

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self.__dict__["_hooks"] = Hooks()
        hooks = self._hooks
        assert hooks is not None
        return hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args)`` before each forward; it may answer other arguments.

        With ``with_kwargs`` it gets and answers keyword arguments, too. Answers a handle whose ``remove()`` takes it
        away; ``prepend`` puts it before the others.

        >>> import atled.core as at
        >>> from atled import nn
        >>> layer = nn.Identity()
        >>> handle = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
        >>> layer(at.tensor([1.0])).tolist()
        [2.0]
        """
        return RemovableHandle(self._own_hooks().before, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args, output)`` after each forward; it may answer another output.

        ``always_call`` calls it when forward raises, too. Answers a handle whose ``remove()`` takes the hook away.

        >>> import atled.core as at
        >>> from atled import nn
        >>> layer = nn.Identity()
        >>> with layer.register_forward_hook(lambda module, args, output: output + 1):
        ...     layer(at.tensor([1.0])).tolist()
        [2.0]
        >>> layer(at.tensor([1.0])).tolist()
        [1.0]
        """
        return RemovableHandle(self._own_hooks().after, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(
        self, hook: Callable[[Module, Any, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, grad_input, grad_output)`` when backward has passed the module.

        Both are tuples, of a gradient for each positional argument of forward and for each result; None for what
        requires none. The hook may answer other gradients of the arguments. AttributeError without atled-autograd.

        >>> import atled.core as at
        >>> from atled import nn
        >>> layer = nn.ReLU()
        >>> layer.register_full_backward_hook(lambda module, into, out: print(into, out))  # doctest: +SKIP
        >>> layer(at.tensor([2.0, -1.0], requires_grad=True)).sum().backward()  # doctest: +SKIP
        (tensor([1., 0.]),) (tensor([1., 1.]),)
        """
        passing()
        return RemovableHandle(self._own_hooks().backward, hook, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[[Module, Any], Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, grad_output)`` before backward passes the module; it may answer other gradients."""
        passing()
        return RemovableHandle(self._own_hooks().backward_before, hook, prepend)

    def register_state_dict_pre_hook(self, hook: Callable[[Module, str, bool], None]) -> RemovableHandle:
        """Calls ``hook(module, prefix, keep_vars)`` before the module's part of a state dict is written."""
        return RemovableHandle(self._own_hooks().state_before, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls ``hook(module, state_dict, prefix, local_metadata)`` after that; it may change the dict in place."""
        return RemovableHandle(self._own_hooks().state_after, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls a hook before a state dict is loaded, whose copy it may change in place, to rename keys for example.

        It gets ``(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)``.
        """
        return RemovableHandle(self._own_hooks().load_before, hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        """PyTorch's private form of it, which programs use: without the module among the arguments."""
        return self.register_load_state_dict_pre_hook(hook if with_module else lambda _, *args: hook(*args))

    def register_load_state_dict_post_hook(self, hook: Callable[[Module, Any], None]) -> RemovableHandle:
        """Calls ``hook(module, incompatible_keys)`` after a state dict was loaded.

        It may take keys off the two lists. Keys that are missing or unexpected then raise after the loading.
        """
        return RemovableHandle(self._own_hooks().load_after, hook)

    def compile(self, *, disable: bool = False, **hints: Any) -> None:
        """Fuses the element-wise calls of each later call of this module, as `atled.core.compile` does for functions.

        ``disable=True`` ends that. ``hints`` are that function's, and change nothing; TypeError and InvalidValueError
        for others.

        >>> from atled import nn
        >>> net = nn.Sequential(nn.Linear(4, 4), nn.SiLU())
        >>> net.compile()
        >>> net(at.ones(2, 4)).shape
        (2, 4)
        """
        at.compile(**hints)
        self._own_hooks().fused = not disable

    def has_hooks(self) -> bool:
        """Whether a forward or a forward pre-hook is registered here."""
        return self._hooks is not None and bool(self._hooks.before or self._hooks.after)

    # ---- printed form ----

    def extra_repr(self) -> str:
        """What stands between the parentheses of the printed form; subclasses define it."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr().split("\n") if self.extra_repr() else []
        children = [f"({name}): {indented(repr(module))}" for name, module in self._own(_MODULE).items()]
        if not children and len(extra) <= 1:
            return f"{self._get_name()}({''.join(extra)})"
        return f"{self._get_name()}(\n" + "".join(f"  {line}\n" for line in extra + children) + ")"


def indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _check_kind(name: str, kind: str, value: Any) -> None:
    wanted = {_PARAMETER: "a Parameter", _BUFFER: "a Tensor", _MODULE: "a Module"}[kind]
    if value is not None and not (kind == _BUFFER and isinstance(value, at.Tensor)):
        raise TypeError(f"expected {kind} {name!r} to be {wanted} or None, got {type(value).__name__}")


def _converted(old: at.Tensor, convert: Callable[[at.Tensor], at.Tensor]) -> at.Tensor:
    plain = detached(old)
    new = convert(plain)
    if new is plain:
        return old
    if not isinstance(old, Parameter):
        return new
    grad = gradient(old)
    old.data = new
    if grad is not None:
        old.grad = convert(detached(grad))
    return old


def _target(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The device and the dtype that the arguments of ``to`` ask for."""
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    kwargs.pop("non_blocking", None)
    if kwargs:
        raise at.ArgumentError(f"to: expected device, dtype, non_blocking and memory_format, got {', '.join(kwargs)}")
    for argument in args:
        if isinstance(argument, at.Tensor):
            device, dtype = argument.device, argument.dtype
        elif isinstance(argument, at.dtype):
            dtype = argument
        elif argument is not None and not isinstance(argument, bool):
            device = argument
    kinds = (at.float16, at.bfloat16, at.float32, at.float64, at.complex64, at.complex128)
    if dtype is not None and dtype not in kinds:
        raise at.DTypeError(f"to: expected a floating or complex dtype, got {dtype}")
    return device, dtype
