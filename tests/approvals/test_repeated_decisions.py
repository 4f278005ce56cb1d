"""A decision repeated by the same side changes nothing and gets the answer of the first time (S4–S8, S18, S20)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import (
    Json,
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    get_refusal,
    invite,
    invite_admin,
    send_application,
    send_change_request,
)
from tests.auth.consoles import Console, scan
from tests.auth.operator_accounts import create_operator
from tests.people import People, Person, fresh_org_name, name_person

REASON = {"reason": "材料不全"}
_SIDES = {"approval": "refusal", "refusal": "approval"}
_OFFERED = {"acceptance": "refusal", "refusal": "acceptance"}


@dataclass
class Case:
    """A waiting request. `deciders` are two callers of the side that decides. `path` and `body` make the decision;
    `opposite_path` and `opposite` make the opposite decision."""

    deciders: tuple[Person, Person]
    path: str
    body: Json | None = None
    opposite_path: str | None = None
    opposite: Json | None = None

    async def send_decision(self, decider_index: int = 0) -> httpx.Response:
        """Send the decision as one of the two deciders: 0 is the first, 1 the second."""
        return await self.deciders[decider_index].put(self.path, json=self.body)


class Maker:
    """Makes a waiting request of each kind. `outcome` is the decision of its case, as the last part of the path."""

    def __init__(self, people: People, operator: Person) -> None:
        self.people, self.operator = people, operator

    async def create_org(self) -> tuple[Json, tuple[Person, Person]]:
        """Return an org and its two admins, the main admin first."""
        main_admin, second = await self.people.register(), await self.people.register()
        org = await main_admin.create_org()
        await add_admin(main_admin, org, second)
        return org, (main_admin, second)

    async def make_application(self, outcome: str) -> Case:
        superior, admins = await self.create_org()
        person = await self.people.register()
        token = (await invite(admins[0], superior))["token"]
        made = get_body(await send_application(person, await person.create_org(), token), 201)
        return _make_case(admins, f"/v1/orgs/{superior['id']}/applications/{made['id']}", outcome, _SIDES)

    async def make_change_request(self, outcome: str) -> Case:
        superior, admins = await self.create_org()
        person = await self.people.register()
        org = await person.create_org()
        await certify(admins[0], superior, person, org)
        made = get_body(await send_change_request(person, org, kind="rename", name=fresh_org_name()), 201)
        return _make_case(admins, f"/v1/orgs/{superior['id']}/change-requests/{made['id']}", outcome, _SIDES)

    async def make_recovery(self, outcome: str) -> Case:
        org, admins = await self.create_org()
        made = get_body(await send_change_request(admins[1], org, kind="recovery"), 201)
        return _make_case((self.operator,) * 2, f"/v1/operator/recoveries/{made['id']}", outcome, _SIDES)

    async def make_transfer(self, outcome: str) -> Case:
        old, old_admins = await self.create_org()
        new, new_admins = await self.create_org()
        person = await self.people.register()
        org = await person.create_org()
        await certify(old_admins[0], old, person, org)
        body = {"invitation_token": (await invite(new_admins[0], new))["token"]}
        made = get_body(await person.post(f"/v1/orgs/{org['id']}/transfers", json=body), 201)
        preview = {"preview": made["preview"]["version"]}
        released, received = (f"/v1/orgs/{side['id']}/transfers/{made['id']}" for side in (old, new))
        self.releasing = (old_admins[0], released)
        if outcome == "release":
            return Case(old_admins, f"{released}/release", preview)
        get_body(await old_admins[0].put(f"{released}/release", json=preview))
        case = _make_case(new_admins, received, outcome, _OFFERED)
        if outcome == "acceptance":
            case.body = preview
        else:
            case.opposite = preview
        return case

    async def make_link_request(self, outcome: str) -> Case:
        org, admins = await self.create_org()
        person = await self.people.register()
        await add_member(admins[0], org, name=person.name)
        made = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
        return _make_case(admins, f"/v1/orgs/{org['id']}/link-requests/{made['id']}", outcome, _OFFERED)

    async def make_join_request(self, outcome: str) -> Case:
        org, admins = await self.create_org()
        person = await self.people.register()
        made = get_body(await person.post("/v1/me/join-requests", json={"org_id": org["id"]}), 201)
        return _make_case(admins, f"/v1/orgs/{org['id']}/join-requests/{made['id']}", outcome, _OFFERED)

    async def make_removal_request(self, outcome: str) -> Case:
        org, admins = await self.create_org()
        person = await self.people.register()
        await add_member(admins[0], org, name=person.name, phone=person.phone)
        made = get_body(await person.post("/v1/me/removal-requests", json={"org_id": org["id"]}), 201)
        return _make_case(admins, f"/v1/orgs/{org['id']}/removal-requests/{made['id']}", outcome, _OFFERED)

    async def make_person_transfer(self, outcome: str) -> Case:
        org, admins = await self.create_org()
        person = await self.people.register()
        old = await person.create_org()
        member = await add_member(person, old)
        path = f"/v1/orgs/{old['id']}/members/{member['id']}/transfers"
        made = get_body(await person.post(path, json={"org_id": org["id"]}), 201)
        return _make_case(admins, f"/v1/orgs/{org['id']}/person-transfers/{made['id']}", outcome, _OFFERED)

    async def make_group_transfer(self, outcome: str) -> Case:
        org, admins = await self.create_org()
        person = await self.people.register()
        old = await person.create_org()
        body = {"org_id": org["id"], "member_ids": [(await add_member(person, old))["id"] for _ in range(2)]}
        made = get_body(await person.post(f"/v1/orgs/{old['id']}/group-transfers", json=body), 201)
        return _make_case(admins, f"/v1/orgs/{org['id']}/group-transfers/{made['id']}", outcome, _OFFERED)

    async def make_admin_invitation(self, outcome: str) -> Case:
        founder, person = await self.people.register(), await self.people.register()
        made = await invite_admin(founder, await founder.create_org(), person)
        return _make_case((person,) * 2, f"/v1/me/admin-invitations/{made['id']}", outcome, _OFFERED)

    async def make_promotion(self, outcome: str) -> Case:
        founder, person = await self.people.register(), await self.people.register()
        org = await founder.create_org()
        unit = await add_unit(founder, org, "第一支部")
        body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": person.phone}}
        made = get_body(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
        return _make_case((person,) * 2, f"/v1/me/promotions/{made['id']}", outcome, _OFFERED)

    async def make_merger(self, outcome: str) -> Case:
        org, admins = await self.create_org()
        person = await self.people.register()
        old = await person.create_org()
        made = get_body(await person.post(f"/v1/orgs/{old['id']}/mergers", json={"org_id": org["id"]}), 201)
        case = _make_case(admins, f"/v1/orgs/{org['id']}/mergers/{made['id']}", outcome, _OFFERED)
        accepted = {"preview": made["preview"]["version"], "new_unit": {"name": "原乡镇总支", "kind": "general-branch"}}
        if outcome == "acceptance":
            case.body = accepted
        else:
            case.opposite = accepted
        return case

    async def make_closure(self, outcome: str) -> Case:
        org, (main_admin, second) = await self.create_org()
        decider = main_admin if outcome == "closing" else second
        return Case((decider,) * 2, f"/v1/orgs/{org['id']}/closure")

    async def make_verification(self, outcome: str) -> Case:
        person = await self.people.register(verified=False)
        body = name_person(person.name, method="id-card")
        made = get_body(await person.post("/v1/me/verifications", json=body), 201)
        path = f"/v1/operator/verifications/{made['id']}"
        get_body(await self.operator.put(f"{path}/review"))
        return _make_case((self.operator,) * 2, path, outcome, {"approval": "rejection", "rejection": "approval"})

    async def make_scan(self, outcome: str) -> Case:
        person = await self.people.register()
        console = await Console.request(person.api)
        scanned = await scan(person, console)
        case = _make_case((person,) * 2, f"/v1/scans/{scanned['id']}", outcome, _SIDES)
        case.body, case.opposite = (console.proof, None) if outcome == "approval" else (None, console.proof)
        return case


def _make_case(deciders: tuple[Person, Person], path: str, outcome: str, outcomes: dict[str, str]) -> Case:
    opposite = outcomes[outcome]
    bodies = {"refusal": REASON, "rejection": {"reason": "unreadable"}}
    if path.startswith("/v1/me/"):
        bodies = {}
    return Case(deciders, f"{path}/{outcome}", bodies.get(outcome), f"{path}/{opposite}", bodies.get(opposite))


CASES = [
    *((kind, outcome) for kind in ("application", "change_request", "recovery", "scan") for outcome in _SIDES),
    *(
        (kind, outcome)
        for kind in (
            *("link_request", "join_request", "removal_request", "person_transfer"),
            "group_transfer",
            *("admin_invitation", "promotion", "transfer", "merger"),
        )
        for outcome in _OFFERED
    ),
    ("transfer", "release"),
    *(("closure", outcome) for outcome in ("closing", "request")),
    *(("verification", outcome) for outcome in ("approval", "rejection")),
]
Make = Callable[[], Awaitable[Case]]


@pytest.fixture(scope="module")
async def operator(app: FastAPI, people: People) -> Person:
    return await create_operator(app, people)


@pytest.fixture(params=CASES, ids="-".join)
async def case(request: pytest.FixtureRequest, people: People, operator: Person) -> Case:
    kind, outcome = request.param
    made: Case = await getattr(Maker(people, operator), f"make_{kind}")(outcome)
    return made


async def count_traces(db: AsyncConnection) -> list[Any]:
    """Return the numbers of audit entries, outgoing events and messages. The service writes the entries of refused
    requests at a time of its own, so they are not counted."""
    tables = ("audit_entries WHERE action <> 'request.refused'", "outgoing_events", "messages")
    return [await db.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables]


async def test_repeated_decision_changes_nothing_and_the_opposite_is_refused(case: Case, db: AsyncConnection) -> None:
    first = await case.send_decision()
    assert first.status_code in (200, 202, 204), first.text
    traces = await count_traces(db)
    second = await case.send_decision(1)
    assert (second.status_code, second.content) == (first.status_code, first.content)
    for header in ("etag", "location"):
        assert second.headers.get(header) == first.headers.get(header)
    assert await count_traces(db) == traces
    if case.opposite_path is not None:
        refused = await case.deciders[0].put(case.opposite_path, json=case.opposite)
        assert refused.status_code == 409, refused.text
        assert get_body(await case.send_decision(1), first.status_code) == (first.json() if first.content else None)


async def test_two_equal_decisions_at_once_have_one_effect(
    case: Case, people: People, operator: Person, request: pytest.FixtureRequest, db: AsyncConnection
) -> None:
    kind, outcome = request.node.callspec.params["case"]
    before = await count_traces(db)
    first = await case.send_decision()
    effect = [after - count for after, count in zip(await count_traces(db), before, strict=True)]

    twin: Case = await getattr(Maker(people, operator), f"make_{kind}")(outcome)
    before = await count_traces(db)
    answers = await asyncio.gather(twin.send_decision(0), twin.send_decision(1))
    assert [answer.status_code for answer in answers] == [first.status_code] * 2, [answer.text for answer in answers]
    assert answers[0].content == answers[1].content
    assert [after - count for after, count in zip(await count_traces(db), before, strict=True)] == effect


async def test_refusal_with_another_reason_is_refused(people: People, operator: Person) -> None:
    """The reader of the first reason would not learn of the second."""
    for kind in (
        "application",
        "change_request",
        "recovery",
        "transfer",
        "link_request",
        "join_request",
        "removal_request",
        "merger",
    ):
        case: Case = await getattr(Maker(people, operator), f"make_{kind}")("refusal")
        await case.send_decision()
        refused = await case.deciders[1].put(case.path, json={"reason": "另一个理由"})
        assert refused.status_code == 409, (kind, refused.text)


async def test_decision_by_another_side_is_refused(people: People, operator: Person) -> None:
    """A former superior approved the change; the new superior and the operator decide nothing."""
    old, old_admins = await Maker(people, operator).create_org()
    new, new_admins = await Maker(people, operator).create_org()
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    await certify(old_admins[0], old, founder, org)
    made = get_body(await send_change_request(second, org, kind="recovery"), 201)
    get_body(await old_admins[0].put(f"/v1/orgs/{old['id']}/change-requests/{made['id']}/approval"))
    get_body(await old_admins[0].delete(f"/v1/orgs/{old['id']}/subordinates/{org['id']}"), 204)
    by_operator = await operator.put(f"/v1/operator/recoveries/{made['id']}/approval")
    assert get_refusal(by_operator) == (409, "change-request-decided")
    await certify(new_admins[0], new, second, org)
    by_new = await new_admins[0].put(f"/v1/orgs/{new['id']}/change-requests/{made['id']}/approval")
    assert get_refusal(by_new) == (409, "change-request-decided")


async def test_refusal_of_a_transfer_by_the_other_superior_is_refused(people: People, operator: Person) -> None:
    maker = Maker(people, operator)
    case = await maker.make_transfer("refusal")
    get_body(await case.send_decision())
    admin, path = maker.releasing
    assert get_refusal(await admin.put(f"{path}/refusal", json=REASON)) == (409, "transfer-decided")
