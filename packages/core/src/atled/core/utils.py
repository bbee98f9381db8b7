"""Where PyTorch has ``torch.utils.data`` and ``torch.utils.checkpoint``: here they are what other wheels provide.

``utils.data`` is `atled.data`, ``utils.checkpoint`` is `atled.autograd.checkpoint`.
"""

from typing import Any

from atled.core import _registry


def __getattr__(name: str) -> Any:
    found = globals()[name] = _registry.module_function(f"utils.{name}")
    return found
