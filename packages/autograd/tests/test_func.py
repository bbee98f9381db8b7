"""Transforms of functions: their values against analysis, how they nest, and what they refuse."""

import math
from collections import deque
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import autograd
from atled.autograd import Function, backward, no_grad
from atled.autograd import grad as tape_grad
from atled.autograd.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    replace_all_batch_norm_modules_,
    stack_module_state,
    value_and_grad,
    vjp,
    vmap,
)
from atled.core.utils import pytree


def f64(*values: Any) -> at.Tensor:
    return at.tensor(values[0] if len(values) == 1 else values, dtype=at.float64)


def same(a: at.Tensor, b: Any, tolerance: float = 1e-12) -> None:
    expected = b.detach().numpy() if isinstance(b, at.Tensor) else b
    np.testing.assert_allclose(a.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


X = f64([0.5, -1.25, 2.0])


def test_grad_to_any_order() -> None:
    function = at.sin
    expected = [at.sin, at.cos, lambda x: -at.sin(x), lambda x: -at.cos(x), at.sin]
    for order in range(5):
        same(function(f64(0.7)), expected[order](f64(0.7)))
        function = grad(function)


def test_jvp_to_any_order() -> None:
    def derivative(function: Any) -> Any:
        return lambda x: jvp(function, (x,), (at.ones_like(x),))[1]

    function: Any = lambda x: x**4  # noqa: E731
    for expected in (81.0, 108.0, 108.0, 72.0, 24.0):
        same(function(f64(3.0)), expected)
        function = derivative(function)


@pytest.mark.parametrize("outer", [jacfwd, jacrev])
@pytest.mark.parametrize("inner", [jacfwd, jacrev])
def test_second_derivatives_of_every_nesting(outer: Any, inner: Any) -> None:
    def function(x: at.Tensor) -> at.Tensor:
        return x[0] ** 2 * x[1] + at.exp(x[2] * x[1])

    x, y, z = X.tolist()
    e = math.exp(z * y)
    expected = [
        [2 * y, 2 * x, 0],
        [2 * x, z * z * e, e + y * z * e],
        [0, e + y * z * e, y * y * e],
    ]
    same(outer(inner(function))(X), np.array(expected))
    same(hessian(function)(X), np.array(expected))


def test_directions_of_two_levels_are_kept_apart() -> None:
    one, two = f64(1.0), f64(2.0)
    inner: Any = lambda x: jvp(lambda y: x + y, (one,), (one,))[1]  # noqa: E731
    assert jvp(lambda x: x * inner(x), (two,), (one,))[1].item() == 1.0
    assert grad(lambda x: x * grad(lambda y: x + y)(one))(two).item() == 1.0
    assert grad(lambda x: x * jvp(lambda y: x * y * y, (f64(3.0),), (one,))[1])(two).item() == 24.0
    assert jvp(lambda x: x * grad(lambda y: x * y * y)(f64(3.0)), (two,), (one,))[1].item() == 24.0


def quadratic(w: at.Tensor, x: at.Tensor, y: at.Tensor) -> at.Tensor:
    return ((x @ w - y) ** 2).mean()


def batch() -> tuple[at.Tensor, at.Tensor, at.Tensor]:
    rng = np.random.default_rng(0)
    return f64(rng.standard_normal(3)), f64(rng.standard_normal((4, 2, 3))), f64(rng.standard_normal((4, 2)))


def test_gradients_for_each_sample() -> None:
    w, x, y = batch()
    got = vmap(grad(quadratic), in_dims=(None, 0, 0))(w, x, y)
    expected = np.stack([x[i].numpy().T @ (x[i] @ w - y[i]).numpy() for i in range(4)])  # d/dw of a mean of two squares
    same(got, expected)


def test_differentiating_what_vmap_and_grad_make() -> None:
    w, x, y = batch()

    def by_vmap(w: at.Tensor) -> at.Tensor:
        return (vmap(grad(quadratic), in_dims=(None, 0, 0))(w, x, y) ** 2).sum()

    def by_loop(w: at.Tensor) -> at.Tensor:
        return sum(((x[i].T @ (x[i] @ w - y[i])) ** 2).sum() for i in range(4))  # type: ignore[return-value]

    same(grad(by_vmap)(w), grad(by_loop)(w))
    same(jvp(by_vmap, (w,), (at.ones_like(w),))[1], grad(by_loop)(w).sum())
    leaf = w.clone().requires_grad_()
    backward(by_vmap(leaf))
    assert leaf.grad is not None
    same(leaf.grad, grad(by_loop)(w))


def test_what_is_closed_over_from_further_out_is_differentiated() -> None:
    xs, v = f64([1.0, 2.0, 3.0]), f64(2.0)
    w = f64(1.5)  # d/dw of the sum over x of x d/dv (w v^2) is 2 v sum(x) = 24
    same(grad(lambda w: vmap(lambda x: grad(lambda v: w * v * v * x)(v))(xs).sum())(w), 24.0)
    same(grad(lambda w: vmap(lambda x: grad(lambda v: (w * v * v) * x)(v))(xs).sum())(w), 24.0)
    same(grad(lambda w: vmap(lambda x: x * grad(lambda v: w * v * v)(v))(xs).sum())(w), 24.0)
    inner = lambda w, x: jvp(lambda y: y * grad(lambda v: w * v * v)(v), (x,), (at.ones_like(x),))[1]  # noqa: E731
    same(grad(lambda w: inner(w, f64(3.0)))(w), 4.0)


def test_vmap_nests() -> None:
    a, b = at.arange(6.0).reshape(2, 3), at.arange(4.0).reshape(4)
    outer = vmap(lambda x: vmap(lambda y: (x * y).sum())(b))(a)
    same(outer, np.outer([3, 12], [0, 1, 2, 3]))
    both = vmap(vmap(lambda x, y: x * y, in_dims=(0, None)), in_dims=(0, 0))(a, at.tensor([10.0, 100.0]))
    same(both, np.arange(6).reshape(2, 3) * [[10], [100]])


def test_in_and_out_dims() -> None:
    a = at.arange(24.0).reshape(2, 3, 4)
    for dim in (0, 1, 2, -1):
        assert vmap(lambda t: t * 2, in_dims=dim, out_dims=dim)(a).tolist() == (a * 2).tolist()
    assert vmap(lambda t: {"sum": t.sum(), "t": t}, out_dims={"sum": 0, "t": 1})(a)["t"].shape == (3, 2, 4)
    assert vmap(lambda t, k: t["a"] + k, in_dims=({"a": 1}, None))({"a": a}, 3.0).shape == (3, 2, 4)


def test_chunks_give_what_all_at_once_gives() -> None:
    a = at.arange(14.0).reshape(7, 2)
    for size in (1, 2, 3, 7, 100):
        same(vmap(lambda t: t.cumsum(0), chunk_size=size, out_dims=1)(a), np.cumsum(a.numpy(), 1).T)
        same(jacrev(lambda x: x.sin(), chunk_size=size)(X), np.diag(np.cos(X.numpy())))


def test_what_is_written_in_place_inside() -> None:
    a = at.arange(6.0).reshape(3, 2)

    def function(x: at.Tensor) -> at.Tensor:
        made = at.zeros_like(x)
        made[0] = x[1]
        made[1:].add_(x[:1])
        made.mul_(2)
        return made

    expected = np.stack([a.numpy()[:, 1], a.numpy()[:, 0]], 1) * 2
    same(vmap(function)(a), expected)
    same(jvp(function, (a[2],), (f64([1.0, 0.0]).to(a.dtype),))[1], [0.0, 2.0])
    same(jacfwd(function)(a[2]), [[0, 2], [2, 0]])
    same(jacrev(function)(a[2]), [[0, 2], [2, 0]])


@pytest.mark.parametrize("outer", [jacfwd, jacrev])
@pytest.mark.parametrize("inner", [jacfwd, jacrev])
def test_products_in_place_in_every_nesting(outer: Any, inner: Any) -> None:
    def function(x: at.Tensor) -> at.Tensor:
        y = x * 1
        y.mul_(x + 1)
        y[:1].mul_(y[1:2])
        return (y * y).sum()

    def plain(x: at.Tensor) -> at.Tensor:
        y = x * (x + 1)
        return (at.cat([y[:1] * y[1:2], y[1:]]) ** 2).sum()

    same(outer(inner(function))(X), hessian(plain)(X))


def test_tangents_do_not_share_memory() -> None:
    def function(x: at.Tensor) -> at.Tensor:
        y = x + 1
        y.mul_(3)
        return x * 1 + y

    same(jvp(function, (X,), (at.ones_like(X),))[1], [4.0, 4.0, 4.0])


def test_vjp_with_structures_and_aux() -> None:
    def function(pair: Any) -> Any:
        return {"product": pair[0] * pair[1], "sum": pair[0] + pair[1]}, pair[0].sum()

    output, back, aux = vjp(function, (X, X * 2), has_aux=True)
    same(output["product"], X * X * 2)
    assert not output["product"].requires_grad
    assert aux.item() == pytest.approx(1.25)
    ((first, second),) = back({"product": at.ones_like(X), "sum": at.zeros_like(X)})
    same(first, X * 2)
    same(second, X)
    same(back({"product": at.zeros_like(X), "sum": X})[0][0], X)


def test_values_come_with_gradients() -> None:
    gradient, value = grad_and_value(lambda x: (x * x).sum())(X)
    same(gradient, X * 2)
    assert value.item() == pytest.approx(0.25 + 1.5625 + 4)
    (value, aux), gradient = value_and_grad(lambda x: ((x * x).sum(), x + 1), has_aux=True)(X)
    same(aux, X + 1)
    assert not aux.requires_grad
    gradients = grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(X, X + 1)
    same(gradients[0], X + 1)
    same(gradients[1], X)


def test_linearize_runs_the_function_once() -> None:
    calls = []

    def function(x: at.Tensor, y: at.Tensor) -> tuple[at.Tensor, at.Tensor]:
        calls.append(1)
        return at.sin(x) * y, y.sum()

    output, push = linearize(function, X, X + 1)
    for t in (at.ones_like(X), X):
        expected = jvp(function, (X, X + 1), (t, t * 2))[1]
        for got, wanted in zip(push(t, t * 2), expected, strict=True):
            same(got, wanted)
    assert len(calls) == 3
    same(output[0], at.sin(X) * (X + 1))
    same(
        vmap(push)(at.eye(3, dtype=at.float64), at.zeros(3, 3, dtype=at.float64))[0],
        np.diag((at.cos(X) * (X + 1)).numpy()),
    )


def test_jacobians_of_structures() -> None:
    def function(a: at.Tensor, b: dict[str, at.Tensor]) -> tuple[at.Tensor, at.Tensor]:
        return a.outer(b["x"]), b["x"].sum()

    a, b = X, {"x": f64([1.0, 2.0])}
    for transform in (jacrev, jacfwd):
        product, total = transform(function, argnums=(0, 1))(a, b)
        assert product[0].shape == (3, 2, 3)
        same(product[0], np.einsum("ij,k->ikj", np.eye(3), b["x"].numpy()))
        same(product[1]["x"], np.einsum("i,kj->ikj", a.numpy(), np.eye(2)))
        same(total[0], np.zeros(3))
        same(total[1]["x"], np.ones(2))


def test_complex_functions() -> None:
    z = at.tensor([1 + 2j, -0.5 + 1j], dtype=at.complex128)
    same(jvp(lambda x: x * x, (z,), (z,))[1], (2 * z * z).numpy())
    same(grad(lambda x: (x * x.conj()).real.sum())(z), (2 * z).numpy())
    same(jvp(lambda x: at.abs(x) ** 2, (z,), (at.ones_like(z),))[1], (2 * z.real).numpy())


def test_recording_is_off_inside_where_the_code_says_so() -> None:
    def function(x: at.Tensor) -> at.Tensor:
        with no_grad():
            fixed = x * 2
        return (x * fixed).sum()

    same(grad(function)(X), X * 2)
    with no_grad():
        same(grad(lambda x: (x * x).sum())(X), X * 2)
    leaf = X.clone().requires_grad_()
    with no_grad():
        assert not grad(lambda x: (x * x).sum())(leaf).requires_grad


def test_detach_stops_every_derivative() -> None:
    same(jvp(lambda x: x * x.detach(), (X,), (at.ones_like(X),))[1], X)
    same(grad(lambda x: (x * x.detach()).sum())(X), X)
    same(vmap(grad(lambda x: x * x.detach()))(X), X)


def test_a_gradient_can_be_differentiated_by_what_the_function_closes_over() -> None:
    w = f64(3.0).requires_grad_()
    gradient = grad(lambda x: w * x * x)(f64(2.0))
    assert gradient.requires_grad
    (second,) = tape_grad(gradient, w)
    assert second.item() == 4.0
    assert not grad(lambda x: x * x)(f64(2.0)).requires_grad


def test_functions_of_ones_own() -> None:
    class Cube(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    same(grad(lambda x: Cube.apply(x).sum())(X), 3 * X * X)
    same(vmap(grad(Cube.apply))(X), 3 * X * X)


def test_indices_that_are_mapped_over() -> None:
    table, rows = at.arange(12.0).reshape(4, 3), at.tensor([2, 0, -1])
    same(vmap(lambda i: table[i])(rows), table.numpy()[[2, 0, -1]])
    same(vmap(lambda i: table[:, i])(rows), table.numpy()[:, [2, 0, -1]].T)
    same(vmap(lambda t, i: t[i])(table[:3], rows), table.numpy()[[0, 1, 2], [2, 0, -1]])
    same(vmap(grad(lambda t, i: t[i]), in_dims=(None, 0))(X, rows), np.eye(3)[[2, 0, -1]])
    same(vmap(lambda t: t[..., [0, 2]])(table), table.numpy()[:, [0, 2]])
    same(vmap(lambda t: t[::-1])(table), table.numpy()[:, ::-1])

    def put(t: at.Tensor, i: at.Tensor) -> at.Tensor:
        t = t.clone()
        t[i] = 0
        return t

    expected = table.numpy()[:3].copy()
    expected[[0, 1, 2], [2, 0, -1]] = 0
    same(vmap(put)(table[:3], rows), expected)


class Step(Function):
    """0 or 1, with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
        return g


class BatchedStep(Step):
    @staticmethod
    def vmap(info: Any, in_dims: Any, x: at.Tensor) -> Any:
        assert info.batch_size == x.shape[0]
        return BatchedStep.apply(x), 0

    @staticmethod
    def jvp(ctx: Any, t: at.Tensor) -> at.Tensor:
        return t * 10


class Cube(Function):
    """Has a jvp of ten times the tangent, of what is saved for it; or of what is saved for backward."""

    both = True

    @staticmethod
    def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
        ctx.save_for_backward(x * x)
        if Cube.both:
            ctx.save_for_forward(None, x * x * 10)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
        (square,) = ctx.saved_tensors
        return 3 * square * g

    @staticmethod
    def jvp(ctx: Any, t: at.Tensor) -> at.Tensor:
        *_, square = ctx.saved_tensors
        return 3 * square * t


def test_a_function_saves_for_its_own_jvp(monkeypatch: pytest.MonkeyPatch) -> None:
    same(jvp(Cube.apply, (X,), (X,))[1], 30 * X**3)
    same(grad(lambda x: Cube.apply(x).sum())(X), 3 * X**2)
    monkeypatch.setattr(Cube, "both", False)
    same(jvp(Cube.apply, (X,), (X,))[1], 3 * X**3)
    context = autograd.FunctionContext(Cube, [0], 1)
    for save in (context.save_for_forward, context.save_for_backward):
        with pytest.raises(at.ArgumentError, match=f"{save.__name__}: expected Tensors and None, got int"):
            save(3)  # type: ignore[arg-type]


def test_a_function_s_own_gradient_holds_in_transforms() -> None:
    out, tangent = jvp(Step.apply, (X,), (X,))
    same(out, [1.0, 0.0, 1.0])
    same(tangent, X)
    same(jvp(BatchedStep.apply, (X,), (X,))[1], X * 10)
    same(vmap(Step.apply)(X), [1.0, 0.0, 1.0])
    same(vmap(grad(Step.apply))(X), [1.0, 1.0, 1.0])
    same(grad(lambda x: (vmap(BatchedStep.apply)(x) * X).sum())(X), X)
    with pytest.raises(at.AutogradError, match="static vmap"):
        grad(lambda x: vmap(Step.apply)(x).sum())(X)
    same(grad(lambda x: (vmap(grad(lambda y: BatchedStep.apply(y) * y))(x)).sum())(X), [2.0, 2.0, 2.0])


@pytest.mark.parametrize("randomness", ["different", "same"])
def test_random_numbers(randomness: str) -> None:
    a = at.zeros(50, 4)
    got = vmap(lambda x: x + at.rand(4), randomness=randomness)(a)
    rows = {tuple(row) for row in got.tolist()}
    assert len(rows) == (50 if randomness == "different" else 1)
    if randomness == "different":
        assert len({tuple(r) for r in vmap(lambda x: at.rand_like(x), randomness=randomness)(a).tolist()}) == 50


REFUSALS: list[tuple[Any, type[Exception], str]] = [
    (lambda: vmap(at.rand_like)(X), at.AutogradError, 'randomness="different"'),
    (lambda: vmap(lambda x: at.rand(2) + x)(X), at.AutogradError, 'randomness="different"'),
    (lambda: vmap(lambda x: x.item())(X), at.AutogradError, "differ between the elements of the batch"),
    (lambda: vmap(lambda x: x if x > 0 else -x)(X), at.AutogradError, "where()"),
    (lambda: vmap(lambda x: at.nonzero(x))(at.ones(2, 2)), at.NotImplementedOpError, "depends on values"),
    (lambda: vmap(lambda x: 3)(X), at.ArgumentError, "to answer tensors, got int"),
    (lambda: vmap(at.sin, in_dims=1)(X), at.BoundsError, "in_dims in [-1, 0]"),
    (lambda: vmap(at.sin, out_dims=3)(X), at.BoundsError, "out_dims in [-1, 0]"),
    (lambda: vmap(at.sin, in_dims=None)(X), at.InvalidValueError, "at least one tensor to map over"),
    (lambda: vmap(at.add, in_dims=(0,))(X, X), at.InvalidValueError, "for 2 positional arguments"),
    (lambda: vmap(at.add)(X, at.ones(2)), at.ShapeError, "the same size along all mapped dimensions, got 2, 3"),
    (lambda: vmap(at.sin, randomness="maybe"), at.InvalidValueError, "'maybe'"),
    (lambda: vmap(at.sin, chunk_size=0), at.InvalidValueError, "positive chunk_size"),
    (lambda: vmap(lambda x: X.add_(x))(X), at.AutogradError, "that vmap does not map over"),
    (lambda: jvp(lambda x: X.add_(x), (X,), (X,)), at.AutogradError, "input of the running jvp"),
    (lambda: grad(at.sin)(X), at.ShapeError, "one element, got (3,)"),
    (lambda: grad(at.sin)(at.tensor(1)), at.DTypeError, "floating-point or complex, got"),
    (lambda: grad(at.sin, argnums=1)(X), at.InvalidValueError, "argnums in [-1, 0]"),
    (lambda: grad(lambda x: x + 1j)(f64(1.0)), at.DTypeError, "a real result"),
    (lambda: jvp(at.sin, (X,), (at.ones(2, dtype=at.float64),)), at.ShapeError, "a tangent of shape (3,)"),
    (lambda: jvp(at.sin, (X,), (X, X)), at.ArgumentError, "structure of the primals"),
    (lambda: jvp(at.sin, X, X), at.ArgumentError, "to be tuples"),
    (lambda: jvp(lambda x: at.ones(2), (X,), (X,), strict=True), at.AutogradError, "to depend on a primal"),
    (lambda: vjp(at.sin, X)[1]((X, X)), at.ArgumentError, "structure of the output"),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_is_refused_and_why(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    same(vmap(at.sin)(X), at.sin(X))  # nothing stays behind


def test_a_tensor_that_was_kept_from_an_ended_transform_is_refused() -> None:
    kept = []
    vmap(lambda x: kept.append(x) or x)(X)
    with pytest.raises(at.AutogradError, match="has ended"):
        kept[0] + 1
    with pytest.raises(at.AutogradError, match="has ended"):
        vmap(lambda x: x + kept[0])(X)
    assert "batched" in repr(kept[0])


def test_modules_as_functions_of_their_parameters() -> None:
    nn = pytest.importorskip("atled.nn")
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    params = {name: p.detach() for name, p in model.named_parameters()}
    x, y = f64(np.random.default_rng(1).standard_normal((5, 3))), at.tensor([0, 1, 1, 0, 1])

    def loss(params: Any, x: at.Tensor, y: at.Tensor) -> at.Tensor:
        return nn.functional.cross_entropy(functional_call(model, params, (x.unsqueeze(0),)), y.unsqueeze(0))

    each = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
    for i in range(5):
        one = grad(loss)(params, x[i], y[i])
        for name in params:
            same(each[name][i], one[name])
    doubled = {name: p * 2 for name, p in params.items()}
    assert not np.allclose(functional_call(model, doubled, x).detach().numpy(), model(x).detach().numpy())
    same(functional_call(model, {}, x), model(x))
    with pytest.raises(RuntimeError, match=r"got 7\.weight"):
        functional_call(model, {"7.weight": x}, x)
    with pytest.raises(RuntimeError, match="missing"):
        functional_call(model, {"0.weight": params["0.weight"]}, x, strict=True)


def test_an_ensemble_of_modules() -> None:
    nn = pytest.importorskip("atled.nn")
    models = [nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double().eval() for _ in range(3)]
    parameters, buffers = stack_module_state(models)
    assert parameters["0.weight"].shape == (3, 2, 3)
    assert parameters["0.weight"].requires_grad
    x = f64(np.random.default_rng(2).standard_normal((4, 3)))
    got = vmap(lambda p, b: functional_call(models[0], (p, b), x))(parameters, buffers)
    for i, model in enumerate(models):
        same(got[i], model(x))
    plain = replace_all_batch_norm_modules_(models[0])
    assert plain[1].running_mean is None


def test_rearrange() -> None:
    pytest.importorskip("einops")
    from atled.autograd.func import rearrange

    a = at.arange(24.0).reshape(2, 12)
    same(rearrange(a, "b (h w) -> b w h", h=3), a.numpy().reshape(2, 3, 4).transpose(0, 2, 1))


@pytest.mark.parametrize(
    "within",
    [
        lambda x, b: jacrev(lambda z: at.where(b > 0, x * z, z) * z)(X[2]),
        lambda x, b: linearize(lambda z: at.sin(x * z) * b, X[2])[1](b),
        lambda x, b: jacrev(jacrev(lambda z: at.sin(x * z) * b * z))(X[2]),
        lambda x, b: grad(lambda z: at.linalg.matrix_exp(at.stack([x * z, z, x, b]).reshape(2, 2) / 4)[0, 1])(X[2]),
    ],
)
def test_inputs_of_a_level_further_in_meet_what_is_closed_over(within: Any) -> None:
    def function(x: at.Tensor) -> at.Tensor:
        return vmap(lambda b: within(x, b))(X).sum()

    step = 1e-5
    expected = (function(f64(0.7 + step)) - function(f64(0.7 - step))) / (2 * step)
    same(grad(function)(f64(0.7)), expected, 1e-7)
    same(vmap(grad(function))(f64([0.7]))[0], expected, 1e-7)
    leaf = f64(0.7).requires_grad_()
    same(tape_grad(function(leaf), leaf)[0], expected, 1e-7)


def test_what_is_closed_over_cannot_hold_what_a_level_further_in_differentiates() -> None:
    def function(x: at.Tensor) -> at.Tensor:
        return vmap(lambda b: grad(lambda z: (x * 1).mul_(z).mul_(z) * b)(X[2]))(X).sum()

    with pytest.raises(at.AutogradError, match="mul: expected a tensor made inside the running vmap or jvp"):
        grad(function)(X[0])


def test_matrix_exponentials_in_reverse_over_forward() -> None:
    def function(x: at.Tensor) -> at.Tensor:
        return at.linalg.matrix_exp(x.outer(x))[0].prod()

    same(jacrev(jacfwd(function))(X[:2]), jacrev(jacrev(function))(X[:2]), 1e-11)


@pytest.mark.parametrize("name", ["t_", "squeeze_", "unsqueeze_"])
def test_other_shapes_in_place_in_forward_mode_but_not_in_batches(name: str) -> None:
    dims = (0,) if name == "unsqueeze_" else ()
    a = f64([[1.0, 2.0, 3.0]])

    def function(x: at.Tensor) -> Any:
        return getattr(x * x, name)(*dims) * 3

    same(jvp(function, (a,), (a,))[1], getattr(6 * a * a, name[:-1])(*dims))
    with pytest.raises(at.NotImplementedOpError, match="cannot change the shape of a batched tensor"):
        vmap(function)(a.unsqueeze(0))


def test_batches_of_nothing() -> None:
    nothing = at.zeros(0, 3, dtype=at.float64)
    for function, shape in (
        (at.sin, (3,)),
        (grad(lambda x: (x**3).sum()), (3,)),
        (hessian(lambda x: x.prod()), (3, 3)),
    ):
        made = vmap(function)(nothing)
        assert made.shape == (0, *shape)
        assert made.dtype == at.float64
    assert hessian(lambda x: (x * x).sum())(nothing[:, 0]).shape == (0, 0)


class Product(Function):
    @staticmethod
    def forward(ctx: Any, a: at.Tensor, b: at.Tensor) -> at.Tensor:
        ctx.save_for_backward(a, b)
        return a * b

    @staticmethod
    def backward(ctx: Any, g: at.Tensor) -> Any:
        a, b = ctx.saved_tensors
        return g * b, g * a


class PushedProduct(Product):
    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        a, b = ctx.saved_tensors
        return sum(t * other for t, other in zip(tangents, (b, a), strict=True) if t is not None)


@pytest.mark.parametrize("product", [Product, PushedProduct])
def test_gradients_of_tangents_of_a_function_by_what_it_closes_over(product: Any) -> None:
    def within(x: at.Tensor) -> at.Tensor:
        value, tangent = jvp(lambda z: product.apply(x, z) * z * x, (X[2],), (X[2],))  # x^2 z^2 and 2 x^2 z^2
        return value * 10 + tangent

    same(grad(within)(X[0]), 24 * X[0] * X[2] ** 2)

    def twice(x: at.Tensor) -> at.Tensor:
        return jvp(lambda z: jvp(lambda w: product.apply(w * x, z * z), (z,), (z,))[1], (X[2],), (X[2],))[1]

    same(grad(twice)(X[0]), 3 * X[2] ** 3)  # of z d/dz (x z^3)


def test_containers_are_those_of_pytree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytree, "_nodes", dict(pytree._nodes))

    class Pair:
        def __init__(self, left: Any, right: Any) -> None:
            self.left, self.right = left, right

    pytree.register_pytree_node(Pair, lambda p: ((p.left, p.right), None), lambda parts, _: Pair(*parts))
    gradient = grad(lambda p: (p.left * p.right[0]).sum())(Pair(X, deque([X + 1])))
    same(gradient.left, X + 1)
    same(gradient.right[0], X)
    found = vmap(lambda p: Pair(p.left + 1, {"a": p.right}))(Pair(X, X))
    same(found.left, X + 1)
    same(found.right["a"], X)
