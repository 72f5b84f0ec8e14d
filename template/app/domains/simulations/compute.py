"""A Monte Carlo simulation of a price whose volatility wanders, in plain Python."""

from collections.abc import Callable
from math import exp
from random import Random
from statistics import fmean, pstdev

_CALM = 0.01
_RETURN = 0.05
_UNREST = 0.001


def simulate(
    paths: int, steps: int, seed: int, report: Callable[[float], None]
) -> dict[str, float]:
    """What a price of 1 becomes; the same for the same arguments, wherever it runs."""
    prices = []
    for path in range(paths):
        # A path draws from numbers of its own: those of others may change, or run elsewhere.
        prices.append(_walk(Random(f"{seed}:{path}"), steps))  # noqa: S311 - keeps no secret
        report((path + 1) / paths)
    prices.sort()
    return {
        "mean": fmean(prices),
        "deviation": pstdev(prices),
        "p5": prices[len(prices) * 5 // 100],
        "p50": prices[len(prices) * 50 // 100],
        "p95": prices[len(prices) * 95 // 100],
    }


def _walk(random: Random, steps: int) -> float:
    price, volatility = 1.0, _CALM
    for _ in range(steps):
        volatility += _RETURN * (_CALM - volatility) + _UNREST * random.normalvariate()
        price *= exp(volatility * random.normalvariate())
    return price
