"""What holds for the whole process: determinism, precision, and the default generator's state."""

from __future__ import annotations

from collections.abc import Callable

from ._core import InvalidValueError, Tensor, default_generator

_PRECISIONS = ("highest", "high", "medium")
_precision = "highest"
_followers: list[Callable[[str], None]] = []
_deterministic = _warn_only = False


def get_float32_matmul_precision() -> str:
    """What was set with `set_float32_matmul_precision`: "highest" unless something was.

    >>> get_float32_matmul_precision()
    'highest'
    """
    return _precision


def set_float32_matmul_precision(precision: str) -> None:
    """How exact products of float32 matrices must be: "highest", "high" or "medium".

    The CPU computes all three alike, as exactly as float32 allows; for "high" and "medium", a GPU rounds the factors of
    each product to TensorFloat-32, with 10 bits of mantissa, and sums in float32 as before. InvalidValueError for
    another word.

    >>> set_float32_matmul_precision("high")
    >>> at.backends.cuda.matmul.allow_tf32
    True
    >>> set_float32_matmul_precision("highest")
    """
    global _precision
    if precision not in _PRECISIONS:
        raise InvalidValueError(
            f"set_float32_matmul_precision: expected one of {', '.join(_PRECISIONS)}, got {precision!r}"
        )
    _precision = precision
    for follow in _followers:
        follow(precision)


def follow_float32_matmul_precision(follow: Callable[[str], None]) -> None:
    """Calls ``follow`` with what `set_float32_matmul_precision` was given, now and at each change."""
    _followers.append(follow)
    follow(_precision)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks that the same call gives the same bits each time; ops that cannot do so raise, or warn with ``warn_only``.

    On the CPU every op does so anyway, whatever the number of threads.

    >>> use_deterministic_algorithms(True, warn_only=True)
    >>> are_deterministic_algorithms_enabled(), is_deterministic_algorithms_warn_only_enabled()
    (True, True)
    >>> use_deterministic_algorithms(False)
    """
    global _deterministic, _warn_only
    _deterministic, _warn_only = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What was set with `use_deterministic_algorithms`: False unless something was.

    >>> are_deterministic_algorithms_enabled()
    False
    """
    return _deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether `use_deterministic_algorithms` was asked to warn only.

    >>> is_deterministic_algorithms_warn_only_enabled()
    False
    """
    return _warn_only


def seed() -> int:
    """Starts the default generator from a seed of the system; returns it, for `manual_seed` to repeat what follows.

    >>> start = seed()
    >>> first = at.rand(3)
    >>> _ = at.manual_seed(start)
    >>> (at.rand(3) == first).all()
    tensor(True)
    """
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator was started with.

    >>> _ = at.manual_seed(7)
    >>> initial_seed()
    7
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state, 16 bytes: `set_rng_state` goes back to it.

    >>> import atled.core as at
    >>> state = get_rng_state()
    >>> first = at.rand(2)
    >>> set_rng_state(state)
    >>> bool((at.rand(2) == first).all())
    True
    """
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default generator into a state of `get_rng_state`: the draws after it are repeated.

    new_state: 16 bytes of uint8.

    >>> state = at.get_rng_state()
    >>> first = at.randn(3)
    >>> set_rng_state(state)
    >>> (at.randn(3) == first).all()
    tensor(True)
    """
    default_generator.set_state(new_state)
