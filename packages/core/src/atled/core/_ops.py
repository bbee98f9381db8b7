"""The op callables by namespace: ``ops.core.add``, ``ops.nn.conv2d``."""

from __future__ import annotations

from atled.core import _core

# Not typing's own: importing that module takes longer than all of atled.core.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


#: The namespaces of core's own ops; but for core's, each is a module of that name.
NAMESPACES = ("core", "fft", "linalg", "special")


class Namespace:
    """The ops of one namespace, and their in-place forms.

    An op is looked up when it is first asked for, which loads the wheel that brings it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> _core.Op:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = _core._op(f"{self._name}::{name}")
        except _core.NotImplementedOpError as error:
            form = self._in_place(name)
            if form is None:
                raise AttributeError(str(error)) from None
            found = form
        setattr(self, name, found)
        return found

    def _in_place(self, name: str) -> _core.Op | None:
        """``name_``, where ``name`` is an op that has that form."""
        if not name.endswith("_"):
            return None
        try:
            return _core.inplace_form(_core._op(f"{self._name}::{name[:-1]}"))
        except _core.NotImplementedOpError:
            return None

    def __dir__(self) -> list[str]:
        prefix = self._name + "::"
        names = (name for op in _core.ops() for name in (op.qualified_name, *op.aliases))
        return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def __repr__(self) -> str:
        return f"<ops of {self._name}>"


class Ops:
    """All namespaces of ops: ``ops.<namespace>.<op>``."""

    def __getattr__(self, name: str) -> Namespace:
        if name.startswith("__"):
            raise AttributeError(name)
        namespace = Namespace(name)
        setattr(self, name, namespace)
        return namespace

    def __dir__(self) -> list[str]:
        return sorted({op.ns for op in _core.ops()})


ops = Ops()


class _Text:
    """The doc string of the class of ops, and of each op its own."""

    def __get__(self, op: _core.Op | None, owner: object = None) -> str:
        if op is None:
            return _DOC
        from atled.core import _facts

        return _facts.text(op)


class _Signature:
    """What ``inspect.signature`` asks of each op; of the class, nothing."""

    def __get__(self, op: _core.Op | None, owner: object = None) -> Any:
        from atled.core import _signature

        return None if op is None else _signature.of(op)


_DOC = """The callable of an op, made from the registry: ``help(at.log1p)`` shows one.

It takes the arguments of the op's schema, by PyTorch's names or the array API's, and beside them ``out=`` (where the op
has that form) and ``requires_grad=`` (where it makes tensors). Its attributes say what the registry knows of the op:
``schema``, ``args``, ``synonyms``, ``results``, ``traits``, ``aliases``, ``doc``.
"""


def describe_ops() -> None:
    """Gives the class Op a text of its own, for ``help``, and ops their signatures, for ``inspect``."""
    setattr(_core.Op, "__doc__", _Text())  # noqa: B010 - no such attribute for a type checker
    setattr(_core.Op, "__signature__", _Signature())  # noqa: B010


def find(name: str, inplace: bool = False) -> _core.Op:
    """The callable of an op by its qualified name; pickled ops are found by it."""
    return _core._op(name, bool(inplace))


def publish(module: dict[str, Any], namespace: str = "core") -> None:
    """Puts the public ops of a namespace, with their in-place forms and other names, into a module's own."""
    prefix = namespace + "::"
    for op in _core.ops():
        names = [name for name in (op.qualified_name, *op.aliases) if name.startswith(prefix)]
        if not names or "private" in op.traits:
            continue
        forms = [("", op)]
        if inplace := _core.inplace_form(op):
            forms.append(("_", inplace))
        for name in names:
            for suffix, form in forms:
                module.setdefault(name.removeprefix(prefix) + suffix, form)
