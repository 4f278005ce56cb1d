"""Concurrent requests: each scene creates orgs, and returns the requests and the check of their results."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import (
    Json,
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    invite,
    invite_admin,
    list_actions,
    send_application,
    send_change_request,
)
from tests.people import Person, fresh_org_name, fresh_phone
from tests.proofs.invariants import assert_invariants
from tests.proofs.stepping import Request

Check = Callable[[list[Any]], Awaitable[None]]
Scene = tuple[Sequence[Request], Check]


class Scenes:
    """Every public method is a scene. `admin` administers all orgs; `second` is another person."""

    def __init__(self, admin: Person, second: Person, operator: Person, db: AsyncConnection) -> None:
        self.persons = (admin, second, operator)
        self.admin, self._second, self._operator = self.persons
        self._db = db

    async def _create_orgs(self, count: int) -> list[Json]:
        return [await self.admin.create_org() for _ in range(count)]

    def _build_check(self, *statuses: Sequence[int], in_order: bool = False) -> Check:
        """Return a check: the invariants are true, and the statuses of the answers are one of these lists, in any order
        unless `in_order`."""

        async def check(answers: list[httpx.Response]) -> None:
            await assert_invariants(self._db)
            got = [answer.status_code for answer in answers]
            wanted = [list(each) if in_order else sorted(each) for each in statuses]
            bodies = [answer.text for answer in answers]
            assert (got if in_order else sorted(got)) in wanted, f"answered {got}, which is none of {wanted}: {bodies}"

        return check

    async def _prepare_approval(self, superior: Json, subordinate: Json) -> Request:
        """Create an application. Return the request that approves it."""
        application = get_body(
            await send_application(self.admin, subordinate, (await invite(self.admin, superior))["token"]), 201
        )
        path = f"/v1/orgs/{superior['id']}/applications/{application['id']}/approval"
        return lambda: self.admin.put(path)

    async def _prepare_transfer(self, org: Json, old: Json, new: Json) -> tuple[Json, Request]:
        """Create a transfer and release it. Return it, and the request that accepts it."""
        token = (await invite(self.admin, new))["token"]
        created = get_body(
            await self.admin.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token}), 201
        )
        body = {"preview": created["preview"]["version"]}
        get_body(await self.admin.put(f"/v1/orgs/{old['id']}/transfers/{created['id']}/release", json=body))
        path = f"/v1/orgs/{new['id']}/transfers/{created['id']}/acceptance"
        return created, lambda: self.admin.put(path, json=body)

    async def _prepare_promotion(self, org: Json, unit: Json, name: str | None = None) -> tuple[Json, Request]:
        """Offer a promotion to `second`. Return the offer, and the request that accepts it."""
        body = {"unit_id": unit["id"], "name": name or fresh_org_name(), "to": {"phone": self._second.phone}}
        offer = get_body(await self.admin.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
        return offer, lambda: self._second.put(f"/v1/me/promotions/{offer['id']}/acceptance")

    async def _prepare_recovery(self) -> tuple[Json, Request]:
        """Create an org without a superior whose second admin requests a recovery. Return the org, and the request by
        which the operator approves it."""
        (org,) = await self._create_orgs(1)
        await add_admin(self.admin, org, self._second)
        created = get_body(await send_change_request(self._second, org, kind="recovery"), 201)
        return org, lambda: self._operator.put(f"/v1/operator/recoveries/{created['id']}/approval")

    # Edges

    async def approvals_crossing(self) -> Scene:
        a, b = await self._create_orgs(2)
        return [await self._prepare_approval(a, b), await self._prepare_approval(b, a)], self._build_check([200, 409])

    async def approvals_crossing_apart(self) -> Scene:
        """Each root is to be certified under the leaf of the other tree. The two approvals lock no org in common."""
        tops, bottoms = await self._create_orgs(2), await self._create_orgs(2)
        for top, bottom in zip(tops, bottoms, strict=True):
            await certify(self.admin, top, self.admin, bottom)
        requests = [
            await self._prepare_approval(bottoms[0], tops[1]),
            await self._prepare_approval(bottoms[1], tops[0]),
        ]
        return requests, self._build_check([200, 409])

    async def approvals_in_a_ring_of_three(self) -> Scene:
        a, b, c = await self._create_orgs(3)
        requests = [
            await self._prepare_approval(superior, subordinate) for superior, subordinate in ((a, b), (b, c), (c, a))
        ]
        return requests, self._build_check([200, 200, 409])

    async def approval_and_transfer(self) -> Scene:
        root, org, other = await self._create_orgs(3)
        await certify(self.admin, root, self.admin, org)
        _, acceptance = await self._prepare_transfer(org, root, other)
        return [await self._prepare_approval(org, other), acceptance], self._build_check([200, 409])

    async def transfers_crossing(self) -> Scene:
        root, a, b = await self._create_orgs(3)
        for org in (a, b):
            await certify(self.admin, root, self.admin, org)
        requests = [(await self._prepare_transfer(org, root, to))[1] for org, to in ((a, b), (b, a))]
        return requests, self._build_check([200, 409])

    async def transfers_in_a_ring_of_three(self) -> Scene:
        root, a, b, c = await self._create_orgs(4)
        for org in (a, b, c):
            await certify(self.admin, root, self.admin, org)
        requests = [(await self._prepare_transfer(org, root, to))[1] for org, to in ((a, b), (b, c), (c, a))]
        return requests, self._build_check([200, 200, 409])

    async def transfer_and_release_and_withdrawal(self) -> Scene:
        old, org, new = await self._create_orgs(3)
        await certify(self.admin, old, self.admin, org)
        created, acceptance = await self._prepare_transfer(org, old, new)
        released = f"/v1/orgs/{old['id']}/subordinates/{org['id']}"
        withdrawn = f"/v1/orgs/{org['id']}/transfers/{created['id']}"
        requests = [acceptance, lambda: self.admin.delete(released), lambda: self.admin.delete(withdrawn)]
        return requests, self._build_check([200, 404, 409], [409, 204, 409], [409, 204, 204], in_order=True)

    async def transfer_and_withdrawal(self) -> Scene:
        old, org, new = await self._create_orgs(3)
        await certify(self.admin, old, self.admin, org)
        created, acceptance = await self._prepare_transfer(org, old, new)
        withdrawal = f"/v1/orgs/{org['id']}/transfers/{created['id']}"
        requests = [acceptance, lambda: self.admin.delete(withdrawal)]
        return requests, self._build_check([200, 409], [409, 204], in_order=True)

    async def transfers_requested_twice(self) -> Scene:
        old, org, *new = await self._create_orgs(4)
        await certify(self.admin, old, self.admin, org)
        path = f"/v1/orgs/{org['id']}/transfers"
        bodies = [{"invitation_token": (await invite(self.admin, to))["token"]} for to in new]
        requests: list[Request] = [
            lambda: self.admin.post(path, json=bodies[0]),
            lambda: self.admin.post(path, json=bodies[1]),
        ]
        return requests, self._build_check([201, 409])

    async def approval_and_withdrawal(self) -> Scene:
        superior, subordinate = await self._create_orgs(2)
        application = get_body(
            await send_application(self.admin, subordinate, (await invite(self.admin, superior))["token"]), 201
        )
        approval = f"/v1/orgs/{superior['id']}/applications/{application['id']}/approval"
        withdrawal = f"/v1/orgs/{subordinate['id']}/applications/{application['id']}"
        requests: list[Request] = [lambda: self.admin.put(approval), lambda: self.admin.delete(withdrawal)]
        return requests, self._build_check([200, 409], [409, 204], in_order=True)

    async def approval_and_closure_of_superior(self) -> Scene:
        a, b = await self._create_orgs(2)
        closure = f"/v1/orgs/{a['id']}/closure"
        return [await self._prepare_approval(a, b), lambda: self.admin.put(closure)], self._build_check([200, 409])

    async def approval_and_closure_of_subordinate(self) -> Scene:
        a, b = await self._create_orgs(2)
        closure = f"/v1/orgs/{b['id']}/closure"
        requests = [await self._prepare_approval(a, b), lambda: self.admin.put(closure)]
        return requests, self._build_check([200, 200], [409, 200], in_order=True)

    async def approval_and_rename(self) -> Scene:
        """The new name is that of a future sibling."""
        a, b, sibling = await self._create_orgs(3)
        await certify(self.admin, a, self.admin, sibling)
        path, body = f"/v1/orgs/{b['id']}", {"name": sibling["name"]}
        requests = [await self._prepare_approval(a, b), lambda: self.admin.patch(path, json=body)]
        return requests, self._build_check([200, 409])

    # Who administers

    async def hand_over_and_resignation_and_removal(self) -> Scene:
        superior, org = await self._create_orgs(2)
        await add_admin(self.admin, org, self._second)
        await certify(self.admin, superior, self.admin, org)
        created = get_body(
            await send_change_request(self.admin, org, kind="hand-over", main_admin_id=self._second.user_id), 201
        )
        decision = f"/v1/orgs/{superior['id']}/change-requests/{created['id']}/approval"
        resignation = f"/v1/orgs/{org['id']}/admins/me"
        removal = f"/v1/orgs/{org['id']}/admins/{self._second.user_id}"
        requests: list[Request] = [
            lambda: self.admin.put(decision),
            lambda: self._second.delete(resignation),
            lambda: self.admin.delete(removal),
        ]
        # A person removed between authorization and the lock gets 403; one removed before authorization gets 404.
        left = [[409, 204, 404], [409, 404, 204], [409, 403, 204]]
        return requests, self._build_check([200, 409, 403], *left, in_order=True)

    async def hand_over_and_removal(self) -> Scene:
        superior, org = await self._create_orgs(2)
        await add_admin(self.admin, org, self._second)
        await certify(self.admin, superior, self.admin, org)
        created = get_body(
            await send_change_request(self.admin, org, kind="hand-over", main_admin_id=self._second.user_id), 201
        )
        decision = f"/v1/orgs/{superior['id']}/change-requests/{created['id']}/approval"
        removal = f"/v1/orgs/{org['id']}/admins/{self._second.user_id}"
        requests: list[Request] = [lambda: self.admin.put(decision), lambda: self.admin.delete(removal)]
        return requests, self._build_check([200, 403], [409, 204], in_order=True)

    async def hand_over_and_recovery(self) -> Scene:
        superior, org = await self._create_orgs(2)
        await add_admin(self.admin, org, self._second)
        await certify(self.admin, superior, self.admin, org)
        created = [
            get_body(await send_change_request(person, org, kind=kind, main_admin_id=self._second.user_id), 201)
            for person, kind in ((self.admin, "hand-over"), (self._second, "recovery"))
        ]
        paths = [f"/v1/orgs/{superior['id']}/change-requests/{each['id']}/approval" for each in created]
        check_statuses = self._build_check([200, 409])

        async def check(answers: list[httpx.Response]) -> None:
            await check_statuses(answers)
            # The first decision ends the other request too, in one transaction.
            (refused,) = [answer.text for answer in answers if answer.status_code == 409]
            assert "/problems/change-request-decided" in refused, f"refused with another problem: {refused}"

        return [lambda: self.admin.put(paths[0]), lambda: self.admin.put(paths[1])], check

    async def rename_approved_and_withdrawn(self) -> Scene:
        superior, org = await self._create_orgs(2)
        await certify(self.admin, superior, self.admin, org)
        created = get_body(await send_change_request(self.admin, org, kind="rename", name=fresh_org_name()), 201)
        approval = f"/v1/orgs/{superior['id']}/change-requests/{created['id']}/approval"
        withdrawal = f"/v1/orgs/{org['id']}/change-requests/{created['id']}"
        requests: list[Request] = [lambda: self.admin.put(approval), lambda: self.admin.delete(withdrawal)]
        return requests, self._build_check([200, 409], [409, 204], in_order=True)

    async def rename_approved_and_refused(self) -> Scene:
        """Two admins of the superior decide at once."""
        superior, org = await self._create_orgs(2)
        await add_admin(self.admin, superior, self._second)
        await certify(self.admin, superior, self.admin, org)
        created = get_body(await send_change_request(self.admin, org, kind="rename", name=fresh_org_name()), 201)
        path, body = f"/v1/orgs/{superior['id']}/change-requests/{created['id']}", {"reason": "名称不规范"}
        requests: list[Request] = [
            lambda: self.admin.put(f"{path}/approval"),
            lambda: self._second.put(f"{path}/refusal", json=body),
        ]
        return requests, self._build_check([200, 409])

    async def rename_approved_and_released(self) -> Scene:
        """The superior approves, or the org is released and the request takes effect: it gets the name either way."""
        superior, org = await self._create_orgs(2)
        await certify(self.admin, superior, self.admin, org)
        name = fresh_org_name()
        created = get_body(await send_change_request(self.admin, org, kind="rename", name=name), 201)
        approval = f"/v1/orgs/{superior['id']}/change-requests/{created['id']}/approval"
        released = f"/v1/orgs/{superior['id']}/subordinates/{org['id']}"
        requests: list[Request] = [lambda: self.admin.put(approval), lambda: self.admin.delete(released)]
        return requests, self._build_name_check(org, name, [200, 204], [404, 204])

    async def rename_requested_and_released(self) -> Scene:
        """The request is made just before the certification ends, or just after."""
        superior, org = await self._create_orgs(2)
        await certify(self.admin, superior, self.admin, org)
        path, name = f"/v1/orgs/{org['id']}/change-requests", fresh_org_name()
        released = f"/v1/orgs/{superior['id']}/subordinates/{org['id']}"
        requests: list[Request] = [
            lambda: self.admin.post(path, json={"kind": "rename", "name": name}),
            lambda: self.admin.delete(released),
        ]
        return requests, self._build_name_check(org, name, [201, 204])

    async def hand_over_and_release_and_withdrawal(self) -> Scene:
        superior, org = await self._create_orgs(2)
        await add_admin(self.admin, org, self._second)
        await certify(self.admin, superior, self.admin, org)
        created = get_body(
            await send_change_request(self.admin, org, kind="hand-over", main_admin_id=self._second.user_id), 201
        )
        withdrawal = f"/v1/orgs/{org['id']}/change-requests/{created['id']}"
        released = f"/v1/orgs/{superior['id']}/subordinates/{org['id']}"
        requests: list[Request] = [lambda: self.admin.delete(released), lambda: self.admin.delete(withdrawal)]
        # If the release has handed the org over, the former main admin can no longer withdraw the request.
        return requests, self._build_check([204, 403], [204, 204], in_order=True)

    async def rename_approved_and_transferred(self) -> Scene:
        """The former superior approves in time, or the request waits for the new superior."""
        old, org, new = await self._create_orgs(3)
        await certify(self.admin, old, self.admin, org)
        name = fresh_org_name()
        created = get_body(await send_change_request(self.admin, org, kind="rename", name=name), 201)
        _, acceptance = await self._prepare_transfer(org, old, new)
        approval = f"/v1/orgs/{old['id']}/change-requests/{created['id']}/approval"
        check_statuses = self._build_check([200, 200], [404, 200], in_order=True)

        async def check(answers: list[httpx.Response]) -> None:
            await check_statuses(answers)
            if answers[0].status_code == 404:
                get_body(await self.admin.put(f"/v1/orgs/{new['id']}/change-requests/{created['id']}/approval"))
            assert get_body(await self.admin.get(f"/v1/orgs/{org['id']}"))["name"] == name

        return [lambda: self.admin.put(approval), acceptance], check

    def _build_name_check(self, org: Json, name: str, *statuses: Sequence[int]) -> Check:
        check_statuses = self._build_check(*statuses, in_order=True)

        async def check(answers: list[httpx.Response]) -> None:
            await check_statuses(answers)
            assert get_body(await self.admin.get(f"/v1/orgs/{org['id']}"))["name"] == name

        return check

    async def recovery_by_operator_and_hand_over(self) -> Scene:
        org, consent = await self._prepare_recovery()
        path, body = f"/v1/orgs/{org['id']}/change-requests", {"kind": "hand-over"}
        body["main_admin_id"] = self._second.user_id
        requests: list[Request] = [consent, lambda: self.admin.post(path, json=body)]
        return requests, self._build_check([204, 403], [409, 201], in_order=True)

    async def recovery_by_operator_and_removal(self) -> Scene:
        org, consent = await self._prepare_recovery()
        removal = f"/v1/orgs/{org['id']}/admins/{self._second.user_id}"
        requests: list[Request] = [consent, lambda: self.admin.delete(removal)]
        return requests, self._build_check([204, 403], [409, 204], in_order=True)

    async def recovery_by_operator_and_certification(self) -> Scene:
        """Once the org has a superior, the superior decides and not the operator."""
        org, consent = await self._prepare_recovery()
        (superior,) = await self._create_orgs(1)
        requests = [consent, await self._prepare_approval(superior, org)]
        return requests, self._build_check([204, 200], [404, 200], in_order=True)

    async def admin_invited_and_org_closed(self) -> Scene:
        (org,) = await self._create_orgs(1)
        invitation = await invite_admin(self.admin, org, self._second)
        accepted = f"/v1/me/admin-invitations/{invitation['id']}/acceptance"
        closure = f"/v1/orgs/{org['id']}/closure"
        requests: list[Request] = [lambda: self._second.put(accepted), lambda: self.admin.put(closure)]
        return requests, self._build_check([200, 200], [409, 200], in_order=True)

    # People

    async def _prepare_acceptance(self, org: Json) -> Request:
        """Invite `second` to be an admin. Return the request that accepts the invitation."""
        path = f"/v1/me/admin-invitations/{(await invite_admin(self.admin, org, self._second))['id']}/acceptance"
        return lambda: self._second.put(path)

    async def adminship_and_removal_of_the_person(self) -> Scene:
        (org,) = await self._create_orgs(1)
        member = await add_member(self.admin, org, name=self._second.name, phone=self._second.phone)
        path = f"/v1/orgs/{org['id']}/members/{member['id']}"
        requests = [await self._prepare_acceptance(org), lambda: self.admin.delete(path)]
        return requests, self._build_check([200, 409], [200, 204], in_order=True)

    async def adminship_and_another_phone(self) -> Scene:
        (org,) = await self._create_orgs(1)
        member = await add_member(self.admin, org, name=self._second.name, phone=self._second.phone)
        path, body = f"/v1/orgs/{org['id']}/members/{member['id']}", {"phone": fresh_phone()}
        requests = [await self._prepare_acceptance(org), lambda: self.admin.patch(path, json=body)]
        return requests, self._build_check([200, 409], [200, 200], in_order=True)

    async def adminship_and_undone_link(self) -> Scene:
        (org,) = await self._create_orgs(1)
        member = await add_member(self.admin, org, name=self._second.name, phone=self._second.phone)
        path = f"/v1/orgs/{org['id']}/members/{member['id']}/activation"
        requests = [await self._prepare_acceptance(org), lambda: self.admin.delete(path)]
        return requests, self._build_check([200, 409], [200, 204], in_order=True)

    async def adding_and_closure(self) -> Scene:
        (org,) = await self._create_orgs(1)
        path, body = f"/v1/orgs/{org['id']}/members", {"name": "甲", "phone": fresh_phone()}
        closure = f"/v1/orgs/{org['id']}/closure"
        requests: list[Request] = [lambda: self.admin.post(path, json=body), lambda: self.admin.put(closure)]
        check_statuses = self._build_check([201, 200], [409, 200], in_order=True)

        async def check(answers: list[httpx.Response]) -> None:
            await check_statuses(answers)
            assert (await list_actions(self.admin, org))[0] == "org.closed", "a person was added to a closed org"

        return requests, check

    # Units

    async def unit_moves_crossing(self) -> Scene:
        (org,) = await self._create_orgs(1)
        first, second = [await add_unit(self.admin, org, name) for name in ("甲", "乙")]
        return [self._prepare_move(org, first, second), self._prepare_move(org, second, first)], self._build_check(
            [200, 409]
        )

    async def unit_moves_in_a_ring_of_three(self) -> Scene:
        (org,) = await self._create_orgs(1)
        a, b, c = [await add_unit(self.admin, org, name) for name in ("甲", "乙", "丙")]
        requests = [self._prepare_move(org, unit, to) for unit, to in ((a, b), (b, c), (c, a))]
        return requests, self._build_check([200, 200, 409])

    async def promotion_and_unit_moves(self) -> Scene:
        """One unit moves under the promoted unit, and the promoted unit moves under a third."""
        (org,) = await self._create_orgs(1)
        promoted, other, third = [await add_unit(self.admin, org, name) for name in ("甲", "乙", "丙")]
        requests = [
            (await self._prepare_promotion(org, promoted))[1],
            self._prepare_move(org, other, promoted),
            self._prepare_move(org, promoted, third),
        ]
        return requests, self._build_check(
            [200, 200, 200], [200, 422, 404], [200, 200, 404], [200, 422, 200], in_order=True
        )

    async def promotion_and_removal_and_placing(self) -> Scene:
        (org,) = await self._create_orgs(1)
        unit = await add_unit(self.admin, org, "甲")
        member = await add_member(self.admin, org)
        removal = f"/v1/orgs/{org['id']}/units/{unit['id']}"
        copies, body = f"/v1/orgs/{org['id']}/members/{member['id']}/copies", {"unit_id": unit["id"]}
        requests = [
            (await self._prepare_promotion(org, unit))[1],
            lambda: self.admin.delete(removal),
            lambda: self.admin.post(copies, json=body),
        ]
        # The unit is promoted or removed. A person who was placed in it before moves with it, or prevents its removal.
        outcomes = [[200, 404, 201], [200, 404, 422], [409, 204, 422], [200, 409, 201]]
        return requests, self._build_check(*outcomes, in_order=True)

    async def promotion_and_closure(self) -> Scene:
        (org,) = await self._create_orgs(1)
        unit = await add_unit(self.admin, org, "甲")
        closure = f"/v1/orgs/{org['id']}/closure"
        _, acceptance = await self._prepare_promotion(org, unit)
        return [acceptance, lambda: self.admin.put(closure)], self._build_check([200, 409])

    async def promotion_and_withdrawal(self) -> Scene:
        (org,) = await self._create_orgs(1)
        offer, acceptance = await self._prepare_promotion(org, await add_unit(self.admin, org, "甲"))
        withdrawal = f"/v1/orgs/{org['id']}/promotions/{offer['id']}"
        requests = [acceptance, lambda: self.admin.delete(withdrawal)]
        return requests, self._build_check([200, 409], [409, 204], in_order=True)

    async def promotion_and_approval_of_one_name(self) -> Scene:
        """Two future siblings of one name, one of them a promoted unit."""
        superior, subordinate = await self._create_orgs(2)
        _, acceptance = await self._prepare_promotion(
            superior, await add_unit(self.admin, superior, "甲"), subordinate["name"]
        )
        return [acceptance, await self._prepare_approval(superior, subordinate)], self._build_check([200, 409])

    async def removal_and_placing(self) -> Scene:
        (org,) = await self._create_orgs(1)
        unit = await add_unit(self.admin, org, "甲")
        member = await add_member(self.admin, org)
        removal = f"/v1/orgs/{org['id']}/units/{unit['id']}"
        copies, body = f"/v1/orgs/{org['id']}/members/{member['id']}/copies", {"unit_id": unit["id"]}
        requests: list[Request] = [lambda: self.admin.delete(removal), lambda: self.admin.post(copies, json=body)]
        return requests, self._build_check([204, 422], [409, 201], in_order=True)

    def _prepare_move(self, org: Json, unit: Json, to: Json) -> Request:
        path = f"/v1/orgs/{org['id']}/units/{unit['id']}"
        return lambda: self.admin.patch(path, json={"parent_id": to["id"]})


NAMES = [name for name in vars(Scenes) if not name.startswith("_")]
