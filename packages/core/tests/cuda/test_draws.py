"""Random numbers on device "cuda" are the CPU's, element for element, whatever their number and place in memory."""

from collections.abc import Callable

import numpy as np
import pytest

import atled.core as at

Draw = Callable[[at.Tensor], object]
DRAWS: dict[str, Draw] = {
    "randint": lambda t: t.random_(-5, 1000) if t.dtype != at.uint8 else t.random_(5, 100),
    "randint of 64 bits": lambda t: t.random_(0, 2**40) if t.dtype == at.int64 else t.random_(0, 100),
    "uniform": lambda t: t.uniform_(),
    "bernoulli": lambda t: t.bernoulli_(at.linspace(0, 1, t.numel(), device=t.device)),
    "geometric": lambda t: t.geometric_(0.25),
}
INTEGERS = ("uint8", "int16", "int32", "int64", "float32", "float64", "complex64", "complex128")


@pytest.mark.parametrize("n", [1, 127, 128, 5003])
@pytest.mark.parametrize("offset", [0, 1, 2])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *(("randint", t) for t in INTEGERS),
        *(("randint of 64 bits", t) for t in ("int32", "int64")),
        *(("uniform", t) for t in ("float16", "bfloat16", "float32", "float64")),
        *(("bernoulli", t) for t in INTEGERS),
        *(("geometric", t) for t in ("float32", "int64")),
    ],
)
def test_numbers_are_the_cpus(gpu: str, name: str, dtype: str, offset: int, n: int) -> None:
    drawn = []
    for device in ("cpu", gpu):
        at.manual_seed(3)
        whole = at.zeros(n + 4, dtype=getattr(at, dtype), device=device)
        DRAWS[name](whole[offset : offset + n])
        drawn.append(whole.cpu().to(at.complex128).numpy())
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 100, 4097, 65_536, 65_537, 200_003])
def test_permutations_are_the_cpus(gpu: str, n: int) -> None:
    drawn = []
    for device in ("cpu", gpu):
        at.manual_seed(n)
        drawn.append([at.randperm(n, dtype=dtype, device=device).cpu().numpy() for dtype in (at.int64, at.int32)])
    np.testing.assert_array_equal(drawn[0], drawn[1])
