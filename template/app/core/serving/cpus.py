"""How much of the machine's CPUs this container may use."""

import math
import os
from pathlib import Path

# Where a control group keeps its quota and the period that it is for.
_VERSION_2 = ("cpu.max",)
_VERSION_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def available_cpus(root: Path = Path("/")) -> int:
    """The CPUs of this process, or what its control group's quota makes of them, rounded up."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([own, *map(math.ceil, _quotas(root))]))


def _quotas(root: Path) -> list[float]:
    """In CPUs: of the group and of each around it, for each narrows the ones below."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # No Linux.
        return []
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controllers
            group = mount / path.lstrip("/")
            # Within a container the mount begins at its own group, whatever the path says.
            for folder in {group, *group.parents} - set(mount.parents):
                quotas += _quota(folder, _VERSION_1 if controllers else _VERSION_2)
    return quotas


def _quota(folder: Path, files: tuple[str, ...]) -> list[float]:
    try:
        quota, period = " ".join((folder / file).read_text() for file in files).split()
        return [] if quota in {"max", "-1"} else [int(quota) / int(period)]
    # The root has none, nor has a group without that controller; and what is no number is none.
    except (OSError, ValueError, ZeroDivisionError):
        return []


# Read once: files are not for an event loop.
CPUS = available_cpus()
