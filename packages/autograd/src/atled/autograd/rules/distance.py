"""Rules of distances. Where two vectors are equal the distance has a kink; 0 is taken as its slope."""

import math
from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook


def _euclid(g: Any, out: Any) -> Any:
    """The gradient for each pair, over its distance."""
    return at.where(out == 0, 0, g / at.where(out == 0, 1, out))


def _slopes(g: Any, x1: Any, x2: Any, p: float, out: Any) -> Any:
    """The gradient of each coordinate's difference, for every pair of vectors."""
    g, out = g.unsqueeze(-1), out.unsqueeze(-1)
    difference = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    if p == 0:
        return at.zeros_like(difference)
    if p == 1:
        return g * at.sign(difference)
    if math.isinf(p):
        return at.where(at.abs(difference) == out, g * at.sign(difference), 0)
    size = at.abs(difference)
    share = at.where(size == 0, 0, (at.where(size == 0, 1, size) / at.where(out == 0, 1, out)) ** (p - 1))
    return g * at.sign(difference) * share


def _x1(g: Any, x1: Any, x2: Any, p: float, out: Any) -> Any:
    if p == 2:
        w = _euclid(g, out)
        return at.sum(w, -1, True) * x1 - at.matmul(w, x2)
    return at.sum(_slopes(g, x1, x2, p, out), -2)


def _x2(g: Any, x1: Any, x2: Any, p: float, out: Any) -> Any:
    if p == 2:
        w = at.transpose(_euclid(g, out), -1, -2)
        return at.sum(w, -1, True) * x2 - at.matmul(w, x1)
    return -at.sum(_slopes(g, x1, x2, p, out), -3)


def register(rule: RuleBook) -> None:
    rule.autocast("float32", "cdist")
    rule("cdist", x1=_x1, x2=_x2)
    rule.batch("aligned", "cdist")
