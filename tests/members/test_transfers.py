"""People go from org to org with both sides' consent, and a unit's people move (S20)."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, actions, add_admin, add_member, add_unit, certify, done, list_all, refusal
from tests.people import People, Person, fresh_name, fresh_org_name, fresh_phone


class Scene:
    """Two orgs under one superior, and a third party; each with its admin."""

    def __init__(self, admins: list[Person], orgs: list[Json]) -> None:
        self.giver, self.taker, self.above, self.third = admins
        self.old, self.new, self.top, self.other = orgs

    async def ask(self, member: Json, **body: Any) -> Json:
        path = f"/v1/orgs/{self.old['id']}/members/{member['id']}/transfers"
        asked: Json = done(await self.giver.post(path, json={"org_id": self.new["id"]} | body), 201)
        return asked

    def at(self, transfer: Json, answer: str = "", org: Json | None = None) -> str:
        return f"/v1/orgs/{(org or self.new)['id']}/person-transfers/{transfer['id']}{answer}"


@pytest.fixture(scope="module")
async def scene(people: People) -> Scene:
    admins = [await people.register() for _ in range(4)]
    orgs = [await admin.create_org() for admin in admins]
    for number in (0, 1):
        await certify(admins[2], orgs[2], admins[number], orgs[number])
    return Scene(admins, orgs)


async def rows_of(db: AsyncConnection, phone_of: Json) -> list[tuple[Any, ...]]:
    """Every row of the person's phone: org, whether live, whether active."""
    statement = """
        SELECT m.org_id::text, m.removed_at IS NULL, m.user_id IS NOT NULL FROM members m
        WHERE phone_index = (SELECT phone_index FROM members WHERE id = :id) ORDER BY m.created_at
    """
    return [tuple(row) for row in (await db.execute(text(statement), {"id": phone_of["id"]})).all()]


async def test_a_person_goes_over_with_both_consents_and_keeps_account_and_past(
    scene: Scene, people: People, db: AsyncConnection
) -> None:
    person = await people.register()
    first, second = await add_unit(scene.giver, scene.old, "甲支部"), await add_unit(scene.giver, scene.old, "乙支部")
    target = await add_unit(scene.taker, scene.new, "新支部")
    member = await add_member(scene.giver, scene.old, first, second, name=person.name, phone=person.phone)
    account = done(await person.get("/v1/me"))
    named = {"org_id": None, "org_name": scene.new["name"], "region_code": scene.new["region_code"]}
    asked = await scene.ask(member, **named)
    assert (asked["direction"], asked["state"], asked["member_id"]) == ("out", "pending", member["id"])

    # Nothing has happened yet; the taker sees a name, no phone, no row of the giver's.
    assert (await scene.taker.get(f"/v1/orgs/{scene.old['id']}/members/{member['id']}")).status_code == 404
    (entry,) = done(await scene.taker.get("/v1/inbox"))["items"]
    assert (entry["kind"], entry["subject"], entry["detail"]) == ("person-transfer", scene.old["name"], person.name)
    shown = await scene.taker.get(entry["href"])
    assert (done(shown)["direction"], done(shown)["name"], done(shown)["party"]) == ("in", person.name, True)
    for hidden in (person.phone[-4:], member["id"], "甲支部"):
        assert hidden not in shown.text
    action = entry["actions"]["acceptance"]
    taken = done(await scene.taker.request(action["method"], action["href"], json={"unit_ids": [target["id"]]}))
    assert (taken["active"], taken["name"], [unit["id"] for unit in taken["units"]]) == (
        True,
        person.name,
        [target["id"]],
    )
    assert taken["id"] != member["id"]
    assert done(await scene.taker.post(f"/v1/orgs/{scene.new['id']}/members/{taken['id']}/phone-disclosures"), 201) == {
        "phone": person.phone
    }
    assert (await scene.giver.get(f"/v1/orgs/{scene.old['id']}/members/{member['id']}")).status_code == 404
    assert await rows_of(db, member) == [(scene.old["id"], False, False), (scene.new["id"], True, True)]
    # The past is where it was, and the old unit memberships end at the instant at which the new ones begin.
    ended = """
        SELECT count(*) AS ended, count(DISTINCT until) AS instants, max(until) AS last
        FROM unit_memberships WHERE member_id = :id AND until IS NOT NULL
    """
    old = (await db.execute(text(ended), member)).one()
    begun = await db.scalar(text("SELECT min(since) FROM unit_memberships WHERE member_id = :id"), taken)
    assert (old.ended, old.instants, old.last) == (2, 1, begun)
    assert done(await person.get("/v1/me")) == account
    assert {org["id"] for org in done(await person.get("/v1/me/orgs"))} == {scene.new["id"]}
    # Each side has the traces of both acts, and who acted on its own side only.
    for admin, org in ((scene.giver, scene.old), (scene.taker, scene.new)):
        assert {"person_transfer.created", "person_transfer.accepted"} <= set(await actions(admin, org))
        entries = await list_all(admin, f"/v1/orgs/{org['id']}/audit")
        assert person.phone[-4:] not in str([entry["after"] for entry in entries])
    mine = done(await scene.giver.get(scene.at(asked, org=scene.old)))
    assert (mine["state"], mine["name"], mine["member_id"]) == ("accepted", None, member["id"])
    assert done(await scene.taker.get(scene.at(asked)))["member_id"] == taken["id"]


async def test_a_link_by_consent_goes_along_and_an_inactive_person_stays_inactive(
    scene: Scene, people: People, db: AsyncConnection
) -> None:
    person, holder = await people.register(), await people.register()
    linked = await add_member(scene.giver, scene.old, name=person.name, phone=fresh_phone())
    request = done(await person.post("/v1/me/link-requests", json={"org_id": scene.old["id"]}), 201)
    done(await scene.giver.put(f"/v1/orgs/{scene.old['id']}/link-requests/{request['id']}/acceptance"))
    recycled = await add_member(scene.giver, scene.old, name="前机主", phone=holder.phone)
    for member, active in ((linked, True), (recycled, False)):
        asked = await scene.ask(member)
        taken = done(await scene.taker.put(scene.at(asked, "/acceptance")))
        assert (taken["active"], taken["at_org"]) == (active, True)
    consent = "SELECT consented_by::text FROM activations WHERE user_id = :id AND until IS NULL"
    assert await db.scalar(text(consent), {"id": person.user_id}) == scene.giver.user_id


async def test_who_is_no_side_of_it_learns_nothing(scene: Scene) -> None:
    member = await add_member(scene.giver, scene.old)
    asked = await scene.ask(member)
    for person, org in ((scene.third, scene.other), (scene.above, scene.top)):
        for method, answer in (("GET", ""), ("DELETE", ""), ("PUT", "/acceptance"), ("PUT", "/refusal")):
            body = {"reason": "x"} if answer == "/refusal" else None
            tried = await person.request(method, scene.at(asked, answer, org), json=body)
            assert tried.status_code == 404
            assert (await person.request(method, scene.at(asked, answer, scene.old), json=body)).status_code == 404
        assert done(await person.get(f"/v1/orgs/{org['id']}/person-transfers"))["items"] == []
        assert asked["id"] not in (await person.get("/v1/inbox")).text
        audit = await person.get(f"/v1/orgs/{org['id']}/audit", params={"limit": 200})
        assert asked["id"] not in audit.text
    # Asking somebody else's row away, or one's own by another org, is asking for nothing.
    path = f"/v1/orgs/{scene.other['id']}/members/{member['id']}/transfers"
    assert (await scene.third.post(path, json={"org_id": scene.new["id"]})).status_code == 404
    # The giver cannot answer, the taker cannot withdraw.
    assert (await scene.giver.put(scene.at(asked, "/acceptance", scene.old))).status_code == 404
    assert (await scene.taker.delete(scene.at(asked))).status_code == 404
    done(await scene.taker.put(scene.at(asked, "/refusal"), json={"reason": "编制已满"}), 204)
    seen = done(await scene.giver.get(scene.at(asked, org=scene.old)))
    assert (seen["state"], seen["reason"]) == ("declined", "编制已满")
    # The taker keeps no name of somebody they did not take.
    assert done(await scene.taker.get(scene.at(asked)))["name"] is None
    for answer in ("/acceptance", "/refusal"):
        decided = await scene.taker.put(scene.at(asked, answer), json={"reason": "x"} if "ref" in answer else None)
        assert refusal(decided) == (409, "person-transfer-decided")
    assert refusal(await scene.giver.delete(scene.at(asked, org=scene.old))) == (409, "person-transfer-decided")


async def test_what_is_refused(scene: Scene, people: People) -> None:
    path = f"/v1/orgs/{scene.old['id']}/members"
    (own,) = [one for one in await list_all(scene.giver, path, q=scene.giver.name) if one["verified"] and one["at_org"]]
    member = await add_member(scene.giver, scene.old)

    async def asked(of: Json, **body: Any) -> tuple[int, str]:
        return refusal(await scene.giver.post(f"{path}/{of['id']}/transfers", json=body))

    assert await asked(member, org_id=scene.old["id"]) == (409, "same-org")
    assert await asked(member, org_id=member["id"]) == (422, "unknown-org")
    assert await asked(own, org_id=scene.new["id"]) == (409, "member-is-admin")
    await scene.ask(member)
    assert await asked(member, org_id=scene.other["id"]) == (409, "person-transfer-open")
    outsider = await people.register(party=False)
    outside = await outsider.create_org(name=f"测试市{fresh_phone()}党外人士学习组织", kind="outside_party")
    body = {"name": fresh_name(), "phone": fresh_phone()}
    guest = done(await outsider.post(f"/v1/orgs/{outside['id']}/members", json=body), 201)
    refused = await outsider.post(
        f"/v1/orgs/{outside['id']}/members/{guest['id']}/transfers", json={"org_id": scene.new["id"]}
    )
    assert refusal(refused) == (409, "party-members-only")
    # Somebody whose phone the taker has already, and a unit that is not the taker's.
    phone = fresh_phone()
    twice = await add_member(scene.giver, scene.old, phone=phone)
    await add_member(scene.taker, scene.new, phone=phone)
    there = await scene.ask(twice)
    assert refusal(await scene.taker.put(scene.at(there, "/acceptance"))) == (409, "person-is-here")
    alien = await add_unit(scene.giver, scene.old, "旧支部")
    fine = await scene.ask(await add_member(scene.giver, scene.old))
    wrong = await scene.taker.put(scene.at(fine, "/acceptance"), json={"unit_ids": [alien["id"]]})
    assert refusal(wrong) == (422, "unknown-unit")
    done(await scene.taker.put(scene.at(fine, "/acceptance")))


async def test_two_answers_at_once_count_once(scene: Scene, people: People, db: AsyncConnection) -> None:
    second = await people.register()
    await add_admin(scene.taker, scene.new, second)
    member = await add_member(scene.giver, scene.old)
    path = f"/v1/orgs/{scene.old['id']}/members/{member['id']}"
    body = {"org_id": scene.new["id"]}
    asks = await asyncio.gather(*(scene.giver.post(f"{path}/transfers", json=body) for _ in range(4)))
    assert sorted(answer.status_code for answer in asks) == [201, 409, 409, 409]
    (asked,) = [answer.json() for answer in asks if answer.status_code == 201]
    answers = await asyncio.gather(
        scene.taker.put(scene.at(asked, "/acceptance")),
        second.put(scene.at(asked, "/acceptance")),
        second.put(scene.at(asked, "/refusal"), json={"reason": "x"}),
        scene.giver.delete(scene.at(asked, org=scene.old)),
    )
    won = [answer for answer in answers if answer.status_code < 300]
    assert len(won) == 1, [answer.text for answer in answers]
    assert all(refusal(answer) == (409, "person-transfer-decided") for answer in answers if answer not in won)
    live = [org for org, is_live, _ in await rows_of(db, member) if is_live]
    assert live == [scene.new["id"] if won[0].request.url.path.endswith("/acceptance") else scene.old["id"]]


async def test_removal_edits_and_a_second_transfer_race_acceptance(scene: Scene, db: AsyncConnection) -> None:
    """Whatever comes first, the person is in one directory or in none, never in two, and no answer is a 5xx."""
    for act in ("remove", "rename", "phone", "remove"):
        member = await add_member(scene.giver, scene.old)
        asked = await scene.ask(member)
        path = f"/v1/orgs/{scene.old['id']}/members/{member['id']}"
        change = {"rename": {"name": "新名字"}, "phone": {"phone": fresh_phone()}}
        accepted, other = await asyncio.gather(
            scene.taker.put(scene.at(asked, "/acceptance")),
            scene.giver.delete(path) if act == "remove" else scene.giver.patch(path, json=change[act]),
        )
        assert (accepted.status_code, other.status_code) in {
            "remove": {(200, 404), (409, 204)},
        }.get(act, {(200, 404), (200, 200)}), (act, accepted.text, other.text)
        rows = await rows_of(db, member)
        assert sum(is_live for _, is_live, _ in rows) == (0 if accepted.status_code == 409 else 1)
        if act == "rename" and other.status_code == 200:
            assert accepted.json()["name"] == "新名字"
    # A person who has gone is in no transfer any more, also after having been brought back elsewhere.
    gone = await add_member(scene.giver, scene.old)
    asked = await scene.ask(gone)
    done(await scene.giver.delete(f"/v1/orgs/{scene.old['id']}/members/{gone['id']}"), 204)
    assert done(await scene.taker.get(scene.at(asked)))["state"] == "superseded"
    assert refusal(await scene.taker.put(scene.at(asked, "/acceptance"))) == (409, "person-transfer-decided")
    assert asked["id"] not in (await scene.taker.get("/v1/inbox", params={"limit": 200})).text


async def test_closing_either_org_ends_it(people: People) -> None:
    giver, taker = await people.register(), await people.register()
    old, new = await giver.create_org(), await taker.create_org(name=fresh_org_name())
    member = await add_member(giver, old)
    body = {"org_id": new["id"]}
    asked = done(await giver.post(f"/v1/orgs/{old['id']}/members/{member['id']}/transfers", json=body), 201)
    done(await taker.put(f"/v1/orgs/{new['id']}/closure"))
    seen = done(await giver.get(f"/v1/orgs/{old['id']}/person-transfers/{asked['id']}"))
    assert seen["state"] == "declined"


async def test_a_units_people_move_at_once_and_their_other_places_stay(scene: Scene, db: AsyncConnection) -> None:
    admin, org = scene.third, scene.other
    top = await add_unit(admin, org, "总支", kind="general_branch")
    below, target, beside = [
        await add_unit(admin, org, name, parent) for name, parent in (("下支部", top), ("新处", None), ("别处", None))
    ]
    both = await add_member(admin, org, top, target)
    also = await add_member(admin, org, top, beside)
    under = await add_member(admin, org, below)
    path = f"/v1/orgs/{org['id']}/moves"

    async def places(member: Json) -> set[str]:
        found = done(await admin.get(f"/v1/orgs/{org['id']}/members/{member['id']}"))
        return {unit["id"] for unit in found["units"]} | ({"org"} if found["at_org"] else set())

    body = {"from_unit_id": top["id"], "to_unit_id": target["id"]}
    assert done(await admin.post(path, json=body), 201) == {"people": 2}
    assert await places(both) == {target["id"]}
    assert await places(also) == {target["id"], beside["id"]}
    assert await places(under) == {below["id"]}
    assert done(await admin.post(path, json=body | {"units_below": True}), 201) == {"people": 1}
    assert done(await admin.post(path, json={"from_unit_id": target["id"], "to_unit_id": target["id"]}), 201) == {
        "people": 0
    }
    assert done(await admin.post(path, json={"from_unit_id": target["id"], "to_unit_id": None}), 201) == {"people": 3}
    assert await places(also) == {"org", beside["id"]}
    unknown = await admin.post(path, json={"from_unit_id": top["id"], "to_unit_id": scene.old["id"]})
    assert refusal(unknown) == (422, "unknown-unit")
    # Two moves of one unit at once: everybody ends in one of the two places.
    for member in (both, also, under):
        copied = await admin.post(f"/v1/orgs/{org['id']}/members/{member['id']}/copies", json={"unit_id": target["id"]})
        done(copied, 201)
    moves = [{"from_unit_id": target["id"], "to_unit_id": unit["id"]} for unit in (top, below)]
    answers = await asyncio.gather(*(admin.post(path, json=move) for move in moves))
    assert sorted(done(answer, 201)["people"] for answer in answers) == [0, 3]
    stand = "SELECT count(*) FROM unit_memberships WHERE unit_id = ANY (:units) AND until IS NULL"
    assert await db.scalar(text(stand), {"units": [top["id"], below["id"]]}) == 3
