"""Reads over HTTP, signed in and authorized: beside a bare handler of the same rows, and without the fast path."""

from uuid import UUID

from bench.requests import Asked, in_turn
from bench.rows import Row
from bench.service import Measured


def read_org(measured: Measured) -> list[Row]:
    """A county's card, read by its main admin."""
    return [_read(measured, "read_org", measured.world.county, "", 0.45)]


def read_overview(measured: Measured) -> list[Row]:
    """The root's overview: itself, its subtree, the week before, the first page of its subordinates."""
    return [_read(measured, "read_overview", measured.world.root, "/reports/overview", 0.40)]


def fast_path(measured: Measured) -> list[Row]:
    """The processor time of each fast route, with the fast path and without it: `app/fastpath` says what it has to
    gain."""
    county, root = measured.world.county, measured.world.root
    asked = {
        "fast_org": (county, f"/v1/orgs/{county}"),
        "fast_overview": (root, f"/v1/orgs/{root}/reports/overview"),
        "fast_inbox": (county, "/v1/inbox"),
    }
    with measured.process("plain", ("-m", "bench.plain"), "/readyz"):
        return [_beside_plain(measured, name, *of) for name, of in asked.items()]


def _beside_plain(measured: Measured, name: str, org_id: UUID, path: str) -> Row:
    fast = Asked(path, measured.sign_in(measured.main_admin(org_id)))
    rounds = in_turn(measured, fast, fast._replace(process="plain"), "p50_ms", alone=True)
    note = "p50 in ms; / without the fast path; processor time of the API alone"
    return Row.of(name, *rounds, 2 / 3, at_most=True, note=note)


def _read(measured: Measured, name: str, org_id: UUID, under: str, goal: float) -> Row:
    ours = Asked(f"/v1/orgs/{org_id}{under}", measured.sign_in(measured.main_admin(org_id)))
    rounds = in_turn(measured, ours, Asked(ours.path, {}, process="reference"))
    return Row.of(name, *rounds, goal, note="requests/s; / a bare handler of the same rows")
