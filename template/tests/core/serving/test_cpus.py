"""CPUs that a container may use, by the quotas of its control groups."""

import os
from pathlib import Path

import pytest

from app.core.serving.cpus import available_cpus

VERSION_2 = "0::{group}\n"
VERSION_1 = "9:memory:/elsewhere\n4:cpuacct,cpu:{group}\n1:name=systemd:{group}\n"


@pytest.fixture(autouse=True)
def many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(("cpus", "expected"), [(0.1, 1), (0.5, 1), (1, 1), (2.5, 3), (100, 64)])
def test_a_cpu_quota_is_rounded_up(tmp_path: Path, cpus: float, expected: int) -> None:
    quota = round(cpus * 100_000)
    for number, group in enumerate(("/", "/pods/one")):
        new = {
            "proc/self/cgroup": VERSION_2.format(group=group),
            "sys/fs/cgroup/cpu.max": f"{quota} 100000\n",
        }
        old = {
            "proc/self/cgroup": VERSION_1.format(group=group),
            "sys/fs/cgroup/cpuacct,cpu/cpu.cfs_quota_us": f"{quota}\n",
            "sys/fs/cgroup/cpuacct,cpu/cpu.cfs_period_us": "100000\n",
        }
        assert available_cpus(write(tmp_path / f"{number}-2", new)) == expected
        assert available_cpus(write(tmp_path / f"{number}-1", old)) == expected


def test_the_lowest_quota_of_nested_groups_applies(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": VERSION_2.format(group="/outer/inner"),
        "sys/fs/cgroup/outer/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/outer/inner/cpu.max": "max 100000\n",
    }
    assert available_cpus(write(tmp_path, files)) == 2


@pytest.mark.parametrize("quota", ["max 100000", "max", "", "100000 0", None])
def test_without_a_quota_the_cpu_affinity_applies(tmp_path: Path, quota: str | None) -> None:
    if quota is not None:
        group = {"proc/self/cgroup": VERSION_2.format(group="/")}
        write(tmp_path, group | {"sys/fs/cgroup/cpu.max": f"{quota}\n"})
    assert available_cpus(tmp_path) == 64
