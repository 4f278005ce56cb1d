"""Reads over HTTP, signed in and authorized, beside a bare handler of the same rows."""

from uuid import UUID

from bench import load
from bench.rows import Row
from bench.service import Measured


def read_org(measured: Measured) -> list[Row]:
    """A county's card, read by its main admin."""
    return [_read(measured, "read_org", measured.world.county, "", 0.40)]


def read_overview(measured: Measured) -> list[Row]:
    """The root's overview: itself, its subtree, the week before, the first page of its subordinates."""
    return [_read(measured, "read_overview", measured.world.root, "/reports/overview", 0.35)]


def _read(measured: Measured, name: str, org_id: UUID, under: str, goal: float) -> Row:
    path = f"/v1/orgs/{org_id}{under}"
    runs: dict[str, list[load.Load]] = {"serve": [], "reference": []}
    used = dict.fromkeys(runs, 0.0)
    headers = {"serve": measured.sign_in(measured.main_admin(org_id)), "reference": {}}
    for _ in range(measured.scale.rounds):
        for process, taken in runs.items():
            before = measured.cpu_seconds(process)
            taken.append(load.get(measured.addresses[process] + path, headers[process], seconds=measured.scale.seconds))
            used[process] += measured.cpu_seconds(process) - before
    each = {process: 1e6 * used[process] / sum(run.answered for run in taken) for process, taken in runs.items()}
    return Row.of(
        name,
        [run.per_second for run in runs["serve"]],
        [run.per_second for run in runs["reference"]],
        goal,
        note=f"requests/s; processor time a request {each['serve']:.0f} µs beside {each['reference']:.0f} µs "
        f"({each['reference'] / each['serve']:.2f})",
    )
