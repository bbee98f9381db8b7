"""Layers made of several ops compute on CUDA what they do on the CPU, and so do their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.nn import functional as F

RNG = np.random.default_rng(4)
Call = Callable[..., Any]
TARGETS = [[1, 3], [2, 2]]

# By name: the function and the shapes of its inputs.
CALLS: dict[str, tuple[Call, tuple[tuple[int, ...], ...]]] = {
    "conv3d": (lambda x, w, b: F.conv3d(x, w, b, (1, 2, 1), 1), ((2, 3, 4, 5, 6), (4, 3, 2, 3, 3), (4,))),
    "conv3d of groups": (
        lambda x, w: F.conv3d(x, w, None, 2, (1, 0, 1), (1, 2, 1), 2),
        ((1, 4, 5, 6, 4), (6, 2, 3, 2, 3)),
    ),
    "conv_transpose1d": (lambda x, w, b: F.conv_transpose1d(x, w, b, 2), ((2, 3, 5), (3, 4, 3), (4,))),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1), ((2, 3, 4, 5), (3, 4, 3, 3), (4,))),
    "conv_transpose3d": (lambda x, w: F.conv_transpose3d(x, w, None, 2, 1), ((1, 3, 3, 4, 2), (3, 2, 2, 3, 3))),
    "nearest": (lambda x: F.interpolate(x, (7, 4)), ((2, 3, 4, 5),)),
    "bilinear": (lambda x: F.interpolate(x, (7, 4), mode="bilinear"), ((2, 3, 4, 5),)),
    "bicubic": (lambda x: F.interpolate(x, (7, 4), mode="bicubic", align_corners=True), ((2, 3, 4, 5),)),
    "antialias": (lambda x: F.interpolate(x, (3, 2), mode="bicubic", antialias=True), ((2, 3, 9, 8),)),
    "grid_sample": (
        lambda x, t: F.grid_sample(x, F.affine_grid(t, (2, 3, 4, 5)), padding_mode="reflection"),
        ((2, 3, 6, 5), (2, 2, 3)),
    ),
    "unfold": (lambda x: F.unfold(x, 3, padding=1, stride=2), ((2, 3, 6, 5),)),
    "fold": (lambda x: F.fold(x, (6, 5), 3, padding=1, stride=2), ((2, 18, 9),)),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), ((2, 8, 3, 4),)),
    "pixel_unshuffle": (lambda x: F.pixel_unshuffle(x, 2), ((2, 3, 4, 6),)),
    "channel_shuffle": (lambda x: F.channel_shuffle(x, 2), ((2, 4, 3, 3),)),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, weight=w, bias=b), ((2, 3, 4, 5), (3,), (3,))),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.5), ((2, 5, 3, 4),)),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2, return_indices=True), ((2, 3, 4, 5, 6),)),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 3, 2, 1, True, False), ((2, 3, 4, 5, 6),)),
    "adaptive_avg_pool3d": (lambda x: F.adaptive_avg_pool3d(x, (3, 2, 4)), ((2, 3, 4, 5, 6),)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (3, 2), True), ((2, 3, 7, 6),)),
    "fractional_max_pool2d": (
        lambda x: F.fractional_max_pool2d(x, 2, (4, 3), None, True, at.full((2, 3, 2), 0.375, device=x.device)),
        ((2, 3, 7, 8),),
    ),
    "max_unpool2d": (
        lambda x: F.max_unpool2d(*F.max_pool2d_with_indices(x, 2), 2),
        ((2, 3, 4, 6),),
    ),
    "lp_pool2d": (lambda x: F.lp_pool2d(x, 2, 2), ((2, 3, 4, 6),)),
    "reflection": (nn.ReflectionPad3d(1), ((1, 2, 3, 4, 3),)),
    "replication": (nn.ReplicationPad3d((1, 0, 2, 1, 0, 2)), ((1, 2, 3, 4, 3),)),
    "hinge": (lambda x: F.hinge_embedding_loss(x, (x > 0).to(at.int64) * 2 - 1, 0.5), ((3, 4),)),
    "margins": (lambda x: F.multi_margin_loss(x, at.tensor([1, 0, 3], device=x.device)), ((3, 4),)),
    "labels": (
        lambda x: F.multilabel_margin_loss(x, at.tensor([[1, 0, -1, 2], [-1, 1, 0, 0]], device=x.device)),
        ((2, 4),),
    ),
    "ctc": (
        lambda x: F.ctc_loss(at.log_softmax(x, 2), at.tensor(TARGETS, device=x.device), [6, 5], [2, 2]),
        ((6, 2, 4),),
    ),
    "pdist": (F.pdist, ((5, 3),)),
    "bag of sums": (
        lambda w: F.embedding_bag(
            at.tensor([0, 2, 2, 1], device=w.device), w, at.tensor([0, 1, 1], device=w.device), mode="sum"
        ),
        ((4, 3),),
    ),
    "bag of maxima": (
        lambda w: F.embedding_bag(at.tensor([[0, 2, 3], [1, 1, 0]], device=w.device), w, mode="max", padding_idx=2),
        ((4, 3),),
    ),
}


def outputs(call: Call, inputs: list[at.Tensor]) -> list[at.Tensor]:
    results = call(*inputs)
    return list(results) if isinstance(results, tuple) else [results]


def compare(got: at.Tensor, wanted: at.Tensor, tolerance: float) -> None:
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    x, y = (t.cpu().to(at.float64).numpy(force=True) for t in (got, wanted))
    np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance * max(1.0, np.abs(y).max(initial=0)))


@pytest.mark.parametrize("name", CALLS)
def test_both_devices_agree(gpu: str, name: str) -> None:
    call, shapes = CALLS[name]
    arrays = [RNG.standard_normal(shape) for shape in shapes]
    for dtype, tolerance in ((at.float64, 1e-12), (at.float32, 2e-5), (at.float16, 1e-2), (at.bfloat16, 6e-2)):
        if dtype in (at.float16, at.bfloat16) and name == "grid_sample":
            continue  # places that are rounded so much may be those of other elements
        host = [at.from_numpy(a).to(dtype) for a in arrays]
        with nn.backends.cudnn.flags(allow_tf32=False):
            found = outputs(call, [t.to(gpu) for t in host])
        for got, wanted in zip(found, outputs(call, host), strict=True):
            assert got.device.type == "cuda"
            compare(got, wanted, tolerance)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_of_both_devices_agree(gpu: str, name: str) -> None:
    pytest.importorskip("atled.autograd")
    call, shapes = CALLS[name]
    arrays = [RNG.standard_normal(shape) for shape in shapes]
    sides = [[at.from_numpy(a.copy()).to(device).requires_grad_() for a in arrays] for device in (gpu, "cpu")]
    for side in sides:
        result = outputs(call, side)[0]
        (
            result * at.arange(1.0, result.numel() + 1, dtype=at.float64, device=result.device).reshape(result.shape)
        ).sum().backward()
    for got, wanted in zip(*sides, strict=True):
        assert got.grad is not None and wanted.grad is not None
        compare(got.grad, wanted.grad, 1e-10)
