"""Seeds and the global generators."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import data
from atled.data import _random
from atled.data._random import Stream, derive_seed, preserved, seed_everything


def test_seeds_are_stable_between_processes() -> None:
    # Python salts hash(str) per process; these must not depend on it.
    code = "from atled.data._random import *; print(derive_seed(Stream.SAMPLE, 1, 2, ('a', 3)))"
    seeds = {subprocess.check_output([sys.executable, "-c", code]) for _ in range(2)}
    assert seeds == {f"{derive_seed(Stream.SAMPLE, 1, 2, ('a', 3))}\n".encode()}


def test_seeds_differ_in_every_part_of_the_key() -> None:
    keys = list(itertools.product(Stream, (0, 1), (0, 1), (0, 1)))
    seeds = [derive_seed(*key) for key in keys]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_integers_of_all_kinds_are_one_key() -> None:
    assert derive_seed(Stream.SAMPLE, 3) == derive_seed(Stream.SAMPLE, np.int64(3)) != derive_seed(Stream.SAMPLE, "3")


def draw() -> tuple[float, float, float]:
    return at.rand(1).item(), float(np.random.random()), random.random()


def test_seeding_reaches_every_generator() -> None:
    with preserved():
        seed_everything(5)
        first = (*draw(), data.sample_seed())
        seed_everything(5)
        assert (*draw(), data.sample_seed()) == first
        seed_everything(6)
        assert all(new != old for new, old in zip((*draw(), data.sample_seed()), first, strict=True))


def test_preserved_gives_back_what_it_found() -> None:
    with preserved():
        seed_everything(1)
        draw()
        expected = (*draw(), *draw())
        seed_everything(1)
        draw()
        start = draw()
        with preserved():
            seed_everything(99)
            draw()
        assert (*start, *draw()) == expected


def test_preserved_gives_back_a_normal_number_that_waits() -> None:
    with preserved():
        np.random.seed(1)
        expected = [np.random.standard_normal() for _ in range(6)]
        np.random.seed(1)
        got = []
        for _ in range(6):
            got.append(np.random.standard_normal())
            with preserved():
                seed_everything(7)
                np.random.standard_normal()
        assert got == expected


def test_threads_that_load_at_once_give_back_what_the_first_has_found() -> None:
    inside, done = threading.Event(), threading.Event()

    def last_out() -> None:
        with preserved():
            seed_everything(7)
            inside.set()
            done.wait()

    def start() -> None:
        at.manual_seed(1)
        np.random.seed(1)
        random.seed(1)

    thread = threading.Thread(target=last_out)
    start()
    expected = draw()
    start()
    with preserved():
        seed_everything(5)
        thread.start()
        inside.wait()
    done.set()
    thread.join()
    assert draw() == expected


@pytest.mark.parametrize("nested", [False, True])
def test_an_interrupt_anywhere_leaves_nobody_inside(nested: bool) -> None:
    parts = (preserved.__wrapped__, _random._enter, _random._leave, _random._States.restore)  # type: ignore[attr-defined]
    watched = {part.__code__ for part in parts}

    def interrupted_at(place: int) -> bool:
        """Whether there is such a place: a line of what enters and leaves, counted as they are run."""
        count = itertools.count()

        def trace(frame: Any, event: str, _: Any) -> Any:
            if frame.f_code not in watched:
                return None
            if event == "line" and next(count) == place:
                sys.settrace(None)
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        try:
            sys.settrace(trace)
            with preserved():
                seed_everything(5)
            return False
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)

    def all_places() -> int:
        place = 0
        while True:
            at.manual_seed(1)
            np.random.seed(1)
            random.seed(1)
            if not interrupted_at(place):
                return place
            assert draw() == expected
            place += 1

    at.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    expected = draw()
    if nested:
        with preserved():
            assert all_places() > 5
    else:
        assert all_places() > 10
    assert not _random._inside.threads


def test_sample_seed_outside_a_loader_follows_the_global_generator() -> None:
    with preserved():
        at.manual_seed(3)
        first = [data.sample_seed() for _ in range(3)]
        at.manual_seed(3)
        assert [data.sample_seed() for _ in range(3)] == first
        assert len(set(first)) == 3
