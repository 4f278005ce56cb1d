"""Transfers of an org, with its whole subtree, to another superior (S20)."""

import asyncio
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.approvals.reasons import ORG_CLOSED
from app.core.calendar import SHANGHAI
from app.core.i18n import gettext_in
from tests.acts import (
    Json,
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    get_refusal,
    invite,
    list_actions,
    list_all,
    send_application,
)
from tests.people import People, Person, fresh_phone
from tests.points.services import event, sign_in_service


@dataclass
class Scene:
    """`old` is the superior of `org`, which requests a transfer to `new`; `below` is a subordinate of `org`."""

    old_admin: Person
    old: Json
    new_admin: Person
    new: Json
    founder: Person
    org: Json
    subordinate_admin: Person
    subordinate: Json

    @classmethod
    async def create(cls, people: People) -> "Scene":
        admins = [await people.register() for _ in range(4)]
        orgs = [await admin.create_org() for admin in admins]
        await certify(admins[0], orgs[0], admins[2], orgs[2])
        await certify(admins[2], orgs[2], admins[3], orgs[3])
        (old_admin, new_admin, founder, subordinate_admin), (old, new, org, subordinate) = admins, orgs
        return cls(old_admin, old, new_admin, new, founder, org, subordinate_admin, subordinate)

    async def post_transfer(self) -> httpx.Response:
        token = (await invite(self.new_admin, self.new))["token"]
        return await self.founder.post(f"/v1/orgs/{self.org['id']}/transfers", json={"invitation_token": token})

    async def create_transfer(self) -> Json:
        transfer: Json = get_body(await self.post_transfer(), 201)
        return transfer

    async def read(self, person: Person, org: Json, transfer: Json) -> Json:
        found: Json = get_body(await person.get(f"/v1/orgs/{org['id']}/transfers/{transfer['id']}"))
        return found

    async def release(self, transfer: Json, preview: str | None = None) -> httpx.Response:
        return await self._decide(self.old_admin, self.old, transfer, "release", preview)

    async def accept(self, transfer: Json, preview: str | None = None) -> httpx.Response:
        return await self._decide(self.new_admin, self.new, transfer, "acceptance", preview)

    async def _decide(
        self, person: Person, org: Json, transfer: Json, step: str, preview: str | None
    ) -> httpx.Response:
        version = preview or transfer["preview"]["version"]
        path = f"/v1/orgs/{org['id']}/transfers/{transfer['id']}/{step}"
        return await person.put(path, json={"preview": version})

    async def find_superior_id(self) -> str | None:
        card = get_body(await self.founder.get(f"/v1/orgs/{self.org['id']}"))
        return None if card["superior_id"] is None else str(card["superior_id"])


@pytest.mark.usefixtures("no_stored_days")
async def test_transfer_when_accepted_moves_the_whole_subtree(
    people: People, db: AsyncConnection, engine: AsyncEngine
) -> None:
    scene = await Scene.create(people)
    top_admin = await people.register()
    top = await top_admin.create_org()
    await certify(top_admin, top, scene.new_admin, scene.new)
    shared = fresh_phone()
    for person, org in ((scene.founder, scene.org), (scene.subordinate_admin, scene.subordinate)):
        await add_member(person, org, phone=shared)
        await add_member(person, org)
    service = await sign_in_service(people.api, engine)
    earned = [event(person.user_id, points=7) for person in (scene.founder, scene.subordinate_admin, scene.old_admin)]
    assert await service.outcomes(*earned) == ["counted"] * 3
    transfer = await scene.create_transfer()
    preview = transfer["preview"]
    # Two orgs with five people: two admins, one further member of each org, and one person in both orgs.
    assert (transfer["state"], transfer["step"]) == ("pending", "release")
    assert (preview["orgs"], preview["people"], preview["points"]) == (2, 5, 14)
    assert preview["from_chain"] == [scene.old["name"]]
    assert preview["to_chain"] == [scene.new["name"], top["name"]]
    assert get_refusal(await scene.accept(transfer)) == (409, "transfer-not-released")
    released = get_body(await scene.release(transfer))
    assert (released["state"], released["step"]) == ("pending", "acceptance")
    assert await scene.find_superior_id() == scene.old["id"]
    accepted = get_body(await scene.accept(transfer))
    assert (accepted["state"], accepted["step"], accepted["preview"]) == ("accepted", None, None)
    assert await scene.find_superior_id() == scene.new["id"]

    chain = get_body(await scene.subordinate_admin.get(f"/v1/orgs/{scene.subordinate['id']}/superiors"))["items"]
    assert [superior["id"] for superior in chain] == [scene.org["id"], scene.new["id"], top["id"]]
    assert (await scene.old_admin.get(f"/v1/orgs/{scene.subordinate['id']}")).status_code == 404
    get_body(await top_admin.get(f"/v1/orgs/{scene.subordinate['id']}"))
    # The new edge begins when the old one ends, so that the org has exactly one superior at every instant.
    adjacent_edges = (
        "SELECT count(*) FROM certifications o JOIN certifications n ON n.certified_at = o.ended_at "
        "WHERE o.superior_id = :old AND n.superior_id = :new AND n.state = 'live' AND n.subordinate_id = :org"
    )
    ids = {"old": scene.old["id"], "new": scene.new["id"], "org": scene.org["id"]}
    assert await db.scalar(text(adjacent_edges), ids) == 1
    history = await list_all(scene.founder, f"/v1/orgs/{scene.org['id']}/certifications")
    assert [(item["superior_id"], item["state"]) for item in history] == [
        (scene.new["id"], "live"),
        (scene.old["id"], "ended"),
    ]
    for person, org in ((scene.founder, scene.org), (scene.old_admin, scene.old), (scene.new_admin, scene.new)):
        assert {"transfer.created", "transfer.released", "transfer.accepted"} <= set(await list_actions(person, org))
        audit = (await person.get(f"/v1/orgs/{org['id']}/audit")).text
        others = {scene.founder.user_id, scene.old_admin.user_id, scene.new_admin.user_id} - {person.user_id}
        assert [user_id for user_id in others if user_id in audit] == []
    assert get_body(await scene.accept(transfer)) == accepted
    assert get_refusal(await scene.release(transfer)) == (409, "transfer-decided")


_THREE_DAYS_AGO = [
    f"UPDATE {table} SET {column} = {column} - interval '3 days' WHERE {org} = ANY (CAST(:orgs AS uuid[]))"
    for table, column, org in (
        ("orgs", "created_at", "id"),
        ("units", "created_at", "org_id"),
        ("unit_memberships", "since", "org_id"),
        ("activations", "since", "org_id"),
        ("certifications", "certified_at", "subordinate_id"),
    )
]


@pytest.mark.usefixtures("no_stored_days")
async def test_reports_of_past_days_are_unchanged_by_a_transfer(people: People, engine: AsyncEngine) -> None:
    """Yesterday's hierarchy, unit memberships and points stay with the old superior; today's are the new superior's."""
    scene = await Scene.create(people)
    for person, org in ((scene.founder, scene.org), (scene.subordinate_admin, scene.subordinate)):
        unit = await add_unit(person, org, "第一支部")
        for _ in range(4):
            await add_member(person, org, unit)
    service = await sign_in_service(people.api, engine)
    yesterday = datetime.now(SHANGHAI) - timedelta(days=1)
    earned = [
        event(person.user_id, points=7, occurred_at=yesterday.replace(hour=12).isoformat())
        for person in (scene.founder, scene.subordinate_admin)
    ]
    assert await service.outcomes(*earned) == ["counted"] * 2
    orgs = {"orgs": [org["id"] for org in (scene.old, scene.new, scene.org, scene.subordinate)]}
    async with engine.begin() as db:  # all rows began three days ago
        for statement in _THREE_DAYS_AGO:
            await db.execute(text(statement), orgs)
    viewers = (
        (scene.old_admin, scene.old),
        (scene.new_admin, scene.new),
        (scene.founder, scene.org),
        (scene.subordinate_admin, scene.subordinate),
    )
    reads = ("overview", "overview?period=day", "subordinates", "trend?days=3", "units")

    async def read_reports(day: date) -> list[Any]:
        reports = []
        for person, org in viewers:
            for read in reads:
                path = f"/v1/orgs/{org['id']}/reports/{read}{'&' if '?' in read else '?'}day={day}"
                answer = get_body(await person.get(path))
                reports.append({key: value for key, value in answer.items() if key != "as_of"})
        return reports

    before, now = await read_reports(yesterday.date()), await read_reports(datetime.now(SHANGHAI).date())
    transfer = await scene.create_transfer()
    get_body(await scene.release(transfer))
    get_body(await scene.accept(transfer))
    assert await read_reports(yesterday.date()) == before
    assert await read_reports(datetime.now(SHANGHAI).date()) != now


async def test_transfer_is_requested_by_the_main_admin_and_released_by_any_admin(people: People) -> None:
    scene = await Scene.create(people)
    helper = await people.register()
    await add_admin(scene.old_admin, scene.old, helper)
    await add_admin(scene.founder, scene.org, helper)
    token = (await invite(scene.new_admin, scene.new))["token"]
    path = f"/v1/orgs/{scene.org['id']}/transfers"
    assert get_refusal(await helper.post(path, json={"invitation_token": token})) == (403, "forbidden")
    transfer = await scene.create_transfer()
    assert get_refusal(await helper.delete(f"{path}/{transfer['id']}")) == (403, "forbidden")
    body = {"preview": transfer["preview"]["version"]}
    get_body(await helper.put(f"/v1/orgs/{scene.old['id']}/transfers/{transfer['id']}/release", json=body))


async def test_second_transfer_while_one_is_pending_is_refused(people: People) -> None:
    scene = await Scene.create(people)
    transfer = await scene.create_transfer()
    assert get_refusal(await scene.post_transfer()) == (409, "transfer-open")
    get_body(await scene.founder.delete(f"/v1/orgs/{scene.org['id']}/transfers/{transfer['id']}"), 204)
    assert get_refusal(await scene.release(transfer)) == (409, "transfer-decided")
    assert get_refusal(await scene.accept(transfer)) == (409, "transfer-decided")
    again = await scene.create_transfer()
    assert [item["state"] for item in await list_all(scene.founder, f"/v1/orgs/{scene.org['id']}/transfers")] == [
        "pending",
        "withdrawn",
    ]
    assert again["id"] != transfer["id"]


async def test_transfer_can_be_declined_by_either_superior(people: People) -> None:
    scene = await Scene.create(people)
    for person, org in ((scene.old_admin, scene.old), (scene.new_admin, scene.new)):
        transfer = await scene.create_transfer()
        path = f"/v1/orgs/{org['id']}/transfers/{transfer['id']}/refusal"
        refused = get_body(await person.put(path, json={"reason": "不同意"}))
        assert (refused["state"], refused["reason"]) == ("declined", "不同意")
        seen = await scene.read(scene.founder, scene.org, transfer)
        assert (seen["state"], seen["reason"]) == ("declined", "不同意")
    transfer = await scene.create_transfer()
    path = f"/v1/orgs/{scene.org['id']}/transfers/{transfer['id']}"
    assert get_refusal(await scene.founder.put(f"{path}/refusal", json={"reason": "撤回"})) == (404, "not-found")


@pytest.mark.usefixtures("no_stored_days")
async def test_preview_figures_of_two_people_are_suppressed(people: People, engine: AsyncEngine) -> None:
    scene = await Scene.create(people)
    service = await sign_in_service(people.api, engine)
    await service.outcomes(event(scene.founder.user_id))
    preview = (await scene.create_transfer())["preview"]
    assert (preview["people"], preview["points"]) == (None, None)


@pytest.mark.usefixtures("no_stored_days")
async def test_preview_is_stale_after_a_hierarchy_change_but_not_after_a_member_change(people: People) -> None:
    scene = await Scene.create(people)
    transfer = await scene.create_transfer()
    await add_member(scene.founder, scene.org)
    await certify(scene.founder, scene.org, scene.founder, await scene.founder.create_org())
    get_body(await scene.release(transfer))  # more people and more subordinates do not make the preview stale
    top_admin = await people.register()
    top = await top_admin.create_org()
    await certify(top_admin, top, scene.new_admin, scene.new)
    assert get_refusal(await scene.accept(transfer)) == (409, "preview-stale")
    assert await scene.find_superior_id() == scene.old["id"]
    fresh = (await scene.read(scene.new_admin, scene.new, transfer))["preview"]
    assert (fresh["to_chain"], fresh["orgs"]) == ([scene.new["name"], top["name"]], 3)
    get_body(await scene.accept(transfer, fresh["version"]))
    assert await scene.find_superior_id() == scene.new["id"]


async def test_transfer_is_superseded_when_the_org_is_released(people: People) -> None:
    scene = await Scene.create(people)
    transfer = await scene.create_transfer()
    get_body(await scene.release(transfer))
    get_body(await scene.old_admin.delete(f"/v1/orgs/{scene.old['id']}/subordinates/{scene.org['id']}"), 204)
    assert (await scene.read(scene.founder, scene.org, transfer))["state"] == "superseded"
    assert get_refusal(await scene.accept(transfer)) == (409, "transfer-decided")
    assert await scene.find_superior_id() is None
    assert get_refusal(await scene.post_transfer()) == (409, "no-superior")
    # A new certification under the same superior does not revive the old transfer.
    await certify(scene.old_admin, scene.old, scene.founder, scene.org)
    assert get_refusal(await scene.accept(transfer)) == (409, "transfer-decided")
    await scene.create_transfer()


async def test_transfer_to_an_org_that_closes_is_declined(people: People) -> None:
    scene = await Scene.create(people)
    transfer = await scene.create_transfer()
    get_body(await scene.release(transfer))
    get_body(await scene.new_admin.put(f"/v1/orgs/{scene.new['id']}/closure"))
    read = await scene.read(scene.founder, scene.org, transfer)
    assert (read["state"], read["step"], read["reason"]) == ("declined", None, gettext_in("en", ORG_CLOSED))
    assert "transfer.declined" in await list_actions(scene.founder, scene.org)
    assert get_refusal(await scene.accept(transfer)) == (409, "org-closed")


async def test_transfer_to_subordinate_or_same_superior_is_refused(people: People) -> None:
    scene = await Scene.create(people)

    async def request_transfer_to(person: Person, org: Json) -> tuple[int, str]:
        token = (await invite(person, org))["token"]
        path = f"/v1/orgs/{scene.org['id']}/transfers"
        return get_refusal(await scene.founder.post(path, json={"invitation_token": token}))

    assert await request_transfer_to(scene.subordinate_admin, scene.subordinate) == (409, "would-close-circle")
    assert await request_transfer_to(scene.founder, scene.org) == (409, "would-close-circle")
    assert await request_transfer_to(scene.old_admin, scene.old) == (409, "same-superior")
    path = f"/v1/orgs/{scene.org['id']}/transfers"
    assert get_refusal(await scene.founder.post(path, json={"invitation_token": "unknown-token"}))[1] == (
        "invitation-unknown"
    )


async def test_transfer_with_a_sibling_name_is_refused_at_request_and_acceptance(people: People) -> None:
    scene = await Scene.create(people)
    transfer = await scene.create_transfer()
    get_body(await scene.release(transfer))
    twin = await scene.founder.create_org(name=scene.org["name"])
    await certify(scene.new_admin, scene.new, scene.founder, twin)
    assert get_refusal(await scene.accept(transfer)) == (409, "sibling-name-taken")
    assert await scene.find_superior_id() == scene.old["id"]
    read = await scene.read(scene.founder, scene.org, transfer)
    assert (read["state"], read["step"]) == ("pending", "acceptance")
    get_body(await scene.founder.delete(f"/v1/orgs/{scene.org['id']}/transfers/{transfer['id']}"), 204)
    assert get_refusal(await scene.post_transfer()) == (409, "sibling-name-taken")


async def test_crossing_transfers_do_not_make_a_circle(people: People) -> None:
    for _ in range(3):
        # a and b are subordinates of root; a requests a transfer to b while b requests a transfer to a.
        admin = await people.register()
        root, a, b = [await admin.create_org() for _ in range(3)]
        for org in (a, b):
            await certify(admin, root, admin, org)
        transfers = []
        for org, to in ((a, b), (b, a)):
            token = (await invite(admin, to))["token"]
            transfer = get_body(
                await admin.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token}), 201
            )
            body = {"preview": transfer["preview"]["version"]}
            get_body(await admin.put(f"/v1/orgs/{root['id']}/transfers/{transfer['id']}/release", json=body))
            transfers.append((to, transfer, body))
        answers = await asyncio.gather(
            *(
                admin.put(f"/v1/orgs/{to['id']}/transfers/{transfer['id']}/acceptance", json=body)
                for to, transfer, body in transfers
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert get_refusal(refused) in ((409, "preview-stale"), (409, "would-close-circle"))


async def test_transfer_of_other_orgs_is_not_found(people: People) -> None:
    scene = await Scene.create(people)
    stranger = await people.register()
    elsewhere = await stranger.create_org()
    transfer = await scene.create_transfer()
    for person, org in ((stranger, elsewhere), (scene.subordinate_admin, scene.subordinate)):
        path = f"/v1/orgs/{org['id']}/transfers/{transfer['id']}"
        body = {"preview": transfer["preview"]["version"]}
        for answer in (
            await person.get(path),
            await person.put(f"{path}/release", json=body),
            await person.put(f"{path}/acceptance", json=body),
            await person.put(f"{path}/refusal", json={"reason": "无关"}),
            await person.delete(path),
        ):
            assert get_refusal(answer) == (404, "not-found")
    assert get_refusal(await send_application(stranger, elsewhere, "unknown-token")) == (404, "invitation-unknown")


async def test_transfer_to_an_unusual_superior_gives_advice_to_all_sides(people: People) -> None:
    scene = await Scene.create(people)
    name = f"{scene.new['name'][2:]}党外人士学习组织"
    scene.new = await scene.new_admin.create_org(name=name, kind="outside-party")
    transfer = get_body(await scene.post_transfer(), 201)
    for admin, org in ((scene.founder, scene.org), (scene.old_admin, scene.old), (scene.new_admin, scene.new)):
        shown = get_body(await admin.get(f"/v1/orgs/{org['id']}/transfers/{transfer['id']}"))
        assert [advice["code"] for advice in shown["advice"]] == ["superior-outside-party"]
    get_body(await scene.founder.delete(f"/v1/orgs/{scene.org['id']}/transfers/{transfer['id']}"), 204)
    ended = get_body(await scene.founder.get(f"/v1/orgs/{scene.org['id']}/transfers/{transfer['id']}"))
    assert ended["advice"] == []
