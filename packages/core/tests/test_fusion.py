"""Fusion: what is put off gives the bits that it would give at once, whenever and wherever somebody looks."""

import copy
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.core import _core


@pytest.fixture(autouse=True)
def small_results_too() -> Iterator[None]:
    before = _core._set_fusion_limit(1)
    yield
    _core._set_fusion_limit(before)


def numbers(*shape: int, seed: int = 0) -> at.Tensor:
    return at.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def bits(x: at.Tensor) -> np.ndarray:
    """But for the signs of NaNs, which say nothing."""
    if x.dtype.is_floating_point or x.dtype.is_complex:
        x = x.masked_fill(x.isnan(), float("nan"))
    return at.cat([x.reshape(-1)]).view(at.uint8).numpy()


def same(a: at.Tensor, b: at.Tensor) -> None:
    assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)
    np.testing.assert_array_equal(*[bits(x) for x in (a, b)])


def both(function: Callable[..., Any], *make: Callable[[], at.Tensor]) -> None:
    """`function` of new tensors, fused and not: same results, and the tensors the same afterwards."""
    plain, fused = [f() for f in make], [f() for f in make]
    expected = function(*plain)
    with at.fuse():
        got = function(*fused)
    for a, b in zip(
        [got, *fused] if isinstance(got, at.Tensor) else [*got, *fused],
        [expected, *plain] if isinstance(expected, at.Tensor) else [*expected, *plain],
        strict=True,
    ):
        same(a, b)


# ---- programs at random ----

UNARY = (
    "exp",
    "neg",
    "sqrt",
    "sigmoid",
    "tanh",
    "abs",
    "square",
    "floor",
    "sin",
    "relu",
    "reciprocal",
    "clone",
    "isnan",
)
BINARY = ("add", "sub", "mul", "div", "maximum", "atan2", "lt", "pow", "where", "lerp", "clamp_min")
DTYPES = (at.float32, at.float64, at.bfloat16, at.float16, at.int64, at.int32, at.bool, at.complex64)
SHAPES = (
    ((6, 1000), (1000,), (6, 1), (1, 1000), (), (2, 3, 1000)),
    ((200, 7), (7,), (200, 1), (1, 7), (), (3, 200, 7), (3, 1, 7)),
    ((3, 2500), (2500,), (3, 1), (1, 2500), (), (2, 3, 2500), (3, 50, 50)),
)
REDUCTIONS = ("sum", "sum", "mean", "amax", "any", "prod", "var", "logsumexp")


class Program:
    """Calls chosen by `seed`, on values that earlier ones made: the same ones each time it runs."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.shapes = SHAPES[seed % 3]
        self.values: list[at.Tensor] = []
        self.shown: list[at.Tensor] = []

    def pick(self) -> at.Tensor:
        return self.values[self.rng.integers(len(self.values))]

    def fresh(self) -> at.Tensor:
        shape, dtype = self.shapes[self.rng.integers(len(self.shapes))], DTYPES[self.rng.integers(len(DTYPES))]
        return at.tensor(self.rng.standard_normal(shape) * 3).to(dtype)

    def step(self) -> None:
        kind = self.rng.integers(15)
        x, y = self.pick(), self.pick()
        if kind == 0 or len(self.values) < 3:
            made = self.fresh()
        elif kind <= 3:
            made = getattr(x, UNARY[self.rng.integers(len(UNARY))])()
        elif kind <= 6:
            name = BINARY[self.rng.integers(len(BINARY))]
            if name == "where":
                made = at.where(x.bool(), y, self.pick())
            elif name == "lerp":
                made = x.float().lerp(y.float(), 0.3)
            else:
                made = getattr(x, name)(y)
        elif kind == 7:
            made = x * 1.5 if self.rng.integers(2) else 3 - x
        elif kind == 8:
            made = x.to(DTYPES[self.rng.integers(len(DTYPES))])
        elif kind == 9:  # in place
            (x.mul_ if self.rng.integers(2) else x.add_)(y)
            made = x
        elif kind == 10:  # a view, which may be written later
            made = x[..., ::2] if self.rng.integers(2) and x.ndim else x.reshape(-1)
        elif kind == 11 and x.ndim:
            made = x.transpose(0, -1)
        elif kind == 12:
            dim = (-1, None, tuple(range(x.ndim)[-2:]))[self.rng.integers(3)]
            name = REDUCTIONS[self.rng.integers(len(REDUCTIONS))]
            made = getattr(x, name)(dim, keepdim=True) if name != "prod" or dim == -1 else x.sum(dim)
        elif kind == 13:
            self.shown.append(x.clone())
            made = x
        else:
            self.values.pop(self.rng.integers(len(self.values)))
            return
        if made.numel() <= 100_000:
            self.values.append(made)

    def run(self) -> list[at.Tensor]:
        self.values = [self.fresh(), self.fresh(), self.fresh()]
        for _ in range(40):
            try:
                self.step()
            except (at.DTypeError, at.ShapeError, at.InvalidValueError, at.NotImplementedOpError):
                self.shown.append(at.zeros(()))
            if not self.values:
                self.values.append(self.fresh())
        return [*self.shown, *self.values]


@pytest.mark.parametrize("seed", range(200))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_programs_at_random(seed: int) -> None:
    expected = Program(seed).run()
    with at.fuse():
        got = Program(seed).run()
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        same(a, b)


# ---- when values are computed ----


def counts() -> np.ndarray:
    return np.array(_core._fusion_counts())


def test_calls_are_put_off_and_what_nobody_needs_never_runs() -> None:
    x, before = numbers(3, 1000), counts()
    with at.fuse():
        y = (x.exp() + x[0]) * 2
        x.sin()  # dropped
        z = y.view(1000, 3).t()  # a view needs no values
        assert (counts() - before).tolist() == [4, 0]
        y.argmax()
        assert (counts() - before).tolist() == [4, 3]
        w = x.cos().mul_(2)
        assert (counts() - before).tolist() == [6, 3]
    assert (counts() - before).tolist() == [6, 5]
    np.testing.assert_array_equal(w.numpy(), (x.cos() * 2).numpy())
    np.testing.assert_array_equal(z.numpy(), y.numpy().reshape(1000, 3).T)


def test_a_dropped_result_gives_its_memory_back_at_once() -> None:
    x = at.ones(1 << 20)
    with at.fuse():
        y = x + 1
        live = at.memory_stats()["live_bytes"]
        for _ in range(20):
            y = y * 2
        assert at.memory_stats()["live_bytes"] <= live + x.nbytes
    assert y[0].item() == 2.0**21


@pytest.mark.parametrize(
    "look",
    [
        lambda y: y.numpy(),
        lambda y: np.asarray(y.tolist()),
        lambda y: np.from_dlpack(y),
        lambda y: np.asarray(memoryview(y)),
        lambda y: np.asarray([v.item() for v in y]),
        lambda y: y[:].numpy(),
        lambda y: (y @ at.eye(3)).numpy(),
        lambda y: y.flip(0).flip(0).numpy(),
        lambda y: at.empty(3).copy_(y).numpy(),
        lambda y: at.cat([y, y])[:3].numpy(),
        lambda y: y.data.numpy(),
        lambda y: at.stack([y]).sum(0).numpy(),
        lambda y: copy.deepcopy(y).numpy(),
        lambda y: at.asarray(y).numpy(),
    ],
)
def test_whoever_looks_sees_values(look: Callable[[at.Tensor], Any]) -> None:
    with at.fuse():
        y = at.tensor([1.0, 2.0, 3.0]) * 2 + 1
        np.testing.assert_array_equal(look(y), [3, 5, 7])


def test_printing_and_truth_see_values() -> None:
    with at.fuse():
        y = at.ones(1) * 3
        assert "3." in repr(y)
        assert y == 3
        assert float(y) == 3
        if (at.ones(1) * 0).item():
            raise AssertionError


def test_memory_lent_before_a_call_is_read_before_it_changes() -> None:
    x = at.ones(5)
    array = x.numpy()
    with at.fuse():
        y = x + 1
        x.numpy()[:] = 7
        assert y.tolist() == [2] * 5
    assert array.tolist() == [7] * 5


def test_memory_that_was_given_back_is_read_later_again() -> None:
    x = at.ones(5)
    arrays = [x.numpy(), np.from_dlpack(x), memoryview(x)]
    repr(x)
    for expected in (0, 1):
        before = counts()
        with at.fuse():
            _ = x + 1
        assert (counts() - before)[0] == expected
        arrays.clear()


def test_memory_of_others_is_read_at_the_call() -> None:
    array = np.ones(4, np.float32)
    with at.fuse():
        x, y, z = at.tensor(array), at.asarray(array) + 1, np.add(at.zeros(4), array)
        array[:] = 7
        assert (x.tolist(), y.tolist(), z.tolist()) == ([1] * 4, [2] * 4, [1] * 4)


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.zero_(),
        lambda x: x.fill_diagonal_(7),
        lambda x: x.t_().add_(1),
        lambda x: at.add(x, 1, out=x),
        lambda x: x[0].mul_(5),
        lambda x: x.__setitem__(0, 3),
        lambda x: x.data.add_(1),
        lambda x: x.share_memory_().add_(1),
        lambda x: x.index_fill_(0, at.tensor([1]), 9.0),
        lambda x: x.normal_(),
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_writers_wait_for_readers(write: Callable[[at.Tensor], object], elsewhere: bool) -> None:
    x = at.ones(3, 3)
    with at.fuse():
        y = x + 1
        if elsewhere:
            thread = threading.Thread(target=write, args=(x,))
            thread.start()
            thread.join()
        else:
            write(x)
        assert y.tolist() == [[2] * 3] * 3


def test_what_is_dropped_is_not_kept_for_long() -> None:
    with at.fuse():
        total = at.zeros(1 << 20)
        at.reset_peak_memory()
        before = at.memory_stats()["live_bytes"]
        for _ in range(60):
            total = total + at.randn(1 << 20)
        assert at.memory_stats()["peak_bytes"] - before < 150 << 20
        before = at.memory_stats()["held_bytes"]
        at.set_memory_limit(before + (40 << 20))
        try:
            for _ in range(10):
                total = total + at.randn(1 << 21)[: 1 << 20]
        finally:
            at.set_memory_limit(0)


def test_what_is_only_there_to_be_reduced_is_not_kept_for_long() -> None:
    x, row = numbers(1024, 2048), numbers(2048)
    with at.fuse():
        at.reset_peak_memory()
        before, kept = at.memory_stats()["live_bytes"], []
        for i in range(12):
            kept.append((x * row - i).sum())  # no blocks of rows: it is written, 8 MiB
            e = (x * i).exp()
            kept.append((e / e.sum(-1, keepdim=True)).sum())
        assert at.memory_stats()["peak_bytes"] - before < 110 << 20


def test_pending_numbers_are_numbers() -> None:
    with at.fuse():
        y = at.tensor([3.0, 4.0]) * 2
        assert at.ones(2).add(at.ones(2), alpha=y[0]).tolist() == [7, 7]
        at.manual_seed(5)
        state = at.get_rng_state().clone()
        first = at.rand(3)
        at.set_rng_state(state.clone())
        assert at.equal(at.rand(3), first)


def test_a_child_does_not_wait_for_a_pass_of_its_parent() -> None:
    x, stop = at.ones(1 << 20), threading.Event()

    def work() -> None:
        while not stop.is_set():
            with at.fuse():
                x.exp() + 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                with at.fuse():
                    os._exit(0 if (at.ones(3) * 2).tolist() == [2] * 3 else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


def test_what_is_written_over_is_read_first() -> None:
    def program(x: at.Tensor) -> tuple[at.Tensor, ...]:
        a = x * 2
        x.add_(1)
        b = x * a
        x[:2] = 5
        c = x + b
        x.zero_()
        d = x + c
        at.mul(d, 2, out=x)
        return a, b, c, d

    both(program, lambda: numbers(40))


def test_in_place_chains() -> None:
    def program(x: at.Tensor, y: at.Tensor) -> at.Tensor:
        x.mul_(2).add_(y).sub_(x * 0.5)
        z = x.clone()
        x.relu_()
        z.add_(x)
        x.copy_(y)
        return z

    both(program, lambda: numbers(50), lambda: numbers(50, seed=1))


def test_in_place_on_a_part_and_on_a_view() -> None:
    def program(x: at.Tensor) -> at.Tensor:
        x[2].mul_(3)
        whole = x + 1
        x.T.add_(1)
        x.reshape(-1).mul_(2)
        return whole - x

    both(program, lambda: numbers(4, 500))


def test_a_row_and_a_column_beside_a_matrix() -> None:
    def program(x: at.Tensor, row: at.Tensor, column: at.Tensor) -> at.Tensor:
        mean = column * 2 + 1
        return ((x - mean) * row.exp() + x[0]).sigmoid() / column

    both(program, lambda: numbers(9, 700), lambda: numbers(700), lambda: numbers(9, 1))


def test_columns_of_two_dtypes_over_the_same_memory() -> None:
    def program(x: at.Tensor, column: at.Tensor) -> tuple[at.Tensor, ...]:
        return x.abs() * column.real, x * column

    both(
        program,
        lambda: at.complex(numbers(40, 50), numbers(40, 50, seed=1)),
        lambda: at.complex(numbers(40, 1), numbers(40, 1, seed=1)),
    )


ROWS = [  # shapes, and what is reduced of them
    ((64, 32), (1,)),
    ((6, 1000), (-1, 0)),  # 0: across rows, at once
    ((9, 1025), (1, (0, 1))),
    ((2, 70_000), (-1, None)),
    ((200_001,), (0,)),
    ((5, 40, 50), ((1, 2), 2, (0, 2))),
    ((1, 40), (1,)),
    ((4, 1, 31), ((1, 2), 0)),
]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("shape", "dims"), ROWS, ids=str)
def test_reductions_go_with_what_they_reduce(shape: tuple[int, ...], dims: tuple[Any, ...], threads: int) -> None:
    x, row, column = numbers(*shape), numbers(shape[-1], seed=1), numbers(*shape[:-1], 1, seed=2)

    def program(dim: Any, dtype: at.dtype) -> list[at.Tensor]:
        y = (x * 3).to(dtype) * row.to(dtype)
        z = y - column.to(dtype)
        kept = [y.sum(dim), y.amax(dim, keepdim=True), (z * z).mean(dim), (y > 0).any(dim), z.norm(2, dim)]
        z = z * z.sum(-1, keepdim=True)
        y.add_(1)  # after it was reduced
        kept += [z.std(dim), y.logsumexp(dim, keepdim=True), column.sum(), x.amin(dim)]
        return [*kept, y, z.sum(dim, dtype=at.float64), at.count_nonzero(z, dim)]

    before = at.get_num_threads()
    at.set_num_threads(threads)
    try:
        for dim in dims:
            for dtype in (at.float32, at.float64, at.bfloat16, at.float16):
                both(lambda dim=dim, dtype=dtype: program(dim, dtype))
    finally:
        at.set_num_threads(before)


def sweeps(x: at.Tensor, row: at.Tensor) -> Iterator[tuple[at.Tensor, ...]]:
    """Results that depend on the reductions of rows."""
    e = (x - x.amax(-1, keepdim=True)).exp()
    yield (e / e.sum(-1, keepdim=True),)
    yield x * ((x * x).mean(-1, keepdim=True) + 1e-6).rsqrt() * row, (x - x.mean(-1)[..., None]) * row
    d = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5).sqrt()
    yield d, (d * row).sum(-1), d.amax((-2, -1)), d.mean() * d
    y = x * 2
    largest = y.amax(-1, keepdim=True)
    half = x.shape[-1] // 2
    yield largest, y[..., :half].sigmoid() * (y - largest)[..., half : 2 * half]  # parts of the same row
    yield (y - largest)[..., 1:] - y[..., :-1], y.flip(-1) * largest, (y - largest).sum(-1) + largest.squeeze()
    norm = x.norm(2, -1, keepdim=True)  # and of other rows
    yield y[-1:] * norm, norm[-1:] * y, norm.flatten()[-1] * y, y[1:] - norm[1:], (norm.sum(0) * y).sum(-1), norm.mT + 1
    y -= y.logsumexp(-1, keepdim=True)
    y *= y.sum(-1, keepdim=True)
    yield y, y.half().sum(-1, keepdim=True) * y.half(), (y > y.mean(-1, keepdim=True)).any(-1)
    outer = x.sum((-2, -1), keepdim=True)
    yield outer, (x - outer) * (x - outer).sum(-1, keepdim=True)  # several rows to one
    yield x.sum() + (x - x.sum()).amin(), (x.sum(-1) * 2 - x.sum()) * 3


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "shape", [(64, 32), (7, 1000), (9, 1025), (2, 70_000), (5, 40, 50), (40, 1, 200), (1, 3000), (3, 5, 7, 33)], ids=str
)
def test_rows_go_through_several_passes(shape: tuple[int, ...], threads: int) -> None:
    x, row = numbers(*shape), numbers(shape[-1], seed=1)
    before = at.get_num_threads()
    at.set_num_threads(threads)
    try:
        plain = list(sweeps(x, row))
        with at.fuse():
            together = list(sweeps(x, row))
        for i, expected in enumerate(plain):
            with at.fuse():
                alone = next(itertools.islice(sweeps(x, row), i, None))  # what comes before is dropped
            for a, b, c in zip(together[i], alone, expected, strict=True):
                same(a, c)
                same(b, c)
    finally:
        at.set_num_threads(before)


def test_what_passes_of_the_same_rows_read_is_not_written() -> None:
    x = numbers(512, 4096)  # 8 MiB
    with at.fuse():
        e = (x - x.amax(-1, keepdim=True)).exp()
        e = e / e.sum(-1, keepdim=True)
        at.reset_peak_memory()
        before = at.memory_stats()["live_bytes"]
    assert at.memory_stats()["peak_bytes"] - before < 1 << 20
    np.testing.assert_allclose(e.sum(-1).numpy(), 1, rtol=1e-5)


def test_a_reduction_is_put_off_and_one_that_nobody_needs_never_runs() -> None:
    x, before = numbers(3, 1000), counts()
    with at.fuse():
        loss = ((x - 1) ** 2).mean()
        (x * 2).sum(-1)  # dropped
        x.sum()  # of memory
        x.T.sum(-1)  # of no rows: at once
        assert (counts() - before).tolist() == [6, 0]
        (x * 2).sum(0)  # across the rows: at once, when x * 2 has run, and with it the other three that are needed
        assert (counts() - before).tolist() == [7, 4]
    assert (counts() - before).tolist() == [7, 4]
    np.testing.assert_array_equal(loss.numpy(), ((x - 1) ** 2).mean().numpy())


def test_layouts_that_are_no_rows() -> None:
    def program(x: at.Tensor) -> tuple[at.Tensor, ...]:
        y = x * 2
        return y.T + 1, y[:, ::3] * 2, y.flip(1) + y, y.expand(3, *y.shape) + 1, (x.T * x.T) + 1

    both(program, lambda: numbers(31, 33))


def test_many_calls_and_many_results() -> None:
    def program(x: at.Tensor) -> list[at.Tensor]:
        kept = []
        for i in range(200):
            x = (x * 1.01 + i).sin()
            if i % 3 == 0:
                kept.append(x)
        return kept

    both(program, lambda: numbers(3000))


@pytest.mark.parametrize("threads", [1, 3])
def test_large_results_in_blocks_on_threads(threads: int) -> None:
    before = at.get_num_threads()
    at.set_num_threads(threads)
    try:
        both(lambda x, y: (x * y).exp() + y, lambda: numbers(5, 300_007), lambda: numbers(300_007, seed=1))
        both(lambda x: (x.half() * 3).float() - x, lambda: numbers(3_000_001))
    finally:
        at.set_num_threads(before)


def test_empty_and_single_results() -> None:
    both(lambda x: x * 2 + 1, lambda: at.zeros(0, 3))
    both(lambda x: x * 2 + 1, lambda: at.tensor(3.0))


# ---- regions ----


def test_errors_come_from_the_call_that_made_them() -> None:
    with at.fuse():
        x = at.ones(3) * 2
        with pytest.raises(at.ShapeError):
            x + at.ones(4)
        with pytest.raises(at.InvalidValueError, match="divisor"):
            at.tensor([1, 2]) // at.tensor([1, 0])
        with pytest.raises(at.DTypeError):
            at.ones(3).add_(at.ones(3, dtype=at.complex64) * 2)
        assert x.tolist() == [2] * 3


def test_an_exception_ends_the_region_and_keeps_values() -> None:
    kept = []
    with pytest.raises(ZeroDivisionError), at.fuse():
        kept.append(at.ones(4) * 3)
        raise ZeroDivisionError
    assert kept[0].tolist() == [3] * 4


def test_regions_nest_and_belong_to_their_thread() -> None:
    with at.fuse():
        with at.fuse():
            x = at.ones(4) + 1
        y = x + 1
        seen: list[list[float]] = []
        thread = threading.Thread(target=lambda: seen.append((y * 2).tolist()))
        thread.start()
        thread.join()
        assert seen == [[6] * 4]
    with pytest.raises(RuntimeError, match="thread that began it"):
        _core._leave_fusion()


def test_threads_at_once() -> None:
    shared = numbers(5000)
    results: list[at.Tensor] = []

    def work() -> None:
        with at.fuse():
            total = shared * 0
            for i in range(50):
                total = total + (shared * i).sin()
            results.append(total)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for other in results[1:]:
        same(other, results[0])


def test_versions_count_in_place_changes() -> None:
    x = at.ones(4)
    before = x._version
    with at.fuse():
        x.add_(1).mul_(2)
    assert x._version == before + 2


def test_read_only_memory_is_refused_at_the_call() -> None:
    array = np.ones(4, np.float32)
    array.flags.writeable = False
    x = at.asarray(array)
    with at.fuse(), pytest.raises(at.InvalidValueError, match="read-only"):
        x.add_(1)


# ---- compile ----


def test_compile_of_functions_and_objects() -> None:
    def double(x: at.Tensor) -> at.Tensor:
        "Twice."
        return x * 2

    assert at.compile(double)(at.ones(3)).tolist() == [2] * 3
    assert at.compile(double).__doc__ == "Twice."
    assert at.compile(double, disable=True) is double
    assert at.compile(mode="reduce-overhead", fullgraph=True)(double)(at.ones(3)).tolist() == [2] * 3

    class Scale:
        by = 3.0

        def __call__(self, x: at.Tensor) -> at.Tensor:
            return x * self.by

    assert at.compile(Scale())(at.ones(2)).tolist() == [3, 3]


def test_compile_refuses_what_cannot_be() -> None:
    with pytest.raises(at.ArgumentError, match="function"):
        at.compile(3)
    with pytest.raises(at.InvalidValueError, match="mode"):
        at.compile(len, mode="fast")

    def later() -> Iterator[int]:
        yield 1

    with pytest.raises(at.ArgumentError, match="later"):
        at.compile(later)
    with pytest.raises(at.ArgumentError, match="the class int"):
        at.compile(int)
