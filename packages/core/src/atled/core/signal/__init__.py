"""Signal processing, with the names of ``torch.signal``: windows."""

from atled.core.signal import windows as windows

__all__ = ["windows"]
