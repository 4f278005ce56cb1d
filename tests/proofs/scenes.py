"""Requests that cross: each scene makes fresh orgs, and gives the requests and the check of what came of them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, actions, add_admin, add_member, add_unit, apply, ask, certify, done, invite, invite_admin
from tests.people import Person, fresh_org_name, fresh_phone
from tests.proofs.invariants import assert_invariants
from tests.proofs.stepping import Request

Check = Callable[[list[Any]], Awaitable[None]]
Scene = tuple[Sequence[Request], Check]


class Scenes:
    """Every public method is a scene. `admin` administers all orgs; `second` is somebody else."""

    def __init__(self, admin: Person, second: Person, operator: Person, db: AsyncConnection) -> None:
        self.persons = (admin, second, operator)
        self.admin, self._second, self._operator = self.persons
        self._db = db

    async def _orgs(self, count: int) -> list[Json]:
        return [await self.admin.create_org() for _ in range(count)]

    def _exactly(self, *statuses: Sequence[int], in_order: bool = False) -> Check:
        """Nothing is broken, and the answers are one of these (of the requests in some order, unless `in_order`)."""

        async def check(answers: list[httpx.Response]) -> None:
            await assert_invariants(self._db)
            got = [answer.status_code for answer in answers]
            wanted = [list(one) if in_order else sorted(one) for one in statuses]
            said = [answer.text for answer in answers]
            assert (got if in_order else sorted(got)) in wanted, f"answered {got}, which none of {wanted} is: {said}"

        return check

    async def _approval(self, above: Json, below: Json) -> Request:
        """An approval that waits to be sent."""
        application = done(await apply(self.admin, below, (await invite(self.admin, above))["token"]), 201)
        path = f"/v1/orgs/{above['id']}/applications/{application['id']}/approval"
        return lambda: self.admin.put(path)

    async def _transfer(self, org: Json, old: Json, new: Json) -> tuple[Json, Request]:
        """A transfer that was asked and released, and its acceptance that waits to be sent."""
        token = (await invite(self.admin, new))["token"]
        asked = done(await self.admin.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token}), 201)
        body = {"preview": asked["preview"]["version"]}
        done(await self.admin.put(f"/v1/orgs/{old['id']}/transfers/{asked['id']}/release", json=body))
        path = f"/v1/orgs/{new['id']}/transfers/{asked['id']}/acceptance"
        return asked, lambda: self.admin.put(path, json=body)

    async def _promotion(self, org: Json, unit: Json, name: str | None = None) -> tuple[Json, Request]:
        """An offer, and its acceptance by `second` that waits to be sent."""
        body = {"unit_id": unit["id"], "name": name or fresh_org_name(), "to": {"phone": self._second.phone}}
        offer = done(await self.admin.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
        return offer, lambda: self._second.put(f"/v1/me/promotions/{offer['id']}/acceptance")

    async def _recovery(self) -> tuple[Json, Request]:
        """An org without a superior, whose second admin asked to be its main admin, and the operator's consent."""
        (org,) = await self._orgs(1)
        await add_admin(self.admin, org, self._second)
        asked = done(await ask(self._second, org, kind="recovery"), 201)
        return org, lambda: self._operator.put(f"/v1/operator/recoveries/{asked['id']}/approval")

    # Edges

    async def approvals_crossing(self) -> Scene:
        a, b = await self._orgs(2)
        return [await self._approval(a, b), await self._approval(b, a)], self._exactly([200, 409])

    async def approvals_crossing_apart(self) -> Scene:
        """Each top is to go under the other's bottom: the two have no org in common, whose row could hold one up."""
        tops, bottoms = await self._orgs(2), await self._orgs(2)
        for top, bottom in zip(tops, bottoms, strict=True):
            await certify(self.admin, top, self.admin, bottom)
        requests = [await self._approval(bottoms[0], tops[1]), await self._approval(bottoms[1], tops[0])]
        return requests, self._exactly([200, 409])

    async def approvals_in_a_ring_of_three(self) -> Scene:
        a, b, c = await self._orgs(3)
        requests = [await self._approval(above, below) for above, below in ((a, b), (b, c), (c, a))]
        return requests, self._exactly([200, 200, 409])

    async def approval_and_transfer(self) -> Scene:
        root, org, other = await self._orgs(3)
        await certify(self.admin, root, self.admin, org)
        _, acceptance = await self._transfer(org, root, other)
        return [await self._approval(org, other), acceptance], self._exactly([200, 409])

    async def transfers_crossing(self) -> Scene:
        root, a, b = await self._orgs(3)
        for org in (a, b):
            await certify(self.admin, root, self.admin, org)
        requests = [(await self._transfer(org, root, to))[1] for org, to in ((a, b), (b, a))]
        return requests, self._exactly([200, 409])

    async def transfers_in_a_ring_of_three(self) -> Scene:
        root, a, b, c = await self._orgs(4)
        for org in (a, b, c):
            await certify(self.admin, root, self.admin, org)
        requests = [(await self._transfer(org, root, to))[1] for org, to in ((a, b), (b, c), (c, a))]
        return requests, self._exactly([200, 200, 409])

    async def transfer_and_release_and_withdrawal(self) -> Scene:
        old, org, new = await self._orgs(3)
        await certify(self.admin, old, self.admin, org)
        asked, acceptance = await self._transfer(org, old, new)
        released = f"/v1/orgs/{old['id']}/subordinates/{org['id']}"
        withdrawn = f"/v1/orgs/{org['id']}/transfers/{asked['id']}"
        requests = [acceptance, lambda: self.admin.delete(released), lambda: self.admin.delete(withdrawn)]
        return requests, self._exactly([200, 404, 409], [409, 204, 409], [409, 204, 204], in_order=True)

    async def transfer_and_withdrawal(self) -> Scene:
        old, org, new = await self._orgs(3)
        await certify(self.admin, old, self.admin, org)
        asked, acceptance = await self._transfer(org, old, new)
        withdrawal = f"/v1/orgs/{org['id']}/transfers/{asked['id']}"
        requests = [acceptance, lambda: self.admin.delete(withdrawal)]
        return requests, self._exactly([200, 409], [409, 204], in_order=True)

    async def transfers_asked_twice(self) -> Scene:
        old, org, *new = await self._orgs(4)
        await certify(self.admin, old, self.admin, org)
        path = f"/v1/orgs/{org['id']}/transfers"
        bodies = [{"invitation_token": (await invite(self.admin, to))["token"]} for to in new]
        requests: list[Request] = [
            lambda: self.admin.post(path, json=bodies[0]),
            lambda: self.admin.post(path, json=bodies[1]),
        ]
        return requests, self._exactly([201, 409])

    async def approval_and_withdrawal(self) -> Scene:
        above, below = await self._orgs(2)
        application = done(await apply(self.admin, below, (await invite(self.admin, above))["token"]), 201)
        approval = f"/v1/orgs/{above['id']}/applications/{application['id']}/approval"
        withdrawal = f"/v1/orgs/{below['id']}/applications/{application['id']}"
        requests: list[Request] = [lambda: self.admin.put(approval), lambda: self.admin.delete(withdrawal)]
        return requests, self._exactly([200, 409], [409, 204], in_order=True)

    async def approval_and_closure_above(self) -> Scene:
        a, b = await self._orgs(2)
        closure = f"/v1/orgs/{a['id']}/closure"
        return [await self._approval(a, b), lambda: self.admin.put(closure)], self._exactly([200, 409])

    async def approval_and_closure_below(self) -> Scene:
        a, b = await self._orgs(2)
        closure = f"/v1/orgs/{b['id']}/closure"
        requests = [await self._approval(a, b), lambda: self.admin.put(closure)]
        return requests, self._exactly([200, 200], [409, 200], in_order=True)

    async def approval_and_rename(self) -> Scene:
        """The new name is that of a sibling to be."""
        a, b, sibling = await self._orgs(3)
        await certify(self.admin, a, self.admin, sibling)
        path, body = f"/v1/orgs/{b['id']}", {"name": sibling["name"]}
        requests = [await self._approval(a, b), lambda: self.admin.patch(path, json=body)]
        return requests, self._exactly([200, 409])

    # Who administers

    async def hand_over_and_resignation_and_removal(self) -> Scene:
        above, org = await self._orgs(2)
        await add_admin(self.admin, org, self._second)
        await certify(self.admin, above, self.admin, org)
        asked = done(await ask(self.admin, org, kind="hand-over", main_admin_id=self._second.user_id), 201)
        decision = f"/v1/orgs/{above['id']}/change-requests/{asked['id']}/approval"
        resignation = f"/v1/orgs/{org['id']}/admins/me"
        removal = f"/v1/orgs/{org['id']}/admins/{self._second.user_id}"
        requests: list[Request] = [
            lambda: self.admin.put(decision),
            lambda: self._second.delete(resignation),
            lambda: self.admin.delete(removal),
        ]
        # Who was let in before they were removed is told 403 under the lock, afterwards 404.
        left = [[409, 204, 404], [409, 404, 204], [409, 403, 204]]
        return requests, self._exactly([200, 409, 403], *left, in_order=True)

    async def hand_over_and_removal(self) -> Scene:
        above, org = await self._orgs(2)
        await add_admin(self.admin, org, self._second)
        await certify(self.admin, above, self.admin, org)
        asked = done(await ask(self.admin, org, kind="hand-over", main_admin_id=self._second.user_id), 201)
        decision = f"/v1/orgs/{above['id']}/change-requests/{asked['id']}/approval"
        removal = f"/v1/orgs/{org['id']}/admins/{self._second.user_id}"
        requests: list[Request] = [lambda: self.admin.put(decision), lambda: self.admin.delete(removal)]
        return requests, self._exactly([200, 403], [409, 204], in_order=True)

    async def hand_over_and_recovery(self) -> Scene:
        above, org = await self._orgs(2)
        await add_admin(self.admin, org, self._second)
        await certify(self.admin, above, self.admin, org)
        asked = [
            done(await ask(person, org, kind=kind, main_admin_id=self._second.user_id), 201)
            for person, kind in ((self.admin, "hand-over"), (self._second, "recovery"))
        ]
        paths = [f"/v1/orgs/{above['id']}/change-requests/{one['id']}/approval" for one in asked]
        return [lambda: self.admin.put(paths[0]), lambda: self.admin.put(paths[1])], self._exactly([200, 409])

    async def rename_approved_and_withdrawn(self) -> Scene:
        above, org = await self._orgs(2)
        await certify(self.admin, above, self.admin, org)
        asked = done(await ask(self.admin, org, kind="rename", name=fresh_org_name()), 201)
        approval = f"/v1/orgs/{above['id']}/change-requests/{asked['id']}/approval"
        withdrawal = f"/v1/orgs/{org['id']}/change-requests/{asked['id']}"
        requests: list[Request] = [lambda: self.admin.put(approval), lambda: self.admin.delete(withdrawal)]
        return requests, self._exactly([200, 409], [409, 204], in_order=True)

    async def rename_approved_and_refused(self) -> Scene:
        """Two admins of the superior decide at once."""
        above, org = await self._orgs(2)
        await add_admin(self.admin, above, self._second)
        await certify(self.admin, above, self.admin, org)
        asked = done(await ask(self.admin, org, kind="rename", name=fresh_org_name()), 201)
        path, body = f"/v1/orgs/{above['id']}/change-requests/{asked['id']}", {"reason": "名称不规范"}
        requests: list[Request] = [
            lambda: self.admin.put(f"{path}/approval"),
            lambda: self._second.put(f"{path}/refusal", json=body),
        ]
        return requests, self._exactly([200, 409])

    async def rename_approved_and_released(self) -> Scene:
        """The superior consents, or nobody is left who would have to: the org has the new name either way."""
        above, org = await self._orgs(2)
        await certify(self.admin, above, self.admin, org)
        name = fresh_org_name()
        asked = done(await ask(self.admin, org, kind="rename", name=name), 201)
        approval = f"/v1/orgs/{above['id']}/change-requests/{asked['id']}/approval"
        released = f"/v1/orgs/{above['id']}/subordinates/{org['id']}"
        requests: list[Request] = [lambda: self.admin.put(approval), lambda: self.admin.delete(released)]
        return requests, self._named(org, name, [200, 204], [404, 204])

    async def rename_requested_and_released(self) -> Scene:
        """Requested of the superior just before the edge ends, or of nobody just after."""
        above, org = await self._orgs(2)
        await certify(self.admin, above, self.admin, org)
        path, name = f"/v1/orgs/{org['id']}/change-requests", fresh_org_name()
        released = f"/v1/orgs/{above['id']}/subordinates/{org['id']}"
        requests: list[Request] = [
            lambda: self.admin.post(path, json={"kind": "rename", "name": name}),
            lambda: self.admin.delete(released),
        ]
        return requests, self._named(org, name, [201, 204])

    async def hand_over_and_release_and_withdrawal(self) -> Scene:
        above, org = await self._orgs(2)
        await add_admin(self.admin, org, self._second)
        await certify(self.admin, above, self.admin, org)
        asked = done(await ask(self.admin, org, kind="hand-over", main_admin_id=self._second.user_id), 201)
        withdrawal = f"/v1/orgs/{org['id']}/change-requests/{asked['id']}"
        released = f"/v1/orgs/{above['id']}/subordinates/{org['id']}"
        requests: list[Request] = [lambda: self.admin.delete(released), lambda: self.admin.delete(withdrawal)]
        # Handed over by the release, the former main admin may not withdraw it any more.
        return requests, self._exactly([204, 403], [204, 204], in_order=True)

    async def rename_approved_and_transferred(self) -> Scene:
        """The superior of before consents in time, or the request waits for the next one."""
        old, org, new = await self._orgs(3)
        await certify(self.admin, old, self.admin, org)
        name = fresh_org_name()
        asked = done(await ask(self.admin, org, kind="rename", name=name), 201)
        _, acceptance = await self._transfer(org, old, new)
        approval = f"/v1/orgs/{old['id']}/change-requests/{asked['id']}/approval"
        answered = self._exactly([200, 200], [404, 200], in_order=True)

        async def check(answers: list[httpx.Response]) -> None:
            await answered(answers)
            if answers[0].status_code == 404:
                done(await self.admin.put(f"/v1/orgs/{new['id']}/change-requests/{asked['id']}/approval"))
            assert done(await self.admin.get(f"/v1/orgs/{org['id']}"))["name"] == name

        return [lambda: self.admin.put(approval), acceptance], check

    def _named(self, org: Json, name: str, *statuses: Sequence[int]) -> Check:
        answered = self._exactly(*statuses, in_order=True)

        async def check(answers: list[httpx.Response]) -> None:
            await answered(answers)
            assert done(await self.admin.get(f"/v1/orgs/{org['id']}"))["name"] == name

        return check

    async def recovery_by_operator_and_hand_over(self) -> Scene:
        org, consent = await self._recovery()
        path, body = f"/v1/orgs/{org['id']}/change-requests", {"kind": "hand-over"}
        body["main_admin_id"] = self._second.user_id
        requests: list[Request] = [consent, lambda: self.admin.post(path, json=body)]
        return requests, self._exactly([204, 403], [409, 201], in_order=True)

    async def recovery_by_operator_and_removal(self) -> Scene:
        org, consent = await self._recovery()
        removal = f"/v1/orgs/{org['id']}/admins/{self._second.user_id}"
        requests: list[Request] = [consent, lambda: self.admin.delete(removal)]
        return requests, self._exactly([204, 403], [409, 204], in_order=True)

    async def recovery_by_operator_and_certification(self) -> Scene:
        """As soon as there is a superior, it is the superior who consents."""
        org, consent = await self._recovery()
        (above,) = await self._orgs(1)
        requests = [consent, await self._approval(above, org)]
        return requests, self._exactly([204, 200], [404, 200], in_order=True)

    async def admin_invited_and_org_closed(self) -> Scene:
        (org,) = await self._orgs(1)
        invitation = await invite_admin(self.admin, org, self._second)
        accepted = f"/v1/me/admin-invitations/{invitation['id']}/acceptance"
        closure = f"/v1/orgs/{org['id']}/closure"
        requests: list[Request] = [lambda: self._second.put(accepted), lambda: self.admin.put(closure)]
        return requests, self._exactly([200, 200], [409, 200], in_order=True)

    # People

    async def _invited(self, org: Json) -> Request:
        """An invitation of `second` to be an admin, and its acceptance that waits to be sent."""
        path = f"/v1/me/admin-invitations/{(await invite_admin(self.admin, org, self._second))['id']}/acceptance"
        return lambda: self._second.put(path)

    async def adminship_and_removal_of_the_person(self) -> Scene:
        (org,) = await self._orgs(1)
        member = await add_member(self.admin, org, name=self._second.name, phone=self._second.phone)
        path = f"/v1/orgs/{org['id']}/members/{member['id']}"
        requests = [await self._invited(org), lambda: self.admin.delete(path)]
        return requests, self._exactly([200, 409], [200, 204], in_order=True)

    async def adminship_and_another_phone(self) -> Scene:
        (org,) = await self._orgs(1)
        member = await add_member(self.admin, org, name=self._second.name, phone=self._second.phone)
        path, body = f"/v1/orgs/{org['id']}/members/{member['id']}", {"phone": fresh_phone()}
        requests = [await self._invited(org), lambda: self.admin.patch(path, json=body)]
        return requests, self._exactly([200, 409], [200, 200], in_order=True)

    async def adminship_and_undone_link(self) -> Scene:
        (org,) = await self._orgs(1)
        member = await add_member(self.admin, org, name=self._second.name, phone=self._second.phone)
        path = f"/v1/orgs/{org['id']}/members/{member['id']}/activation"
        requests = [await self._invited(org), lambda: self.admin.delete(path)]
        return requests, self._exactly([200, 409], [200, 204], in_order=True)

    async def adding_and_closure(self) -> Scene:
        (org,) = await self._orgs(1)
        path, body = f"/v1/orgs/{org['id']}/members", {"name": "甲", "phone": fresh_phone()}
        closure = f"/v1/orgs/{org['id']}/closure"
        requests: list[Request] = [lambda: self.admin.post(path, json=body), lambda: self.admin.put(closure)]
        answered = self._exactly([201, 200], [409, 200], in_order=True)

        async def check(answers: list[httpx.Response]) -> None:
            await answered(answers)
            assert (await actions(self.admin, org))[0] == "org.closed", "somebody was added to a closed org"

        return requests, check

    # Units

    async def unit_moves_crossing(self) -> Scene:
        (org,) = await self._orgs(1)
        one, two = [await add_unit(self.admin, org, name) for name in ("甲", "乙")]
        return [self._move(org, one, two), self._move(org, two, one)], self._exactly([200, 409])

    async def unit_moves_in_a_ring_of_three(self) -> Scene:
        (org,) = await self._orgs(1)
        a, b, c = [await add_unit(self.admin, org, name) for name in ("甲", "乙", "丙")]
        requests = [self._move(org, unit, to) for unit, to in ((a, b), (b, c), (c, a))]
        return requests, self._exactly([200, 200, 409])

    async def promotion_and_unit_moves(self) -> Scene:
        """One unit goes under the promoted one, which itself goes elsewhere."""
        (org,) = await self._orgs(1)
        promoted, other, third = [await add_unit(self.admin, org, name) for name in ("甲", "乙", "丙")]
        requests = [
            (await self._promotion(org, promoted))[1],
            self._move(org, other, promoted),
            self._move(org, promoted, third),
        ]
        return requests, self._exactly(
            [200, 200, 200], [200, 422, 404], [200, 200, 404], [200, 422, 200], in_order=True
        )

    async def promotion_and_removal_and_placing(self) -> Scene:
        (org,) = await self._orgs(1)
        unit = await add_unit(self.admin, org, "甲")
        member = await add_member(self.admin, org)
        removal = f"/v1/orgs/{org['id']}/units/{unit['id']}"
        copies, body = f"/v1/orgs/{org['id']}/members/{member['id']}/copies", {"unit_id": unit["id"]}
        requests = [
            (await self._promotion(org, unit))[1],
            lambda: self.admin.delete(removal),
            lambda: self.admin.post(copies, json=body),
        ]
        # The unit goes one way or the other; whoever is placed in it in time goes along or keeps it.
        outcomes = [[200, 404, 201], [200, 404, 422], [409, 204, 422], [200, 409, 201]]
        return requests, self._exactly(*outcomes, in_order=True)

    async def promotion_and_closure(self) -> Scene:
        (org,) = await self._orgs(1)
        unit = await add_unit(self.admin, org, "甲")
        closure = f"/v1/orgs/{org['id']}/closure"
        _, acceptance = await self._promotion(org, unit)
        return [acceptance, lambda: self.admin.put(closure)], self._exactly([200, 409])

    async def promotion_and_withdrawal(self) -> Scene:
        (org,) = await self._orgs(1)
        offer, acceptance = await self._promotion(org, await add_unit(self.admin, org, "甲"))
        withdrawal = f"/v1/orgs/{org['id']}/promotions/{offer['id']}"
        requests = [acceptance, lambda: self.admin.delete(withdrawal)]
        return requests, self._exactly([200, 409], [409, 204], in_order=True)

    async def promotion_and_approval_of_one_name(self) -> Scene:
        """Two siblings to be, one of them made of a unit."""
        above, below = await self._orgs(2)
        _, acceptance = await self._promotion(above, await add_unit(self.admin, above, "甲"), below["name"])
        return [acceptance, await self._approval(above, below)], self._exactly([200, 409])

    async def removal_and_placing(self) -> Scene:
        (org,) = await self._orgs(1)
        unit = await add_unit(self.admin, org, "甲")
        member = await add_member(self.admin, org)
        removal = f"/v1/orgs/{org['id']}/units/{unit['id']}"
        copies, body = f"/v1/orgs/{org['id']}/members/{member['id']}/copies", {"unit_id": unit["id"]}
        requests: list[Request] = [lambda: self.admin.delete(removal), lambda: self.admin.post(copies, json=body)]
        return requests, self._exactly([204, 422], [409, 201], in_order=True)

    def _move(self, org: Json, unit: Json, to: Json) -> Request:
        path = f"/v1/orgs/{org['id']}/units/{unit['id']}"
        return lambda: self.admin.patch(path, json={"parent_id": to["id"]})


NAMES = [name for name in vars(Scenes) if not name.startswith("_")]
