"""Rename, hand-over and recovery: at once without a superior, by its consent with one (S4, S5)."""

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
from tests.acts import Json, actions, add_admin, ask, certify, done, invite, list_all, refusal
from tests.auth.authenticator import prove_key, register_key
from tests.people import People, Person, fresh_org_name, fresh_phone
from tests.retention import clean_up


async def received(superior: Person, above: Json) -> list[Json]:
    return await list_all(superior, f"/v1/orgs/{above['id']}/change-requests", side="received")


async def decide(superior: Person, above: Json, request: Json, how: str = "approval", **body: str) -> httpx.Response:
    path = f"/v1/orgs/{above['id']}/change-requests/{request['id']}/{how}"
    return await superior.put(path, json=body or None)


class Pair:
    """A superior and a certified org with two admins."""

    def __init__(self, superior: Person, above: Json, founder: Person, second: Person, org: Json) -> None:
        self.superior, self.above, self.founder, self.second, self.org = superior, above, founder, second, org

    @classmethod
    async def make(cls, people: People) -> "Pair":
        superior, founder, second = [await people.register() for _ in range(3)]
        above, org = await superior.create_org(), await founder.create_org()
        await add_admin(founder, org, second)
        await certify(superior, above, founder, org)
        return cls(superior, above, founder, second, org)

    async def hand_over(self) -> Json:
        body = {"kind": "hand-over", "main_admin_id": self.second.user_id, "reason": "调离"}
        asked: Json = done(await ask(self.founder, self.org, **body), 201)
        return asked

    async def main_admin(self) -> str:
        card = done(await self.founder.get(f"/v1/orgs/{self.org['id']}"))
        return str(card["main_admin_id"])


async def release(pair: Pair) -> httpx.Response:
    return await pair.superior.delete(f"/v1/orgs/{pair.above['id']}/subordinates/{pair.org['id']}")


async def transfer(pair: Pair, next_superior: Person, next_above: Json) -> None:
    """The org goes under another superior."""
    token = (await invite(next_superior, next_above))["token"]
    path = f"/v1/orgs/{pair.org['id']}/transfers"
    asked = done(await pair.founder.post(path, json={"invitation_token": token}), 201)
    preview = {"preview": asked["preview"]["version"]}
    for person, org, step in ((pair.superior, pair.above, "release"), (next_superior, next_above, "acceptance")):
        done(await person.put(f"/v1/orgs/{org['id']}/transfers/{asked['id']}/{step}", json=preview))


async def test_without_a_superior_a_hand_over_takes_effect_at_once(people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    asked = done(await ask(founder, org, kind="hand-over", main_admin_id=second.user_id), 201)
    assert asked["state"] == "accepted"
    assert asked["main_admin_after"] == {"name": second.name, "verified": True}
    assert done(await founder.get(f"/v1/orgs/{org['id']}"))["main_admin_id"] == second.user_id
    # From here on the old main admin is an admin like any other, and may resign.
    back = {"kind": "hand-over", "main_admin_id": founder.user_id}
    assert refusal(await ask(founder, org, **back)) == (403, "main-admin-only")
    done(await founder.delete(f"/v1/orgs/{org['id']}/admins/me"), 204)
    assert {"org.handed_over", "change_request.created"} <= set(await actions(second, org))


async def test_who_takes_over_is_an_admin_already(people: People) -> None:
    founder, second, stranger = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    alone = await ask(founder, org, kind="hand-over", main_admin_id=second.user_id)
    assert refusal(alone) == (409, "sole-admin")
    await add_admin(founder, org, second)
    for user_id, slug in ((stranger.user_id, "not-an-admin"), (founder.user_id, "already-main-admin")):
        assert refusal(await ask(founder, org, kind="hand-over", main_admin_id=user_id)) == (409, slug)


async def test_the_superior_consents_to_a_hand_over_knowing_names_and_no_more(people: People) -> None:
    pair = await Pair.make(people)
    asked = await pair.hand_over()
    assert asked["state"] == "pending"
    assert await pair.main_admin() == pair.founder.user_id
    seen = (await received(pair.superior, pair.above))[0]
    assert seen["main_admin_before"] == {"name": pair.founder.name, "verified": True}
    assert seen["main_admin_after"] == {"name": pair.second.name, "verified": True}
    assert (seen["requested_by"]["name"], seen["reason"]) == (pair.founder.name, "调离")
    for secret in (pair.founder.user_id, pair.second.user_id, pair.founder.phone, pair.second.phone):
        assert secret not in str(seen)
    approved = done(await decide(pair.superior, pair.above, asked))
    assert approved["state"] == "accepted"
    assert await pair.main_admin() == pair.second.user_id
    assert await received(pair.superior, pair.above) == []
    audit = (await pair.superior.get(f"/v1/orgs/{pair.above['id']}/audit")).text
    for person in (pair.founder, pair.second):
        assert person.user_id not in audit
        assert person.name not in audit
    assert pair.superior.user_id not in (await pair.second.get(f"/v1/orgs/{pair.org['id']}/audit")).text


async def test_a_refusal_comes_with_its_reason(people: People) -> None:
    pair = await Pair.make(people)
    asked = await pair.hand_over()
    refused = done(await decide(pair.superior, pair.above, asked, "refusal", reason="请先完成交接"))
    assert (refused["state"], refused["refusal"]) == ("declined", "请先完成交接")
    read = done(await pair.founder.get(f"/v1/orgs/{pair.org['id']}/change-requests/{asked['id']}"))
    assert (read["state"], read["refusal"]) == ("declined", "请先完成交接")
    assert await pair.main_admin() == pair.founder.user_id
    for how, body in (("approval", {}), ("refusal", {"reason": "再次"})):
        assert refusal(await decide(pair.superior, pair.above, asked, how, **body)) == (409, "change-request-decided")


async def test_one_request_of_a_kind_waits_at_a_time(people: People) -> None:
    pair = await Pair.make(people)
    first = done(await ask(pair.founder, pair.org, kind="rename", name=fresh_org_name()), 201)
    again = await ask(pair.second, pair.org, kind="rename", name=fresh_org_name())
    assert refusal(again) == (409, "change-request-open")
    path = f"/v1/orgs/{pair.org['id']}/change-requests/{first['id']}"
    done(await pair.second.delete(path), 204)  # any admin may, of a rename
    assert refusal(await pair.founder.delete(path)) == (409, "change-request-decided")
    assert refusal(await decide(pair.superior, pair.above, first)) == (409, "change-request-decided")
    done(await ask(pair.second, pair.org, kind="rename", name=fresh_org_name()), 201)
    assert refusal(await ask(pair.founder, pair.org, kind="rename", name=pair.org["name"])) == (409, "name-unchanged")


async def test_a_hand_over_is_withdrawn_by_the_main_admin_alone(people: People) -> None:
    pair = await Pair.make(people)
    asked = await pair.hand_over()
    path = f"/v1/orgs/{pair.org['id']}/change-requests/{asked['id']}"
    assert refusal(await pair.second.delete(path)) == (403, "main-admin-only")
    assert refusal(await pair.superior.delete(f"/v1/orgs/{pair.above['id']}/change-requests/{asked['id']}"))[0] == 404
    done(await pair.founder.delete(path), 204)


async def test_a_request_expires(people: People, engine: AsyncEngine) -> None:
    pair = await Pair.make(people)
    asked = await pair.hand_over()
    async with engine.begin() as connection:
        past = "UPDATE change_requests SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": asked["id"]})
    path = f"/v1/orgs/{pair.org['id']}/change-requests/{asked['id']}"
    assert done(await pair.founder.get(path))["state"] == "expired"
    assert await received(pair.superior, pair.above) == []
    for how, body in (("approval", {}), ("refusal", {"reason": "已过期"})):
        assert refusal(await decide(pair.superior, pair.above, asked, how, **body)) == (410, "change-request-expired")
    await clean_up(engine)
    assert refusal(await decide(pair.superior, pair.above, asked)) == (410, "change-request-expired")
    assert await pair.main_admin() == pair.founder.user_id
    await pair.hand_over()  # it is no longer in the way


@pytest.mark.parametrize("meanwhile", ["removed", "resigned"])
async def test_a_request_that_names_a_former_admin_is_stale(people: People, meanwhile: str) -> None:
    pair = await Pair.make(people)
    asked = await pair.hand_over()
    path = f"/v1/orgs/{pair.org['id']}/admins"
    if meanwhile == "removed":
        done(await pair.founder.delete(f"{path}/{pair.second.user_id}"), 204)
    else:
        done(await pair.second.delete(f"{path}/me"), 204)
    await add_admin(pair.founder, pair.org, pair.second)  # being one again does not bring it back
    assert refusal(await decide(pair.superior, pair.above, asked)) == (409, "change-request-decided")
    request = f"/v1/orgs/{pair.org['id']}/change-requests/{asked['id']}"
    assert done(await pair.founder.get(request))["state"] == "superseded"
    assert await pair.main_admin() == pair.founder.user_id


async def test_what_changed_meanwhile_makes_a_request_stale(people: People, engine: AsyncEngine) -> None:
    pair = await Pair.make(people)
    third = await people.register()
    await add_admin(pair.founder, pair.org, third)
    hand_over = await pair.hand_over()
    rescue = done(await ask(third, pair.org, kind="recovery"), 201)
    done(await decide(pair.superior, pair.above, rescue))
    assert await pair.main_admin() == third.user_id
    assert refusal(await decide(pair.superior, pair.above, hand_over)) == (409, "change-request-stale")
    assert refusal(await decide(pair.superior, pair.above, hand_over)) == (409, "change-request-decided")
    assert await pair.main_admin() == third.user_id

    rename = done(await ask(third, pair.org, kind="rename", name=fresh_org_name()), 201)
    async with engine.begin() as connection:
        loaded = "UPDATE orgs SET name = :name WHERE id = :id"
        await connection.execute(text(loaded), {"name": fresh_org_name(), "id": pair.org["id"]})
    assert refusal(await decide(pair.superior, pair.above, rename)) == (409, "change-request-stale")


async def test_a_request_goes_to_the_superior_of_the_moment(people: People) -> None:
    pair = await Pair.make(people)
    next_superior = await people.register()
    next_above = await next_superior.create_org()
    asked = await pair.hand_over()
    await transfer(pair, next_superior, next_above)
    assert await received(pair.superior, pair.above) == []
    assert refusal(await decide(pair.superior, pair.above, asked)) == (404, "not-found")
    assert [item["id"] for item in await received(next_superior, next_above)] == [asked["id"]]
    done(await decide(next_superior, next_above, asked))
    assert await pair.main_admin() == pair.second.user_id


async def test_a_pending_change_takes_effect_when_its_org_is_released(people: People) -> None:
    pair = await Pair.make(people)
    hand_over = await pair.hand_over()
    name = fresh_org_name()
    rename = done(await ask(pair.second, pair.org, kind="rename", name=name), 201)
    done(await release(pair), 204)
    card = done(await pair.founder.get(f"/v1/orgs/{pair.org['id']}"))
    assert (card["name"], card["main_admin_id"], card["superior_id"]) == (name, pair.second.user_id, None)
    for request in (hand_over, rename):
        seen = done(await pair.founder.get(f"/v1/orgs/{pair.org['id']}/change-requests/{request['id']}"))
        assert (seen["state"], seen["decided_at"] is not None) == ("accepted", True)
        assert refusal(await decide(pair.superior, pair.above, request)) == (404, "not-found")
    assert await received(pair.superior, pair.above) == []
    audit = await list_all(pair.second, f"/v1/orgs/{pair.org['id']}/audit")
    newest = [entry["action"] for entry in audit][:5]
    assert sorted(newest) == [
        "certification.ended",
        "change_request.accepted",
        "change_request.accepted",
        "org.handed_over",
        "org.renamed",
    ]
    # The org's log names nobody of the former superior, and the superior's no change of an org that it has released.
    assert {entry["user_id"] for entry in audit[:5]} == {None}
    theirs = (await list_all(pair.superior, f"/v1/orgs/{pair.above['id']}/audit"))[0]
    assert (theirs["action"], name in str(theirs)) == ("certification.ended", False)


async def test_a_pending_change_that_is_stale_is_superseded_when_its_org_is_released(
    people: People, engine: AsyncEngine
) -> None:
    pair = await Pair.make(people)
    third = await people.register()
    await add_admin(pair.founder, pair.org, third)
    hand_over = await pair.hand_over()
    done(await decide(pair.superior, pair.above, done(await ask(third, pair.org, kind="recovery"), 201)))
    rename = done(await ask(third, pair.org, kind="rename", name=fresh_org_name()), 201)
    async with engine.begin() as connection:
        loaded = "UPDATE orgs SET name = :name WHERE id = :id"
        await connection.execute(text(loaded), {"name": fresh_org_name(), "id": pair.org["id"]})
    done(await release(pair), 204)
    for request in (hand_over, rename):
        seen = done(await third.get(f"/v1/orgs/{pair.org['id']}/change-requests/{request['id']}"))
        assert seen["state"] == "superseded"
    assert await pair.main_admin() == third.user_id


async def test_an_overdue_change_does_not_take_effect_when_its_org_is_released(
    people: People, engine: AsyncEngine
) -> None:
    pair = await Pair.make(people)
    asked = await pair.hand_over()
    async with engine.begin() as connection:
        past = "UPDATE change_requests SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": asked["id"]})
    done(await release(pair), 204)
    assert await pair.main_admin() == pair.founder.user_id
    assert (await pair.hand_over())["state"] == "accepted"  # it is not in the way of the next


async def test_the_operator_decides_a_pending_recovery_when_its_org_is_released(
    people: People, operator: Person
) -> None:
    pair = await Pair.make(people)
    asked = done(await ask(pair.second, pair.org, kind="recovery"), 201)
    done(await release(pair), 204)
    assert await pair.main_admin() == pair.founder.user_id
    assert refusal(await decide(pair.superior, pair.above, asked)) == (404, "not-found")
    assert asked["id"] in {item["id"] for item in await list_all(operator, "/v1/operator/recoveries")}
    done(await operator.put(f"/v1/operator/recoveries/{asked['id']}/approval"), 204)
    assert await pair.main_admin() == pair.second.user_id


async def test_a_name_that_is_taken_under_the_new_superior_is_refused_there(people: People) -> None:
    pair = await Pair.make(people)
    next_superior = await people.register()
    next_above = await next_superior.create_org()
    sibling = await next_superior.create_org()
    await certify(next_superior, next_above, next_superior, sibling)
    asked = done(await ask(pair.founder, pair.org, kind="rename", name=sibling["name"]), 201)
    await transfer(pair, next_superior, next_above)
    inbox = done(await next_superior.get("/v1/inbox"))
    assert [(entry["kind"], entry["id"]) for entry in inbox["items"]] == [("change-request", asked["id"])]
    assert done(await pair.superior.get("/v1/inbox"))["items"] == []
    assert refusal(await decide(next_superior, next_above, asked)) == (409, "sibling-name-taken")
    seen = done(await next_superior.get(f"/v1/orgs/{next_above['id']}/change-requests/{asked['id']}"))
    assert seen["state"] == "pending"
    done(await decide(next_superior, next_above, asked, "refusal", reason="重名"))


async def test_nobody_but_the_superior_decides(people: People) -> None:
    pair = await Pair.make(people)
    top_admin, below_admin = await people.register(), await people.register()
    top, below = await top_admin.create_org(), await below_admin.create_org()
    await certify(top_admin, top, pair.superior, pair.above)
    await certify(pair.founder, pair.org, below_admin, below)
    asked = await pair.hand_over()
    for person, org in ((top_admin, top), (below_admin, below), (pair.founder, pair.org)):
        assert refusal(await decide(person, org, asked)) == (404, "not-found")
        assert refusal(await decide(person, org, asked, "refusal", reason="越级")) == (404, "not-found")
    assert refusal(await top_admin.get(f"/v1/orgs/{top['id']}/change-requests/{asked['id']}")) == (404, "not-found")
    assert await received(top_admin, top) == []


async def test_a_main_admin_who_is_gone_is_replaced_with_the_superior_s_consent(people: People) -> None:
    pair = await Pair.make(people)
    assert refusal(await ask(pair.founder, pair.org, kind="recovery")) == (409, "main-admin-stays")
    asked = done(await ask(pair.second, pair.org, kind="recovery", reason="主管理员已离职"), 201)
    assert (asked["kind"], asked["state"], asked["main_admin_after"]["name"]) == (
        "recovery",
        "pending",
        pair.second.name,
    )
    done(await decide(pair.superior, pair.above, asked))
    assert await pair.main_admin() == pair.second.user_id
    assert "org.recovered" in await actions(pair.second, pair.org)


async def test_a_main_admin_who_is_not_gone_withdraws_the_recovery(people: People) -> None:
    pair = await Pair.make(people)
    asked = done(await ask(pair.second, pair.org, kind="recovery"), 201)
    done(await pair.founder.delete(f"/v1/orgs/{pair.org['id']}/change-requests/{asked['id']}"), 204)
    assert refusal(await decide(pair.superior, pair.above, asked)) == (409, "change-request-decided")
    assert await pair.main_admin() == pair.founder.user_id


@pytest.fixture(scope="module")
async def operator(app: FastAPI, people: People) -> Person:
    phone = fresh_phone()
    async with ENGINE.of(app).begin() as db:
        code = await add_operator(db, CIPHER.of(app), Actor(), phone, "张审核")
    person = await people.register(phone=phone, verified=False, party=False)
    await prove_key(person, await register_key(person, enrolment_code=code))
    return person


async def test_without_a_superior_the_platform_operator_consents_to_a_recovery(
    people: People, operator: Person
) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    recoveries = "/v1/operator/recoveries"

    async def main_admin() -> str:
        return str(done(await founder.get(f"/v1/orgs/{org['id']}"))["main_admin_id"])

    async def waiting() -> set[str]:
        return {item["id"] for item in await list_all(operator, recoveries)}

    asked = done(await ask(second, org, kind="recovery"), 201)
    assert (asked["state"], await main_admin()) == ("pending", founder.user_id)
    assert asked["id"] in await waiting()
    assert refusal(await second.put(f"{recoveries}/{asked['id']}/approval")) == (404, "not-found")
    done(await operator.put(f"{recoveries}/{asked['id']}/refusal", json={"reason": "主管理员仍在"}), 204)
    assert asked["id"] not in await waiting()

    again = done(await ask(second, org, kind="recovery"), 201)
    done(await operator.put(f"{recoveries}/{again['id']}/approval"), 204)
    assert await main_admin() == second.user_id
    assert refusal(await operator.put(f"{recoveries}/{again['id']}/approval")) == (409, "change-request-decided")
    assert {"org.recovered", "change_request.accepted"} <= set(await actions(second, org))


async def test_the_operator_decides_where_no_superior_does_and_nothing_else(people: People, operator: Person) -> None:
    pair = await Pair.make(people)
    asked = done(await ask(pair.second, pair.org, kind="recovery"), 201)
    hand_over = await pair.hand_over()
    for request in (asked, hand_over):
        answer = await operator.put(f"/v1/operator/recoveries/{request['id']}/approval")
        assert refusal(answer) == (404, "not-found")
    assert asked["id"] not in {item["id"] for item in await list_all(operator, "/v1/operator/recoveries")}


async def test_an_approval_crosses_a_removal(people: People) -> None:
    for _ in range(5):
        pair = await Pair.make(people)
        asked = await pair.hand_over()
        approved, removed = await asyncio.gather(
            decide(pair.superior, pair.above, asked),
            pair.founder.delete(f"/v1/orgs/{pair.org['id']}/admins/{pair.second.user_id}"),
        )
        # Approved first, the founder is no longer the main admin; removed first, the request is stale.
        codes = (approved.status_code, removed.status_code)
        assert codes in ((200, 403), (200, 409), (409, 204))
        assert await pair.main_admin() == (pair.second if codes[0] == 200 else pair.founder).user_id
