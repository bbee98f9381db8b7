"""Datasets and helpers that several test modules use."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Iterable
from typing import Any

import numpy as np

import atled.core as at
from atled import data

# Datasets that are local to a test cannot be pickled, as other start methods would.
if "fork" in multiprocessing.get_all_start_methods():
    multiprocessing.set_start_method("fork", force=True)


class Augmented(data.Dataset[Any]):
    """Samples that draw from every generator there is."""

    def __init__(self, length: int = 23, width: int = 4) -> None:
        self.length = length
        self.width = width

    def __getitem__(self, index: int) -> Any:
        return {
            "index": index,
            "core": at.rand(self.width),
            "numpy": np.random.standard_normal(self.width).astype(np.float32),
            "python": random.random(),
            "own": at.rand(2, generator=data.sample_generator()),
        }

    def __len__(self) -> int:
        return self.length


def flatten(batches: Iterable[Any]) -> list[Any]:
    """Batches as nested lists of plain numbers, which compare bit for bit."""
    return [_plain(batch) for batch in batches]


def _plain(value: Any) -> Any:
    if isinstance(value, at.Tensor):
        return (str(value.dtype), value.tolist())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
