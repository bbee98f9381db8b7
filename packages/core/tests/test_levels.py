"""Every instruction set gives the same results, and code of the higher ones stays in its own names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import hashlib
import atled.core as at
at.manual_seed(0)
x = at.randn(3, 1111)
y = at.randn(3, 1111)
d, e, h, c = x.double(), y.double(), x.half(), at.complex(x, y)
digest = hashlib.sha256()
for t in (
    at.exp(x), at.tanh(x), at.sin(x * 100), at.erf(x), at.log(at.abs(x)), x * y, x / y, x + y.t().contiguous().t(),
    at.view_as_real(c * c.flip(1)), at.view_as_real(c.lerp(c.flip(0), 0.3 + c)),
    at.pow(at.abs(x), y), at.where(x > y, x, y), x.to(at.float16).to(at.float32), x.to(at.bfloat16).to(at.float32),
    at.randperm(70_000), at.bernoulli(at.rand(999)), at.empty(999).cauchy_(), at.empty(999).log_normal_(),
    at.view_as_real(at.fft.fft(x)), at.fft.irfft(at.fft.rfft(x, 999)), at.view_as_real(at.fft.fft(at.randn(9000))),
    x.sum(), x.sum(0), x.sum(1), x.var(1), at.logsumexp(x, 1), at.softmax(x, 1), at.softmax(x, 0), at.argmax(x, 1),
    at.exp(d), at.exp2(d), at.expm1(d), at.log(at.abs(d)), at.log2(at.abs(d)), at.log10(at.abs(d)), at.log1p(at.abs(d)),
    at.sin(d * 100), at.cos(d * 1e7), at.tan(d), at.atan2(d, e), at.tanh(d), at.sinh(d), at.cosh(d),
    at.sigmoid(d), at.logaddexp(d, e), at.asin(e), at.acos(d / 5), at.atan(d),
    at.fmod(d, e), at.floor_divide(d, e), at.view_as_real(c / c.flip(1)), at.view_as_real(1 / at.complex(d, e)),
    at.softmax(d, 1), at.logsumexp(d, 1), at.logsumexp(x.reshape(-1, 11), 1), d.amax(1), d.sum(1),
    x.reshape(-1, 11).sum(0), h.sum(0), h.sum(1), h.mean(), h.amax(1), h.var(1), at.norm(h, 2, 1), h.prod(1),
    h.reshape(-1, 11).sum(0), at.erf(d), at.erfc(d * 9), at.special.ndtr(d * 9), at.erfc(x), at.special.ndtr(x),
    at.special.erfcx(d * 19), at.special.log_ndtr(d * 19), at.lgamma(x * 9), at.argmax((x * 9).int()[:, :99], 1),
    h.lerp(h.flip(0), 0.3), at.addcmul(h, h.flip(0), h, value=3), d.bfloat16().float(), (d * 1e-38).bfloat16().float(),
    at.dot(h[0], h[1]), at.deg2rad(h), h.index_add(1, at.arange(99), h[:, 99:198]),
    *(t[:, :1100].reshape(-1, n).sum(1) for t in (x, d, h, x.bfloat16(), (x * 99).int()) for n in (4, 11, 44, 50, 550)),
):
    digest.update(t.contiguous().numpy().tobytes())
print(digest.hexdigest())
"""


def digest(**environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_levels_and_thread_counts_give_the_same_bits() -> None:
    """Neither the instruction set nor the number of threads shows in a result."""
    expected = digest()
    for level in ("baseline", "avx2", "avx512"):
        assert digest(ATLED_CPU_LEVEL=level) == expected, level
    for threads in ("1", "3"):
        assert digest(ATLED_NUM_THREADS=threads) == expected, threads


def objects() -> list[Path]:
    return sorted((Path(__file__).parents[1] / "build").glob("**/csrc/cpu/*.o"))


@pytest.mark.skipif(not objects(), reason="needs the object files of a development build")
def test_wide_instructions_stay_in_their_levels() -> None:
    """A weak function outside Avx2 and Avx512 that used vector registers could be linked in for a lesser machine."""
    for path in objects():
        listing = subprocess.run(
            ["objdump", "-d", "-C", "--no-show-raw-insn", str(path)], capture_output=True, text=True, check=True
        ).stdout
        for function in listing.split("\n\n"):
            name = function.partition("\n")[0].lower()
            if "%ymm" in function or "%zmm" in function:
                assert "avx2" in name or "avx512" in name, f"{path.name}: {name}"
