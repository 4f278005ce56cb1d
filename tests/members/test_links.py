"""Inactive rows (未激活) and link requests (S18): the reason, the request, the consent, and undoing a link."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.members.links import operations
from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_all
from tests.auth.test_accounts import close_account
from tests.members.sheets import Work, merge, xlsx
from tests.people import People, Person, fresh_name, fresh_phone


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def request_link(person: Person, org: Json) -> Json:
    link_request: Json = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    return link_request


async def read(admin: Person, org: Json, member: Json) -> Json:
    found: Json = get_body(await admin.get(f"/v1/orgs/{org['id']}/members/{member['id']}"))
    return found


async def list_received(admin: Person, org: Json) -> list[Json]:
    return await list_all(admin, f"/v1/orgs/{org['id']}/link-requests")


def get_request_path(org: Json, request: Json, decision: str = "") -> str:
    """Return the path of a link request, or of a decision on it: `/acceptance`, `/refusal`."""
    return f"/v1/orgs/{org['id']}/link-requests/{request['id']}{decision}"


async def test_user_with_another_phone_is_linked_after_consent(
    admin: Person, org: Json, people: People, db: AsyncConnection
) -> None:
    person = await people.register()
    member = await add_member(admin, org, name=person.name, phone=fresh_phone())
    assert (await read(admin, org, member))["inactive_reason"] == "never-registered"
    account = get_body(await person.get("/v1/me"))
    link_request = await request_link(person, org)
    assert (link_request["state"], link_request["org_name"]) == ("pending", org["name"])

    waiting = await read(admin, org, member)
    assert (waiting["inactive_reason"], waiting["link_request_id"]) == ("phone-mismatch", link_request["id"])
    (entry,) = get_body(await admin.get("/v1/inbox"))["items"]
    assert (entry["kind"], entry["id"], entry["subject"]) == ("link-request", link_request["id"], person.name)
    shown = await admin.get(entry["href"])
    assert get_body(shown)["candidates"] == [waiting]
    for secret in (person.phone, person.phone[-4:], member["phone"][-4:]):
        assert (secret in shown.text) == (secret == member["phone"][-4:])
    action = entry["actions"]["acceptance"]
    linked = get_body(await admin.request(action["method"], action["href"]))
    assert (linked["id"], linked["active"], linked["verified"]) == (member["id"], True, True)
    assert (linked["phone"], linked["inactive_reason"], linked["link_request_id"]) == (member["phone"], None, None)

    # The account does not change. The requester sees the acceptance and the org, but no phone.
    assert get_body(await person.get("/v1/me")) == account
    own_requests = await person.get("/v1/me/link-requests")
    assert own_requests.json()["items"][0]["state"] == "accepted"
    assert member["phone"][-4:] not in own_requests.text
    assert org["id"] in {found["id"] for found in get_body(await person.get("/v1/me/orgs"))["items"]}
    assert get_body(await admin.get("/v1/inbox"))["total"] == 0
    consent = "SELECT consented_by::text FROM activations WHERE member_id = :id AND until IS NULL"
    assert await db.scalar(text(consent), {"id": member["id"]}) == admin.user_id
    # The name of the request is deleted.
    assert (
        await db.scalar(text("SELECT name_key FROM link_requests WHERE id = :id"), {"id": link_request["id"]}) is None
    )
    # The link remains when the row gets another phone or name.
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    assert get_body(await admin.patch(path, json={"phone": fresh_phone(), "name": "改了名"}))["active"] is True
    # After an admin has undone the link, a new request and a new consent are necessary.
    get_body(await admin.delete(f"{path}/activation"), 204)
    assert (await admin.delete(f"{path}/activation")).status_code == 404
    assert get_body(await person.get("/v1/me")) == account
    assert get_refusal(await person.get(f"/v1/orgs/{org['id']}"))[0] == 404
    assert get_body(await admin.patch(path, json={"name": person.name}))["active"] is False
    again = await request_link(person, org)
    assert (
        get_body(await admin.put(get_request_path(org, again, "/acceptance"), json={"member_id": member["id"]}))[
            "active"
        ]
        is True
    )


async def test_undone_link_does_not_return_without_consent(admin: Person, org: Json, people: People) -> None:
    person = await people.register()
    member = await add_member(admin, org, name=person.name, phone=person.phone)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    assert member["active"] is True
    get_body(await admin.delete(f"{path}/activation"), 204)
    assert (await read(admin, org, member))["inactive_reason"] == "unlinked"
    edited = get_body(await admin.patch(path, json={"name": person.name + "华"}))
    assert get_body(await admin.patch(path, json={"name": person.name}))["active"] is edited["active"] is False
    # The user with the phone may request the link, and the admin may consent.
    link_request = await request_link(person, org)
    assert get_body(await admin.put(get_request_path(org, link_request, "/acceptance")))["active"] is True


async def test_recycled_number_is_linked_only_by_consent(admin: Person, org: Json, people: People) -> None:
    new_owner = await people.register()
    member = await add_member(admin, org, name="前机主", phone=new_owner.phone)
    assert (await read(admin, org, member))["inactive_reason"] == "name-mismatch"
    link_request = await request_link(new_owner, org)
    (found,) = [request for request in await list_received(admin, org) if request["id"] == link_request["id"]]
    assert [candidate["id"] for candidate in found["candidates"]] == [member["id"]]
    get_body(await admin.put(get_request_path(org, link_request, "/refusal"), json={"reason": "不是本人"}), 204)
    own_requests = get_body(await new_owner.get("/v1/me/link-requests"))["items"][0]
    assert (own_requests["state"], own_requests["reason"]) == ("declined", "不是本人")
    assert (await read(admin, org, member))["inactive_reason"] == "name-mismatch"
    link_request = await request_link(new_owner, org)
    assert get_body(await admin.put(get_request_path(org, link_request, "/acceptance")))["active"] is True


async def test_own_row_of_an_admin_cannot_be_unlinked(admin: Person, org: Json) -> None:
    people = await list_all(admin, f"/v1/orgs/{org['id']}/members", q=admin.name)
    (own,) = [member for member in people if member["at_org"] and member["verified"]]
    path = f"/v1/orgs/{org['id']}/members/{own['id']}/activation"
    assert get_refusal(await admin.delete(path)) == (409, "member-is-admin")


async def test_link_request_reveals_nothing_to_requester_or_other_admins(
    admin: Person, org: Json, people: People
) -> None:
    known, stranger, unverified = [await people.register(verified=verified) for verified in (True, True, False)]
    await add_member(admin, org, name=known.name, phone=fresh_phone())
    answers = [await person.post("/v1/me/link-requests", json={"org_id": org["id"]}) for person in (known, stranger)]
    bodies = [{**get_body(answer, 201), "id": "", "requested_at": "", "expires_at": ""} for answer in answers]
    assert bodies[0] == bodies[1]
    visible = await list_received(admin, org)
    ids = [answer.json()["id"] for answer in answers]
    assert ids[0] in {request["id"] for request in visible}
    assert ids[1] not in {request["id"] for request in visible}
    for decision in ("", "/acceptance", "/refusal"):
        method, body = ("PUT", {"reason": "x"} if decision == "/refusal" else {}) if decision else ("GET", None)
        assert (
            await admin.request(method, get_request_path(org, {"id": ids[1]}, decision), json=body)
        ).status_code == 404
    assert ids[1] not in (await admin.get("/v1/inbox", params={"limit": 200})).text
    # When a person of that name is in the directory, the admins see the request.
    await add_member(admin, org, name=stranger.name, phone=fresh_phone())
    assert ids[1] in {request["id"] for request in await list_received(admin, org)}
    assert get_refusal(await unverified.post("/v1/me/link-requests", json={"org_id": org["id"]})) == (
        403,
        "real-name-required",
    )
    # The admins of another org do not see the requests.
    other = await stranger.create_org()
    for request in ids:
        assert (await stranger.get(get_request_path(other, {"id": request}))).status_code == 404
        assert (await stranger.put(get_request_path(other, {"id": request}, "/acceptance"))).status_code == 404
    for person, request in zip((known, stranger), ids, strict=True):
        get_body(await person.delete(f"/v1/me/link-requests/{request}"), 204)
    assert (
        get_refusal(await admin.put(get_request_path(org, {"id": ids[0]}, "/refusal"), json={"reason": "x"}))[0] == 404
    )
    assert get_refusal(await known.delete(f"/v1/me/link-requests/{ids[0]}")) == (409, "link-request-decided")
    assert (await known.delete(f"/v1/me/link-requests/{ids[1]}")).status_code == 404


async def test_invalid_link_requests_are_refused(admin: Person, org: Json, people: People, db: AsyncConnection) -> None:
    person = await people.register()

    async def try_request(**body: Any) -> tuple[int, str]:
        answer = await person.post("/v1/me/link-requests", json=body)
        return (201, "") if answer.status_code == 201 else get_refusal(answer)

    named = {"org_name": org["name"], "region_code": org["region_code"]}
    assert await try_request(org_id=person.user_id) == (422, "unknown-org")
    assert await try_request(org_name=org["name"]) == (422, "invalid")
    assert await try_request(**named, org_id=org["id"]) == (422, "invalid")
    assert await try_request(**named | {"region_code": "110000"}) == (422, "unknown-org")
    assert await try_request(**named) == (201, "")
    assert await try_request(org_id=org["id"]) == (409, "link-request-open")
    # After a request has expired, a new request is allowed.
    await db.execute(text("UPDATE link_requests SET expires_at = now() WHERE user_id = :id"), {"id": person.user_id})
    assert get_body(await person.get("/v1/me/link-requests"))["items"][0]["state"] == "expired"
    assert await try_request(org_id=org["id"]) == (201, "")
    member = await add_member(admin, org, name=person.name, phone=person.phone)
    assert member["active"] is True
    assert await try_request(org_id=org["id"]) == (409, "already-in-directory")
    # The request still waits. Its acceptance for a namesake is refused, because the account is linked in the org.
    await add_member(admin, org, name=person.name, phone=fresh_phone())
    (waiting,) = [request for request in await list_received(admin, org) if request["name"] == person.name]
    assert get_refusal(await admin.put(get_request_path(org, waiting, "/acceptance"))) == (409, "already-in-directory")


async def test_eleventh_waiting_link_request_is_refused(people: People, db: AsyncConnection) -> None:
    founder, person = await people.register(), await people.register()
    link_request = [await request_link(person, await founder.create_org()) for _ in range(10)]
    eleventh = {"org_id": (await founder.create_org())["id"]}
    assert get_refusal(await person.post("/v1/me/link-requests", json=eleventh)) == (409, "too-many-link-requests")
    get_body(await person.delete(f"/v1/me/link-requests/{link_request[0]['id']}"), 204)
    get_body(await person.post("/v1/me/link-requests", json=eleventh), 201)


async def test_request_with_several_candidates_needs_a_choice(admin: Person, org: Json, people: People) -> None:
    person = await people.register()
    rows = [await add_member(admin, org, name=person.name, phone=fresh_phone()) for _ in range(2)]
    other = await add_member(admin, org, name=fresh_name(), phone=fresh_phone())
    link_request = await request_link(person, org)
    several = await admin.put(get_request_path(org, link_request, "/acceptance"))
    assert get_refusal(several) == (409, "several-candidates")
    assert several.json()["member_ids"] == sorted(row["id"] for row in rows)
    wrong = await admin.put(get_request_path(org, link_request, "/acceptance"), json={"member_id": other["id"]})
    assert get_refusal(wrong) == (409, "no-candidate")
    linked = get_body(
        await admin.put(get_request_path(org, link_request, "/acceptance"), json={"member_id": rows[1]["id"]})
    )
    assert linked["id"] == rows[1]["id"]
    another = await admin.put(get_request_path(org, link_request, "/acceptance"), json={"member_id": rows[0]["id"]})
    assert get_refusal(another) == (409, "link-request-decided")


async def test_concurrent_decisions_of_a_link_request_count_once(people: People, db: AsyncConnection) -> None:
    admin, second = await people.register(), await people.register()
    org = await admin.create_org()
    await add_admin(admin, org, second)
    for _ in range(2):
        person = await people.register()
        rows = [await add_member(admin, org, name=person.name, phone=fresh_phone()) for _ in range(2)]
        link_request = await request_link(person, org)
        answers = await asyncio.gather(
            *(
                decider.put(get_request_path(org, link_request, "/acceptance"), json={"member_id": row["id"]})
                for decider, row in zip((admin, second), rows, strict=True)
            ),
            second.put(get_request_path(org, link_request, "/refusal"), json={"reason": "x"}),
            person.delete(f"/v1/me/link-requests/{link_request['id']}"),
        )
        won = [answer for answer in answers if answer.status_code < 300]
        assert len(won) == 1, [answer.text for answer in answers]
        assert {answer.status_code for answer in answers} - {won[0].status_code} <= {404, 409}
        active = [row for row in rows if (await read(admin, org, row))["active"]]
        assert len(active) == (1 if won[0].request.url.path.endswith("/acceptance") else 0)


async def test_concurrent_acceptance_and_addition_link_the_account_once(people: People, db: AsyncConnection) -> None:
    """The request is accepted while the requester's phone is added by hand. The account is linked once."""
    admin = await people.register()
    org = await admin.create_org()
    for _ in range(3):
        person = await people.register()
        row = await add_member(admin, org, name=person.name, phone=fresh_phone())
        link_request = await request_link(person, org)
        body = {"name": person.name, "phone": person.phone}
        accepted, added = await asyncio.gather(
            admin.put(get_request_path(org, link_request, "/acceptance"), json={"member_id": row["id"]}),
            admin.post(f"/v1/orgs/{org['id']}/members", json=body),
        )
        assert added.status_code == 201
        assert accepted.status_code in (200, 409), accepted.text
        assert added.json()["active"] is (accepted.status_code == 409)
        links = "SELECT count(*) FROM members WHERE org_id = :org AND user_id = :user"
        assert await db.scalar(text(links), {"org": org["id"], "user": person.user_id}) == 1


async def test_addition_during_acceptance_waits_for_the_account_lock(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An addition of the account's phone waits during the acceptance, and then finds the account linked."""
    admin, person = await people.register(), await people.register()
    org = await admin.create_org()
    row = await add_member(admin, org, name=person.name, phone=fresh_phone())
    link_request = await request_link(person, org)
    about_to_commit, go_on = asyncio.Event(), asyncio.Event()

    async def pause_before_commit(*arguments: Any, **options: Any) -> None:
        await record(*arguments, **options)
        about_to_commit.set()
        await go_on.wait()

    monkeypatch.setattr(operations, "record", pause_before_commit)
    accepting = asyncio.create_task(
        admin.put(get_request_path(org, link_request, "/acceptance"), json={"member_id": row["id"]})
    )
    await about_to_commit.wait()
    body = {"name": person.name, "phone": person.phone}
    adding = asyncio.create_task(admin.post(f"/v1/orgs/{org['id']}/members", json=body))
    await asyncio.wait({adding}, timeout=0.3)
    assert not adding.done()
    go_on.set()
    linked, added = get_body(await accepting), get_body(await adding, 201)
    assert (linked["active"], added["active"]) == (True, False)
    assert added["inactive_reason"] == "already-in-directory"


async def test_closed_account_withdraws_the_request_and_deletes_the_name(
    admin: Person, org: Json, people: People, db: AsyncConnection
) -> None:
    person = await people.register()
    member = await add_member(admin, org, name=person.name, phone=fresh_phone())
    link_request = await request_link(person, org)
    await close_account(person)
    row = (
        await db.execute(text("SELECT state, name_key, pinyin FROM link_requests WHERE id = :id"), link_request)
    ).one()
    assert tuple(row) == ("withdrawn", None, None)
    assert (await read(admin, org, member))["inactive_reason"] == "never-registered"


@pytest.mark.parametrize("way", ["removed", "unlinked", "gone to another org", "not in the sheet"])
async def test_row_with_own_phone_becomes_active_after_the_other_link_has_ended(
    people: People, worker: Work, way: str
) -> None:
    admin, person = await people.register(), await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "一支部")
    row = await add_member(admin, org, unit, name=person.name, phone=fresh_phone())
    get_body(
        await admin.put(
            get_request_path(org, await request_link(person, org), "/acceptance"), json={"member_id": row["id"]}
        )
    )
    own = await add_member(admin, org, unit, name=person.name, phone=person.phone)
    assert (own["active"], own["inactive_reason"]) == (False, "already-in-directory")
    path = f"/v1/orgs/{org['id']}/members/{row['id']}"
    if way == "removed":
        get_body(await admin.delete(path), 204)
    elif way == "unlinked":
        get_body(await admin.delete(f"{path}/activation"), 204)
    elif way == "gone to another org":
        there = await admin.create_org()
        link_request = get_body(await admin.post(f"{path}/transfers", json={"org_id": there["id"]}), 201)
        get_body(await admin.put(f"/v1/orgs/{there['id']}/person-transfers/{link_request['id']}/acceptance"))
    else:
        sheet = xlsx([(person.name, person.phone, "一支部")])
        assert (await merge(admin, org["id"], worker, sheet, mode="replace-all", leaving=1))["counts"]["left"] == 1
    await worker()
    assert (await read(admin, org, own))["active"] is True
