"""Rules of Fourier transforms: each is linear, so the gradient is its conjugate transpose."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook

_fft = at.ops.fft
_own = at.ops.autograd

# The adjoint of a transform is the inverse one, scaled the other way round.
_ADJOINT = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}


def _resized(g: Any, shape: Any, dim: int) -> Any:
    """The gradient of cutting or padding with zeros along dim, to the input's shape."""
    if g.shape[dim] > shape[dim]:
        return at.narrow(g, dim, 0, shape[dim])
    return g if g.shape[dim] == shape[dim] else _own.pad_to(g, shape)


def register(rule: RuleBook) -> None:
    """Registers them."""
    rule(
        "fft",
        input=lambda g, input_shape, dim, norm: _resized(_fft.ifft(g, None, dim, _ADJOINT[norm]), input_shape, dim),
    )
    rule(
        "ifft",
        input=lambda g, input_shape, dim, norm: _resized(_fft.fft(g, None, dim, _ADJOINT[norm]), input_shape, dim),
    )
