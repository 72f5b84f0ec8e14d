"""Latencies of a service while heavy work runs, in right and wrong ways: `make bench`."""

import json
import statistics
import sys
from pathlib import Path

from benchmarks.services import installed
from tests.matrix import Answers
from tests.project import Project

HEAVY = Path(__file__).with_name("heavy.py")
ROUNDS = 3

# Answers to `sqlalchemy` and `cpu_jobs`, and the way in which the service runs the work.
WAYS = (
    ("async", "process_pool", "process_pool"),
    ("async", "celery", "celery"),
    ("async", "process_pool", "thread"),
    ("async", "process_pool", "inline"),
    ("sync", "process_pool", "process_pool"),
    ("sync", "celery", "celery"),
    ("sync", "process_pool", "thread"),
)

# This domain is wrong: the work runs in the serving process while the request waits.
DOMAIN = '''"""Heavy work in requests."""

import structlog
from anyio import to_thread
from fastapi import APIRouter

from app.domains.simulations.compute import simulate
from app.domains.simulations.schemas import SimulationForm

log = structlog.get_logger()
router = APIRouter(prefix="/wrong")


def compute(form: SimulationForm) -> dict[str, float]:
    result = simulate(**form.model_dump(), report=lambda _: None)
    # heavy.py counts this event, which the right ways log too.
    log.info("job_ended")
    return result
'''
ROUTES = {
    "async": """

@router.post("/thread")
async def thread(form: SimulationForm) -> dict[str, float]:
    return await to_thread.run_sync(compute, form)


@router.post("/inline")
async def inline(form: SimulationForm) -> dict[str, float]:
    return compute(form)
""",
    "sync": """

@router.post("/thread")
def thread(form: SimulationForm) -> dict[str, float]:
    return compute(form)
""",
}


def main() -> None:
    """Measure the ways in turn, so that a slow moment of the machine affects them all."""
    with installed(has_jobs) as found:
        services = {
            (service.answers["sqlalchemy"], service.answers["cpu_jobs"]): service
            for service in found
        }
        for service in found:
            add_wrong_ways(service)
        paths = heavy(found[0])
        figures: dict[str, list[dict[str, float]]] = {}
        for number in range(1, ROUNDS + 1):
            for sqlalchemy, cpu_jobs, way in WAYS:
                name = f"{sqlalchemy:<6} {way.replace('_', ' '):<13}"
                print(f"{name} round {number} of {ROUNDS}", file=sys.stderr)  # noqa: T201
                printed = heavy(services[sqlalchemy, cpu_jobs], way, paths)
                figures.setdefault(name, []).append(json.loads(printed))
    print("median latency in ms, idle -> with 5 jobs of 300 ms per second; x: loaded / idle")  # noqa: T201
    for name, rounds in figures.items():
        print(f"{name} {row(rounds)}")  # noqa: T201


def has_jobs(answers: Answers) -> bool:
    """Return whether this benchmark measures a service with these answers."""
    return (
        answers["cpu_jobs"] != "none"
        and answers["database"] == "postgresql"
        and not answers["redis_cache"]
    )


def add_wrong_ways(service: Project) -> None:
    """Add the domain to a service, which includes the router of every domain."""
    folder = service.folder / "app" / "domains" / "wrong"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "router.py").write_text(DOMAIN + ROUTES[str(service.answers["sqlalchemy"])])


def heavy(service: Project, *arguments: str) -> str:
    """Run `heavy.py` in a service; return the last line of the output."""
    printed = service.run("uv", "run", "python", str(HEAVY), *arguments, PYTHONPATH=".")
    return printed.splitlines()[-1]


def row(rounds: list[dict[str, float]]) -> str:
    """Return one line with the medians of a way, and with the failures of all rounds."""
    median = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
    latencies = [
        f"{name} p50 {change(median, f'{name} p50')}  p99 {change(median, f'{name} p99')}"
        for name in ("/livez", "read")
    ]
    failures = [f"{key} {sum(each[key] for each in rounds)}" for key in ("failed", "unanswered")]
    rates = [f"samples {median['samples']:.0f}", f"jobs/s {median['jobs/s']:.1f}"]
    return "   ".join([*latencies, *rates, *failures])


def change(median: dict[str, float], name: str) -> str:
    """Return a latency of the idle service, the latency under load, and the ratio."""
    idle, loaded = median[f"idle {name}"], median[f"loaded {name}"]
    return f"{short(idle)} -> {short(loaded)} (x{short(loaded / idle)})"


def short(value: float) -> str:
    """Return a number as text, with one decimal below 10."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"  # noqa: PLR2004


if __name__ == "__main__":
    main()
