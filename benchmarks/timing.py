"""Timing that compares: every peer is measured in turn, round after round, so that a noisy moment hits them all."""

import statistics
import time
from collections.abc import Callable, Mapping

Call = Callable[[], object]
Clock = Callable[[], float]

# Worker threads of one peer spin for a while after its work; they must not run into the next peer's time.
_SETTLE = 0.004


def _seconds(call: Call, repeats: int, clock: Clock = time.perf_counter) -> float:
    """Seconds of ``repeats`` calls."""
    rounds = range(repeats)
    start = clock()
    for _ in rounds:
        call()
    return clock() - start


def repeats_for(call: Call, target: float) -> int:
    """How many calls take about ``target`` seconds, at least one."""
    call()
    repeats = 1
    while True:
        elapsed = _seconds(call, repeats)
        if elapsed >= target / 4:
            return max(1, round(repeats * target / elapsed))
        repeats *= 4


def compare(
    peers: Mapping[str, Call], rounds: int = 15, target: float = 0.02, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds per call of each peer, one number for each round.

    Args:
        peers: what to call, by name.
        rounds: how often each peer is measured; their order turns by one from round to round.
        target: seconds that one peer runs in one round.
        clock: of wall-clock seconds, or of this process's on all processors.
    """
    names = list(peers)
    repeats = {name: repeats_for(peers[name], target) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(_SETTLE)
            seconds[name].append(_seconds(peers[name], repeats[name], clock) / repeats[name])
    return seconds


def median_ratio(seconds: Mapping[str, list[float]], name: str, reference: str) -> float:
    """The median over rounds of ``name``'s time relative to ``reference``'s in the same round."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[reference], strict=True))
