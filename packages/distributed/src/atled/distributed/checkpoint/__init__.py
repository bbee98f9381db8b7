"""State of many ranks in files, and state dicts of sharded modules and their optimizers."""

from . import state_dict, stateful
from ._background import async_save
from ._files import load, save

__all__ = ["async_save", "load", "save", "state_dict", "stateful"]
