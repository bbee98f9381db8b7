"""Whichever accelerator there is, with the names of ``torch.accelerator``: GPUs of NVIDIA, for now.

>>> import atled.core as at
>>> device = at.accelerator.current_accelerator() if at.accelerator.is_available() else at.device("cpu")
>>> at.ones(2, device=device).shape
(2,)
"""

from __future__ import annotations

from atled.core import _core, cuda
from atled.core.cuda._devices import Device


def is_available() -> bool:
    """Whether there is an accelerator that can be used.

    >>> is_available() == at.cuda.is_available()
    True
    """
    return cuda.is_available()


def current_accelerator(check_available: bool = False) -> _core.device | None:
    """The device of the accelerator, None where there is none; both ways of ``check_available`` look at the machine.

    >>> current_accelerator() == ("cuda" if is_available() else None)
    True
    """
    return _core.device("cuda") if is_available() else None


def device_count() -> int:
    """How many devices the accelerator has: 0 where there is none.

    >>> (device_count() > 0) == is_available()
    True
    """
    return cuda.device_count()


def current_device_index() -> int:
    """The number of the device that is used where none is named; DeviceError without an accelerator.

    >>> current_device_index() if is_available() else 0
    0
    """
    return cuda.current_device()


def set_device_index(device: Device, /) -> None:
    """Makes a device the current one of this thread; DeviceError without an accelerator.

    >>> if is_available():
    ...     set_device_index(0)
    """
    cuda.set_device(device)


def synchronize(device: Device = None, /) -> None:
    """Waits for all work on a device, the current one unless given; DeviceError without an accelerator.

    >>> if is_available():
    ...     synchronize()
    """
    cuda.synchronize(device)
