"""What holds for an op beside its doc string: how its operands combine, which dtypes it takes, and its other forms.

The dtypes are found by asking: the op is called with tensors on device "meta", where only its rules for shapes and
dtypes run. So nothing is said twice, and what is said is what the op does.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from atled.core import _core
from atled.core._ops import NAMESPACES
from atled.core._reference import HAS_DEFAULT, OpReference, describe, forms, with_facts

if TYPE_CHECKING:
    from atled.core import _core as core

_GROUPS = {
    "bool": ("bool",),
    "signed integers": ("int8", "int16", "int32", "int64"),
    "unsigned integers": ("uint8", "uint16", "uint32", "uint64"),
    "floats": ("float16", "bfloat16", "float32", "float64"),
    "complex": ("complex64", "complex128"),
    "float8": ("float8_e4m3fn", "float8_e5m2"),
}
_DTYPES = [name for names in _GROUPS.values() for name in names]
_REAL = {"complex64": "float32", "complex128": "float64"}
_WIDTH = 110
_SAME, _REAL_PART, _DEFAULT = "", "the real dtype", "the default float"

# Required arguments whose dtype is not the first operand's.
_OF_THEIR_OWN = {
    "index": "int64",
    "indices": "int64",
    "pivots": "int32",
    "LU_pivots": "int32",
    "mask": "bool",
    "condition": "bool",
}
# Values for required arguments that are no tensors; a dim is 0.
_PLAIN = {"int": 2, "int[]": 2, "float": 1.0, "Scalar": 1}


def _arguments(op: core.Op, dtypes: Sequence[str], shape: Sequence[int]) -> list[Any] | None:
    """What the op needs for a call, its tensors on meta: of the first dtype, then of the next ones in turn."""
    empty = _core._op("core::empty")
    found: list[Any] = []
    given = list(dtypes)
    for name, kind, _, flags in op.args:
        if flags & HAS_DEFAULT:
            break
        plain = kind.strip()
        if plain in ("Tensor", "Tensor|Scalar", "Tensor[]"):
            own = _OF_THEIR_OWN.get(name)
            if own and not found:
                return None
            dtype = own or (given.pop(0) if len(given) > 1 else given[0])
            tensor = empty(shape, dtype=getattr(_core, dtype), device="meta")
            found.append([tensor, tensor] if plain == "Tensor[]" else tensor)
        elif plain in _PLAIN:
            found.append(0 if name == "dim" else _PLAIN[plain])
        else:
            return None
    return found if any(isinstance(value, (_core.Tensor, list)) for value in found) else None


def _results(op: core.Op, dtypes: Sequence[str], shape: Sequence[int]) -> tuple[str, ...] | None:
    """The dtypes of the results, or None where the op refuses; LookupError where it cannot be called like this."""
    arguments = _arguments(op, dtypes, shape)
    if arguments is None:
        raise LookupError
    try:
        results: Any = op(*arguments)
    except _core.DTypeError:
        return None
    except _core.AtledError as error:
        raise LookupError from error
    several = results if isinstance(results, (tuple, list)) else (results,)
    if len(op.results) == 1:  # or a list of tensors, all alike
        several = several[:1]
    if not all(isinstance(result, _core.Tensor) for result in several):
        raise LookupError
    return tuple(repr(result.dtype).rpartition(".")[2] for result in several)


def _outcomes(given: str, result: str) -> set[str]:
    """What may be said of a result's dtype."""
    found = {result}
    if given == result:
        found.add(_SAME)
    if _REAL.get(given) == result:
        found.add(_REAL_PART)
    return found


def _names(dtypes: Sequence[str]) -> list[str]:
    """Dtypes by the names of their groups."""
    found: list[str] = []
    for group, members in _GROUPS.items():
        own = [name for name in dtypes if name in members]
        found += [group] if len(own) == len(members) else own
    text = ", ".join(found).replace("signed integers, unsigned integers", "integers")
    return text.split(", ") if text else []


def _listed(items: Sequence[str], last: str = " and ") -> str:
    return last.join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _said(taken: dict[str, str]) -> str:
    """Which dtypes are taken and what they give: "bool and integers (giving the default float), floats"."""
    default = repr(_core.get_default_dtype()).rpartition(".")[2]
    runs: list[tuple[list[str], set[str]]] = []
    for given, result in taken.items():
        outcomes = _outcomes(given, result)
        # Only what has no floats of its own is given the default.
        if result == default and given in _DTYPES[: _DTYPES.index("float16")]:
            outcomes.add(_DEFAULT)
        if runs and runs[-1][1] & outcomes:
            runs[-1] = ([*runs[-1][0], given], runs[-1][1] & outcomes)
        else:
            runs.append(([given], outcomes))
    parts: list[str] = []
    for dtypes, outcomes in runs:
        gives = next((o for o in (_SAME, _REAL_PART, _DEFAULT) if o in outcomes), min(outcomes))
        names = ["any"] if len(dtypes) == len(_DTYPES) else _names(dtypes)
        parts += [f"{_listed(names)} (giving {gives})"] if gives else names
    return ", ".join(parts)


def dtypes(op: core.Op) -> str:
    """Which dtypes an op takes and what they give, by its rules; nothing where a call would need more than operands.

    >>> dtypes(at.exp)
    'bool and integers (giving the default float), floats, complex'
    >>> dtypes(at.sort)
    'bool, integers, floats; indices: int64'
    """
    known = "structured" in op.traits or (op.ns in NAMESPACES and "composite" in op.traits)
    if not known or op.traits & {"random", "mutates", "private", "factory"}:
        return ""
    for shape in ((3, 3), (3,)):
        try:
            found = {name: _results(op, [name], shape) for name in _DTYPES}
        except LookupError:
            continue
        taken = {name: results for name, results in found.items() if results}
        said: dict[str, list[str]] = {}
        for i, (name, _) in enumerate(op.results if taken else ()):
            results = {given: several[i] for given, several in taken.items()}
            only = next(iter(set(results.values()))) if i and len(set(results.values())) == 1 else ""
            said.setdefault(only or _said(results), []).append(name or f"result {i}")
        others = [f"{_listed(names)}: {text}" for text, names in list(said.items())[1:]]
        return "; ".join([*list(said)[:1], *others])
    return ""


def combination(op: OpReference) -> str:
    """How an element-wise op goes through its operands."""
    operands = [a.name for a in op.arguments if a.schema_type in ("Tensor", "Tensor|Scalar") and a.default is None]
    if "elementwise" not in op.traits or not operands:
        return ""
    if len(operands) == 1:
        return "Element by element."
    call = _core._op(op.schema.partition("(")[0])
    try:
        promote = any(_results(call, pair, (3,)) for pair in (("float32", "float64"), ("int8", "int16")))
    except LookupError:
        promote = False
    return f"Element by element; {_listed(operands)} broadcast{' and promote' if promote else ''}."


def facts(op: OpReference) -> list[str]:
    """The sentences that the registry has for an op."""
    taken = dtypes(_core._op(op.schema.partition("(")[0]))
    return [*filter(None, [combination(op), f"Dtypes: {taken}." if taken else ""])]


def text(op: core.Op) -> str:
    """The text that ``help`` shows of an op.

    >>> print(text(at.square_))
    square_(Tensor input) -> Tensor
    <BLANKLINE>
    input * input; integers wrap around.
    <BLANKLINE>
    In place: the result is written into input, which is returned and keeps its shape and dtype. ShapeError where
    the result has another shape, DTypeError where it is of a higher kind. See square.
    """
    head = op.schema.removeprefix(f"{op.ns}::")
    described = describe(op)
    if op.qualified_name.endswith(f"::{op.name}"):
        also = ", ".join(forms(described))
        body = with_facts(op.doc, [*facts(described), *([f"Also {also}."] if also else [])])
    else:
        head = head.replace("(", "_(", 1)
        inplace = (
            f"In place: the result is written into {op.args[0][0]}, which is returned and keeps its shape and dtype. "
            "ShapeError where the result has another shape, DTypeError where it is of a higher kind. "
            f"See {described.name}."
        )
        body = with_facts(op.doc.partition("\n")[0], [inplace])
    lines: list[str] = []
    example = False
    for line in body.splitlines():
        example = bool(line) and (example or line.startswith(">>>"))
        lines += [line] if example or len(line) <= _WIDTH else textwrap.wrap(line, _WIDTH)
    return "\n".join([head, "", *lines]).rstrip()
