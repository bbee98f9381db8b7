"""Results as a table, as JSON and as a picture."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

PEERS = ("atled", "numpy", "torch")
RATIOS = ("torch", "numpy", "jax", "mlx", "copy")


@dataclass(frozen=True)
class Result:
    """A measured row: the median of each peer, atled's ratios to the others, and what the budget allows."""

    name: str
    unit: str
    values: Mapping[str, float]
    ratios: Mapping[str, float]
    budgets: Mapping[str, float]
    spread: Mapping[str, float] = field(default_factory=dict)
    group: str = ""

    def used(self, against: str) -> float:
        """The ratio, or the absolute value, that a budget limits."""
        return self.values["atled"] if against == "absolute" else self.ratios[against]

    @property
    def within(self) -> bool:
        """Whether every budget of the row is kept."""
        return all(self.used(against) <= limit for against, limit in self.budgets.items())


def spread(rounds: Sequence[float]) -> float:
    """Half the distance between the quartiles, relative to the median."""
    low, middle, high = statistics.quantiles(rounds, n=4)
    return (high - low) / 2 / middle


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit != "s":
        return f"{value:.1f} {unit}"
    for factor, name in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if value * factor < 1000:
            return f"{value * factor:.3g} {name}"
    return f"{value:.3g} s"


def _budget(result: Result) -> str:
    units = {"absolute": f" {result.unit}"}
    return ", ".join(f"{limit:.3g}{units.get(against, f' {against}')}" for against, limit in result.budgets.items())


def _ratios(result: Result) -> list[str]:
    return [f"{result.ratios[peer]:.2f}" if peer in result.ratios else "-" for peer in RATIOS]


def table(results: Sequence[Result]) -> str:
    """The results as aligned text, a line each."""
    head = ["", *PEERS, *(f"/{peer}" for peer in RATIOS), "at most", ""]
    lines = [head]
    for result in results:
        values = [_value(result.values.get(peer), result.unit) for peer in PEERS]
        verdict = ("ok" if result.within else "MISSED") if result.budgets else ""
        lines.append([result.name, *values, *_ratios(result), _budget(result), verdict])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (
        line[0].ljust(widths[0]) + "".join(f"  {c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True))
        for line in lines
    )
    return "\n".join(rows)


def markdown(results: Sequence[Result]) -> str:
    """The results as a table for the documentation; what misses its budget is bold."""
    lines = ["| | atled | " + " | ".join(f"of {peer}" for peer in RATIOS) + " | at most of torch |", "|---" * 7 + "|"]
    for result in results:
        cells = [
            f"**{text}**" if peer in result.budgets and result.used(peer) > result.budgets[peer] else text
            for peer, text in zip(RATIOS, _ratios(result), strict=True)
        ]
        limit = f"{result.budgets['torch']:g}" if "torch" in result.budgets else "-"
        lines.append(f"| {' | '.join([result.name, _value(result.values['atled'], result.unit), *cells, limit])} |")
    return "\n".join(lines)


def save_json(results: Sequence[Result], versions: Mapping[str, str], path: Path, threads: int | None = None) -> None:
    """Writes the results with what they were measured on."""
    machine = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        **versions,
    }
    content = {"machine": machine, "results": [{**asdict(result), "within": result.within} for result in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> list[Result]:
    """The results that :func:`save_json` wrote."""
    names = {spec.name for spec in fields(Result)}
    rows = json.loads(path.read_text())["results"]
    return [Result(**{name: value for name, value in row.items() if name in names}) for row in rows]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def plot(results: Sequence[Result], path: Path) -> None:
    """Draws atled's share of each peer's time, with the budgets as marks."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    timed = [result for result in results if "torch" in result.ratios and result.unit == "s"][::-1]
    if not timed:
        return
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.17 * len(timed)), layout="constrained")
    for peer, colour, mark in (("torch", "#c8553d", "o"), ("numpy", "#4a6fa5", "x")):
        rows = [(y, result.ratios[peer]) for y, result in enumerate(timed) if peer in result.ratios]
        axes.plot(
            [r for _, r in rows], [y for y, _ in rows], mark, color=colour, markersize=4, label=f"time / {peer}'s"
        )
    marks = [(y, result.budgets["torch"]) for y, result in enumerate(timed) if "torch" in result.budgets]
    axes.plot([x for _, x in marks], [y for y, _ in marks], "k|", markersize=7, label="budget beside torch")
    axes.axvline(1, color="0.6", linewidth=1)
    axes.set_xscale("log")
    axes.grid(axis="x", which="major", color="0.9")
    axes.set_yticks(range(len(timed)), [result.name for result in timed], fontsize=6)
    axes.set_ylim(-1, len(timed))
    axes.set_xlabel("atled's time relative to the peer's (less is better)")
    axes.legend(loc="upper right", frameon=False, fontsize=7)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
