"""Crossing transactions in every order: a handful of random orders here, all of them under XUEZU_PROOF=1."""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.acts import Json, add_admin, add_unit, apply, ask, certify, done, invite
from tests.people import People, Person
from tests.proofs.invariants import assert_invariants
from tests.proofs.stepping import Request, interleave

PROOF = os.environ.get("XUEZU_PROOF") == "1"
SAMPLE = None if PROOF else 4

Check = Callable[[list[Any]], Awaitable[None]]
Scene = tuple[Sequence[Request], Check]


async def approval(admin: Person, above: Json, below: Json) -> Request:
    """An approval that waits to be sent."""
    application = done(await apply(admin, below, (await invite(admin, above))["token"]), 201)
    path = f"/v1/orgs/{above['id']}/applications/{application['id']}/approval"
    return lambda: admin.put(path)


class Scenes:
    """Each gives crossing requests on fresh orgs, and the check of what came of them."""

    def __init__(self, admin: Person, second: Person, db: AsyncConnection) -> None:
        self.admin, self.second, self.db = admin, second, db

    async def orgs(self, count: int) -> list[Json]:
        return [await self.admin.create_org() for _ in range(count)]

    def exactly(self, *statuses: Sequence[int]) -> Check:
        """The answers are one of these, in some order, and nothing is broken."""

        async def check(answers: list[httpx.Response]) -> None:
            got = sorted(answer.status_code for answer in answers)
            assert got in [sorted(wanted) for wanted in statuses], [answer.text for answer in answers]
            await assert_invariants(self.db)

        return check

    async def crossing_approvals(self) -> Scene:
        a, b = await self.orgs(2)
        return [await approval(self.admin, a, b), await approval(self.admin, b, a)], self.exactly([200, 409])

    async def approval_and_closure(self) -> Scene:
        a, b = await self.orgs(2)
        closure = f"/v1/orgs/{a['id']}/closure"
        requests = [await approval(self.admin, a, b), lambda: self.admin.put(closure)]
        return requests, self.exactly([200, 409])

    async def hand_over_and_removal(self) -> Scene:
        above, org = await self.orgs(2)
        await add_admin(self.admin, org, self.second)
        await certify(self.admin, above, self.admin, org)
        asked = done(await ask(self.admin, org, kind="hand-over", main_admin_id=self.second.user_id), 201)
        decision = f"/v1/orgs/{above['id']}/change-requests/{asked['id']}/approval"
        removal = f"/v1/orgs/{org['id']}/admins/{self.second.user_id}"
        requests: list[Request] = [lambda: self.admin.put(decision), lambda: self.admin.delete(removal)]
        return requests, self.exactly([200, 403], [204, 409])

    async def crossing_unit_moves(self) -> Scene:
        (org,) = await self.orgs(1)
        one, two = [await add_unit(self.admin, org, name) for name in ("甲", "乙")]

        def move(unit: Json, to: Json) -> Request:
            path = f"/v1/orgs/{org['id']}/units/{unit['id']}"
            return lambda: self.admin.patch(path, json={"parent_id": to["id"]})

        return [move(one, two), move(two, one)], self.exactly([200, 409])

    async def crossing_transfers(self) -> Scene:
        root, a, b = await self.orgs(3)
        requests: list[Request] = []
        for org in (a, b):
            await certify(self.admin, root, self.admin, org)
        for org, to in ((a, b), (b, a)):
            token = (await invite(self.admin, to))["token"]
            path = f"/v1/orgs/{org['id']}/transfers"
            asked = done(await self.admin.post(path, json={"invitation_token": token}), 201)
            body = {"preview": asked["preview"]["version"]}
            done(await self.admin.put(f"/v1/orgs/{root['id']}/transfers/{asked['id']}/release", json=body))
            place = f"/v1/orgs/{to['id']}/transfers/{asked['id']}/acceptance"
            requests.append(lambda place=place, body=body: self.admin.put(place, json=body))  # type: ignore[misc]
        return requests, self.exactly([200, 409])

    async def three_approvals_in_a_ring(self) -> Scene:
        a, b, c = await self.orgs(3)
        requests = [await approval(self.admin, above, below) for above, below in ((a, b), (b, c), (c, a))]
        return requests, self.exactly([200, 200, 409])


@pytest.mark.parametrize(
    "name",
    [
        "crossing_approvals",
        "approval_and_closure",
        "hand_over_and_removal",
        "crossing_unit_moves",
        "crossing_transfers",
        "three_approvals_in_a_ring",
    ],
)
async def test_in_every_order(people: People, engine: AsyncEngine, db: AsyncConnection, name: str) -> None:
    scenes = Scenes(await people.register(), await people.register(), db)
    played = await interleave(engine, getattr(scenes, name), sample=SAMPLE)
    assert played >= (SAMPLE or 10)
