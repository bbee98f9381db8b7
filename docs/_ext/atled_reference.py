"""Sphinx directives that make the reference from the registry and from docstrings: there is no second list of names.

``atled-ops`` lists the ops of a namespace as the registry knows them; ``atled-package`` what a package exports.
"""

import __future__

import importlib
import inspect
import re
import types
from collections.abc import Iterable
from dataclasses import replace

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import atled.core as at
from atled.core._reference import OpReference, describe_all, page


def registered(namespace: str) -> list[OpReference]:
    """The public ops of a namespace, by name."""
    ops = getattr(at.ops, namespace)
    hasattr(ops, "_")  # asking for any name loads the namespace
    found = describe_all({op.qualified_name: op for op in (getattr(ops, n) for n in dir(ops))}.values(), namespace)
    return [replace(op, doc=prose(op.doc)) for op in found]


def prose(text: str) -> str:
    """An op's plain doc string as reStructuredText: nothing in it is markup but code in backticks and examples."""
    lines: list[str] = []
    example = False
    for line in inspect.cleandoc(text).splitlines():
        starts = line.lstrip().startswith(">>>")
        if starts and not example:
            lines.append("")
        example = bool(line.strip()) and (starts or example)
        lines.append(line if example else _escaped(line))
    return "\n".join(lines)


def _escaped(line: str) -> str:
    parts = re.split(r"(`+[^`]+`+)", line)
    return "".join(
        f"``{part.strip('`')}``" if part.startswith("`") else re.sub(r"([*_|\\])", r"\\\1", part) for part in parts
    )


def skip_ops(app: Sphinx, what: str, name: str, value: object, skip: bool, options: object) -> bool | None:
    """Leaves the ops out of Tensor's members: they have a page of their own."""
    return True if isinstance(value, at.Op) else None


# Some functions written in C begin their doc strings with ``name(arguments): ``.
_SIGNATURE = re.compile(r"(\w+\(.*?\)(?: or \w+\(.*?\))*): (.)")


def tidy(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Makes prose of C functions' doc strings, and takes the doc strings of ``bool`` and its like off constants."""
    if isinstance(value, bool | int | float | str | tuple | None):
        lines.clear()
    elif lines and what in {"function", "method"} and not inspect.isfunction(inspect.unwrap(value)):
        text = "\n".join(lines)
        match = _SIGNATURE.match(text)
        signature = [f"``{match[1]}``", ""] if match else []
        lines[:] = signature + prose(match[2].upper() + text[match.end() :] if match else text).splitlines()


class _Generated(SphinxDirective):
    """A directive whose content is made and then parsed as reStructuredText."""

    required_arguments = 1

    def parse(self, lines: Iterable[str]) -> list[nodes.Node]:
        source = StringList()
        for line in lines:
            source.append(line, f"<{self.name} {self.arguments[0]}>")
        holder = nodes.container()
        self.state.nested_parse(source, self.content_offset, holder)
        return holder.children


class Ops(_Generated):
    """``atled-ops`` with a namespace: signature, forms, doc string and schema of each op."""

    def run(self) -> list[nodes.Node]:
        namespace = self.arguments[0]
        # A Python function of the name, which calls the op, is described with its module.
        taken = {
            name
            for name, value in vars(at).items()
            if namespace == "core" and inspect.isfunction(inspect.unwrap(value))
        }
        pages = [page(op) for op in registered(namespace) if op.name not in taken]
        return self.parse("\n".join(pages).splitlines())


class Exports(_Generated):
    """``atled-package`` with a module: everything in its ``__all__`` but ops, by docstring."""

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        module = importlib.import_module(name)
        lines: list[str] = []
        exports = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
        for export in sorted(exports, key=str.lower):
            value = getattr(module, export)
            if isinstance(value, at.Op | types.ModuleType | __future__._Feature) or value is at.Op:
                continue
            if inspect.isclass(value):
                lines += [f".. autoclass:: {name}.{export}", "   :members:", ""]
            elif callable(value):
                lines += [f".. autofunction:: {name}.{export}", ""]
            else:
                lines += [f".. py:data:: {export}", f"   :module: {name}", ""]
        return self.parse(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directives."""
    app.connect("autodoc-skip-member", skip_ops)
    app.connect("autodoc-process-docstring", tidy)
    app.add_directive("atled-ops", Ops)
    app.add_directive("atled-package", Exports)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
