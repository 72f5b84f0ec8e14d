"""Results of the simulation, which are reproducible, and its progress."""

import pytest

from app.domains.simulations.compute import simulate


def test_results_are_equal_for_equal_seeds_only() -> None:
    first, again, other = (simulate(20, 10, seed, lambda _: None) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_results_are_equal_on_every_machine() -> None:
    assert simulate(2, 3, 7, lambda _: None) == pytest.approx(
        {
            "mean": 1.0035814259007896,
            "deviation": 0.011258540541960238,
            "p5": 0.9923228853588294,
            "p50": 1.0148399664427499,
            "p95": 1.0148399664427499,
        },
        rel=1e-12,
    )


def test_each_path_reports_the_progress() -> None:
    reports: list[float] = []
    simulate(4, 1, 7, reports.append)
    assert reports == [0.25, 0.5, 0.75, 1.0]


def test_a_single_path_has_no_deviation() -> None:
    result = simulate(1, 1, 7, lambda _: None)
    assert result["p5"] == result["p50"] == result["p95"] == result["mean"]
    assert result["deviation"] == 0


def test_percentiles_are_in_order_and_the_mean_is_near_one() -> None:
    result = simulate(200, 100, 7, lambda _: None)
    assert 0 < result["p5"] < result["p50"] < result["p95"]
    assert result["mean"] == pytest.approx(1, abs=5 * result["deviation"] / 200**0.5)
