"""CUDA graphs of functions and modules with their gradients, for training loops that are otherwise eager.

It is ``at.cuda.make_graphed_callables``, as in PyTorch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.autograd import _engine, _tape
from atled.autograd._function import Function, FunctionContext, once_differentiable
from atled.autograd.grad_mode import enable_grad
from atled.core.utils.pytree import tree_flatten

__all__ = ["make_graphed_callables"]


class Graphed(Function):
    """A call of a graphed callable; the arguments after the first are its inputs, then its parameters."""

    @staticmethod
    def forward(ctx: FunctionContext, graphs: "_Graphs", *tensors: at.Tensor) -> tuple[at.Tensor, ...]:
        ctx.graphs = graphs  # type: ignore[attr-defined]
        ctx.set_materialize_grads(False)
        results = graphs.forward(tensors)
        ctx.call = graphs.call  # type: ignore[attr-defined]
        ctx.mark_non_differentiable(*(r for r, seed in zip(results, graphs.seeds, strict=True) if seed is None))
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionContext, *gradients: at.Tensor | None) -> tuple[at.Tensor | None, ...]:
        return None, *ctx.graphs.backward(ctx.call, gradients)  # type: ignore[attr-defined]


class _Graphs:
    """One callable's forward and backward as graphs, and the tensors that they read and write."""

    def __init__(self, function: Callable[..., Any], name: str, sample: Any, parameters: Sequence[at.Tensor]) -> None:
        self.function, self.name = function, name
        self.samples = (sample,) if isinstance(sample, at.Tensor) else tuple(sample)
        for i, tensor in enumerate(self.samples):
            if not isinstance(tensor, at.Tensor):
                raise at.ArgumentError(f"{name}: expected Tensors as arguments, got {type(tensor).__name__} for {i}")
        self.device = next((t.device for t in (*self.samples, *parameters) if t.device.type == "cuda"), None)
        for i, tensor in enumerate((*self.samples, *parameters)):
            if tensor.device != self.device:
                which = f"argument {i}" if i < len(self.samples) else f"parameter {i - len(self.samples)}"
                raise at.DeviceError(
                    f"{name}: expected all tensors on one CUDA device, got {which} on {tensor.device}; move it there"
                )
        for i, parameter in enumerate(parameters):
            if parameter.requires_grad and _tape.hooks(parameter):
                raise at.AutogradError(
                    f"{name}: expected no hook on parameter {i}, which the graph would hold; register it afterwards"
                )
        self.parameters = parameters
        self.inputs = [t.detach().clone().requires_grad_(t.requires_grad) for t in self.samples]
        self.places = [t.detach() for t in self.inputs]
        self.wanted = [t.requires_grad for t in (*self.inputs, *parameters)]  # then: a later change is not captured
        self.targets = [t for t in (*self.inputs, *parameters) if t.requires_grad]
        self.results: list[at.Tensor] = []
        self.seeds: list[at.Tensor | None] = []  # the gradients of results that have one
        self.gradients: list[at.Tensor | None] = []  # of targets
        self.structure: Any = None
        self.forward_graph, self.backward_graph = at.cuda.CUDAGraph(), at.cuda.CUDAGraph()
        self.call = 0
        self.saved = 0  # the call whose backward can run
        self.versions: list[int] = []  # of the results after it

    # ---- making them ----

    def run(self) -> None:
        """The callable itself on the graphs' inputs."""
        with enable_grad():
            self.results, self.structure = tree_flatten(self.function(*self.inputs))
        for result in self.results:
            if not isinstance(result, at.Tensor) or result.device.type != "cuda":
                what = f"a Tensor on {result.device}" if isinstance(result, at.Tensor) else type(result).__name__
                raise at.ArgumentError(f"{self.name}: expected results that are Tensors on the CUDA device, got {what}")

    def differentiate(self, allow_unused: bool) -> None:
        """The gradients of the results of `run`."""
        ends = [(result, seed) for result, seed in zip(self.results, self.seeds, strict=True) if seed is not None]
        if ends and self.targets:
            roots, seeds = zip(*ends, strict=True)
            self.gradients = list(_engine.grad(roots, self.targets, seeds, allow_unused=allow_unused))

    def warm_up(self, times: int, allow_unused: bool) -> None:
        for _ in range(times):
            self.run()
            self.seeds = [at.zeros_like(r.detach()) if r.requires_grad else None for r in self.results]
            self.differentiate(allow_unused)
        self.results, self.gradients = [], []

    def capture_forward(self, pool: Any) -> None:
        with at.cuda.graph(self.forward_graph, pool):
            self.run()

    def capture_backward(self, pool: Any, allow_unused: bool) -> None:
        if self.targets and any(seed is not None for seed in self.seeds):
            with at.cuda.graph(self.backward_graph, pool):
                self.differentiate(allow_unused)
        self.results = [result.detach() for result in self.results]

    # ---- running them ----

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises where a call is not the sample's."""
        if kwargs:
            raise at.ArgumentError(f"{self.name}: expected positional arguments alone, got {', '.join(kwargs)}")
        if len(args) != len(self.inputs):
            raise at.ArgumentError(f"{self.name}: expected {len(self.inputs)} arguments, got {len(args)}")
        for i, (given, own) in enumerate(zip(args, self.inputs, strict=True)):
            if not isinstance(given, at.Tensor):
                raise at.ArgumentError(f"{self.name}: expected a Tensor as argument {i}, got {type(given).__name__}")
            for kind, expected, got in (
                (at.DeviceError, own.device, given.device),
                (at.DTypeError, own.dtype, given.dtype),
                (at.ShapeError, own.shape, given.shape),
            ):
                if expected != got:
                    raise kind(f"{self.name}: expected argument {i} as it was captured, {expected}, got {got}")
            if given.requires_grad and not own.requires_grad and _tape.is_enabled():
                raise at.AutogradError(
                    f"{self.name}: expected argument {i} not to require grad, as it was captured; detach it, or "
                    "capture with one that does"
                )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.check(args, kwargs)
        return self.structure.unflatten(list(Graphed.apply(self, *args, *self.parameters)))

    def forward(self, tensors: Sequence[at.Tensor]) -> tuple[at.Tensor, ...]:
        for place, given in zip(self.places, tensors, strict=False):
            place.copy_(given)
        self.forward_graph.replay()
        self.call += 1
        self.saved = self.call
        for result in self.results:
            _tape.increment_version(result)  # what has saved the last call's results must not use these for them
        self.versions = [result._version for result in self.results]
        return tuple(result.detach() for result in self.results)

    def backward(self, call: int, gradients: Sequence[at.Tensor | None]) -> list[at.Tensor | None]:
        if call != self.saved:
            raise at.AutogradError(
                f"{self.name}: expected one backward for each call, before the next call: what this one has saved is "
                "gone"
            )
        if self.versions != [result._version for result in self.results]:
            raise at.AutogradError(
                f"{self.name}: expected results that are as they were, which backward may need, got one that was "
                "changed in place; change a clone"
            )
        self.saved = 0
        for seed, given in zip(self.seeds, gradients, strict=True):
            if seed is not None:
                _ = seed.zero_() if given is None else seed.copy_(given)
        self.backward_graph.replay()
        answers = iter(self.gradients)
        found = [next(answers) if wanted else None for wanted in self.wanted]
        return [None if g is None else g.detach() for g in found]


def _is_module(function: Any) -> bool:
    return all(hasattr(function, name) for name in ("forward", "parameters", "buffers", "modules", "training"))


def _check_module(module: Any, name: str) -> None:
    for path, inner in module.named_modules():
        if inner is not module and hasattr(inner, "has_hooks") and inner.has_hooks():
            raise at.ArgumentError(
                f"{name}: expected no hooks on the modules within, which a graph does not call, got some on {path}"
            )
    for path, buffer in module.named_buffers():
        if buffer.requires_grad:
            raise at.AutogradError(f"{name}: expected buffers that do not require grad, got {path}")


def _graphs_of(function: Any, sample: Any) -> _Graphs:
    name = getattr(function, "__name__", None) or type(function).__name__
    if not _is_module(function):
        return _Graphs(function, name, sample, ())
    _check_module(function, name)
    return _Graphs(function.forward, name, sample, tuple(function.parameters()))


def _install(function: Any, graphs: _Graphs) -> Any:
    if not _is_module(function):

        def graphed(*args: Any, **kwargs: Any) -> Any:
            return graphs(*args, **kwargs)

        graphed.__name__, graphed.__doc__ = graphs.name, getattr(function, "__doc__", None)
        return graphed
    eager, training = function.forward, function.training

    def forward(*args: Any, **kwargs: Any) -> Any:
        return (graphs if function.training == training else eager)(*args, **kwargs)

    function.forward = forward
    return function


def make_graphed_callables(
    callables: Any,
    sample_args: Any,
    num_warmup_iters: int = 3,
    allow_unused_input: bool = False,
    pool: Any = None,
) -> Any:
    """Captures functions or modules as CUDA graphs, forward and backward, and answers callables that replay them.

    callables: a function or ``nn.Module``, or a tuple of them in the order in which they will be called; backward then
    runs in the opposite order. They take and answer CUDA tensors, and do what `at.cuda.graph` can hold. A function's
    gradients go to its arguments; a module's to its parameters as well. A module is answered itself, with another
    ``forward``, which is replayed in the mode (``training``) that it was captured in and eager in the other.
    sample_args: the arguments, as a tuple of tensors, for several callables a tuple of such tuples: shape, dtype,
    device and requires_grad are those of every later call, values do not matter.
    num_warmup_iters: how often each runs before it is captured, at least once; buffers are put back.
    allow_unused_input: an argument or parameter that no result depends on gets no gradient, instead of an error.
    pool: whose memory to use, as for `at.cuda.graph`.

    A call copies its arguments into the graph's memory. Results, and gradients of arguments that are not added to a
    ``.grad``, are the graph's memory too: the next call, or backward, writes over them, so clone what you keep. Each
    call has one backward, before the next call and before results are changed in place; it cannot be differentiated
    again. Gradients of parameters are
    added to their ``.grad`` as always. Parameters may be changed in place only.

    Raises ShapeError, DTypeError, DeviceError or ArgumentError for a call that is not as the sample, DeviceError for
    tensors elsewhere than on a GPU, ArgumentError for hooks on modules within (one's own are called around the graph),
    AutogradError for hooks on parameters, and for a backward whose call is not the last.

    >>> import atled.core as at
    >>> if at.cuda.is_available():
    ...     def loss(x, w):
    ...         return ((x @ w) ** 2).mean()
    ...     w = at.ones(3, 1, device="cuda", requires_grad=True)
    ...     fast = at.cuda.make_graphed_callables(loss, (at.zeros(4, 3, device="cuda"), w))
    ...     for step in range(2):
    ...         fast(at.ones(4, 3, device="cuda"), w).backward()
    ...     assert w.grad.tolist() == [[12.0], [12.0], [12.0]]
    """
    several = isinstance(callables, (tuple, list))
    functions = tuple(callables) if several else (callables,)
    samples = tuple(sample_args) if several else (sample_args,)
    if len(samples) != len(functions):
        raise at.ArgumentError(
            f"make_graphed_callables: expected sample_args for each of {len(functions)} callables, got {len(samples)}"
        )
    if num_warmup_iters < 1:
        raise at.InvalidValueError(f"make_graphed_callables: expected num_warmup_iters >= 1, got {num_warmup_iters}")
    made = [_graphs_of(function, sample) for function, sample in zip(functions, samples, strict=True)]
    with at.cuda.device(made[0].device if made else None):
        _capture(made, functions, num_warmup_iters, allow_unused_input, pool or at.cuda.graph_pool_handle())
    answers = tuple(_install(function, graphs) for function, graphs in zip(functions, made, strict=True))
    return answers if several else answers[0]


def _capture(made: list[_Graphs], functions: tuple[Any, ...], times: int, allow_unused: bool, pool: Any) -> None:
    buffers = [b for function in functions if _is_module(function) for b in function.buffers()]
    before = [b.clone() for b in buffers]
    side = at.cuda.Stream()
    side.wait_stream(at.cuda.current_stream())
    with at.cuda.stream(side):
        for graphs in made:
            graphs.warm_up(times, allow_unused)
        for buffer, former in zip(buffers, before, strict=True):
            buffer.copy_(former)
    at.cuda.current_stream().wait_stream(side)
    for graphs in made:
        graphs.capture_forward(pool)
    for graphs in reversed(made):
        graphs.capture_backward(pool, allow_unused)
