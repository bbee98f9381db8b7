"""Linear algebra and Fourier transforms on device "cuda", beside what every op's specification says (test_ops.py)."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.core import _core
from atled.core._cupy import KERNELS, call, fft, host


@pytest.fixture
def no_cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "cupy", None)
    call._cupy.cache_clear()
    yield
    call._cupy.cache_clear()


def test_without_cupy_an_op_says_what_to_install(no_cupy: None) -> None:
    with pytest.raises(at.NotImplementedOpError, match=r'^inv_ex: .* pip install "atled-core\[cuda\]"') as raised:
        call.Call("inv_ex", at.device("cpu")).__enter__()
    assert isinstance(raised.value.__cause__, ImportError)


def test_importing_atled_imports_no_cupy() -> None:
    script = "import atled.core as at, sys; at.linalg.inv(at.eye(2)); print(sorted({*sys.modules} & {'cupy', 'numpy'}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_op_of_these_namespaces_has_a_kernel(gpu: str) -> None:
    ops = [op for op in _core.ops() if op.ns in ("linalg", "fft") and _core.has_kernel(op, "cpu")]
    assert [op.qualified_name for op in ops if not _core.has_kernel(op, gpu)] == []
    assert {op.qualified_name for op in _core.ops()} >= {*KERNELS, *host.OPS}


def batch(*values: float) -> at.Tensor:
    """3 x 3 matrices, all of the identity but for the middle of each."""
    matrices = np.tile(np.eye(3, dtype=np.float32), (len(values), 1, 1))
    matrices[:, 1, 1] = values
    return at.from_numpy(matrices)


NAN = float("nan")
FAILURES: list[tuple[Callable[[Any], Any], at.Tensor]] = [
    (at.linalg.inv, batch(1, 2, 0)),
    (at.linalg.cholesky, batch(1, -1, -1)),
    (at.linalg.cholesky, batch(1, 1, NAN)),
    (at.linalg.lu_factor, batch(1, 0)),
    (lambda a: at.linalg.solve(a, at.ones(3, device=a.device)), batch(0, 1)),
    (at.linalg.svd, batch(1, NAN)),
    (at.linalg.svdvals, batch(1, 1, float("inf"))),
    (at.linalg.eigh, batch(NAN, 1)),
    (at.linalg.eig, batch(NAN, 1)),
    (lambda a: at.linalg.lstsq(a, at.ones(2, 3, 1, device=a.device)), batch(1, NAN)),
    (lambda a: at.linalg.lstsq(a, at.ones(2, 3, 1, device=a.device), driver="gels"), batch(1, 0)),
]


@pytest.mark.parametrize("i", range(len(FAILURES)))
def test_failures_read_as_on_the_cpu(cupy: ModuleType, i: int) -> None:
    function, matrices = FAILURES[i]
    texts = []
    for device in ("cpu", "cuda"):
        with pytest.raises(at.LinAlgError) as raised:
            function(matrices.to(device))
        texts.append(str(raised.value))
    assert texts[0] == texts[1]


def test_no_index_of_a_matrix_outside_of_a_batch(cupy: ModuleType) -> None:
    with pytest.raises(at.LinAlgError, match="got a singular one$"):
        at.linalg.inv(at.zeros(2, 2, device="cuda"))


def test_without_pivots(cupy: ModuleType) -> None:
    for shape in ((4, 4), (5, 3), (3, 4, 4), (2, 3, 5)):
        a = at.randn(*shape) + 4 * at.eye(*shape[-2:])
        for wanted, got in zip(
            at.linalg.lu_factor(a, pivot=False), at.linalg.lu_factor(a.cuda(), pivot=False), strict=True
        ):
            np.testing.assert_allclose(got.cpu().numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_pivots_of_others_are_checked(cupy: ModuleType) -> None:
    pivots = at.tensor([1, 5], dtype=at.int32, device="cuda")
    with pytest.raises(at.BoundsError, match=r"expected pivots in \[1, 2\], got 5"):
        at.linalg.lu_solve(at.eye(2, device="cuda"), pivots, at.ones(2, 1, device="cuda"))


def test_matrices_too_large_for_batched_routines(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from atled.core._cupy import factorization, solving, spectral

    a = at.randn(2, 5, 5)
    a = a @ a.mT + at.eye(5)
    b = at.randn(2, 5, 3)
    functions: list[Callable[[Any, Any], Any]] = [
        lambda a, b: at.linalg.cholesky(a),
        lambda a, b: at.linalg.solve(a, b),
        lambda a, b: at.linalg.solve_triangular(a, b, upper=True),
        lambda a, b: at.linalg.eigvalsh(a),
        lambda a, b: at.linalg.eigh(a)[0],
    ]
    for module in (factorization, solving):
        monkeypatch.setattr(module, "pays_batched", lambda count, n: False)
    monkeypatch.setattr(spectral, "SMALL", 2)
    for function in functions:
        got, wanted = function(a.cuda(), b.cuda()), function(a, b)
        np.testing.assert_allclose(got.cpu().numpy(), wanted.numpy(), rtol=1e-3, atol=1e-4)


def test_plans_of_one_stream_are_not_used_on_another(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    x = at.ones(8, device="cuda")
    at.fft.fft(x)
    cleared = []
    cache = cupy.fft.config.get_plan_cache()
    monkeypatch.setattr(cupy.fft.config, "get_plan_cache", lambda: cleared.append(cache) or cache)
    at.fft.fft(x)
    assert not cleared
    monkeypatch.setattr(fft._last, "stream", (0, -1), raising=False)
    at.fft.fft(x)
    assert cleared


def test_work_goes_to_the_current_stream(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    handles: list[int] = []
    adopt = cupy.cuda.Stream.from_external

    def from_external(stream: Any) -> Any:
        handles.append(stream.__cuda_stream__()[1])
        return adopt(stream)

    monkeypatch.setattr(cupy.cuda.Stream, "from_external", from_external)
    x = at.ones(8, device="cuda")
    at.cuda.synchronize()
    side = at.cuda.Stream()
    with at.cuda.stream(side):
        y = at.fft.fft(x)
    side.synchronize()
    assert handles == [side.cuda_stream]
    np.testing.assert_allclose(y.cpu().numpy(), np.fft.fft(np.ones(8)), atol=1e-6)


def test_what_cupy_raises_names_the_op(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("CUFFT_ALLOC_FAILED")

    monkeypatch.setattr(cupy.fft, "fft", fail)
    with pytest.raises(at.OperationError, match="^fft: RuntimeError: CUFFT_ALLOC_FAILED"):
        at.fft.fft(at.ones(8, device="cuda"))


def test_a_missing_library_of_cudas_is_named(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    if "fake_cupy" not in str(cupy.__file__):
        pytest.skip("the real CuPy keeps what it has loaded")
    monkeypatch.setitem(sys.modules, "cupy.cuda.cusolver", None)
    monkeypatch.delattr(cupy.cuda, "cusolver")
    with pytest.raises(at.NotImplementedOpError, match=r'^inv: .*cusolver.* pip install "cupy-cuda13x\[ctk\]"'):
        at.linalg.inv(at.eye(2, device="cuda"))


def test_gradients_go_through(cupy: ModuleType) -> None:
    pytest.importorskip("atled.autograd")
    grads = []
    for device in ("cpu", "cuda"):
        a = (at.arange(9.0).reshape(3, 3) + 5 * at.eye(3)).to(device).requires_grad_()
        (at.linalg.inv(a).sum() + at.linalg.slogdet(a)[1]).backward()
        grads.append(a.grad.cpu().numpy())
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-4, atol=1e-5)
