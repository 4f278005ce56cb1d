"""Transfers of people between orgs with the consent of both, and moves of a unit's people (S20)."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, add_admin, add_member, add_unit, certify, get_body, get_refusal, list_actions, list_all
from tests.people import People, Person, fresh_name, fresh_org_name, fresh_phone


class Scene:
    """Two orgs under one superior, and an unrelated org; each with its admin."""

    def __init__(self, admins: list[Person], orgs: list[Json]) -> None:
        self.sender, self.receiver, self.superior, self.third = admins
        self.old, self.new, self.top, self.other = orgs

    async def request_transfer(self, member: Json, **body: Any) -> Json:
        path = f"/v1/orgs/{self.old['id']}/members/{member['id']}/transfers"
        transfer: Json = get_body(await self.sender.post(path, json={"org_id": self.new["id"]} | body), 201)
        return transfer

    def get_transfer_path(self, transfer: Json, decision: str = "", org: Json | None = None) -> str:
        """Return the path of a transfer in an org, or of a decision on it: `/acceptance`, `/refusal`."""
        return f"/v1/orgs/{(org or self.new)['id']}/person-transfers/{transfer['id']}{decision}"


@pytest.fixture(scope="module")
async def scene(people: People) -> Scene:
    admins = [await people.register() for _ in range(4)]
    orgs = [await admin.create_org() for admin in admins]
    for number in (0, 1):
        await certify(admins[2], orgs[2], admins[number], orgs[number])
    return Scene(admins, orgs)


async def rows_of(db: AsyncConnection, phone_of: Json) -> list[tuple[Any, ...]]:
    """Return all rows with the phone of this row: the org, whether it is live, whether it is active."""
    statement = """
        SELECT m.org_id::text, m.removed_at IS NULL, m.user_id IS NOT NULL FROM members m
        WHERE phone_index = (SELECT phone_index FROM members WHERE id = :id) ORDER BY m.created_at
    """
    return [tuple(row) for row in (await db.execute(text(statement), {"id": phone_of["id"]})).all()]


async def test_transferred_person_keeps_the_account_and_past_memberships(
    scene: Scene, people: People, db: AsyncConnection
) -> None:
    person = await people.register()
    first, second = await add_unit(scene.sender, scene.old, "甲支部"), await add_unit(scene.sender, scene.old, "乙支部")
    target = await add_unit(scene.receiver, scene.new, "新支部")
    member = await add_member(scene.sender, scene.old, first, second, name=person.name, phone=person.phone)
    account = get_body(await person.get("/v1/me"))
    named = {"org_id": None, "org_name": scene.new["name"], "region_code": scene.new["region_code"]}
    transfer = await scene.request_transfer(member, **named)
    assert (transfer["direction"], transfer["state"], transfer["member_id"]) == ("out", "pending", member["id"])

    # Before the acceptance the receiver sees a name, but no phone and no row of the sender.
    assert (await scene.receiver.get(f"/v1/orgs/{scene.old['id']}/members/{member['id']}")).status_code == 404
    (entry,) = get_body(await scene.receiver.get("/v1/inbox"))["items"]
    assert (entry["kind"], entry["subject"], entry["detail"]) == ("person-transfer", scene.old["name"], person.name)
    shown = await scene.receiver.get(entry["href"])
    assert (get_body(shown)["direction"], get_body(shown)["name"], get_body(shown)["party"]) == (
        "in",
        person.name,
        True,
    )
    for hidden in (person.phone[-4:], member["id"], "甲支部"):
        assert hidden not in shown.text
    action = entry["actions"]["acceptance"]
    new_row = get_body(
        await scene.receiver.request(action["method"], action["href"], json={"unit_ids": [target["id"]]})
    )
    assert (new_row["active"], new_row["name"], [unit["id"] for unit in new_row["units"]]) == (
        True,
        person.name,
        [target["id"]],
    )
    assert new_row["id"] != member["id"]
    assert get_body(
        await scene.receiver.post(f"/v1/orgs/{scene.new['id']}/members/{new_row['id']}/phone-disclosures")
    ) == {"phone": person.phone}
    assert (await scene.sender.get(f"/v1/orgs/{scene.old['id']}/members/{member['id']}")).status_code == 404
    assert await rows_of(db, member) == [(scene.old["id"], False, False), (scene.new["id"], True, True)]
    # The past does not change. The old unit memberships end at the instant at which the new ones start.
    ended = """
        SELECT count(*) AS ended, count(DISTINCT until) AS instants, max(until) AS last
        FROM unit_memberships WHERE member_id = :id AND until IS NOT NULL
    """
    old = (await db.execute(text(ended), member)).one()
    begun = await db.scalar(text("SELECT min(since) FROM unit_memberships WHERE member_id = :id"), new_row)
    assert (old.ended, old.instants, old.last) == (2, 1, begun)
    assert get_body(await person.get("/v1/me")) == account
    assert {org["id"] for org in get_body(await person.get("/v1/me/orgs"))["items"]} == {scene.new["id"]}
    # Each org has audit entries of both steps. Only the entries of its own admin name the admin.
    for admin, org in ((scene.sender, scene.old), (scene.receiver, scene.new)):
        assert {"person_transfer.created", "person_transfer.accepted"} <= set(await list_actions(admin, org))
        entries = await list_all(admin, f"/v1/orgs/{org['id']}/audit")
        assert person.phone[-4:] not in str([entry["after"] for entry in entries])
    sent = get_body(await scene.sender.get(scene.get_transfer_path(transfer, org=scene.old)))
    assert (sent["state"], sent["name"], sent["member_id"]) == ("accepted", None, member["id"])
    assert get_body(await scene.receiver.get(scene.get_transfer_path(transfer)))["member_id"] == new_row["id"]


async def test_transfer_keeps_the_consent_and_the_inactive_state(
    scene: Scene, people: People, db: AsyncConnection
) -> None:
    person, holder = await people.register(), await people.register()
    linked = await add_member(scene.sender, scene.old, name=person.name, phone=fresh_phone())
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": scene.old["id"]}), 201)
    get_body(await scene.sender.put(f"/v1/orgs/{scene.old['id']}/link-requests/{request['id']}/acceptance"))
    recycled = await add_member(scene.sender, scene.old, name="前机主", phone=holder.phone)
    for member, active in ((linked, True), (recycled, False)):
        transfer = await scene.request_transfer(member)
        new_row = get_body(await scene.receiver.put(scene.get_transfer_path(transfer, "/acceptance")))
        assert (new_row["active"], new_row["at_org"]) == (active, True)
    consent = "SELECT consented_by::text FROM activations WHERE user_id = :id AND until IS NULL"
    assert await db.scalar(text(consent), {"id": person.user_id}) == scene.sender.user_id


async def test_transfer_is_hidden_from_other_orgs(scene: Scene) -> None:
    member = await add_member(scene.sender, scene.old)
    transfer = await scene.request_transfer(member)
    for person, org in ((scene.third, scene.other), (scene.superior, scene.top)):
        for method, decision in (("GET", ""), ("DELETE", ""), ("PUT", "/acceptance"), ("PUT", "/refusal")):
            body = {"reason": "x"} if decision == "/refusal" else None
            tried = await person.request(method, scene.get_transfer_path(transfer, decision, org), json=body)
            assert tried.status_code == 404
            assert (
                await person.request(method, scene.get_transfer_path(transfer, decision, scene.old), json=body)
            ).status_code == 404
        assert get_body(await person.get(f"/v1/orgs/{org['id']}/person-transfers"))["items"] == []
        assert transfer["id"] not in (await person.get("/v1/inbox")).text
        audit = await person.get(f"/v1/orgs/{org['id']}/audit", params={"limit": 200})
        assert transfer["id"] not in audit.text
    # An org cannot request the transfer of a row of another org.
    path = f"/v1/orgs/{scene.other['id']}/members/{member['id']}/transfers"
    assert (await scene.third.post(path, json={"org_id": scene.new["id"]})).status_code == 404
    # The sender cannot decide, and the receiver cannot withdraw.
    assert (await scene.sender.put(scene.get_transfer_path(transfer, "/acceptance", scene.old))).status_code == 404
    assert (await scene.receiver.delete(scene.get_transfer_path(transfer))).status_code == 404
    get_body(await scene.receiver.put(scene.get_transfer_path(transfer, "/refusal"), json={"reason": "编制已满"}), 204)
    found = get_body(await scene.sender.get(scene.get_transfer_path(transfer, org=scene.old)))
    assert (found["state"], found["reason"]) == ("declined", "编制已满")
    # After a refusal the receiver no longer sees the name.
    assert get_body(await scene.receiver.get(scene.get_transfer_path(transfer)))["name"] is None
    for decision in ("/acceptance", "/refusal"):
        decided = await scene.receiver.put(
            scene.get_transfer_path(transfer, decision), json={"reason": "x"} if "ref" in decision else None
        )
        assert get_refusal(decided) == (409, "person-transfer-decided")
    assert get_refusal(await scene.sender.delete(scene.get_transfer_path(transfer, org=scene.old))) == (
        409,
        "person-transfer-decided",
    )


async def test_invalid_transfers_are_refused(scene: Scene, people: People) -> None:
    path = f"/v1/orgs/{scene.old['id']}/members"
    (own,) = [
        member
        for member in await list_all(scene.sender, path, q=scene.sender.name)
        if member["verified"] and member["at_org"]
    ]
    member = await add_member(scene.sender, scene.old)

    async def try_transfer(of: Json, **body: Any) -> tuple[int, str]:
        return get_refusal(await scene.sender.post(f"{path}/{of['id']}/transfers", json=body))

    assert await try_transfer(member, org_id=scene.old["id"]) == (409, "same-org")
    assert await try_transfer(member, org_id=member["id"]) == (422, "unknown-org")
    assert await try_transfer(own, org_id=scene.new["id"]) == (409, "member-is-admin")
    await scene.request_transfer(member)
    assert await try_transfer(member, org_id=scene.other["id"]) == (409, "person-transfer-open")
    outsider = await people.register(party=False)
    outside = await outsider.create_org(name=f"测试市{fresh_phone()}党外人士学习组织", kind="outside-party")
    body = {"name": fresh_name(), "phone": fresh_phone()}
    guest = get_body(await outsider.post(f"/v1/orgs/{outside['id']}/members", json=body), 201)
    refused = await outsider.post(
        f"/v1/orgs/{outside['id']}/members/{guest['id']}/transfers", json={"org_id": scene.new["id"]}
    )
    assert get_refusal(refused) == (409, "party-members-only")
    # The receiver already has the phone; or the unit does not belong to the receiver.
    phone = fresh_phone()
    twice = await add_member(scene.sender, scene.old, phone=phone)
    await add_member(scene.receiver, scene.new, phone=phone)
    there = await scene.request_transfer(twice)
    assert get_refusal(await scene.receiver.put(scene.get_transfer_path(there, "/acceptance"))) == (
        409,
        "person-is-here",
    )
    alien = await add_unit(scene.sender, scene.old, "旧支部")
    fine = await scene.request_transfer(await add_member(scene.sender, scene.old))
    wrong = await scene.receiver.put(scene.get_transfer_path(fine, "/acceptance"), json={"unit_ids": [alien["id"]]})
    assert get_refusal(wrong) == (422, "unknown-unit")
    get_body(await scene.receiver.put(scene.get_transfer_path(fine, "/acceptance")))


async def test_concurrent_decisions_of_a_transfer_count_once(scene: Scene, people: People, db: AsyncConnection) -> None:
    second = await people.register()
    await add_admin(scene.receiver, scene.new, second)
    member = await add_member(scene.sender, scene.old)
    path = f"/v1/orgs/{scene.old['id']}/members/{member['id']}"
    body = {"org_id": scene.new["id"]}
    requests = await asyncio.gather(*(scene.sender.post(f"{path}/transfers", json=body) for _ in range(4)))
    assert sorted(answer.status_code for answer in requests) == [201, 409, 409, 409]
    (transfer,) = [answer.json() for answer in requests if answer.status_code == 201]
    answers = await asyncio.gather(
        scene.receiver.put(scene.get_transfer_path(transfer, "/acceptance")),
        second.put(scene.get_transfer_path(transfer, "/acceptance")),
        second.put(scene.get_transfer_path(transfer, "/refusal"), json={"reason": "x"}),
        scene.sender.delete(scene.get_transfer_path(transfer, org=scene.old)),
    )
    won = [answer for answer in answers if answer.status_code < 300]
    # The second of two acceptances is a repetition.
    assert len({(answer.request.url.path, answer.text) for answer in won}) == 1, [answer.text for answer in answers]
    assert all(get_refusal(answer) == (409, "person-transfer-decided") for answer in answers if answer not in won)
    live = [org for org, is_live, _ in await rows_of(db, member) if is_live]
    assert live == [scene.new["id"] if won[0].request.url.path.endswith("/acceptance") else scene.old["id"]]


async def test_concurrent_edit_and_acceptance_leave_at_most_one_live_row(scene: Scene, db: AsyncConnection) -> None:
    """In every order the person is in one directory or in none, and no answer is a 5xx."""
    for act in ("remove", "rename", "phone", "remove"):
        member = await add_member(scene.sender, scene.old)
        transfer = await scene.request_transfer(member)
        path = f"/v1/orgs/{scene.old['id']}/members/{member['id']}"
        change = {"rename": {"name": "新名字"}, "phone": {"phone": fresh_phone()}}
        accepted, other = await asyncio.gather(
            scene.receiver.put(scene.get_transfer_path(transfer, "/acceptance")),
            scene.sender.delete(path) if act == "remove" else scene.sender.patch(path, json=change[act]),
        )
        assert (accepted.status_code, other.status_code) in {
            "remove": {(200, 404), (409, 204)},
        }.get(act, {(200, 404), (200, 200)}), (act, accepted.text, other.text)
        rows = await rows_of(db, member)
        assert sum(is_live for _, is_live, _ in rows) == (0 if accepted.status_code == 409 else 1)
        if act == "rename" and other.status_code == 200:
            assert accepted.json()["name"] == "新名字"
    # The removal of a person supersedes the transfer.
    removed = await add_member(scene.sender, scene.old)
    transfer = await scene.request_transfer(removed)
    get_body(await scene.sender.delete(f"/v1/orgs/{scene.old['id']}/members/{removed['id']}"), 204)
    assert get_body(await scene.receiver.get(scene.get_transfer_path(transfer)))["state"] == "superseded"
    assert get_refusal(await scene.receiver.put(scene.get_transfer_path(transfer, "/acceptance"))) == (
        409,
        "person-transfer-decided",
    )
    assert transfer["id"] not in (await scene.receiver.get("/v1/inbox", params={"limit": 200})).text


async def test_closed_org_declines_its_transfers(people: People) -> None:
    sender, receiver = await people.register(), await people.register()
    old, new = await sender.create_org(), await receiver.create_org(name=fresh_org_name())
    member = await add_member(sender, old)
    body = {"org_id": new["id"]}
    transfer = get_body(await sender.post(f"/v1/orgs/{old['id']}/members/{member['id']}/transfers", json=body), 201)
    get_body(await receiver.put(f"/v1/orgs/{new['id']}/closure"))
    found = get_body(await sender.get(f"/v1/orgs/{old['id']}/person-transfers/{transfer['id']}"))
    assert found["state"] == "declined"


async def test_moved_people_keep_their_other_units(scene: Scene, db: AsyncConnection) -> None:
    admin, org = scene.third, scene.other
    top = await add_unit(admin, org, "总支", kind="general-branch")
    child, target, other_unit = [
        await add_unit(admin, org, name, parent) for name, parent in (("下支部", top), ("新处", None), ("别处", None))
    ]
    in_two = await add_member(admin, org, top, target)
    in_three = await add_member(admin, org, top, other_unit)
    in_child = await add_member(admin, org, child)
    path = f"/v1/orgs/{org['id']}/moves"

    async def list_units(member: Json) -> set[str]:
        found = get_body(await admin.get(f"/v1/orgs/{org['id']}/members/{member['id']}"))
        return {unit["id"] for unit in found["units"]} | ({"org"} if found["at_org"] else set())

    body = {"from_unit_id": top["id"], "to_unit_id": target["id"]}
    moved = get_body(await admin.post(path, json=body))
    assert moved["people"] == 2
    assert moved["groups"] == [{"from_unit_ids": [top["id"]], "people": 2}]
    assert await list_units(in_two) == {target["id"]}
    assert await list_units(in_three) == {target["id"], other_unit["id"]}
    assert await list_units(in_child) == {child["id"]}
    assert get_body(await admin.post(path, json=body | {"units_below": True}))["people"] == 1
    nothing = await admin.post(path, json={"from_unit_id": target["id"], "to_unit_id": target["id"]})
    assert get_body(nothing) == {"people": 0, "moved_at": None, "groups": []}
    moved_people = await admin.post(path, json={"from_unit_id": target["id"], "to_unit_id": None})
    assert get_body(moved_people)["people"] == 3
    assert await list_units(in_three) == {"org", other_unit["id"]}
    unknown = await admin.post(path, json={"from_unit_id": top["id"], "to_unit_id": scene.old["id"]})
    assert get_refusal(unknown) == (422, "unknown-unit")
    # Two concurrent moves of one unit: each person ends in one of the two units.
    for member in (in_two, in_three, in_child):
        copied = await admin.post(f"/v1/orgs/{org['id']}/members/{member['id']}/copies", json={"unit_id": target["id"]})
        get_body(copied, 201)
    moves = [{"from_unit_id": target["id"], "to_unit_id": unit["id"]} for unit in (top, child)]
    answers = await asyncio.gather(*(admin.post(path, json=move) for move in moves))
    assert sorted(get_body(answer)["people"] for answer in answers) == [0, 3]
    memberships = "SELECT count(*) FROM unit_memberships WHERE unit_id = ANY (:units) AND until IS NULL"
    assert await db.scalar(text(memberships), {"units": [top["id"], child["id"]]}) == 3
