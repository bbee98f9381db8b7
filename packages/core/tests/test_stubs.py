"""The stubs are made from the registry: they hold every public name, and a strict type checker is content with them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import atled.core as at
from atled.core import _core, _registry, _stubs

USE = """
import atled.core as at
from atled.core import Tensor, float32

def train(x: Tensor, w: Tensor) -> float:
    y = (x @ w + 1).exp().sum(dim=0, keepdim=True)
    z = at.add(y, 2, alpha=0.5).reshape(1, -1).permute((1, 0))
    y = at.mean(y, axis=(0, -1), keepdims=True).sum(axis=0)
    values, indices = z.sort(0)
    reveal_type(z.sort(0).values)
    z.mul_(2).clamp_(min=0)
    at.exp(x, out=y)
    at.zeros(2, 3, dtype=float32, device="cpu", requires_grad=True)
    reveal_type(at.float32)
    reveal_type(x.shape[1:].numel())
    x.contiguous(memory_format=at.channels_last).is_contiguous(memory_format=at.channels_last)
    reveal_type(x[0])
    reveal_type(x == 1)
    reveal_type(at.rand(2, generator=at.Generator()))
    at.save({"w": w}, "w.safetensors")
    with at.printoptions(precision=2):
        print(x)
    return float(indices[0] * 2) + 1 / float(values.mean())

train(at.ones(2), at.exp("text"))
at.zeros(2).transpose(0)
at.ones(2, colour=3)
"""


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fresh stubs, made by the same command that the build runs, in a folder that can stand for the package."""
    folder = tmp_path_factory.mktemp("stubs") / "atled" / "core"
    script = Path(_stubs.__file__)
    built = Path(_core.__file__ or "").parent
    command = [sys.executable, str(script), "--module-dir", str(built), "--output", str(folder / "__init__.pyi")]
    subprocess.run(command, check=True, timeout=60)
    for name in ("_ops", "_paths", "_printing", "_serialization", "_registry"):
        (folder / f"{name}.py").write_text((script.parent / f"{name}.py").read_text())
    return folder


def names_in(path: Path, cls: str | None = None) -> set[str]:
    body: list[ast.stmt] = ast.parse(path.read_text()).body
    if cls is not None:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == cls)
    found: set[str] = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def test_every_public_function_is_in_the_stub(stubs: Path) -> None:
    known = names_in(stubs / "__init__.pyi")
    assert {name for name in dir(at) if not name.startswith("_")} - known - {"annotations"} == set()


def test_every_method_is_in_the_stub(stubs: Path) -> None:
    known = names_in(stubs / "_core.pyi", "Tensor")
    methods = {name for name in vars(at.Tensor) if not name.startswith("_")}
    assert {name for name in methods if not hasattr(vars(at.Tensor)[name], "__wrapped__")} - known - addons() == set()


def addons() -> set[str]:
    """What other wheels have put on Tensor in this process."""
    return set(_registry.names("atled.tensor_attributes"))


def test_the_stub_has_nothing_that_does_not_exist(stubs: Path) -> None:
    typing_only = {"Scalar", "overload", "Sequence"} | {op.name + "_result" for op in _core.ops()}
    typing_only |= _registry.known_names("atled.functions")  # where the wheel that has them is installed
    known = {name for name in names_in(stubs / "__init__.pyi") if not name.startswith("_")}
    assert {name for name in known - typing_only if not hasattr(at, name)} == set()


def test_a_strict_type_checker_understands_it(stubs: Path, tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    (tmp_path / "use.py").write_text(USE)
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\nmypy_path = {stubs.parents[1]}\nnamespace_packages = True\n")
    options = ["--strict", "--config-file", str(config), "--cache-dir", str(tmp_path / "cache"), "--no-error-summary"]
    out, err, _ = api.run([*options, str(tmp_path / "use.py")])
    assert err == ""
    lines = [line.split("use.py:")[-1] for line in out.splitlines()]
    revealed = [
        line.split('"')[1].replace("atled.core._core.", "").replace("builtins.", "")
        for line in lines
        if "Revealed type" in line
    ]
    assert revealed == ["Tensor", "dtype", "int", "Tensor", "Tensor", "Tensor"]
    # The last three statements are wrong, and nothing else is.
    wrong = sorted({int(line.split(":")[0]) for line in lines if " error: " in line})
    assert wrong == list(range(len(USE.splitlines()) - 2, len(USE.splitlines()) + 1)), out
