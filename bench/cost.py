"""The cost of work: seconds by the clock, and processor seconds (user and system) of the processes that do it.

Other load on the machine changes the time by the clock, but hardly the processor time. Processor time is read from the
process's clock in nanoseconds; for ended children the kernel has hundredths of a second.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

BENCH = "bench"
"""The name of this process, without its children."""


@dataclass(frozen=True, slots=True)
class Round:
    """A figure of one round: `wall` by the clock, `cpu` by processor time. `parts` are the milliseconds of processor
    time that each process spent on one item, by the names of the processes."""

    wall: float
    cpu: float
    parts: Mapping[str, float]


@dataclass(slots=True)
class Cost:
    """The cost of some work in seconds: `wall` by the clock, `cpu` the processor time of each process by its name."""

    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: Self) -> "Cost":
        cpu = {name: self.cpu.get(name, 0.0) + other.cpu.get(name, 0.0) for name in (*self.cpu, *other.cpu)}
        return Cost(self.wall + other.wall, cpu)

    def rate(self, done: float, *, wall: float | None = None, of: int = 1) -> Round:
        """Return a Round with the items per second; its `parts` are the cost of `of` items.

        `done` is the number of items. `wall` is the time in which they were done, if it is not that of the whole block.
        """
        return Round(done / (wall or self.wall), done / sum(self.cpu.values()), self._parts(done / of))

    def each(self, done: float = 1, *, wall: float | None = None, unit: float = 1.0) -> Round:
        """Return a Round with the cost of one of `done` items, in seconds × `unit` (1000: milliseconds).

        `wall` is the figure by the clock if it is not the mean, for example a percentile.
        """
        return Round(
            self.wall * unit / done if wall is None else wall,
            sum(self.cpu.values()) * unit / done,
            self._parts(done),
        )

    def _parts(self, done: float) -> dict[str, float]:
        return {name: seconds * 1000 / done for name, seconds in self.cpu.items()}


@contextmanager
def measure_cost(pids: Mapping[str, int], *names: str) -> Iterator[Cost]:
    """Measure the time of the block, and the processor time of the named processes and their children in it."""
    found = Cost()
    before = {name: _sum_processor_seconds(pids, name) for name in names}
    began = time.perf_counter()
    yield found
    found.wall = time.perf_counter() - began
    found.cpu = {name: _sum_processor_seconds(pids, name) - before[name] for name in reversed(names)}


def _sum_processor_seconds(pids: Mapping[str, int], name: str) -> float:
    return time.process_time() if name == BENCH else _get_family_seconds(pids[name])


def _get_family_seconds(pid: int) -> float:
    """Return the processor time so far of a process and its children."""
    while True:
        ended = _get_children_seconds(pid)
        used = get_processor_seconds(pid) + ended
        for child in list_processes(pid)[1:]:
            with suppress(psutil.NoSuchProcess, OSError):
                used += get_processor_seconds(child) + _get_children_seconds(child)
        if ended == _get_children_seconds(pid):  # else a child that ended meanwhile can be counted twice or not at all
            return used


def list_processes(pid: int) -> list[int]:
    """Return the pids of a process and all its descendants."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # not Linux, or a process ended meanwhile; psutil scans all processes
        with suppress(psutil.NoSuchProcess):
            return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        return [pid]
    return [pid, *(process for child in children for process in list_processes(child))]


def get_processor_seconds(pid: int) -> float:
    """Return the processor time so far of a process without its children."""
    if sys.platform == "linux":
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _get_children_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.children_user + times.children_system)
