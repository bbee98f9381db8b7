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


@pytest.mark.parametrize("make", [nn.RNNCell, nn.GRUCell, nn.LSTMCell, nn.RNN, nn.GRU, nn.LSTM])
def test_states_go_in_again(make: Callable[[int, int], nn.Module]) -> None:
    layer, x = make(4, 5), at.ones(2, 4)
    with autograd.autocast("cpu"):
        first = layer(x)
        state = first if isinstance(layer, (nn.RNNCell, nn.GRUCell, nn.LSTMCell)) else first[1]
        second = layer(x, state)
    result = second if isinstance(second, at.Tensor) else second[0]
    assert result.dtype is at.bfloat16


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
        assert F.mse_loss(half, half).dtype is F.l1_loss(half, half).dtype is at.float32
        assert F.group_norm(half, 1).dtype is F.cosine_similarity(half, half).dtype is at.float32
        query = at.tensor(np.random.default_rng(0).normal(size=(1, 5, 8)).astype(np.float32))
        mixed = F.scaled_dot_product_attention(query, query.to(at.bfloat16), query)
    rounded = query.to(at.bfloat16).float()
    exact = F.scaled_dot_product_attention(rounded, rounded, rounded)
    assert mixed.dtype is at.bfloat16  # of scores in float32
    np.testing.assert_allclose(mixed.float().numpy(), exact.numpy(), rtol=2**-8)
    with pytest.raises(at.DTypeError, match="one floating dtype"):
        F.grid_sample(half, single, align_corners=False)


@pytest.mark.parametrize(
    ("function", "size"),
    [
        pytest.param(lambda x: F.local_response_norm(x, 2), 300.0, id="local_response_norm"),
        pytest.param(lambda x: F.lp_pool2d(x, 2, 2), 300.0, id="lp_pool2d"),
        pytest.param(lambda x: F.cosine_similarity(x, x * 0.5), 0.01, id="cosine_similarity"),
        pytest.param(lambda x: F.pairwise_distance(x, x * 1), 1.0, id="pairwise_distance"),
        pytest.param(lambda x: F.rms_norm(x, (4,)), 300.0, id="rms_norm"),
        pytest.param(F.tanhshrink, 0.1, id="tanhshrink"),
        pytest.param(
            lambda x: F.cosine_embedding_loss(x[:, 0, 0], x[:, 1, 0], at.ones(2)), 300.0, id="cosine_embedding_loss"
        ),
    ],
)
def test_float16_keeps_steps_in_between(function: Callable[[at.Tensor], at.Tensor], size: float) -> None:
    """Squares that overflow, differences of near numbers, and what is added so that slopes stay finite."""
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 4)) * size
    half = at.tensor(values, dtype=at.float16).requires_grad_()
    double = half.detach().to(at.float64).requires_grad_()
    for x in (half, double):
        function(x).sum().backward()
    result, expected = function(half).detach().to(at.float64).numpy(), function(double).detach().numpy()
    np.testing.assert_allclose(result, expected, rtol=2e-3, atol=1e-6)
    assert half.grad is not None and double.grad is not None
    largest = np.abs(double.grad.numpy()).max()
    np.testing.assert_allclose(
        half.grad.to(at.float64).numpy(), double.grad.numpy(), rtol=0.01, atol=0.01 * largest + 1e-3
    )
