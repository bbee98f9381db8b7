"""A softmax over very many classes, most of them rare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import atled.core as at
from atled.core import Tensor, special
from atled.core._explained import explained

from .._module import Module
from ._containers import ModuleList, Sequential
from ._linear import Linear


class _Answer(NamedTuple):
    output: Tensor  # the log-probability of each target
    loss: Tensor  # the mean of its negative


class AdaptiveLogSoftmaxWithLoss(Module):
    """``log_softmax`` in two steps, so that rare classes cost little (Grave et al. 2017, "Efficient softmax").

    ``cutoffs`` split the ``n_classes``, ordered from the most frequent one on. The head tells apart the classes below
    the first cutoff and the clusters between the others; the classes of cluster i are told apart after a projection to
    ``in_features // div_value ** (i + 1)`` features, for those rows alone whose target lies there.

    Input ``(N, in_features)`` and targets ``(N,)``, or ``(in_features,)`` and ``()``. The answer has ``output``, the
    log-probability of each target, and ``loss``, the mean of its negative.

    InvalidValueError for cutoffs that do not increase from above 0 to below ``n_classes``, and for targets that are no
    classes; ShapeError where input and target do not fit.

    >>> import atled.core as at
    >>> layer = AdaptiveLogSoftmaxWithLoss(8, 100, cutoffs=[10, 40])
    >>> output, loss = layer(at.ones(3, 8), at.tensor([2, 15, 99]))
    >>> output.shape, layer.log_prob(at.ones(3, 8)).shape, layer.predict(at.ones(3, 8)).shape
    ((3,), (3, 100), (3,))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: at.device | str | None = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        given = list(cutoffs)
        whole = all(hasattr(n, "__index__") for n in given)
        if not given or not whole or given != sorted(set(given)) or not 0 < given[0] <= given[-1] < n_classes:
            raise at.InvalidValueError(
                f"AdaptiveLogSoftmaxWithLoss: expected cutoffs that increase, from above 0 to below {n_classes}, "
                f"got {given}"
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*given, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = given[0], len(given)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            narrow = int(in_features // div_value ** (i + 1))
            self.tail.append(
                Sequential(
                    Linear(in_features, narrow, bias=False, device=device, dtype=dtype),
                    Linear(narrow, self.cutoffs[i + 1] - self.cutoffs[i], bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draws new weights."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _Answer:
        """The log-probability of each target, and the loss."""
        if target_.ndim not in (0, 1) or input_.shape[:-1] != target_.shape:
            raise at.ShapeError(
                f"AdaptiveLogSoftmaxWithLoss: expected input (N, {self.in_features}) and target (N,), or without N, "
                f"got {input_.shape} and {target_.shape}"
            )
        rows, target = (input_, target_) if target_.ndim else (input_.unsqueeze(0), target_.unsqueeze(0))
        self._expect_classes(target)
        # Which cluster: how many cutoffs are not above the target.
        cluster = sum(((target >= cutoff).to(at.int64) for cutoff in self.cutoffs[1:-1]), at.zeros_like(target))
        rare = target >= self.shortlist_size
        head = special.log_softmax(self.head(rows), 1)
        output = head.gather(1, at.where(rare, self.shortlist_size + cluster, target).unsqueeze(1)).squeeze(1)
        for i, tail in enumerate(self.tail):
            (here,) = at.nonzero(rare & (cluster == i), as_tuple=True)
            if here.numel():
                inside = special.log_softmax(tail(rows[here]), 1)
                places = (target[here] - self.cutoffs[i]).unsqueeze(1)
                output = output.index_add(0, here, inside.gather(1, places).squeeze(1))
        loss = (-output).mean()
        return _Answer(output if target_.ndim else output.squeeze(0), loss)

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes, ``(N, n_classes)``."""
        head = special.log_softmax(self.head(input), 1)
        short, clusters = head.split([self.shortlist_size, self.n_clusters], 1)
        parts = [special.log_softmax(tail(input), 1) + clusters[:, i : i + 1] for i, tail in enumerate(self.tail)]
        return at.cat([short, *parts], 1)

    @explained
    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row, ``(N,)``; `log_prob` is computed only where the head names a cluster."""
        best: Tensor = self.head(input).argmax(1)
        (unsure,) = at.nonzero(best >= self.shortlist_size, as_tuple=True)
        return best.index_copy(0, unsure, self.log_prob(input[unsure]).argmax(1)) if unsure.numel() else best

    def _expect_classes(self, target: Tensor) -> None:
        if target.device.type == "cpu" and target.numel() and not target._is_opaque():
            least, most = (int(bound) for bound in target.aminmax())
            if least < 0 or most >= self.n_classes:
                raise at.InvalidValueError(
                    f"AdaptiveLogSoftmaxWithLoss: expected targets from 0 to {self.n_classes - 1}, "
                    f"got {least if least < 0 else most}"
                )
