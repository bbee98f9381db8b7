"""Norms of single images, dropout of channels, slopes by chance, bags and distances, against NumPy and SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import spatial
from scipy.special import expit

import atled.core as at
from atled import nn
from atled.nn import functional as F

RNG = np.random.default_rng(3)
Array = np.ndarray[Any, np.dtype[Any]]


def draw(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def check_gradients(function: Callable[..., Any], *arrays: Array) -> None:
    try:
        from atled.autograd import gradcheck
    except ImportError:
        return
    assert gradcheck(function, tuple(at.from_numpy(a.copy()).requires_grad_() for a in arrays))


# ---- normalisation ----


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 4)])
def test_instance_norm(shape: tuple[int, ...]) -> None:
    x, w, b = draw(*shape), draw(3), draw(3)
    dims, wide = tuple(range(2, len(shape))), (-1, *[1] * (len(shape) - 2))
    mean, var = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
    expected = (x - mean) / np.sqrt(var + 1e-3) * w.reshape(wide) + b.reshape(wide)

    def call(x: at.Tensor, w: at.Tensor, b: at.Tensor) -> at.Tensor:
        return F.instance_norm(x, weight=w, bias=b, eps=1e-3)

    np.testing.assert_allclose(call(*map(at.from_numpy, (x, w, b))).numpy(), expected, atol=1e-12)
    check_gradients(call, x[:, :, ..., :3], w, b)
    layer = getattr(nn, f"InstanceNorm{len(shape) - 2}d")(3, momentum=0.25, track_running_stats=True, dtype=at.float64)
    layer(at.from_numpy(x))
    count = x[0, 0].size
    running_mean, running_var = 0.25 * mean.mean(0).ravel(), 0.75 + 0.25 * var.mean(0).ravel() * count / (count - 1)
    np.testing.assert_allclose(layer.running_mean.numpy(), running_mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), running_var, rtol=1e-12)
    layer.eval()
    expected = (x[0] - running_mean.reshape(wide)) / np.sqrt(running_var.reshape(wide) + 1e-5)
    np.testing.assert_allclose(layer(at.from_numpy(x[0])).numpy(), expected, rtol=1e-10)


def test_instance_norm_layers_hold_what_pytorchs_do() -> None:
    full = nn.InstanceNorm2d(4, affine=True, track_running_stats=True)
    assert list(full.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(nn.InstanceNorm2d(4).state_dict()) == []
    with pytest.raises(at.ShapeError, match="3-d or 4-d input"):
        full(at.ones(2, 4))
    with pytest.raises(at.ShapeError, match="4 channels"):
        full(at.ones(2, 3, 4, 4))
    with pytest.raises(at.ShapeError, match="more than one element"):
        F.instance_norm(at.ones(2, 3, 1))
    with pytest.raises(at.ArgumentError, match="running_mean and running_var"):
        F.instance_norm(at.ones(2, 3, 2), use_input_stats=False)
    with pytest.raises(at.ShapeError, match="weight of shape"):
        F.instance_norm(at.ones(2, 3, 2), weight=at.ones(2))
    with pytest.raises(at.ShapeError, match="running_var of shape .3,., got .2,."):
        F.instance_norm(at.ones(2, 3, 2), running_mean=at.ones(3), running_var=at.ones(2))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_local_response_norm(size: int) -> None:
    x = draw(2, 5, 3, 2)
    means = np.zeros_like(x)
    for c in range(5):
        near = range(max(c - size // 2, 0), min(c + (size - 1) // 2, 4) + 1)
        means[:, c] = sum(x[:, k] ** 2 for k in near) / size
    expected = x / (2 + 0.5 * means) ** 0.6
    layer = nn.LocalResponseNorm(size, 0.5, 0.6, 2.0)
    np.testing.assert_allclose(layer(at.from_numpy(x)).numpy(), expected, rtol=1e-12)
    check_gradients(layer, x[:1])
    with pytest.raises(at.ShapeError, match="local_response_norm: expected input"):
        layer(at.ones(2, 3))


# ---- chance ----


def test_channels_are_dropped_whole() -> None:
    at.manual_seed(1)
    for function, shape, lead in (
        (F.dropout1d, (200, 3, 4), 2),
        (F.dropout1d, (200, 4), 1),
        (F.dropout3d, (100, 3, 2, 2, 2), 2),
        (F.dropout3d, (200, 2, 2, 2), 1),
    ):
        x = function(at.ones(shape), 0.25).numpy().reshape(math.prod(shape[:lead]), -1)
        assert (x == x[:, :1]).all() and np.allclose(np.unique(x), [0, 4 / 3])
        assert 0.1 < (x == 0).mean() < 0.4
        assert function(at.ones(shape), 0.25, training=False).eq(1).all()
    with pytest.raises(at.ShapeError, match="dropout1d: expected input"):
        F.dropout1d(at.ones(2))
    with pytest.raises(at.ShapeError, match="dropout2d: expected input"):
        F.dropout2d(at.ones(2))
    with pytest.raises(at.ShapeError, match="dropout3d: expected input"):
        F.dropout3d(at.ones(2, 2))


def test_alpha_dropout_keeps_mean_and_deviation() -> None:
    at.manual_seed(2)
    x = at.randn(400, 500)
    for p in (0.1, 0.5):
        y = F.alpha_dropout(x, p, training=True)
        assert abs(y.mean().item()) < 0.02 and abs(y.std().item() - 1) < 0.02
        _, counts = np.unique(y.numpy(), return_counts=True)
        assert abs(counts.max() / y.numel() - p) < 0.01  # the dropped ones are all one number
    z = F.feature_alpha_dropout(at.ones(300, 2, 5), 0.5, training=True).numpy()
    assert (z == z[:, :, :1]).all() and len(np.unique(z)) == 2
    assert F.alpha_dropout(x) is x and not F.alpha_dropout(x, 1.0, training=True).any()
    with pytest.raises(at.InvalidValueError, match=r"p in \[0, 1\], got 2"):
        F.alpha_dropout(x, 2, training=True)
    assert nn.AlphaDropout(0.5).eval()(x) is x and nn.FeatureAlphaDropout(0.5).eval()(x) is x
    assert nn.Dropout1d(0.5).eval()(x) is x and nn.Dropout3d(0.5).eval()(at.ones(1, 1, 1, 1)).item() == 1


def test_random_slopes() -> None:
    at.manual_seed(3)
    x = at.full((1000,), -1.0)
    slopes = -F.rrelu(x, 0.2, 0.4, training=True).numpy()
    assert 0.2 <= slopes.min() < 0.22 and 0.38 < slopes.max() <= 0.4 and len(np.unique(slopes)) > 900
    assert nn.RReLU(0.2, 0.4).eval()(at.tensor([-1.0, 2.0])).tolist() == pytest.approx([-0.3, 2.0])
    with pytest.raises(at.InvalidValueError, match="lower <= upper"):
        F.rrelu(x, 0.5, 0.25)


def test_activations_in_place() -> None:
    x = draw(20).astype(np.float32)
    for name, args in (
        ("relu", ()),
        ("elu", (0.5,)),
        ("celu", (0.5,)),
        ("selu", ()),
        ("hardtanh", (-0.5, 0.25)),
        ("leaky_relu", (0.2,)),
        ("rrelu", ()),
        ("threshold", (0.1, 0.3)),
    ):
        given = at.from_numpy(x.copy())
        result = getattr(F, f"{name}_")(given, *args)
        assert result is given and given.tolist() == getattr(F, name)(at.from_numpy(x), *args).tolist()


@pytest.mark.parametrize(
    ("layer", "slope"),
    [
        (nn.ReLU, lambda x: x > 0),
        (nn.ReLU6, lambda x: (x > 0) & (x < 6)),
        (nn.LeakyReLU, lambda x: np.where(x > 0, 1, 0.01)),
        (nn.RReLU, lambda x: np.where(x > 0, 1, 11 / 48)),
        (nn.ELU, lambda x: np.where(x > 0, 1, np.exp(x))),
        (nn.CELU, lambda x: np.where(x > 0, 1, np.exp(x))),
        (nn.SELU, lambda x: 1.0507009873554805 * np.where(x > 0, 1, 1.6732632423543772 * np.exp(x))),
        (nn.SiLU, lambda x: expit(x) * (1 + x * expit(-x))),
        (nn.Mish, lambda x: (t := np.tanh(np.log1p(np.exp(x)))) + x * (1 - t * t) * expit(x)),
        (nn.Hardtanh, lambda x: abs(x) < 1),
        (nn.Hardsigmoid, lambda x: (abs(x) < 3) / 6),
        (nn.Hardswish, lambda x: np.where(x > 3, 1, np.where(x < -3, 0, (2 * x + 3) / 6))),
        (lambda inplace: nn.Threshold(0.5, 2.0, inplace), lambda x: x > 0.5),
    ],
)
def test_activations_in_place_are_trained(layer: Any, slope: Any) -> None:
    pytest.importorskip("atled.autograd")
    x = np.array([-7.0, -2.5, -0.7, -0.1, 0.2, 0.8, 2.0, 4.0, 9.0])
    given = at.from_numpy(x.copy()).requires_grad_()
    layer(inplace=True).eval()(given * 1).sum().backward()
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), slope(x), rtol=1e-12)


def test_random_slopes_in_place_are_trained() -> None:
    pytest.importorskip("atled.autograd")
    given = at.full((20,), -1.0, requires_grad=True)
    result = F.rrelu_(given * 1, training=True)
    result.sum().backward()
    assert given.grad is not None and given.grad.tolist() == (-result).tolist()


def test_hardswish_has_slopes_at_infinity() -> None:
    pytest.importorskip("atled.autograd")
    x = at.tensor([-math.inf, math.inf], requires_grad=True)
    y = F.hardswish(x)
    y.sum().backward()
    assert y.tolist() == [0, math.inf] and x.grad is not None and x.grad.tolist() == [0, 1]


# ---- bags and distances ----


def bags_of(table: Array, bags: list[list[int]], mode: str, skipped: int | None) -> Array:
    def one(bag: list[int]) -> Array:
        rows = [table[i] for i in bag if i != skipped]
        if not rows:
            return np.zeros(table.shape[1])
        result: Array = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, 0)
        return result

    return np.array([one(bag) for bag in bags])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("skipped", [None, 2, -1])
def test_embedding_bag(mode: str, skipped: int | None) -> None:
    table = draw(6, 3)
    flat, offsets = [0, 2, 5, 2, 2, 1, 5, 3], [0, 3, 5, 5]
    index = None if skipped is None else skipped % 6
    expected = bags_of(table, [flat[:3], flat[3:5], [], flat[5:]], mode, index)

    def call(weight: at.Tensor) -> at.Tensor:
        return F.embedding_bag(at.tensor(flat), weight, at.tensor(offsets), mode=mode, padding_idx=skipped)

    np.testing.assert_allclose(call(at.from_numpy(table)).numpy(), expected, rtol=1e-12)
    if skipped is None:  # else its row gets no gradient, by design
        check_gradients(call, table)
    ends = F.embedding_bag(
        at.tensor(flat),
        at.from_numpy(table),
        at.tensor([*offsets, 8]),
        mode=mode,
        padding_idx=skipped,
        include_last_offset=True,
    )
    np.testing.assert_allclose(ends.numpy(), expected, rtol=1e-12)
    square = F.embedding_bag(at.tensor(flat).reshape(2, 4), at.from_numpy(table), mode=mode, padding_idx=skipped)
    np.testing.assert_allclose(square.numpy(), bags_of(table, [flat[:4], flat[4:]], mode, index), rtol=1e-12)


def test_embedding_bag_with_weights_and_its_layer() -> None:
    table, share = draw(5, 3), draw(2, 3)
    index = np.array([[0, 4, 4], [1, 2, 0]])

    def call(weight: at.Tensor, each: at.Tensor) -> at.Tensor:
        return F.embedding_bag(at.from_numpy(index), weight, mode="sum", per_sample_weights=each)

    expected = np.einsum("bnd,bn->bd", table[index], share)
    np.testing.assert_allclose(call(at.from_numpy(table), at.from_numpy(share)).numpy(), expected, rtol=1e-12)
    check_gradients(call, table, share)
    layer = nn.EmbeddingBag(5, 3, mode="sum", padding_idx=-1)
    assert list(layer.state_dict()) == ["weight"] and layer.padding_idx == 4 and not at.Tensor(layer.weight)[4].any()
    layer.reset_parameters()
    assert not at.Tensor(layer.weight)[4].any() and repr(layer) == "EmbeddingBag(5, 3, mode='sum', padding_idx=4)"
    given = nn.EmbeddingBag.from_pretrained(at.from_numpy(table), mode="max")
    np.testing.assert_array_equal(given(at.from_numpy(index)).numpy(), table[index].max(1))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_embedding_bag_leaves_out_the_padding_whatever_it_is(mode: str, value: float) -> None:
    table = at.tensor([[1.0, 2.0], [value, value], [3.0, 4.0]])
    index = at.tensor([[0, 1, 2], [1, 1, 1]])
    expected = {"sum": [4, 6], "mean": [2, 3], "max": [3, 4]}[mode]
    assert F.embedding_bag(index, table, mode=mode, padding_idx=1).tolist() == [expected, [0, 0]]
    pytest.importorskip("atled.autograd")
    if mode == "sum":
        shares = at.ones(2, 3, requires_grad=True)
        F.embedding_bag(index, table, mode=mode, padding_idx=1, per_sample_weights=shares).sum().backward()
        assert shares.grad is not None and shares.grad.tolist() == [[3, 0, 7], [0, 0, 0]]


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (at.ShapeError, "offsets .bags,., got .3,. and None", lambda i, w: F.embedding_bag(i, w)),
        (at.ArgumentError, "offsets=None", lambda i, w: F.embedding_bag(i.reshape(1, 3), w, i)),
        (at.InvalidValueError, "mode 'sum', 'mean' or 'max'", lambda i, w: F.embedding_bag(i, w, i, mode="min")),
        (at.InvalidValueError, "offsets from 0", lambda i, w: F.embedding_bag(i, w, at.tensor([1]))),
        (
            at.InvalidValueError,
            "offsets from 0 to 3, got 0 to 2",
            lambda i, w: F.embedding_bag(i, w, at.tensor([0, 2]), include_last_offset=True),
        ),
        (at.InvalidValueError, "ascending", lambda i, w: F.embedding_bag(i, w, at.tensor([0, 3, 1]))),
        (at.InvalidValueError, "per_sample_weights", lambda i, w: F.embedding_bag(i, w, i, per_sample_weights=w)),
        (at.NotImplementedOpError, "sparse=False", lambda i, w: F.embedding_bag(i, w, i[:1], sparse=True)),
    ],
)
def test_errors_of_bags(error: type[Exception], match: str, call: Any) -> None:
    with pytest.raises(error, match=match):
        call(at.tensor([0, 1, 1]), at.ones(2, 3))


@pytest.mark.parametrize("norm_type", [1.0, 2.0])
@pytest.mark.parametrize("kind", ["embedding", "sum", "max"])
def test_rows_that_are_looked_up_get_no_longer_than_max_norm(kind: str, norm_type: float) -> None:
    table = draw(5, 3) * [[9], [0.1], [9], [9], [9]]
    indices = at.tensor([[3, 0], [1, 3]], dtype=at.int32)
    weight = at.tensor(table)
    if kind == "embedding":
        got = F.embedding(indices, weight, max_norm=2.0, norm_type=norm_type).sum(1)
    else:
        got = F.embedding_bag(indices, weight, max_norm=2.0, norm_type=norm_type, mode=kind)
    norms = np.linalg.norm(table, norm_type, axis=1, keepdims=True)
    expected = np.where(norms > 2, table * 2 / norms, table)
    expected[[2, 4]] = table[[2, 4]]
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)
    rows = expected[indices.numpy()]
    np.testing.assert_allclose(got.numpy(), rows.max(1) if kind == "max" else rows.sum(1), rtol=1e-6)
    for wrong in (at.tensor([7]), at.tensor([0.5])):
        with pytest.raises((at.BoundsError, at.DTypeError)):
            F.embedding(wrong, weight, max_norm=0.1)
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)


def test_rows_shortened_to_max_norm_are_learnt() -> None:
    pytest.importorskip("atled.autograd")
    layer = nn.Embedding(3, 2, max_norm=1.0, _weight=at.full((3, 2), 5.0))
    before = layer(at.tensor([1]))
    (before.sum() + 2 * layer(at.tensor([1, 2])).sum()).backward()
    assert layer.weight.grad.tolist() == [[0, 0], [3, 3], [2, 2]]
    np.testing.assert_allclose(layer.weight.detach().norm(dim=1).numpy(), [50**0.5, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
def test_distances(p: float) -> None:
    x, y = draw(5, 3), draw(5, 3)
    name = {1.0: "cityblock", 2.0: "euclidean", 3.0: "minkowski", math.inf: "chebyshev"}[p]
    settings = {"p": 3} if p == 3 else {}
    np.testing.assert_allclose(F.pdist(at.from_numpy(x), p).numpy(), spatial.distance.pdist(x, name, **settings))
    check_gradients(lambda t: F.pdist(t, p), x)
    both = [at.from_numpy(v) for v in (x, y)]
    np.testing.assert_allclose(nn.PairwiseDistance(p, 0.0)(*both).numpy(), np.linalg.norm(x - y, p, 1), rtol=1e-12)
    cos = [1 - spatial.distance.cosine(u, v) for u, v in zip(x, y, strict=True)]
    np.testing.assert_allclose(nn.CosineSimilarity()(*both).numpy(), cos, rtol=1e-10)
    with pytest.raises(at.ShapeError, match="pdist: expected input"):
        F.pdist(at.ones(2, 2, 2))
    with pytest.raises(at.InvalidValueError, match="p of at least 0"):
        F.pdist(at.ones(2, 2), -1)
