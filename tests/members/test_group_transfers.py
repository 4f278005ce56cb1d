"""Transfers of several people to another org with one consent of each side (S20)."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_actions, list_all
from tests.meanwhile import answer_after_change
from tests.people import People, Person, fresh_phone


class Scene:
    """Two orgs, each with its admin: people go from `old` to `new`."""

    def __init__(self, sender: Person, receiver: Person, old: Json, new: Json) -> None:
        self.sender, self.receiver, self.old, self.new = sender, receiver, old, new

    def path(self, org: Json, *parts: str) -> str:
        return "/".join((f"/v1/orgs/{org['id']}/group-transfers", *parts))

    async def send(self, *members: Json, **body: Any) -> Json:
        sent = {"org_id": self.new["id"], "member_ids": [member["id"] for member in members]} | body
        created: Json = get_body(await self.sender.post(self.path(self.old), json=sent), 201)
        return created

    async def accept(self, transfer: Json, *units: Json) -> Json:
        body = {"unit_ids": [unit["id"] for unit in units]}
        path = self.path(self.new, transfer["id"], "acceptance")
        accepted: Json = get_body(await self.receiver.put(path, json=body))
        return accepted

    async def list_people(self, person: Person, org: Json, transfer: Json) -> list[Json]:
        return await list_all(person, self.path(org, transfer["id"], "people"))


@pytest.fixture
async def scene(people: People) -> Scene:
    sender, receiver = await people.register(), await people.register()
    return Scene(sender, receiver, await sender.create_org(), await receiver.create_org())


async def list_rows(db: AsyncConnection, member: Json) -> list[tuple[Any, ...]]:
    """Return all rows with the phone of this row: the org, whether it is live, whether it is active."""
    statement = """
        SELECT m.org_id::text, m.removed_at IS NULL, m.user_id IS NOT NULL FROM members m
        WHERE phone_index = (SELECT phone_index FROM members WHERE id = :id) ORDER BY m.created_at
    """
    return [tuple(row) for row in (await db.execute(text(statement), {"id": member["id"]})).all()]


async def test_accepted_people_move_in_one_transaction_and_keep_their_accounts(
    scene: Scene, people: People, db: AsyncConnection
) -> None:
    learner = await people.register()
    unit = await add_unit(scene.sender, scene.old, "甲支部")
    target, second = [await add_unit(scene.receiver, scene.new, name) for name in ("新支部", "学习小组")]
    linked = await add_member(scene.sender, scene.old, unit, name=learner.name, phone=learner.phone)
    plain = await add_member(scene.sender, scene.old)
    account = get_body(await learner.get("/v1/me"))
    transfer = await scene.send(linked, plain)
    assert (transfer["people"], transfer["moved"], transfer["state"], transfer["excluded"]) == (2, None, "pending", [])
    assert transfer["direction"] == "out"
    (entry,) = get_body(await scene.receiver.get("/v1/inbox"))["items"]
    assert (entry["kind"], entry["subject"], entry["detail"]) == ("group-transfer", scene.old["name"], "2")
    shown = await scene.receiver.get(f"{entry['href']}/people")
    names = [(item["name"], item["party"], item["member_id"]) for item in get_body(shown)["items"]]
    assert names == [(linked["name"], True, None), (plain["name"], True, None)]
    for hidden in (learner.phone[-4:], linked["id"], "甲支部"):
        assert hidden not in shown.text
    assert await list_rows(db, linked) == [(scene.old["id"], True, True)]

    accepted = await scene.accept(transfer, target, second)
    assert (accepted["state"], accepted["moved"], accepted["direction"]) == ("accepted", 2, "in")
    for member, active in ((linked, True), (plain, False)):
        assert await list_rows(db, member) == [(scene.old["id"], False, False), (scene.new["id"], True, active)]
    arrived = await scene.list_people(scene.receiver, scene.new, transfer)
    for item, member in zip(arrived, (linked, plain), strict=True):
        path = f"/v1/orgs/{scene.new['id']}/members/{item['member_id']}"
        row = get_body(await scene.receiver.get(path))
        assert (row["name"], {unit["id"] for unit in row["units"]}) == (member["name"], {target["id"], second["id"]})
        disclosed = get_body(await scene.receiver.post(f"{path}/phone-disclosures"))["phone"]
        assert disclosed.endswith(member["phone"][-4:])
    assert get_body(await learner.get("/v1/me")) == account
    assert {org["id"] for org in get_body(await learner.get("/v1/me/orgs"))["items"]} == {scene.new["id"]}
    instants = """
        SELECT count(DISTINCT at) FROM (
            SELECT until AS at FROM unit_memberships WHERE member_id = ANY (CAST(:old AS uuid[]))
            UNION ALL SELECT since FROM unit_memberships WHERE member_id = ANY (CAST(:new AS uuid[]))
            UNION ALL SELECT until FROM activations WHERE member_id = ANY (CAST(:old AS uuid[]))
            UNION ALL SELECT since FROM activations WHERE member_id = ANY (CAST(:new AS uuid[]))
        ) AS times
    """
    ids = {"old": [linked["id"], plain["id"]], "new": [item["member_id"] for item in arrived]}
    assert await db.scalar(text(instants), ids) == 1
    kinds = [message["kind"] for message in await list_all(learner, "/v1/messages")]
    assert sorted(kinds[:2]) == ["row-linked", "row-removed"]
    assert [m["subject_type"] for m in await list_all(scene.sender, "/v1/messages")][:1] == ["group-transfer"]


async def test_both_orgs_have_an_entry_of_each_person_without_ids_of_the_other_directory(scene: Scene) -> None:
    member = await add_member(scene.sender, scene.old)
    transfer = await scene.send(member)
    await scene.accept(transfer)
    (arrived,) = await scene.list_people(scene.receiver, scene.new, transfer)
    for person, org, own, other in (
        (scene.sender, scene.old, ("member.removed", member["id"]), arrived["member_id"]),
        (scene.receiver, scene.new, ("member.added", arrived["member_id"]), member["id"]),
    ):
        entries = await list_all(person, f"/v1/orgs/{org['id']}/audit")
        assert own in [(entry["action"], entry["subject_id"]) for entry in entries]
        assert {"group_transfer.created", "group_transfer.accepted"} <= {entry["action"] for entry in entries}
        assert other not in str(entries)
        of_other = scene.receiver if person is scene.sender else scene.sender
        assert of_other.user_id not in str(entries)


async def test_people_who_cannot_be_transferred_are_left_out_of_the_request(scene: Scene, people: People) -> None:
    admin, outsider = await people.register(), await add_member(scene.sender, scene.old)
    await add_admin(scene.sender, scene.old, admin)
    listed = await list_all(scene.sender, f"/v1/orgs/{scene.old['id']}/members")
    (of_admin,) = [row for row in listed if row["name"] == admin.name]
    waiting, free = await add_member(scene.sender, scene.old), await add_member(scene.sender, scene.old)
    path = f"/v1/orgs/{scene.old['id']}/members/{waiting['id']}/transfers"
    get_body(await scene.sender.post(path, json={"org_id": scene.new["id"]}), 201)
    here = await add_member(scene.receiver, scene.new, name=free["name"], phone=fresh_phone())
    chosen = [of_admin, waiting, free, here, {"id": str(uuid4())}]
    body = {"org_id": scene.new["id"], "member_ids": [each["id"] for each in chosen]}
    preview = get_body(await scene.sender.post(scene.path(scene.old, "previews"), json=body))
    expected = {
        of_admin["id"]: (admin.name, "admin"),
        waiting["id"]: (waiting["name"], "transfer-open"),
        here["id"]: (None, "unknown"),
        chosen[4]["id"]: (None, "unknown"),
    }
    assert (preview["people"], preview["to_name"]) == (1, scene.new["name"])
    assert {each["member_id"]: (each["name"], each["obstacle"]) for each in preview["excluded"]} == expected
    assert get_body(await scene.sender.get(scene.path(scene.old)))["items"] == []
    transfer = await scene.send(*chosen)
    assert (transfer["people"], transfer["excluded"]) == (1, preview["excluded"])
    # A person of a waiting list is in no other transfer.
    path = f"/v1/orgs/{scene.old['id']}/members/{free['id']}/transfers"
    single = await scene.sender.post(path, json={"org_id": scene.new["id"]})
    assert get_refusal(single) == (409, "person-transfer-open")
    again = await scene.sender.post(scene.path(scene.old), json=body | {"member_ids": [outsider["id"]]})
    assert get_refusal(again) == (409, "group-transfer-open")
    nobody = await scene.sender.post(scene.path(scene.old), json=body | {"member_ids": [of_admin["id"]]})
    assert get_refusal(nobody) == (409, "nobody-can-transfer")
    own = await scene.sender.post(scene.path(scene.old), json=body | {"org_id": scene.old["id"]})
    assert get_refusal(own) == (409, "same-org")


async def test_people_outside_the_party_do_not_come_into_a_party_org(people: People) -> None:
    sender, receiver = await people.register(), await people.register()
    name = "玄武区卫生局党外人士学习组织"
    scene = Scene(
        sender, receiver, await sender.create_org(kind="outside-party", name=name), await receiver.create_org()
    )
    outsider = await add_member(sender, scene.old, party=False)
    insider = await add_member(sender, scene.old, party=True)
    transfer = await scene.send(outsider, insider)
    assert [(each["member_id"], each["obstacle"]) for each in transfer["excluded"]] == [
        (outsider["id"], "no-party-member")
    ]


async def test_people_with_an_obstacle_at_the_acceptance_stay_and_the_others_come(
    scene: Scene, people: People, db: AsyncConnection
) -> None:
    leaving, promoted, here, coming = [await people.register() for _ in range(4)]
    rows = [
        await add_member(scene.sender, scene.old, name=person.name, phone=person.phone)
        for person in (leaving, promoted, here, coming)
    ]
    transfer = await scene.send(*rows)
    get_body(await scene.sender.delete(f"/v1/orgs/{scene.old['id']}/members/{rows[0]['id']}"), 204)
    await add_admin(scene.sender, scene.old, promoted)
    await add_member(scene.receiver, scene.new, name=here.name, phone=here.phone)
    seen = [item["obstacle"] for item in await scene.list_people(scene.receiver, scene.new, transfer)]
    assert seen == ["left", "admin", "already-there", None]
    # The requesting org does not learn who is in the other directory.
    seen = [item["obstacle"] for item in await scene.list_people(scene.sender, scene.old, transfer)]
    assert seen == ["left", "admin", None, None]
    assert (await scene.accept(transfer))["moved"] == 1
    for person, org, expected in (
        (scene.receiver, scene.new, ["left", "admin", "already-there", None]),
        (scene.sender, scene.old, ["left", "admin", "not-taken", None]),
    ):
        assert [item["obstacle"] for item in await scene.list_people(person, org, transfer)] == expected
    named = [item["name"] for item in await scene.list_people(scene.receiver, scene.new, transfer)]
    assert named == [None, None, None, coming.name]
    assert await list_rows(db, rows[1]) == [(scene.old["id"], True, True)]
    assert await list_rows(db, rows[3]) == [(scene.old["id"], False, False), (scene.new["id"], True, True)]


async def test_acceptance_without_anybody_to_move_is_refused(scene: Scene) -> None:
    member = await add_member(scene.sender, scene.old)
    transfer = await scene.send(member)
    get_body(await scene.sender.delete(f"/v1/orgs/{scene.old['id']}/members/{member['id']}"), 204)
    path = scene.path(scene.new, transfer["id"], "acceptance")
    assert get_refusal(await scene.receiver.put(path)) == (409, "nobody-can-transfer")
    assert get_body(await scene.receiver.get(scene.path(scene.new, transfer["id"])))["state"] == "pending"


async def test_link_by_consent_continues_and_a_blocked_org_gets_no_link(
    scene: Scene, people: People, db: AsyncConnection
) -> None:
    learner, blocker, holder = [await people.register() for _ in range(3)]
    linked = await add_member(scene.sender, scene.old, name=learner.name, phone=fresh_phone())
    request = get_body(await learner.post("/v1/me/link-requests", json={"org_id": scene.old["id"]}), 201)
    get_body(await scene.sender.put(f"/v1/orgs/{scene.old['id']}/link-requests/{request['id']}/acceptance"))
    blocked = await add_member(scene.sender, scene.old, name=blocker.name, phone=blocker.phone)
    get_body(await blocker.put(f"/v1/me/blocked-orgs/{scene.new['id']}"), 204)
    recycled = await add_member(scene.sender, scene.old, name="前机主", phone=holder.phone)
    transfer = await scene.send(linked, blocked, recycled)
    assert (await scene.accept(transfer))["moved"] == 3
    for member, active in ((linked, True), (blocked, False), (recycled, False)):
        assert (await list_rows(db, member))[1] == (scene.new["id"], True, active)
    consent = "SELECT consented_by::text FROM activations WHERE user_id = :id AND until IS NULL"
    assert await db.scalar(text(consent), {"id": learner.user_id}) == scene.sender.user_id


async def test_withdrawn_and_declined_transfers_move_nobody(scene: Scene) -> None:
    member = await add_member(scene.sender, scene.old)
    withdrawn = await scene.send(member)
    get_body(await scene.sender.delete(scene.path(scene.old, withdrawn["id"])), 204)
    declined = await scene.send(member)
    refusal = scene.path(scene.new, declined["id"], "refusal")
    get_body(await scene.receiver.put(refusal, json={"reason": "编制已满"}), 204)
    read = get_body(await scene.sender.get(scene.path(scene.old, declined["id"])))
    assert (read["state"], read["reason"], read["moved"]) == ("declined", "编制已满", None)
    for transfer in (withdrawn, declined):
        decided = await scene.receiver.put(scene.path(scene.new, transfer["id"], "acceptance"))
        assert get_refusal(decided) == (409, "group-transfer-decided")
    get_body(await scene.sender.get(f"/v1/orgs/{scene.old['id']}/members/{member['id']}"))


async def test_transfer_is_hidden_from_other_orgs(scene: Scene, people: People) -> None:
    stranger = await people.register()
    elsewhere = await stranger.create_org()
    transfer = await scene.send(await add_member(scene.sender, scene.old))
    for path in (scene.path(elsewhere, transfer["id"]), scene.path(elsewhere, transfer["id"], "people")):
        assert (await stranger.get(path)).status_code == 404
    assert (await stranger.put(scene.path(elsewhere, transfer["id"], "acceptance"))).status_code == 404
    # The requesting org does not decide, and the other one does not withdraw.
    assert (await scene.sender.put(scene.path(scene.old, transfer["id"], "acceptance"))).status_code == 404
    assert (await scene.receiver.delete(scene.path(scene.new, transfer["id"]))).status_code == 404


async def test_concurrent_acceptances_and_single_transfers_move_each_person_once(
    scene: Scene, db: AsyncConnection
) -> None:
    members = [await add_member(scene.sender, scene.old) for _ in range(5)]
    transfer = await scene.send(*members)
    path = scene.path(scene.new, transfer["id"], "acceptance")
    removal = f"/v1/orgs/{scene.old['id']}/members/{members[0]['id']}"
    answers = await asyncio.gather(
        scene.receiver.put(path), scene.receiver.put(path), scene.sender.delete(removal), scene.sender.delete(removal)
    )
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    moved = get_body(answers[0])["moved"]
    assert moved in {4, 5}
    live = "SELECT count(*) FROM members WHERE org_id = :id AND removed_at IS NULL AND user_id IS NULL"
    assert await db.scalar(text(live), {"id": scene.new["id"]}) == moved
    for member in members[1:]:
        assert [row[:2] for row in await list_rows(db, member)] == [(scene.old["id"], False), (scene.new["id"], True)]
    assert (await list_actions(scene.receiver, scene.new)).count("group_transfer.accepted") == 1


async def test_concurrent_requests_of_a_list_and_of_one_person_name_the_person_once(scene: Scene) -> None:
    for _ in range(4):
        member, other = await add_member(scene.sender, scene.old), await add_member(scene.sender, scene.old)
        single = f"/v1/orgs/{scene.old['id']}/members/{member['id']}/transfers"
        body = {"org_id": scene.new["id"], "member_ids": [member["id"], other["id"]]}
        listed, one = await asyncio.gather(
            scene.sender.post(scene.path(scene.old), json=body),
            scene.sender.post(single, json={"org_id": scene.new["id"]}),
        )
        named = get_body(listed, 201)["people"]
        assert (named, one.status_code) in {(2, 409), (1, 201)}
        get_body(await scene.sender.delete(scene.path(scene.old, get_body(listed, 201)["id"])), 204)


async def test_person_who_leaves_during_the_acceptance_does_not_move(
    scene: Scene, engine: AsyncEngine, db: AsyncConnection
) -> None:
    leaving, coming = await add_member(scene.sender, scene.old), await add_member(scene.sender, scene.old)
    transfer = await scene.send(leaving, coming)
    path = scene.path(scene.new, transfer["id"], "acceptance")
    leaves = "UPDATE members SET removed_at = now() WHERE id = CAST(:id AS uuid)"
    accepted = await answer_after_change(
        engine, lambda: scene.receiver.put(path), leaves, parameters={"id": leaving["id"]}
    )
    assert get_body(accepted)["moved"] == 1
    assert [row[:2] for row in await list_rows(db, leaving)] == [(scene.old["id"], False)]
    obstacles = [item["obstacle"] for item in await scene.list_people(scene.receiver, scene.new, transfer)]
    assert obstacles == ["left", None]
