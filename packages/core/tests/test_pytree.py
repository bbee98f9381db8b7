"""utils.pytree: trees of every container there and back, structures, and classes that are registered."""

from __future__ import annotations

import operator
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import pytest

import atled.core as at
from atled.core.utils import pytree
from atled.core.utils.pytree import (
    register_pytree_node,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_map_only,
    tree_structure,
    tree_unflatten,
)
from atled.testing import raw_errors, without_examples

Point = namedtuple("Point", "x y")


class Rows(list[Any]):
    pass


class Table(dict[str, Any]):
    pass


TREES: list[tuple[Any, list[Any]]] = [
    (3, [3]),
    (None, [None]),
    ("ab", ["ab"]),
    ({1, 2}, [{1, 2}]),
    ((), []),
    ([], []),
    ({}, []),
    ((1, [2, (3,)], {}), [1, 2, 3]),
    ({"b": 1, "a": [2, None]}, [1, 2, None]),
    (Point(1, Point([2], 3)), [1, 2, 3]),
    (OrderedDict(b=1, a=(2,)), [1, 2]),
    (defaultdict(list, b=[1, 2]), [1, 2]),
    (deque([1, (2, 3)], maxlen=5), [1, 2, 3]),
    (Rows([1, Table(a=2, b=(3,))]), [1, 2, 3]),
    (at.Size((2, 3)), [2, 3]),
]


@pytest.mark.parametrize(("tree", "leaves"), TREES, ids=lambda value: repr(value))
def test_there_and_back(tree: Any, leaves: list[Any]) -> None:
    found, structure = tree_flatten(tree)
    assert found == leaves == tree_leaves(tree)
    assert structure == tree_structure(tree) and structure.num_leaves == len(leaves)
    assert structure.is_leaf() == (structure.type is None) == (leaves == [tree])
    again = tree_unflatten(leaves, structure)
    assert again == tree and type(again) is type(tree)
    assert tree_map(lambda leaf: leaf, tree) == tree
    assert structure.flatten_up_to(tree) == leaves


def test_what_containers_are_beside_their_entries_stays() -> None:
    made = tree_map(str, (defaultdict(list, a=1), deque([1, 2], maxlen=2), Table(a=Rows([1]))))
    assert made[0]["new"] == [] and made[0]["a"] == "1"
    assert made[1].maxlen == 2 and made[1] == deque(["1", "2"])
    assert type(made[2]) is Table and type(made[2]["a"]) is Rows
    size = at.Size((2, 3))
    assert tree_map(lambda n: n + 1, size).numel() == 12
    assert tree_map(str, size) == ("2", "3") and repr(tree_structure(size)) == "TreeSpec(Size(*, *))"


def test_results_of_ops_are_containers() -> None:
    result = at.max(at.tensor([[1.0, 3.0]]), 1)
    values, indices = tree_map(lambda t: t.tolist(), result)
    assert (values, indices) == ([3.0], [1])


def test_structures_differ_in_types_lengths_and_keys() -> None:
    trees = [
        1,
        (1,),
        [1],
        (1, 2),
        ((1,),),
        {"a": 1},
        {"b": 1},
        OrderedDict(a=1),
        Point(1, 2),
        {"a": 1, "b": 2},
        deque([1]),
    ]
    for i, one in enumerate(trees):
        for j, other in enumerate(trees):
            assert (tree_structure(one) == tree_structure(other)) == (i == j)
    assert tree_structure(1) != "*"
    assert (
        repr(tree_structure({"a": (1, [2]), "b": Point(3, ())})) == "TreeSpec({'a': (*, [*]), 'b': Point(x=*, y=())})"
    )


def test_what_counts_as_a_leaf() -> None:
    tree = [(1, 2), [3, (4,)]]
    leaves, structure = tree_flatten(tree, lambda part: isinstance(part, tuple))
    assert leaves == [(1, 2), 3, (4,)] and structure == tree_structure([0, [0, 0]])
    assert tree_map(len, tree, is_leaf=lambda part: isinstance(part, tuple) or part == tree[1]) == [2, 2]
    assert tree_leaves(tree, is_leaf=lambda part: True) == [tree]
    assert tree_structure(tree, is_leaf=lambda part: True).is_leaf()


def test_several_trees_at_once() -> None:
    found = tree_map(lambda x, y, z: (x, y, z), {"a": 1, "b": [2]}, {"a": [3], "b": [4]}, {"a": 5, "b": [{}]})
    assert found == {"a": (1, [3], 5), "b": [(2, 4, {})]}
    found = tree_map(lambda x, y: (x, y), {"a": 1, "b": 2}, {"b": 20, "a": 10})
    assert found == {"a": (1, 10), "b": (2, 20)}
    for other in ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": (2,)}, {"a": 1, "b": [2, 3]}, {"a": 1, "c": [2]}, 3):
        with pytest.raises(
            at.InvalidValueError, match=r"expected TreeSpec\({'a': \*, 'b': \[\*\]}\) at least, got Tree"
        ):
            tree_map(lambda x, y: x, {"a": 1, "b": [2]}, other)


def test_only_leaves_of_a_type() -> None:
    batch = {"x": at.ones(2), "names": ["a", 1.5], "n": 3}
    moved = tree_map_only(at.Tensor, lambda t: t.double(), batch)
    assert moved["x"].dtype == at.float64 and moved["names"] == ["a", 1.5]
    assert tree_map_only((int, float), lambda n: -n, [1, 1.5, "a"]) == [-1, -1.5, "a"]
    assert tree_map_only(tuple, len, [(1, 2), 3], is_leaf=lambda part: isinstance(part, tuple)) == [2, 3]


def test_a_class_that_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytree, "_nodes", dict(pytree._nodes))

    class Batch:
        def __init__(self, parts: list[Any], name: str) -> None:
            self.parts, self.name = parts, name

    class Special(Table):
        pass

    tree = [Batch([1, (2,)], "a"), Special(a=1)]
    assert tree_leaves(tree) == [tree[0], 1]
    register_pytree_node(
        Batch, lambda b: (b.parts, b.name), lambda parts, name: Batch(parts, name), serialized_type_name="Batch"
    )
    register_pytree_node(Special, lambda s: ((), None), lambda parts, _: Special())
    assert tree_leaves(tree) == [1, 2]
    made = tree_map(lambda leaf: leaf + 1, tree)
    assert made[0].parts == [2, (3,)] and made[0].name == "a" and made[1] == {}
    assert tree_structure(Batch([1], "a")) == tree_structure(Batch([2], "a")) != tree_structure(Batch([1], "b"))
    with pytest.raises(at.InvalidValueError, match="expected a class once, got Batch again"):
        register_pytree_node(Batch, lambda b: (b.parts, b.name), lambda parts, name: Batch(parts, name))


def test_errors() -> None:
    for leaves in ([], [1], [1, 2, 3]):
        with pytest.raises(at.InvalidValueError, match=f"tree_unflatten: expected 2 leaves, got {len(leaves)}"):
            tree_unflatten(leaves, tree_structure([0, 0]))
    with pytest.raises(at.ArgumentError, match="expected treespec to be TreeSpec, got"):
        tree_unflatten([1], [1])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        hash(tree_structure(1))
    with pytest.raises(ZeroDivisionError):
        tree_map(lambda leaf: leaf / 0, [1])
    assert raw_errors(pytree) == [] and without_examples(pytree) == []


def test_containers_that_derive_from_others_stay_so() -> None:
    class Queue(deque[int]):
        pass

    class Counts(defaultdict[str, int]):
        pass

    queue, counts = Queue([1, 2], 3), Counts(int, {"a": 1})
    for tree in (queue, counts):
        made = tree_map(lambda x: x + 1, tree)
        assert type(made) is type(tree) and tree_structure(made) == tree_structure(tree)
    assert tree_map(lambda x: x, queue).maxlen == 3 and tree_map(lambda x: x, counts)["b"] == 0


def test_a_structure_is_printed_without_its_containers_being_made() -> None:
    class Whole:
        def __init__(self, value: int) -> None:
            self.value = operator.index(value)

    register_pytree_node(Whole, lambda whole: ((whole.value,), None), lambda parts, _: Whole(*parts))
    tree = [Whole(1), (2,), {"a": (3, 4)}]
    assert repr(tree_structure(tree)) == "TreeSpec([Whole(*), (*,), {'a': (*, *)}])"
    with pytest.raises(at.InvalidValueError, match=r"expected TreeSpec\(\[Whole\(\*\)\]\) at least"):
        tree_map(lambda a, b: a, [Whole(1)], [1])
