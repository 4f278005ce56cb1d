"""Rename, hand-over and recovery: with the superior's consent, or at once if there is no superior (S4, S5)."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor
from app.auth.operators.operators import add_operator
from app.core.cipher import CIPHER
from app.database.db import ENGINE
from tests.acts import (
    Json,
    add_admin,
    certify,
    get_body,
    get_refusal,
    invite,
    list_actions,
    list_all,
    send_change_request,
)
from tests.auth.authenticator import prove_key, register_key
from tests.people import People, Person, fresh_org_name, fresh_phone
from tests.retention import clean_up


async def list_received_requests(superior_admin: Person, superior: Json) -> list[Json]:
    return await list_all(superior_admin, f"/v1/orgs/{superior['id']}/change-requests", side="received")


async def list_sent(admin: Person, org: Json) -> list[Json]:
    return await list_all(admin, f"/v1/orgs/{org['id']}/change-requests", side="sent")


async def decide(
    superior_admin: Person, superior: Json, request: Json, how: str = "approval", **body: str
) -> httpx.Response:
    path = f"/v1/orgs/{superior['id']}/change-requests/{request['id']}/{how}"
    return await superior_admin.put(path, json=body or None)


class OrgPair:
    """A superior and a certified org with two admins."""

    def __init__(self, superior_admin: Person, superior: Json, founder: Person, second: Person, org: Json) -> None:
        self.superior_admin, self.superior, self.founder, self.second, self.org = (
            superior_admin,
            superior,
            founder,
            second,
            org,
        )

    @classmethod
    async def create(cls, people: People) -> "OrgPair":
        superior_admin, founder, second = [await people.register() for _ in range(3)]
        superior, org = await superior_admin.create_org(), await founder.create_org()
        await add_admin(founder, org, second)
        await certify(superior_admin, superior, founder, org)
        return cls(superior_admin, superior, founder, second, org)

    async def request_hand_over(self) -> Json:
        body = {"kind": "hand-over", "main_admin_id": self.second.user_id, "reason": "调离"}
        change_request: Json = get_body(await send_change_request(self.founder, self.org, **body), 201)
        return change_request

    async def get_main_admin_id(self) -> str:
        card = get_body(await self.founder.get(f"/v1/orgs/{self.org['id']}"))
        return str(card["main_admin_id"])


async def release(pair: OrgPair) -> httpx.Response:
    return await pair.superior_admin.delete(f"/v1/orgs/{pair.superior['id']}/subordinates/{pair.org['id']}")


async def transfer(pair: OrgPair, next_superior: Person, next_above: Json) -> None:
    """Transfer the org to another superior."""
    token = (await invite(next_superior, next_above))["token"]
    path = f"/v1/orgs/{pair.org['id']}/transfers"
    created = get_body(await pair.founder.post(path, json={"invitation_token": token}), 201)
    preview = {"preview": created["preview"]["version"]}
    for person, org, step in (
        (pair.superior_admin, pair.superior, "release"),
        (next_superior, next_above, "acceptance"),
    ):
        get_body(await person.put(f"/v1/orgs/{org['id']}/transfers/{created['id']}/{step}", json=preview))


async def test_hand_over_without_a_superior_takes_effect_at_once(people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    change_request = get_body(
        await send_change_request(founder, org, kind="hand-over", main_admin_id=second.user_id), 201
    )
    assert change_request["state"] == "accepted"
    assert change_request["main_admin_after"] == {"name": second.name, "verified": True}
    assert get_body(await founder.get(f"/v1/orgs/{org['id']}"))["main_admin_id"] == second.user_id
    # The former main admin is now an ordinary admin and may resign.
    back = {"kind": "hand-over", "main_admin_id": founder.user_id}
    assert get_refusal(await send_change_request(founder, org, **back)) == (403, "main-admin-only")
    get_body(await founder.delete(f"/v1/orgs/{org['id']}/admins/me"), 204)
    assert {"org.handed_over", "change_request.created"} <= set(await list_actions(second, org))


async def test_hand_over_to_a_person_who_is_not_an_admin_is_refused(people: People) -> None:
    founder, second, stranger = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    alone = await send_change_request(founder, org, kind="hand-over", main_admin_id=second.user_id)
    assert get_refusal(alone) == (409, "sole-admin")
    await add_admin(founder, org, second)
    for user_id, slug in ((stranger.user_id, "not-an-admin"), (founder.user_id, "already-main-admin")):
        assert get_refusal(await send_change_request(founder, org, kind="hand-over", main_admin_id=user_id)) == (
            409,
            slug,
        )


async def test_hand_over_shows_only_names_to_the_superior(people: People) -> None:
    pair = await OrgPair.create(people)
    change_request = await pair.request_hand_over()
    assert change_request["state"] == "pending"
    assert await pair.get_main_admin_id() == pair.founder.user_id
    seen = (await list_received_requests(pair.superior_admin, pair.superior))[0]
    assert seen["main_admin_before"] == {"name": pair.founder.name, "verified": True}
    assert seen["main_admin_after"] == {"name": pair.second.name, "verified": True}
    assert (seen["requested_by"]["name"], seen["reason"]) == (pair.founder.name, "调离")
    for secret in (pair.founder.user_id, pair.second.user_id, pair.founder.phone, pair.second.phone):
        assert secret not in str(seen)
    approved = get_body(await decide(pair.superior_admin, pair.superior, change_request))
    assert approved["state"] == "accepted"
    assert await pair.get_main_admin_id() == pair.second.user_id
    assert await list_received_requests(pair.superior_admin, pair.superior) == []
    assert [each["id"] for each in await list_sent(pair.founder, pair.org)] == [change_request["id"]]
    assert await list_sent(pair.superior_admin, pair.superior) == []
    audit = (await pair.superior_admin.get(f"/v1/orgs/{pair.superior['id']}/audit")).text
    for person in (pair.founder, pair.second):
        assert person.user_id not in audit
        assert person.name not in audit
    assert pair.superior_admin.user_id not in (await pair.second.get(f"/v1/orgs/{pair.org['id']}/audit")).text


async def test_declined_change_request_has_the_reason(people: People) -> None:
    pair = await OrgPair.create(people)
    change_request = await pair.request_hand_over()
    refused = get_body(
        await decide(pair.superior_admin, pair.superior, change_request, "refusal", reason="请先完成交接")
    )
    assert (refused["state"], refused["refusal"]) == ("declined", "请先完成交接")
    read = get_body(await pair.founder.get(f"/v1/orgs/{pair.org['id']}/change-requests/{change_request['id']}"))
    assert (read["state"], read["refusal"]) == ("declined", "请先完成交接")
    assert await pair.get_main_admin_id() == pair.founder.user_id
    for how, body in (("approval", {}), ("refusal", {"reason": "再次"})):
        assert get_refusal(await decide(pair.superior_admin, pair.superior, change_request, how, **body)) == (
            409,
            "change-request-decided",
        )


async def test_second_change_request_of_a_kind_is_refused(people: People) -> None:
    pair = await OrgPair.create(people)
    first = get_body(await send_change_request(pair.founder, pair.org, kind="rename", name=fresh_org_name()), 201)
    again = await send_change_request(pair.second, pair.org, kind="rename", name=fresh_org_name())
    assert get_refusal(again) == (409, "change-request-open")
    path = f"/v1/orgs/{pair.org['id']}/change-requests/{first['id']}"
    get_body(await pair.second.delete(path), 204)  # any admin may withdraw a rename
    assert get_refusal(await pair.founder.delete(path)) == (409, "change-request-decided")
    assert get_refusal(await decide(pair.superior_admin, pair.superior, first)) == (409, "change-request-decided")
    get_body(await send_change_request(pair.second, pair.org, kind="rename", name=fresh_org_name()), 201)
    assert get_refusal(await send_change_request(pair.founder, pair.org, kind="rename", name=pair.org["name"])) == (
        409,
        "name-unchanged",
    )


async def test_hand_over_withdrawal_by_another_admin_is_refused(people: People) -> None:
    pair = await OrgPair.create(people)
    change_request = await pair.request_hand_over()
    path = f"/v1/orgs/{pair.org['id']}/change-requests/{change_request['id']}"
    assert get_refusal(await pair.second.delete(path)) == (403, "main-admin-only")
    assert (
        get_refusal(
            await pair.superior_admin.delete(f"/v1/orgs/{pair.superior['id']}/change-requests/{change_request['id']}")
        )[0]
        == 404
    )
    get_body(await pair.founder.delete(path), 204)


async def test_overdue_change_request_cannot_be_decided(people: People, engine: AsyncEngine) -> None:
    pair = await OrgPair.create(people)
    change_request = await pair.request_hand_over()
    async with engine.begin() as connection:
        past = "UPDATE change_requests SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": change_request["id"]})
    path = f"/v1/orgs/{pair.org['id']}/change-requests/{change_request['id']}"
    assert get_body(await pair.founder.get(path))["state"] == "expired"
    assert await list_received_requests(pair.superior_admin, pair.superior) == []
    for how, body in (("approval", {}), ("refusal", {"reason": "已过期"})):
        assert get_refusal(await decide(pair.superior_admin, pair.superior, change_request, how, **body)) == (
            410,
            "change-request-expired",
        )
    await clean_up(engine)
    assert get_refusal(await decide(pair.superior_admin, pair.superior, change_request)) == (
        410,
        "change-request-expired",
    )
    assert await pair.get_main_admin_id() == pair.founder.user_id
    await pair.request_hand_over()  # the expired request does not prevent a new one


@pytest.mark.parametrize("meanwhile", ["removed", "resigned"])
async def test_change_request_that_names_a_former_admin_is_superseded(people: People, meanwhile: str) -> None:
    pair = await OrgPair.create(people)
    change_request = await pair.request_hand_over()
    path = f"/v1/orgs/{pair.org['id']}/admins"
    if meanwhile == "removed":
        get_body(await pair.founder.delete(f"{path}/{pair.second.user_id}"), 204)
    else:
        get_body(await pair.second.delete(f"{path}/me"), 204)
    await add_admin(pair.founder, pair.org, pair.second)  # a new admin row does not revive the request
    assert get_refusal(await decide(pair.superior_admin, pair.superior, change_request)) == (
        409,
        "change-request-decided",
    )
    request = f"/v1/orgs/{pair.org['id']}/change-requests/{change_request['id']}"
    assert get_body(await pair.founder.get(request))["state"] == "superseded"
    assert await pair.get_main_admin_id() == pair.founder.user_id


async def test_new_main_admin_supersedes_the_other_request_for_one(people: People) -> None:
    pair = await OrgPair.create(people)
    third = await people.register()
    await add_admin(pair.founder, pair.org, third)
    hand_over = await pair.request_hand_over()
    recovery = get_body(await send_change_request(third, pair.org, kind="recovery"), 201)
    get_body(await decide(pair.superior_admin, pair.superior, recovery))
    assert await pair.get_main_admin_id() == third.user_id
    seen = get_body(await third.get(f"/v1/orgs/{pair.org['id']}/change-requests/{hand_over['id']}"))
    assert seen["state"] == "superseded"
    assert await list_received_requests(pair.superior_admin, pair.superior) == []
    assert "change_request.superseded" in await list_actions(third, pair.org)
    messages = await list_all(pair.founder, "/v1/messages")
    assert ("request-superseded", hand_over["id"]) in [(each["kind"], each["subject_id"]) for each in messages]
    assert get_refusal(await decide(pair.superior_admin, pair.superior, hand_over)) == (409, "change-request-decided")
    assert await pair.get_main_admin_id() == third.user_id


async def test_rename_is_stale_after_a_change_of_the_name(people: People, engine: AsyncEngine) -> None:
    pair = await OrgPair.create(people)
    rename = get_body(await send_change_request(pair.founder, pair.org, kind="rename", name=fresh_org_name()), 201)
    async with engine.begin() as connection:
        loaded = "UPDATE orgs SET name = :name WHERE id = :id"
        await connection.execute(text(loaded), {"name": fresh_org_name(), "id": pair.org["id"]})
    assert get_refusal(await decide(pair.superior_admin, pair.superior, rename)) == (409, "change-request-stale")


async def test_change_request_after_a_transfer_is_decided_by_the_new_superior(people: People) -> None:
    pair = await OrgPair.create(people)
    next_superior = await people.register()
    next_above = await next_superior.create_org()
    change_request = await pair.request_hand_over()
    await transfer(pair, next_superior, next_above)
    assert await list_received_requests(pair.superior_admin, pair.superior) == []
    assert get_refusal(await decide(pair.superior_admin, pair.superior, change_request)) == (404, "not-found")
    assert [item["id"] for item in await list_received_requests(next_superior, next_above)] == [change_request["id"]]
    get_body(await decide(next_superior, next_above, change_request))
    assert await pair.get_main_admin_id() == pair.second.user_id


async def test_pending_change_takes_effect_when_the_org_is_released(people: People) -> None:
    pair = await OrgPair.create(people)
    hand_over = await pair.request_hand_over()
    name = fresh_org_name()
    rename = get_body(await send_change_request(pair.second, pair.org, kind="rename", name=name), 201)
    get_body(await release(pair), 204)
    card = get_body(await pair.founder.get(f"/v1/orgs/{pair.org['id']}"))
    assert (card["name"], card["main_admin_id"], card["superior_id"]) == (name, pair.second.user_id, None)
    for request in (hand_over, rename):
        seen = get_body(await pair.founder.get(f"/v1/orgs/{pair.org['id']}/change-requests/{request['id']}"))
        assert (seen["state"], seen["decided_at"] is not None) == ("accepted", True)
        assert get_refusal(await decide(pair.superior_admin, pair.superior, request)) == (404, "not-found")
    assert await list_received_requests(pair.superior_admin, pair.superior) == []
    audit = await list_all(pair.second, f"/v1/orgs/{pair.org['id']}/audit")
    newest = [entry["action"] for entry in audit][:5]
    assert sorted(newest) == [
        "certification.ended",
        "change_request.accepted",
        "change_request.accepted",
        "org.handed_over",
        "org.renamed",
    ]
    # The org's audit names no person of the former superior. The superior's audit does not contain the changes of the
    # org that it has released.
    assert {entry["user_id"] for entry in audit[:5]} == {None}
    newest_entry = (await list_all(pair.superior_admin, f"/v1/orgs/{pair.superior['id']}/audit"))[0]
    assert (newest_entry["action"], name in str(newest_entry)) == ("certification.ended", False)


async def test_stale_change_is_superseded_when_the_org_is_released(people: People, engine: AsyncEngine) -> None:
    pair = await OrgPair.create(people)
    third = await people.register()
    await add_admin(pair.founder, pair.org, third)
    hand_over = await pair.request_hand_over()
    get_body(
        await decide(
            pair.superior_admin,
            pair.superior,
            get_body(await send_change_request(third, pair.org, kind="recovery"), 201),
        )
    )
    rename = get_body(await send_change_request(third, pair.org, kind="rename", name=fresh_org_name()), 201)
    async with engine.begin() as connection:
        loaded = "UPDATE orgs SET name = :name WHERE id = :id"
        await connection.execute(text(loaded), {"name": fresh_org_name(), "id": pair.org["id"]})
    get_body(await release(pair), 204)
    for request in (hand_over, rename):
        seen = get_body(await third.get(f"/v1/orgs/{pair.org['id']}/change-requests/{request['id']}"))
        assert seen["state"] == "superseded"
    assert await pair.get_main_admin_id() == third.user_id


async def test_overdue_change_does_not_take_effect_when_the_org_is_released(
    people: People, engine: AsyncEngine
) -> None:
    pair = await OrgPair.create(people)
    change_request = await pair.request_hand_over()
    async with engine.begin() as connection:
        past = "UPDATE change_requests SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": change_request["id"]})
    get_body(await release(pair), 204)
    assert await pair.get_main_admin_id() == pair.founder.user_id
    assert (await pair.request_hand_over())["state"] == "accepted"  # the overdue request does not prevent a new one


async def test_pending_recovery_of_a_released_org_is_decided_by_the_operator(people: People, operator: Person) -> None:
    pair = await OrgPair.create(people)
    change_request = get_body(await send_change_request(pair.second, pair.org, kind="recovery"), 201)
    get_body(await release(pair), 204)
    assert await pair.get_main_admin_id() == pair.founder.user_id
    assert get_refusal(await decide(pair.superior_admin, pair.superior, change_request)) == (404, "not-found")
    assert change_request["id"] in {item["id"] for item in await list_all(operator, "/v1/operator/recoveries")}
    get_body(await operator.put(f"/v1/operator/recoveries/{change_request['id']}/approval"), 204)
    assert await pair.get_main_admin_id() == pair.second.user_id


async def test_rename_after_a_transfer_to_a_sibling_name_is_refused(people: People) -> None:
    pair = await OrgPair.create(people)
    next_superior = await people.register()
    next_above = await next_superior.create_org()
    sibling = await next_superior.create_org()
    await certify(next_superior, next_above, next_superior, sibling)
    change_request = get_body(
        await send_change_request(pair.founder, pair.org, kind="rename", name=sibling["name"]), 201
    )
    await transfer(pair, next_superior, next_above)
    inbox = get_body(await next_superior.get("/v1/inbox"))
    assert [(entry["kind"], entry["id"]) for entry in inbox["items"]] == [("change-request", change_request["id"])]
    assert get_body(await pair.superior_admin.get("/v1/inbox"))["items"] == []
    assert get_refusal(await decide(next_superior, next_above, change_request)) == (409, "sibling-name-taken")
    seen = get_body(await next_superior.get(f"/v1/orgs/{next_above['id']}/change-requests/{change_request['id']}"))
    assert seen["state"] == "pending"
    get_body(await decide(next_superior, next_above, change_request, "refusal", reason="重名"))


async def test_change_request_decision_by_another_org_is_not_found(people: People) -> None:
    pair = await OrgPair.create(people)
    top_admin, below_admin = await people.register(), await people.register()
    top, subordinate = await top_admin.create_org(), await below_admin.create_org()
    await certify(top_admin, top, pair.superior_admin, pair.superior)
    await certify(pair.founder, pair.org, below_admin, subordinate)
    change_request = await pair.request_hand_over()
    for person, org in ((top_admin, top), (below_admin, subordinate), (pair.founder, pair.org)):
        assert get_refusal(await decide(person, org, change_request)) == (404, "not-found")
        assert get_refusal(await decide(person, org, change_request, "refusal", reason="越级")) == (404, "not-found")
    assert get_refusal(await top_admin.get(f"/v1/orgs/{top['id']}/change-requests/{change_request['id']}")) == (
        404,
        "not-found",
    )
    assert await list_received_requests(top_admin, top) == []


async def test_recovery_with_the_superiors_consent_replaces_the_main_admin(people: People) -> None:
    pair = await OrgPair.create(people)
    assert get_refusal(await send_change_request(pair.founder, pair.org, kind="recovery")) == (409, "main-admin-stays")
    change_request = get_body(
        await send_change_request(pair.second, pair.org, kind="recovery", reason="主管理员已离职"), 201
    )
    assert (change_request["kind"], change_request["state"], change_request["main_admin_after"]["name"]) == (
        "recovery",
        "pending",
        pair.second.name,
    )
    get_body(await decide(pair.superior_admin, pair.superior, change_request))
    assert await pair.get_main_admin_id() == pair.second.user_id
    assert "org.recovered" in await list_actions(pair.second, pair.org)


async def test_recovery_can_be_withdrawn_by_the_main_admin(people: People) -> None:
    pair = await OrgPair.create(people)
    change_request = get_body(await send_change_request(pair.second, pair.org, kind="recovery"), 201)
    get_body(await pair.founder.delete(f"/v1/orgs/{pair.org['id']}/change-requests/{change_request['id']}"), 204)
    assert get_refusal(await decide(pair.superior_admin, pair.superior, change_request)) == (
        409,
        "change-request-decided",
    )
    assert await pair.get_main_admin_id() == pair.founder.user_id


@pytest.fixture(scope="module")
async def operator(app: FastAPI, people: People) -> Person:
    phone = fresh_phone()
    async with ENGINE.get(app).begin() as db:
        code = await add_operator(db, CIPHER.get(app), Actor(), phone, "张审核")
    person = await people.register(phone=phone, verified=False, party=False)
    await prove_key(person, await register_key(person, enrolment_code=code))
    return person


async def test_recovery_without_a_superior_is_decided_by_the_operator(people: People, operator: Person) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    recoveries = "/v1/operator/recoveries"

    async def get_main_admin_id() -> str:
        return str(get_body(await founder.get(f"/v1/orgs/{org['id']}"))["main_admin_id"])

    async def list_waiting_ids() -> set[str]:
        return {item["id"] for item in await list_all(operator, recoveries)}

    change_request = get_body(await send_change_request(second, org, kind="recovery"), 201)
    assert (change_request["state"], await get_main_admin_id()) == ("pending", founder.user_id)
    assert change_request["id"] in await list_waiting_ids()
    assert get_refusal(await second.put(f"{recoveries}/{change_request['id']}/approval")) == (404, "not-found")
    get_body(await operator.put(f"{recoveries}/{change_request['id']}/refusal", json={"reason": "主管理员仍在"}), 204)
    assert change_request["id"] not in await list_waiting_ids()

    again = get_body(await send_change_request(second, org, kind="recovery"), 201)
    get_body(await operator.put(f"{recoveries}/{again['id']}/approval"), 204)
    assert await get_main_admin_id() == second.user_id
    late = await operator.put(f"{recoveries}/{again['id']}/refusal", json={"reason": "主管理员仍在"})
    assert get_refusal(late) == (409, "change-request-decided")
    assert {"org.recovered", "change_request.accepted"} <= set(await list_actions(second, org))


async def test_operator_decision_on_a_request_for_the_superior_is_not_found(people: People, operator: Person) -> None:
    pair = await OrgPair.create(people)
    change_request = get_body(await send_change_request(pair.second, pair.org, kind="recovery"), 201)
    hand_over = await pair.request_hand_over()
    for request in (change_request, hand_over):
        answer = await operator.put(f"/v1/operator/recoveries/{request['id']}/approval")
        assert get_refusal(answer) == (404, "not-found")
    assert change_request["id"] not in {item["id"] for item in await list_all(operator, "/v1/operator/recoveries")}


async def test_concurrent_approval_and_admin_removal_are_consistent(people: People) -> None:
    for _ in range(5):
        pair = await OrgPair.create(people)
        change_request = await pair.request_hand_over()
        approved, removed = await asyncio.gather(
            decide(pair.superior_admin, pair.superior, change_request),
            pair.founder.delete(f"/v1/orgs/{pair.org['id']}/admins/{pair.second.user_id}"),
        )
        # If the approval is first, the founder is no longer the main admin. If the removal is first, the request is
        # stale.
        codes = (approved.status_code, removed.status_code)
        assert codes in ((200, 403), (200, 409), (409, 204))
        assert await pair.get_main_admin_id() == (pair.second if codes[0] == 200 else pair.founder).user_id
