"""atled-distributed with core alone: tensors travel; data-parallel training says which wheel it lacks."""

import pytest

import atled.core as at
from atled import distributed as dist


class Module:
    """One parameter, and no more of a module than is asked for."""

    def __init__(self) -> None:
        self.weight = at.zeros((2,))

    def named_parameters(self) -> list[tuple[str, at.Tensor]]:
        return [("weight", self.weight)]


def exchange(rank: int) -> list[float]:
    dist.init_process_group(timeout=60)
    total = at.full((2,), rank + 1.0)
    dist.all_reduce(total)
    with pytest.raises(AttributeError, match=r"Tensor\.requires_grad comes with atled-autograd"):
        dist.DistributedDataParallel(Module())
    return total.tolist()


def test_tensors_travel_between_processes() -> None:
    assert dist.spawn(exchange, nprocs=2) == [[3.0, 3.0]] * 2
