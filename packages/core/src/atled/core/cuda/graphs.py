"""Graphs: what a stream is given is captured once, and run again at the cost of one launch."""

from __future__ import annotations

import gc
from ctypes import byref, c_uint64, c_void_p
from itertools import count
from typing import TypeAlias

from atled.core import _core

from ._devices import current_device, synchronize
from ._native import loaded, native
from ._streams import Stream, StreamContext
from ._streams import is_current_stream_capturing as is_current_stream_capturing
from .memory import empty_cache

PoolHandle: TypeAlias = tuple[int, int]

_MODES = ("global", "thread_local", "relaxed")
_handles = count(1)
_pools: dict[tuple[PoolHandle, int], int] = {}  # a handle's pool on a device, by the backend's number

_streams: dict[int, Stream] = {}  # of captures that say none, by device


def graph_pool_handle() -> PoolHandle:
    """A name for memory that several graphs share; they must run in the order in which they were captured.

    >>> pool = at.cuda.graph_pool_handle()
    >>> first, second = at.cuda.CUDAGraph(), at.cuda.CUDAGraph()
    >>> x = at.ones(2, device="cuda")
    >>> with at.cuda.graph(first, pool=pool):
    ...     y = x + 1
    >>> with at.cuda.graph(second, pool=pool):
    ...     z = y * 2
    >>> first.replay()
    >>> second.replay()
    >>> z.tolist()
    [4.0, 4.0]
    """
    return 0, next(_handles)


class CUDAGraph:
    """Work of a stream that was captured, with the memory that it uses.

    `replay` runs it on the current stream, with what its input tensors hold then; results are in the tensors that the
    capture made. Random numbers of the default generator go on at each replay, as if the ops had been called anew;
    other generators, and ops that draw on the host, raise during the capture. What a graph cannot hold, such as waiting
    for the device or reading a value, ends the capture with an error, and the device can be used as before.

    >>> import atled.core as at
    >>> if at.cuda.is_available():
    ...     x = at.ones(3, device="cuda")
    ...     g = CUDAGraph()
    ...     with graph(g):
    ...         y = x * 2
    ...     _ = x.fill_(4)
    ...     g.replay()
    ...     assert y.tolist() == [8, 8, 8]
    """

    def __init__(self, keep_graph: bool = False) -> None:
        self._graph = 0
        self._captured = False
        self._pool: PoolHandle | None = None

    def capture_begin(self, pool: PoolHandle | None = None, capture_error_mode: str = "global") -> None:
        """Begins to capture the current stream, which must not be the default one.

        pool: whose memory to use, as `graph_pool_handle` or another graph's `pool` names it. capture_error_mode: whose
        calls may spoil the capture: every thread's ("global"), this one's ("thread_local") or nobody's ("relaxed").
        """
        if self._graph:
            raise RuntimeError("capture_begin: expected a graph that was not captured before; call reset()")
        if capture_error_mode not in _MODES:
            raise _core.InvalidValueError(
                f"capture_begin: expected capture_error_mode in {', '.join(_MODES)}, got {capture_error_mode!r}"
            )
        index, chosen = current_device(), pool or graph_pool_handle()
        number, made = c_uint64(_pools.get((chosen, index), 0)), c_void_p()
        native().graph_begin(index, _MODES.index(capture_error_mode), byref(number), byref(made))
        self._graph, self._pool = made.value or 0, chosen
        _pools[chosen, index] = number.value

    def capture_end(self) -> None:
        """Ends the capture; what cannot be captured raises here, and leaves this graph empty."""
        if not self._graph or self._captured:
            raise RuntimeError("capture_end: expected a capture that has begun")
        try:
            native().graph_end(self._graph)
        except BaseException:
            self.reset()
            raise
        self._captured = True

    def replay(self) -> None:
        """Runs the graph on the current stream of its device."""
        if not self._captured:
            raise RuntimeError("replay: expected a graph that was captured")
        native().graph_launch(self._graph)

    def reset(self) -> None:
        """Drops the graph and its share of the memory; a capture that goes on ends. It can capture anew."""
        graph, self._graph, self._captured = self._graph, 0, False
        if graph:
            native().graph_destroy(graph)

    def pool(self) -> PoolHandle:
        """What names the graph's memory for the next graph's ``pool``."""
        if self._pool is None:
            raise RuntimeError("pool: expected a graph that was captured")
        return self._pool

    def __del__(self) -> None:
        if getattr(self, "_graph", 0) and loaded():
            self.reset()


class graph:
    """A context manager: what is done inside is captured into ``cuda_graph`` and not run.

    It happens on ``stream``, or on one that all such captures share; memory comes from ``pool``.

    >>> x, captured = at.ones(2, device="cuda"), at.cuda.CUDAGraph()
    >>> with at.cuda.graph(captured):
    ...     y = x + 1
    >>> captured.replay()
    >>> y.tolist()
    [2.0, 2.0]
    """

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: PoolHandle | None = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
    ) -> None:
        index = current_device() if stream is None else stream.device_index
        if stream is None and index not in _streams:
            _streams[index] = Stream(index)
        self.capture_stream = stream or _streams[index]
        self._context = StreamContext(self.capture_stream)
        self.cuda_graph, self._pool, self._mode = cuda_graph, pool, capture_error_mode

    def __enter__(self) -> None:
        synchronize(self.capture_stream.device_index)
        gc.collect()
        empty_cache(self.capture_stream.device_index)
        self._context.__enter__()
        try:
            self.cuda_graph.capture_begin(self._pool, self._mode)
        except BaseException:
            self._context.__exit__()
            raise

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            if kind is None:
                self.cuda_graph.capture_end()
            else:
                self.cuda_graph.reset()
        finally:
            self._context.__exit__()
