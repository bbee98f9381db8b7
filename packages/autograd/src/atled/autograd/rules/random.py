"""Rules of random numbers, which depend on no values."""

import atled.core as at
from atled.autograd._rule import RuleBook


def register(rule: RuleBook) -> None:
    rule.non_differentiable(
        "rand", "randn", "rand_like", "randn_like", "randint", "randint_like", "randperm", "multinomial"
    )
    for op in ("bernoulli", "poisson"):
        rule(op, input=lambda g: at.zeros_like(g))
    rule("normal", mean=lambda g: at.zeros_like(g), std=lambda g: at.zeros_like(g))
    rule("binomial", count=lambda g: at.zeros_like(g), prob=lambda g: at.zeros_like(g))
    for op in ("uniform_", "normal_", "exponential_", "cauchy_", "log_normal_", "geometric_", "random_"):
        rule(op, input=None)
    rule("bernoulli_", input=None, p=lambda g: at.zeros_like(g))
    rule.batch("aligned", "rand_like", "randn_like", "randint_like", "bernoulli", "poisson", "binomial", "multinomial")
    rule.batch("aligned", "normal")
    rule.batch("aligned", "uniform_", "normal_", "exponential_", "cauchy_", "log_normal_", "geometric_", "random_")
    rule.batch("aligned", "bernoulli_")
