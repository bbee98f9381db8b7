"""Where PyTorch has ``torch.utils.data.dataloader``: what its programs import from there."""

from ._collate import default_collate, default_convert
from ._loader import DataLoader
from ._worker_info import get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]
