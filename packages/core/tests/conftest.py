"""Fixtures of core's tests: fake distributions that plug into atled."""

import os
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import pytest
from distributions import MakeDistribution

from atled.core import _registry

# Without CuPy, device "cuda" is tested with a stand-in for it, whose LAPACK is SciPy's.
if os.environ.get("ATLED_TEST_DEVICE", "").startswith("cuda") and util.find_spec("cupy") is None:
    sys.path.append(str(Path(__file__).parent / "cuda" / "emulator" / "fake_cupy"))


@pytest.fixture
def make_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDistribution]:
    """`make_distribution(name, {group: {entry: value}}, {module: source})` installs one for the test."""
    modules: list[str] = []

    def make(
        name: str,
        entry_points: dict[str, dict[str, str]],
        sources: dict[str, str] | None = None,
        version: str = "1.0",
    ) -> Path:
        folder = tmp_path / f"site-{len(list(tmp_path.iterdir()))}"
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [
            line
            for group, entries in entry_points.items()
            for line in [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in (sources or {}).items():
            (folder / f"{module}.py").write_text(source)
            modules.append(module)
        monkeypatch.syspath_prepend(str(folder))
        _registry.refresh()
        return folder

    # What one test's distribution became must not be remembered for the next one's of the same name.
    monkeypatch.setattr(_registry, "_known", dict(_registry._known))
    _registry.refresh()
    yield make
    for module in modules:
        sys.modules.pop(module, None)
    _registry.refresh()
