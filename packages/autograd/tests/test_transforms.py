"""Forward mode and batching of every op, at the samples of the ops' specifications."""

import importlib.util
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_rules import CASES as OWN
from test_rules import comparable, leaves

import atled.core as at
from atled.autograd import _tape, grad
from atled.autograd._rule import transforms_of
from atled.autograd.func import jvp, vjp, vmap
from atled.core._ops import NAMESPACES
from atled.testing import Draw, OpSpec, Sample, from_numpy, specs

# Of other wheels, those that are there.
OTHERS = [name for name in ("nn",) if importlib.util.find_spec(f"atled.{name}")]
ALL = list(specs.find_all((*NAMESPACES, *OTHERS)))
CASES = OWN + [(spec, "float64") for spec in specs.find_all(OTHERS) if spec.differentiable and "float64" in spec.dtypes]
STEP = 1e-6
VIEW = 1 << 2  # the trait


def listed(result: Any) -> list[at.Tensor]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def floats(result: Any) -> list[at.Tensor]:
    return [t for t in listed(result) if t.is_floating_point() or t.is_complex()]


def rng_like(t: at.Tensor, seed: int) -> at.Tensor:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(tuple(t.shape))
    if t.is_complex():
        values = values + 1j * rng.standard_normal(tuple(t.shape))
    return at.asarray(np.asarray(values)).to(t.dtype)


def inner(a: at.Tensor, b: at.Tensor) -> float:
    """Of tensors as vectors over the real numbers."""
    return float(np.vdot(a.detach().numpy(), b.detach().numpy()).real)


def smooth_samples(spec: OpSpec, dtype: str) -> list[tuple[list[at.Tensor], Callable[..., Any]]]:
    found = []
    for sample in spec.draw(dtype, smooth=True):
        tensors, call = leaves(spec, sample, dtype)
        if tensors and comparable(call(*tensors)):
            found.append(([t.detach() for t in tensors], call))
    return found


def recorded(result: Any) -> list[at.Tensor]:
    return [t for t in listed(result) if t.requires_grad]


@pytest.mark.parametrize(("spec", "dtype"), CASES, ids=str)
def test_jvp_is_the_transpose_of_vjp_and_what_finite_differences_say(spec: OpSpec, dtype: str) -> None:
    for tensors, call in smooth_samples(spec, dtype):
        moves = [rng_like(t, i) for i, t in enumerate(tensors)]
        inputs = [t.detach().requires_grad_() for t in tensors]
        result = listed(call(*inputs))
        kept = [i for i, t in enumerate(result) if t.requires_grad]

        def chosen(*given: at.Tensor, call: Any = call, kept: list[int] = kept) -> tuple[at.Tensor, ...]:
            answer = listed(call(*given))
            return tuple(answer[i] for i in kept)

        out, tangent = jvp(chosen, tuple(tensors), tuple(moves))
        for plain, pushed, move in zip((result[i] for i in kept), out, tangent, strict=True):
            np.testing.assert_array_equal(plain.detach().numpy(), pushed.numpy())
            assert move.shape == plain.shape
            assert move.dtype == plain.dtype
        seeds = [rng_like(t, 100 + i) for i, t in enumerate(out)]
        back = grad([result[i] for i in kept], inputs, seeds, allow_unused=True)
        forward = sum(inner(g, t) for g, t in zip(seeds, tangent, strict=True))
        reverse = sum(inner(g, t) for g, t in zip(back, moves, strict=True) if g is not None)
        assert forward == pytest.approx(reverse, rel=1e-7, abs=1e-8)
        size = max(1.0, *(float(at.abs(t).max()) for t in tensors if t.numel()), 1.0)
        step = STEP * size
        ahead = chosen(*(t + m * step for t, m in zip(tensors, moves, strict=True)))
        behind = chosen(*(t - m * step for t, m in zip(tensors, moves, strict=True)))
        for a, b, move in zip(ahead, behind, tangent, strict=True):
            slope = ((a - b) / (2 * step)).numpy()
            scale = max(1.0, float(np.abs(slope).max()) if slope.size else 1.0)
            np.testing.assert_allclose(move.numpy(), slope, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize(("spec", "dtype"), CASES, ids=str)
def test_vmap_of_values_and_gradients_is_a_loop(spec: OpSpec, dtype: str) -> None:
    for tensors, call in smooth_samples(spec, dtype):
        batch = [at.stack([t, t * (1 + 1e-3), t * (1 - 1e-3)]) for t in tensors]
        check_loop(call, batch)

        def pulled(*given: at.Tensor, call: Any = call) -> tuple[at.Tensor, ...]:
            output, back = vjp(lambda *inputs: tuple(recorded(call(*inputs))), *given)
            gradients = back(tuple(at.ones_like(t) for t in output))
            return tuple(gradients)

        check_loop(pulled, batch)
        if len(batch) > 1:
            check_loop(lambda first, call=call, rest=tensors[1:]: call(first, *rest), batch[:1])
            check_loop(lambda *rest, call=call, first=tensors[0]: call(first, *rest), batch[1:])


# What vmap says of calls that cannot be batched.
REFUSALS = "shape of its result depends on values|one Python value|a batch dimension to hold|no place in a storage"


def check_loop(call: Callable[..., Any], batch: list[at.Tensor]) -> None:
    """Compares vmap with a loop."""
    single = [listed(call(*(b[i] for b in batch))) for i in range(3)]
    try:
        answer = vmap(lambda *given: tuple(listed(call(*given))))(*batch)
    except (at.AutogradError, at.NotImplementedOpError) as error:
        assert re.search(REFUSALS, str(error))
        return
    for k, got in enumerate(answer):
        expected = np.stack([one[k].detach().numpy() for one in single])
        assert got.dtype == single[0][k].dtype
        scale = float(np.nanmax(np.abs(expected), initial=0)) if expected.dtype.kind in "fc" else 0
        np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-9, atol=1e-12 + 1e-10 * scale)


def plain_arguments(spec: OpSpec, sample: Sample) -> tuple[list[at.Tensor], Callable[..., Any]]:
    """All tensors among a sample's arguments, and the call as a function of them."""
    tensors: list[at.Tensor] = []
    names = [name for name, *_ in spec.op.args]

    def put(value: Any, name: str) -> Any:
        if isinstance(value, (list, tuple)) and any(isinstance(entry, np.ndarray) for entry in value):
            return [put(entry, name) for entry in value]
        if isinstance(value, np.ndarray):
            tensors.append(from_numpy(value, "cpu"))
            return len(tensors) - 1, "tensor"
        return getattr(at, value) if name == "dtype" and isinstance(value, str) else value

    args = [put(value, names[min(i, len(names) - 1)]) for i, value in enumerate(sample.args)]
    kwargs = {name: put(value, name) for name, value in sample.kwargs.items()}

    def fill(value: Any, given: tuple[at.Tensor, ...]) -> Any:
        if isinstance(value, list):
            return [fill(entry, given) for entry in value]
        if isinstance(value, tuple) and len(value) == 2 and value[1] == "tensor":
            return given[value[0]]
        return value

    def call(*given: at.Tensor) -> Any:
        made = [fill(value, given) for value in args]
        if "mutates" in spec.op.traits:
            made[0] = made[0].clone()
        named = {name: fill(value, given) for name, value in kwargs.items()}
        return spec.through(spec.op, *made, **named) if spec.through else spec.op(*made, **named)

    return tensors, call


BATCHED = [spec for spec in ALL if spec.reference is not None and "random" not in spec.op.traits]


@pytest.mark.parametrize("spec", BATCHED, ids=str)
def test_vmap_of_any_op_is_a_loop(spec: OpSpec) -> None:
    dtype = next(d for d in ("float64", "complex128", "int64", *spec.dtypes) if d in spec.dtypes)
    others = spec.samples(Draw(dtype, spec.domain, seed=f"{spec.name} again"))
    for sample, other in zip(spec.draw(dtype), others, strict=True):
        tensors, call = plain_arguments(spec, sample)
        if not tensors:
            continue
        plain = [listed(call(*tensors))]
        batch = [at.stack([t, t]) for t in tensors]
        # The second element is another one where it fits.
        try:
            second = plain_arguments(spec, other)[0]
            plain.append(listed(call(*second)))
            if [getattr(t, "shape", ()) for t in plain[0]] != [getattr(t, "shape", ()) for t in plain[1]]:
                raise at.ShapeError("results of two shapes")
            batch = [at.stack(pair) for pair in zip(tensors, second, strict=True)]
        except (at.AtledError, ValueError):
            plain = plain[:1] * 2
        try:
            answer = vmap(lambda *given, call=call: tuple(listed(call(*given))))(*batch)
        except (at.AutogradError, at.NotImplementedOpError, at.ArgumentError) as error:
            assert re.search(f"{REFUSALS}|function to answer tensors", str(error))
            continue
        for k, got in enumerate(answer):
            for i, expected in enumerate(one[k] for one in plain):
                assert got.dtype == expected.dtype
                np.testing.assert_allclose(
                    np.asarray(got[i].to(at.float64) if got.dtype == at.bfloat16 else got[i]),
                    np.asarray(expected.to(at.float64) if expected.dtype == at.bfloat16 else expected),
                    rtol=1e-9,
                    atol=1e-11,
                )


def test_every_op_has_rules_for_forward_mode_and_batching() -> None:
    for name in _tape.ops():
        forward, batching, decomposition, *_ = transforms_of(*name.split("::"))
        assert forward in ("diagonal", "linear", "multilinear", "transposed")
        assert batching in (
            "aligned", "dims", "places", "order", "along", "index", "entries", "sizes", "repeats", "loop", "refused"
        )  # fmt: skip
        # What is written into a view has to be in its base.
        assert decomposition or batching != "loop" or not _tape.signature(name)[2] & VIEW, name


def test_vmap_of_solve_ex_with_a_shared_matrix_answers_its_info_for_each_element() -> None:
    # 3 matrices and a batch of 3: the first dimension of info is not the batch.
    A, B = at.randn(3, 4, 4, dtype=at.float64), at.randn(3, 3, 4, 2, dtype=at.float64)
    result, info = vmap(lambda b: at.linalg.solve_ex(A, b))(B)
    assert info.shape == (3, 3)
    np.testing.assert_allclose(at.matmul(A, result).numpy(), B.numpy(), atol=1e-10)


def test_vmap_of_qr_without_q() -> None:
    for size in (0, 1, 3):
        Q, R = vmap(lambda m: at.linalg.qr(m, mode="r"))(at.randn(size, 3, 2))
        assert (Q.shape, R.shape) == ((size, 0), (size, 2, 2))


@pytest.mark.parametrize(
    "function", [at.linalg.inv, at.linalg.cholesky, at.linalg.lu_factor, lambda a: at.linalg.solve(a, at.ones(2))]
)
def test_vmap_finds_a_matrix_that_fails_wherever_it_is(function: Callable[..., Any]) -> None:
    for which in range(3):
        matrices = at.stack([at.zeros(2, 2) if i == which else at.eye(2) for i in range(3)])
        with pytest.raises(at.LinAlgError, match=rf"at batch index \({which},\)"):
            vmap(lambda a: listed(function(a))[0])(matrices)


def test_vmap_of_lstsq_asks_no_rank() -> None:
    a, b = at.randn(3, 4, 2, dtype=at.float64), at.randn(3, 4, 1, dtype=at.float64)
    a[0] = 0
    residuals = vmap(lambda a, b: at.linalg.lstsq(a, b).residuals)(a, b)
    np.testing.assert_allclose(residuals[0].numpy(), (b[0] ** 2).sum(0).numpy())
    np.testing.assert_allclose(residuals[1].numpy(), at.linalg.lstsq(a[1], b[1]).residuals.numpy())


def test_vmap_of_no_dimensions() -> None:
    x = at.arange(6.0).reshape(2, 1, 3)
    for function in (at.flip, at.squeeze, at.sum, at.any):
        expected = np.stack([function(each, ()).numpy() for each in x])
        np.testing.assert_array_equal(vmap(lambda each, function=function: function(each, ()))(x).numpy(), expected)


def test_a_dual_tensor_inside_vmap_has_no_one_value() -> None:
    eye = at.eye(2)
    with pytest.raises(at.LinAlgError, match=r"at batch index \(1,\)"):
        vmap(lambda a: jvp(at.linalg.cholesky, (a,), (eye,)))(at.stack([eye, -eye]))
    with pytest.raises(at.AutogradError, match="one inside vmap"):
        vmap(lambda a: jvp(lambda x: x * float(x[0]), (a,), (at.ones(2),)))(at.ones(2, 2))
