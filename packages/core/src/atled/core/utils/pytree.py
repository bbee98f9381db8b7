"""Nests of tuples, lists and dicts, trees for short, as flat lists of leaves, and back.

A container is a tuple, list, dict or deque, an object of a class that derives from one of them, such as a named tuple,
and what `register_pytree_node` adds. All else is a leaf, None included.

>>> leaves, structure = tree_flatten({"a": 1, "b": (2, [3])})
>>> leaves, tree_unflatten([10, 20, 30], structure)
([1, 2, 3], {'a': 10, 'b': (20, [30])})
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from atled.core._core import InvalidValueError, Size
from atled.core._explained import explained

__all__ = [
    "TreeSpec",
    "register_pytree_node",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_map_only",
    "tree_structure",
    "tree_unflatten",
]

IsLeaf = Callable[[Any], bool]
Flatten = Callable[[Any], tuple[Iterable[Any], Any]]
Unflatten = Callable[[list[Any], Any], Any]

# A container's type, its context, its children (None for a leaf), and what makes such a container.
_Container = tuple[type, Any, list["_Container | None"], Unflatten]


def _sequence(tree: Any) -> tuple[Iterable[Any], Any]:
    return tree, type(tree)


def _made_sequence(children: list[Any], kind: Any) -> Any:
    if kind is list:
        return children
    return kind(*children) if hasattr(kind, "_fields") else kind(children)


def _made_size(children: list[Any], _: Any) -> Any:
    return Size(children) if all(isinstance(child, int) for child in children) else tuple(children)


def _mapping(tree: Any) -> tuple[Iterable[Any], Any]:
    return tree.values(), (type(tree), list(tree))


def _made_mapping(children: list[Any], context: Any) -> Any:
    kind, keys = context
    made = dict(zip(keys, children, strict=True))
    return made if kind is dict else kind(made)


def _defaults(tree: Any) -> tuple[Iterable[Any], Any]:
    return tree.values(), (type(tree), list(tree), tree.default_factory)


def _made_defaults(children: list[Any], context: Any) -> Any:
    kind, keys, factory = context
    made = kind(factory)
    made.update(zip(keys, children, strict=True))
    return made


def _deque(tree: Any) -> tuple[Iterable[Any], Any]:
    return tree, (type(tree), tree.maxlen)


def _made_deque(children: list[Any], context: Any) -> Any:
    kind, most = context
    return kind(children, most)


#: How containers are taken apart, and made: by class, which for one that is not here is its nearest base.
_nodes: dict[type, tuple[Flatten, Unflatten]] = {
    tuple: (_sequence, _made_sequence),
    list: (_sequence, _made_sequence),
    Size: (_sequence, _made_size),
    dict: (_mapping, _made_mapping),
    defaultdict: (_defaults, _made_defaults),
    deque: (_deque, _made_deque),
}
_BASES = (tuple, list, dict, deque)


def _node_of_base(kind: type) -> tuple[Flatten, Unflatten]:
    """How containers of a class that is not registered, but derives from one of `_BASES`, are taken apart and made."""
    return next(_nodes[base] for base in kind.__mro__ if base in _nodes)


@explained
def register_pytree_node(
    cls: type, flatten_fn: Flatten, unflatten_fn: Unflatten, *, serialized_type_name: str | None = None
) -> None:
    """Has objects of a class count as containers.

    ``flatten_fn(tree)`` answers the children and what else there is to know, the context, which is compared by ``==``;
    ``unflatten_fn(children, context)`` makes such an object. ``serialized_type_name`` is PyTorch's, and changes
    nothing. InvalidValueError for a class that is registered.

    >>> class Pair:
    ...     def __init__(self, left, right):
    ...         self.left, self.right = left, right
    >>> register_pytree_node(Pair, lambda pair: ((pair.left, pair.right), None), lambda parts, _: Pair(*parts))
    >>> tree_leaves([Pair(1, 2), 3])
    [1, 2, 3]
    """
    if cls in _nodes:
        raise InvalidValueError(f"register_pytree_node: expected a class once, got {cls.__name__} again")
    _nodes[cls] = flatten_fn, unflatten_fn


class TreeSpec:
    """The structure of a tree: what `tree_structure` answers, and `tree_flatten` beside the leaves.

    Two are equal where the containers are of the same types, lengths and keys. ``num_leaves`` is how many leaves there
    are.

    >>> structure = tree_structure([1, (2, 3)])
    >>> structure, structure.num_leaves, structure == tree_structure([0, (0, 0)])
    (TreeSpec([*, (*, *)]), 3, True)
    """

    __slots__ = ("_top", "num_leaves")

    def __init__(self, top: _Container | None, num_leaves: int) -> None:
        self._top, self.num_leaves = top, num_leaves

    @property
    def type(self) -> type | None:
        """The type of the outermost container, None for a leaf."""
        return None if self._top is None else self._top[0]

    def is_leaf(self) -> bool:
        """Whether the tree is a leaf."""
        return self._top is None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this structure with these leaves; InvalidValueError for another number of them."""
        given = list(leaves)
        if len(given) != self.num_leaves:
            raise InvalidValueError(f"tree_unflatten: expected {self.num_leaves} leaves, got {len(given)}")
        return given[0] if self._top is None else _made(self._top, iter(given))

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What a tree has in the places of the leaves, also trees; InvalidValueError where it is built otherwise.

        >>> tree_structure((0, [0])).flatten_up_to((1, [{"a": 2}]))
        [1, {'a': 2}]
        """
        found: list[Any] = []
        if not _collect(self._top, tree, found):
            raise InvalidValueError(f"pytree: expected {self} at least, got {tree_structure(tree)}")
        return found

    def __eq__(self, other: object) -> bool:
        return self._top == other._top if isinstance(other, TreeSpec) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # keys and contexts need have none

    def __repr__(self) -> str:
        return f"TreeSpec({_printed(self._top)})"


def _printed(container: _Container | None) -> str:
    if container is None:
        return "*"
    kind, context, children, make = container
    parts = [_printed(child) for child in children]
    if make in (_made_mapping, _made_defaults):
        parts = [f"{key!r}: {part}" for key, part in zip(context[1], parts, strict=True)]
    if fields := getattr(kind, "_fields", None):
        parts = [f"{field}={part}" for field, part in zip(fields, parts, strict=True)]
    inside = ", ".join(parts)
    if kind is tuple:
        return f"({inside},)" if len(parts) == 1 else f"({inside})"
    if kind in (list, dict):
        return f"[{inside}]" if kind is list else f"{{{inside}}}"
    return f"{kind.__name__}({inside})"


def _made(container: _Container, leaves: Iterator[Any]) -> Any:
    _, context, children, make = container
    return make([next(leaves) if child is None else _made(child, leaves) for child in children], context)


def _collect(structure: _Container | None, tree: Any, found: list[Any]) -> bool:
    """Adds what a tree has in the places of leaves; False where it is built otherwise."""
    if structure is None:
        found.append(tree)
        return True
    kind, context, children, _ = structure
    if type(tree) is not kind:
        return False
    flatten = (_nodes.get(kind) or _node_of_base(kind))[0]
    if isinstance(tree, dict) and flatten in (_mapping, _defaults):  # whose keys may come in another order
        alike = tree.keys() == set(context[1])
        given = [tree[key] for key in context[1]] if alike else []
    else:
        parts, own = flatten(tree)
        given = list(parts)
        alike = own == context and len(given) == len(children)
    return alike and all(_collect(child, part, found) for child, part in zip(children, given, strict=True))


_LEAF = TreeSpec(None, 1)


@explained
def tree_flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree, and its structure; what ``is_leaf(part)`` is true for counts as a leaf.

    >>> tree_flatten({"x": 7, "y": (42, None)})
    ([7, 42, None], TreeSpec({'x': *, 'y': (*, *)}))
    """
    leaves: list[Any] = []
    top = _flatten(tree, leaves, is_leaf)
    return leaves, _LEAF if top is None else TreeSpec(top, len(leaves))


def _flatten(tree: Any, leaves: list[Any], is_leaf: IsLeaf | None) -> _Container | None:
    node = _nodes.get(type(tree))
    if node is None and isinstance(tree, _BASES):
        node = _node_of_base(type(tree))
    if node is None or (is_leaf is not None and is_leaf(tree)):
        leaves.append(tree)
        return None
    children, context = node[0](tree)
    return type(tree), context, [_flatten(child, leaves, is_leaf) for child in children], node[1]


@explained
def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of a structure with these leaves; InvalidValueError for another number of them.

    >>> tree_unflatten([1, 2], tree_structure([0, {"a": 0}]))
    [1, {'a': 2}]
    """
    return treespec.unflatten(leaves)


def tree_leaves(tree: Any, is_leaf: IsLeaf | None = None) -> list[Any]:
    """The leaves of a tree.

    >>> tree_leaves(([1, 2], {"a": 3}))
    [1, 2, 3]
    """
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: IsLeaf | None = None) -> TreeSpec:
    """The structure of a tree.

    >>> tree_structure([1, {"a": 3}])
    TreeSpec([*, {'a': *}])
    """
    return tree_flatten(tree, is_leaf)[1]


@explained
def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf | None = None) -> Any:
    """The tree with ``func(leaf)`` in place of each leaf; of ``rests``, func is given what they have there.

    InvalidValueError where one of ``rests`` has not the tree's structure at least.

    >>> tree_map(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 10, "b": [20]})
    {'a': 11, 'b': [22]}
    """
    leaves, structure = tree_flatten(tree, is_leaf)
    return structure.unflatten(map(func, leaves, *[structure.flatten_up_to(rest) for rest in rests]))


@explained
def tree_map_only(
    type_or_types: type | tuple[type, ...], func: Callable[[Any], Any], tree: Any, is_leaf: IsLeaf | None = None
) -> Any:
    """The tree with ``func(leaf)`` in place of each leaf of a type, or of several.

    >>> import atled.core as at
    >>> tree_map_only(at.Tensor, lambda t: t.tolist(), {"x": at.ones(2), "name": "a"})
    {'x': [1.0, 1.0], 'name': 'a'}
    """
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, type_or_types) else leaf, tree, is_leaf=is_leaf)
