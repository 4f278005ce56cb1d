"""Reads whose cost must not depend on the size of the org: overviews, rankings, members."""

from datetime import timedelta
from uuid import UUID

import httpx

from app.core.calendar import today
from bench import load
from bench.requests import Target, compare_requests, measure_requests
from bench.rows import Row
from bench.service import Measured

CONNECTIONS = 2  # few connections, so that requests do not wait: this measures latency, not throughput


def overview_flat(measured: Measured) -> list[Row]:
    """Measure the row `overview_flat`: the overview of the root, with its first page of subordinates, compared with the
    overview of a county."""
    world = measured.world
    large, small = (
        Target(f"/v1/orgs/{org}/reports/overview", _sign_in_main_admin(measured, org))
        for org in (world.root, world.county)
    )
    return [compare_latencies(measured, "overview_flat", large, small, 1.3, p="p50_ms")]


def rank_flat(measured: Measured) -> list[Row]:
    """Measure the row `rank_flat`: a page of the ranking with the caller's own rank, in the largest group compared with
    the smallest group."""
    large, small = (
        Target(f"/v1/orgs/{org}/rankings", _sign_in_main_admin(measured, org))
        for org in (_list_groups(measured)[-1], _list_groups(measured)[0])
    )
    return [compare_latencies(measured, "rank_flat", large, small, 2)]


def members_flat(measured: Measured) -> list[Row]:
    """Measure the rows `members_…`: the first page of the directory and two searches, in the largest group compared
    with the group of 1,000 people."""
    large, small = _list_groups(measured)[-1], _list_groups(measured)[1]
    headers = {org: _sign_in_main_admin(measured, org) for org in (large, small)}
    queries = {"members_list": "", "members_search": "?q=%E7%8E%8B%E4%BC%9F", "members_pinyin": "?q=wang"}
    return [
        compare_latencies(
            measured,
            name,
            Target(f"/v1/orgs/{large}/members{query}", headers[large]),
            Target(f"/v1/orgs/{small}/members{query}", headers[small]),
            2,
        )
        for name, query in queries.items()
    ]


def overview_vs_recount(measured: Measured) -> list[Row]:
    """Measure the row `overview_vs_recount`: the overview of the root on a day that is not stored, so that it is
    counted from the sources, compared with the overview from stored figures."""
    root = measured.world.root
    headers = _sign_in_main_admin(measured, root)
    path = f"{measured.ours}/v1/orgs/{root}/reports/overview"
    recount, stored = [], []
    for _ in range(1 if measured.scale.divisor == 1 else 2):
        with measured.measure("serve", "postgres") as taken:
            httpx.get(
                path, params={"day": str(today() - timedelta(days=1))}, headers=headers, timeout=1800
            ).raise_for_status()
        recount.append(taken.each(unit=1000))
        stored.append(
            measure_requests(
                measured, "serve", lambda: load.get(path, headers, connections=1, until=load.Until(1)), "p50_ms"
            )
        )
    # The time of a recount is proportional to the size of the world.
    goal = 10_000 / measured.scale.divisor
    return [Row.from_rounds("overview_vs_recount", recount, stored, goal, note="ms; / p50 of a stored overview")]


def compare_latencies(
    measured: Measured,
    name: str,
    ours: Target,
    reference: Target,
    goal: float | None,
    p: str = "p95_ms",
    share: float = 1.0,
) -> Row:
    """Measure the latencies of two targets in alternating rounds, and return their row.

    `p` is the percentile: `p50_ms`, `p95_ms` or `p99_ms`. `share` is the part of the scale's seconds for each round.
    """
    rounds = compare_requests(measured, ours, reference, p, connections=CONNECTIONS, share=share)
    return Row.from_rounds(name, *rounds, goal, at_most=True, note=f"{p.partition('_')[0]} in ms")


def _list_groups(measured: Measured) -> list[UUID]:
    return list(measured.world.groups.values())


def _sign_in_main_admin(measured: Measured, org_id: UUID) -> dict[str, str]:
    return measured.sign_in(measured.find_main_admin(org_id))
