"""Random numbers on a GPU: they are the CPU's, from core's own generator, so each of these speaks of that one."""

from __future__ import annotations

from collections.abc import Iterable

from atled.core import _core

from ._devices import Device, device_count


def manual_seed(seed: int) -> None:
    """Starts the stream of random numbers of a seed: the same ones on every device.

    >>> import atled.core as at
    >>> at.cuda.manual_seed(3)
    >>> first = at.rand(2)
    >>> at.manual_seed(3).initial_seed()
    3
    >>> bool((at.rand(2) == first).all())
    True
    """
    _core.default_generator.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """`manual_seed`, which is for all GPUs already.

    >>> at.cuda.manual_seed_all(3)
    >>> at.cuda.initial_seed()
    3
    """
    manual_seed(seed)


def seed() -> None:
    """Starts a stream with a seed from the system, on all devices.

    >>> at.cuda.seed()
    >>> at.cuda.initial_seed() == at.initial_seed()
    True
    """
    _core.default_generator.seed()


def seed_all() -> None:
    """`seed`, which is for all GPUs already.

    >>> at.cuda.seed_all()
    """
    seed()


def initial_seed() -> int:
    """The seed of the stream.

    >>> at.cuda.manual_seed(3)
    >>> at.cuda.initial_seed()
    3
    """
    return _core.default_generator.initial_seed()


def get_rng_state(device: Device = None) -> _core.Tensor:
    """Seed and position of the stream, 16 bytes in a uint8 tensor: `set_rng_state` takes it.

    >>> at.cuda.manual_seed(3)
    >>> at.cuda.get_rng_state().tolist()
    [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    return _core.default_generator.get_state()


def get_rng_state_all() -> list[_core.Tensor]:
    """The state for each GPU: the same one.

    >>> len(at.cuda.get_rng_state_all()) == at.cuda.device_count()
    True
    """
    return [get_rng_state() for _ in range(device_count())]


def set_rng_state(new_state: _core.Tensor, device: Device = None) -> None:
    """Goes back to a state of `get_rng_state`: the draws after it are repeated.

    >>> state = at.cuda.get_rng_state()
    >>> first = at.rand(2)
    >>> at.cuda.set_rng_state(state)
    >>> bool((at.rand(2) == first).all())
    True
    """
    _core.default_generator.set_state(new_state)


def set_rng_state_all(new_states: Iterable[_core.Tensor]) -> None:
    """Goes back to a state of `get_rng_state_all`: the last one, for all GPUs share it.

    >>> at.cuda.set_rng_state_all(at.cuda.get_rng_state_all())
    """
    for state in new_states:
        set_rng_state(state)
