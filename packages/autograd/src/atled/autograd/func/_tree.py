"""Nested tuples, lists and dicts as flat lists of leaves, and back."""

from collections.abc import Callable, Iterator
from typing import Any

Structure = tuple[Any, Any, list[Any]] | None


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of a tree, and what `unflatten` needs to put others in their places."""
    if isinstance(tree, dict):
        keys = list(tree)
        children = [tree[key] for key in keys]
        context: Any = keys
    elif isinstance(tree, (tuple, list)):
        children, context = list(tree), None
    else:
        return [tree], None
    leaves: list[Any] = []
    structures = []
    for child in children:
        own, structure = flatten(child)
        leaves.extend(own)
        structures.append((structure, len(own)))
    return leaves, (type(tree), context, structures)


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """The tree of that structure with these leaves."""
    if structure is None:
        return leaves[0]
    kind, context, children = structure
    parts = []
    at = 0
    for child, count in children:
        parts.append(unflatten(child, leaves[at : at + count]))
        at += count
    if issubclass(kind, dict):
        made = dict(zip(context, parts, strict=True))
        return made if kind is dict else kind(made)
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with function(leaf) in place of each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def broadcast(prefix: Any, tree: Any) -> list[Any]:
    """For each leaf of a tree the entry of ``prefix``, a tree that may end earlier; ValueError where they differ."""
    return list(_spread(prefix, tree))


def _spread(prefix: Any, tree: Any) -> Iterator[Any]:
    if not isinstance(prefix, (tuple, list, dict)):
        yield from (prefix for _ in flatten(tree)[0])
        return
    alike = isinstance(tree, dict) if isinstance(prefix, dict) else isinstance(tree, (tuple, list))
    if not alike or len(prefix) != len(tree):
        raise ValueError("other structure")
    if isinstance(prefix, dict):
        for key in tree:
            yield from _spread(prefix[key], tree[key])
    else:
        for part, child in zip(prefix, tree, strict=True):
            yield from _spread(part, child)
