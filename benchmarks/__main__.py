"""Command line: ``python -m benchmarks [group...]`` measures, prints ratios beside budgets, and saves both."""

import argparse
import statistics
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.report import Result, plot, save_json, spread, table
from benchmarks.rows import GROUPS, Row
from benchmarks.timing import compare, median_ratio

RESULTS = Path(__file__).resolve().parent / "results"


def measure(row: Row, rounds: int) -> Result:
    """Times a row's peers side by side, or takes over what it measured itself."""
    if row.measured:
        ratios = {peer: row.measured["atled"] / value for peer, value in row.measured.items() if peer != "atled"}
        return Result(row.name, row.unit, row.measured, ratios, row.budgets)
    seconds = compare(row.peers, rounds)
    values = {peer: statistics.median(times) for peer, times in seconds.items()}
    ratios = {peer: median_ratio(seconds, "atled", peer) for peer in seconds if peer != "atled"}
    return Result(row.name, row.unit, values, ratios, row.budgets, {peer: spread(s) for peer, s in seconds.items()})


def main() -> None:
    """Measures the chosen groups; with ``--check``, ends with status 1 if a budget is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("group", nargs="*", help=f"what to measure, of {', '.join(GROUPS)}; everything by default")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each peer (default 15, at least 2)")
    parser.add_argument("--check", action="store_true", help="fail if a budget is missed")
    arguments = parser.parse_args()
    if unknown := set(arguments.group) - set(GROUPS):
        parser.error(f"expected groups of {', '.join(GROUPS)}; got {', '.join(sorted(unknown))}")
    results: list[Result] = []
    broken: list[str] = []
    for group in arguments.group or GROUPS:
        for row in GROUPS[group]():
            # One broken row must not cost the others their numbers.
            try:
                results.append(measure(row, arguments.rounds))
                print(f"  {row.name}", file=sys.stderr, flush=True)
            except Exception as error:
                broken.append(f"{row.name}: {type(error).__name__}: {error}")
    versions = {name: metadata.version(name) for name in ("atled-core", "numpy", "torch")}
    save_json(results, versions, RESULTS / "latest.json")
    plot(results, RESULTS / "latest.png")
    print(table(results))
    print(f"\nmedians of {arguments.rounds} rounds; saved as {RESULTS / 'latest.json'} and .png")
    if broken:
        print("\nnot measured:", *broken, sep="\n  ")
    sys.exit(bool(broken) or (arguments.check and not all(result.within for result in results)))


if __name__ == "__main__":
    main()
