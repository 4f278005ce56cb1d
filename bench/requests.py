"""Rounds of requests, with the processor time of the answering process and of PostgreSQL."""

from collections.abc import Callable
from typing import NamedTuple

from bench import load
from bench.cost import Round, list_processes
from bench.service import Measured


class Target(NamedTuple):
    """A path, its headers, an optional form, and the process that answers."""

    path: str
    headers: dict[str, str]
    form: bytes | None = None
    process: str = "serve"


def measure_requests(
    measured: Measured, process: str, send: Callable[[], load.Load], p: str | None = None, *, alone: bool = False
) -> Round:
    """Run `send` and return a Round: requests per second, or the percentile `p` of the request times in milliseconds;
    and the mean processor time. With `alone`, the processor time of PostgreSQL is not included."""
    with measured.measure(process, *(() if alone else ("postgres",))) as taken:
        run = send()
    if p is None:
        return taken.rate(run.answered, wall=run.answered / run.per_second)
    return taken.each(run.answered, wall=getattr(run, p), unit=1000)


def compare_requests(
    measured: Measured,
    ours: Target,
    reference: Target,
    p: str | None = None,
    *,
    connections: int = 16,
    share: float = 1.0,
    alone: bool = False,
) -> tuple[list[Round], list[Round]]:
    """Measure both targets in alternating rounds. Return the rounds of `ours` and those of `reference`.

    A few requests before the first round prepare the statements. If `share` is less than 1, there are half as many
    rounds, and each takes that part of the scale's seconds.
    """
    rounds: tuple[list[Round], list[Round]] = ([], [])
    whole = measured.scale.seconds * share

    def get(target: Target, seconds: float) -> Callable[[], load.Load]:
        url = measured.addresses[target.process] + target.path
        until = load.Until(seconds, connections, pids=tuple(list_processes(measured.pids[target.process])))
        return lambda: load.get(url, target.headers, target.form, connections=connections, until=until)

    for target in (ours, reference):
        get(target, 0.0)()
    for _ in range(measured.scale.rounds if share == 1 else max(2, measured.scale.rounds // 2)):
        for taken, target in zip(rounds, (ours, reference), strict=True):
            taken.append(measure_requests(measured, target.process, get(target, whole), p, alone=alone))
    return rounds
