"""Which GPUs there are, which one is current, and what they are."""

from __future__ import annotations

import uuid
from ctypes import byref, c_int32, c_uint64, sizeof
from typing import Any, NamedTuple, TypeAlias

from atled.core import _core

from ._native import Properties, ask, native

Device: TypeAlias = _core.device | str | int | None


def is_available() -> bool:
    """Whether a GPU can be used; ``at.device("cuda")`` says why not.

    >>> is_available() or device_count() == 0
    True
    """
    try:
        native()
    except _core.DeviceError:
        return False
    return True


def is_initialized() -> bool:
    """Whether the backend is loaded already: the first use of a GPU does that.

    >>> at.cuda.init()
    >>> at.cuda.is_initialized()
    True
    """
    from ._native import loaded

    return loaded()


def init() -> None:
    """Loads the backend, which happens by itself when it is needed; DeviceError, saying why, where it cannot be.

    >>> at.cuda.init()
    >>> at.cuda.is_initialized()
    True
    """
    native()


def device_count() -> int:
    """How many GPUs can be used: 0 where there is none.

    >>> at.cuda.device_count() > at.cuda.current_device()
    True
    """
    return ask("device_count") if is_available() else 0


def index_of(given: Device, function: str = "device") -> int:
    """The index that a device, its name, a number or None (the current one) means."""
    if given is None:
        return current_device()
    if isinstance(given, int):
        count = ask("device_count")
        if not 0 <= given < count:
            raise _core.DeviceError(f"{function}: expected cuda index in [0, {count}), got {given}")
        return given
    found = _core.device(given)
    if found.type != "cuda":
        raise _core.InvalidValueError(f"{function}: expected a device of type cuda, got {found}")
    return found.index


def current_device() -> int:
    """The index of this thread's current GPU: what ``"cuda"`` means.

    >>> with at.cuda.device(0):
    ...     at.cuda.current_device(), at.zeros(2, device="cuda").device
    (0, device('cuda:0'))
    """
    return ask("current_device")


def set_device(device: Device) -> None:
    """Makes a GPU this thread's current one; a negative number changes nothing.

    device: a number, a device or its name; DeviceError for one that there is not.

    >>> at.cuda.set_device("cuda:0")
    >>> at.cuda.current_device()
    0
    """
    if not (isinstance(device, int) and device < 0):
        native().set_device(index_of(device, "set_device"))


class device:
    """A context manager: another GPU is the current one inside; None or a negative number changes nothing.

    >>> if is_available():
    ...     with device(0):
    ...         assert current_device() == 0
    """

    def __init__(self, device: Device) -> None:
        unchanged = device is None or (isinstance(device, int) and device < 0)
        self.idx = -1 if unchanged else index_of(device)
        self.prev_idx = -1

    def __enter__(self) -> None:
        if self.idx >= 0:
            self.prev_idx = current_device()
            native().enter_device(self.idx)

    def __exit__(self, *error: object) -> None:
        if self.idx >= 0:
            native().leave_device()


class device_of(device):
    """A context manager: the GPU of a tensor is the current one inside; a tensor elsewhere changes nothing.

    >>> x = at.zeros(2, device="cuda:0")
    >>> with at.cuda.device_of(x):
    ...     at.zeros(2, device="cuda").device == x.device
    True
    """

    def __init__(self, tensor: _core.Tensor) -> None:
        super().__init__(tensor.device if tensor.device.type == "cuda" else None)


class DeviceProperties(NamedTuple):
    """What a GPU is, as `get_device_properties` answers it; sizes in bytes.

    >>> properties = at.cuda.get_device_properties()
    >>> (properties.major, properties.minor) == at.cuda.get_device_capability()
    True
    """

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    max_threads_per_block: int
    max_threads_per_multi_processor: int
    regs_per_multiprocessor: int
    shared_memory_per_block: int
    shared_memory_per_block_optin: int
    shared_memory_per_multiprocessor: int
    L2_cache_size: int
    is_integrated: bool
    is_multi_gpu_board: bool
    pci_bus_id: int
    pci_device_id: int
    pci_domain_id: int
    uuid: uuid.UUID


def get_device_properties(device: Device = None) -> DeviceProperties:
    """Name, compute capability, memory and limits of a GPU, the current one unless given.

    >>> at.cuda.get_device_properties().warp_size
    32
    """
    found = Properties()
    native().properties(index_of(device, "get_device_properties"), byref(found), sizeof(found))
    fields: dict[str, Any] = {name: getattr(found, name) for name, *_ in Properties._fields_}
    fields |= {
        "name": found.name.decode(errors="replace"),
        "uuid": uuid.UUID(bytes=bytes(found.uuid)),
        "is_integrated": bool(found.is_integrated),
        "is_multi_gpu_board": bool(found.is_multi_gpu_board),
        "L2_cache_size": fields.pop("l2_cache_size"),
    }
    return DeviceProperties(**fields)


def get_device_name(device: Device = None) -> str:
    """The name of a GPU, such as "NVIDIA H200".

    >>> at.cuda.get_device_name() == at.cuda.get_device_properties().name
    True
    """
    return get_device_properties(device).name


def get_device_capability(device: Device = None) -> tuple[int, int]:
    """The compute capability of a GPU: (9, 0) for an H200.

    >>> major, minor = at.cuda.get_device_capability()
    >>> major >= 7
    True
    """
    found = get_device_properties(device)
    return found.major, found.minor


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current GPU computes with bfloat16; every one does, those before (8, 0) by emulation.

    >>> at.cuda.is_bf16_supported()
    True
    """
    return is_available() and (including_emulation or get_device_capability() >= (8, 0))


def can_device_access_peer(device: Device, peer_device: Device) -> bool:
    """Whether one GPU can read another's memory without a copy through the host.

    >>> isinstance(at.cuda.can_device_access_peer(0, 0), bool)
    True
    """
    return bool(ask("can_access_peer", index_of(device), index_of(peer_device)))


def versions() -> tuple[int, int]:
    """CUDA's version of the backend's runtime and of the driver: 13000 is 13.0."""
    runtime, driver = c_int32(), c_int32()
    native().versions(byref(runtime), byref(driver))
    return runtime.value, driver.value


def synchronize(device: Device = None) -> None:
    """Waits for all work of a GPU, the current one unless given.

    Errors of that work are raised here if they were not before.

    >>> x = at.ones(2, device="cuda") + 1
    >>> at.cuda.synchronize()
    >>> at.cuda.current_stream().query()
    True
    """
    native().synchronize(index_of(device, "synchronize"))


def mem_get_info(device: Device = None) -> tuple[int, int]:
    """Free and total memory of a GPU in bytes, whoever uses it.

    >>> free, total = at.cuda.mem_get_info()
    >>> 0 <= free <= total
    True
    """
    free, total = c_uint64(), c_uint64()
    native().memory_info(index_of(device, "mem_get_info"), byref(free), byref(total))
    return free.value, total.value
