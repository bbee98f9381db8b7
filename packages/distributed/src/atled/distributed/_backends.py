"""The backends that are installed, by name, and which of them can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import atled.core as at
from atled.core import InvalidValueError
from atled.core._explained import explained

from ._by_device import ByDevice
from ._errors import DistError
from ._group import ProcessGroup, ProcessGroupFactory
from ._nccl_library import is_usable

if TYPE_CHECKING:
    from ._store import Store

__all__ = [
    "factory_of",
    "get_default_backend_for_device",
    "is_backend_available",
    "is_gloo_available",
    "is_mpi_available",
    "is_nccl_available",
    "is_ucc_available",
    "is_xccl_available",
]

_DEFAULTS = {"cpu": "mpi", "cuda": "nccl"}


def factory_of(name: str) -> ProcessGroupFactory:
    """What makes the group of a backend, or of one for each type of device."""
    if ":" not in name:
        return _factory_of_one(name)
    words = [word.strip().partition(":") for word in name.split(",")]
    backends = {kind: backend for kind, _, backend in words}
    if len(backends) != len(words) or not all(backends.values()):
        raise DistError(
            f"init_process_group: expected a backend for each device, as in 'cpu:mpi,cuda:nccl', got {name!r}"
        )
    factories = [(kind, backend, _factory_of_one(backend)) for kind, backend in backends.items()]

    def create(store: Store, rank: int, world_size: int, timeout: float) -> ProcessGroup:
        made = {kind: (backend, factory(store, rank, world_size, timeout)) for kind, backend, factory in factories}
        return ByDevice(made)

    return create


def _factory_of_one(name: str) -> ProcessGroupFactory:
    from atled.core import _registry  # reads the metadata of what is installed, which importing must not

    if not is_backend_available(name):
        raise DistError(
            f"init_process_group: no backend {name!r} is installed (wheels bring them by entry points in "
            "atled.collectives); leave backend out for 'mpi', which takes tensors on cpu, and 'nccl', for those on cuda"
        )
    return cast(ProcessGroupFactory, _registry.load("atled.collectives", name))


@explained
def is_backend_available(backend: str) -> bool:
    """Whether something installed provides the backend, by its name as for `init_process_group`.

    >>> from atled import distributed as dist
    >>> dist.is_backend_available("mpi")
    True
    """
    from atled.core import _registry

    return _registry.find("atled.collectives", backend) is not None


def is_mpi_available() -> bool:
    """Whether the backend ``"mpi"`` is installed: True, for it comes along.

    >>> from atled import distributed as dist
    >>> dist.is_mpi_available()
    True
    """
    return is_backend_available("mpi")


def is_nccl_available() -> bool:
    """Whether the backend ``"nccl"`` can be used: there is a GPU, and NCCL (``atled-distributed[cuda]`` has it).

    >>> from atled import distributed as dist
    >>> device = "cuda" if dist.is_nccl_available() else "cpu"
    """
    return is_usable()


def is_gloo_available() -> bool:
    """Whether something installed provides the backend ``"gloo"``, which this package does not.

    >>> from atled import distributed as dist
    >>> dist.is_gloo_available() == dist.is_backend_available("gloo")
    True
    """
    return is_backend_available("gloo")


def is_ucc_available() -> bool:
    """Whether something installed provides the backend ``"ucc"``, which this package does not.

    >>> from atled import distributed as dist
    >>> dist.is_ucc_available() == dist.is_backend_available("ucc")
    True
    """
    return is_backend_available("ucc")


def is_xccl_available() -> bool:
    """Whether something installed provides the backend ``"xccl"``, which this package does not.

    >>> from atled import distributed as dist
    >>> dist.is_xccl_available() == dist.is_backend_available("xccl")
    True
    """
    return is_backend_available("xccl")


def get_default_backend_for_device(device: Any) -> str:
    """The backend that takes tensors on a device, or on a type of device, where none is named.

    Raises InvalidValueError for a device that this package has none for, DeviceError for one that there is not.

    >>> from atled import distributed as dist
    >>> dist.get_default_backend_for_device("cpu")
    'mpi'
    """
    kind = at.device(device).type
    if kind not in _DEFAULTS:
        raise InvalidValueError(
            f"get_default_backend_for_device: expected one of the devices {', '.join(_DEFAULTS)}, got {device!r}"
        )
    return _DEFAULTS[kind]
