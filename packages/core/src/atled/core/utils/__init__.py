"""Where PyTorch has ``torch.utils``: what is here, and what other wheels provide.

``utils.data`` is `atled.data`, ``utils.checkpoint`` is `atled.autograd.checkpoint`; ``utils.hooks``,
``utils.pytree`` and ``utils.tensorboard`` are here.
"""

import importlib
from typing import Any

from atled.core import _hooks as hooks
from atled.core import _registry

__all__ = ["hooks"]


def __getattr__(name: str) -> Any:
    if name in ("pytree", "tensorboard"):  # imported when asked for; the second needs a library of its own
        return importlib.import_module(f"atled.core.utils.{name}")
    found = globals()[name] = _registry.module_function(f"utils.{name}")
    return found
