"""Command line: runs programs and wild calls for a while, and ends with status 1 at the first thing that is wrong."""

import argparse
import faulthandler
import sys
import time

from . import Mismatch, run_program, run_wild


def main() -> None:
    """Parses the command line and fuzzes."""
    parser = argparse.ArgumentParser(prog="atled.testing.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the first program; each further one has the next")
    parser.add_argument("--programs", type=int, default=sys.maxsize, help="at most this many")
    parser.add_argument("--steps", type=int, default=40, help="of each program")
    parser.add_argument("--wild", action="store_true", help="call ops with nonsense in place of running programs")
    parser.add_argument("--keep-going", action="store_true", help="report what is wrong and go on")
    arguments = parser.parse_args()
    faulthandler.enable()
    end = time.monotonic() + arguments.seconds
    seed, steps, wrong = arguments.seed, 0, 0
    while time.monotonic() < end and seed - arguments.seed < arguments.programs:
        try:
            steps += (run_wild if arguments.wild else run_program)(seed, arguments.steps)
        except Mismatch as error:
            wrong += 1
            print(f"seed {seed}: {error}", flush=True)
            if not arguments.keep_going:
                break
        seed += 1
    print(f"{seed - arguments.seed} programs, {steps} steps, {wrong} wrong; next seed {seed}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
