"""The simulation: the same for everybody, everywhere."""

import pytest

from app.domains.simulations.compute import simulate


def test_it_is_the_same_for_the_same_seed_alone() -> None:
    first, again, other = (simulate(20, 10, seed, lambda _: None) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_it_is_the_same_on_every_machine() -> None:
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


def test_it_reports_how_far_it_is() -> None:
    reports: list[float] = []
    simulate(4, 1, 7, reports.append)
    assert reports == [0.25, 0.5, 0.75, 1.0]


def test_a_single_path_is_enough() -> None:
    result = simulate(1, 1, 7, lambda _: None)
    assert result["p5"] == result["p50"] == result["p95"] == result["mean"]
    assert result["deviation"] == 0


def test_its_figures_are_in_order() -> None:
    result = simulate(200, 100, 7, lambda _: None)
    assert 0 < result["p5"] < result["p50"] < result["p95"]
    assert result["mean"] == pytest.approx(1, abs=5 * result["deviation"] / 200**0.5)
