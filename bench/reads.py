"""Reads over HTTP, signed in and authorized: beside a bare handler of the same rows, and without the fast path."""

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


def fast_path(measured: Measured) -> list[Row]:
    """The processor time of each fast route, with the fast path and without it: `app/fastpath` says what it has to
    gain."""
    group = list(measured.world.groups.values())[1]
    asked = {
        "fast_org": (measured.world.county, ""),
        "fast_overview": (measured.world.root, "/reports/overview"),
        "fast_rankings": (group, "/rankings"),
    }
    with measured.process("plain", ("-m", "bench.plain"), "/readyz"):
        return [_beside_plain(measured, name, *address) for name, address in asked.items()]


def _beside_plain(measured: Measured, name: str, org_id: UUID, under: str) -> Row:
    headers = measured.sign_in(measured.main_admin(org_id))
    used: dict[str, list[float]] = {"serve": [], "plain": []}
    for _ in range(measured.scale.rounds):
        for process, each in used.items():
            before = measured.cpu_seconds(process)
            address = f"{measured.addresses[process]}/v1/orgs/{org_id}{under}"
            run = load.get(address, headers, seconds=measured.scale.seconds)
            each.append(1e6 * (measured.cpu_seconds(process) - before) / run.answered)
    note = "processor time a request in µs, and without the fast path"
    return Row.of(name, used["serve"], used["plain"], 2 / 3, at_most=True, note=note)


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
