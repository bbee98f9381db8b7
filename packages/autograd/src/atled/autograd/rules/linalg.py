"""Rules of linear algebra."""

from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    """Registers them."""
