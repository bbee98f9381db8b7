"""Mixed precision, with PyTorch's names: `autocast` comes with atled-autograd, `GradScaler` with atled-optim.

>>> import atled.core as at
>>> with at.amp.autocast("cpu", dtype=at.bfloat16):  # doctest: +SKIP
...     loss = model(images)
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from atled.core import _registry

    found = _registry.module_function(f"amp.{name}")
    globals()[name] = found
    return found
