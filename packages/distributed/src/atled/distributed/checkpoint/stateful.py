"""Objects that checkpoints take as they are."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["Stateful"]


@runtime_checkable
class Stateful(Protocol):
    """What has a state dict, and takes one: models, optimizers, schedulers, or what a program makes of all of them.

    ``checkpoint.save`` and ``load`` take one as a value of the state that they are given.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> from atled.distributed import checkpoint
    >>> class Training(checkpoint.stateful.Stateful):
    ...     def __init__(self, model, optimizer):
    ...         self.model, self.optimizer, self.epoch = model, optimizer, 0
    ...     def state_dict(self):
    ...         model, optimizer = checkpoint.state_dict.get_state_dict(self.model, self.optimizer)
    ...         return {"model": model, "optimizer": optimizer, "epoch": self.epoch}
    ...     def load_state_dict(self, state_dict):
    ...         checkpoint.state_dict.set_state_dict(
    ...             self.model,
    ...             self.optimizer,
    ...             model_state_dict=state_dict["model"],
    ...             optim_state_dict=state_dict["optimizer"],
    ...         )
    ...         self.epoch = state_dict["epoch"]
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> training = Training(model, optim.AdamW(model.parameters(), lr=1e-3))
    >>> training.epoch = 3
    >>> checkpoint.save({"training": training}, checkpoint_id="checkpoints/training")
    >>> training.epoch = 0
    >>> checkpoint.load({"training": training}, checkpoint_id="checkpoints/training")
    >>> training.epoch
    3
    >>> training.load_state_dict(training.state_dict())  # what load does with what it has read
    """

    def state_dict(self) -> dict[str, Any]:
        """The state, as values that ``checkpoint.save`` takes."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Takes over what ``state_dict()`` has given, with other values in it."""
        ...
