"""Device "cuda" beside PyTorch on the same GPU, and beside a copy of the same bytes; no rows where either has no GPU.

A call is many launches and one wait at the end, so that what is timed is the device, but for the rows named "launch".
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import atled.core as at
from atled import nn, optim
from benchmarks.rows.row import Row

LAUNCHES = 20
ELEMENTS = 1 << 26
SIZE = 4096
# Of the bandwidth that a copy reaches.
BANDWIDTH = 0.9
# Times of the same kernel differ by as much from round to round.
LEVEL = 1.03


def rows() -> list[Row]:
    """Bandwidth of element-wise ops and reductions, rates of products, cost of a launch, training steps."""
    if not (torch.cuda.is_available() and at.cuda.is_available()):
        return []
    groups = _bandwidth, _indexing, _layers, _products, _attention, _convolutions, _launches, _steps
    return [row for group in groups for row in group()]


def _waits(wait: Callable[[], object], call: Callable[[], object], launches: int = LAUNCHES) -> Callable[[], object]:
    def run() -> None:
        for _ in range(launches):
            call()
        wait()

    return run


def _both(
    ours: Callable[[], object], theirs: Callable[[], object], launches: int = LAUNCHES
) -> dict[str, Callable[[], object]]:
    return {
        "atled": _waits(at.cuda.synchronize, ours, launches),
        "torch": _waits(torch.cuda.synchronize, theirs, launches),
    }


def _pair(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> tuple[Any, Any]:
    """The same numbers in both libraries; the copy of one is the other's."""
    t = torch.randn(shape, generator=torch.Generator("cuda").manual_seed(seed), device="cuda")
    t = t.to(getattr(torch, dtype))
    if dtype.startswith("float8"):  # as bytes: not every PyTorch exchanges them by name
        return at.from_dlpack(t.view(torch.uint8).clone()).view(getattr(at, dtype)), t
    return at.from_dlpack(t.clone()), t


def _bandwidth() -> list[Row]:
    """An element-wise op or a reduction may take what a copy of the bytes it reads and writes does, over BANDWIDTH."""
    (a, t), (b, u) = _pair((ELEMENTS,)), _pair((ELEMENTS,), seed=1)
    (square, square_t), (half, half_t) = _pair((8192, 8192)), _pair((ELEMENTS,), "bfloat16")
    (byte, byte_t), (narrow, narrow_t) = _pair((ELEMENTS,), "float8_e4m3fn"), (at.float8_e4m3fn, torch.float8_e4m3fn)
    to = torch.empty_like(t)
    out, out_t = at.empty_like(a), torch.empty_like(t)
    copied = _waits(torch.cuda.synchronize, lambda: to.copy_(t))
    bytes_of_copy = 8 * ELEMENTS

    def row(name: str, ours: Callable[[], object], theirs: Callable[[], object], moved: int, once: bool = True) -> Row:
        peers = {**_both(ours, theirs), "copy": copied}
        budgets = {"torch": LEVEL}
        if once:
            budgets["copy"] = moved / bytes_of_copy / BANDWIDTH
        return Row(f"cuda {name}", peers, budgets)

    n = ELEMENTS
    return [
        row("add into out", lambda: at.add(a, b, out=out), lambda: torch.add(t, u, out=out_t), 12 * n),
        row("add", lambda: a + b, lambda: t + u, 12 * n),
        row("exp", lambda: at.exp(a), lambda: torch.exp(t), 8 * n),
        row("exp, bfloat16", lambda: at.exp(half), lambda: torch.exp(half_t), 4 * n),
        row("cast to float8", lambda: half.to(narrow), lambda: half_t.to(narrow_t), 3 * n),
        row("cast from float8", lambda: byte.to(at.bfloat16), lambda: byte_t.to(torch.bfloat16), 3 * n),
        row("sigmoid", lambda: at.sigmoid(a), lambda: torch.sigmoid(t), 8 * n),
        row("tanh", lambda: at.tanh(a), lambda: torch.tanh(t), 8 * n),
        row("add a row", lambda: square + b[:8192], lambda: square_t + u[:8192], 8 * n),
        row("sum", lambda: at.sum(a), lambda: torch.sum(t), 4 * n),
        row("sum of rows", lambda: at.sum(square, 1), lambda: torch.sum(square_t, 1), 4 * n),
        row("sum of columns", lambda: at.sum(square, 0), lambda: torch.sum(square_t, 0), 4 * n),
        row("sum, bfloat16", lambda: at.sum(half), lambda: torch.sum(half_t), 2 * n),
        row("max of rows", lambda: at.amax(square, 1), lambda: torch.amax(square_t, 1), 4 * n),
        row("argmax of rows", lambda: at.argmax(square, 1), lambda: torch.argmax(square_t, 1), 4 * n),
        row("variance of rows", lambda: at.var(square, 1), lambda: torch.var(square_t, 1), 4 * n),
        row("softmax of rows", lambda: at.softmax(square, 1), lambda: torch.softmax(square_t, 1), 8 * n, once=False),
        row("copy of a transpose", lambda: square.T.contiguous(), lambda: square_t.T.contiguous(), 8 * n, once=False),
        row("cumsum of rows", lambda: at.cumsum(square, 1), lambda: torch.cumsum(square_t, 1), 8 * n, once=False),
    ]


def _indexing() -> list[Row]:
    """Elements in order, so that nothing hides what checking an index costs (at most 2 %), and rows of 128."""
    (x, t), (table, table_t) = _pair((ELEMENTS,)), _pair((ELEMENTS // 128, 128))
    order_t = torch.arange(ELEMENTS, device="cuda")
    rows_t = torch.randperm(ELEMENTS // 128, device="cuda")
    order, rows = at.from_dlpack(order_t.clone()), at.from_dlpack(rows_t.clone())
    elements = _both(lambda: x.index_select(0, order), lambda: t.index_select(0, order_t))
    places, points = 1 << 22, 1 << 24
    some_t = torch.randint(places, (points,), generator=torch.Generator("cuda").manual_seed(2), device="cuda")
    some = at.from_dlpack(some_t.clone())
    return [
        Row(
            "cuda index_select of elements",
            {**elements, "unchecked": _waits(torch.cuda.synchronize, _unchecked(t, order_t))},
            {"torch": LEVEL, "unchecked": 1.02},
        ),
        Row(
            "cuda index_select of rows",
            _both(lambda: table.index_select(0, rows), lambda: table_t.index_select(0, rows_t)),
            {"torch": LEVEL},
        ),
        # Ours have the same bits on every run, for which the points are read twice.
        Row(
            "cuda scatter_add, random",
            _both(
                lambda: x[:places].scatter_add(0, some, x[:points]),
                lambda: t[:places].scatter_add(0, some_t, t[:points]),
                5,
            ),
            {"torch": 3.0},
        ),
    ]


def _unchecked(values: Any, indices: Any) -> Callable[[], object]:
    """The same by a kernel that looks at no bound, four elements a thread."""
    source = """extern "C" __global__ void take(const float* x, const long long* at, float* y, long long n) {
      const long long first = blockIdx.x * 1024LL + threadIdx.x;
      long long place[4];
      float kept[4];
      for (int k = 0; k < 4; ++k) place[k] = at[min(first + 256 * k, n - 1)];
      for (int k = 0; k < 4; ++k) kept[k] = x[place[k]];
      for (int k = 0; k < 4; ++k) if (first + 256 * k < n) y[first + 256 * k] = kept[k];
    }"""
    import cupy  # where there is a GPU, only

    kernel, n = cupy.RawKernel(source, "take"), indices.numel()
    stream = cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream)

    def run() -> None:
        out = torch.empty_like(values)
        with stream:
            kernel(((n + 1023) // 1024,), (256,), (values.data_ptr(), indices.data_ptr(), out.data_ptr(), n))

    return run


def _layers() -> list[Row]:
    """nn's ops and their gradients on 256 images of 64 channels, and on rows of 1024; both libraries' kernels alone."""
    ours, theirs = at.ops.nn, torch.ops.aten
    (x, t), (g, u) = _pair((256, 64, 56, 56)), _pair((256, 64, 56, 56), seed=1)
    (rows, rows_t), (slopes, slopes_t) = _pair((65536, 1024)), _pair((65536, 1024), seed=1)
    (w, w_t), (b, b_t) = _pair((64,)), _pair((64,), seed=1)
    (v, v_t), (c, c_t) = _pair((1024,)), _pair((1024,), seed=1)
    matrix, matrix_t = _pair((1024, 1024))
    window = ([2, 2], [2, 2], [0, 0], [1, 1], False)
    _, mean, var = ours.batch_norm(x, w, b)
    _, mean_t, rstd_t = theirs.native_batch_norm(t, w_t, b_t, None, None, True, 0.1, 1e-5)
    pooled, indices = ours.max_pool2d_with_indices(x, *window)
    pooled_t, indices_t = theirs.max_pool2d_with_indices(t, *window)
    _, row_mean, row_rstd = ours.layer_norm(rows, (1024,), v, c)
    _, row_mean_t, row_rstd_t = theirs.native_layer_norm(rows_t, [1024], v_t, c_t, 1e-5)
    calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "batch_norm": (
            lambda: ours.batch_norm(x, w, b),
            lambda: theirs.native_batch_norm(t, w_t, b_t, None, None, True, 0.1, 1e-5),
        ),
        "batch_norm, gradients": (
            lambda: ours.batch_norm_backward(g, x, mean, var, w),
            lambda: theirs.native_batch_norm_backward(
                u, t, w_t, None, None, mean_t, rstd_t, True, 1e-5, [True, True, True]
            ),
        ),
        "max_pool2d": (
            lambda: ours.max_pool2d_with_indices(x, *window),
            lambda: theirs.max_pool2d_with_indices(t, *window),
        ),
        "max_pool2d, gradient": (
            lambda: ours.max_pool2d_backward(pooled, indices, x.shape, *window[:4]),
            lambda: theirs.max_pool2d_with_indices_backward(pooled_t, t, *window, indices_t),
        ),
        "means of planes": (
            lambda: ours.adaptive_avg_pool2d(x, 1),
            lambda: torch.nn.functional.adaptive_avg_pool2d(t, 1),
        ),
        "layer_norm": (
            lambda: ours.layer_norm(rows, (1024,), v, c),
            lambda: theirs.native_layer_norm(rows_t, [1024], v_t, c_t, 1e-5),
        ),
        "layer_norm, gradients": (
            lambda: ours.layer_norm_backward(slopes, rows, (1024,), row_mean, row_rstd, v),
            lambda: theirs.native_layer_norm_backward(
                slopes_t, rows_t, [1024], row_mean_t, row_rstd_t, v_t, c_t, [True, True, True]
            ),
        ),
        "gelu": (lambda: ours.gelu(x), lambda: theirs.gelu(t)),
        "gelu, gradient": (lambda: ours.gelu_backward(g, x), lambda: theirs.gelu_backward(u, t)),
        "relu, gradient": (lambda: at.ops.core.relu_backward(g, x), lambda: theirs.threshold_backward(u, t, 0)),
        "softmax, gradient": (
            lambda: at.ops.core.softmax_backward(slopes, rows, 1),
            lambda: theirs._softmax_backward_data(slopes_t, rows_t, 1, torch.float32),
        ),
        "log_softmax, gradient": (
            lambda: at.ops.core.log_softmax_backward(slopes, rows, 1),
            lambda: theirs._log_softmax_backward_data(slopes_t, rows_t, 1, torch.float32),
        ),
        "linear with relu": (
            lambda: ours.linear_relu(rows, matrix, v),
            lambda: theirs._addmm_activation(v_t, rows_t, matrix_t.t()),
        ),
        # Here the values before it are kept, too.
        "linear with gelu": (
            lambda: ours.linear_gelu(rows, matrix, v),
            lambda: theirs._addmm_activation(v_t, rows_t, matrix_t.t(), use_gelu=True),
        ),
        "dropout": (lambda: ours.dropout(x, 0.1), lambda: theirs.native_dropout(t, 0.1, True)),
        "mse_loss": (lambda: ours.mse_loss(x, g), lambda: theirs.mse_loss(t, u)),
    }
    return [Row(f"cuda {name}", _both(*pair, 5), {"torch": 1.0}) for name, pair in calls.items()]


def _products() -> list[Row]:
    found = []
    for name, dtype, precision in (
        ("float32", "float32", "highest"),
        ("TensorFloat-32", "float32", "high"),
        ("bfloat16", "bfloat16", "highest"),
        ("float16", "float16", "highest"),
    ):
        (a, t), (b, u) = _pair((SIZE, SIZE), dtype), _pair((SIZE, SIZE), dtype, seed=1)
        peers = _both(lambda a=a, b=b: a @ b, lambda t=t, u=u: t @ u)
        peers = {
            "atled": _with(lambda p=precision: at.set_float32_matmul_precision(p), peers["atled"]),
            "torch": _with(lambda p=precision: torch.set_float32_matmul_precision(p), peers["torch"]),
        }
        found.append(Row(f"cuda matmul {SIZE}, {name}", peers, {"torch": LEVEL}))
    return found if torch.cuda.get_device_capability() < (8, 9) else [*found, _float8_product()]


def _float8_product() -> Row:
    """Of a layer's input by its transposed weight, in bfloat16."""
    (a, t), (b, u) = _pair((SIZE, SIZE), "float8_e4m3fn"), _pair((SIZE, SIZE), "float8_e4m3fn", seed=1)
    one, one_t = _pair(())
    peers = _both(
        lambda: at.scaled_mm(a, b.t(), one, one),
        lambda: torch._scaled_mm(t, u.t(), one_t, one_t, out_dtype=torch.bfloat16),
    )
    return Row(f"cuda scaled_mm {SIZE}, float8_e4m3fn", peers, {"torch": LEVEL})


def _attention() -> list[Row]:
    """In bfloat16, of the layout that a map to query, key and value makes, which no library copies; a step is both."""
    found = []
    for heads, keys, length, size, hidden in (
        (16, 16, 2048, 64, ""),
        (16, 16, 2048, 64, "causal"),
        (16, 16, 2048, 128, "causal"),
        (32, 8, 2048, 128, "causal"),
        (16, 16, 2048, 64, "mask"),
    ):
        tensors = [_pair((4, length, n, size), "bfloat16", seed) for seed, n in enumerate((heads, keys, keys))]
        ours, theirs = ([t.transpose(1, 2) for t in column] for column in zip(*tensors, strict=True))
        (g, g_t), (seen_t, settings) = (t.transpose(1, 2) for t in tensors[0]), (None, {"enable_gqa": heads != keys})
        if hidden == "mask":
            seen_t = torch.rand(length, length, generator=torch.Generator("cuda").manual_seed(3), device="cuda") < 0.7
        seen = None if seen_t is None else at.asarray(seen_t.cpu().numpy()).to("cuda")
        settings["is_causal"] = hidden == "causal"

        def call(inputs: Any = ours, mask: Any = seen, settings: Any = settings) -> Any:
            return nn.functional.scaled_dot_product_attention(*inputs, mask, **settings)

        def call_t(inputs: Any = theirs, mask: Any = seen_t, settings: Any = settings) -> Any:
            return torch.nn.functional.scaled_dot_product_attention(*inputs, mask, **settings)

        leaves, leaves_t = ([t.detach().requires_grad_() for t in column] for column in (ours, theirs))
        name = f"cuda attention of 4 × {heads} × {length} × {size}, bfloat16" + f", {hidden}" * bool(hidden)
        name += f", {keys} heads of keys" * (heads != keys)
        step = _both(
            lambda call=call, leaves=leaves, g=g: _renewed(leaves, call).backward(g),
            lambda call=call_t, leaves=leaves_t, g=g_t: _renewed(leaves, call).backward(g),
            5,
        )
        found += [
            Row(name, _both(call, call_t, 5), {"torch": 2.0}),
            Row(f"{name}, training step", step, {"torch": 2.5}),
        ]
    return found


def _renewed(leaves: list[Any], call: Callable[..., Any]) -> Any:
    for leaf in leaves:
        leaf.grad = None
    return call(leaves)


def _convolutions() -> list[Row]:
    """Windows of 3 × 3; float32 rounds to TensorFloat-32 in both."""
    found = []
    images, small = (64, 64, 56, 56), (256, 1, 28, 28)
    for name, dtype, shapes, groups, last in (
        ("float32", "float32", (images, (64, 64, 3, 3), images), 1, False),
        ("bfloat16", "bfloat16", (images, (64, 64, 3, 3), images), 1, False),
        ("bfloat16, channels last", "bfloat16", (images, (64, 64, 3, 3), images), 1, True),
        ("one channel to 32", "float32", (small, (32, 1, 3, 3), (256, 32, 28, 28)), 1, False),
        ("each channel alone", "float32", (images, (64, 1, 3, 3), images), 64, False),
        ("each channel alone, bfloat16", "bfloat16", (images, (64, 1, 3, 3), images), 64, False),
    ):
        pairs = [_pair(shape, dtype, i) for i, shape in enumerate(shapes)]
        if last:
            pairs = [tuple(t.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for t in pair) for pair in pairs]
        (x, w, y), (x_t, w_t, y_t) = zip(*pairs, strict=True)
        options = ([1, 1], [1, 1], [1, 1], groups)

        def backward(which: int, y: Any = y_t, x: Any = x_t, w: Any = w_t, groups: int = groups) -> Any:
            mask = [which == 0, which == 1, False]
            window = ([1, 1], [1, 1], [1, 1], False, [0, 0])
            return torch.ops.aten.convolution_backward(y, x, w, None, *window, groups, mask)

        calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "": (
                lambda x=x, w=w, o=options: at.ops.nn.conv2d(x, w, None, *o),
                lambda x=x_t, w=w_t, o=options: torch.conv2d(x, w, None, *o),
            ),
            ", input's gradient": (
                lambda y=y, w=w, x=x, o=options: at.ops.nn.conv2d_backward_input(y, w, x.shape, *o),
                lambda f=backward: f(0),
            ),
            ", weight's gradient": (
                lambda y=y, w=w, x=x, o=options: at.ops.nn.conv2d_backward_weight(y, x, w.shape, *o),
                lambda f=backward: f(1),
            ),
        }
        found += [Row(f"cuda conv2d, {name}{k}", _both(*pair), {"torch": LEVEL}) for k, pair in calls.items()]
    (x, x_t), (w, w_t) = _pair((1, 8, 8, 8)), _pair((8, 8, 3, 3))
    tiny = _both(lambda: at.ops.nn.conv2d(x, w), lambda: torch.conv2d(x_t, w_t), 1000)
    return [*found, Row("cuda launch of a tiny conv2d", tiny, {"torch": 0.9})]


def _with(before: Callable[[], object], call: Callable[[], object]) -> Callable[[], object]:
    def run() -> None:
        before()
        call()

    return run


def _launches() -> list[Row]:
    """Tiny ops: nothing but what a call costs from Python."""
    a, t = _pair((8,))
    m, n = _pair((8, 8))
    pairs: Mapping[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "add": (lambda: a + a, lambda: t + t),
        "sum": (lambda: a.sum(), lambda: t.sum()),
        "matmul": (lambda: m @ m, lambda: n @ n),
    }
    return [Row(f"cuda launch of a tiny {k}", _both(x, y, 1000), {"torch": 0.5}) for k, (x, y) in pairs.items()]


def _mlp(library: Any) -> Any:
    layers = [library.Linear(1024, 1024), library.ReLU(), library.Linear(1024, 1024), library.ReLU()]
    return library.Sequential(*layers, library.Linear(1024, 10))


def _cnn(library: Any) -> Any:
    return library.Sequential(
        library.Conv2d(1, 32, 3, padding=1),
        library.BatchNorm2d(32),
        library.ReLU(),
        library.Conv2d(32, 64, 3, padding=1),
        library.ReLU(),
        library.MaxPool2d(2),
        library.Flatten(),
        library.Linear(64 * 14 * 14, 10),
    )


def _step(model: Any, loss: Any, optimizer: Any, data: Any, target: Any) -> Callable[[], object]:
    def run() -> None:
        optimizer.zero_grad()
        loss(model(data), target).backward()
        optimizer.step()

    return run


def _steps() -> list[Row]:
    found = []
    for name, make, shape in (("MLP", _mlp, (256, 1024)), ("CNN", _cnn, (256, 1, 28, 28))):
        theirs = make(torch.nn).to("cuda")
        ours = make(nn)
        ours.load_state_dict({k: at.asarray(v.cpu().numpy()) for k, v in theirs.state_dict().items()})
        ours.to("cuda")
        x, x_t = _pair(shape)
        y = np.random.default_rng(0).integers(0, 10, shape[0])
        step = _step(ours, nn.CrossEntropyLoss(), optim.SGD(ours.parameters(), lr=1e-3), x, at.asarray(y).to("cuda"))
        step_t = _step(
            theirs,
            torch.nn.CrossEntropyLoss(),
            torch.optim.SGD(theirs.parameters(), lr=1e-3),
            x_t,
            torch.from_numpy(y).to("cuda"),
        )
        eager = _both(step, step_t)
        found.append(Row(f"cuda {name} training step", eager, {"torch": 0.8}))
        replayed = _waits(at.cuda.synchronize, _captured(step).replay)
        found.append(
            Row(f"cuda {name} training step, replayed", {"atled": replayed, "torch": eager["torch"]}, {"torch": 0.5})
        )
    return found


def _captured(step: Callable[[], object]) -> Any:
    """The step as a graph, after a few that make what lives longer than one step."""
    stream = at.cuda.Stream()
    stream.wait_stream(at.cuda.current_stream())
    with at.cuda.stream(stream):
        for _ in range(3):
            step()
    at.cuda.current_stream().wait_stream(stream)
    graph = at.cuda.CUDAGraph()
    with at.cuda.graph(graph):
        step()
    return graph
