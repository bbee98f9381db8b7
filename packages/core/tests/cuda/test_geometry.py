"""Index arithmetic, splitting and reduction plans of the device's kernels, on the host against brute force."""

import ctypes
import itertools
import math
import random

import numpy as np
import pytest

INT64 = ctypes.c_int64


def _array(values: list[int]) -> ctypes.Array[INT64]:
    return (INT64 * max(len(values), 1))(*values)


def test_fast_division(host: ctypes.CDLL) -> None:
    rng = random.Random(0)
    edges = [1, 2, 3, 5, 7, 10, 641, 65535, 65536, 65537, 2**30, 2**30 + 1, 2**31 - 2, 2**31 - 1]
    divisors = edges + [rng.randrange(1, 2 ** rng.randrange(1, 32)) for _ in range(300)]
    for d in divisors:
        d = min(d, 2**31 - 1)
        near = [k * d + e for k in (0, 1, 2, (2**31 - 1) // d) for e in (-1, 0, 1)]
        numbers = [*near, 0, 1, 2**31 - 1, *(rng.randrange(2**31) for _ in range(50))]
        for n in numbers:
            if 0 <= n < 2**31:
                assert host.quotient(n, d) == n // d, (n, d)


def _walk(
    host: ctypes.CDLL, sizes: list[int], strides: list[list[int]], limit: int
) -> tuple[int, int, list[tuple[int, ...]]]:
    total = math.prod(sizes)
    out, dims = (INT64 * max(total * len(strides), 1))(), INT64()
    flat = _array([s for operand in strides for s in operand])
    args = (len(strides), len(sizes), _array(sizes), flat, INT64(limit), out, ctypes.byref(dims))
    pieces = host.walk(*args)
    numbers = list(out)[: total * len(strides)]
    return pieces, dims.value, list(zip(*[iter(numbers)] * len(strides), strict=True))


def _expected(sizes: list[int], strides: list[list[int]]) -> list[tuple[int, ...]]:
    indices = itertools.product(*map(range, sizes))
    return sorted(tuple(sum(i * s for i, s in zip(index, o, strict=True)) for o in strides) for index in indices)


def test_walks_visit_every_element_once(host: ctypes.CDLL) -> None:
    rng = random.Random(1)
    for _ in range(400):
        ndim = rng.randrange(6)
        sizes = [rng.choice([1, 2, 3, 4, 5]) for _ in range(ndim)]
        strides = []
        for _ in range(rng.randrange(1, 5)):
            order, step, operand = rng.sample(range(ndim), ndim), 4, [0] * ndim
            for d in order:
                operand[d] = step * rng.choice([1, 1, 1, -1])
                step *= sizes[d] * rng.choice([1, 1, 2])
            if strides:
                operand = [0 if rng.random() < 0.2 else s for s in operand]
            strides.append(operand)
        reach = max((sum(abs(s) * (n - 1) for s, n in zip(o, sizes, strict=True)) for o in strides), default=0)
        for limit in (2**31 - 1, max(reach // 3, 64), 64):
            pieces, _, seen = _walk(host, sizes, strides, limit)
            assert pieces >= 1, (sizes, strides, limit)
            assert sorted(seen) == _expected(sizes, strides), (sizes, strides, limit)


def test_dimensions_join(host: ctypes.CDLL) -> None:
    dense = [[4, 12, 60], [4, 12, 60]]
    assert _walk(host, [3, 5, 2], dense, 2**31 - 1)[:2] == (1, 1)
    transposed = [[4, 12, 60], [40, 8, 4]]
    assert _walk(host, [3, 5, 2], transposed, 2**31 - 1)[1] == 3
    assert _walk(host, [3, 5, 2], [[4, 12, 60], [0, 0, 0]], 2**31 - 1)[:2] == (1, 1)


def test_more_dimensions_than_a_launch_walks(host: ctypes.CDLL) -> None:
    sizes = [2] * 14
    out = [4 * 3**d for d in range(14)]
    pieces, dims, seen = _walk(host, sizes, [out], 2**31 - 1)
    assert dims == 14 and pieces == 4
    assert sorted(seen) == _expected(sizes, [out])


class Plan(ctypes.Structure):
    """reduce_plan.h's plan."""

    _fields_ = [(name, INT64) for name in ("outputs", "length", "rows", "lanes", "chunks", "chunk_length")]


@pytest.mark.parametrize("seed", range(60))
def test_plans_read_every_element_once(host: ctypes.CDLL, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(0, 5))
    shape = [int(rng.choice([1, 2, 3, 7, 33, 70])) for _ in range(ndim)]
    while math.prod(shape) > 60_000:
        shape[int(rng.integers(ndim))] = 2
    if seed % 5 == 0:
        shape = [int(rng.integers(40_000, 90_000)), *([3] if seed % 2 else [])][:: rng.choice([1, -1])]
    whole = rng.integers(-1000, 1000, shape, dtype=np.int64)
    array = whole.transpose(rng.permutation(whole.ndim))
    gone = [bool(rng.integers(2)) for _ in range(array.ndim)]
    dims = _array([v for d in range(array.ndim) for v in (array.shape[d], array.strides[d], int(gone[d]))])
    plan = Plan()
    host.plan(array.ndim, dims, INT64(8), ctypes.byref(plan))
    axes = tuple(d for d in range(array.ndim) if gone[d])
    assert plan.outputs * plan.length == array.size
    assert plan.lanes & (plan.lanes - 1) == 0 and 1 <= plan.lanes <= 256
    assert (plan.chunks - 1) * plan.chunk_length < max(plan.length, 1) <= max(plan.chunks * plan.chunk_length, 1)
    expected = np.ascontiguousarray(array.sum(axis=axes))
    found = np.zeros(expected.shape, np.int64)
    host.run(array.ndim, dims, whole.ctypes.data_as(ctypes.c_void_p), found.ctypes.data_as(ctypes.c_void_p))
    np.testing.assert_array_equal(found, expected)


def test_long_sums_are_shared_out(host: ctypes.CDLL) -> None:
    def plan(dims: list[int], item: int = 4) -> Plan:
        made = Plan()
        host.plan(len(dims) // 3, _array(dims), INT64(item), ctypes.byref(made))
        return made

    all_of_them = plan([2**26, 4, 1])
    assert all_of_them.rows and all_of_them.lanes == 256 and all_of_them.chunks == 4096
    assert plan([2**20, 2, 1], 2).chunks == 128
    columns = plan([2**20, 256, 1, 64, 4, 0])
    assert not columns.rows and columns.lanes == 4 and columns.chunks == 2048
    wide = plan([8192, 32768, 1, 8192, 4, 0])
    assert not wide.rows and wide.lanes == 2 and wide.chunks == 32
    assert plan([4096, 40, 1, 10, 4, 0]).lanes == 16
    rows = plan([2**20, 256, 0, 64, 4, 1])
    assert rows.rows and rows.lanes <= 32 and rows.chunks == 1


def _doubles(values: np.ndarray) -> tuple[ctypes.c_void_p, INT64]:
    return values.ctypes.data_as(ctypes.c_void_p), INT64(len(values))


@pytest.mark.parametrize("part", [1, 7, 64, 10_000])
def test_moments_by_parts(host: ctypes.CDLL, part: int) -> None:
    x = np.random.default_rng(part).standard_normal(1000) + 1e6
    assert host.variance(*_doubles(x), INT64(part)) == pytest.approx(float((x - 1e6).var()), rel=1e-8)
    y = np.random.default_rng(part).standard_normal(1000) * 300
    expected = y.max() + math.log(float(np.exp(y - y.max()).sum()))
    assert host.logsumexp(*_doubles(y), INT64(part)) == pytest.approx(expected, rel=1e-14)


def test_logsumexp_of_infinities(host: ctypes.CDLL) -> None:
    inf = math.inf
    for values, expected in (([-inf, -inf], -inf), ([-inf, 0.0], 0.0), ([inf, 1.0], inf), ([inf, -inf], inf)):
        for part in (1, 2):
            assert host.logsumexp(*_doubles(np.array(values)), INT64(part)) == expected, values
    assert math.isnan(host.logsumexp(*_doubles(np.array([0.0, math.nan])), INT64(1)))
    assert host.logsumexp(*_doubles(np.array([])), INT64(1)) == -inf


def test_the_first_of_equals_wins(host: ctypes.CDLL) -> None:
    nan = math.nan
    for values, expected in (([1, 3, 3, 2], 1), ([nan, 5, nan], 0), ([5, nan, nan], 1), ([-math.inf] * 3, 0)):
        for part in (1, 2, 4):
            assert host.argmax(*_doubles(np.array(values, float)), INT64(part)) == expected, (values, part)


def test_what_blas_can_read(host: ctypes.CDLL) -> None:
    for rows, columns, row, column in itertools.product((1, 2, 3), (1, 2, 3), range(-2, 6), range(-2, 6)):
        given = tuple(map(INT64, (rows, columns, row, column)))
        ld = host.blas_ld(*given)
        wanted = [[i * row + j * column for j in range(columns)] for i in range(rows)]
        plain = (column == 1 or columns == 1) and (rows == 1 or row >= columns)
        transposed = (row == 1 or rows == 1) and (columns == 1 or column >= rows)
        assert (ld != 0) == (plain or transposed), given
        if ld > 0:
            assert wanted == [[i * ld + j for j in range(columns)] for i in range(rows)] and ld >= columns
        if ld < 0:
            assert wanted == [[i + j * -ld for j in range(columns)] for i in range(rows)] and -ld >= rows
    assert host.blas_ld(INT64(2), INT64(3), INT64(2**31), INT64(1)) == 0
    assert host.blas_ld(INT64(2), INT64(3), INT64(2**31 - 1), INT64(1)) == 2**31 - 1


@pytest.mark.parametrize("seed", range(40))
def test_transposes_in_tiles(host: ctypes.CDLL, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ndim, side = int(rng.integers(2, 5)), int(rng.choice([32, 64]))
    shape = [int(rng.choice([1, 2, 16, 33, 70])) for _ in range(ndim)]
    whole = rng.integers(0, 2**31, shape, dtype=np.int32)
    array = whole.transpose(rng.permutation(ndim))
    out = np.zeros(array.shape, np.int32)
    sizes = _array(list(array.shape[::-1]))
    strides = _array([*out.strides[::-1], *array.strides[::-1]])
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (out, whole)]
    if host.turn(ndim, sizes, strides, INT64(4), side, *pointers):
        np.testing.assert_array_equal(out, array)
    else:
        # Nothing was done: rows that stay rows, or sides too short to be worth it.
        assert not out.any()
        joined = [n for n in array.shape if n > 1]
        assert array.flags.c_contiguous or min(joined) < 16 or array.strides[-1] == 4 or len(joined) < 2


def test_a_matrix_is_turned(host: ctypes.CDLL) -> None:
    array = np.arange(70 * 33, dtype=np.int32).reshape(70, 33).T
    out = np.zeros(array.shape, np.int32)
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (out, array)]
    strides = _array([*out.strides[::-1], *array.strides[::-1]])
    assert host.turn(2, _array([70, 33]), strides, INT64(4), 32, *pointers) == 1
    np.testing.assert_array_equal(out, array)


def test_rounds_of_sorting(host: ctypes.CDLL) -> None:
    assert host.rounds(INT64(1), INT64(2048), INT64(2048)) == 1
    assert host.rounds(INT64(3), INT64(2049), INT64(256)) == 1
    assert host.rounds(INT64(3), INT64(4097), INT64(256)) == 2
    for n in (1, 2, 1023, 1025, 2047, 5000, 10**6, 2**32 - 1):
        for kept in (1, 10, 256):
            if kept <= n:
                assert 1 <= host.rounds(INT64(5), INT64(n), INT64(kept)) <= 12


def _places(
    host: ctypes.CDLL, sizes: list[int], strides: list[list[int]], divides: bool, item: int = 0, alignment: int = 0
) -> tuple[int, list[tuple[int, int]]]:
    out, total = (INT64 * max(2 * math.prod(sizes), 1))(), INT64()
    flat = _array([s for operand in strides for s in operand])
    options = (INT64(divides), INT64(item), INT64(alignment))
    unit = host.places(len(sizes), _array(sizes), flat, *options, ctypes.byref(total), out)
    numbers = list(out)[: 2 * total.value]
    return unit, list(zip(*[iter(numbers)] * 2, strict=True))


def test_places_are_visited_in_order(host: ctypes.CDLL) -> None:
    rng = random.Random(2)
    for _ in range(300):
        ndim = rng.randrange(6)
        sizes = [rng.choice([1, 2, 3, 4, 5]) for _ in range(ndim)]
        steps = [math.prod(sizes[:d]) for d in range(ndim)]
        strides = [[s * rng.choice([1, 1, 1, -2, 0, 2**40]) for s in steps] for _ in range(2)]
        expected = [
            tuple(sum(i * s for i, s in zip(reversed(index), o, strict=True)) for o in strides)
            for index in itertools.product(*map(range, reversed(sizes)))
        ]
        for divides in (False, True):
            assert _places(host, sizes, strides, divides)[1] == expected


def test_places_move_in_the_widest_unit(host: ctypes.CDLL) -> None:
    rng = random.Random(3)
    for _ in range(300):
        item, run, rows = rng.choice([1, 2, 4, 8]), rng.choice([1, 2, 3, 4, 8, 12, 16]), rng.choice([2, 3])
        gap, alignment = item * rng.choice([0, 1, 2, 16]), item * rng.choice([1, 2, 3, 8, 16])
        sizes, strides = [run, rows], [[item, run * item + gap], [item, run * item]]
        unit, wide = _places(host, sizes, strides, False, item, alignment)
        _, narrow = _places(host, sizes, strides, False)
        covered = [tuple(x + byte for x in place) for place in wide for byte in range(unit)]
        assert covered == [tuple(x + byte for x in place) for place in narrow for byte in range(item)]
        assert unit >= item
        assert unit == item or (all(x % unit == 0 for place in wide for x in place) and alignment % unit == 0)
    assert _places(host, [4, 2], [[4, 32], [4, 16]], False, 4, 0)[0] == 16
