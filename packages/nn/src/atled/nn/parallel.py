"""Modules on several devices, with the names of ``torch.nn.parallel``.

``DistributedDataParallel`` is atled-distributed's, where that is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import atled.core as at
from atled.core._explained import explained

from ._module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """A module under the name ``module``, as PyTorch's programs wrap one; it computes the whole batch on one device.

    PyTorch splits batches over the GPUs of one process, and advises against it. Here a process has one device for a
    module: that of ``device_ids``, to which it moves, or the one where it is. The results are those of the batch.

    InvalidValueError for several ``device_ids``: `atled.distributed.DistributedDataParallel` has a process for each.

    >>> import atled.core as at
    >>> from atled import nn
    >>> model = nn.DataParallel(nn.Linear(3, 2))
    >>> model(at.ones(5, 3)).shape, list(model.state_dict())
    ((5, 2), ['module.weight', 'module.bias'])
    """

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.device_ids = list(device_ids or [])
        if len(self.device_ids) > 1:
            raise at.InvalidValueError(
                f"DataParallel: expected one device, got {self.device_ids}; use atled.distributed."
                "DistributedDataParallel, with a process for each"
            )
        self.module, self.output_device, self.dim = module, output_device, dim
        for place in self.device_ids:
            module.to(f"cuda:{place}" if isinstance(place, int) else place)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module answers."""
        return self.module(*inputs, **kwargs)


@explained
def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """``DataParallel(module, device_ids)(inputs)``, once; ``inputs`` may be a tuple of arguments.

    >>> from atled import nn
    >>> data_parallel(nn.Identity(), at.tensor([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    return DataParallel(module, device_ids, output_device, dim)(*given, **(module_kwargs or {}))


def __getattr__(name: str) -> Any:
    if name == "DistributedDataParallel":
        return at.distributed.DistributedDataParallel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
