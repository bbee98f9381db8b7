"""Mixed precision (Micikevicius et al. 2018): products in half precision, the rest in as much as it needs.

>>> import atled.core as at
>>> from atled.autograd.amp import autocast
>>> weight = at.ones(3, 2, requires_grad=True)
>>> with autocast("cpu", dtype=at.bfloat16):
...     product = at.ones(2, 3) @ weight
>>> product.dtype.name, weight.dtype.name
('bfloat16', 'float32')
>>> product.sum().backward()
>>> weight.grad.dtype.name
'float32'

What becomes of a call's arguments is said beside the op's gradient rule, with `RuleBook.autocast`; calls of ops about
which nothing is said, calls with float64, in-place calls and calls with ``out=`` or ``dtype=`` are as they were.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import atled.core as at
from atled.autograd import _tape
from atled.autograd._function import FunctionContext
from atled.autograd.grad_mode import _Mode

__all__ = [
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
]

F = TypeVar("F", bound=Callable[..., Any])


def _bit(device_type: str) -> int:
    if not isinstance(device_type, str):
        raise at.ArgumentError(
            f"autocast: expected device_type to be a string such as 'cuda', got {type(device_type).__name__}"
        )
    number = {"cpu": 1, "cuda": 2}.get(device_type)  # DLPack's; neither needs its plugin
    number = _tape.device_type(device_type) if number is None else number
    if number >= 64:
        raise at.DeviceError(f"autocast: expected a device type with numbers, such as 'cuda', got {device_type!r}")
    return 1 << number


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` knows a device type: core's own, and those of installed plugins.

    >>> from atled.autograd.amp import is_autocast_available
    >>> is_autocast_available("cpu"), is_autocast_available("abacus")
    (True, False)
    """
    try:
        return bool(_bit(device_type))
    except at.DeviceError:
        return False


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread's calls on such a device are converted.

    >>> from atled.autograd.amp import autocast, is_autocast_enabled
    >>> with autocast("cpu"):
    ...     is_autocast_enabled("cpu"), is_autocast_enabled("cuda")
    (True, False)
    """
    return bool(_tape.autocast()[0] & _bit(device_type))


def get_autocast_dtype(device_type: str) -> at.dtype:
    """The lower precision of a device type: as the innermost `autocast` says, else float16 on CUDA, else bfloat16.

    >>> from atled.autograd.amp import get_autocast_dtype
    >>> get_autocast_dtype("cpu").name, get_autocast_dtype("cuda").name
    ('bfloat16', 'float16')
    """
    return at.bfloat16 if _tape.autocast()[1] & _bit(device_type) else at.float16


def is_autocast_cache_enabled() -> bool:
    """Whether a leaf that requires a gradient is converted once in an `autocast`, not at each use.

    >>> from atled.autograd.amp import autocast, is_autocast_cache_enabled
    >>> with autocast("cpu", cache_enabled=False):
    ...     is_autocast_cache_enabled()
    False
    """
    return _tape.autocast()[2]


class autocast(_Mode):
    """Runs calls on a device type in mixed precision: ``with autocast("cuda"):`` or ``@autocast("cuda")``.

    Products and convolutions convert their floating arguments to ``dtype``; ops that overflow or lose digits in half
    precision (exp, log, pow, softmax, norms, sums, losses) convert theirs to float32. Parameters stay as they are, and
    so do gradients: they have the dtype of what they are gradients of. Backward is best called after the block; called
    inside it is the same.

    device_type: ``"cuda"``, ``"cpu"`` or a plugin's.
    dtype: float16 or bfloat16; None for `get_autocast_dtype`.
    enabled: False for a block whose calls are left alone.
    cache_enabled: False for converting parameters anew at each use; None for as it is.

    Errors: ``DTypeError`` for another dtype, ``DeviceError`` for an unknown device type.

    >>> import atled.core as at
    >>> from atled.autograd import autocast
    >>> x, weight = at.ones(2, 3), at.ones(3, 2, requires_grad=True)
    >>> with autocast("cpu"):
    ...     y = x @ weight
    ...     total = y.sum()
    >>> y.dtype.name, total.dtype.name
    ('bfloat16', 'float32')
    """

    def __init__(
        self,
        device_type: str,
        dtype: at.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        super().__init__()
        if dtype not in (None, at.float16, at.bfloat16):
            raise at.DTypeError(f"autocast: expected dtype float16 or bfloat16, got {getattr(dtype, 'name', dtype)}")
        self._bit = _bit(device_type)
        self._device_type, self._dtype, self._enabled, self._cache = device_type, dtype, enabled, cache_enabled

    def _switch(self) -> tuple[int, int, bool, bool]:
        on, bfloat16, cache, _ = _tape.autocast()
        on = on | self._bit if self._enabled else on & ~self._bit
        if self._dtype is not None:
            bfloat16 = bfloat16 | self._bit if self._dtype == at.bfloat16 else bfloat16 & ~self._bit
        cache = cache if self._cache is None else bool(self._cache)
        return _tape.set_autocast((on, bfloat16, cache, on != 0), False)

    def _back(self, before: tuple[int, int, bool, bool]) -> None:
        _tape.set_autocast(before, True)

    def _again(self) -> "autocast":
        return autocast(self._device_type, self._dtype, self._enabled, self._cache)


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: at.dtype | None = None
) -> Callable[..., Any]:
    """Decorates the ``forward`` of a `Function` that may run in an `autocast`.

    cast_inputs: None leaves the mode as it is, for ``backward`` too (with `custom_bwd`). With a dtype, floating tensors
    on the device type among the arguments are converted to it where the mode is on, and the body runs with it off.

    >>> import atled.core as at
    >>> from atled.autograd import Function
    >>> from atled.autograd.amp import autocast, custom_bwd, custom_fwd
    >>> class Cube(Function):
    ...     @staticmethod
    ...     @custom_fwd(device_type="cpu", cast_inputs=at.float32)
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     @custom_bwd(device_type="cpu")
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x * x * g
    >>> with autocast("cpu"):
    ...     Cube.apply(at.tensor([2.0], dtype=at.bfloat16)).dtype.name
    'float32'
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)
    _bit(device_type)

    @functools.wraps(fwd)
    def forward(*args: Any, **kwargs: Any) -> Any:
        context: Any = args[0] if args and isinstance(args[0], FunctionContext) else None
        on = is_autocast_enabled(device_type)
        if cast_inputs is None or not on:
            if context is not None:
                context._autocast = _tape.autocast()
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            if context is not None:
                context._autocast = _tape.autocast()
            return fwd(
                *(_cast(value, device_type, cast_inputs) for value in args),
                **{name: _cast(value, device_type, cast_inputs) for name, value in kwargs.items()},
            )

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorates the ``backward`` that belongs to a `custom_fwd`: it runs in the mode that ``forward`` ran in.

    >>> import atled.core as at
    >>> from atled.autograd import Function
    >>> from atled.autograd.amp import autocast, custom_bwd, custom_fwd, is_autocast_enabled
    >>> class Asks(Function):
    ...     @staticmethod
    ...     @custom_fwd(device_type="cpu")
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     @custom_bwd(device_type="cpu")
    ...     def backward(ctx, g):
    ...         print(is_autocast_enabled("cpu"))
    ...         return 2 * g
    >>> with autocast("cpu"):
    ...     y = Asks.apply(at.tensor(1.0, requires_grad=True))
    >>> y.backward()
    True
    """
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)
    _bit(device_type)

    @functools.wraps(bwd)
    def backward(context: Any, *gradients: Any) -> Any:
        with _As(getattr(context, "_autocast", _tape.autocast())):
            return bwd(context, *gradients)

    return backward


class _As(_Mode):
    """The mode that there was at another time."""

    def __init__(self, mode: tuple[int, int, bool, bool]) -> None:
        super().__init__()
        self._mode = mode

    def _switch(self) -> tuple[int, int, bool, bool]:
        return _tape.set_autocast(self._mode, False)

    def _back(self, before: tuple[int, int, bool, bool]) -> None:
        _tape.set_autocast(before, True)


def run_as_given(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function with autocast off, for one that chooses the precision of its steps itself."""
    mode = _tape.autocast()
    if not mode[3]:
        return function(*args, **kwargs)
    with _As((*mode[:3], False)):
        return function(*args, **kwargs)


def as_now() -> _As:
    """A context that brings back the present mode, for what runs again later."""
    return _As(_tape.autocast())


def cast(how: str, *tensors: at.Tensor | None) -> tuple[at.Tensor | None, ...]:
    """Tensors as a call sees them of an op about which ``how`` is said: for functions that are made of several ops."""
    return _tape.autocast_tensors(how, tensors)


def _cast(value: Any, device_type: str, dtype: at.dtype) -> Any:
    """A tensor, or those in lists, tuples and dicts, converted."""
    if isinstance(value, at.Tensor):
        eligible = value.is_floating_point() and value.dtype != at.float64 and value.device.type == device_type
        return value.to(dtype) if eligible else value
    if isinstance(value, dict):
        return {key: _cast(entry, device_type, dtype) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(entry, device_type, dtype) for entry in value)
    return value
