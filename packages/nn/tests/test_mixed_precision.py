"""Modules under autocast: which dtypes come out, and gradients that stay near those of float32."""

from collections.abc import Callable

import numpy as np
import pytest

import atled.core as at
import atled.nn.functional as F
from atled import nn

autograd = pytest.importorskip("atled.autograd")


class First(nn.Module):
    """What another module answers first."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: at.Tensor) -> at.Tensor:
        found: at.Tensor = self.module(x)[0]
        return found


def images() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 2, stride=2),
        nn.GroupNorm(2, 8),
        nn.MaxPool2d(2),
        nn.InstanceNorm2d(8, affine=True, track_running_stats=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


@pytest.mark.parametrize(
    ("make", "shape", "result"),
    [
        pytest.param(images, (4, 3, 12, 12), at.bfloat16, id="images"),
        pytest.param(lambda: First(nn.LSTM(6, 5, 2, batch_first=True)), (2, 4, 6), at.bfloat16, id="lstm"),
        pytest.param(lambda: First(nn.GRU(6, 5, bidirectional=True)), (2, 4, 6), at.bfloat16, id="gru"),
        pytest.param(
            lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
            (2, 5, 8),
            at.float32,
            id="attention",
        ),
    ],
)
def test_modules(make: Callable[[], nn.Module], shape: tuple[int, ...], result: at.dtype) -> None:
    at.manual_seed(0)
    module, x = make(), at.randn(*shape)
    outputs, gradients = [], []
    for enabled in (False, True):
        module.zero_grad()
        with autograd.autocast("cpu", enabled=enabled):
            y = module(x)
        y.float().square().sum().backward()
        outputs.append(y.detach().float().numpy())
        gradients.append(np.concatenate([param.grad.numpy().ravel() for param in module.parameters()]))
    assert y.dtype is result and all(param.grad.dtype is at.float32 for param in module.parameters())
    for plain, mixed in (outputs, gradients):
        assert 0 < np.linalg.norm(plain - mixed) < 0.05 * np.linalg.norm(plain)


def test_running_statistics_stay_in_float32() -> None:
    norm, x = nn.BatchNorm1d(3), at.randn(64, 3, dtype=at.bfloat16)
    with autograd.autocast("cpu"):
        assert norm(x).dtype is at.bfloat16
    assert norm.running_mean is not None and norm.running_mean.dtype is at.float32
    np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * x.float().numpy().mean(0), rtol=1e-5, atol=1e-7)


def test_functions_of_several_ops() -> None:
    half, single = at.ones(1, 1, 4, 4, dtype=at.bfloat16), at.zeros(1, 4, 4, 2)
    with autograd.autocast("cpu"):
        assert F.grid_sample(half, single, align_corners=False).dtype is at.float32
        assert F.conv_transpose1d(at.ones(1, 2, 3), at.ones(2, 1, 2), at.ones(1)).dtype is at.bfloat16
        assert F.cross_entropy(half[0, 0], at.zeros(4, dtype=at.int64)).dtype is at.float32
        assert F.mse_loss(half, half).dtype is at.float32
    with pytest.raises(at.DTypeError, match="one floating dtype"):
        F.grid_sample(half, single, align_corners=False)
