"""Command line: ``python -m benchmarks [group...]`` measures, prints ratios beside budgets, and saves both."""

import argparse
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path

import torch

import atled.core as at
from benchmarks.report import Result, markdown, plot, read_json, save_json, spread, table
from benchmarks.rows import GROUPS, Row
from benchmarks.timing import Clock, compare, median_ratio

RESULTS = Path(__file__).resolve().parent / "results"


def measure(row: Row, rounds: int, group: str, clock: Clock = time.perf_counter) -> Result:
    """Times a row's peers side by side, or takes over what it measured itself."""
    if row.measured:
        ratios = {peer: row.measured["atled"] / value for peer, value in row.measured.items() if peer != "atled"}
        return Result(row.name, row.unit, row.measured, ratios, row.budgets, group=group)
    seconds = compare(row.peers, rounds, clock=clock)
    values = {peer: statistics.median(times) for peer, times in seconds.items()}
    ratios = {peer: median_ratio(seconds, "atled", peer) for peer in seconds if peer != "atled"}
    spreads = {peer: spread(times) for peer, times in seconds.items()}
    return Result(row.name, row.unit, values, ratios, row.budgets, spreads, group)


def main() -> None:
    """Measures the chosen groups; with ``--check``, ends with status 1 if a budget is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("group", nargs="*", help=f"what to measure, of {', '.join(GROUPS)}; everything by default")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each peer (default 15, at least 2)")
    parser.add_argument("--threads", type=int, help="how many atled and PyTorch may use; all processors by default")
    parser.add_argument("--cpu-time", action="store_true", help="processor time: for a busy machine, and one thread")
    parser.add_argument("--check", action="store_true", help="fail if a budget is missed")
    parser.add_argument("--save", default="latest", help="name of the files in benchmarks/results (default latest)")
    parser.add_argument("--update", action="store_true", help="keep what these files have of the other groups")
    parser.add_argument("--markdown", action="store_true", help="print a table for the documentation")
    arguments = parser.parse_args()
    if unknown := set(arguments.group) - set(GROUPS):
        parser.error(f"expected groups of {', '.join(GROUPS)}; got {', '.join(sorted(unknown))}")
    if arguments.threads:
        at.set_num_threads(arguments.threads)
        torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    path = RESULTS / f"{arguments.save}.json"
    chosen = arguments.group or list(GROUPS)
    kept = read_json(path) if arguments.update and path.exists() else []
    found = {group: [result for result in kept if result.group == group] for group in GROUPS}
    broken: list[str] = []
    for group in chosen:
        found[group] = []
        for row in GROUPS[group]():
            # One broken row must not cost the others their numbers.
            try:
                found[group].append(measure(row, arguments.rounds, group, clock))
                print(f"  {row.name}", file=sys.stderr, flush=True)
            except Exception as error:
                broken.append(f"{row.name}: {type(error).__name__}: {error}")
    results = [result for group in GROUPS for result in found[group]]
    save_json(results, _versions("atled-core", "numpy", "torch", "jax", "mlx"), path, arguments.threads)
    plot(results, path.with_suffix(".png"))
    shown = [result for group in chosen for result in found[group]]
    print(markdown(shown) if arguments.markdown else table(shown))
    print(f"\nmedians of {arguments.rounds} rounds; saved as {path} and .png")
    if broken:
        print("\nnot measured:", *broken, sep="\n  ")
    sys.exit(bool(broken) or (arguments.check and not all(result.within for result in shown)))


def _versions(*names: str) -> dict[str, str]:
    installed = {distribution.metadata["Name"].lower() for distribution in metadata.distributions()}
    return {name: metadata.version(name) for name in names if name in installed}


if __name__ == "__main__":
    main()
