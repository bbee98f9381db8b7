"""Rules of Fourier transforms: each is linear, so the gradient is its conjugate transpose."""

import functools
from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook

_fft = at.ops.fft
_own = at.ops.autograd

# The adjoint of a transform is the inverse one, scaled the other way round.
_ADJOINT = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


def _resized(g: Any, shape: Any, *dims: int) -> Any:
    """The gradient of cutting or padding with zeros along dims, to the input's shape."""
    for dim in dims:
        if g.shape[dim] > shape[dim]:
            g = at.narrow(g, dim, 0, shape[dim])
    return g if tuple(g.shape) == tuple(shape) else _own.pad_to(g, shape)


def _dims(shape: Any, s: Any, dim: Any) -> tuple[int, ...]:
    """The dimensions that fftn transforms."""
    if dim is not None:
        return tuple(dim)
    return tuple(range(len(shape) - (len(shape) if s is None else len(s)), len(shape)))


def _weighted(half: Any, n: int, dim: int, weight: float) -> Any:
    """Half a spectrum of n points times weight, but for the points that are their own mirror images."""
    weights = at.full((half.shape[dim],), weight, dtype=at.real(half).dtype, device=half.device)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    return half * weights.view([-1 if d == dim % half.ndim else 1 for d in range(half.ndim)])


def _of_rfft(g: Any, input_shape: Any, n: int | None, dim: int, norm: str | None) -> Any:
    # irfft counts the points that stand for their mirror images twice; rfft has made each once.
    n = input_shape[dim] if n is None else n
    return _resized(_fft.irfft(_weighted(g, n, dim, 0.5), n, dim, _ADJOINT[norm]), input_shape, dim)


def _of_irfft(g: Any, input_shape: Any, dim: int, norm: str | None) -> Any:
    half = _fft.rfft(g, None, dim, _ADJOINT[norm])
    return _resized(_weighted(half, g.shape[dim], dim, 2.0), input_shape, dim)


def _with_dims(op: at.Op, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    """Sizes without dimensions are those of the last ones."""
    if s is None or dim is not None:
        return NotImplemented
    return op(input, s, tuple(range(-len(s), 0)), norm)


def register(rule: RuleBook) -> None:
    """Registers them."""
    for name, inverse in (("fft", _fft.ifft), ("ifft", _fft.fft)):
        _register_along_one(rule, name, inverse)
    for name, inverse in (("fftn", _fft.ifftn), ("ifftn", _fft.fftn)):
        _register_along_several(rule, name, inverse)
    rule("rfft", input=_of_rfft)
    rule("irfft", input=_of_irfft)
    rule.linear("fft", "ifft", "fftn", "ifftn", "rfft", "irfft")
    rule.batch("dims", "fft", "ifft", "fftn", "ifftn", "rfft", "irfft")
    for op in (_fft.fftn, _fft.ifftn):
        rule.decompose(op.name, functools.partial(_with_dims, op))


def _register_along_one(rule: RuleBook, name: str, inverse: at.Op) -> None:
    rule(
        name,
        input=lambda g, input_shape, dim, norm: _resized(inverse(g, None, dim, _ADJOINT[norm]), input_shape, dim),
    )


def _register_along_several(rule: RuleBook, name: str, inverse: at.Op) -> None:
    def of_input(g: Any, input_shape: Any, s: Any, dim: Any, norm: str | None) -> Any:
        dims = _dims(input_shape, s, dim)
        return _resized(inverse(g, None, dims, _ADJOINT[norm]), input_shape, *dims)

    rule(name, input=of_input)
