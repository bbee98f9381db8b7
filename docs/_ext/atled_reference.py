"""Sphinx directives that make the reference from the registry and from docstrings: there is no second list of names.

``atled-ops`` lists the ops of a namespace as the registry knows them; ``atled-package`` what a package exports.
"""

import __future__

import importlib
import inspect
import re
from collections.abc import Iterable
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import atled.core as at

KEYWORD = 2  # ATLED_ARG_KEYWORD


def _is_op(value: object) -> bool:
    return isinstance(value, at.Op)


def registered(namespace: str) -> list[Any]:
    """The public ops of a namespace, by name."""
    ops = getattr(at.ops, namespace)
    hasattr(ops, "_")  # asking for any name loads the namespace
    found = {name: getattr(ops, name) for name in dir(ops) if not name.startswith("_")}
    named = {op.name: op for op in found.values() if _is_op(op) and not op.name.endswith("_")}
    return [op for _, op in sorted(named.items()) if "private" not in op.traits]


def signature(op: Any) -> str:
    """An op's signature as Python writes it: ``sum(input, dim=None, keepdim=False, *, dtype=None)``."""
    words = []
    for name, _, default, flags in op.args:
        if flags & KEYWORD and "*" not in words:
            words.append("*")
        words.append(name if default is ... else f"{name}={default!r}")
    return f"{op.name}({', '.join(words)})"


def prose(text: str) -> list[str]:
    """A plain doc string as reStructuredText lines: nothing in it is markup but code in backticks and examples."""
    lines: list[str] = []
    example = False
    for line in inspect.cleandoc(text).splitlines():
        starts = line.lstrip().startswith(">>>")
        if starts and not example:
            lines += [""]
        example = bool(line.strip()) and (starts or example)
        lines.append(line if example else _escaped(line))
    return lines


def _escaped(line: str) -> str:
    parts = re.split(r"(`+[^`]+`+)", line)
    return "".join(
        f"``{part.strip('`')}``" if part.startswith("`") else re.sub(r"([*_|\\])", r"\\\1", part) for part in parts
    )


def _forms(op: Any) -> str:
    """What is derived from the op, in a sentence."""
    forms = []
    if op.ns == "core" and "function" not in op.traits:
        forms.append(f"the method ``Tensor.{op.name}``")
    if "inplace" in op.traits:
        forms.append(f"in place as ``{op.name}_``")
    if "structured" in op.traits:
        forms.append("``out=``")
    if op.aliases:
        forms.append("also named " + ", ".join(f"``{alias}``" for alias in op.aliases))
    return "; ".join(forms)


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
    """``atled-ops`` with a namespace: signature, doc string, schema and derived forms of each op."""

    def run(self) -> list[nodes.Node]:
        namespace = self.arguments[0]
        module = "atled.core" if namespace == "core" else f"atled.core.ops.{namespace}"
        lines: list[str] = []
        for op in registered(namespace):
            body = [*prose(op.doc), "", f"Schema: ``{op.schema}``", ""]
            if forms := _forms(op):
                body += [forms[0].upper() + forms[1:] + ".", ""]
            lines += [f".. py:function:: {signature(op)}", f"   :module: {module}", ""]
            lines += [f"   {line}" if line else "" for line in body]
        return self.parse(lines)


class Exports(_Generated):
    """``atled-package`` with a module: everything in its ``__all__`` but ops, by docstring."""

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        module = importlib.import_module(name)
        lines: list[str] = []
        exports = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
        for export in sorted(exports, key=str.lower):
            value = getattr(module, export)
            if _is_op(value) or inspect.ismodule(value) or isinstance(value, __future__._Feature):
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
    app.add_directive("atled-ops", Ops)
    app.add_directive("atled-package", Exports)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
