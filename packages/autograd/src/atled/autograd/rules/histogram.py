"""Rules of counting: how many elements a bin holds does not change with them."""

from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule.non_differentiable("histc", "histogram", "bin_counts")
