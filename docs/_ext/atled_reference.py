"""Sphinx directives that make the reference from the registry and from docstrings: there is no second list of names.

``atled-ops`` lists the ops of a namespace as the registry knows them; ``atled-package`` what a package exports.
"""

import __future__

import importlib
import inspect
from collections.abc import Iterable

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
    return describe_all((getattr(ops, name) for name in dir(ops)), namespace)


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
        pages = [page(op) for op in registered(self.arguments[0])]
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
            if isinstance(value, at.Op) or inspect.ismodule(value) or isinstance(value, __future__._Feature):
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
