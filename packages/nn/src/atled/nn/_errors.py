"""Errors of nn's own."""

import atled.core as at


class StateDictError(at.AtledError, RuntimeError):
    """A state dict does not fit the module that it is loaded into."""
