"""Convolutions on CUDA against NumPy in float64, and what is kept between them."""

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.core import _cuda

HERE = Path(__file__).parent
NN = HERE.parent
RNG = np.random.default_rng(1)
# Of the sum of the products' magnitudes. float32 is not exact to the last bit: Winograd's algorithm is allowed.
TOLERANCE = {"float64": 2**-45, "float32": 2**-17, "tf32": 2**-10, "float16": 2**-10, "bfloat16": 2**-7}


class Case(NamedTuple):
    n: int
    c: int
    size: tuple[int, int]
    k: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def input(self) -> tuple[int, ...]:
        return self.n, self.c, *self.size

    @property
    def weight(self) -> tuple[int, ...]:
        return self.k, self.c // self.groups, *self.kernel

    @property
    def output(self) -> tuple[int, ...]:
        spans = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        rooms = [s + 2 * p - span for s, p, span in zip(self.size, self.padding, spans, strict=True)]
        return self.n, self.k, *(room // st + 1 for room, st in zip(rooms, self.stride, strict=True))

    @property
    def settings(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups


# Of each dtype but float64, these have so few products that cuDNN has no part in them, but for some gradients.
FEW = [
    Case(2, 1, (9, 8), 9, (3, 3), padding=(1, 1)),
    Case(3, 3, (8, 11), 12, (3, 3), (2, 2), (1, 0)),
    Case(1, 1, (13, 12), 5, (5, 5), padding=(2, 2)),
    Case(2, 1, (12, 9), 4, (5, 5), (2, 2), (4, 1)),
    Case(2, 6, (5, 7), 10, (3, 3), groups=2),
    Case(2, 7, (9, 16), 3, (3, 3), padding=(0, 2)),  # the input's gradient: 3 planes read
    Case(2, 5, (6, 4), 5, (3, 3), padding=(1, 1), groups=5),
    Case(1, 3, (9, 10), 6, (3, 3), (2, 2), (1, 1), groups=3),
    Case(2, 4, (7, 12), 4, (5, 5), padding=(2, 2), groups=4),
    Case(1, 4, (11, 9), 4, (5, 5), (2, 2), (2, 1), groups=4),
    Case(2, 2, (10, 9), 2, (7, 7), padding=(3, 3), groups=2),
    Case(1, 2, (13, 15), 2, (7, 7), (2, 2), (3, 6), groups=2),
    Case(40, 2, (16, 20), 2, (3, 3), groups=2),  # the weight's gradient: several blocks
    Case(2, 1, (3, 3), 1, (3, 3)),
]
CASES = [
    *FEW,
    Case(2, 8, (6, 6), 8, (1, 1)),
    Case(2, 8, (9, 8), 16, (3, 3), padding=(1, 1)),
    Case(1, 3, (15, 14), 8, (7, 7), (2, 2), (3, 3)),
    Case(2, 5, (7, 6), 3, (3, 2), (2, 1), (1, 2)),
    Case(2, 6, (9, 9), 12, (3, 3), padding=(1, 1), groups=3),
    Case(2, 8, (7, 7), 8, (3, 3), (2, 2), (1, 1), groups=8),
    Case(1, 4, (11, 12), 4, (3, 3), padding=(2, 3), dilation=(2, 3)),
    Case(3, 1, (1, 1), 1, (1, 1)),
    Case(2, 4, (1, 12), 6, (1, 5), padding=(0, 2)),
    Case(2, 2, (3, 3), 2, (2, 2), (3, 3), (4, 4)),
]


def taps(case: Case, x: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each element of the kernel, what it meets of the padded input (n, c, ...), a view (n, c, oh, ow)."""
    (oh, ow), (sh, sw) = case.output[2:], case.stride
    for i in range(case.kernel[0]):
        for j in range(case.kernel[1]):
            top, left = i * case.dilation[0], j * case.dilation[1]
            yield i, j, x[:, :, top : top + (oh - 1) * sh + 1 : sh, left : left + (ow - 1) * sw + 1 : sw]


def reference(case: Case, x: np.ndarray, w: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of input, weight and the output's gradient: output, and the gradients of input and weight."""
    (ph, pw), g = case.padding, case.groups
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    out, dx, dw = np.zeros(case.output), np.zeros_like(padded), np.zeros(case.weight)
    grad = y.reshape(case.n, g, case.k // g, *case.output[2:])
    for i, j, window in taps(case, padded):
        split = window.reshape(case.n, g, case.c // g, *case.output[2:])
        tap = w[:, :, i, j].reshape(g, case.k // g, case.c // g)
        out += np.einsum("ngcyx,gkc->ngkyx", split, tap).reshape(case.output)
        dw[:, :, i, j] = np.einsum("ngkyx,ngcyx->gkc", grad, split).reshape(case.k, -1)
    for i, j, window in taps(case, dx):
        tap = w[:, :, i, j].reshape(g, case.k // g, case.c // g)
        window += np.einsum("ngkyx,gkc->ngcyx", grad, tap).reshape(window.shape)
    h, width = case.size
    return out, dx[:, :, ph : ph + h, pw : pw + width], dw


def numbers(shape: tuple[int, ...], dtype: str) -> tuple[np.ndarray, at.Tensor]:
    """Random numbers of a dtype, in float64 and as a tensor on the CPU."""
    made = at.asarray(RNG.standard_normal(shape)).to(getattr(at, dtype))
    return made.double().numpy(), made


def laid(t: at.Tensor, layout: str) -> at.Tensor:
    """The same elements in another order in memory."""
    if layout == "channels last":
        return t.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    if layout == "gaps":
        wide = at.zeros(*t.shape[:-1], 2 * t.shape[-1], dtype=t.dtype, device=t.device)
        wide[..., ::2] = t
        return wide[..., ::2]
    if layout == "shifted":  # to an address that is a multiple of an element's size only
        flat = at.zeros(t.numel() + 1, dtype=t.dtype, device=t.device)
        flat[1:] = t.flatten()
        return flat[1:].reshape(t.shape)
    return t


def close(got: at.Tensor, wanted: np.ndarray, scale: np.ndarray, tolerance: float) -> None:
    assert got.shape == wanted.shape
    found = got.cpu().double().numpy()
    assert np.all(np.abs(found - wanted) <= tolerance * scale), np.max(np.abs(found - wanted) / (scale + 1e-300))


@pytest.mark.parametrize("layout", ["rows", "channels last", "gaps", "shifted"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_results(gpu: str, dtype: str, layout: str) -> None:
    name = "float32" if dtype == "tf32" else dtype
    for case in CASES:
        (a, x), (b, w), (d, y), (e, bias) = (
            numbers(shape, name) for shape in (case.input, case.weight, case.output, (case.k,))
        )
        values = reference(case, a, b, d)
        scales = reference(case, abs(a), abs(b), abs(d))
        shift = e.reshape(-1, 1, 1)
        with nn.backends.cudnn.flags(allow_tf32=dtype == "tf32"):
            x, w, y = (laid(t.to(gpu), layout) for t in (x, w, y))
            ops = at.ops.nn
            close(ops.conv2d(x, w, None, *case.settings), values[0], scales[0], TOLERANCE[dtype])
            out = ops.conv2d(x, w, bias.to(gpu), *case.settings)
            close(out, values[0] + shift, scales[0] + abs(shift), 2 * TOLERANCE[dtype])
            np.testing.assert_array_equal(
                out.cpu().double().numpy(), ops.conv2d(x, w, bias.to(gpu), *case.settings).cpu().double().numpy()
            )
            dx = ops.conv2d_backward_input(y, w, case.input, *case.settings)
            close(dx, values[1], scales[1], TOLERANCE[dtype])
            dw = ops.conv2d_backward_weight(y, x, case.weight, *case.settings)
            close(dw, values[2], scales[2], TOLERANCE[dtype])
            if layout == "channels last" and min(*case.output[1:], *case.input[1:]) > 1:
                assert out.stride()[1] == dx.stride()[1] == 1


def test_float32_is_exact_where_asked(gpu: str) -> None:
    x = at.full((4, 16, 8, 8), 1 + 2**-12, device=gpu)
    w = at.ones(32, 16, 1, 1, device=gpu)
    with nn.backends.cudnn.flags(allow_tf32=False):
        assert at.ops.nn.conv2d(x, w)[0, 0, 0, 0].item() == 16 + 2**-8
    assert nn.backends.cudnn.allow_tf32
    assert at.ops.nn.conv2d(x, w)[0, 0, 0, 0].item() in (16, 16 + 2**-8)


@pytest.mark.parametrize("case", FEW)
def test_few_products_are_not_rounded_to_tf32(gpu: str, case: Case) -> None:
    def is_exact(op: Any, a: tuple[int, ...], b: tuple[int, ...], *rest: Any) -> bool:
        ones, off = at.ones(a, device=gpu), 1 + 2**-12
        want = op(ones, at.ones(b, device=gpu), *rest, *case.settings) * off
        return bool(op(ones * off, at.ones(b, device=gpu), *rest, *case.settings).eq(want).all())

    assert nn.backends.cudnn.allow_tf32
    ops, wide = at.ops.nn, case.c // case.groups > 3
    if not wide:
        assert is_exact(ops.conv2d, case.input, case.weight, None)
        assert is_exact(ops.conv2d_backward_weight, case.output, case.input, case.weight)
    if wide or case.k == case.groups:
        assert is_exact(ops.conv2d_backward_input, case.output, case.weight, case.input)


def test_sums_over_nothing(gpu: str) -> None:
    ops, bias = at.ops.nn, at.ones(4, device=gpu)
    w = at.ones(4, 3, 3, 3, device=gpu)
    assert ops.conv2d(at.ones(0, 3, 5, 5, device=gpu), w, bias).shape == (0, 4, 3, 3)
    assert ops.conv2d(at.ones(1, 3, 0, 5, device=gpu), w, bias, padding=2).cpu().tolist() == [[[[1.0] * 7] * 2] * 4]
    assert ops.conv2d(at.ones(2, 3, 5, 5, device=gpu), w[:0]).shape == (2, 0, 3, 3)
    assert not ops.conv2d_backward_input(at.ones(2, 0, 3, 3, device=gpu), w[:0], (2, 3, 5, 5)).any()
    grad, none = at.ones(0, 4, 3, 3, device=gpu), at.ones(0, 3, 5, 5, device=gpu)
    assert not ops.conv2d_backward_weight(grad, none, (4, 3, 3, 3)).any()


def test_the_result_may_be_given(gpu: str) -> None:
    x, w = at.ones(2, 3, 5, 5, device=gpu), at.ones(3, 3, 3, 3, device=gpu)
    wide = at.empty(2, 3, 3, 3, dtype=at.float64, device=gpu)
    at.ops.nn.conv2d(x, w, out=wide)
    assert wide.eq(27).all()
    at.ops.nn.conv2d(x, w, padding=1, out=x)
    assert x[0, 0].cpu().tolist()[2] == [18, 27, 27, 27, 18]


def test_more_elements_than_32_bits_count(gpu: str) -> None:
    if at.cuda.mem_get_info()[0] < 48 << 30:
        pytest.skip("expected 48 GB of free memory")
    # All numbers are exact in TensorFloat-32, too.
    ops, x = at.ops.nn, at.ones(2, 64, 4097, 4097, device=gpu)
    x[1] *= 5
    w = at.full((64, 64, 1, 1), 3.0, device=gpu)
    y = ops.conv2d(x, w)
    assert (y[0, 0, 0, 0].item(), y[1, -1, -1, -1].item()) == (192, 960)
    dx = ops.conv2d_backward_input(y, w, x.shape)
    assert (dx[0, 0, 0, 0].item(), dx[1, -1, -1, -1].item()) == (192 * 192, 192 * 960)
    y.zero_()
    y[0, 0, 0, 0], y[1, 0, -1, -1] = 1, 2
    dw = ops.conv2d_backward_weight(y, x, w.shape)
    assert dw[0].eq(11).all() and not dw[1:].any()


def test_gradients_are_the_cpus(gpu: str) -> None:
    pytest.importorskip("atled.autograd")
    case = Case(2, 4, (7, 6), 6, (3, 3), (2, 1), (1, 1), groups=2)
    tensors = [numbers(shape, "float64")[1] for shape in (case.input, case.weight, (case.k,), case.output)]
    grads = []
    for device in ("cpu", gpu):
        x, w, bias, y = (t.clone().to(device) for t in tensors)
        x, w, bias = (t.requires_grad_() for t in (x, w, bias))
        (at.ops.nn.conv2d(x, w, bias, *case.settings) * y).sum().backward()
        grads.append([t.grad.cpu().numpy() for t in (x, w, bias)])
    for ours, theirs in zip(*grads, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_an_algorithm_is_chosen_once(gpu: str) -> None:
    stand_in = _cuda.LIBRARY.with_name("libcudnn.so.9")
    if not stand_in.exists():
        pytest.skip("the stand-in for cuDNN counts")
    count = ctypes.CDLL(str(stand_in)).atled_emulator_cudnn_choices
    x, w = at.ones(2, 8, 9, 11, device=gpu), at.ones(5, 8, 3, 3, device=gpu)
    conv = at.ops.nn.conv2d
    _ = conv(x, w)
    before = count()
    for _ in range(3):
        _ = conv(x * 2, w)
    assert count() == before
    _ = conv(x, w, padding=1)
    assert count() == before + 1
    with nn.backends.cudnn.flags(allow_tf32=False):
        _ = conv(x, w)  # the exact one is the last resort
    assert count() == before + 3


def test_benchmark_takes_the_fastest(gpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's first choice rounds to TensorFloat-32, and here takes its time."""
    stand_in = _cuda.LIBRARY.with_name("libcudnn.so.9")
    if not stand_in.exists():
        pytest.skip("expected the stand-in for cuDNN")
    monkeypatch.setenv("ATLED_EMULATED_CUDNN_SLOW", "1")
    count = ctypes.CDLL(str(stand_in)).atled_emulator_cudnn_choices
    x, w = at.full((1, 8, 9, 13), 1 + 2.0**-12, device=gpu), at.ones(4, 8, 3, 3, device=gpu)

    def rounds() -> bool:
        return bool((at.ops.nn.conv2d(x, w).cpu() == 72).all())

    assert not nn.backends.cudnn.benchmark and rounds()
    with nn.backends.cudnn.flags(benchmark=True):
        graph = at.cuda.CUDAGraph()
        with at.cuda.graph(graph):
            out = at.ops.nn.conv2d(x, w)
        graph.replay()
        assert (out.cpu() == 72).all()
        assert not rounds()
        before = count()
        assert not rounds() and count() == before
    assert rounds()


def test_an_algorithm_for_want_of_memory_is_left_again(gpu: str) -> None:
    """The stand-in's first choice wants workspace and rounds to TensorFloat-32; the last one does neither."""
    if not _cuda.LIBRARY.with_name("libatled_emulator.so").exists():
        pytest.skip("expected the stand-in for cuDNN")
    script = f"""
import atled.core as at
gpu = {gpu!r}
x, w = at.full((1, 8, 40, 40), 1 + 2.0**-12, device=gpu), at.ones(4, 8, 3, 3, device=gpu)
def rounds():
    return bool((at.ops.nn.conv2d(x, w).cpu() == 72).all())
assert rounds()
room, held = at.empty(4 * 38 * 38, device=gpu), []
for size in (1 << 28, 1 << 22, 1 << 19, 1 << 9):
    try:
        while True:
            held.append(at.empty(size, dtype=at.uint8, device=gpu))
    except at.OutOfMemoryError:
        pass
del room  # for a result
assert not rounds() and not rounds()
held.clear()
print(*(int(rounds()) for _ in range(8)))
"""
    memory = {"ATLED_EMULATOR_MEMORY": "64"}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **memory}, capture_output=True, text=True, check=True
    )
    found = done.stdout.split()
    assert found == sorted(found) and found[-1] == "1"


def test_many_sizes_leave_graphs_and_what_is_used_alone(gpu: str) -> None:
    stand_in = _cuda.LIBRARY.with_name("libcudnn.so.9")
    if not stand_in.exists():
        pytest.skip("the stand-in for cuDNN counts, and knows when a graph's kernels are gone")
    count = ctypes.CDLL(str(stand_in)).atled_emulator_cudnn_choices
    w, often, x = (at.ones(1, 1, *size, device=gpu) for size in ((1, 1), (3, 5), (2, 5)))
    conv = at.ops.nn.conv2d
    _ = conv(often, w), conv(x, w)
    graph = at.cuda.CUDAGraph()
    with at.cuda.graph(graph):
        out = conv(x, w)
    for width in range(1, 1100):
        _ = conv(at.ones(1, 1, 1, width, device=gpu), w)
        before = count()
        _ = conv(often, w)
        assert count() == before
    x.fill_(3)
    graph.replay()
    assert out.eq(3).all()


@pytest.mark.parametrize("warm", [True, False])
def test_in_a_captured_graph(gpu: str, warm: bool) -> None:
    x, bias = at.ones(2, 8, 9, 9 + warm, device=gpu), at.zeros(4, device=gpu)
    w = at.ones(4, 8, 3, 3, device=gpu)
    if warm:
        _ = at.ops.nn.conv2d(x, w, bias)
    graph = at.cuda.CUDAGraph()
    with at.cuda.graph(graph):
        out = at.ops.nn.conv2d(x, w, bias)
        dw = at.ops.nn.conv2d_backward_weight(out, x, w.shape)
    x.fill_(2)
    bias.fill_(3)
    graph.replay()
    assert out.eq(2 * 72 + 3).all() and dw.eq(2 * 147 * 2 * 7 * (7 + warm)).all()


def test_on_another_stream_and_in_other_threads(gpu: str) -> None:
    x, w = at.ones(2, 8, 9, 9, device=gpu), at.ones(4, 8, 3, 3, device=gpu)
    side = at.cuda.Stream()
    side.wait_stream(at.cuda.current_stream())
    with at.cuda.stream(side):
        out = at.ops.nn.conv2d(x, w)
    side.synchronize()
    assert out.eq(72).all()
    failures = []

    def work(number: int) -> None:
        for _ in range(10):
            if not at.ops.nn.conv2d(x, w, at.full((4,), float(number), device=gpu)).eq(72 + number).all():
                failures.append(number)

    for _ in range(2):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures


def test_another_device(gpu: str) -> None:
    try:
        second = at.device("cuda:1")
    except at.DeviceError as error:
        pytest.skip(str(error))
    x, w = at.ones(2, 8, 9, 9, device=second), at.ones(4, 8, 3, 3, device=second)
    assert at.ops.nn.conv2d(x, w).eq(72).all()


def test_without_cudnn(gpu: str, tmp_path: Path) -> None:
    if not _cuda.LIBRARY.with_name("libcudnn.so.9").exists():
        pytest.skip("expected the emulated device, whose library can be moved away from its cuDNN")
    for name in (_cuda.LIBRARY.name, "libatled_emulator.so"):
        shutil.copy(_cuda.LIBRARY.with_name(name), tmp_path)
    script = f"""
import pathlib
from atled.core import _cuda
import atled.core as at
_cuda.LIBRARY = pathlib.Path({str(tmp_path)!r}) / _cuda.LIBRARY.name
_cuda.library_folders = lambda: ["/none"]
for _ in range(2):
    try:
        at.ops.nn.conv2d(at.ones(1, 8, 3, 3, device={gpu!r}), at.ones(1, 8, 3, 3, device={gpu!r}))
        print("found")
    except at.DeviceError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    said = done.stdout.splitlines()
    if said == ["found"] * 2:
        pytest.skip("the system has cuDNN")
    assert len(said) == 2, done.stderr
    for line in said:
        assert line.startswith(f"conv2d: cuda: expected libcudnn.so.9, looked for it in {tmp_path}, the system's")
        assert ", /none, " in line and line.endswith('; pip install "atled-nn[cuda]" brings it')


def test_the_values_of_nvidias_header() -> None:
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    headers = [*(Path(f).parent / "include" for f in _cuda.library_folders()), Path("/usr/local/cuda/include")]
    dnn = next((folder for folder in headers if (folder / "cudnn_graph.h").exists()), None)
    runtime = next((folder for folder in reversed(headers) if (folder / "crt/host_defines.h").exists()), None)
    if not compiler or not dnn or not runtime:
        pytest.skip("expected a C++ compiler, cudnn_graph.h and CUDA's headers, in NVIDIA's wheels or /usr/local/cuda")
    folders = [f"-I{at.get_include()}", f"-I{NN / 'csrc'}", "-isystem", str(runtime), "-isystem", str(dnn)]
    subprocess.run([compiler, "-std=c++17", "-fsyntax-only", *folders, str(HERE / "cudnn_values.cpp")], check=True)
