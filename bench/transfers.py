"""Transfers of whole orgs: the cost of the transaction, the delay of the totals, and their correctness."""

import asyncio
import time
from datetime import datetime
from uuid import UUID

import httpx

from bench.cost import Round
from bench.rows import Row
from bench.service import Measured
from bench.tree import MOVED_SUBORDINATES
from bench.world import build_org_id


def move_50k(measured: Measured) -> list[Row]:
    """Measure the row `move_50k`: the acceptance of the transfer of an org with 55,000 orgs under it, compared with the
    acceptance of the transfer of an org with none. Both orgs are transferred there and back."""
    large, small = Move.find_large(measured), Move.find_village(measured)
    ours, reference = [], []
    for _ in range(max(2, measured.scale.rounds // 2)):
        for _there_and_back in range(2):
            ours.append(large.transfer())
            reference.append(small.transfer())
    return [
        Row.from_rounds(
            "move_50k", ours, reference, 1.5, at_most=True, note=f"ms; {large.descendants:,} orgs below / none"
        )
    ]


def totals_fresh_transfer(measured: Measured) -> list[Row]:
    """Measure the row `totals_fresh_transfer`: the time from the acceptance of the transfer of an org with 55,000 orgs
    under it until the root's overview includes the transfer."""
    move = Move.find_large(measured)
    root = measured.world.root
    reader = measured.sign_in(measured.find_main_admin(root))
    waited = []
    asyncio.run(measured.wait_for_rollup())
    for _there_and_back in range(2):
        move.transfer()
        waited.append(_wait_for_totals(measured, root, reader))
    note = f"s of wall time; the worse of two; {move.descendants:,} orgs below, 3 % of people in several orgs"
    return [Row.from_figure("totals_fresh_transfer", max(waited), 30, note=note)]


def _wait_for_totals(measured: Measured, org: UUID, reader: dict[str, str]) -> float:
    """Wait until the org's overview includes all present writes. Return the seconds of the wait."""
    began = time.time()
    while time.time() < began + 900:
        answer = httpx.get(f"{measured.ours}/v1/orgs/{org}/reports/overview", headers=reader, timeout=60)
        if datetime.fromisoformat(answer.raise_for_status().json()["as_of"]).timestamp() >= began:
            return time.time() - began
        time.sleep(0.1)
    return time.time() - began


class Move:
    """An org that is transferred there and back between two superiors."""

    def __init__(self, measured: Measured, org: int, here: int, there: int, descendants: int) -> None:
        self.descendants = descendants
        self._measured = measured
        self._org = build_org_id(org)
        self._at, self._next = build_org_id(here), build_org_id(there)
        admins = (self._org, self._at, self._next)
        self._headers = {each: measured.sign_in(measured.find_main_admin(each)) for each in admins}
        self._base = f"{measured.ours}/v1/orgs"

    @classmethod
    def find_large(cls, measured: Measured) -> "Move":
        """Return the Move of the org for which the number of orgs under it is nearest to 55,000."""
        wanted = MOVED_SUBORDINATES // measured.scale.divisor
        return cls._find(measured, f"level > 0 ORDER BY abs(descendants - {wanted}), n")

    @classmethod
    def find_village(cls, measured: Measured) -> "Move":
        """Return the Move of an org without subordinates."""
        return cls._find(measured, "level = 5 ORDER BY n DESC")

    @classmethod
    def _find(cls, measured: Measured, which: str) -> "Move":
        org = int(str(measured.query_value(f"SELECT n FROM bench.orgs WHERE {which} LIMIT 1")))
        here = int(str(measured.query_value("SELECT parent FROM bench.orgs WHERE n = $1", org)))
        descendants = int(str(measured.query_value("SELECT descendants FROM bench.orgs WHERE n = $1", org)))
        # The other superior: a sibling of the org, or for an org below the second level a sibling of its superior.
        other = measured.query_value(
            "SELECT s.n FROM bench.orgs AS o JOIN bench.orgs AS s ON s.level = greatest(o.level - 1, 1) "
            "WHERE o.n = $1 AND s.n NOT IN (o.n, o.parent) ORDER BY s.n DESC LIMIT 1",
            org,
        )
        return cls(measured, org, here, int(str(other)), descendants)

    def transfer(self) -> Round:
        """Transfer the org to its other superior by invitation, request, release and acceptance. Return the cost of the
        acceptance in milliseconds."""
        with httpx.Client(timeout=120) as api:

            def call(method: str, org: UUID, path: str, **body: object) -> dict[str, object]:
                answer = api.request(method, f"{self._base}/{org}{path}", json=body or None, headers=self._headers[org])
                answer.raise_for_status()
                said: dict[str, object] = answer.json()
                return said

            token = call("POST", self._next, "/invitations", max_uses=1)["token"]
            transfer = call("POST", self._org, "/transfers", invitation_token=token)
            version = transfer["preview"]["version"]  # type: ignore[index]  # JSON of a known form
            call("PUT", self._at, f"/transfers/{transfer['id']}/release", preview=version)
            with self._measured.measure("serve", "postgres") as taken:
                call("PUT", self._next, f"/transfers/{transfer['id']}/acceptance", preview=version)
        self._at, self._next = self._next, self._at
        return taken.each(unit=1000)
