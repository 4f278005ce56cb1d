"""From the moment at which its time is over nobody decides a request, and every kind says so in one way."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.approvals.kinds import ADMIN_INVITATION, CHANGE_REQUEST, KINDS, LINK_REQUEST, PERSON_TRANSFER, PROMOTION, Kind
from app.approvals.requests import expire_overdue
from tests.acts import add_member, add_unit, ask, certify, done, invite_admin, refusal
from tests.auth.test_accounts import close_account
from tests.people import People, fresh_org_name, fresh_phone

Act = Callable[[], Awaitable[httpx.Response]]
PROBLEMS = {
    CHANGE_REQUEST: (410, "change-request-expired"),
    ADMIN_INVITATION: (410, "admin-invitation-expired"),
    PROMOTION: (410, "promotion-expired"),
    LINK_REQUEST: (409, "link-request-decided"),
    PERSON_TRANSFER: (409, "person-transfer-decided"),
}


async def request_of(kind: Kind, people: People) -> tuple[str, dict[str, Act]]:
    """A pending request of this kind: its id, and all that can be done with it, by name."""
    deciding, asking, learner = [await people.register() for _ in range(3)]
    above, org = await deciding.create_org(), await asking.create_org()
    at = f"/v1/orgs/{org['id']}"
    reason = {"reason": "材料不全"}
    if kind is CHANGE_REQUEST:
        await certify(deciding, above, asking, org)
        asked = done(await ask(asking, org, kind="rename", name=fresh_org_name()), 201)["id"]
        received = f"/v1/orgs/{above['id']}/change-requests/{asked}"
        acts: dict[str, Act] = {
            "withdraw": lambda: asking.delete(f"{at}/change-requests/{asked}"),
            "decline": lambda: deciding.put(f"{received}/refusal", json=reason),
            "accept": lambda: deciding.put(f"{received}/approval"),
        }
    elif kind is ADMIN_INVITATION:
        asked = (await invite_admin(asking, org, learner))["id"]
        own = f"/v1/me/admin-invitations/{asked}"
        acts = {
            "withdraw": lambda: asking.delete(f"{at}/admin-invitations/{asked}"),
            "decline": lambda: learner.put(f"{own}/refusal"),
            "accept": lambda: learner.put(f"{own}/acceptance"),
        }
    elif kind is PROMOTION:
        unit = await add_unit(asking, org, "第一支部")
        body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": learner.phone}}
        asked = done(await asking.post(f"{at}/promotions", json=body), 201)["id"]
        own = f"/v1/me/promotions/{asked}"
        acts = {
            "withdraw": lambda: asking.delete(f"{at}/promotions/{asked}"),
            "decline": lambda: learner.put(f"{own}/refusal"),
            "accept": lambda: learner.put(f"{own}/acceptance"),
        }
    elif kind is LINK_REQUEST:
        await add_member(asking, org, name=learner.name, phone=fresh_phone())
        asked = done(await learner.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)["id"]
        acts = {
            "withdraw": lambda: learner.delete(f"/v1/me/link-requests/{asked}"),
            "decline": lambda: asking.put(f"{at}/link-requests/{asked}/refusal", json=reason),
            "accept": lambda: asking.put(f"{at}/link-requests/{asked}/acceptance"),
        }
    else:
        member = await add_member(asking, org)
        body = {"org_id": above["id"]}
        asked = done(await asking.post(f"{at}/members/{member['id']}/transfers", json=body), 201)["id"]
        received = f"/v1/orgs/{above['id']}/person-transfers/{asked}"
        acts = {
            "withdraw": lambda: asking.delete(f"{at}/person-transfers/{asked}"),
            "decline": lambda: deciding.put(f"{received}/refusal", json=reason),
            "accept": lambda: deciding.put(f"{received}/acceptance"),
        }
    return asked, acts


async def run_out(engine: AsyncEngine, kind: Kind, request_id: str) -> None:
    async with engine.begin() as connection:
        past = f"UPDATE {kind.table.__tablename__} SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": request_id})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.lifetime is not None], ids=lambda kind: kind.name)
async def test_an_overdue_request_is_neither_withdrawn_nor_declined_nor_accepted(
    kind: Kind, people: People, engine: AsyncEngine, db: AsyncConnection
) -> None:
    asked, acts = await request_of(kind, people)
    await run_out(engine, kind, asked)
    state = text(f"SELECT state FROM {kind.table.__tablename__} WHERE id = :id")
    for stored in ("pending", "expired"):  # before the clean-up, and after it
        assert await db.scalar(state, {"id": asked}) == stored
        for name, act in acts.items():
            answer = await act()
            problem = PROBLEMS[kind]
            if kind is LINK_REQUEST and stored == "expired" and name != "withdraw":
                problem = (404, "not-found")  # its name is erased, so that it fits no row
            assert answer.status_code == problem[0], (name, stored, answer.text)
            assert refusal(answer) == problem
            assert await db.scalar(state, {"id": asked}) == stored
        async with engine.begin() as connection:
            await expire_overdue(connection, 1000)


async def test_an_overdue_offer_is_not_found_by_the_person_it_was_made_to(people: People, engine: AsyncEngine) -> None:
    admin, person = await people.register(), await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "第一支部")
    body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": person.phone}}
    offer = done(await admin.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
    for kind, asked, path in (
        (ADMIN_INVITATION, await invite_admin(admin, org, person), "/v1/me/admin-invitations"),
        (PROMOTION, offer, "/v1/me/promotions"),
    ):
        done(await person.get(f"{path}/{asked['id']}"))
        await run_out(engine, kind, asked["id"])
        assert refusal(await person.get(f"{path}/{asked['id']}")) == (404, "not-found")


async def test_a_link_request_withdrawn_beside_its_acceptance_is_never_one_that_fits_nobody(people: People) -> None:
    for _ in range(20):
        _, acts = await request_of(LINK_REQUEST, people)
        accepted, _ = await asyncio.gather(acts["accept"](), acts["withdraw"]())
        assert accepted.is_success or refusal(accepted)[1] in {"not-found", "link-request-decided"}, accepted.text


async def test_closing_an_account_erases_the_name_of_an_overdue_link_request_at_once(
    people: People, engine: AsyncEngine, db: AsyncConnection
) -> None:
    admin, person = await people.register(), await people.register()
    org = await admin.create_org()
    asked = done(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)["id"]
    await run_out(engine, LINK_REQUEST, asked)
    await close_account(person)
    row = await db.execute(text("SELECT state, name_key, pinyin FROM link_requests WHERE id = :id"), {"id": asked})
    assert tuple(row.one()) == ("expired", None, None)


async def test_an_overdue_request_to_a_closing_org_expires_and_is_not_declined(
    people: People, engine: AsyncEngine, db: AsyncConnection
) -> None:
    giver, taker = await people.register(), await people.register()
    org, to = await giver.create_org(), await taker.create_org()
    member = await add_member(giver, org)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}/transfers"
    asked = done(await giver.post(path, json={"org_id": to["id"]}), 201)["id"]
    await run_out(engine, PERSON_TRANSFER, asked)
    done(await taker.put(f"/v1/orgs/{to['id']}/closure"))
    row = await db.execute(text("SELECT state, reason, decided_by FROM person_transfers WHERE id = :id"), {"id": asked})
    assert tuple(row.one()) == ("expired", None, None)
    audited = "SELECT count(*) FROM audit_entries WHERE subject_id = :id AND action = 'person_transfer.declined'"
    assert await db.scalar(text(audited), {"id": asked}) == 0
