"""Messages: what has become of a person's requests, roles, rows and imports."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.approvals.kinds import KINDS
from app.core.i18n import gettext_in
from app.messages.kinds import MessageKind
from app.messages.texts import REQUEST_NAMES, write_text
from tests.acts import (
    Json,
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    invite,
    invite_admin,
    list_actions,
    list_all,
    send_application,
    send_change_request,
)
from tests.auth.test_accounts import close_account
from tests.people import People, Person, fresh_org_name, fresh_phone
from tests.retention import clean_up

ACCOUNT_KINDS = {
    MessageKind.NEW_DEVICE,
    MessageKind.SECURITY_KEY_ADDED,
    MessageKind.SECURITY_KEYS_RECOVERED,
    MessageKind.PHONE_CHANGED,
    MessageKind.ACCOUNT_RECOVERY_WAITING,
    MessageKind.ACCOUNT_RECOVERY_STOPPED,
    MessageKind.ACCOUNT_RECOVERY_REFUSED,
}
READ_MARK = "/v1/messages/read-mark"


async def read_messages(person: Person, **params: object) -> list[Json]:
    found: list[Json] = await list_all(person, "/v1/messages", **params)
    return found


async def new_messages(person: Person) -> list[tuple[str, str | None]]:
    """Return kind and subject type of the unread messages, the oldest first, and mark them as read."""
    found = await read_messages(person, unread="true")
    get_body(await person.put(READ_MARK), 204)
    return [(message["kind"], message["subject_type"]) for message in reversed(found)]


def test_every_kind_of_request_has_a_name() -> None:
    assert set(REQUEST_NAMES) == {kind.name for kind in KINDS}


@pytest.mark.parametrize("kind", MessageKind)
def test_every_kind_of_message_has_a_text_that_names_the_org_or_the_account(kind: MessageKind) -> None:
    said = write_text(kind, "某组织", "application", {})
    assert ("您的账号" if kind in ACCOUNT_KINDS else "某组织") in said
    assert "{" not in said


async def test_declined_request_reaches_its_requester_with_the_reason(people: People) -> None:
    superior, founder = await people.register(), await people.register()
    above, org = await superior.create_org(), await founder.create_org()
    application = get_body(await send_application(founder, org, (await invite(superior, above))["token"]), 201)
    path = f"/v1/orgs/{above['id']}/applications/{application['id']}/refusal"
    get_body(await superior.put(path, json={"reason": "材料不全"}))
    (message,) = await read_messages(founder)
    assert (message["kind"], message["subject_type"], message["subject_id"], message["reason"]) == (
        "request-declined",
        "application",
        application["id"],
        "材料不全",
    )
    assert (message["org_id"], message["org_name"], message["read_at"]) == (above["id"], above["name"], None)
    assert await read_messages(superior) == []
    for language, said in (("zh", f"“{above['name']}”：您提出的“认证申请”未获同意。"), ("en", "was not accepted")):
        headers = {"Accept-Language": language}
        assert said in get_body(await founder.get(f"/v1/messages/{message['id']}", headers=headers))["text"]


async def test_messages_are_read_one_by_one_and_all_at_once(people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    for _ in range(3):
        await add_admin(founder, org, second)
        get_body(await founder.delete(f"/v1/orgs/{org['id']}/admins/{second.user_id}"), 204)
    messages = await read_messages(second, limit=2)
    assert [message["kind"] for message in messages] == ["admin-removed", "admin-added"] * 3
    assert get_body(await second.get("/v1/messages/unread-count")) == {"unread": 6}
    path = f"/v1/messages/{messages[3]['id']}/read-mark"
    marked = get_body(await second.put(path))
    assert marked["read_at"] is not None
    assert get_body(await second.put(path)) == marked
    assert [message["id"] for message in await read_messages(second, unread="true")] == [
        message["id"] for message in messages if message is not messages[3]
    ]
    get_body(await second.put(READ_MARK, json={"newest_id": messages[2]["id"]}), 204)
    assert [message["id"] for message in await read_messages(second, unread="true")] == [
        message["id"] for message in messages[:2]
    ]
    get_body(await second.put(READ_MARK), 204)
    assert get_body(await second.get("/v1/messages", params={"limit": 1}))["unread"] == 0


async def test_message_of_another_person_is_not_found(people: People) -> None:
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    (message,) = [message for message in await read_messages(second) if message["kind"] == "admin-added"]
    for call in (
        founder.get(f"/v1/messages/{message['id']}"),
        founder.put(f"/v1/messages/{message['id']}/read-mark"),
    ):
        assert (await call).status_code == 404
    get_body(await founder.put(READ_MARK, json={"newest_id": message["id"]}), 204)
    assert get_body(await second.get("/v1/messages/unread-count"))["unread"] == 1


async def test_change_of_a_role_or_release_sends_messages_to_the_people_concerned(people: People) -> None:
    superior, founder, second = [await people.register() for _ in range(3)]
    above, org = await superior.create_org(), await founder.create_org()
    await add_admin(founder, org, second)
    assert await new_messages(founder) == [("request-accepted", "admin-invitation")]
    assert await new_messages(second) == [("admin-added", None)]
    get_body(await send_change_request(founder, org, kind="hand-over", main_admin_id=second.user_id), 201)
    assert await new_messages(founder) == []  # it took effect by the main admin's own act
    assert await new_messages(second) == [("main-admin-received", None)]
    await certify(superior, above, second, org)
    await new_messages(second)
    request = get_body(await send_change_request(second, org, kind="hand-over", main_admin_id=founder.user_id), 201)
    get_body(await superior.put(f"/v1/orgs/{above['id']}/change-requests/{request['id']}/approval"))
    assert await new_messages(second) == [("main-admin-replaced", None), ("request-accepted", "change-request")]
    assert await new_messages(founder) == [("main-admin-received", None)]
    get_body(await superior.delete(f"/v1/orgs/{above['id']}/subordinates/{org['id']}"), 204)
    for admin in (founder, second):
        assert await new_messages(admin) == [("org-released", None)]


async def test_transfer_of_an_org_sends_messages_to_its_admins(people: People) -> None:
    old_admin, new_admin, founder, second = [await people.register() for _ in range(4)]
    old, new, org = await old_admin.create_org(), await new_admin.create_org(), await founder.create_org()
    await add_admin(founder, org, second)
    await certify(old_admin, old, founder, org)
    for person in (founder, second):
        await new_messages(person)
    token = (await invite(new_admin, new))["token"]
    transfer = get_body(await founder.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token}), 201)
    body = {"preview": transfer["preview"]["version"]}
    for admin, above, step in ((old_admin, old, "release"), (new_admin, new, "acceptance")):
        get_body(await admin.put(f"/v1/orgs/{above['id']}/transfers/{transfer['id']}/{step}", json=body))
    assert await new_messages(founder) == [("request-accepted", "transfer")]
    assert await new_messages(second) == [("org-transferred", None)]


async def test_account_gets_a_message_when_a_row_is_linked_or_unlinked(people: People) -> None:
    founder, learner, newcomer = await people.register(), await people.register(), fresh_phone()
    org = await founder.create_org()
    assert await new_messages(founder) == []
    member = await add_member(founder, org, name=learner.name, phone=learner.phone)
    assert await new_messages(learner) == [("row-linked", None)]
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    get_body(await founder.delete(f"{path}/activation"), 204)
    assert await new_messages(learner) == [("row-unlinked", None)]
    link = get_body(await learner.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    get_body(await founder.put(f"/v1/orgs/{org['id']}/link-requests/{link['id']}/acceptance"))
    assert await new_messages(learner) == [("request-accepted", "link-request")]
    get_body(await founder.delete(path), 204)
    assert await new_messages(learner) == [("row-removed", None)]
    await add_member(founder, org, name="新来的人", phone=newcomer)
    registered = await people.register(phone=newcomer, name="新来的人")
    assert await new_messages(registered) == [("row-linked", None)]


async def test_change_of_the_phone_of_a_row_sends_messages_to_both_accounts(people: People) -> None:
    founder, before, after = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    member = await add_member(founder, org, name=before.name, phone=before.phone)
    await new_messages(before)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    get_body(await founder.patch(path, json={"phone": after.phone, "name": after.name}))
    assert await new_messages(before) == [("row-unlinked", None)]
    assert await new_messages(after) == [("row-linked", None)]


async def test_transferred_person_gets_a_message_about_the_old_and_the_new_row(people: People) -> None:
    founder, other, learner = [await people.register() for _ in range(3)]
    org, to = await founder.create_org(), await other.create_org()
    member = await add_member(founder, org, name=learner.name, phone=learner.phone)
    await new_messages(learner)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}/transfers"
    transfer = get_body(await founder.post(path, json={"org_id": to["id"]}), 201)
    get_body(await other.put(f"/v1/orgs/{to['id']}/person-transfers/{transfer['id']}/acceptance", json={}))
    assert sorted(kind for kind, _ in await new_messages(learner)) == ["row-linked", "row-removed"]
    assert await new_messages(founder) == [("request-accepted", "person-transfer")]


async def test_request_that_a_closing_org_ends_is_recorded_and_reaches_its_requester(people: People) -> None:
    founder, second, invited, other = [await people.register() for _ in range(4)]
    org, elsewhere = await founder.create_org(), await other.create_org()
    await add_admin(founder, org, second)
    await invite_admin(founder, org, invited)
    member = await add_member(second, org)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}/transfers"
    get_body(await second.post(path, json={"org_id": elsewhere["id"]}), 201)
    await new_messages(second)
    get_body(await founder.put(f"/v1/orgs/{org['id']}/closure"))
    assert sorted(await new_messages(second)) == [("org-closed", None), ("request-withdrawn", "person-transfer")]
    recorded = await list_actions(founder, org)
    assert {"person_transfer.withdrawn", "admin_invitation.withdrawn"} <= set(recorded)
    audit = await list_all(other, f"/v1/orgs/{elsewhere['id']}/audit")
    (entry,) = [entry for entry in audit if entry["action"] == "person_transfer.withdrawn"]
    assert founder.user_id not in str(entry)


async def test_superseded_request_is_recorded_and_reaches_its_requester(people: People, db: AsyncConnection) -> None:
    founder, second, leader = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    await add_admin(founder, org, second)
    unit = await add_unit(founder, org, "第一支部")
    body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": leader.phone}}
    promotion = get_body(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
    await new_messages(founder)
    get_body(await second.delete(f"/v1/orgs/{org['id']}/units/{unit['id']}"), 204)
    assert await new_messages(founder) == [("request-superseded", "promotion")]
    (entry,) = [
        entry
        for entry in await list_all(founder, f"/v1/orgs/{org['id']}/audit")
        if entry["action"] == "promotion.superseded"
    ]
    assert entry["subject_id"] == promotion["id"]
    events = "SELECT count(*) FROM outgoing_events WHERE type = 'promotion.superseded' AND subject_id = :id"
    assert await db.scalar(text(events), {"id": promotion["id"]}) == 1


async def test_expired_request_is_recorded_and_reaches_its_requester_once(
    people: People, db: AsyncConnection, engine: AsyncEngine
) -> None:
    founder, invited, learner = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    await invite_admin(founder, org, invited)
    get_body(await learner.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    for table in ("admin_invitations", "link_requests"):
        past = f"UPDATE {table} SET expires_at = now() - interval '1 second' WHERE org_id = :id"
        await db.execute(text(past), org)
    for _ in range(2):
        await clean_up(engine)
    assert await new_messages(founder) == [("request-expired", "admin-invitation")]
    assert await new_messages(learner) == [("request-expired", "link-request")]
    # An org that may not know of a link request finds no entry about it.
    assert [action for action in await list_actions(founder, org) if "expired" in action] == [
        "admin_invitation.expired"
    ]


async def test_message_is_deleted_after_90_days(people: People, db: AsyncConnection, engine: AsyncEngine) -> None:
    founder, learner = await people.register(), await people.register()
    org = await founder.create_org()
    for _ in range(2):
        member = await add_member(founder, org, name=learner.name, phone=learner.phone)
        get_body(await founder.delete(f"/v1/orgs/{org['id']}/members/{member['id']}"), 204)
    ids = [message["id"] for message in await read_messages(learner)]
    assert len(ids) == 4
    for identity, days in ((ids[0], 89), (ids[1], 91)):
        aged = "UPDATE messages SET created_at = now() - make_interval(days => :days) WHERE id = :id"
        await db.execute(text(aged), {"days": days, "id": identity})
    await clean_up(engine)
    assert [message["id"] for message in await read_messages(learner)] == [ids[0], *ids[2:]]


async def test_closed_account_has_no_messages(people: People, db: AsyncConnection) -> None:
    founder, learner = await people.register(), await people.register()
    org = await founder.create_org()
    await add_member(founder, org, name=learner.name, phone=learner.phone)
    assert len(await read_messages(learner)) == 1
    await close_account(learner)
    left = "SELECT count(*) FROM messages WHERE user_id = :id"
    assert await db.scalar(text(left), {"id": learner.user_id}) == 0


async def test_messages_contain_no_phone(people: People, db: AsyncConnection) -> None:
    founder, learner = await people.register(), await people.register()
    org = await founder.create_org()
    await add_member(founder, org, name=learner.name, phone=learner.phone)
    stored = "SELECT string_agg(m::text, ' ') FROM messages m WHERE user_id = :id"
    assert learner.phone not in str(await db.scalar(text(stored), {"id": learner.user_id}))


def test_reason_given_by_the_service_is_translated() -> None:
    assert gettext_in("en", "对方的实名与所邀人员的姓名不一致") != "对方的实名与所邀人员的姓名不一致"
