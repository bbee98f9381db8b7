"""State of many ranks in files, and state dicts of sharded modules and their optimizers."""

from . import state_dict
from ._files import load, save

__all__ = ["load", "save", "state_dict"]
