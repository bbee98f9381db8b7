"""Tensors through queues between processes, beside torch.multiprocessing."""

from collections.abc import Callable
from typing import Any

import torch
import torch.multiprocessing

import atled.core as at
from atled.core import multiprocessing
from benchmarks.rows.row import Row

_ELEMENTS = 1 << 20  # 4 MB of float32
_MESSAGES = 8  # per call, of which up to 4 are under way


def _consume(tensors: Any, done: Any) -> None:
    while True:
        tensor = tensors.get()
        tensor[0].item()
        del tensor
        done.put(None)


def _producer(multiprocessing: Any, x: Any) -> Callable[[], object]:
    """A call that makes tensors and sends them to a process, which looks at each."""
    context = multiprocessing.get_context("fork")
    tensors, done = context.Queue(), context.Queue()
    context.Process(target=_consume, args=(tensors, done), daemon=True).start()

    def call() -> None:
        for i in range(_MESSAGES):
            tensors.put(x + i)
            if i >= 4:
                done.get()
        for _ in range(4):
            done.get()

    return call


def rows() -> list[Row]:
    """Throughput of a queue."""
    peers = {
        "atled": _producer(multiprocessing, at.ones(_ELEMENTS)),
        "torch": _producer(torch.multiprocessing, torch.ones(_ELEMENTS)),
    }
    return [Row(f"queue of {_MESSAGES} tensors of 4 MB", peers, {"torch": 1.0})]
