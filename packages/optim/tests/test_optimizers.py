"""Every optimizer against PyTorch's numbers and, in low precision and odd layouts, against its own formula in NumPy."""

import copy
import importlib
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from golden import CASES, GRADS

import atled.core as at
from atled import optim


@pytest.mark.parametrize(("name", "settings", "expected"), CASES)
def test_golden(name: str, settings: dict[str, Any], expected: list[list[float]]) -> None:
    param = at.tensor([1.0, -2.0, 3.0], dtype=at.float64)
    optimizer = getattr(optim, name)([param], **settings)
    for grad, after in zip(itertools.cycle(GRADS), expected, strict=False):
        optimizer.step(grads=[at.tensor(grad, dtype=at.float64)])
        np.testing.assert_allclose(param.numpy(), after, rtol=0, atol=2e-12)


def adam_reference(p: np.ndarray, grads: list[np.ndarray], lr: float) -> np.ndarray:
    m = v = np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = p - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [at.float32, at.float64])
def test_large_and_strided(dtype: at.dtype, transposed: bool) -> None:
    """Enough elements for several threads, and parameters that are not row-major."""
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((300, 501)), [rng.standard_normal((300, 501)) for _ in range(3)]
    param = at.tensor(start.T, dtype=dtype).T if transposed else at.tensor(start, dtype=dtype)
    other = at.zeros(7, 3, dtype=dtype)[::2, ::-1]  # neither dense nor forward
    optimizer = optim.Adam([param, other], lr=0.01)
    for grad in grads:
        optimizer.step(grads=[at.asarray(grad).to(dtype), at.ones(4, 3, dtype=dtype)])
    tolerance = 2e-6 if dtype is at.float32 else 1e-13
    np.testing.assert_allclose(param.numpy(), adam_reference(start, grads, 0.01), rtol=0, atol=tolerance * 10)
    np.testing.assert_allclose(other.numpy(), adam_reference(np.zeros((4, 3)), [np.ones((4, 3))] * 3, 0.01), atol=1e-6)


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16])
def test_half(dtype: at.dtype) -> None:
    """The step is computed in float32 and rounded once."""
    param, grad = at.tensor([1.0, -0.5]).to(dtype), at.tensor([0.25, 0.75]).to(dtype)
    optim.SGD([param], lr=0.125).step(grads=[grad])
    assert param.dtype is dtype
    exact = np.array([1.0, -0.5]) - 0.125 * grad.to(at.float64).numpy()
    np.testing.assert_array_equal(param.to(at.float64).numpy(), at.asarray(exact).to(dtype).to(at.float64).numpy())


def test_groups_late_gradients_and_closure() -> None:
    a, b = at.tensor([1.0]), at.tensor([1.0])
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.1, momentum=0.5)
    optimizer.step(grads=[at.tensor([1.0]), None])
    assert (a.item(), b.item()) == (pytest.approx(0.9), 1.0)
    assert optimizer.step(lambda: 7, grads=[at.tensor([1.0]), at.tensor([1.0])]) == 7
    assert (a.item(), b.item()) == (pytest.approx(0.75), 0.0)  # the second step of a, the first of b
    optimizer.add_param_group({"params": [at.tensor([2.0])], "momentum": 0})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1.0, 0.1]
    assert "Parameter Group 2" in repr(optimizer)
    optimizer.add_param_group({"params": []})
    optimizer.step(grads=[None, at.tensor([1.0]), None])
    assert (a.item(), b.item()) == (pytest.approx(0.75), -1.5)


def test_one_group_whose_members_get_gradients_at_different_times() -> None:
    a, b = at.tensor([1.0]), at.tensor([1.0])
    optimizer = optim.SGD([a, b], lr=0.1, momentum=0.5, dampening=0.5)
    optimizer.step(grads=[at.tensor([1.0]), None])
    optimizer.step(grads=[at.tensor([1.0]), at.tensor([1.0])])
    assert a.item() == pytest.approx(1 - 0.1 * 1.0 - 0.1 * (0.5 + 0.5))
    assert b.item() == pytest.approx(1 - 0.1 * 1.0)  # its first step is not dampened


#: Settings with all of the state that there can be.
FULL: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {"amsgrad": True},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {"betas": (0.8, 0.9)},
    "Adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.1},
    "Adadelta": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Rprop": {},
    "ASGD": {"t0": 1, "lambd": 0.1},
}
#: Their keys, which are PyTorch's.
STATE = {
    "SGD": {"momentum_buffer"},
    "Adam": {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"},
    "AdamW": {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"},
    "Adamax": {"step", "exp_avg", "exp_inf"},
    "NAdam": {"step", "mu_product", "exp_avg", "exp_avg_sq"},
    "RAdam": {"step", "exp_avg", "exp_avg_sq"},
    "Adagrad": {"step", "sum"},
    "Adadelta": {"step", "square_avg", "acc_delta"},
    "RMSprop": {"step", "square_avg", "grad_avg", "momentum_buffer"},
    "Rprop": {"step", "prev", "step_size"},
    "ASGD": {"step", "eta", "mu", "ax"},
}
CAPTURABLE = [name for name in FULL if name not in ("SGD", "Adagrad")]


@pytest.mark.parametrize("name", FULL)
def test_keys_of_the_state(name: str) -> None:
    param = at.tensor([1.0])
    optimizer = getattr(optim, name)([param], **FULL[name])
    optimizer.step(grads=[at.tensor([1.0])])
    assert set(optimizer.state_dict()["state"][0]) == STATE[name]


@pytest.mark.parametrize("dtype", [at.complex64, at.complex128])
@pytest.mark.parametrize("name", [*FULL, "LBFGS"])
def test_complex_parameters_are_pairs_of_real_ones(name: str, dtype: at.dtype) -> None:
    if name == "LBFGS":
        pytest.importorskip("atled.autograd")  # which gives tensors their .grad
    rng = np.random.default_rng(0)

    def pairs() -> at.Tensor:
        return at.asarray(rng.standard_normal((3, 8, 2))).to(at.float32 if dtype is at.complex64 else at.float64)

    def wide(part: at.Tensor) -> at.Tensor:
        return at.stack([at.view_as_complex(part)] * 2, dim=-1)[..., 0]  # with gaps

    parts = [pairs() for _ in range(2)]
    params = [at.view_as_complex(parts[0].clone()), wide(parts[1])]
    optimizer, apart = (getattr(optim, name)(each, **FULL.get(name, {})) for each in (params, parts))
    for _ in range(3):
        grads = [pairs() for _ in parts]
        given = [at.view_as_complex(grads[0]), wide(grads[1])]
        if name == "LBFGS":
            for some, to in ((given, params), (grads, parts)):
                for grad, param in zip(some, to, strict=True):
                    param.grad = grad
            optimizer.step(lambda: 1.0)
            apart.step(lambda: 1.0)
        else:
            optimizer.step(grads=given)
            apart.step(grads=grads)
    for param, part in zip(params, parts, strict=True):
        assert param.dtype is dtype
        np.testing.assert_array_equal(at.view_as_real(param).numpy(), part.numpy())
    kept = [value for value in optimizer.state_dict()["state"][0].values() if isinstance(value, at.Tensor)]
    assert all(value.dtype is dtype for value in kept) or name == "LBFGS"


@pytest.mark.parametrize("name", FULL)
def test_state_goes_through_a_file(name: str, tmp_path: Any) -> None:
    """A run that is interrupted, saved and loaded ends where an uninterrupted one does."""

    def steps(optimizer: optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimizer.step(grads=[at.tensor([0.3, -0.2]), at.tensor([1.0])])

    def fresh() -> tuple[list[at.Tensor], optim.Optimizer]:
        params = [at.tensor([1.0, 2.0]), at.tensor([3.0])]
        return params, getattr(optim, name)(params, lr=0.05, **FULL[name])

    whole, optimizer = fresh()
    steps(optimizer, 5)
    params, first = fresh()
    steps(first, 2)
    path = tmp_path / "optimizer.safetensors"
    at.save({"optimizer": first.state_dict(), "params": params}, path)
    loaded = at.load(path)
    resumed, second = fresh()
    for param, saved in zip(resumed, loaded["params"], strict=True):
        param.copy_(saved)
    second.load_state_dict(loaded["optimizer"])
    steps(second, 3)
    assert [p.tolist() for p in resumed] == [p.tolist() for p in whole]
    other = getattr(optim, name)([at.tensor([1.0])], lr=0.1)
    with pytest.raises(at.InvalidValueError, match="expected 1 parameters in group 0, got 2"):
        other.load_state_dict(first.state_dict())


def test_states_that_are_none_change_nothing() -> None:
    optimizer = optim.SGD([at.ones(2)], lr=0.5, momentum=0.9)
    optimizer.step(grads=[at.ones(2)])
    before, groups = str(optimizer.state_dict()), [{"params": [0]}]
    for state, error, message in [
        (None, at.ArgumentError, "expected the state of SGD, a mapping, got NoneType"),
        ({}, at.InvalidValueError, "expected the state of SGD with the keys 'state', 'param_groups', got none"),
        ({"state": {}}, at.InvalidValueError, "got 'state'; this is an optimizer's"),
        ({"0.weight": at.ones(2)}, at.InvalidValueError, "got '0.weight'; this is a module's"),
        ({"state": {}, "param_groups": {"lr": 1}}, at.ArgumentError, "expected param_groups to be a list, got dict"),
        ({"state": [], "param_groups": groups}, at.ArgumentError, "expected state to be a mapping, got list"),
        ({"state": {}, "param_groups": []}, at.InvalidValueError, "expected 1 parameter groups, got 0"),
        ({"state": {}, "param_groups": [{"lr": 1}]}, at.ArgumentError, "group 0 to be a dict with the numbers"),
        ({"state": {}, "param_groups": [{"params": [0, 1]}]}, at.InvalidValueError, "1 parameters in group 0, got 2"),
        ({"state": {7: {}}, "param_groups": groups}, at.InvalidValueError, "for the numbers .* got some for 7"),
        ({"state": {"a": {}}, "param_groups": groups}, at.InvalidValueError, "got some for 'a'"),
        ({"state": {0: 1}, "param_groups": groups}, at.ArgumentError, "as the state of parameter 0, got int"),
    ]:
        with pytest.raises(error, match=f"^load_state_dict: .*{message}"):
            optimizer.load_state_dict(state)
        assert str(optimizer.state_dict()) == before


def test_bad_settings_and_parameters() -> None:
    param = at.tensor([1.0])
    for make, message in [
        (lambda: optim.SGD([param], lr=-1), "expected lr at least 0, got -1"),
        (lambda: optim.SGD([param], nesterov=True), "for nesterov"),
        (lambda: optim.Adam([param], betas=(0.9, 1.0)), r"expected betas in \[0, 1\)"),
        (lambda: optim.Adam([param], betas=(0.9,)), r"expected betas to be two numbers, got \(0.9,\)"),
        (lambda: optim.Adam([param], eps=-1), "expected eps at least 0"),
        (lambda: optim.Adamax([param], betas=(1.0, 0.9)), r"expected betas in \[0, 1\)"),
        (lambda: optim.NAdam([param], momentum_decay=-1), "expected momentum_decay at least 0, got -1"),
        (lambda: optim.RAdam([param], weight_decay=-1), "expected weight_decay at least 0"),
        (lambda: optim.Adagrad([param], lr_decay=-1), "expected lr_decay at least 0"),
        (lambda: optim.Adadelta([param], rho=1.5), r"expected rho in \[0, 1\], got 1.5"),
        (lambda: optim.RMSprop([param], momentum=-1), "expected momentum at least 0"),
        (lambda: optim.Rprop([param], etas=()), r"expected etas to be two numbers, got \(\)"),
        (lambda: optim.Rprop([param], step_sizes=(1, 2, 3)), "expected step_sizes to be two numbers"),
        (lambda: optim.Rprop([param], etas=(1.0, 1.2)), "expected etas one below and one above 1"),
        (lambda: optim.ASGD([param], weight_decay=-1), "expected weight_decay at least 0"),
    ]:
        with pytest.raises(at.InvalidValueError, match=message):
            make()
    for params, message in [
        (param, "got one Tensor"),
        ([], "empty list"),
        ([1], "got int"),
        ([param, param], "got one twice"),
    ]:
        with pytest.raises(at.ArgumentError, match=message):
            optim.SGD(params)


def test_parameters_are_leaves() -> None:
    pytest.importorskip("atled.autograd")
    leaf = at.ones(2, requires_grad=True)
    with pytest.raises(at.InvalidValueError, match="expected parameters that are leaves, got the result"):
        optim.SGD([leaf * 2])
    optim.SGD([leaf, (leaf * 2).detach()])


def test_a_learning_rate_in_a_tensor() -> None:
    param = at.ones(2)
    optim.SGD([param], lr=at.tensor(0.5)).step(grads=[at.ones(2)])
    assert param.tolist() == [0.5, 0.5]


class Signs(optim.Optimizer):
    """As optimizers are written for PyTorch."""

    def __init__(self, params: Any, rate: float) -> None:
        super().__init__(params, {"rate": rate})

    def step(self, closure: Any = None, *, grads: Any = None) -> Any:
        for group in self.param_groups:
            for param, grad in zip(group["params"], grads, strict=True):
                state = self.state[param]
                state["count"] = state.get("count", 0) + 1
                param.sub_(grad.sign() * group["rate"])


def test_an_optimizer_with_a_step_of_its_own() -> None:
    param = at.tensor([1.0, 1.0])
    signs = Signs([param], rate=0.5)
    signs.step(grads=[at.tensor([3.0, -3.0])])
    assert param.tolist() == [0.5, 1.5]
    assert signs.state_dict() == {"state": {0: {"count": 1}}, "param_groups": [{"rate": 0.5, "params": [0]}]}
    again = Signs([param], rate=0.1)
    again.load_state_dict(signs.state_dict())
    assert again.param_groups[0]["rate"] == 0.5 and again.state[param] == {"count": 1}
    with pytest.raises(NotImplementedError, match=r"Optimizer: expected it to define step\(\) or _update\(\)"):
        optim.Optimizer([param], {}).step(grads=[at.ones(2)])


def test_bad_gradients_change_nothing() -> None:
    param = at.tensor([1.0, 2.0])
    optimizer = optim.SGD([param], lr=0.1)
    with pytest.raises(at.ShapeError, match=r"sgd_: expected grads\[0\] of shape \(2,\) as its parameter, got \(3,\)"):
        optimizer.step(grads=[at.zeros(3)])
    with pytest.raises(at.DTypeError, match=r"expected grads\[0\] of dtype float32"):
        optimizer.step(grads=[at.zeros(2, dtype=at.float64)])
    for grads in ([], [at.ones(2), None]):
        with pytest.raises(at.ArgumentError, match=f"expected one gradient per parameter, 1, got {len(grads)}"):
            optimizer.step(grads=grads)
    with pytest.raises(at.DTypeError, match="floating-point or complex dtype, got int64"):
        optim.SGD([at.tensor([1])]).step(grads=[at.tensor([1])])
    assert param.tolist() == [1.0, 2.0]


def test_a_closure_is_recorded_where_nothing_else_is() -> None:
    autograd = pytest.importorskip("atled.autograd")
    for make in (optim.SGD, optim.LBFGS):
        weight = at.tensor([2.0], requires_grad=True)

        def closure(weight: at.Tensor = weight) -> at.Tensor:
            weight.grad = None
            loss = (weight * weight).sum()
            loss.backward()
            return loss

        optimizer = make([weight], lr=0.25)
        with autograd.no_grad():
            assert optimizer.step(closure).item() == 4
            assert not autograd.is_grad_enabled()
        if make is optim.SGD:
            assert weight.tolist() == [1.0]
        else:
            assert abs(weight.item()) < 1


def test_versions_move() -> None:
    param = at.tensor([1.0])
    optim.Adam([param]).step(grads=[at.tensor([1.0])])
    assert param._version == 1


@pytest.mark.parametrize("name", CAPTURABLE)
def test_capturable_ones_count_in_tensors(name: str) -> None:
    make = getattr(optim, name)
    plain, counting = at.tensor([1.0, -2.0], dtype=at.float64), at.tensor([1.0, -2.0], dtype=at.float64)
    grads = [at.tensor([0.5, 3.0], dtype=at.float64)]
    a, b = make([plain], **FULL[name]), make([counting], capturable=True, **FULL[name])
    for _ in range(3):
        a.step(grads=grads)
        b.step(grads=grads)
    counts = [b.state[counting][key] for key in ("step", "mu_product", "eta", "mu") if key in STATE[name]]
    assert all((count.dtype, count.shape) == (at.float32, ()) for count in counts)
    assert counts[0].item() == 3.0
    # Either goes on from the other's state.
    a_state, b_state = a.state_dict(), b.state_dict()
    a.load_state_dict({**b_state, "param_groups": a_state["param_groups"]})
    b.load_state_dict({**a_state, "param_groups": b_state["param_groups"]})
    a.step(grads=grads)
    b.step(grads=grads)
    assert a.state[plain]["step"] == 4 and b.state[counting]["step"].item() == 4
    # Those that depend on more than the count do in float32.
    tolerance = 1e-6 if len(counts) > 1 else 0.0
    np.testing.assert_allclose(plain.numpy(), counting.numpy(), rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", CAPTURABLE)
def test_a_group_that_is_capturable_no_longer(name: str) -> None:
    """The numbers become Python's, also beside a parameter that had no gradient until then."""
    params, others = ([at.tensor([1.0]), at.tensor([2.0])] for _ in range(2))
    optimizer = getattr(optim, name)(params, capturable=True, **FULL[name])
    plain = getattr(optim, name)(others, **FULL[name])
    for _ in range(2):
        for each in (optimizer, plain):
            each.step(grads=[None, at.ones(1)])
    optimizer.param_groups[0]["capturable"] = False
    for each in (optimizer, plain):
        each.step(grads=[at.ones(1), at.ones(1)])
    assert [optimizer.state[param]["step"] for param in params] == [1, 3]
    for param in params:
        kept = optimizer.state[param]
        assert all(isinstance(kept[key], (int, float)) for key in ("step", "mu_product", "eta", "mu") if key in kept)
    np.testing.assert_allclose([p.item() for p in params], [p.item() for p in others], rtol=1e-6)


def test_what_pytorch_saves_is_taken_over() -> None:
    """Its counts are tensors, its groups have settings of their own; older ones lack some."""
    param = at.tensor([1.0, 2.0])
    optimizer = optim.NAdam([param], lr=0.1)
    group = {"lr": 0.2, "betas": [0.8, 0.9], "eps": 1e-8, "foreach": None, "differentiable": False, "params": [0]}
    state = {"step": at.tensor(3.0), "mu_product": at.tensor(0.25), "exp_avg": at.zeros(2), "exp_avg_sq": at.ones(2)}
    optimizer.load_state_dict({"state": {0: state}, "param_groups": [group]})
    assert (optimizer.state[param]["step"], optimizer.state[param]["mu_product"]) == (3, 0.25)
    assert optimizer.param_groups[0]["lr"] == 0.2 and optimizer.param_groups[0]["momentum_decay"] == 4e-3
    optimizer.step(grads=[at.ones(2)])
    momentum = 0.8 * (1 - 0.5 * 0.96 ** (4 * 4e-3))
    assert optimizer.state[param]["mu_product"] == pytest.approx(0.25 * momentum, rel=1e-12)


def test_adagrad_has_its_state_at_once() -> None:
    a, b = at.tensor([1.0, 2.0]), at.tensor([3.0])
    optimizer = optim.Adagrad([a], initial_accumulator_value=0.5)
    optimizer.add_param_group({"params": [b], "initial_accumulator_value": 2.0})
    assert [(s["step"], s["sum"].tolist()) for s in optimizer.state.values()] == [(0, [0.5, 0.5]), (0, [2.0])]
    optimizer.share_memory()
    optimizer.step(grads=[at.tensor([1.0, 0.0]), at.tensor([2.0])])
    assert [s["sum"].tolist() for s in optimizer.state.values()] == [[1.5, 0.5], [6.0]]


def test_a_spread_that_rounding_makes_negative() -> None:
    """The mean of squares, less the square of the mean, of a gradient that stays."""
    param = at.tensor([1.0] * 64)
    optimizer = optim.RMSprop([param], lr=1e-9, centered=True, alpha=0.5)
    for _ in range(60):
        optimizer.step(grads=[at.linspace(0.1, 0.7, 64)])
    assert at.isfinite(param).all().item()


def test_errors_of_counts() -> None:
    x, settings = at.ones(2), {"lr": 0.1, "beta1": 0.9, "beta2": 0.9, "eps": 0.1}
    with pytest.raises(at.ArgumentError, match="expected no steps beside counts, got 1"):
        at.ops.optim.adam_([x], [x], [x], [x], [], [1], **settings, counts=[at.tensor(0.0)])
    with pytest.raises(at.ArgumentError, match=r"expected as many counts as params \(1\), got 0"):
        at.ops.optim.adam_([x], [x], [x], [x], [], [], **settings, counts=[])
    with pytest.raises(at.ArgumentError, match=r"expected counts\[0\] to be one float32, got float64 of shape \(\)"):
        at.ops.optim.adam_([x], [x], [x], [x], [], [], **settings, counts=[at.tensor(0.0, dtype=at.float64)])


def test_pytorchs_ways_to_step_are_one() -> None:
    for make in (getattr(optim, name) for name in FULL):
        steps = []
        has_fused = make in (optim.SGD, optim.Adam, optim.AdamW, optim.Adagrad)
        more: list[dict[str, Any]] = [{"fused": True}] if has_fused else []
        for named in ({}, {"foreach": True}, {"foreach": False, "differentiable": False}, *more):
            weight = at.tensor([1.0, 2.0])
            make([weight], lr=0.1, **named).step(grads=[at.tensor([3.0, -1.0])])
            steps.append(weight.tolist())
        assert all(step == steps[0] for step in steps)
        with pytest.raises(at.InvalidValueError, match=f"{make.__name__}: expected differentiable=False"):
            make([at.tensor([1.0])], differentiable=True)


def test_adam_with_decoupled_weight_decay_is_adamw() -> None:
    weights = []
    for make in (optim.AdamW, lambda *a, **k: optim.Adam(*a, decoupled_weight_decay=True, **k)):
        weight = at.tensor([1.0, 2.0])
        optimizer = make([weight], lr=0.1, weight_decay=0.5)
        for _ in range(2):
            optimizer.step(grads=[at.tensor([3.0, -1.0])])
        weights.append(weight.tolist())
    assert weights[0] == weights[1]


def test_decoupled_weight_decay_is_a_groups() -> None:
    one, other = at.tensor([1.0], dtype=at.float64), at.tensor([1.0], dtype=at.float64)
    groups: list[dict[str, Any]] = [{"params": [one], "decoupled_weight_decay": True}, {"params": [other]}]
    optimizer = optim.Adam(groups, lr=0.1, weight_decay=0.5)
    for _ in range(2):
        optimizer.step(grads=[at.ones_like(one), at.ones_like(other)])
    assert one.item() == pytest.approx((0.95 - 0.1) * 0.95 - 0.1, rel=1e-6)
    assert other.item() == pytest.approx(adam_reference(np.ones(1), [np.array([1.5]), np.array([1.45])], 0.1)[0])


def test_states_of_adam_and_adamw_are_exchanged() -> None:
    """Without a gradient the decoupled decay is all there is."""
    for source, target in [(optim.AdamW, optim.Adam), (optim.Adam, optim.AdamW)]:
        saved = source([at.tensor([1.0])], lr=0.1, weight_decay=0.5).state_dict()
        weight = at.tensor([1.0])
        optimizer = target([weight])
        optimizer.load_state_dict(saved)
        assert optimizer.param_groups[0]["decoupled_weight_decay"] is True
        optimizer.step(grads=[at.zeros(1)])
        assert weight.item() == pytest.approx(0.95)


class Plain(optim.Optimizer):
    """As programs write their own."""

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.came_back = True


def test_an_optimizer_of_ones_own_is_pickled() -> None:
    copied = pickle.loads(pickle.dumps(Plain([at.ones(2)], {"lr": 0.5})))
    assert copied.came_back and copied.param_groups[0]["lr"] == 0.5


def test_hooks() -> None:
    weight, calls = at.ones(1), list[str]()
    optimizer = optim.SGD([weight], lr=0.5)

    def double(optimizer: optim.Optimizer, args: Any, kwargs: Any) -> Any:
        return args, {"grads": [2 * g for g in kwargs["grads"]]}

    before = optimizer.register_step_pre_hook(double)
    optimizer.register_step_post_hook(lambda own, args, kwargs: calls.append(f"{own is args[0]} {kwargs['grads']}"))
    copied = copy.deepcopy(optimizer)
    optimizer.step(grads=[at.ones(1)])
    assert weight.item() == 0 and calls == ["True [tensor([2.])]"]
    copied.step(grads=[at.ones(1)])
    assert weight.item() == 0 and copied.param_groups[0]["params"][0].item() == 0
    before.remove()
    optimizer.step(grads=[at.ones(1)])
    assert weight.item() == -0.5
    optimizer.register_step_pre_hook(lambda *_: 3)
    with pytest.raises(at.ArgumentError, match="expected None or .args, kwargs., got int"):
        optimizer.step(grads=[at.ones(1)])


def test_pytorchs_module_has_what_is_public_here() -> None:
    module = importlib.import_module("atled.optim.optimizer")
    assert optim.optimizer is module and module.__all__
    assert all(getattr(module, name) is getattr(optim, name) for name in module.__all__)


def test_hooks_of_state_dicts() -> None:
    optimizer, calls = optim.SGD([at.ones(1)], lr=0.5), list[str]()
    optimizer.register_state_dict_pre_hook(lambda own: calls.append("writing"))
    optimizer.register_state_dict_post_hook(lambda own, state: {**state, "note": 1})
    optimizer.register_load_state_dict_pre_hook(lambda own, state: calls.append(str(state.pop("note"))))
    optimizer.register_load_state_dict_post_hook(lambda own: calls.append("loaded"))
    optimizer.register_load_state_dict_pre_hook(lambda own, state: calls.append("first"), prepend=True)
    state = optimizer.state_dict()
    optimizer.load_state_dict(state)
    assert calls == ["writing", "first", "1", "loaded"] and state["note"] == 1


def test_a_profiler_sees_steps() -> None:
    parameters = [at.ones(2), at.ones(3)]
    sgd = optim.SGD(parameters, lr=0.1)
    with at.profiler.profile() as prof:
        sgd.step(grads=[at.ones(2), at.ones(3)])
    (step,) = (event for event in prof.events() if event.name == "Optimizer.step#SGD.step")
    assert [call.name for call in step.cpu_children] == ["sgd_"]


def test_hooks_that_a_hook_before_the_step_changes() -> None:
    optimizer, seen = optim.SGD([at.ones(1)], lr=0.1), []
    first = optimizer.register_step_post_hook(lambda *_: seen.append("first"))

    def before(*_: Any) -> None:
        first.remove()
        optimizer.register_step_post_hook(lambda *_: seen.append("second"))

    optimizer.register_step_pre_hook(before)
    optimizer.step(grads=[at.ones(1)])
    assert seen == ["second"]
