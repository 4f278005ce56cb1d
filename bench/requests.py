"""Rounds of requests, with what the process that is asked and the database's server compute for them."""

from collections.abc import Callable
from typing import NamedTuple

from bench import load
from bench.service import Measured
from bench.taken import Round, family


class Asked(NamedTuple):
    """A path, the headers that are sent, a form where one is, and the process that is asked."""

    path: str
    headers: dict[str, str]
    form: bytes | None = None
    process: str = "serve"


def requests(
    measured: Measured, process: str, send: Callable[[], load.Load], p: str | None = None, *, alone: bool = False
) -> Round:
    """Requests a second, or with `p` that percentile of their times in ms, beside the mean of the processor's; `alone`
    without what PostgreSQL computes for them."""
    with measured.taken(process, *(() if alone else ("postgres",))) as taken:
        run = send()
    if p is None:
        return taken.rate(run.answered, wall=run.answered / run.per_second)
    return taken.each(run.answered, wall=getattr(run, p), unit=1000)


def in_turn(
    measured: Measured,
    ours: Asked,
    reference: Asked,
    p: str | None = None,
    *,
    connections: int = 16,
    share: float = 1.0,
    alone: bool = False,
) -> tuple[list[Round], list[Round]]:
    """Rounds of both, after a few requests that prepare their statements; half as many of a `share` of the seconds."""
    rounds: tuple[list[Round], list[Round]] = ([], [])
    whole = measured.scale.seconds * share

    def get(asked: Asked, seconds: float) -> Callable[[], load.Load]:
        url = measured.addresses[asked.process] + asked.path
        until = load.Until(seconds, connections, pids=tuple(family(measured.pids[asked.process])))
        return lambda: load.get(url, asked.headers, asked.form, connections=connections, until=until)

    for asked in (ours, reference):
        get(asked, 0.0)()
    for _ in range(measured.scale.rounds if share == 1 else max(2, measured.scale.rounds // 2)):
        for taken, asked in zip(rounds, (ours, reference), strict=True):
            taken.append(requests(measured, asked.process, get(asked, whole), p, alone=alone))
    return rounds
