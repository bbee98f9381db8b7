"""Where PyTorch has ``torch.utils``: what is here, and what other wheels provide.

``utils.data`` is `atled.data`, ``utils.checkpoint`` is `atled.autograd.checkpoint`; ``utils.hooks`` and
``utils.tensorboard`` are here.
"""

import importlib
from typing import Any

from atled.core import _hooks as hooks
from atled.core import _registry

__all__ = ["hooks"]


def __getattr__(name: str) -> Any:
    if name == "tensorboard":  # needs a library of its own
        return importlib.import_module("atled.core.utils.tensorboard")
    found = globals()[name] = _registry.module_function(f"utils.{name}")
    return found
