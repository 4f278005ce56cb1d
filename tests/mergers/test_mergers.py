"""Mergers: an org merges into another org, or into a unit of it (S20)."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.approvals.requests import expire_overdue
from tests.acts import (
    Json,
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    get_refusal,
    list_actions,
    list_all,
)
from tests.people import People, fresh_name, fresh_org_name, fresh_phone


class Pair:
    """An org (`small`) that asks to merge into another org (`large`)."""

    def __init__(self, people: People) -> None:
        self.people = people

    async def create(self, **small: Any) -> "Pair":
        self.host, self.founder = await self.people.register(), await self.people.register()
        self.large, self.small = await self.host.create_org(), await self.founder.create_org(**small)
        return self

    @property
    def sent(self) -> str:
        return f"/v1/orgs/{self.small['id']}/mergers"

    @property
    def received(self) -> str:
        return f"/v1/orgs/{self.large['id']}/mergers"

    async def ask(self) -> Json:
        merger: Json = get_body(await self.founder.post(self.sent, json={"org_id": self.large["id"]}), 201)
        return merger

    async def accept(self, merger: Json, status: int = 200, **body: Any) -> Json:
        body = {"preview": merger["preview"]["version"]} | body
        answer = await self.host.put(f"{self.received}/{merger['id']}/acceptance", json=body)
        accepted: Json = get_body(answer, status)
        return accepted

    async def list_rows(self) -> dict[str, Json]:
        """Return the member rows of the large org by name."""
        rows = await list_all(self.host, f"/v1/orgs/{self.large['id']}/members")
        return {row["name"]: row for row in rows}

    async def list_paths(self) -> list[str]:
        return [unit["path"] for unit in await list_all(self.host, f"/v1/orgs/{self.large['id']}/units")]


@pytest.fixture
async def pair(people: People) -> Pair:
    return await Pair(people).create()


def units_of(row: Json) -> list[str]:
    return sorted(unit["name"] for unit in row["units"])


async def test_accepted_merger_moves_units_and_people_and_closes_the_org(
    pair: Pair, people: People, db: AsyncConnection
) -> None:
    learner = await people.register()
    top = await add_unit(pair.founder, pair.small, "第一党总支", kind="general-branch")
    below = await add_unit(pair.founder, pair.small, "一支部", top)
    await add_unit(pair.host, pair.large, "机关支部")
    active = await add_member(pair.founder, pair.small, below, phone=learner.phone, name=learner.name, post="组织委员")
    await add_member(pair.founder, pair.small, top, name="李未激活")
    without_phone = {"name": "赵无手机", "no_phone": True, "unit_ids": []}
    get_body(await pair.founder.post(f"/v1/orgs/{pair.small['id']}/members", json=without_phone), 201)
    assert active["active"]

    merger = await pair.ask()
    assert (merger["state"], merger["to_name"], merger["preview"]["units"]) == ("pending", pair.large["name"], 2)
    assert (merger["preview"]["people"], merger["preview"]["in_both"]) == (4, None)
    accepted = await pair.accept(merger)
    assert (accepted["state"], accepted["people"], accepted["in_both"], accepted["units"]) == ("accepted", 4, 0, 2)

    assert await pair.list_paths() == ["机关支部", "第一党总支", "第一党总支/一支部"]
    rows = await pair.list_rows()
    moved = rows[learner.name]
    assert (moved["active"], moved["post"], units_of(moved)) == (True, "组织委员", ["一支部"])
    assert (rows["李未激活"]["active"], units_of(rows["李未激活"])) == (False, ["第一党总支"])
    assert (rows["赵无手机"]["phone"], rows["赵无手机"]["at_org"]) == (None, True)
    path = f"/v1/orgs/{pair.large['id']}/members"
    shown = get_body(await pair.host.post(f"{path}/{moved['id']}/phone-disclosures"))
    assert shown["phone"] == learner.phone
    found = await list_all(pair.host, path, q=learner.phone[-4:])
    assert moved["id"] in {row["id"] for row in found}
    # The founder is a member there now, and no admin.
    assert rows[pair.founder.name]["active"]
    assert get_refusal(await pair.founder.get(path)) == (404, "not-found")

    card = get_body(await pair.founder.get(f"/v1/orgs/{pair.small['id']}"))
    assert card["status"] == "closed"
    left = "SELECT count(*) FROM members WHERE org_id = :id AND removed_at IS NULL"
    assert await db.scalar(text(left), {"id": pair.small["id"]}) == 0
    history = "SELECT count(*) FROM unit_memberships WHERE org_id = :id AND until IS NOT NULL"
    assert await db.scalar(text(history), {"id": pair.small["id"]}) == 4
    assert {"merger.accepted", "org.closed"} <= set(await list_actions(pair.founder, pair.small))
    assert "merger.accepted" in await list_actions(pair.host, pair.large)
    audit = (await pair.founder.get(f"/v1/orgs/{pair.small['id']}/audit")).text
    assert pair.host.user_id not in audit
    kinds = [message["kind"] for message in await list_all(pair.founder, "/v1/messages")]
    assert {"request-accepted", "org-merged"} <= set(kinds)
    assert "row-linked" in [message["kind"] for message in await list_all(learner, "/v1/messages")]


async def test_org_becomes_a_new_unit_of_its_superior(pair: Pair) -> None:
    await certify(pair.host, pair.large, pair.founder, pair.small)
    parent = await add_unit(pair.host, pair.large, "基层党总支", kind="general-branch")
    branch = await add_unit(pair.founder, pair.small, "第一支部")
    await add_unit(pair.host, pair.large, "第一支部")
    await add_member(pair.founder, pair.small, branch, name="李支部")
    merger = await pair.ask()
    seen = get_body(await pair.host.get(f"{pair.received}/{merger['id']}"))
    assert seen["preview"]["clashing_units"] == ["第一支部"]
    refused = await pair.accept(merger, 409)
    assert (refused["type"], refused["names"]) == ("/problems/unit-names-clash", ["第一支部"])
    await pair.accept(merger, unit_id=parent["id"], new_unit={"name": "乡镇党总支", "kind": "general-branch"})
    assert await pair.list_paths() == [
        "基层党总支",
        "基层党总支/乡镇党总支",
        "基层党总支/乡镇党总支/第一支部",
        "第一支部",
    ]
    rows = await pair.list_rows()
    assert units_of(rows["李支部"]) == ["第一支部"]
    assert (units_of(rows[pair.founder.name]), rows[pair.founder.name]["at_org"]) == (["乡镇党总支"], False)
    assert get_body(await pair.host.get(f"/v1/orgs/{pair.large['id']}/subordinates"))["items"] == []


async def test_person_in_both_orgs_keeps_the_row_of_the_receiving_org(pair: Pair, people: People) -> None:
    phone, learner = fresh_phone(), await people.register(name="周两处")
    here = await add_unit(pair.host, pair.large, "机关支部")
    there = await add_unit(pair.founder, pair.small, "乡镇支部")
    by_phone = await add_member(pair.host, pair.large, here, name="吴同号", phone=phone, post="书记")
    await add_member(pair.founder, pair.small, there, name="吴同好", phone=phone)
    # One account: linked here by consent although the row has another number, linked there by the phone.
    by_account = await add_member(pair.host, pair.large, here, name=learner.name, phone=fresh_phone())
    requested = get_body(await learner.post("/v1/me/link-requests", json={"org_id": pair.large["id"]}), 201)
    path = f"/v1/orgs/{pair.large['id']}/link-requests/{requested['id']}/acceptance"
    get_body(await pair.host.put(path, json={"member_id": by_account["id"]}))
    await add_member(pair.founder, pair.small, there, name=learner.name, phone=learner.phone)
    merger = await pair.ask()
    accepted = await pair.accept(merger)
    assert (accepted["people"], accepted["in_both"]) == (3, 2)
    rows = await pair.list_rows()
    assert "吴同好" not in rows
    for name, row in (("吴同号", by_phone), (learner.name, by_account)):
        assert (rows[name]["id"], units_of(rows[name])) == (row["id"], ["乡镇支部", "机关支部"])
    assert (rows["吴同号"]["post"], rows[learner.name]["active"]) == ("书记", True)


async def test_link_by_consent_continues_for_a_person_in_both_orgs(pair: Pair, people: People) -> None:
    learner, phone = await people.register(), fresh_phone()
    row = await add_member(pair.founder, pair.small, name=learner.name, phone=phone)
    requested = get_body(await learner.post("/v1/me/link-requests", json={"org_id": pair.small["id"]}), 201)
    path = f"/v1/orgs/{pair.small['id']}/link-requests/{requested['id']}/acceptance"
    get_body(await pair.founder.put(path, json={"member_id": row["id"]}))
    await add_member(pair.host, pair.large, name=learner.name, phone=phone)
    await pair.accept(await pair.ask())
    assert (await pair.list_rows())[learner.name]["active"]


async def test_one_phone_of_two_accounts_refuses_the_merger(pair: Pair, people: People) -> None:
    learner, owner = await people.register(), await people.register()
    row = await add_member(pair.founder, pair.small, name=learner.name, phone=fresh_phone())
    requested = get_body(await learner.post("/v1/me/link-requests", json={"org_id": pair.small["id"]}), 201)
    path = f"/v1/orgs/{pair.small['id']}"
    accepted = await pair.founder.put(
        f"{path}/link-requests/{requested['id']}/acceptance", json={"member_id": row["id"]}
    )
    get_body(accepted)
    edited = await pair.founder.patch(f"{path}/members/{row['id']}", json={"phone": owner.phone})
    assert get_body(edited)["active"]
    await add_member(pair.host, pair.large, name=owner.name, phone=owner.phone)
    refused = await pair.accept(await pair.ask(), 409)
    assert refused["type"] == "/problems/phone-of-two-accounts"


async def test_promoted_unit_comes_back_with_its_people(pair: Pair, people: People) -> None:
    """Rows of the same ids are in the receiving org since the promotion."""
    leader = await people.register()
    unit = await add_unit(pair.host, pair.large, "第一党总支", kind="general-branch")
    below = await add_unit(pair.host, pair.large, "一支部", unit)
    other = await add_unit(pair.host, pair.large, "二支部")
    await add_member(pair.host, pair.large, below, name="钱一处")
    await add_member(pair.host, pair.large, below, other, name="孙两处")
    offer = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": leader.phone}}
    promotion = get_body(await pair.host.post(f"/v1/orgs/{pair.large['id']}/promotions", json=offer), 201)
    pair.founder = leader
    pair.small = get_body(await leader.put(f"/v1/me/promotions/{promotion['id']}/acceptance"))
    accepted = await pair.accept(await pair.ask(), new_unit={"name": "第一党总支", "kind": "general-branch"})
    assert (accepted["people"], accepted["in_both"]) == (3, 1)
    assert sorted(await pair.list_paths()) == ["二支部", "第一党总支", "第一党总支/一支部"]
    rows = await pair.list_rows()
    assert (units_of(rows["钱一处"]), units_of(rows["孙两处"])) == (["一支部"], ["一支部", "二支部"])


async def test_merged_org_is_not_opened_again(pair: Pair) -> None:
    await pair.accept(await pair.ask())
    refused = await pair.founder.delete(f"/v1/orgs/{pair.small['id']}/closure")
    assert get_refusal(refused) == (409, "org-merged")


async def test_only_the_main_admin_asks_and_only_the_other_org_decides(pair: Pair, people: People) -> None:
    second, stranger = await people.register(), await people.register()
    await add_admin(pair.founder, pair.small, second)
    body = {"org_name": pair.large["name"], "region_code": pair.large["region_code"]}
    assert get_refusal(await second.post(pair.sent, json=body)) == (403, "forbidden")
    merger = get_body(await pair.founder.post(pair.sent, json=body), 201)
    assert get_refusal(await pair.founder.post(pair.sent, json=body)) == (409, "merger-open")
    acceptance = {"preview": merger["preview"]["version"]}
    for person, path, status in (
        (pair.founder, f"{pair.sent}/{merger['id']}/acceptance", 404),
        (pair.founder, f"{pair.received}/{merger['id']}/acceptance", 404),
        (stranger, f"{pair.received}/{merger['id']}/acceptance", 404),
        (pair.host, f"{pair.received}/{uuid4()}/acceptance", 404),
    ):
        assert get_refusal(await person.put(path, json=acceptance)) == (status, "not-found")
    assert get_refusal(await pair.host.delete(f"{pair.received}/{merger['id']}"))[0] == 404
    other = await stranger.create_org()
    assert get_refusal(await stranger.get(f"/v1/orgs/{other['id']}/mergers/{merger['id']}")) == (404, "not-found")
    (entry,) = get_body(await pair.host.get("/v1/inbox"))["items"]
    assert (entry["kind"], entry["subject"], entry["org_id"]) == ("merger", pair.small["name"], pair.large["id"])
    assert get_body(await pair.host.get(entry["href"]))["id"] == merger["id"]
    reason = {"reason": "班子尚未研究"}
    get_body(await pair.host.put(entry["actions"]["refusal"]["href"], json=reason), 204)
    assert get_body(await pair.founder.get(f"{pair.sent}/{merger['id']}"))["reason"] == "班子尚未研究"
    again = await pair.ask()
    get_body(await pair.founder.delete(f"{pair.sent}/{again['id']}"), 204)
    assert get_refusal(await pair.founder.delete(f"{pair.sent}/{again['id']}")) == (409, "merger-decided")
    decided = await pair.host.put(f"{pair.received}/{again['id']}/acceptance", json=acceptance)
    assert get_refusal(decided) == (409, "merger-decided")


async def test_merger_that_the_rules_do_not_allow_is_refused(pair: Pair, people: People) -> None:
    clerk = await people.register()
    itself = await pair.founder.post(pair.sent, json={"org_id": pair.small["id"]})
    assert get_refusal(itself) == (409, "merger-into-itself")
    assert get_refusal(await pair.founder.post(pair.sent, json={"org_id": str(uuid4())}))[0] == 422
    merger = await pair.ask()
    subordinate = await clerk.create_org()
    await certify(pair.founder, pair.small, clerk, subordinate)
    assert (await pair.accept(merger, 409))["type"] == "/problems/org-has-subordinates"
    get_body(await pair.founder.delete(f"{pair.sent}/{merger['id']}"), 204)
    again = await pair.founder.post(pair.sent, json={"org_id": pair.large["id"]})
    assert get_refusal(again) == (409, "org-has-subordinates")


async def test_people_outside_the_party_do_not_come_into_a_party_org(people: People) -> None:
    pair = await Pair(people).create(name=f"测试县{fresh_phone()[-6:]}党外人士学习组织", kind="outside-party")
    merger = await pair.ask()  # its only member is in the party
    await add_member(pair.founder, pair.small, name="党外人", party=False)
    assert (await pair.accept(merger, 409))["type"] == "/problems/party-members-only"
    get_body(await pair.founder.delete(f"{pair.sent}/{merger['id']}"), 204)
    requested = await pair.founder.post(pair.sent, json={"org_id": pair.large["id"]})
    assert get_refusal(requested) == (409, "party-members-only")


async def test_stale_preview_and_wrong_units_are_refused(pair: Pair, people: People) -> None:
    merger = await pair.ask()
    deep = None
    for level in range(6):
        deep = await add_unit(pair.host, pair.large, f"第{level}层", deep)
    assert deep is not None
    new = {"name": "新支部"}
    assert (await pair.accept(merger, 409, unit_id=deep["id"], new_unit=new))["type"] == "/problems/unit-too-deep"
    own = await add_unit(pair.founder, pair.small, "自己的支部")
    assert (await pair.accept(merger, 409))["type"] == "/problems/preview-stale"
    merger = get_body(await pair.host.get(f"{pair.received}/{merger['id']}"))
    for unit_id in (own["id"], str(uuid4())):
        assert (await pair.accept(merger, 422, unit_id=unit_id))["type"] == "/problems/unknown-unit"
    taken = {"name": "第0层"}
    assert (await pair.accept(merger, 409, new_unit=taken))["type"] == "/problems/unit-name-taken"
    superior_admin = await people.register()
    await certify(superior_admin, await superior_admin.create_org(), pair.founder, pair.small)
    assert (await pair.accept(merger, 409))["type"] == "/problems/preview-stale"
    assert len(await pair.list_rows()) == 1


async def test_small_number_is_withheld_from_the_receiving_org(pair: Pair) -> None:
    merger = await pair.ask()
    assert (merger["preview"]["people"], merger["preview"]["in_both"]) == (1, None)
    seen = get_body(await pair.host.get(f"{pair.received}/{merger['id']}"))
    assert (seen["preview"]["people"], seen["preview"]["in_both"]) == (None, None)
    for _ in range(9):
        await add_member(pair.founder, pair.small)
    seen = get_body(await pair.host.get(f"{pair.received}/{merger['id']}"))
    assert (seen["preview"]["people"], seen["preview"]["in_both"]) == (10, 0)


async def test_superior_learns_that_the_org_has_left(pair: Pair, people: People) -> None:
    superior_admin = await people.register()
    superior = await superior_admin.create_org()
    await certify(superior_admin, superior, pair.founder, pair.small)
    await pair.accept(await pair.ask())
    assert "certification.ended" in await list_actions(superior_admin, superior)
    kinds = [message["kind"] for message in await list_all(superior_admin, "/v1/messages")]
    assert "subordinate-closed" in kinds


async def test_requests_of_the_merged_org_end(pair: Pair, people: People, engine: AsyncEngine) -> None:
    third = await Pair(people).create()
    third.large = pair.small
    waiting = await third.ask()  # into the org that merges itself
    member = await add_member(pair.founder, pair.small)
    path = f"/v1/orgs/{pair.small['id']}/members/{member['id']}/transfers"
    leaving = get_body(await pair.founder.post(path, json={"org_id": third.small["id"]}), 201)
    await pair.accept(await pair.ask())
    assert get_body(await third.founder.get(f"{third.sent}/{waiting['id']}"))["state"] == "declined"
    found = get_body(await third.founder.get(f"/v1/orgs/{third.small['id']}/person-transfers/{leaving['id']}"))
    assert found["state"] == "withdrawn"
    overdue = await third.founder.post(third.sent, json={"org_id": pair.large["id"]})
    merger = get_body(overdue, 201)
    async with engine.begin() as connection:
        past = "UPDATE mergers SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": merger["id"]})
    late = await pair.host.put(
        f"{pair.received}/{merger['id']}/acceptance", json={"preview": merger["preview"]["version"]}
    )
    assert get_refusal(late) == (410, "merger-expired")
    async with engine.begin() as connection:
        await expire_overdue(connection, 1000)
    assert "merger.expired" in await list_actions(pair.host, pair.large)


async def test_concurrent_acceptances_move_the_people_once(pair: Pair) -> None:
    await add_member(pair.founder, pair.small, name="郑一次")
    merger = await pair.ask()
    body = {"preview": merger["preview"]["version"]}
    path = f"{pair.received}/{merger['id']}/acceptance"
    answers = await asyncio.gather(*(pair.host.put(path, json=body) for _ in range(4)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert (await list_actions(pair.host, pair.large)).count("merger.accepted") == 1
    assert len(await list_all(pair.host, f"/v1/orgs/{pair.large['id']}/members")) == 3


async def test_acceptance_into_another_place_than_the_first_is_refused(pair: Pair) -> None:
    unit = await add_unit(pair.host, pair.large, "机关支部")
    merger = await pair.ask()
    new_unit = {"name": "乡镇支部", "kind": "branch"}
    accepted = await pair.accept(merger, unit_id=unit["id"], new_unit=new_unit)
    assert await pair.accept(merger, unit_id=unit["id"], new_unit=new_unit) == accepted
    for body in ({}, {"unit_id": unit["id"]}, {"new_unit": new_unit}):
        refused = await pair.accept(merger, 409, **body)
        assert refused["type"] == "/problems/merger-decided"


async def test_person_added_during_the_acceptance_is_in_one_org(people: People) -> None:
    host, founder = await people.register(), await people.register()
    large = await host.create_org()
    for _ in range(4):
        pair = Pair(people)
        pair.host, pair.founder, pair.large, pair.small = host, founder, large, await founder.create_org()
        merger, name, phone = await pair.ask(), fresh_name(), fresh_phone()
        fields = {"name": name, "phone": phone, "unit_ids": []}
        body = {"preview": merger["preview"]["version"]}
        added, accepted = await asyncio.gather(
            founder.post(f"/v1/orgs/{pair.small['id']}/members", json=fields),
            host.put(f"{pair.received}/{merger['id']}/acceptance", json=body),
        )
        get_body(accepted)
        assert added.status_code in (201, 404, 409)
        found = await host.post(f"/v1/orgs/{large['id']}/members/phone-searches", json={"phone": phone})
        assert (found.json().get("items", [found.json()]) != [] and found.status_code in (200, 201)) == (
            added.status_code == 201
        ), found.text


async def test_acceptance_waits_for_a_person_who_is_being_added(pair: Pair, engine: AsyncEngine) -> None:
    """The operation about the person has the org locked shared; the person is committed during the acceptance."""
    merger = await pair.ask()
    async with asyncio.timeout(20), engine.begin() as adding:
        pid = await adding.scalar(text("SELECT pg_backend_pid()"))
        await adding.execute(text("SELECT FROM orgs WHERE id = :id FOR KEY SHARE"), {"id": pair.small["id"]})
        member = {"org": pair.small["id"], "id": str(uuid4())}
        row = (
            "INSERT INTO members (org_id, id, name, pinyin, initials, party) VALUES (:org, :id, '冯后来', '', '', true)"
        )
        await adding.execute(text(row), member)
        await adding.execute(text("INSERT INTO unit_memberships (org_id, member_id) VALUES (:org, :id)"), member)
        accepting = asyncio.create_task(pair.accept(merger))
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid))")
        while not await adding.scalar(waiting, {"pid": pid}):
            assert not accepting.done(), await accepting
            await asyncio.sleep(0.02)
    assert (await accepting)["people"] == 2
    assert "冯后来" in await pair.list_rows()
