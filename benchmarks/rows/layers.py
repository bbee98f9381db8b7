"""Layers of convolutional networks: convolution, pooling and batch normalisation, forwards and with their gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import atled.core as at
from atled import nn
from benchmarks.rows.row import Row

Shape = tuple[int, ...]
Layer = Callable[..., Any]  # of torch.nn.functional or atled.nn.functional and the tensors

# Input, weight and options, as a small residual network has them.
_CONVOLUTIONS: list[tuple[Shape, Shape, dict[str, int]]] = [
    ((4, 3, 224, 224), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((16, 3, 32, 32), (64, 3, 3, 3), {"padding": 1}),
    ((16, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}),
    ((16, 64, 32, 32), (128, 64, 3, 3), {"stride": 2, "padding": 1}),
    ((16, 64, 32, 32), (128, 64, 1, 1), {"stride": 2}),
    ((16, 128, 16, 16), (128, 128, 3, 3), {"padding": 1}),
    ((16, 256, 8, 8), (256, 256, 3, 3), {"padding": 1}),
]
_POOLS: list[tuple[str, str, Shape, dict[str, int]]] = [
    ("max_pool2d, 3 × 3 by 2", "max_pool2d", (4, 64, 112, 112), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("max_pool2d, 2 × 2", "max_pool2d", (16, 64, 32, 32), {"kernel_size": 2}),
    ("avg_pool2d, 2 × 2", "avg_pool2d", (16, 64, 32, 32), {"kernel_size": 2}),
    ("avg_pool2d, 3 × 3 by 2", "avg_pool2d", (4, 64, 112, 112), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("avg_pool2d of everything", "adaptive_avg_pool2d", (16, 512, 8, 8), {"output_size": 1}),
]
# Of other layers: name, function, shapes of what is learnt, budget.
_OTHERS: list[tuple[str, Layer, list[Shape], float]] = [
    (
        "conv3d of 2 × 16 × 8 × 28 × 28 by 32 of 3 × 3 × 3",
        lambda f, x, w, b: f.conv3d(x, w, b, padding=1),
        [(2, 16, 8, 28, 28), (32, 16, 3, 3, 3), (32,)],
        1.2,
    ),
    (
        "conv_transpose2d of 8 × 32 × 28 × 28 by 16 of 3 × 3, stride 2",
        lambda f, x, w, b: f.conv_transpose2d(x, w, b, 2, 1, 1),
        [(8, 32, 28, 28), (32, 16, 3, 3), (16,)],
        1.2,
    ),
    ("interpolate, nearest, twice as large", lambda f, x: f.interpolate(x, None, 2), [(8, 32, 56, 56)], 1.2),
    ("interpolate, bilinear", lambda f, x: f.interpolate(x, None, 2, "bilinear"), [(8, 32, 56, 56)], 1.2),
    ("max_pool3d, 2 × 2 × 2", lambda f, x: f.max_pool3d(x, 2), [(4, 16, 8, 56, 56)], 1.0),
    ("unfold, 3 × 3", lambda f, x: f.unfold(x, 3, padding=1), [(8, 16, 56, 56)], 1.0),
    ("instance_norm of 8 × 32 × 56 × 56", lambda f, x: f.instance_norm(x), [(8, 32, 56, 56)], 1.0),
]
_NORMALISED: list[Shape] = [(16, 64, 32, 32), (4, 64, 112, 112), (16, 256, 8, 8), (256, 128)]


def _normal(seed: int, shape: Shape) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _both(name: str, layer: Layer, arrays: list[np.ndarray], learnt: int, budget: float) -> list[Row]:
    """A row for the layer alone, and one with the gradients of its first ``learnt`` arguments."""
    libraries = {
        "atled": (nn.functional, [at.asarray(x) for x in arrays]),
        "torch": (torch.nn.functional, [torch.from_numpy(x) for x in arrays]),
    }
    forward: dict[str, Callable[[], object]] = {}
    training: dict[str, Callable[[], object]] = {}
    for library, (functional, tensors) in libraries.items():
        forward[library] = lambda f=functional, x=tensors: layer(f, *x)
        training[library] = _step(layer, functional, tensors, learnt)
    return [
        Row(name, forward, {"torch": budget}),
        Row(f"{name}, forward and backward", training, {"torch": budget}),
    ]


def _step(layer: Layer, functional: Any, tensors: list[Any], learnt: int) -> Callable[[], object]:
    leaves = [x.clone().requires_grad_() for x in tensors[:learnt]]
    gradient = layer(functional, *leaves, *tensors[learnt:]).detach().clone()

    def run() -> object:
        layer(functional, *leaves, *tensors[learnt:]).backward(gradient)
        for x in leaves:
            x.grad = None
        return None

    return run


def _batch_norm(shape: Shape) -> list[Row]:
    channels = shape[1]
    arrays = [_normal(i, s) for i, s in enumerate((shape, (channels,), (channels,), (channels,)))]
    arrays.append(np.ones(channels, dtype=np.float32))

    def normalise(training: bool) -> Layer:
        return lambda f, x, weight, bias, mean, var: f.batch_norm(x, mean, var, weight, bias, training)

    size = " × ".join(map(str, shape))
    return [
        *_both(f"batch_norm of {size}", normalise(True), arrays, 3, 0.5),
        _both(f"batch_norm of {size}, eval", normalise(False), arrays, 3, 0.5)[0],
    ]


def rows() -> list[Row]:
    """Convolutions, pools and normalisations of a small residual network, and layers of other networks."""
    made = []
    for shape, weight, options in _CONVOLUTIONS:
        text = f"conv2d of {' × '.join(map(str, shape))} by {weight[0]} of {weight[2]} × {weight[3]}"
        if options.get("stride", 1) > 1:
            text += f", stride {options['stride']}"
        arrays = [_normal(0, shape), _normal(1, weight), _normal(2, weight[:1])]
        made += _both(text, lambda f, x, w, b, o=options: f.conv2d(x, w, b, **o), arrays, 3, 1.0)
    for text, function, shape, options in _POOLS:
        made += _both(text, lambda f, x, n=function, o=options: getattr(f, n)(x, **o), [_normal(0, shape)], 1, 1.0)
    for text, layer, shapes, budget in _OTHERS:
        made += _both(text, layer, [_normal(i, shape) for i, shape in enumerate(shapes)], len(shapes), budget)
    for shape in _NORMALISED:
        made += _batch_norm(shape)
    return made
