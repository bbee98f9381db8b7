"""Layers for sequences: attention, a transformer's, recurrent ones, a model's loss, in inference and with gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import atled.core as at
from atled import autograd, nn
from benchmarks.rows.row import Row

# Batch, heads, queries, keys, size of a head; what hides keys, or the dtype.
_ATTENTION = [
    (8, 8, 32, 32, 64, ""),
    (4, 8, 256, 256, 64, ""),
    (1, 8, 512, 512, 64, "causal"),
    (1, 8, 2048, 2048, 64, ""),
    (1, 8, 2048, 2048, 64, "causal"),
    (1, 8, 2048, 2048, 64, "mask"),
    (1, 8, 1024, 1024, 64, "bfloat16"),
    (8, 8, 1, 2048, 64, ""),
]
# Steps, batch, features, hidden size.
_RECURRENT = [(50, 1, 32, 32), (50, 32, 64, 128), (100, 16, 256, 256)]


def _made(shape: tuple[int, ...]) -> dict[str, Any]:
    drawn = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return {"atled": at.asarray(drawn), "torch": torch.from_numpy(drawn)}


def _pair(
    name: str, calls: dict[str, Callable[..., Any]], inputs: dict[str, Any], budgets: tuple[float, float]
) -> list[Row]:
    """A row for the call without gradients, and one with those of the input and of what the call learns."""
    guards = {"atled": autograd.no_grad, "torch": torch.no_grad}

    def alone(library: str) -> Callable[[], object]:
        def run() -> object:
            with guards[library]():
                return calls[library](inputs[library])

        return run

    def step(library: str) -> Callable[[], object]:
        leaf = inputs[library].clone().requires_grad_()
        gradient = calls[library](leaf).detach().clone()

        def run() -> object:
            leaf.grad = None
            calls[library](leaf).backward(gradient)
            return None

        return run

    return [
        Row(name, {library: alone(library) for library in calls}, {"torch": budgets[0]}),
        Row(f"{name}, forward and backward", {library: step(library) for library in calls}, {"torch": budgets[1]}),
    ]


def _attention(batch: int, heads: int, length: int, keys: int, size: int, kind: str) -> list[Row]:
    inputs, others = _made((batch, heads, length, size)), _made((batch, heads, keys, size))
    if kind == "bfloat16":
        for made in (inputs, others):
            made.update({"atled": made["atled"].bfloat16(), "torch": made["torch"].bfloat16()})
    seen = np.random.default_rng(1).random((length, keys)) < 0.7
    masks = {"atled": at.asarray(seen), "torch": torch.from_numpy(seen)}
    functionals = {"atled": nn.functional, "torch": torch.nn.functional}

    def call(library: str) -> Callable[..., Any]:
        settings = {"attn_mask": masks[library] if kind == "mask" else None, "is_causal": kind == "causal"}
        attention = functionals[library].scaled_dot_product_attention
        if length == keys:
            return lambda x: attention(x, x, x, **settings)
        return lambda x: attention(x, others[library], others[library], **settings)

    name = f"attention of {batch} × {heads} × {length} × {size}" + f", {keys} keys" * (keys != length)
    name += f", {kind}" if kind else ""
    return _pair(name, {library: call(library) for library in functionals}, inputs, (1.1, 1.0))


def _layers(name: str, made: Callable[[Any], Any], shape: tuple[int, ...], budgets: tuple[float, float]) -> list[Row]:
    layers = {"atled": made(nn), "torch": made(torch.nn)}

    def call(library: str) -> Callable[..., Any]:
        layer = layers[library].eval()

        def run(x: Any) -> Any:
            output = layer(x)
            return output[0] if isinstance(output, tuple) else output

        return run

    return _pair(name, {library: call(library) for library in layers}, _made(shape), budgets)


def _vocabulary(rows: int, features: int, classes: int) -> list[Row]:
    """A language model's loss, whose logits neither library holds at once."""
    drawn = np.random.default_rng(2).integers(0, classes, rows)
    targets = {"atled": at.asarray(drawn), "torch": torch.from_numpy(drawn)}
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=512)  # faster than what it chooses itself
    losses = {
        "atled": nn.LinearCrossEntropyLoss(features, classes),
        "torch": torch.nn.LinearCrossEntropyLoss(features, classes, options=options),
    }

    def call(library: str) -> Callable[..., Any]:
        return lambda x: losses[library](x, targets[library])

    name = f"linear_cross_entropy of {rows} × {features}, {classes} classes"
    return _pair(name, {library: call(library) for library in losses}, _made((rows, features)), (1.2, 1.2))


def rows() -> list[Row]:
    """Attention, layers of transformers, recurrent layers, normalised groups and a loss of many classes."""
    made = [row for settings in _ATTENTION for row in _attention(*settings)]
    made += _layers(
        "TransformerEncoderLayer(256, 8, 1024) of 8 × 128 × 256",
        lambda n: n.TransformerEncoderLayer(256, 8, 1024, batch_first=True),
        (8, 128, 256),
        (1.2, 1.2),
    )
    for steps, batch, features, hidden in _RECURRENT:
        for kind, budgets in (("LSTM", (2.5, 2.0)), ("GRU", (1.1, 1.1)), ("RNN", (1.2, 1.1))):
            made += _layers(
                f"{kind} of {steps} × {batch} × {features} to {hidden}",
                lambda n, k=kind, f=features, h=hidden: getattr(n, k)(f, h),
                (steps, batch, features),
                budgets,
            )
    made += _layers("GroupNorm(8, 64) of 16 × 64 × 32 × 32", lambda n: n.GroupNorm(8, 64), (16, 64, 32, 32), (1.5, 1.2))
    return [*made, *_vocabulary(1024, 256, 16384)]
