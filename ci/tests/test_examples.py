"""The Python blocks of the README and the manual run as they stand, each page from top to bottom."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from workspace import ROOT

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "packages").glob("*/README.md")),
]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Rules, and what an extension would define, are shown in parts, which do not run by themselves.
PARTIAL = {"autograd.md", "extending.md"}


def blocks(page: Path) -> str:
    return "\n".join(BLOCK.findall(page.read_text()))


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in PARTIAL and BLOCK.search(page.read_text())],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(blocks(page))
    # What talks to other ranks is started as its page says, on two.
    ranks = ["-m", "atled.distributed.run", "--nproc-per-node", "2"] if "init_process_group(" in blocks(page) else []
    command = [sys.executable, *ranks, script]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
