"""Seeds and the global generators."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import numpy as np

import atled.core as at
from atled import data
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


def test_sample_seed_outside_a_loader_follows_the_global_generator() -> None:
    with preserved():
        at.manual_seed(3)
        first = [data.sample_seed() for _ in range(3)]
        at.manual_seed(3)
        assert [data.sample_seed() for _ in range(3)] == first
        assert len(set(first)) == 3
