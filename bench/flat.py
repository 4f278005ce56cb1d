"""Reads that are to cost the same however large the org is: overviews, rankings, members."""

import time
from datetime import timedelta
from uuid import UUID

import httpx

from app.core.calendar import today
from bench import load
from bench.rows import Row
from bench.service import Measured

CONNECTIONS = 2  # latencies, not throughput: nobody waits for others
Asked = tuple[str, dict[str, str]] | tuple[str, dict[str, str], bytes | None]
"""A path, the headers that are sent, and a form where one is."""


def overview_flat(measured: Measured) -> list[Row]:
    """The root's overview with its first page of subordinates, beside a county's."""
    world = measured.world
    large, small = ((f"/v1/orgs/{org}/reports/overview", _admin(measured, org)) for org in (world.root, world.county))
    return [beside(measured, "overview_flat", large, small, 1.5, p="p50_ms")]


def rank_flat(measured: Measured) -> list[Row]:
    """A page and the caller's own place, in the largest group and in the smallest."""
    large, small = (
        (f"/v1/orgs/{org}/rankings", _admin(measured, org)) for org in (_groups(measured)[-1], _groups(measured)[0])
    )
    return [beside(measured, "rank_flat", large, small, 3)]


def members_flat(measured: Measured) -> list[Row]:
    """The first page of the directory, and a search in it, in the largest group and in that of 1,000."""
    large, small = _groups(measured)[-1], _groups(measured)[1]
    headers = {org: _admin(measured, org) for org in (large, small)}
    asked = {"members_list": "", "members_search": "?q=%E7%8E%8B%E4%BC%9F", "members_pinyin": "?q=wang"}
    return [
        beside(
            measured,
            name,
            (f"/v1/orgs/{large}/members{query}", headers[large]),
            (f"/v1/orgs/{small}/members{query}", headers[small]),
            2,
        )
        for name, query in asked.items()
    ]


def overview_vs_recount(measured: Measured) -> list[Row]:
    """The root's figures of a day that is not kept are counted from the sources; those of a kept day are read."""
    root = measured.world.root
    headers = _admin(measured, root)
    path = f"{measured.ours}/v1/orgs/{root}/reports/overview"
    recount, kept = [], []
    for _ in range(1 if measured.scale.divisor == 1 else 2):
        began = time.perf_counter()
        httpx.get(
            path, params={"day": str(today() - timedelta(days=1))}, headers=headers, timeout=1800
        ).raise_for_status()
        recount.append((time.perf_counter() - began) * 1000)
        kept.append(load.get(path, headers, connections=1, seconds=1).p50_ms)
    return [Row.of("overview_vs_recount", recount, kept, 1000, note="ms: a recount, p50 of a kept overview")]


def beside(
    measured: Measured,
    name: str,
    ours: Asked,
    reference: Asked,
    goal: float | None,
    p: str = "p95_ms",
    share: float = 1,
) -> Row:
    """Latencies in rounds taken in turn, each of a `share` of the scale's seconds."""
    seconds = measured.scale.seconds * share
    figures: tuple[list[float], list[float]] = ([], [])
    for _ in range(measured.scale.rounds):
        for taken, (path, headers, *form) in zip(figures, (ours, reference), strict=True):
            run = load.get(measured.ours + path, headers, *form, connections=CONNECTIONS, seconds=seconds)
            taken.append(getattr(run, p))
    return Row.of(name, figures[0], figures[1], goal, at_most=True, note=f"{p.partition('_')[0]} in ms")


def _groups(measured: Measured) -> list[UUID]:
    return list(measured.world.groups.values())


def _admin(measured: Measured, org_id: UUID) -> dict[str, str]:
    return measured.sign_in(measured.main_admin(org_id))
