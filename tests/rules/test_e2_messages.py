"""E2 Messages · 消息"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.messages.retention import CLEAN_UPS
from app.worker.retention import run_clean_up
from tests.acts import Json, add_admin, add_member, get_body, get_refusal, list_all
from tests.members.sheets import Work, merge, xlsx
from tests.people import People, Person, fresh_phone


async def create_message(people: People) -> tuple[Person, Json]:
    """Return a person and the message that they are an admin now."""
    founder, person = await people.register(), await people.register()
    await add_admin(founder, await founder.create_org(), person)
    (message,) = [message for message in await list_all(person, "/v1/messages") if message["kind"] == "admin-added"]
    return person, message


async def test_outcome_of_a_request_role_row_or_import_reaches_the_person_as_a_message(
    people: People, worker: Work
) -> None:
    """A person gets a message about the outcome of a request, a new or ended role, a linked row and a finished
    import.
    """
    founder, person = await people.register(), await people.register()
    org = await founder.create_org()
    path = f"/v1/orgs/{org['id']}"
    await add_member(founder, await founder.create_org(), name=person.name, phone=person.phone)
    row = await add_member(founder, org, name=person.name, phone=fresh_phone())
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    get_body(await founder.put(f"{path}/link-requests/{request['id']}/acceptance", json={"member_id": row["id"]}))
    await add_admin(founder, org, person)
    await merge(person, org["id"], worker, xlsx([("王伟", fresh_phone(), "甲")]), unknown_units="create")
    get_body(await founder.delete(f"{path}/admins/{person.user_id}"), 204)
    kinds = {message["kind"] for message in await list_all(person, "/v1/messages")}
    assert kinds >= {"request-accepted", "admin-added", "admin-removed", "row-linked", "import-done"}


async def test_message_is_unread_until_it_is_marked(people: People) -> None:
    """A message is unread until the person marks it as read."""
    person, message = await create_message(people)
    assert message["read_at"] is None
    before = get_body(await person.get("/v1/messages/unread-count"))["unread"]
    marked = get_body(await person.put(f"/v1/messages/{message['id']}/read-mark"))
    assert marked["read_at"] is not None
    assert get_body(await person.get("/v1/messages/unread-count"))["unread"] == before - 1


async def test_message_is_deleted_after_ninety_days(people: People, db: AsyncConnection, engine: AsyncEngine) -> None:
    """It is deleted after 90 days."""
    person, message = await create_message(people)
    (clean_up,) = CLEAN_UPS
    for age, remains in (("89 days", True), ("90 days 1 minute", False)):
        old = "UPDATE messages SET created_at = now() - CAST(:age AS text)::interval WHERE user_id = :id"
        await db.execute(text(old), {"age": age, "id": person.user_id})
        await run_clean_up(engine, clean_up)
        found = {message["id"] for message in await list_all(person, "/v1/messages")}
        assert (message["id"] in found) is remains


async def test_message_of_another_person_is_not_found(people: People) -> None:
    """Another person's message does not exist for them (404)."""
    _, message = await create_message(people)
    other = await people.register()
    assert get_refusal(await other.get(f"/v1/messages/{message['id']}")) == (404, "not-found")
    assert get_refusal(await other.put(f"/v1/messages/{message['id']}/read-mark")) == (404, "not-found")
