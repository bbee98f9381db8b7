"""What the registry says of the ops, in a form for readers: shared by the stubs and the reference pages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from atled.core._ops import NAMESPACES

# The bits of an argument's flags, as atled/abi.h numbers them.
KEYWORD, HAS_DEFAULT, VARIADIC = 1 << 1, 1 << 3, 1 << 4

# Schema type -> Python annotation, in a module where names such as `float` and `dtype` mean something else: what starts
# with an underscore is defined at the top of the stubs.
_ANNOTATIONS = {
    "Tensor": "Tensor",
    "Tensor[]": "Sequence[Tensor]",
    "Tensor?[]": "Sequence[Tensor | None]",
    "Scalar": "Scalar",
    "Tensor|Scalar": "Tensor | Scalar",
    "Scalar|str": "Scalar | _str",
    "int": "_int",
    "float": "_float",
    "bool": "_bool",
    "str": "_str",
    "dtype": "_dtype",
    "device": "_device | _str",
    "Generator": "Generator",
    "int[]": "_int | Sequence[_int]",
    "float[]": "Sequence[_float]",
}


@dataclass(frozen=True)
class Argument:
    """One argument of an op, as a Python caller sees it."""

    name: str
    schema_type: str
    default: str | None  # its source text
    keyword_only: bool
    variadic: bool

    @property
    def annotation(self) -> str:
        """Its type in a stub."""
        text, optional = self.schema_type, self.schema_type.endswith("?")
        plain = re.sub(r"\[[\d*]+\]", "[]", text.removesuffix("?")).replace("(a!)", "")
        return _ANNOTATIONS[plain] + (" | None" if optional else "")


@dataclass(frozen=True)
class OpReference:
    """One op as a namespace has it: its names, arguments, results and forms."""

    name: str
    ns: str
    doc: str
    schema: str
    arguments: tuple[Argument, ...]
    results: tuple[tuple[str, str], ...]  # (name or "", schema type)
    aliases: tuple[str, ...]  # its other names in this namespace
    elsewhere: tuple[str, ...]  # those in others, as namespace::name
    traits: frozenset[str]
    synonyms: tuple[tuple[str, Argument], ...]  # the array API's names of arguments that may be left out

    @property
    def is_method(self) -> bool:
        """Whether Tensor has it as a method."""
        if self.ns != "core" or self.traits & {"function", "private"} or not self.arguments:
            return False
        return self.arguments[0].schema_type in ("Tensor", "Tensor(a!)", "Tensor|Scalar")

    @property
    def has_out(self) -> bool:
        """Whether it takes ``out=``."""
        return "out" in self.traits

    @property
    def has_inplace(self) -> bool:
        """Whether ``name_`` exists."""
        return "inplace" in self.traits

    @property
    def result_class(self) -> str | None:
        """The name of the class of several named results."""
        return f"{self.name}_result" if len(self.results) > 1 and self.results[0][0] else None

    @property
    def returns(self) -> str:
        """The annotation of the result."""
        kinds = ["tuple[Tensor, ...]" if kind == "Tensor[]" else _ANNOTATIONS[kind] for _, kind in self.results]
        if not kinds:
            return "None"
        return self.result_class or (kinds[0] if len(kinds) == 1 else f"tuple[{', '.join(kinds)}]")


def _source(value: Any) -> str:
    """A default in Python source; "..." where only the runtime can say."""
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "..."
    if isinstance(value, (tuple, list)) and all(isinstance(item, int) for item in value):
        return repr(tuple(value))
    return "..."


def describe(op: Any, ns: str | None = None) -> OpReference:
    """What the registry says of one op (an entry of ``_core.ops()``), by its names in ``ns``, its own by default."""
    ns = ns or op.ns
    names = (op.qualified_name, *op.aliases)
    here = [name.removeprefix(f"{ns}::") for name in names if name.startswith(f"{ns}::")]
    elsewhere = tuple(name for name in names if not name.startswith(f"{ns}::"))
    arguments = tuple(
        Argument(
            name=name,
            schema_type=kind.strip(),
            default=_source(default) if flags & HAS_DEFAULT else None,
            keyword_only=bool(flags & KEYWORD),
            variadic=bool(flags & VARIADIC),
        )
        for name, kind, default, flags in op.args
    )
    optional = {argument.name: argument for argument in arguments if argument.default is not None}
    synonyms = tuple((name, optional[own]) for name, own in op.synonyms.items() if own in optional)
    return OpReference(
        here[0], ns, op.doc, op.schema, arguments, op.results, tuple(here[1:]), elsewhere, op.traits, synonyms
    )


def describe_all(ops: Iterable[Any], ns: str) -> list[OpReference]:
    """All public ops that have a name in a namespace, by that name."""
    chosen = [
        describe(op, ns) for op in ops if any(name.startswith(f"{ns}::") for name in (op.qualified_name, *op.aliases))
    ]
    return sorted((op for op in chosen if "private" not in op.traits), key=lambda op: op.name)


def signature(op: OpReference) -> str:
    """A signature for readers: ``log1p(input, *, out=None)``."""
    parts: list[str] = []
    starred = False
    for argument in op.arguments:
        if argument.keyword_only and not starred:
            parts.append("*")
            starred = True
        loose = argument.variadic and argument.default is None
        name = f"*{argument.name}" if loose else argument.name
        starred = starred or loose
        parts.append(name if argument.default is None else f"{name}={argument.default}")
    extra = ["out=None"] if op.has_out else []
    if "factory" in op.traits:
        extra.append("requires_grad=False")
    if extra and not starred and not any(part.startswith("*") for part in parts):
        parts.append("*")
    return f"{op.name}({', '.join(parts + extra)})"


def _module(ns: str) -> str:
    """Where a namespace's ops are found."""
    if ns == "core":
        return "atled.core"
    return f"atled.core.{ns}" if ns in NAMESPACES else f"atled.core.ops.{ns}"


def forms(op: OpReference) -> list[str]:
    """The other names of an op: its method, its in-place form, its aliases."""
    found = [f"Tensor.{op.name}"] if op.is_method else []
    if op.has_inplace:
        found.append(f"{op.name}_ (in place)")
    return [*found, *op.aliases, *(f"{_module(ns)}.{name}" for ns, name in (n.split("::") for n in op.elsewhere))]


def with_facts(doc: str, facts: Iterable[str]) -> str:
    """A doc string with further sentences, a line each, before its example."""
    prose, mark, example = doc.partition("\n>>>")
    added = "\n".join(facts)
    return "\n\n".join(part for part in (prose.strip("\n"), added, (mark + example).strip("\n")) if part)


def page(op: OpReference) -> str:
    """The reStructuredText of an op for the reference: signature, forms, text."""
    from atled.core import _facts

    module = _module(op.ns)
    summary, _, rest = with_facts(op.doc, _facts.facts(op)).partition("\n")
    lines = [f".. py:function:: {signature(op)}", f"   :module: {module}", "", f"   {summary}"]
    names = (form.partition(" ") for form in forms(op))
    if also := ", ".join(f"``{name}``{space}{note}" for name, space, note in names):
        lines += ["", f"   Also {also}."]
    lines += [f"   {line}".rstrip() for line in rest.splitlines()]
    lines += ["", "   .. code-block:: text", "", f"      {op.schema}", ""]
    return "\n".join(lines)
