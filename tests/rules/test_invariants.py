"""What must always be true"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

import app as package
from app.core.calendar import today
from app.core.services import SETTINGS
from app.database.db import ENGINE
from app.hierarchy.tree import build_ancestors, build_subtree
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.verify import find_differences
from tests.acts import (
    add_admin,
    add_member,
    add_unit,
    get_body,
    get_refusal,
    invite,
    list_all,
    send_application,
    send_change_request,
)
from tests.auth.test_accounts import request_phone_change
from tests.people import People, fresh_id_card_number, fresh_org_name, fresh_phone, name_person
from tests.points.services import PointsService, event, sign_in_service
from tests.rules.world import World, create_pair

# The interleavings, kills and random histories of these invariants are played in tests/proofs and tests/reports.


async def refuse(engine: AsyncEngine, statement: str, match: str, **values: str) -> None:
    with pytest.raises(IntegrityError, match=match):
        async with engine.begin() as db:
            await db.execute(text(statement), values)


# 1


async def test_org_has_one_verified_main_admin(world: World) -> None:
    """An org has exactly one main admin, verified."""
    admins = get_body(await world.admin.get(f"{world.path}/admins"))["items"]
    (main,) = [admin for admin in admins if admin["main"]]
    assert main["user_id"] == world.main_admin.user_id
    assert get_body(await world.main_admin.get("/v1/me"))["verified_at"] is not None


async def test_only_an_org_of_a_load_can_be_without_a_main_admin(world: World, engine: AsyncEngine) -> None:
    """Only an org of an old system has none, until the first one accepts (E3)."""
    created = """
        INSERT INTO orgs (name, pinyin, initials, region_code, kind, created_by)
        VALUES ('无主管理员', 'w', 'w', '320102', 'party', :user_id)
    """
    await refuse(engine, created, "orgs_main_admin_check", user_id=world.main_admin.user_id)
    taken = "UPDATE orgs SET main_admin_id = NULL WHERE id = :org_id"
    await refuse(engine, taken, "keeps one", org_id=world.org["id"])


async def test_org_without_a_main_admin_or_with_an_unverified_one_is_refused_by_the_database(
    world: World, engine: AsyncEngine
) -> None:
    """Two at once, or none, cannot happen under any interleaving."""
    org, main, other = world.org["id"], world.main_admin.user_id, world.stranger.user_id
    await refuse(engine, "UPDATE orgs SET main_admin_id = NULL WHERE id = :org", "main_admin_id", org=org)
    await refuse(
        engine, "UPDATE orgs SET main_admin_id = :other WHERE id = :org", "orgs_main_admin_fkey", org=org, other=other
    )
    removed = "DELETE FROM org_admins WHERE org_id = :org AND user_id = :main"
    await refuse(engine, removed, "orgs_main_admin_fkey", org=org, main=main)
    await refuse(engine, "UPDATE users SET verified_at = NULL WHERE id = :main", "user is an admin", main=main)


# 2


async def test_second_superior_is_refused(world: World, people: People, engine: AsyncEngine) -> None:
    """An org has at most one superior."""
    other = await people.register()
    superior = await other.create_org()
    applied = await send_application(world.main_admin, world.org, (await invite(other, superior))["token"])
    assert get_refusal(applied) == (409, "already-certified")
    await refuse(engine, _EDGE, "certifications_one_superior_key", superior=superior["id"], org=world.org["id"])


async def test_edge_that_closes_a_circle_is_refused_by_the_database(world: World, engine: AsyncEngine) -> None:
    """The edges never form a circle; the database itself refuses one."""
    ids = {"superior": world.subordinate["id"], "org": world.superior["id"]}
    await refuse(engine, _EDGE, "circle", **ids)


_EDGE = """
    INSERT INTO certifications (superior_id, subordinate_id, subordinate_name, state, requested_by, certified_at)
    SELECT :superior, id, name, 'live', main_admin_id, now() FROM orgs WHERE id = :org
"""


# 3


async def test_superior_receives_nothing_about_a_person_of_a_subordinate(world: World) -> None:
    """A superior never receives a row about a person of a subordinate org, through any call, export, cursor or error
    text.
    """
    member, path = world.subordinate_member, f"/v1/orgs/{world.subordinate['id']}"
    people = [member["name"], member["id"], member["phone"][-4:], world.subordinate_admin.user_id]
    for admin, own in ((world.main_admin, world.org), (world.superior_admin, world.superior)):
        for hidden in ("/members", f"/members/{member['id']}", "/units", "/admins", "/audit", "/rankings"):
            assert get_refusal(await admin.get(f"{path}{hidden}")) == (404, "not-found")
        assert get_refusal(await admin.post(f"{path}/members/exports", json={"format": "xlsx"})) == (404, "not-found")
        added = await admin.post(f"{path}/members", json={"name": "王小明", "phone": fresh_phone()})
        assert get_refusal(added) == (404, "not-found")
        for read in (f"{path}/reports/overview", f"{path}/reports/trend", f"/v1/orgs/{own['id']}/audit"):
            shown = await admin.get(read)
            assert shown.status_code == 200
            assert [value for value in people[:2] if value in shown.text] == []


async def test_superior_sees_name_and_verification_of_the_admins_in_a_request(people: People) -> None:
    """The one exception: the name and verification state of the admins named in a request that the superior decides."""
    superior_admin, superior, founder, org = await create_pair(people)
    second = await people.register()
    await add_admin(founder, org, second)
    body = {"kind": "hand-over", "main_admin_id": second.user_id}
    get_body(await send_change_request(founder, org, **body), 201)
    path = f"/v1/orgs/{superior['id']}/change-requests"
    (request,) = await list_all(superior_admin, path, side="received")
    assert request["main_admin_after"] == {"name": second.name, "verified": True}
    for secret in (founder.user_id, second.user_id, founder.phone[-4:], second.phone[-4:]):
        assert secret not in str({name: value for name, value in request.items() if not name.endswith("id")})


# 4


async def test_point_event_counts_once(world: World, service: PointsService) -> None:
    """A point event (source, event id) counts once, whatever is retried, reordered or killed."""
    before = get_body(await world.learner.get("/v1/me/points"))["total"]
    once = event(world.learner.user_id, points=3)
    assert await service.outcomes(once, once | {"points": 9}) == ["counted", "duplicate"]
    assert await service.outcomes(once) == ["duplicate"]
    assert get_body(await world.learner.get("/v1/me/points"))["total"] == before + 3


async def test_points_sent_by_phone_count_for_the_user_who_had_it_on_the_day(
    people: People, service: PointsService, db: AsyncConnection
) -> None:
    """Points sent by phone count for the user who had the phone on the day of the event."""
    former = await people.register()
    long_ago = "UPDATE users SET phone_since = now() - interval '20 days' WHERE id = :id"
    await db.execute(text(long_ago), {"id": former.user_id})
    new_phone = fresh_phone()
    body = await request_phone_change(former, new_phone)
    get_body(await former.put("/v1/me/phone", json=body), 204)
    newcomer = await people.register(phone=former.phone, verified=False)
    three_days_ago = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    sent = [event(phone=former.phone, points=2, occurred_at=three_days_ago), event(phone=former.phone, points=7)]
    assert await service.outcomes(*sent) == ["counted", "counted"]
    ledger = "SELECT user_id::text, points FROM point_events WHERE user_id IN (:former, :newcomer)"
    rows = await db.execute(text(ledger), {"former": former.user_id, "newcomer": newcomer.user_id})
    assert {tuple(row) for row in rows} == {(former.user_id, 2), (newcomer.user_id, 7)}


async def test_change_of_the_ledger_is_refused_by_the_database(
    world: World, service: PointsService, engine: AsyncEngine
) -> None:
    """The ledger is append-only."""
    await service.outcomes(event(world.learner.user_id))
    for statement in ("UPDATE point_events SET points = 0", "DELETE FROM point_events"):
        await refuse(engine, f"{statement} WHERE user_id = :user", "append-only", user=world.learner.user_id)


# 5


async def test_org_is_changed_by_its_own_admins_only(world: World) -> None:
    """A user changes only orgs that the user administers."""
    # tests/test_matrix.py tries every operation with every kind of caller.
    change = {"region_code": "320100"}
    for person, refusal in (
        (world.learner, (403, "forbidden")),
        (world.superior_admin, (403, "forbidden")),
        (world.subordinate_admin, (404, "not-found")),
        (world.stranger, (404, "not-found")),
    ):
        assert get_refusal(await person.patch(world.path, json=change)) == refusal
    assert get_body(await world.admin.get(world.path))["region_code"] == world.org["region_code"]


# 6


async def test_write_has_an_audit_entry_and_an_event_and_a_refused_one_has_neither(
    people: People, db: AsyncConnection
) -> None:
    """A write, its audit entry and its outgoing event commit together or not at all."""
    founder = await people.register()
    org = await founder.create_org()
    committed = """
        SELECT e.action, o.id IS NOT NULL FROM audit_entries e LEFT JOIN outgoing_events o ON o.audit_entry_id = e.id
        WHERE e.org_id = :org AND e.action <> 'request.refused'
    """

    async def read() -> list[tuple[str, bool]]:
        return [tuple(row) for row in await db.execute(text(committed), {"org": org["id"]})]

    before = await read()
    get_body(await founder.patch(f"/v1/orgs/{org['id']}", json={"name": fresh_org_name()}))
    written = await read()
    assert ("org.renamed", True) in {*written} - {*before}
    assert all(has_event for _, has_event in written)
    refused = await founder.patch(f"/v1/orgs/{org['id']}", json={"name": "中共南京市委学习管理组"})
    assert refused.status_code == 422
    assert await read() == written


# 7


@pytest.mark.usefixtures("no_stored_days")
async def test_person_in_several_units_and_orgs_counts_once_in_the_subtree(people: People) -> None:
    """In any subtree a person counts once, however many units and orgs they are in."""
    superior_admin, superior, founder, org = await create_pair(people)
    units = [await add_unit(founder, org, name) for name in ("第一支部", "第二支部")]
    for phone in [fresh_phone() for _ in range(3)]:
        await add_member(founder, org, *units, phone=phone)
        await add_member(superior_admin, superior, phone=phone)
    shown = get_body(await superior_admin.get(f"/v1/orgs/{superior['id']}/reports/overview"))
    (row,) = shown["subordinates"]["items"]
    assert (shown["org"]["members"], row["figures"]["members"], shown["subtree"]["members"]) == (4, 4, 5)


@pytest.mark.usefixtures("no_stored_days")
async def test_person_linked_in_one_of_two_orgs_counts_once(people: People) -> None:
    """A person is a phone until a user has it, then that user, in every org."""
    superior_admin, superior, founder, org = await create_pair(people)
    person = await people.register()
    for _ in range(3):
        await add_member(founder, org)
    await add_member(founder, org, name=person.name, phone=person.phone)
    other_name = await add_member(superior_admin, superior, name="另一姓名", phone=person.phone)
    assert other_name["active"] is False
    shown = get_body(await superior_admin.get(f"/v1/orgs/{superior['id']}/reports/overview"))
    assert (shown["org"]["members"], shown["subtree"]["members"]) == (2, 6)


async def test_stored_totals_equal_a_recount(stored_app: FastAPI, rollup: asyncpg.Connection) -> None:
    """Every stored total equals a recount."""
    # tests/reports compares stored totals and recounts of random histories, also while changes arrive.
    settings = SETTINGS.get(stored_app)
    transport = httpx.ASGITransport(stored_app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url=settings.issuer) as api:
        superior_admin, superior, founder, org = await create_pair(People(api, stored_app))
        for _ in range(3):
            await add_member(founder, org)
        service = await sign_in_service(api, ENGINE.get(stored_app))
        await service.outcomes(event(founder.user_id, points=7))
        while await run_cycle(rollup):
            pass
        await build_missing_days(rollup, today(), tomorrow=False)
        assert [found async for found in find_differences(rollup)] == []
        path = f"/v1/orgs/{superior['id']}/reports/overview"
        stored = get_body(await superior_admin.get(path))
        await rollup.execute("DELETE FROM stored_days")
        recounted = get_body(await superior_admin.get(path))
        assert (stored["subtree"]["members"], stored["subtree"]["points"]) == (5, 7)
        for name in ("org", "subtree", "subordinates"):
            assert stored[name] == recounted[name]


# 8


async def test_phone_is_once_in_an_org(world: World) -> None:
    """A phone number appears once in an org."""
    again = {"name": "王小明", "phone": world.learner.phone}
    assert get_refusal(await world.admin.post(f"{world.path}/members", json=again)) == (409, "phone-exists")


async def test_phone_and_id_number_are_in_no_row_list_or_error(people: People, engine: AsyncEngine) -> None:
    """Phones and ID numbers are encrypted at rest, masked in lists, and absent from logs and errors."""
    # tests/core/test_logs.py reads the log of a process of its own.
    founder, person = await people.register(), await people.register(verified=False)
    org = await founder.create_org()
    path = f"/v1/orgs/{org['id']}/members"
    member = await add_member(founder, org, phone=person.phone)
    id_number = fresh_id_card_number()
    card = name_person(person.name, id_number, "id-card")
    get_body(await person.post("/v1/me/verifications", json=card), 201)
    (row,) = [row for row in await list_all(founder, path) if row["id"] == member["id"]]
    assert row["phone"] == f"{person.phone[:3]}****{person.phone[-4:]}"
    wrong = id_number[:-1] + ("0" if id_number[-1] != "0" else "1")
    for refused in (
        await founder.post(path, json={"name": "王小明", "phone": person.phone}),
        await founder.post(path, json={"name": "王小明", "phone": f"{person.phone}0"}),
        await people.api.post("/v1/phone-codes", json={"phone": f"{person.phone}0"}),
        await person.post("/v1/me/verifications", json=card | {"id_number": wrong}),
    ):
        assert refused.status_code in {409, 422}
        assert not any(secret in refused.text for secret in (person.phone, id_number[:-1]))
    async with engine.connect() as db:
        for table in ("users", "members", "verifications", "audit_entries", "outgoing_events"):
            found = await db.execute(
                text(f"SELECT t::text FROM {table} t WHERE t::text ~ :secret"),
                {"secret": f"{person.phone}|{id_number}"},
            )
            assert found.all() == [], table


# 9


def test_recursion_is_in_one_file_and_starts_at_the_requested_node() -> None:
    """Recursion over orgs or units is a recursive CTE, in one file, that starts at the requested node. The rollup has
    one recursive statement of its own, which starts at the people who changed.
    """
    root = Path(package.__file__).parent
    recursive = re.compile(r"recursive=True|WITH RECURSIVE", re.IGNORECASE)
    sources = {path: path.read_text() for pattern in ("*.py", "*.sql") for path in root.rglob(pattern)}
    found = {
        str(path.relative_to(root)): len(recursive.findall(source))
        for path, source in sources.items()
        if recursive.search(source)
    }
    assert set(found) == {"hierarchy/tree.py", "reports/rollup/sql/propagation.sql"}
    assert found["reports/rollup/sql/propagation.sql"] == 1
    for walk in (build_ancestors(uuid4()), build_subtree(uuid4())):
        start, _, step = str(select(walk)).partition("UNION")
        assert "RECURSIVE" in start
        assert "certifications" not in start, "the walk does not start at one id"
        assert "certifications" in step
