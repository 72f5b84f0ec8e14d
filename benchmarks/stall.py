"""Latencies while more requests than database connections wait: `make bench`."""

import json
import statistics
from pathlib import Path

from benchmarks.services import installed
from tests.matrix import label

PROBE = Path(__file__).with_name("probe.py")
ROUNDS = 3


def main() -> None:
    """Probe the services in turn, so that a slow moment of the machine affects them all."""
    with installed(lambda a: a["cpu_jobs"] == "none" and not a["redis_cache"]) as services:
        figures: dict[str, list[dict[str, float]]] = {}
        for _ in range(ROUNDS):
            for service in services:
                printed = service.run("uv", "run", "python", str(PROBE), PYTHONPATH=".")
                figures.setdefault(label(service.answers), []).append(
                    json.loads(printed.splitlines()[-1])
                )
    print("median latency in ms; x: ratio to /livez when idle")  # noqa: T201
    for name, rounds in figures.items():
        median = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        row = "  ".join(
            f"{key} {value:.1f} (x{value / median['idle']:.0f})" for key, value in median.items()
        )
        print(f"{name:<70} {row}")  # noqa: T201


if __name__ == "__main__":
    main()
