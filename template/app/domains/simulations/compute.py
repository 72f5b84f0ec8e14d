"""Monte Carlo simulation of a price with mean-reverting volatility, in plain Python."""

from collections.abc import Callable
from math import exp
from random import Random
from statistics import fmean, pstdev

_MEAN_VOLATILITY = 0.01
_REVERSION = 0.05
_NOISE = 0.001


def simulate(
    paths: int, steps: int, seed: int, report: Callable[[float], None]
) -> dict[str, float]:
    """Return figures of the final prices, the same for equal arguments on every machine."""
    prices = []
    for path in range(paths):
        # Each path has a seed of its own, so that no path depends on another.
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
    price, volatility = 1.0, _MEAN_VOLATILITY
    for _ in range(steps):
        volatility += _REVERSION * (_MEAN_VOLATILITY - volatility) + _NOISE * random.normalvariate()
        price *= exp(volatility * random.normalvariate())
    return price
