"""Pruned parameters, against masks that NumPy makes."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.nn.utils import prune

RNG = np.random.default_rng(33)
VALUES = RNG.permutation(60).reshape(5, 4, 3) - 30.0


def array(tensor: at.Tensor) -> Any:
    return at.Tensor(tensor).numpy()


def module(values: Any = VALUES) -> Any:
    made = nn.Module()
    made.register_parameter("weight", nn.Parameter(at.tensor(values)))
    return made


def without(mask: Any, order: Any, count: int) -> Any:
    """The mask with 0 for the first of what it leaves, in an order of all elements."""
    flat = mask.flatten()
    flat[[i for i in order if flat[i]][:count]] = 0
    return flat.reshape(mask.shape)


def test_a_pruned_tensor_is_the_original_times_a_mask() -> None:
    layer: Any = nn.Linear(4, 3)
    original, before = layer.weight, array(layer.weight).copy()
    assert prune.l1_unstructured(layer, "weight", 5) is layer and prune.is_pruned(nn.Sequential(layer))
    mask = without(np.ones((3, 4)), np.abs(before).flatten().argsort(), 5)
    np.testing.assert_array_equal(array(layer.weight_mask), mask)
    np.testing.assert_array_equal(array(layer.weight), before * mask)
    assert layer.weight_orig is original and not isinstance(layer.weight, nn.Parameter)
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_orig"]
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]

    # A change of the original, or of the mask, counts from the next forward on.
    original.data.fill_(2.0)
    x = RNG.standard_normal((2, 4)).astype(np.float32)
    np.testing.assert_allclose(array(layer(at.tensor(x))), x @ (2 * mask.T) + array(layer.bias), rtol=1e-5)
    layer.load_state_dict({**layer.state_dict(), "weight_mask": at.ones(3, 4)})
    np.testing.assert_allclose(array(layer(at.tensor(x))), x @ np.full((4, 3), 2.0) + array(layer.bias), rtol=1e-5)

    layer.weight_mask.copy_(at.tensor(mask))
    assert prune.remove(layer, "weight") is layer and not prune.is_pruned(layer) and not layer.has_hooks()
    assert layer.weight is original and list(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_array_equal(array(layer.weight), 2 * mask)


@pytest.mark.skipif(not importlib.util.find_spec("atled.autograd"), reason="gradients are atled-autograd's")
def test_gradients_reach_the_original_where_the_mask_is_one() -> None:
    layer: Any = prune.custom_from_mask(nn.Linear(3, 2), "weight", at.tensor([[1, 0, 1], [0, 1, 1]]))
    x = RNG.standard_normal((4, 3)).astype(np.float32)
    for _ in range(2):  # each forward has a graph of its own
        layer.weight_orig.grad = None
        layer(at.tensor(x)).sum().backward()
    expected = np.array([[1, 0, 1], [0, 1, 1]]) * x.sum(0)
    np.testing.assert_allclose(array(layer.weight_orig.grad), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [at.float64, at.float32, at.bfloat16], ids=lambda dtype: dtype.name)
def test_masks_are_of_the_parameters_dtype(dtype: at.dtype) -> None:
    layer: Any = nn.Linear(4, 3).to(dtype)
    prune.l1_unstructured(layer, "weight", 0.5, importance_scores=at.arange(12.0).reshape(3, 4))
    prune.random_structured(layer, "weight", 1, dim=0)
    assert layer.weight_mask.dtype == layer.weight.dtype == dtype
    assert layer(at.ones(2, 4, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(("amount", "count"), [(0, 0), (7, 7), (60, 60), (0.0, 0), (0.41, 25), (1.0, 60)])
def test_amounts(amount: float, count: int) -> None:
    expected = without(np.ones(VALUES.shape), np.abs(VALUES).flatten().argsort(kind="stable"), count)
    assert np.array_equal(array(prune.l1_unstructured(module(), "weight", amount).weight_mask), expected)
    drawn = array(prune.random_unstructured(module(), "weight", amount).weight_mask)
    assert (drawn == 0).sum() == count and set(np.unique(drawn)) <= {0.0, 1.0}


def test_what_is_pruned_at_random_comes_from_the_seed() -> None:
    masks = []
    for seed in (1, 1, 2):
        at.manual_seed(seed)
        masks.append(array(prune.random_unstructured(module(), "weight", 0.5).weight_mask))
    assert np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize("n", [1, 2, 3.5, np.inf, -np.inf, "fro"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_channels_of_the_least_norms(n: Any, dim: int) -> None:
    channels = np.moveaxis(VALUES, dim, 0).reshape(VALUES.shape[dim], -1)
    norms = np.linalg.norm(channels, 2 if n == "fro" else n, axis=1)
    mask = np.ones(VALUES.shape)
    np.moveaxis(mask, dim, 0)[norms.argsort()[:2]] = 0
    np.testing.assert_array_equal(array(prune.ln_structured(module(), "weight", 2, n, dim).weight_mask), mask)


def test_channels_at_random() -> None:
    mask = array(prune.random_structured(module(), "weight", 0.5, dim=1).weight_mask)
    of_channels = np.moveaxis(mask, 1, 0).reshape(4, -1)
    assert sorted(of_channels.sum(1)) == [0, 0, 15, 15] and set(np.unique(mask)) == {0.0, 1.0}


def test_pruning_again_prunes_of_what_is_left() -> None:
    made = module()
    prune.l1_unstructured(made, "weight", 0.5)
    prune.l1_unstructured(made, "weight", 0.2)  # of the 30 that are left
    order = np.abs(VALUES).flatten().argsort(kind="stable")
    mask = without(np.ones(VALUES.shape), order, 36)
    np.testing.assert_array_equal(array(made.weight_mask), mask)

    prune.ln_structured(made, "weight", 1, n=2, dim=0)
    left = mask * VALUES
    mask[np.linalg.norm(left.reshape(5, -1), axis=1).argmin()] = 0
    np.testing.assert_array_equal(array(made.weight_mask), mask)

    prune.ln_structured(made, "weight", 0.25, n=1, dim=0)  # of the four channels that are left
    norms = np.abs(mask * VALUES).reshape(5, -1).sum(1)
    mask[np.where(norms > 0, norms, np.inf).argmin()] = 0
    np.testing.assert_array_equal(array(made.weight_mask), mask)

    (container,) = [hook for hook, _ in made._forward_pre_hooks.values()]
    kinds = [prune.L1Unstructured, prune.L1Unstructured, prune.LnStructured, prune.LnStructured]
    assert isinstance(container, prune.PruningContainer) and len(container) == 4
    assert [type(method) for method in container] == kinds and container[0].amount == 0.5
    prune.remove(made, "weight")
    np.testing.assert_array_equal(array(made.weight), mask * VALUES)


def test_parameters_that_are_pruned_as_one() -> None:
    net: Any = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    pairs = [(net[0], "weight"), (net[1], "weight"), (net[1], "bias")]
    tensors = [array(getattr(*pair)).copy() for pair in pairs]
    prune.l1_unstructured(net[1], "weight", 2)
    masks = [np.ones(t.shape) for t in tensors]
    masks[1] = without(masks[1], np.abs(tensors[1]).flatten().argsort(), 2)
    whole = np.concatenate([m.flatten() for m in masks])
    values = np.abs(np.concatenate([t.flatten() for t in tensors]))
    values[-2:] = [-1, 100]
    scores = {(net[1], "bias"): at.tensor([-1.0, 100.0])}
    prune.global_unstructured(iter(pairs), prune.L1Unstructured, scores, amount=1)  # the score's size counts
    expected = without(whole, np.abs(values).argsort(), 1)
    found = np.concatenate([array(getattr(made, f"{name}_mask")).flatten() for made, name in pairs])
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(at.ArgumentError, match="'unstructured', got RandomStructured of 'structured'"):
        prune.global_unstructured(pairs, prune.RandomStructured, amount=1)


class Larger(prune.BasePruningMethod):
    PRUNING_TYPE = "unstructured"

    def __init__(self, than: float) -> None:
        self.than = than

    def compute_mask(self, t: at.Tensor, default_mask: at.Tensor) -> at.Tensor:
        self.given = tuple(t.shape)
        return default_mask * (at.abs(t) <= self.than)


def test_a_method_of_ones_own() -> None:
    made = module()
    assert Larger.apply(made, "weight", 20.0).given == (5, 4, 3)
    np.testing.assert_array_equal(array(made.weight), np.where(np.abs(VALUES) <= 20, VALUES, 0))
    left = int((np.abs(VALUES) <= 20).sum())
    assert Larger.apply(made, "weight", than=10.0)[1].given == (left,)
    np.testing.assert_array_equal(array(made.weight), np.where(np.abs(VALUES) <= 10, VALUES, 0))
    np.testing.assert_array_equal(array(Larger(3.0).prune(at.tensor([1.0, 5.0]))), [1, 0])
    np.testing.assert_array_equal(
        array(Larger(3.0).prune(at.tensor([1.0, 5.0, 2.0]), at.tensor([0.0, 1, 1]), at.tensor([1.0, 2, 3]))), [0, 5, 2]
    )


def test_a_copy_is_pruned_by_itself() -> None:
    layer: Any = prune.l1_unstructured(nn.Linear(3, 2), "weight", 3)
    other: Any = copy.deepcopy(layer)
    other.weight_orig.data.fill_(0.0)
    assert array(other(at.ones(1, 3))).tolist() == [array(layer.bias).tolist()]
    assert (array(layer.weight) != 0).sum() == 3
    prune.remove(other, "weight")
    assert prune.is_pruned(layer)


def test_a_recurrent_layer_of_pruned_weights() -> None:
    layer: Any = nn.GRU(3, 4)
    pruned = prune.random_unstructured(copy.deepcopy(layer), "weight_hh_l0", 0.5)
    layer.weight_hh_l0.data.mul_(pruned.weight_hh_l0_mask)
    x = at.randn(5, 2, 3)
    np.testing.assert_allclose(array(pruned(x)[0]), array(layer(x)[0]), rtol=1e-6)


def test_errors_change_nothing() -> None:
    made = module()
    for call, error, message in [
        (lambda: prune.l1_unstructured(made, "bias", 1), at.ArgumentError, "Module has no parameter 'bias' to prune"),
        (lambda: prune.l1_unstructured(made, "weight", 61), at.InvalidValueError, "at most 60, .* got 61"),
        (lambda: prune.l1_unstructured(made, "weight", -1), at.InvalidValueError, "of 0 or more, .* got -1"),
        (lambda: prune.l1_unstructured(made, "weight", 1.5), at.InvalidValueError, r"in \[0.0, 1.0\], got 1.5"),
        (lambda: prune.random_structured(made, "weight", 1, 3), at.BoundsError, r"dim in \[-3, 2\], got 3"),
        (lambda: prune.custom_from_mask(made, "weight", at.ones(3)), at.ShapeError, "a mask of shape"),
        (lambda: prune.l1_unstructured(made, "weight", 1, at.ones(2)), at.ShapeError, "importance_scores of shape"),
        (lambda: prune.remove(made, "weight"), at.InvalidValueError, "expected 'weight' of Module to be pruned before"),
        (lambda: prune.ln_structured(nn.Linear(2, 3), "bias", 1, 2, 0), at.ShapeError, "at least two dimensions"),
        (lambda: prune.Identity()(made, ()), at.OperationError, "expected it to be applied to a module before"),
    ]:
        with pytest.raises(error, match=message):
            call()
        assert list(made.state_dict()) == ["weight"] and not made.has_hooks()
    prune.l1_unstructured(made, "weight", 50)
    for _ in range(2):
        with pytest.raises(at.InvalidValueError, match="at most 10, as many as are left, got 11"):
            prune.l1_unstructured(made, "weight", 11)
        (hook,) = [hook for hook, _ in made._forward_pre_hooks.values()]
        assert isinstance(hook, prune.L1Unstructured)
    with pytest.raises(at.InvalidValueError, match="methods of the tensor 'weight', got one of None"):
        prune.PruningContainer(hook, prune.Identity())
    with pytest.raises(at.ArgumentError, match="expected a BasePruningMethod, got int"):
        prune.PruningContainer(hook, 3)  # type: ignore[arg-type]
    Larger.PRUNING_TYPE = "other"
    try:
        with pytest.raises(at.InvalidValueError, match="Larger: expected PRUNING_TYPE 'unstructured', .* got 'other'"):
            Larger.apply(made, "weight", 1.0)
    finally:
        Larger.PRUNING_TYPE = "unstructured"


def test_an_amount_in_a_tensor() -> None:
    layer = prune.l1_unstructured(nn.Linear(2, 2), "weight", at.tensor(0.5))
    assert layer.weight_mask.sum().item() == 2
