"""Writes the type stubs of atled.core from the registry; run when the wheel is built.

``python _stubs.py --module-dir <folder of the built _core> --output <folder>/__init__.pyi`` writes ``_core.pyi`` beside
it, the extension module's own classes from the template ``_core.pyi.in`` with a method for each op on Tensor, and a
stub for each further namespace of core's own ops.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import keyword
import re
import sys
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._reference import OpReference

_MARK = "    # The ops.\n"
_HERE = Path(__file__).parent

_HEADER = '''\
"""Tensors, dtypes, devices and operators. Written by _stubs.py from the op registry."""

from collections.abc import Sequence
from typing import Any

from . import _core as _core
{modules}from ._core import Scalar as Scalar
from ._core import _bool, _device, _dtype, _float, _int, _layout, _memory_format, _str
from ._ops import ops as ops

__version__: _str
half: _dtype
float: _dtype
double: _dtype
short: _dtype
int: _dtype
long: _dtype
cfloat: _dtype
cdouble: _dtype
e: _float
pi: _float
inf: _float
nan: _float
newaxis: None
__array_api_version__: _str
'''


_NAMESPACE_HEADER = '''\
"""The ops of atled.core.{name}. Written by _stubs.py from the op registry."""

from collections.abc import Sequence
from typing import NamedTuple, overload

from ._core import _bool, _device, _dtype, _float, _int, _layout, _memory_format, _str
from ._core import Generator, Scalar, Tensor{results}
{own}
'''


def python_names() -> dict[str, str]:
    """What __init__.py takes from modules written in Python, at once or when asked for: name -> import line."""
    found: dict[str, str] = {}
    for node in ast.parse((_HERE / "__init__.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.endswith(("._core", "._ops")):
            module = node.module.rpartition(".")[2]
            found |= {a.asname: f"from .{module} import {a.name} as {a.asname}\n" for a in node.names if a.asname}
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_LAZY":
            lazy = eval(compile(ast.Expression(node.value), "_LAZY", "eval"))  # a literal, but for its stars
            found |= {n: f"from .{module} import {n} as {n}\n" for module, names in lazy.items() for n in names}
    return found


def addon_names() -> Iterator[str]:
    """The import lines of what other wheels put into atled.core; what they define is unknown without them."""
    registry = importlib.import_module("atled.core._registry")
    for name in sorted(registry.known_names("atled.functions")):
        if "." not in name:
            home = registry.hint("atled.functions", name).replace("-", ".").removesuffix(f".{name}")
            unknown = "# type: ignore[attr-defined, import-not-found, unused-ignore]"
            yield f"from {home} import {name} as {name}  {unknown}\n"


def import_built(module_dir: Path) -> tuple[Any, Any]:
    """The modules _core and _reference, from a build that is not installed (so without atled.core's __init__)."""
    for name in ("atled", "atled.core"):
        package = types.ModuleType(name)
        package.__path__ = [str(module_dir), str(_HERE)] if name == "atled.core" else []
        sys.modules[name] = package
    return importlib.import_module("atled.core._core"), importlib.import_module("atled.core._reference")


def _parameters(op: OpReference, method: bool, variadic: bool, inplace: bool) -> str:
    """The parameter list of one form; `variadic` chooses the overload with loose integers."""
    parts: list[str] = []
    starred = False
    for i, argument in enumerate(op.arguments):
        if i == 0 and method:
            parts.append("self")
            continue
        if argument.variadic and variadic:
            parts.append(f"*{argument.name}: {'Tensor' if 'Tensor' in argument.schema_type else '_int'}")
            starred = True
            continue
        if argument.keyword_only and not starred:
            parts.append("*")
            starred = True
        # PyTorch's uniform_ calls an argument `from`, which only a position can give.
        name = argument.name + "_" * keyword.iskeyword(argument.name)
        text = f"{name}: {argument.annotation}"
        parts.append(text if argument.default is None else f"{text} = {argument.default}")
    extra: list[str] = []
    if op.has_out and not inplace:
        several = f"tuple[{', '.join(['Tensor'] * len(op.results))}]"
        extra.append(f"out: {several if len(op.results) > 1 else 'Tensor'} | None = None")
    if "factory" in op.traits:
        extra += ["requires_grad: _bool = False", "pin_memory: _bool = False", "layout: _layout | None = None"]
        extra.append("memory_format: _memory_format | None = None")
    extra += (f"{name}: {argument.annotation} = {argument.default}" for name, argument in op.synonyms)
    if extra and not starred:
        parts.append("*")
    return ", ".join(parts + extra)


def functions(op: OpReference, *, method: bool = False) -> Iterator[str]:
    """The definitions of an op's forms: overloads where it takes loose integers, in place, other names."""
    indent = "    " if method else ""
    reference, facts = (importlib.import_module(f"atled.core.{name}") for name in ("_reference", "_facts"))
    text = reference.with_facts(op.doc, facts.facts(op)).replace("\\", "\\\\").replace('"""', '\\"\\"\\"').splitlines()
    doc = "\n".join(f"{indent}    {line}".rstrip() for line in text).lstrip() + (
        f"\n{indent}    " if len(text) > 1 else ""
    )
    overloaded = any(argument.variadic for argument in op.arguments)
    for name in (op.name, *op.aliases):
        for inplace in (False, True) if op.has_inplace else (False,):
            for variadic in (False, True) if overloaded else (False,):
                if overloaded:
                    yield f"{indent}@overload\n"
                parameters = _parameters(op, method, variadic, inplace)
                yield f"{indent}def {name}{'_' * inplace}({parameters}) -> {op.returns}:\n"
                yield (f'{indent}    """{doc}"""\n' if not inplace and not variadic else f"{indent}    ...\n")


def result_classes(ops: Iterable[OpReference]) -> Iterator[str]:
    """The classes of several named results."""
    for op in ops:
        if op.result_class:
            yield f"class {op.result_class}(NamedTuple):\n"
            yield from (f"    {name}: Tensor\n" for name, _ in op.results)
            yield "\n"


def core_stub(template: str, ops: list[OpReference]) -> str:
    """The text of _core.pyi."""
    before, after = template.split(_MARK)
    # What the C type has itself comes before an op of the same name.
    own = before[before.index("class Tensor:") :].splitlines()
    taken = {line.split("(")[0].removeprefix("    def ") for line in own if line.startswith("    def ")}
    methods = [op for op in ops if op.is_method]
    parts: list[str] = []
    for op in methods:
        names = tuple(name for name in (op.name, *op.aliases) if name not in taken)
        if names:
            parts += functions(_renamed(op, names), method=True)
    return before + "".join(parts) + after + "\n" + "".join(result_classes(ops))


def _renamed(op: OpReference, names: tuple[str, ...]) -> OpReference:
    import dataclasses

    return dataclasses.replace(op, name=names[0], aliases=names[1:])


def namespace_stub(name: str, ops: list[OpReference]) -> str:
    """The text of a further namespace's stub; what core names too has its class of results there."""
    shared = [op for op in ops if any(other.startswith("core::") for other in op.elsewhere)]
    own = [op for op in ops if op not in shared]
    results = "".join(f", {op.result_class}" for op in shared if op.result_class)
    # What the module has beside its ops, it imports by name.
    lines = (_HERE / f"{name}.py").read_text().splitlines()
    imported = "".join(f"{line}\n" for line in lines if re.fullmatch(r"from \S+ import (\w+) as \1", line))
    header = _NAMESPACE_HEADER.format(name=name, results=results, own=imported)
    return header + "".join(result_classes(own)) + "".join(text for op in ops for text in functions(op))


def init_stub(ops: list[OpReference], taken: Iterable[str], namespaces: Iterable[str] = ()) -> str:
    """The text of __init__.pyi; `taken` are the extension module's own names."""
    python = python_names()
    names = {op.result_class for op in ops if op.result_class}
    names |= {name for name in taken if not name.startswith("_")} - {"ops"}
    imported = [f"from ._core import {name} as {name}\n" for name in sorted(names)]
    parts: list[str] = []
    for op in ops:
        chosen = tuple(name for name in (op.name, *op.aliases) if name not in taken and name not in python)
        if chosen:
            parts += functions(_renamed(op, chosen))
    overload = "from typing import overload\n" if any("@overload" in part for part in parts) else ""
    modules = "".join(f"from . import {name} as {name}\n" for name in namespaces)
    header = _HEADER.replace("from typing import Any\n", overload).replace("{modules}", modules)
    header, constants = header.split("\n\n__version__")
    imports = [*sorted(python.values()), *addon_names(), *imported]
    return f"{header}\n{''.join(imports)}\n__version__{constants}\n{''.join(parts)}"


def main() -> None:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module-dir", type=Path, required=True, help="folder of the built _core")
    parser.add_argument("--output", type=Path, required=True, help="where to write __init__.pyi")
    arguments = parser.parse_args()
    core, reference = import_built(arguments.module_dir.resolve())
    ops = reference.describe_all(core.ops(), "core")
    template = (_HERE / "_core.pyi.in").read_text()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    further = [name for name in reference.NAMESPACES if name != "core"]
    modules = [
        "accelerator",
        "amp",
        "array_api",
        "backends",
        "cuda",
        "multiprocessing",
        "profiler",
        "random",
        "signal",
        "utils",
        *further,
    ]
    arguments.output.write_text(init_stub(ops, set(dir(core)), modules))
    for name in further:
        text = namespace_stub(name, reference.describe_all(core.ops(), name))
        arguments.output.with_name(f"{name}.pyi").write_text(text)
    arguments.output.with_name("_core.pyi").write_text(core_stub(template, ops))


if __name__ == "__main__":
    main()
