"""Datasets, samplers and a DataLoader for atled.

The names and arguments are those of ``torch.utils.data``. Batches depend on ``(seed, epoch, sample index)`` alone,
whatever the number of worker processes.
"""

import importlib
from typing import Any

from ._collate import default_collate, default_convert
from ._dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from ._errors import SharedMemoryWarning, WorkerDiedError, WorkerError, WorkerTimeoutError
from ._loader import DataLoader
from ._random import sample_generator, sample_seed
from ._sampler import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from ._worker_info import WorkerInfo, get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SharedMemoryWarning",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerDiedError",
    "WorkerError",
    "WorkerInfo",
    "WorkerTimeoutError",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
    "sample_generator",
    "sample_seed",
]


def __getattr__(name: str) -> Any:
    # PyTorch's modules of these names, which its programs do not import before they use them.
    if name in ("dataloader", "dataset", "distributed", "sampler"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
