"""Command line: runs programs and wild calls for a while, and ends with status 1 at the first thing that is wrong."""

import argparse
import faulthandler
import sys
import time

from . import Mismatch, run_gradients, run_program, run_wild
from ._gradient_check import Tally
from ._gradient_torch import compare_with_torch


def main() -> None:
    """Parses the command line and fuzzes."""
    parser = argparse.ArgumentParser(prog="atled.testing.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the first program; each further one has the next")
    parser.add_argument("--programs", type=int, default=sys.maxsize, help="at most this many")
    parser.add_argument("--steps", type=int, help="of each program; 40, of gradients 8")
    parser.add_argument("--gradients", action="store_true", help="compare gradients with finite differences")
    parser.add_argument("--torch", action="store_true", help="compare gradients with PyTorch's too")
    parser.add_argument("--wild", action="store_true", help="call ops with nonsense in place of running programs")
    parser.add_argument("--device", default="cpu", help="where all that runs; cpu")
    parser.add_argument("--keep-going", action="store_true", help="report what is wrong and go on")
    arguments = parser.parse_args()
    faulthandler.enable()
    end = time.monotonic() + arguments.seconds
    seed, steps, wrong, tally = arguments.seed, 0, 0, Tally()
    length = arguments.steps or (8 if arguments.gradients else 40)
    while time.monotonic() < end and seed - arguments.seed < arguments.programs:
        try:
            if arguments.gradients:
                peer = compare_with_torch if arguments.torch else None
                tally += run_gradients(seed, length, peer, arguments.device)
            else:
                steps += (run_wild if arguments.wild else run_program)(seed, length, arguments.device)
        except Mismatch as error:
            wrong += 1
            print(f"seed {seed}: {error}", flush=True)
            if not arguments.keep_going:
                break
        seed += 1
    done = str(tally) if arguments.gradients else f"{steps} steps"
    print(f"{seed - arguments.seed} programs, {done}, {wrong} wrong; next seed {seed}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
