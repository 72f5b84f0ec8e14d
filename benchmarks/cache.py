"""CPU time of a read that hits the cache, beside other requests: `make bench`."""

import json
import statistics
from pathlib import Path

from benchmarks.services import installed
from tests.matrix import label

COST = Path(__file__).with_name("cost.py")
ROUNDS = 3


def main() -> None:
    """Measure the services in turn, so that a slow moment of the machine affects them all."""
    with installed(
        lambda answers: answers["redis_cache"] and answers["cpu_jobs"] == "none"
    ) as services:
        figures: dict[str, dict[str, list[float]]] = {}
        for _ in range(ROUNDS):
            for service in services:
                printed = service.run("uv", "run", "python", str(COST), PYTHONPATH=".")
                costs = figures.setdefault(label(service.answers), {})
                for name, values in json.loads(printed.splitlines()[-1]).items():
                    costs.setdefault(name, []).extend(values)
    print("median of the server's CPU time per request in µs; x: ratio to /livez")  # noqa: T201
    for name, costs in figures.items():
        median = {key: statistics.median(values) for key, values in costs.items()}
        row = "  ".join(
            f"{key} {value:.0f} (x{value / median['ping']:.1f})" for key, value in median.items()
        )
        print(f"{name:<70} {row}")  # noqa: T201


if __name__ == "__main__":
    main()
