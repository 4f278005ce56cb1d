"""Asking to join an org: by name or link, the decisions of its admins, and races."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.members.joins.operations import MAX_REQUESTS_A_DAY, MAX_WAITING_REQUESTS
from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_actions, list_all
from tests.auth.test_accounts import close_account
from tests.meanwhile import answer_after_change
from tests.people import People, Person
from tests.retention import clean_up

MINE = "/v1/me/join-requests"


async def send_join_request(person: Person, org: Json, **body: Any) -> Json:
    request: Json = get_body(await person.post(MINE, json={"org_id": org["id"]} | body), 201)
    return request


async def create_link(admin: Person, org: Json, **body: Any) -> Json:
    link: Json = get_body(await admin.post(f"/v1/orgs/{org['id']}/join-links", json=body), 201)
    return link


def get_path(org: Json, request: Json, decision: str = "") -> str:
    return f"/v1/orgs/{org['id']}/join-requests/{request['id']}" + (f"/{decision}" if decision else "")


async def get_state(person: Person, request: Json) -> str:
    return str(get_body(await person.get(f"{MINE}/{request['id']}"))["state"])


async def test_accepted_person_is_an_active_member_in_the_units(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "第一支部")
    named = {"org_name": org["name"], "region_code": org["region_code"]}
    request = get_body(await learner.post(MINE, json=named), 201)
    assert (request["org_name"], request["state"], request["unit_name"]) == (org["name"], "pending", None)
    entry = get_body(await admin.get("/v1/inbox"))["items"][0]
    assert (entry["kind"], entry["subject"], entry["detail"]) == ("join-request", learner.name, None)
    received = await admin.get(entry["href"])
    shown = get_body(received)
    assert (shown["name"], shown["verified"], shown["party_member"]) == (learner.name, True, True)
    assert learner.phone not in received.text
    accepted = entry["actions"]["acceptance"]
    member = get_body(await admin.request(accepted["method"], accepted["href"], json={"unit_ids": [unit["id"]]}))
    assert (member["name"], member["active"], member["verified"], member["party"]) == (learner.name, True, True, True)
    assert [listed["id"] for listed in member["units"]] == [unit["id"]]
    assert member["phone"] == f"{learner.phone[:3]}****{learner.phone[-4:]}"
    assert await get_state(learner, request) == "accepted"
    assert [listed["id"] for listed in await list_all(learner, "/v1/me/orgs")] == [org["id"]]
    kinds = {message["kind"] for message in await list_all(learner, "/v1/messages")}
    assert kinds == {"request-accepted", "row-linked"}
    assert {"join_request.created", "member.added", "join_request.accepted"} <= set(await list_actions(admin, org))


async def test_declined_person_reads_the_reason_and_may_ask_again(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    request = await send_join_request(learner, org)
    get_body(await admin.put(get_path(org, request, "refusal"), json={"reason": "请到所在支部申请"}), 204)
    (mine,) = await list_all(learner, MINE)
    assert (mine["state"], mine["reason"]) == ("declined", "请到所在支部申请")
    (message,) = await list_all(learner, "/v1/messages")
    assert (message["kind"], message["subject_type"], message["reason"]) == (
        "request-declined",
        "join-request",
        "请到所在支部申请",
    )
    assert get_refusal(await admin.put(get_path(org, request, "acceptance"))) == (409, "join-request-decided")
    assert (await admin.get(get_path(org, request))).status_code == 404
    await send_join_request(learner, org)


async def test_unverified_person_gives_a_name_which_ends_with_the_request(people: People, db: AsyncConnection) -> None:
    admin, learner = await people.register(), await people.register(verified=False)
    org = await admin.create_org()
    refused = await learner.post(MINE, json={"org_id": org["id"]})
    assert get_refusal(refused) == (422, "name-needed")
    request = await send_join_request(learner, org, name="解　晓东")
    shown = get_body(await admin.get(get_path(org, request)))
    assert (shown["name"], shown["verified"]) == ("解晓东", False)
    member = get_body(await admin.put(get_path(org, request, "acceptance")))
    assert (member["name"], member["active"], member["at_org"], member["verified"]) == ("解晓东", True, True, False)
    stored = "SELECT name FROM join_requests WHERE id = :id"
    assert await db.scalar(text(stored), {"id": request["id"]}) is None


async def test_verified_name_is_used_instead_of_a_given_one(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    request = await send_join_request(learner, org, name="另一个人")
    assert get_body(await admin.put(get_path(org, request, "acceptance")))["name"] == learner.name


async def test_person_outside_the_party_is_refused_by_a_party_org(people: People) -> None:
    admin, outsider = await people.register(), await people.register(party=False)
    org = await admin.create_org()
    answer = await outsider.post(MINE, json={"org_id": org["id"]})
    assert get_refusal(answer) == (409, "party-members-only")
    assert answer.json()["org_kind"] == "outside-party"
    other = await outsider.create_org(name="江苏省测试局党外人士学习组织", kind="outside-party")
    request = await send_join_request(admin, other)
    assert get_body(await outsider.put(get_path(other, request, "acceptance")))["party"] is True


async def test_person_who_leaves_the_party_meanwhile_is_not_accepted(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    request = await send_join_request(learner, org)
    get_body(await learner.patch("/v1/me", json={"party_member": False}))
    refused = await admin.put(get_path(org, request, "acceptance"))
    assert get_refusal(refused) == (409, "party-members-only")


async def test_join_request_of_a_member_is_refused_with_the_units_of_the_row(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    units = [await add_unit(admin, org, name) for name in ("第一支部", "第二支部")]
    await add_member(admin, org, *units, name=learner.name, phone=learner.phone)
    answer = await learner.post(MINE, json={"org_id": org["id"]})
    assert get_refusal(answer) == (409, "already-member")
    shown = answer.json()
    assert (shown["org_id"], shown["org_name"], shown["units"]) == (org["id"], org["name"], ["第一支部", "第二支部"])


async def test_requests_of_one_person_are_limited(people: People, db: AsyncConnection) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    first = await send_join_request(learner, org)
    assert get_refusal(await learner.post(MINE, json={"org_id": org["id"]})) == (409, "join-request-open")
    for _ in range(MAX_WAITING_REQUESTS - 1):
        await send_join_request(learner, await admin.create_org())
    further = await admin.create_org()
    assert get_refusal(await learner.post(MINE, json={"org_id": further["id"]})) == (409, "too-many-join-requests")
    get_body(await learner.delete(f"{MINE}/{first['id']}"), 204)
    await send_join_request(learner, further)
    ended = "UPDATE join_requests SET state = 'withdrawn', name = NULL, decided_at = now() WHERE user_id = :id"
    await db.execute(text(ended), {"id": learner.user_id})
    for _ in range(MAX_REQUESTS_A_DAY - MAX_WAITING_REQUESTS - 1):
        request = await send_join_request(learner, org)
        get_body(await learner.delete(f"{MINE}/{request['id']}"), 204)
    answer = await learner.post(MINE, json={"org_id": org["id"]})
    assert get_refusal(answer) == (429, "too-many-requests")
    assert int(answer.headers["Retry-After"]) > 0


async def test_link_of_a_unit_leads_to_the_unit(people: People) -> None:
    admin, first, second = [await people.register() for _ in range(3)]
    org = await admin.create_org()
    unit = await add_unit(admin, org, "第一支部")
    link = await create_link(admin, org, unit_id=unit["id"], max_uses=1)
    assert link["link"].endswith(f"/open/join-org?link={link['token']}")
    card = get_body(await first.get(f"/v1/join-links/{link['token']}"))
    assert (card["org_name"], card["unit_name"]) == (org["name"], "第一支部")
    request = get_body(await first.post(MINE, json={"link_token": link["token"]}), 201)
    assert request["unit_name"] == "第一支部"
    for answer in (await second.post(MINE, json={"link_token": link["token"]}),):
        assert get_refusal(answer) == (409, "join-link-used-up")
    member = get_body(await admin.put(get_path(org, request, "acceptance")))
    assert [unit["name"] for unit in member["units"]] == ["第一支部"]
    picture = await admin.get(f"/v1/orgs/{org['id']}/join-links/{link['id']}/qr.svg")
    assert picture.text.startswith("<?xml") or "<svg" in picture.text


async def test_expired_used_up_or_revoked_join_link_is_refused_with_its_reason(
    people: People, db: AsyncConnection
) -> None:
    admin, learner = await people.register(), await people.register()
    org, other = await admin.create_org(), await admin.create_org()
    unit = await add_unit(admin, other, "第一支部")
    answer = await admin.post(f"/v1/orgs/{org['id']}/join-links", json={"unit_id": unit["id"]})
    assert answer.status_code == 422
    link = await create_link(admin, org)
    past = "UPDATE join_links SET expires_at = now() - interval '1 second' WHERE id = :id"
    await db.execute(text(past), link)
    assert get_refusal(await learner.post(MINE, json={"link_token": link["token"]})) == (410, "join-link-expired")
    revoked = await create_link(admin, org)
    path = f"/v1/orgs/{org['id']}/join-links/{revoked['id']}"
    for _ in range(2):
        get_body(await admin.delete(path), 204)
    for token in (revoked["token"], "no-such-token"):
        assert get_refusal(await learner.post(MINE, json={"link_token": token})) == (404, "join-link-unknown")
    assert {link["id"] for link in await list_all(admin, f"/v1/orgs/{org['id']}/join-links")} == {
        link["id"],
        revoked["id"],
    }


@pytest.mark.parametrize("body", [{}, {"org_name": "某组织"}, {"org_id": "x"}, {"name": "\u202e王"}, {"note": 1}])
async def test_join_request_with_an_invalid_body_is_refused(people: People, body: Json) -> None:
    learner = await people.register()
    assert (await learner.post(MINE, json=body)).status_code == 422


async def test_hostile_name_is_refused(people: People) -> None:
    admin, learner = await people.register(), await people.register(verified=False)
    org = await admin.create_org()
    for name in ("=cmd()", "王\u202e伟", "\u0000", "  ", "长" * 51, "王\n\u200b伟"):
        answer = await learner.post(MINE, json={"org_id": org["id"], "name": name})
        assert answer.status_code == 422, name


async def test_accepted_join_request_uses_a_row_with_the_same_phone_and_name(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "第一支部")
    member = await add_member(admin, org, name=learner.name, phone=learner.phone)
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/members/{member['id']}/activation"), 204)
    request = await send_join_request(learner, org)
    accepted = get_body(await admin.put(get_path(org, request, "acceptance"), json={"unit_ids": [unit["id"]]}))
    assert (accepted["id"], accepted["active"]) == (member["id"], True)
    assert [listed["id"] for listed in accepted["units"]] == [unit["id"]]


async def test_acceptance_is_refused_if_another_person_has_the_phone(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    member = await add_member(admin, org, name="别人", phone=learner.phone)
    request = await send_join_request(learner, org)
    answer = await admin.put(get_path(org, request, "acceptance"))
    assert get_refusal(answer) == (409, "phone-exists")
    assert answer.json()["member"]["id"] == member["id"]
    assert await get_state(learner, request) == "pending"


async def test_two_acceptances_at_once_make_one_row(people: People, db: AsyncConnection) -> None:
    admin, second, learner = [await people.register() for _ in range(3)]
    org = await admin.create_org()
    await add_admin(admin, org, second)
    request = await send_join_request(learner, org)
    path = get_path(org, request, "acceptance")
    answers = await asyncio.gather(*(person.put(path) for person in (admin, second)))
    assert [get_body(answer)["id"] for answer in answers] == [answers[0].json()["id"]] * 2
    rows = "SELECT count(*) FROM members WHERE org_id = :org_id AND user_id = :user_id"
    assert await db.scalar(text(rows), {"org_id": org["id"], "user_id": learner.user_id}) == 1


async def test_concurrent_acceptance_and_withdrawal_of_a_join_request_have_one_outcome(
    people: People, db: AsyncConnection
) -> None:
    admin, learner = await people.register(), await people.register()
    for _ in range(3):
        org = await admin.create_org()
        request = await send_join_request(learner, org)
        accepted, withdrawn = await asyncio.gather(
            admin.put(get_path(org, request, "acceptance")), learner.delete(f"{MINE}/{request['id']}")
        )
        outcome = (accepted.status_code, withdrawn.status_code)
        rows = "SELECT count(*) FROM members WHERE org_id = :org_id AND user_id = :user_id"
        present = await db.scalar(text(rows), {"org_id": org["id"], "user_id": learner.user_id})
        state = await get_state(learner, request)
        assert (outcome, state, present) in (((200, 409), "accepted", 1), ((409, 204), "withdrawn", 0))


async def test_acceptance_while_the_person_is_added_by_hand_leaves_one_row(people: People, db: AsyncConnection) -> None:
    admin, second, learner = [await people.register() for _ in range(3)]
    org = await admin.create_org()
    await add_admin(admin, org, second)
    request = await send_join_request(learner, org)
    added, accepted = await asyncio.gather(
        second.post(f"/v1/orgs/{org['id']}/members", json={"name": learner.name, "phone": learner.phone}),
        admin.put(get_path(org, request, "acceptance")),
    )
    assert accepted.status_code == 200, accepted.text
    assert added.status_code in (201, 409)
    rows = "SELECT count(*) FROM members WHERE org_id = :org_id AND user_id = :user_id"
    assert await db.scalar(text(rows), {"org_id": org["id"], "user_id": learner.user_id}) == 1


async def test_closing_the_account_withdraws_the_request(people: People, db: AsyncConnection) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    request = await send_join_request(learner, org)
    await close_account(learner)
    stored = "SELECT state, name FROM join_requests WHERE id = :id"
    assert tuple((await db.execute(text(stored), {"id": request["id"]})).one()) == ("withdrawn", None)
    assert get_refusal(await admin.put(get_path(org, request, "acceptance"))) == (409, "join-request-decided")


async def test_closing_the_org_declines_the_request(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    request = await send_join_request(learner, org)
    get_body(await admin.put(f"/v1/orgs/{org['id']}/closure"))
    assert await get_state(learner, request) == "declined"
    assert get_refusal(await learner.post(MINE, json={"org_id": org["id"]})) == (422, "unknown-org")


async def test_overdue_request_expires(people: People, db: AsyncConnection, engine: AsyncEngine) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    request = await send_join_request(learner, org)
    past = "UPDATE join_requests SET expires_at = now() - interval '1 second' WHERE id = :id"
    await db.execute(text(past), request)
    assert get_refusal(await admin.put(get_path(org, request, "acceptance"))) == (409, "join-request-decided")
    await clean_up(engine)
    assert await get_state(learner, request) == "expired"
    assert "join_request.expired" in await list_actions(admin, org)


async def test_request_of_another_person_is_not_found(people: People) -> None:
    admin, learner, stranger = [await people.register() for _ in range(3)]
    org, other = await admin.create_org(), await stranger.create_org()
    request = await send_join_request(learner, org)
    for call in (
        stranger.get(f"{MINE}/{request['id']}"),
        stranger.delete(f"{MINE}/{request['id']}"),
        stranger.get(get_path(other, request)),
        stranger.put(get_path(other, request, "acceptance")),
        stranger.put(get_path(org, request, "refusal"), json={"reason": "不"}),
    ):
        assert (await call).status_code == 404


async def test_removed_unit_of_a_link_must_be_replaced(people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "第一支部")
    link = await create_link(admin, org, unit_id=unit["id"])
    request = get_body(await learner.post(MINE, json={"link_token": link["token"]}), 201)
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/units/{unit['id']}"), 204)
    assert (await admin.put(get_path(org, request, "acceptance"))).status_code == 422
    assert get_body(await admin.put(get_path(org, request, "acceptance"), json={"unit_ids": []}))["at_org"] is True


async def test_request_to_join_waits_for_another_one_of_the_same_person(
    people: People, db: AsyncConnection, engine: AsyncEngine
) -> None:
    admin, learner = await people.register(), await people.register()
    orgs = [(await admin.create_org())["id"] for _ in range(MAX_WAITING_REQUESTS + 1)]
    for org in orgs[2:]:
        await send_join_request(learner, {"id": org})
    other = "INSERT INTO join_requests (org_id, user_id, name, expires_at)"
    other += " VALUES (:org, :user, '甲', now() + interval '1 day')"
    answer = await answer_after_change(
        engine,
        lambda: learner.post(MINE, json={"org_id": orgs[0]}),
        "SELECT FROM users WHERE id = :user FOR NO KEY UPDATE",
        other,
        parameters={"org": orgs[1], "user": learner.user_id},
    )
    assert get_refusal(answer) == (409, "too-many-join-requests")


async def test_acceptance_of_an_account_whose_phone_changes_meanwhile_is_refused(
    people: People, db: AsyncConnection, engine: AsyncEngine
) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    request = await send_join_request(learner, org)
    answer = await answer_after_change(
        engine,
        lambda: admin.put(get_path(org, request, "acceptance")),
        "UPDATE users SET phone_index = sha256(phone_index) WHERE id = :user",
        parameters={"user": learner.user_id},
    )
    assert get_refusal(answer) == (503, "unavailable")
    assert await get_state(learner, request) == "pending"
