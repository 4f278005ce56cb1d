"""What work takes: seconds by the clock, and seconds of processor time (user and system) of the processes that do it.

A shared machine shifts the first and hardly the second. It is read from the process's own clock, which counts
nanoseconds; of children that have ended the kernel keeps hundredths of a second.
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
"""The name of this process itself, without its children."""


@dataclass(frozen=True, slots=True)
class Round:
    """A figure by the clock and by processor time; `parts` are the ms of each process for one piece of work."""

    wall: float
    cpu: float
    parts: Mapping[str, float]


@dataclass(slots=True)
class Taken:
    """What some work took."""

    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)

    def __add__(self, other: Self) -> "Taken":
        cpu = {name: self.cpu.get(name, 0.0) + other.cpu.get(name, 0.0) for name in (*self.cpu, *other.cpu)}
        return Taken(self.wall + other.wall, cpu)

    def rate(self, done: float, *, wall: float | None = None, of: int = 1) -> Round:
        """Pieces of work a second, which are done `of` at once; `wall` where they took fewer seconds than the whole."""
        return Round(done / (wall or self.wall), done / sum(self.cpu.values()), self._parts(done / of))

    def each(self, done: float = 1, *, wall: float | None = None, unit: float = 1.0) -> Round:
        """What one piece of work takes, in seconds or in the unit of which a second has so many. `wall` is the figure
        by the clock where it is another than the mean."""
        return Round(
            self.wall * unit / done if wall is None else wall,
            sum(self.cpu.values()) * unit / done,
            self._parts(done),
        )

    def _parts(self, done: float) -> dict[str, float]:
        return {name: seconds * 1000 / done for name, seconds in self.cpu.items()}


@contextmanager
def taken(pids: Mapping[str, int], *names: str) -> Iterator[Taken]:
    """What is done inside takes; the processes named are looked at, with those that they started."""
    found = Taken()
    before = {name: _used(pids, name) for name in names}
    began = time.perf_counter()
    yield found
    found.wall = time.perf_counter() - began
    found.cpu = {name: _used(pids, name) - before[name] for name in reversed(names)}


def _used(pids: Mapping[str, int], name: str) -> float:
    return time.process_time() if name == BENCH else _processor_seconds(pids[name])


def _processor_seconds(pid: int) -> float:
    """The processor time that a process and those it started have used so far."""
    while True:
        ended = _of_ended_children(pid)
        used = computed(pid) + ended
        for child in family(pid)[1:]:
            with suppress(psutil.NoSuchProcess, OSError):
                used += computed(child) + _of_ended_children(child)
        if ended == _of_ended_children(pid):  # else a child may have been counted twice or not at all
            return used


def family(pid: int) -> list[int]:
    """A process and those that it started, and so on."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # another system than Linux, or a process that has just ended; this looks at every process there is
        with suppress(psutil.NoSuchProcess):
            return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        return [pid]
    return [pid, *(one for child in children for one in family(child))]


def computed(pid: int) -> float:
    """The processor time that a process itself has used so far."""
    if sys.platform == "linux":
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _of_ended_children(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.children_user + times.children_system)
