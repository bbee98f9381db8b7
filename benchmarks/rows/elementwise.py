"""Element-wise work on 16M float32: fresh outputs, given outputs, and operands that do not lie in order."""

from typing import Any

import numpy as np

from benchmarks.rows.peers import Array, Compute, beside, everywhere
from benchmarks.rows.row import Row

N = 16 * 2**20
SIDE = 4096


def _gelu(xp: Any, a: Any) -> object:
    if xp.__name__ == "torch":
        return xp.nn.functional.gelu(a)
    from atled.nn import functional

    return functional.gelu(a)


# Name, call, what NumPy and JAX do, the indices of the inputs.
_FRESH: list[tuple[str, Compute, Compute | None, Compute | None, str]] = [
    ("add", lambda xp, a, b: xp.add(a, b), lambda xp, a, b: a + b, lambda xp, a, b: a + b, "ab"),
    ("mul", lambda xp, a, b: xp.mul(a, b), lambda xp, a, b: a * b, lambda xp, a, b: a * b, "ab"),
    ("exp", lambda xp, a: xp.exp(a), lambda xp, a: xp.exp(a), lambda xp, a: xp.exp(a), "a"),
    ("log", lambda xp, a: xp.log(a), lambda xp, a: xp.log(a), lambda xp, a: xp.log(a), "p"),
    ("tanh", lambda xp, a: xp.tanh(a), lambda xp, a: xp.tanh(a), lambda xp, a: xp.tanh(a), "a"),
    ("sigmoid", lambda xp, a: xp.sigmoid(a), None, lambda xp, a: 1 / (1 + xp.exp(-a)), "a"),
    ("gelu", _gelu, None, None, "a"),
    ("erf", lambda xp, a: xp.erf(a), None, None, "a"),
    ("sin", lambda xp, a: xp.sin(a), lambda xp, a: xp.sin(a), lambda xp, a: xp.sin(a), "a"),
    ("sqrt", lambda xp, a: xp.sqrt(a), lambda xp, a: xp.sqrt(a), lambda xp, a: xp.sqrt(a), "p"),
    ("where", *[lambda xp, m, a, b: xp.where(m, a, b)] * 3, "mab"),
    ("less", lambda xp, a, b: a < b, lambda xp, a, b: a < b, lambda xp, a, b: a < b, "ab"),
    ("cast to float64", lambda xp, a: a.to(xp.float64), *[lambda xp, a: a.astype(xp.float64)] * 2, "a"),
    ("cast to int32", lambda xp, a: a.to(xp.int32), *[lambda xp, a: a.astype(xp.int32)] * 2, "a"),
    ("cast to float16", lambda xp, a: a.to(xp.float16), *[lambda xp, a: a.astype(xp.float16)] * 2, "a"),
    ("cast to bfloat16", lambda xp, a: a.to(xp.bfloat16), None, lambda xp, a: a.astype(xp.bfloat16), "a"),
    ("cast of int64 to float32", lambda xp, i: i.to(xp.float32), *[lambda xp, i: i.astype(xp.float32)] * 2, "i"),
    ("clamp", lambda xp, a: xp.clamp(a, -1.0, 1.0), *[lambda xp, a: xp.clip(a, -1.0, 1.0)] * 2, "a"),
    ("pow", lambda xp, p, b: xp.pow(p, b), *[lambda xp, p, b: xp.power(p, b)] * 2, "pb"),
    ("pow 2", lambda xp, a: a**2, lambda xp, a: a**2, lambda xp, a: a**2, "a"),
    ("pow 2.5", lambda xp, p: p**2.5, lambda xp, p: p**2.5, lambda xp, p: p**2.5, "p"),
    ("pow 0.5", lambda xp, p: p**0.5, lambda xp, p: p**0.5, lambda xp, p: p**0.5, "p"),
    ("tan", lambda xp, a: xp.tan(a), lambda xp, a: xp.tan(a), lambda xp, a: xp.tan(a), "a"),
    ("asin", lambda xp, a: xp.asin(a), lambda xp, a: xp.arcsin(a), lambda xp, a: xp.arcsin(a), "u"),
    ("sinh", lambda xp, a: xp.sinh(a), lambda xp, a: xp.sinh(a), lambda xp, a: xp.sinh(a), "a"),
    ("atanh", lambda xp, a: xp.atanh(a), lambda xp, a: xp.arctanh(a), lambda xp, a: xp.arctanh(a), "u"),
    ("atan2", lambda xp, a, b: xp.atan2(a, b), *[lambda xp, a, b: xp.arctan2(a, b)] * 2, "ab"),
    ("logaddexp", *[lambda xp, a, b: xp.logaddexp(a, b)] * 3, "ab"),
    ("remainder", *[lambda xp, a, b: xp.remainder(a, b)] * 3, "ab"),
    ("floor_divide", *[lambda xp, a, b: xp.floor_divide(a, b)] * 3, "ab"),
    ("ldexp", lambda xp, a, w: xp.ldexp(a, w), None, None, "aw"),
]

# Name, call, what NumPy does, inputs, the output's kind, bytes an element where memory is the limit.
_OUT: list[tuple[str, Compute, Compute | None, str, str, int | None]] = [
    ("copy", lambda xp, a, o: o.copy_(a), lambda xp, a, o: xp.copyto(o, a), "a", "o", 8),
    ("add", *[lambda xp, a, b, o: xp.add(a, b, out=o)] * 2, "ab", "o", 12),
    ("mul", lambda xp, a, b, o: xp.mul(a, b, out=o), lambda xp, a, b, o: xp.multiply(a, b, out=o), "ab", "o", 12),
    ("mul by a number", lambda xp, a, o: xp.mul(a, 2.0, out=o), lambda xp, a, o: xp.multiply(a, 2, out=o), "a", "o", 8),
    ("where", lambda xp, m, a, b, o: xp.where(m, a, b, out=o), None, "mab", "o", 13),
    ("less", lambda xp, a, b, o: xp.lt(a, b, out=o), lambda xp, a, b, o: xp.less(a, b, out=o), "ab", "t", 9),
    ("clamp", lambda xp, a, o: xp.clamp(a, -1, 1, out=o), lambda xp, a, o: xp.clip(a, -1, 1, out=o), "a", "o", 8),
    ("cast to float64", lambda xp, a, o: o.copy_(a), lambda xp, a, o: xp.copyto(o, a), "a", "d", 12),
    ("cast of float64", lambda xp, a, o: o.copy_(a), lambda xp, a, o: xp.copyto(o, a, casting="unsafe"), "d", "o", 12),
    ("exp", *[lambda xp, a, o: xp.exp(a, out=o)] * 2, "a", "o", None),
    ("log", *[lambda xp, a, o: xp.log(a, out=o)] * 2, "p", "o", None),
    ("tanh", *[lambda xp, a, o: xp.tanh(a, out=o)] * 2, "a", "o", None),
    ("sigmoid", lambda xp, a, o: xp.sigmoid(a, out=o), None, "a", "o", None),
    ("erf", lambda xp, a, o: xp.erf(a, out=o), None, "a", "o", None),
    ("pow", lambda xp, p, b, o: xp.pow(p, b, out=o), lambda xp, p, b, o: xp.power(p, b, out=o), "pb", "o", None),
]

# Of square (4096 × 4096) a and b, a row r, a column c, and a cube s of 256.
_LAYOUTS: list[tuple[str, Compute, Compute, Compute, str]] = [
    (
        "copy of a transpose",
        lambda xp, a: a.T.contiguous(),
        lambda xp, a: a.T.copy(order="C"),
        lambda xp, a: a.T,
        "a",
    ),
    ("copy of every second column", lambda xp, a: a[:, ::2].contiguous(), *[lambda xp, a: a[:, ::2].copy()] * 2, "a"),
    ("copy of every second row", lambda xp, a: a[::2].contiguous(), *[lambda xp, a: a[::2].copy()] * 2, "a"),
    *(
        (
            f"copy of a cube permuted to {p}",
            lambda xp, s, p=p: s.permute(*p).contiguous(),
            lambda xp, s, p=p: s.transpose(p).copy(order="C"),
            lambda xp, s, p=p: s.transpose(p),
            "s",
        )
        for p in ((0, 2, 1), (1, 0, 2), (2, 1, 0), (2, 0, 1))
    ),
    ("add of a transpose", *[lambda xp, a, b: a + b.T] * 3, "ab"),
    ("add of two transposes", *[lambda xp, a, b: a.T + b.T] * 3, "ab"),
    ("exp of a transpose", *[lambda xp, a: xp.exp(a.T)] * 3, "a"),
    ("add of a row", *[lambda xp, a, r: a + r] * 3, "ar"),
    ("add of a column", *[lambda xp, a, c: a + c] * 3, "ac"),
    ("outer sum", *[lambda xp, r, c: r + c] * 3, "rc"),
    ("add of every second column", *[lambda xp, a, b: a[:, ::2] + b[:, ::2]] * 3, "ab"),
    ("exp of every second column", *[lambda xp, a: xp.exp(a[:, ::2])] * 3, "a"),
    ("cast of a transpose", lambda xp, a: a.T.to(xp.float64), *[lambda xp, a: a.T.astype(xp.float64)] * 2, "a"),
]


def _arrays() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(N, dtype=np.float32) for _ in range(2))
    kinds = {
        "a": a,
        "b": b,
        "p": np.abs(a) + np.float32(0.01),
        "u": a / 8,
        "w": np.round(b),
        "m": a > 0,
        "i": (a * 1000).astype(np.int64),
        "d": a.astype(np.float64),
        "o": np.zeros_like(a),
        "t": np.zeros(N, dtype=np.bool_),
    }
    return {kind: everywhere(x) for kind, x in kinds.items()}


def fresh() -> list[Row]:
    """Outputs that each call makes."""
    arrays = _arrays()
    return [
        beside(f"{name}, fresh", call, [arrays[k] for k in kinds], 0.5, numpy=numpy, jax_=jax)
        for name, call, numpy, jax, kinds in _FRESH
    ]


def out() -> list[Row]:
    """Outputs that the caller gives: where memory is the limit, as fast as a copy of as many bytes."""
    arrays = _arrays()
    return [
        beside(
            f"{name}, out=",
            call,
            [arrays[k] for k in kinds + kind],
            1.0,
            numpy=numpy,
            moved=None if each is None else N * each,
        )
        for name, call, numpy, kinds, kind, each in _OUT
    ]


def layouts() -> list[Row]:
    """Transposed, strided and broadcast operands, 16M elements where they are whole."""
    rng = np.random.default_rng(1)
    kinds = {
        "a": rng.standard_normal((SIDE, SIDE), dtype=np.float32),
        "b": rng.standard_normal((SIDE, SIDE), dtype=np.float32),
        "r": rng.standard_normal(SIDE, dtype=np.float32),
        "c": rng.standard_normal((SIDE, 1), dtype=np.float32),
        "s": rng.standard_normal((256, 256, 256), dtype=np.float32),
    }
    arrays = {kind: everywhere(x) for kind, x in kinds.items()}
    return [
        beside(name, call, [arrays[k] for k in used], 0.4, numpy=numpy, jax_=jax)
        for name, call, numpy, jax, used in _LAYOUTS
    ]
