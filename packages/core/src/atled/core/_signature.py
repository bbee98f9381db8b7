"""What ``inspect.signature`` says of an op: its schema's arguments, and what else its kind of op takes."""

from __future__ import annotations

from inspect import Parameter, Signature
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from ._reference import HAS_DEFAULT, KEYWORD, VARIADIC

if TYPE_CHECKING:
    from . import _core


def of(op: _core.Op) -> Signature:
    """The signature of an op or of its in-place form.

    The array API's names (``axis`` for ``dim``) are there for the arguments that may be left out. Loose integers, as in
    ``zeros(2, 3)``, are not: no signature has both them and the keyword.
    """
    parameters: list[Parameter] = []
    # An argument that is called `from` cannot be named in a call.
    unnamed = sum(any(iskeyword(name) for name, *_ in op.args[i:]) for i in range(len(op.args)))
    kind: Any = Parameter.POSITIONAL_ONLY  # its type is private
    for i, (name, schema_type, default, flags) in enumerate(op.args):
        if flags & KEYWORD:
            kind = Parameter.KEYWORD_ONLY
        elif i == unnamed:
            kind = Parameter.POSITIONAL_OR_KEYWORD
        if flags & VARIADIC and schema_type.startswith("Tensor"):
            parameters.append(Parameter(name, Parameter.VAR_POSITIONAL))
            kind = Parameter.KEYWORD_ONLY
            continue
        parameters.append(Parameter(name, kind, default=default if flags & HAS_DEFAULT else Parameter.empty))
    further: dict[str, Any] = {}
    if "out" in op.traits and op.qualified_name.endswith("::" + op.name):
        further["out"] = None
    if "factory" in op.traits:
        further |= {"requires_grad": False, "pin_memory": False, "layout": None}
    defaults = {parameter.name: parameter.default for parameter in parameters}
    for synonym, name in op.synonyms.items():
        if defaults[name] is not Parameter.empty:
            further[synonym] = defaults[name]
    parameters += (Parameter(name, Parameter.KEYWORD_ONLY, default=default) for name, default in further.items())
    return Signature(parameters)
