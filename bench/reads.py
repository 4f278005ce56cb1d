"""Reads over HTTP, signed in and authorized: compared with a bare handler of the same rows, and without the fast
path."""

from uuid import UUID

from bench.requests import Target, compare_requests
from bench.rows import Row
from bench.service import Measured


def read_org(measured: Measured) -> list[Row]:
    """Compare the read of a county's card by its main admin."""
    return [_read(measured, "read_org", measured.world.county, "", 0.45)]


def read_overview(measured: Measured) -> list[Row]:
    """Compare the root's overview: itself, its subtree, the previous week, the first page of subordinates."""
    return [_read(measured, "read_overview", measured.world.root, "/reports/overview", 0.40)]


def fast_path(measured: Measured) -> list[Row]:
    """Compare the processor time of each fast route with and without the fast path; `app/fastpath` states the required
    gain."""
    county, root = measured.world.county, measured.world.root
    reads = {
        "fast_org": (county, f"/v1/orgs/{county}"),
        "fast_overview": (root, f"/v1/orgs/{root}/reports/overview"),
        "fast_inbox": (county, "/v1/inbox"),
    }
    with measured.process("plain", ("-m", "bench.without_fast_path"), "/readyz"):
        return [_beside_plain(measured, name, *of) for name, of in reads.items()]


def _beside_plain(measured: Measured, name: str, org_id: UUID, path: str) -> Row:
    fast = Target(path, measured.sign_in(measured.main_admin(org_id)))
    rounds = compare_requests(measured, fast, fast._replace(process="plain"), "p50_ms", alone=True)
    note = "p50 in ms; / without the fast path; processor time of the API alone"
    return Row.from_rounds(name, *rounds, 2 / 3, at_most=True, note=note)


def _read(measured: Measured, name: str, org_id: UUID, under: str, goal: float) -> Row:
    ours = Target(f"/v1/orgs/{org_id}{under}", measured.sign_in(measured.main_admin(org_id)))
    rounds = compare_requests(measured, ours, Target(ours.path, {}, process="reference"))
    return Row.from_rounds(name, *rounds, goal, note="requests/s; / a bare handler of the same rows")
