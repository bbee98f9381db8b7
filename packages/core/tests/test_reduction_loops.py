"""Reductions whose loops depend on the layout: narrow columns, float16, short rows, rows turned round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import atled.core as at

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rows", [3, 31, 130, 5003])
@pytest.mark.parametrize("columns", [1, 2, 3, 7, 8, 33, 130])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int64", "int8", "complex64"])
def test_columns_of_every_width(rows: int, columns: int, dtype: str) -> None:
    """Small whole numbers, whose sums are exact in every dtype but the halves."""
    x = RNG.integers(-9, 9, (2, rows, columns))
    t = at.asarray(x).to(getattr(at, dtype))
    exact = dtype not in ("float16", "bfloat16")
    for view, n in ((t, x), (t[:, ::2], x[:, ::2]), (t.mT.contiguous().mT, x)):
        sums = view.sum(1).to(at.complex128 if dtype == "complex64" else at.float64).numpy()
        np.testing.assert_allclose(sums, n.sum(1), rtol=0 if exact else 2.0**-7, atol=0 if exact else 0.5)
        if dtype != "complex64":
            np.testing.assert_array_equal(view.amax(1).to(at.float64).numpy(), n.max(1))
            np.testing.assert_array_equal(view[0].amin(0).to(at.float64).numpy(), n[0].min(0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32", "int8", "complex64"])
def test_rows_of_every_length(dtype: str) -> None:
    """As above; rows side by side, with gaps between them, in planes, and of every second element."""
    for n in (*range(1, 70), 100, 127, 128, 1001, 1024, 1025):
        x = RNG.integers(-9, 9, (2, 67, n))
        t = at.asarray(x).to(getattr(at, dtype))
        for view, exact in ((t, x), (t[..., : n // 2 + 1], x[..., : n // 2 + 1]), (t[:, ::2], x[:, ::2])):
            sums = view.sum(-1).to(at.complex128 if dtype == "complex64" else at.float64).numpy()
            digits = {"float16": 11, "bfloat16": 8}.get(dtype, 60)
            np.testing.assert_allclose(sums, exact.sum(-1), rtol=2.0**-digits, atol=0, err_msg=str(n))
            if dtype != "complex64":
                np.testing.assert_array_equal(view.amax(-1).to(at.float64).numpy(), exact.max(-1), str(n))


@pytest.mark.parametrize("dtype, digits", [("float16", 11), ("bfloat16", 8)])
@pytest.mark.parametrize("shape", [(5,), (1, 3000), (3000, 1), (70, 10), (10, 700), (300, 300), (7, 70_000)])
def test_halves_are_reduced_in_wider_numbers(shape: tuple[int, ...], dtype: str, digits: int) -> None:
    """Every reduction of floats, along each dimension and all of them, also of a transpose: rounded once at the end."""
    t = at.asarray(RNG.standard_normal(shape) * 0.1 + 0.05).to(getattr(at, dtype))
    for tensor in (t, t.mT) if t.ndim == 2 else (t,):
        x = tensor.to(at.float64).numpy()
        for dim in (*range(-tensor.ndim, 0), tuple(range(tensor.ndim))):
            n = np.prod([tensor.shape[d] for d in np.atleast_1d(dim)])
            expected: dict[str, tuple[Any, Any]] = {
                "sum": (tensor.sum(dim), x.sum(dim)),
                "nansum": (tensor.nansum(dim), x.sum(dim)),
                "mean": (tensor.mean(dim), x.mean(dim)),
                "amax": (tensor.amax(dim), x.max(dim)),
                "amin": (tensor.amin(dim), x.min(dim)),
                "norm": (at.norm(tensor, 2, dim), np.sqrt((x * x).sum(dim))),
                "norm1": (at.norm(tensor, 1, dim), np.abs(x).sum(dim)),
                "logsumexp": (tensor.logsumexp(dim), np.log(np.exp(x).sum(dim))),
            }
            if n > 1:
                expected["var"] = (tensor.var(dim), x.var(dim, ddof=1))
            for name, (got, wanted) in expected.items():
                slack = 2e-6 * np.sqrt(n) if name in ("sum", "nansum") else 2e-6
                np.testing.assert_allclose(
                    got.to(at.float64).numpy(), wanted, rtol=0.51 * 2.0 ** (1 - digits), atol=slack, err_msg=name
                )


def test_float16_of_every_kind() -> None:
    """All its numbers: subnormal ones, infinities and NaN."""
    bits = np.arange(2**16, dtype=np.uint16)
    x = bits.view(np.float16)
    t = at.from_numpy(x)
    np.testing.assert_array_equal(t.amax(0).numpy(), np.float16(np.nan))
    for finite in (x[np.isfinite(x)], x[np.isfinite(x)][:1024], np.repeat(x[:1000], 3)):
        y = at.from_numpy(finite)
        assert y.amax(0).item() == finite.max() and y.amin(0).item() == finite.min()
        assert (
            abs(y.sum().item() - finite.astype(np.float64).sum()) <= 1e-3 * abs(finite.astype(np.float64).sum()) + 1e-6
        )
    assert at.from_numpy(np.float16([1, np.inf] * 40)).sum().item() == np.inf
    assert at.from_numpy(np.float16([-np.inf, np.inf] * 40)).sum().isnan().item()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_reduced_into_rows(dtype: str) -> None:
    """Each step is rounded; rows longer than a block."""
    source = at.asarray(RNG.standard_normal((9, 700))).to(getattr(at, dtype))
    index = RNG.integers(0, 4, 9)
    steps = {"amax": np.maximum, "amin": np.minimum, "prod": np.multiply, "sum": np.add}
    for name, step in steps.items():
        expected = np.ones((4, 700), np.float32)
        for i, row in zip(index, source.float().numpy(), strict=True):
            expected[i] = at.from_numpy(step(expected[i], row)).to(source.dtype).float().numpy()
        got = at.ones(4, 700, dtype=source.dtype).index_reduce(0, at.from_numpy(index), source, name)
        np.testing.assert_array_equal(got.float().numpy(), expected, name)


@pytest.mark.parametrize("columns", [1, 3, 10, 31, 32, 33, 40, 63, 64, 65, 97])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logsumexp_of_short_rows(columns: int, dtype: type) -> None:
    x = (RNG.standard_normal((301, columns)) * 20).astype(dtype)
    x[0] = -np.inf
    x[1, 0] = np.inf
    x[2, -1] = np.nan
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        top = np.where(np.isfinite(wide.max(1)), wide.max(1), 0)
        expected = np.log(np.exp(wide - top[:, None]).sum(1)) + top
    for t in (at.from_numpy(x), at.from_numpy(np.asfortranarray(x)), at.from_numpy(np.repeat(x, 2, 1))[:, ::2]):
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(t.logsumexp(1).numpy(), expected, rtol=4 * eps, atol=eps)


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 1003])
def test_flip(n: int, dtype: type) -> None:
    x = RNG.integers(0, 2 if dtype is np.bool_ else 100, (3, n)).astype(dtype)
    np.testing.assert_array_equal(at.from_numpy(x).flip(1).numpy(), x[:, ::-1])
    np.testing.assert_array_equal(at.from_numpy(x)[:, 1:].flip(0, 1).numpy(), x[:, 1:][::-1, ::-1])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("rows", [1, 7, 8, 63, 64, 65, 130])
def test_places_of_extremes_in_short_rows(rows: int, dtype: str) -> None:
    """The first of equal ones; NaN, infinities, both zeros and the ends of the integers are among them."""
    for n in (1, 2, 3, 7, 8, 9, 16, 31, 33, 63, 64, 65):
        x = RNG.integers(0, 2 if dtype == "bool" else 4, (rows, n)).astype(dtype)
        if np.dtype(dtype).kind == "f":
            x = np.where(RNG.random(x.shape) < 0.3, RNG.choice([np.inf, -np.inf, -0.0, 0.0], x.shape), x).astype(dtype)
            x[RNG.random(x.shape) < 0.2 / n] = np.nan
        elif dtype != "bool":
            ends = RNG.choice([np.iinfo(dtype).min, np.iinfo(dtype).max], x.shape)
            x = np.where(RNG.random(x.shape) < 0.3, ends.astype(dtype), x)
        t = at.asarray(x)
        for name, values, places in (("max", x.max(1), x.argmax(1)), ("min", x.min(1), x.argmin(1))):
            np.testing.assert_array_equal(getattr(at, f"arg{name}")(t, 1).numpy(), places, f"{name} {n}")
            found = getattr(t, name)(1)
            np.testing.assert_array_equal(found.indices.numpy(), places, f"{name} {n}")
            np.testing.assert_array_equal(found.values.numpy(), values, f"{name} {n}")
