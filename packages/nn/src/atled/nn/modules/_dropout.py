"""Dropout."""

from __future__ import annotations

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .._module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise at.InvalidValueError(f"{type(self).__name__}: expected p in [0, 1], got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        """The settings."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, zeroes each element with probability ``p`` and divides the others by ``1 - p``.

    After Srivastava et al. 2014. Any shape, floats; in evaluation the input itself. InvalidValueError for ``p`` outside
    of [0, 1].

    >>> import atled.core as at
    >>> layer = Dropout(0.75)
    >>> sorted(set(layer(at.ones(1000)).tolist())), layer.eval()(at.ones(2)).tolist()
    ([0.0, 4.0], [1.0, 1.0])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """In training, zeroes whole channels of ``(N, C, L)`` or ``(C, L)`` with probability ``p``; scales the others up.

    In evaluation the input itself. ShapeError for another number of dimensions.

    >>> import atled.core as at
    >>> Dropout1d().eval()(at.ones(1, 2, 3)).sum().item()
    6.0
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """In training, zeroes whole channels of ``(N, C, H, W)`` with probability ``p``; divides the others by ``1 - p``.

    After Tompson et al. 2015. In evaluation the input itself. ShapeError for fewer than two dimensions.

    >>> import atled.core as at
    >>> set(Dropout2d(0.5)(at.ones(8, 16, 3, 3)).sum((2, 3)).flatten().tolist()) <= {0.0, 18.0}
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """In training, zeroes whole channels of ``(N, C, D, H, W)`` or ``(C, D, H, W)`` with probability ``p``.

    The others are divided by ``1 - p``; in evaluation the input itself. ShapeError for another number of dimensions.

    >>> import atled.core as at
    >>> set(Dropout3d(0.5)(at.ones(8, 16, 1, 3, 3)).sum((2, 3, 4)).flatten().tolist()) <= {0.0, 18.0}
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """In training, dropout that keeps mean 0 and deviation 1, to go with `SELU` (Klambauer et al. 2017, section 3).

    What is dropped becomes what `SELU` tends to on the left; then all are scaled and moved. Any shape, floats; in
    evaluation the input itself.

    >>> import atled.core as at
    >>> y = AlphaDropout(0.5)(at.randn(100000))
    >>> abs(y.mean().item()) < 0.05, abs(y.std().item() - 1) < 0.05
    (True, True)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """In training, `AlphaDropout` of whole channels of ``(N, C, ...)``; in evaluation the input itself.

    >>> import atled.core as at
    >>> y = FeatureAlphaDropout()(at.zeros(8, 16, 3))
    >>> bool((y == y[..., :1]).all())
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
