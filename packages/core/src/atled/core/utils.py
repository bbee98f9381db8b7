"""Where PyTorch has ``torch.utils.data`` and ``torch.utils.checkpoint``: here they are what other wheels provide.

``utils.data`` is `atled.data`, ``utils.checkpoint`` is `atled.autograd.checkpoint`; ``utils.hooks`` is here.
"""

from typing import Any

from atled.core import _hooks as hooks
from atled.core import _registry

__all__ = ["hooks"]


def __getattr__(name: str) -> Any:
    found = globals()[name] = _registry.module_function(f"utils.{name}")
    return found
