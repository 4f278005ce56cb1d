"""S20 Transfers · 转移"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.calendar import SHANGHAI
from tests.acts import (
    Json,
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    get_refusal,
    invite,
    list_actions,
    list_all,
)
from tests.auth.test_accounts import close_account, request_closure
from tests.people import People, Person, fresh_phone
from tests.points.services import PointsService, event
from tests.rules.world import World, create_pair, find_superior_id, move_org


async def request_move(admin: Person, org: Json, new: tuple[Person, Json]) -> tuple[str, Json]:
    """Ask for a transfer of the org to another superior. Return its path and its body."""
    token = (await invite(*new))["token"]
    path = f"/v1/orgs/{org['id']}/transfers"
    created: Json = get_body(await admin.post(path, json={"invitation_token": token}), 201)
    return f"{path}/{created['id']}", created


# A person


async def test_person_moves_between_units_and_with_the_consent_of_both_to_another_org(
    world: World, people: People
) -> None:
    """A person moves between units, or to another org with both admins' consent."""
    member = await add_member(world.admin, world.org, world.unit, name="王小明")
    target = await add_unit(world.admin, world.org, "调入支部")
    path = f"{world.path}/members/{member['id']}"
    moved = get_body(await world.admin.put(f"{path}/units", json={"unit_ids": [target["id"]]}))
    assert [unit["id"] for unit in moved["units"]] == [target["id"]]
    receiver = await people.register()
    other = await receiver.create_org()
    transfer = get_body(await world.admin.post(f"{path}/transfers", json={"org_id": other["id"]}), 201)
    assert transfer["state"] == "pending"
    get_body(await world.admin.get(path))
    there = get_body(await receiver.put(f"/v1/orgs/{other['id']}/person-transfers/{transfer['id']}/acceptance"))
    assert there["name"] == "王小明"
    assert get_refusal(await world.admin.get(path)) == (404, "not-found")


async def request_group_transfer(world: World, people: People, count: int) -> tuple[Person, str, list[Json], Json]:
    """Return the admin of a new org, the path of its transfers, the people, and the transfer to it."""
    receiver = await people.register()
    other = await receiver.create_org()
    members = [await add_member(world.admin, world.org, world.unit) for _ in range(count)]
    body = {"org_id": other["id"], "member_ids": [member["id"] for member in members]}
    transfer = get_body(await world.admin.post(f"{world.path}/group-transfers", json=body), 201)
    return receiver, f"/v1/orgs/{other['id']}/group-transfers/{transfer['id']}", members, transfer


async def test_people_go_to_another_org_with_one_request(world: World, people: People) -> None:
    """Up to 1,000 people go to another org with one request, which its admins accept or decline as a whole."""
    receiver, path, members, transfer = await request_group_transfer(world, people, 3)
    assert (transfer["people"], transfer["state"]) == (3, "pending")
    assert get_body(await receiver.put(f"{path}/acceptance"))["moved"] == 3
    for member in members:
        gone = await world.admin.get(f"{world.path}/members/{member['id']}")
        assert get_refusal(gone) == (404, "not-found")
    receiver, path, members, _ = await request_group_transfer(world, people, 2)
    get_body(await receiver.put(f"{path}/refusal", json={"reason": "编制已满"}), 204)
    for member in members:
        get_body(await world.admin.get(f"{world.path}/members/{member['id']}"))
    many = {"org_id": world.superior["id"], "member_ids": [str(uuid4()) for _ in range(1001)]}
    refused = await world.admin.post(f"{world.path}/group-transfers", json=many)
    assert get_refusal(refused) == (422, "invalid")


async def test_people_of_a_list_who_cannot_move_stay(world: World, people: People) -> None:
    """Of them those who can move do so in one transaction; each org sees who stays, and its own reasons."""
    receiver, path, members, transfer = await request_group_transfer(world, people, 3)
    get_body(await world.admin.delete(f"{world.path}/members/{members[0]['id']}"), 204)
    listed = get_body(await world.admin.post(f"{world.path}/members/{members[1]['id']}/phone-disclosures"))
    here = {"name": members[1]["name"], "phone": listed["phone"]}
    get_body(await receiver.post(f"{path.partition('/group')[0]}/members", json=here), 201)
    assert get_body(await receiver.put(f"{path}/acceptance"))["moved"] == 1
    own = f"{world.path}/group-transfers/{transfer['id']}/people"
    for person, address, reason in ((receiver, f"{path}/people", "already-there"), (world.admin, own, "not-taken")):
        obstacles = [item["obstacle"] for item in get_body(await person.get(address))["items"]]
        assert obstacles == ["left", reason, None]


async def test_sheet_names_people_by_name_and_phone(world: World) -> None:
    """A sheet of names and phones can name them; a row whose name and phone do not agree with the directory names
    nobody, with the reason."""
    phones = [fresh_phone() for _ in range(3)]
    members = [await add_member(world.admin, world.org, world.unit, phone=phone) for phone in phones[:2]]
    rows = [("姓名", "手机号码"), ("王小明", phones[0]), ("李四", phones[1]), ("王小明", phones[2])]
    sheet = {"file": ("people.csv", "\n".join(map(",".join, rows)).encode())}
    found = get_body(await world.admin.post(f"{world.path}/group-transfers/sheets", files=sheet))
    assert [each["member_id"] for each in found["people"]] == [members[0]["id"]]
    codes = [(each["row"]["row_no"], each["reasons"][0]["code"]) for each in found["unmatched"]]
    assert codes == [(3, "name-is-other"), (4, "phone-not-in-directory")]


async def test_transfer_of_an_admin_or_a_second_one_of_a_person_is_refused(world: World) -> None:
    """An admin of the org stays in it (409 `member-is-admin`), and one transfer of a person waits at a time (409
    `person-transfer-open`).
    """
    target = {"org_id": world.superior["id"]}
    rows = await list_all(world.admin, f"{world.path}/members", at_org=True)
    (own,) = [row for row in rows if row["name"] == world.admin.name and row["verified"]]
    refused = await world.admin.post(f"{world.path}/members/{own['id']}/transfers", json=target)
    assert get_refusal(refused) == (409, "member-is-admin")
    path = f"{world.path}/members/{(await add_member(world.admin, world.org))['id']}/transfers"
    get_body(await world.admin.post(path, json=target), 201)
    assert get_refusal(await world.admin.post(path, json=target)) == (409, "person-transfer-open")


async def test_removed_and_edited_member_keeps_the_account_and_its_points(
    world: World, people: People, service: PointsService
) -> None:
    """Removing or editing a member never touches the account or its points."""
    person = await people.register()
    member = await add_member(world.admin, world.org, name=person.name, phone=person.phone)
    await service.outcomes(event(person.user_id, points=3))
    account, points = get_body(await person.get("/v1/me")), get_body(await person.get("/v1/me/points"))
    path = f"{world.path}/members/{member['id']}"
    get_body(await world.admin.patch(path, json={"name": "另一姓名"}))
    get_body(await world.admin.delete(path), 204)
    assert get_body(await person.get("/v1/me")) == account
    assert get_body(await person.get("/v1/me/points"))["total"] == points["total"] == 3


async def test_closed_account_has_no_personal_data_and_its_ledger_remains(
    people: People, service: PointsService, db: AsyncConnection
) -> None:
    """Closing an account erases what identifies the person and stores the ledger under a number that cannot be
    resolved.
    """
    person = await people.register()
    await service.outcomes(event(person.user_id, points=3))
    await close_account(person)
    user = (await db.execute(text("SELECT * FROM users WHERE id = :id"), {"id": person.user_id})).one()
    stored = {name for name, value in user._mapping.items() if value not in (None, False)}
    assert stored == {"id", "status", "created_at"}
    ledger = "SELECT sum(points) FROM point_events WHERE user_id = :id"
    assert await db.scalar(text(ledger), {"id": person.user_id}) == 3


async def test_account_of_an_admin_is_not_closed(people: People) -> None:
    """The account of an admin is not closed (409 `still-admin`)."""
    admin = await people.register()
    await admin.create_org()
    closed = await admin.put("/v1/me/closure", json=await request_closure(admin))
    assert get_refusal(closed) == (409, "still-admin")


# A whole org


async def test_org_moves_with_everything_under_it_after_request_release_and_acceptance(people: People) -> None:
    """A whole org: its main admin asks, the present superior releases, the new superior accepts, and the org moves with
    everything under it in one transaction, after a preview.
    """
    old_admin, old, founder, org = await create_pair(people)
    new_admin, clerk, second = [await people.register() for _ in range(3)]
    new, subordinate = await new_admin.create_org(), await clerk.create_org()
    await certify(founder, org, clerk, subordinate)
    await add_admin(founder, org, second)
    token = (await invite(new_admin, new))["token"]
    requested = await second.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token})
    assert get_refusal(requested) == (403, "forbidden")
    _, created = await request_move(founder, org, (new_admin, new))
    assert (created["preview"]["orgs"], created["preview"]["to_chain"]) == (2, [new["name"]])
    version = {"preview": created["preview"]["version"]}
    steps = [
        (person, f"/v1/orgs/{side['id']}/transfers/{created['id']}/{step}")
        for person, side, step in ((old_admin, old, "release"), (new_admin, new, "acceptance"))
    ]
    for person, path in steps:
        assert await find_superior_id(founder, org) == old["id"]
        get_body(await person.put(path, json=version))
    chain = get_body(await clerk.get(f"/v1/orgs/{subordinate['id']}/superiors"))["items"]
    assert [superior["id"] for superior in chain] == [org["id"], new["id"]]
    assert get_refusal(await old_admin.get(f"/v1/orgs/{subordinate['id']}")) == (404, "not-found")


async def test_transfer_in_a_circle_a_second_one_and_one_with_a_stale_preview_are_refused(people: People) -> None:
    """A circle, a second open transfer and a stale preview are refused (409 `would-close-circle`, `transfer-open`,
    `preview-stale`).
    """
    old_admin, old, founder, org = await create_pair(people)
    new_admin, clerk = await people.register(), await people.register()
    new, subordinate = await new_admin.create_org(), await clerk.create_org()
    await certify(founder, org, clerk, subordinate)
    path = f"/v1/orgs/{org['id']}/transfers"
    circle = await founder.post(path, json={"invitation_token": (await invite(clerk, subordinate))["token"]})
    assert get_refusal(circle) == (409, "would-close-circle")
    _, created = await request_move(founder, org, (new_admin, new))
    second = await founder.post(path, json={"invitation_token": (await invite(new_admin, new))["token"]})
    assert get_refusal(second) == (409, "transfer-open")
    top_admin = await people.register()
    await certify(top_admin, await top_admin.create_org(), new_admin, new)
    release = f"/v1/orgs/{old['id']}/transfers/{created['id']}/release"
    stale = await old_admin.put(release, json={"preview": created["preview"]["version"]})
    assert get_refusal(stale) == (409, "preview-stale")


_YESTERDAY = [
    f"UPDATE {table} SET {column} = {column} - interval '2 days' WHERE {org} = ANY (CAST(:orgs AS uuid[]))"
    for table, column, org in (
        ("orgs", "created_at", "id"),
        ("unit_memberships", "since", "org_id"),
        ("activations", "since", "org_id"),
        ("certifications", "certified_at", "subordinate_id"),
    )
]


@pytest.mark.usefixtures("no_stored_days")
async def test_reports_of_a_past_day_keep_the_hierarchy_and_get_late_points(
    people: People, service: PointsService, db: AsyncConnection
) -> None:
    """The hierarchy of a past day never changes; late points count for their own day."""
    old_admin, old, founder, org = await create_pair(people)
    new_admin = await people.register()
    new = await new_admin.create_org()
    for _ in range(3):
        await add_member(founder, org)
    for statement in _YESTERDAY:
        await db.execute(text(statement), {"orgs": [old["id"], new["id"], org["id"]]})
    yesterday = datetime.now(SHANGHAI) - timedelta(days=1)

    async def read(admin: Person, at: Json, day: datetime) -> tuple[int, int]:
        params = {"period": "day", "day": str(day.date())}
        figures = get_body(await admin.get(f"/v1/orgs/{at['id']}/reports/overview", params=params))["subtree"]
        return figures["members"], figures["points"]

    await move_org(founder, org, (old_admin, old), (new_admin, new))
    late = event(founder.user_id, points=7, occurred_at=yesterday.replace(hour=12).isoformat())
    assert await service.outcomes(late) == ["counted"]
    assert (await read(old_admin, old, yesterday), await read(new_admin, new, yesterday)) == ((5, 7), (1, 0))
    now = datetime.now(SHANGHAI)
    assert (await read(old_admin, old, now), await read(new_admin, new, now)) == ((1, 0), (5, 0))


@pytest.mark.usefixtures("no_stored_days")
async def test_preview_shows_the_superiors_no_figures_of_one_person(people: People) -> None:
    """A preview shows no number of people or points that a report withholds."""
    old_admin, old, founder, org = await create_pair(people)
    new_admin = await people.register()
    new = await new_admin.create_org()
    path, _ = await request_move(founder, org, (new_admin, new))
    report = get_body(await old_admin.get(f"/v1/orgs/{org['id']}/reports/overview"))["subtree"]
    assert report["withheld"] is True
    for person, side in ((old_admin, old), (new_admin, new)):
        preview = get_body(await person.get(path.replace(org["id"], side["id"])))["preview"]
        assert (preview["orgs"], preview["people"], preview["points"]) == (1, None, None)


# Closing


async def test_closing_waits_for_the_main_admin_and_a_request_for_it_expires(
    people: People, db: AsyncConnection
) -> None:
    """Closing an org waits for its main admin's consent; the request of another admin expires after 30 days."""
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    path = f"/v1/orgs/{org['id']}"
    requested = get_body(await second.put(f"{path}/closure"), 202)
    days = datetime.fromisoformat(requested["expires_at"]) - datetime.fromisoformat(requested["requested_at"])
    assert (requested["state"], days) == ("pending", timedelta(days=30))
    await db.execute(text("UPDATE closures SET expires_at = now() WHERE org_id = :org"), {"org": org["id"]})
    assert get_body(await founder.get(f"{path}/closures"))["items"][0]["state"] == "expired"
    assert get_body(await founder.get(path))["status"] == "live"
    get_body(await second.put(f"{path}/closure"), 202)
    assert get_body(await founder.put(f"{path}/closure"))["status"] == "closed"


async def test_org_with_subordinates_is_not_closed(world: World) -> None:
    """An org with subordinates is not closed (409 `org-has-subordinates`)."""
    closed = await world.main_admin.put(f"{world.path}/closure")
    assert get_refusal(closed) == (409, "org-has-subordinates")


async def test_former_superior_of_a_closed_org_has_an_audit_entry_and_a_message(people: People) -> None:
    """The former superior gets an audit entry, and its admins a message."""
    superior_admin, superior, founder, org = await create_pair(people)
    get_body(await founder.put(f"/v1/orgs/{org['id']}/closure"))
    assert (await list_actions(superior_admin, superior))[0] == "certification.ended"
    message = get_body(await superior_admin.get("/v1/messages"))["items"][0]
    assert (message["kind"], message["org_id"]) == ("subordinate-closed", org["id"])


async def close_superior(superior_admin: Person, superior: Json, org: Json, people: People) -> None:
    get_body(await superior_admin.put(f"/v1/orgs/{superior['id']}/closure"))


async def certify_namesake(superior_admin: Person, superior: Json, org: Json, people: People) -> None:
    clerk = await people.register()
    await certify(superior_admin, superior, clerk, await clerk.create_org(name=org["name"]))


async def change_nothing(superior_admin: Person, superior: Json, org: Json, people: People) -> None: ...


@pytest.mark.parametrize("meanwhile", [change_nothing, close_superior, certify_namesake])
async def test_closing_is_undone_by_the_main_admin_within_seven_days(
    people: People, db: AsyncConnection, meanwhile: Callable[[Person, Json, Json, People], Awaitable[None]]
) -> None:
    """For 7 days the main admin can undo it: the org returns to its former superior, unless that one is closed or has
    another subordinate of this name; then it has no superior.
    """
    superior_admin, superior, founder, org = await create_pair(people)
    second = await people.register()
    await add_admin(founder, org, second)
    path = f"/v1/orgs/{org['id']}/closure"
    get_body(await founder.put(path))
    await meanwhile(superior_admin, superior, org, people)
    await set_back(db, org, "6 days 23 hours")
    assert (await second.delete(path)).status_code == 403
    reopened = get_body(await founder.delete(path))
    expected = superior["id"] if meanwhile is change_nothing else None
    assert (reopened["status"], reopened["superior_id"]) == ("live", expected)


async def test_closing_is_not_undone_after_seven_days(people: People, db: AsyncConnection) -> None:
    """Later it is refused (409 `reopening-too-late`)."""
    founder = await people.register()
    org = await founder.create_org()
    get_body(await founder.put(f"/v1/orgs/{org['id']}/closure"))
    await set_back(db, org, "7 days 1 second")
    assert get_refusal(await founder.delete(f"/v1/orgs/{org['id']}/closure")) == (409, "reopening-too-late")


async def set_back(db: AsyncConnection, org: Json, age: str) -> None:
    """Set the closing of the org back in time."""
    statement = "UPDATE closures SET decided_at = now() - CAST(:age AS text)::interval WHERE org_id = :org"
    await db.execute(text(statement), {"age": age, "org": org["id"]})


# Merging


async def ask_to_merge(founder: Person, org: Json, to: Json) -> Json:
    """Ask to merge an org into another one, and return the merger."""
    merger: Json = get_body(await founder.post(f"/v1/orgs/{org['id']}/mergers", json={"org_id": to["id"]}), 201)
    return merger


async def accept_merger(admin: Person, to: Json, merger: Json, **body: object) -> httpx.Response:
    body = {"preview": merger["preview"]["version"]} | body
    return await admin.put(f"/v1/orgs/{to['id']}/mergers/{merger['id']}/acceptance", json=body)


async def test_org_merges_into_another_one_or_becomes_a_unit_of_it(people: People) -> None:
    """*Merging*: an org merges into another org, or becomes a unit of it (the reverse of a promotion)."""
    admin = await people.register()
    to, merged, other = [await admin.create_org() for _ in range(3)]
    for org in (merged, other):
        await add_unit(admin, org, "第一支部")
    get_body(await accept_merger(admin, to, await ask_to_merge(admin, merged, to)))
    new_unit = {"name": "乡镇党总支", "kind": "general-branch"}
    get_body(await accept_merger(admin, to, await ask_to_merge(admin, other, to), new_unit=new_unit))
    paths = [unit["path"] for unit in await list_all(admin, f"/v1/orgs/{to['id']}/units")]
    assert paths == ["第一支部", "乡镇党总支", "乡镇党总支/第一支部"]


async def test_merger_is_asked_by_the_main_admin_and_accepted_by_the_other_org_after_a_preview(
    people: People, db: AsyncConnection
) -> None:
    """Its main admin asks, and an admin of the other org accepts after a preview, within 30 days; a stale preview is
    refused (409 `preview-stale`).
    """
    host, founder, second = [await people.register() for _ in range(3)]
    to, org = await host.create_org(), await founder.create_org()
    await add_admin(founder, org, second)
    answer = await second.post(f"/v1/orgs/{org['id']}/mergers", json={"org_id": to["id"]})
    assert get_refusal(answer) == (403, "forbidden")
    merger = await ask_to_merge(founder, org, to)
    await add_unit(founder, org, "第一支部")
    assert get_refusal(await accept_merger(host, to, merger)) == (409, "preview-stale")
    lifetime = "SELECT expires_at - requested_at = interval '30 days' FROM mergers WHERE id = :id"
    assert await db.scalar(text(lifetime), {"id": merger["id"]})
    get_body(await accept_merger(host, to, get_body(await host.get(f"/v1/orgs/{to['id']}/mergers/{merger['id']}"))))


async def test_merger_moves_units_and_people_with_their_links_and_closes_the_org_for_good(people: People) -> None:
    """In one transaction the units and people move with their links, and the org is closed for good (409
    `org-merged`).
    """
    host, founder, learner = [await people.register() for _ in range(3)]
    to, org = await host.create_org(), await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    await add_member(founder, org, unit, name=learner.name, phone=learner.phone)
    get_body(await accept_merger(host, to, await ask_to_merge(founder, org, to)))
    rows = {row["name"]: row for row in await list_all(host, f"/v1/orgs/{to['id']}/members")}
    assert (rows[learner.name]["active"], rows[learner.name]["units"][0]["name"]) == (True, "第一支部")
    assert get_body(await founder.get(f"/v1/orgs/{org['id']}"))["status"] == "closed"
    assert get_refusal(await founder.delete(f"/v1/orgs/{org['id']}/closure")) == (409, "org-merged")


async def test_person_in_both_orgs_keeps_the_row_in_the_receiving_org(people: People) -> None:
    """A person who is in both orgs, by account or by phone, keeps the row in the receiving org and gets the units."""
    host, founder = await people.register(), await people.register()
    to, org = await host.create_org(), await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    there = await add_member(host, to)
    phone = get_body(await host.post(f"/v1/orgs/{to['id']}/members/{there['id']}/phone-disclosures"))["phone"]
    await add_member(founder, org, unit, phone=phone)
    accepted = get_body(await accept_merger(host, to, await ask_to_merge(founder, org, to)))
    assert accepted["in_both"] == 1
    row = get_body(await host.get(f"/v1/orgs/{to['id']}/members/{there['id']}"))
    assert [placed["name"] for placed in row["units"]] == ["第一支部"]


async def test_org_with_subordinates_does_not_merge(world: World) -> None:
    """An org with subordinates does not merge (409 `org-has-subordinates`)."""
    to = await world.main_admin.create_org()
    answer = await world.main_admin.post(f"{world.path}/mergers", json={"org_id": to["id"]})
    assert get_refusal(answer) == (409, "org-has-subordinates")


async def test_people_outside_the_party_do_not_merge_into_a_party_org(people: People) -> None:
    """People outside the party do not come into a party org (409 `party-members-only`)."""
    founder = await people.register()
    to = await founder.create_org()
    org = await founder.create_org(name="玄武区党外人士学习组织", kind="outside-party")
    await add_member(founder, org, party=False)
    answer = await founder.post(f"/v1/orgs/{org['id']}/mergers", json={"org_id": to["id"]})
    assert get_refusal(answer) == (409, "party-members-only")


async def test_units_of_one_name_in_one_place_are_refused(people: People) -> None:
    """Units of one name in one place are refused (409 `unit-names-clash`); the org can come as a new unit instead."""
    admin = await people.register()
    to, org = await admin.create_org(), await admin.create_org()
    for each in (to, org):
        await add_unit(admin, each, "第一支部")
    merger = await ask_to_merge(admin, org, to)
    assert get_refusal(await accept_merger(admin, to, merger)) == (409, "unit-names-clash")
    get_body(await accept_merger(admin, to, merger, new_unit={"name": "乡镇支部"}))


async def test_past_days_do_not_change_with_a_merger(people: People, db: AsyncConnection) -> None:
    """Past days do not change with a merger."""
    admin = await people.register()
    to, org = await admin.create_org(), await admin.create_org()
    past = "UPDATE unit_memberships SET since = now() - interval '3 days' WHERE org_id = :id"
    await db.execute(text(past), {"id": org["id"]})
    get_body(await accept_merger(admin, to, await ask_to_merge(admin, org, to)))
    rows = "SELECT count(*) FROM unit_memberships WHERE org_id = :id AND since < now() - interval '2 days'"
    assert await db.scalar(text(rows), {"id": org["id"]}) == 1
    assert await db.scalar(text(rows), {"id": to["id"]}) == 0
