"""Measurements of signed-in reads over HTTP: compared with a bare handler that reads the same rows, and compared with
the same read without the fast path."""

from uuid import UUID

from bench.requests import Target, compare_requests
from bench.rows import Row
from bench.service import Measured


def read_org(measured: Measured) -> list[Row]:
    """Measure the row `read_org`: the main admin of a county reads its card."""
    return [_compare_with_bare_handler(measured, "read_org", measured.world.county, "", 0.45)]


def read_overview(measured: Measured) -> list[Row]:
    """Measure the row `read_overview`: the main admin of the root reads its overview, which contains the root itself,
    its subtree, the previous week and the first page of subordinates."""
    return [_compare_with_bare_handler(measured, "read_overview", measured.world.root, "/reports/overview", 0.40)]


def fast_path(measured: Measured) -> list[Row]:
    """Measure the rows `fast_…`: the processor time of each route of the fast path, compared with the time of the same
    route without the fast path. `app/fastpath` states the required gain."""
    county, root = measured.world.county, measured.world.root
    reads = {
        "fast_org": (county, f"/v1/orgs/{county}"),
        "fast_overview": (root, f"/v1/orgs/{root}/reports/overview"),
        "fast_inbox": (county, "/v1/inbox"),
    }
    with measured.run_process("plain", ("-m", "bench.without_fast_path"), "/readyz"):
        return [_compare_with_plain(measured, name, *of) for name, of in reads.items()]


def _compare_with_plain(measured: Measured, name: str, org_id: UUID, path: str) -> Row:
    fast = Target(path, measured.sign_in(measured.find_main_admin(org_id)))
    rounds = compare_requests(measured, fast, fast._replace(process="plain"), "p50_ms", alone=True)
    note = "p50 in ms; / without the fast path; processor time of the API alone"
    return Row.from_rounds(name, *rounds, 2 / 3, at_most=True, note=note)


def _compare_with_bare_handler(measured: Measured, name: str, org_id: UUID, under: str, goal: float) -> Row:
    ours = Target(f"/v1/orgs/{org_id}{under}", measured.sign_in(measured.find_main_admin(org_id)))
    rounds = compare_requests(measured, ours, Target(ours.path, {}, process="reference"))
    return Row.from_rounds(name, *rounds, goal, note="requests/s; / a bare handler of the same rows")
