"""Promotions: a unit becomes an org (S7, S19)."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.acts import Json, add_member, add_unit, certify, get_body, get_refusal, list_actions, list_all
from tests.people import People, Person, fresh_org_name, fresh_phone


async def offer_promotion(admin: Person, org: Json, unit: Json, person: Person, **body: object) -> Json:
    fields = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": person.phone}} | body
    promotion: Json = get_body(await admin.post(f"/v1/orgs/{org['id']}/promotions", json=fields), 201)
    return promotion


def acceptance_path(promotion: Json) -> str:
    return f"/v1/me/promotions/{promotion['id']}/acceptance"


async def test_accepted_promotion_moves_people_and_units_and_certifies_the_org(
    people: People, db: AsyncConnection
) -> None:
    founder, leader, learner = [await people.register() for _ in range(3)]
    org = await founder.create_org(region_code="320100")
    unit = await add_unit(founder, org, "第一党总支", kind="general-branch")
    inner_unit = await add_unit(founder, org, "一支部", unit)
    lowest = await add_unit(founder, org, "一小组", inner_unit)
    other_unit = await add_unit(founder, org, "第二党总支")
    active = await add_member(founder, org, unit, lowest, phone=learner.phone, name=learner.name)
    in_two_units = await add_member(founder, org, inner_unit, other_unit)
    unaffected = await add_member(founder, org, other_unit)
    assert active["active"]

    promotion = await offer_promotion(founder, org, unit, leader, region_code="320102")
    assert promotion["state"] == "pending"
    assert leader.phone not in str(promotion)
    shown = get_body(await leader.get(f"/v1/me/promotions/{promotion['id']}"))
    assert (shown["org_name"], shown["unit_name"], shown["people"]) == (org["name"], "第一党总支", 2)
    answer = await leader.put(acceptance_path(promotion))
    new_org = get_body(answer)
    assert (new_org["main_admin_id"], new_org["superior_id"], new_org["kind"]) == (leader.user_id, org["id"], "party")
    assert (new_org["name"], new_org["level"]) == (promotion["name"], "county")
    assert answer.headers["ETag"] == f'"{new_org["version"]}"'

    units = await list_all(leader, f"/v1/orgs/{new_org['id']}/units")
    assert [item["path"] for item in units] == ["一支部", "一支部/一小组"]
    members = {item["id"]: item for item in await list_all(leader, f"/v1/orgs/{new_org['id']}/members")}
    assert len(members) == 3  # the two, and the leader
    moved = members[active["id"]]
    assert (moved["active"], moved["at_org"], [item["name"] for item in moved["units"]]) == (True, True, ["一小组"])
    assert [item["name"] for item in members[in_two_units["id"]]["units"]] == ["一支部"]
    # The phone moved too: it can be read, and a search finds it by its last four digits.
    shown = get_body(await leader.post(f"/v1/orgs/{new_org['id']}/members/{active['id']}/phone-disclosures"))
    assert shown["phone"] == learner.phone
    assert active["id"] in {
        item["id"] for item in await list_all(leader, f"/v1/orgs/{new_org['id']}/members", q=learner.phone[-4:])
    }

    remaining = {item["id"]: item for item in await list_all(founder, f"/v1/orgs/{org['id']}/members")}
    assert active["id"] not in remaining
    assert [item["name"] for item in remaining[in_two_units["id"]]["units"]] == ["第二党总支"]
    assert remaining[unaffected["id"]]["version"] == unaffected["version"]
    assert [item["path"] for item in await list_all(founder, f"/v1/orgs/{org['id']}/units")] == ["第二党总支"]
    assert [item["id"] for item in await list_all(founder, f"/v1/orgs/{org['id']}/subordinates")] == [new_org["id"]]
    assert (await founder.get(f"/v1/orgs/{new_org['id']}/members")).status_code == 404
    own_orgs = {item["id"] for item in get_body(await learner.get("/v1/me/orgs"))["items"]}
    assert own_orgs == {new_org["id"]}

    # Old unit memberships and the old activation end at the instant at which the new ones begin.
    adjacent_rows = """
        SELECT (SELECT count(*) FROM unit_memberships WHERE org_id = :old AND until IS NOT NULL),
               (SELECT count(*) FROM unit_memberships o
                JOIN unit_memberships n ON n.since = o.until AND n.member_id = o.member_id
                WHERE o.org_id = :old AND n.org_id = :new),
               (SELECT count(*) FROM activations o JOIN activations n ON n.since = o.until AND n.user_id = o.user_id
                WHERE o.org_id = :old AND n.org_id = :new)
    """
    row = (await db.execute(text(adjacent_rows), {"old": org["id"], "new": new_org["id"]})).one()
    assert tuple(row) == (3, 5, 1)
    assert {"org.created", "unit.promoted", "certification.created"} <= set(await list_actions(leader, new_org))
    assert {"unit.promoted", "certification.created"} <= set(await list_actions(founder, org))
    audit = await founder.get(f"/v1/orgs/{org['id']}/audit")
    assert leader.user_id not in audit.text
    listed = await list_all(founder, f"/v1/orgs/{org['id']}/promotions")
    assert [(item["state"], item["new_org_id"], item["phone"]) for item in listed] == [
        ("accepted", new_org["id"], None)
    ]


async def test_promotion_offered_to_another_person_is_not_found(people: People) -> None:
    founder, leader, stranger = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    promotion = await offer_promotion(founder, org, unit, leader)
    path = f"/v1/me/promotions/{promotion['id']}"
    for person in (stranger, founder):
        assert get_refusal(await person.get(path)) == (404, "not-found")
        assert get_refusal(await person.put(acceptance_path(promotion))) == (404, "not-found")
        assert get_refusal(await person.put(f"{path}/refusal")) == (404, "not-found")


async def test_acceptance_by_an_unverified_user_or_non_party_member_is_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    unverified = await people.register(verified=False)
    promotion = await offer_promotion(founder, org, unit, unverified)
    assert get_refusal(await unverified.put(acceptance_path(promotion))) == (403, "real-name-required")
    await people.verify(unverified)
    get_body(await unverified.patch("/v1/me", json={"party_member": False}))
    assert get_refusal(await unverified.put(acceptance_path(promotion))) == (403, "party-member-required")
    get_body(await unverified.patch("/v1/me", json={"party_member": True}))
    get_body(await unverified.put(acceptance_path(promotion)))


async def test_promotion_offer_has_the_same_answer_for_registered_and_unknown_phones(people: People) -> None:
    founder, registered = await people.register(), await people.register()
    org = await founder.create_org()
    answers = []
    for number, phone in enumerate((registered.phone, fresh_phone())):
        unit = await add_unit(founder, org, f"第{number}支部")
        body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": phone}}
        answers.append(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=body))
    assert {answer.status_code for answer in answers} == {201}
    assert answers[0].json().keys() == answers[1].json().keys()
    assert {answer.json()["state"] for answer in answers} == {"pending"}


async def test_promotion_offered_to_a_member_is_accepted_by_the_linked_user(people: People) -> None:
    founder, leader = await people.register(), await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    member = await add_member(founder, org, unit, phone=leader.phone, name=leader.name)
    promotion = await offer_promotion(founder, org, unit, leader, to={"member_id": member["id"]})
    new_org = get_body(await leader.put(acceptance_path(promotion)))
    members = await list_all(leader, f"/v1/orgs/{new_org['id']}/members")
    assert [(item["id"], item["at_org"]) for item in members] == [(member["id"], True)]
    unknown = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"member_id": new_org["id"]}}
    assert (await founder.post(f"/v1/orgs/{org['id']}/promotions", json=unknown)).status_code == 422


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"name": "中共南京市委学习管理组"}, (422, "name-suffix-typed")),
        ({"name": "南京市党外人士学习组织"}, (422, "name-kind-mismatch")),
        ({"region_code": "999999"}, (422, "unknown-region")),
        ({"unit_id": "00000000-0000-7000-8000-000000000000"}, (422, "unknown-unit")),
        ({"to": {"member_id": "00000000-0000-7000-8000-000000000000"}}, (422, "unknown-member")),
        ({"to": {}}, (422, "invalid")),
        ({"to": {"phone": "02583000000"}}, (422, "invalid")),
    ],
)
async def test_invalid_promotion_offer_is_refused(people: People, body: Json, answer: tuple[int, str]) -> None:
    founder = await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    fields = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": fresh_phone()}}
    assert get_refusal(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=fields | body)) == answer


async def test_promotion_offer_that_has_ended_cannot_be_accepted(people: People, engine: AsyncEngine) -> None:
    founder, leader = await people.register(), await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    first = await offer_promotion(founder, org, unit, leader)
    again = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": leader.phone}}
    assert get_refusal(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=again)) == (409, "promotion-open")
    get_body(await leader.put(f"/v1/me/promotions/{first['id']}/refusal"), 204)
    assert get_refusal(await leader.put(acceptance_path(first))) == (409, "promotion-decided")
    second = await offer_promotion(founder, org, unit, leader)
    withdrawal = f"/v1/orgs/{org['id']}/promotions/{second['id']}"
    get_body(await founder.delete(withdrawal), 204)
    assert get_refusal(await founder.delete(withdrawal)) == (409, "promotion-decided")
    assert get_refusal(await leader.put(acceptance_path(second))) == (409, "promotion-decided")
    third = await offer_promotion(founder, org, unit, leader)
    async with engine.begin() as connection:
        past = "UPDATE promotions SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": third["id"]})
    assert get_refusal(await leader.put(acceptance_path(third))) == (410, "promotion-expired")
    fourth = await offer_promotion(founder, org, unit, leader)  # an expired offer does not prevent a new one
    get_body(await founder.delete(f"/v1/orgs/{org['id']}/units/{unit['id']}"), 204)
    assert get_refusal(await leader.put(acceptance_path(fourth))) == (409, "promotion-decided")
    states = [item["state"] for item in await list_all(founder, f"/v1/orgs/{org['id']}/promotions")]
    assert states == ["superseded", "expired", "withdrawn", "declined"]


async def test_concurrent_acceptances_create_one_org(people: People) -> None:
    founder, leader = await people.register(), await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    await add_member(founder, org, unit)
    promotion = await offer_promotion(founder, org, unit, leader)
    answers = await asyncio.gather(*(leader.put(acceptance_path(promotion)) for _ in range(5)))
    assert len({get_body(answer)["id"] for answer in answers}) == 1
    assert len(get_body(await leader.get("/v1/me/orgs"))["items"]) == 1


async def test_member_copied_into_the_unit_during_acceptance_moves_too(people: People) -> None:
    founder, leader = await people.register(), await people.register()
    org = await founder.create_org()
    for turn in range(4):
        unit = await add_unit(founder, org, f"第{turn}支部")
        member = await add_member(founder, org)
        promotion = await offer_promotion(founder, org, unit, leader)
        copies = f"/v1/orgs/{org['id']}/members/{member['id']}/copies"
        copied, accepted = await asyncio.gather(
            founder.post(copies, json={"unit_id": unit["id"]}), leader.put(acceptance_path(promotion))
        )
        new_org = get_body(accepted)
        arrived = {item["id"] for item in await list_all(leader, f"/v1/orgs/{new_org['id']}/members")}
        assert (member["id"] in arrived) == (copied.status_code == 201)
        assert copied.status_code in (201, 422)


async def test_acceptance_with_a_sibling_name_is_refused_and_moves_nothing(people: People) -> None:
    founder, leader = await people.register(), await people.register()
    org, other = await founder.create_org(), await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    await add_member(founder, org, unit)
    promotion = await offer_promotion(founder, org, unit, leader, name=other["name"])
    await certify(founder, org, founder, other)
    assert get_refusal(await leader.put(acceptance_path(promotion))) == (409, "sibling-name-taken")
    assert get_body(await leader.get("/v1/me/orgs"))["items"] == []
    assert len(await list_all(founder, f"/v1/orgs/{org['id']}/members", unit_id=unit["id"])) == 1
    body = {"unit_id": unit["id"], "name": other["name"], "to": {"phone": fresh_phone()}}
    get_body(await founder.delete(f"/v1/orgs/{org['id']}/promotions/{promotion['id']}"), 204)
    assert get_refusal(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=body)) == (409, "sibling-name-taken")


async def test_undone_activation_is_not_repeated_in_the_new_org(
    people: People, worker: Callable[[], Awaitable[None]]
) -> None:
    founder, leader, learner = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一党总支")
    row = await add_member(founder, org, unit, phone=learner.phone, name=learner.name)
    get_body(await founder.delete(f"/v1/orgs/{org['id']}/members/{row['id']}/activation"), 204)
    new_org = get_body(await leader.put(acceptance_path(await offer_promotion(founder, org, unit, leader))))
    await worker()
    there = get_body(await leader.get(f"/v1/orgs/{new_org['id']}/members/{row['id']}"))
    assert (there["active"], there["inactive_reason"]) == (False, "unlinked")
