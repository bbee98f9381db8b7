"""What autocast makes of the arguments of functions that are made of several ops."""

from __future__ import annotations

import sys
from typing import Any

from atled.core import Tensor


def cast(how: str, *tensors: Tensor | None) -> tuple[Any, ...]:
    """The tensors as a call of an op would see them about which ``how`` is said; see `RuleBook.autocast`."""
    # Whoever switched it on has loaded the module that does.
    amp: Any = sys.modules.get("atled.autograd.amp")
    return tensors if amp is None else amp.cast(how, *tensors)
