"""Special functions, with the names of ``torch.special``."""

from atled.core import _ops

_ops.publish(globals(), "special")
