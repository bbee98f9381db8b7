"""Rules of special functions."""

from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    """Registers them."""
