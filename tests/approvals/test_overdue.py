"""An overdue request cannot be decided, and every kind reports it with its own error."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.approvals.kinds import (
    ADMIN_INVITATION,
    CHANGE_REQUEST,
    CLOSURE,
    GROUP_TRANSFER,
    JOIN_REQUEST,
    KINDS,
    LINK_REQUEST,
    MERGER,
    PERSON_TRANSFER,
    PROMOTION,
    REMOVAL_REQUEST,
    Kind,
)
from app.approvals.requests import expire_overdue
from tests.acts import (
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    get_refusal,
    invite_admin,
    send_change_request,
)
from tests.auth.test_accounts import close_account
from tests.people import People, fresh_org_name, fresh_phone

Act = Callable[[], Awaitable[httpx.Response]]
PROBLEMS = {
    CHANGE_REQUEST: (410, "change-request-expired"),
    ADMIN_INVITATION: (410, "admin-invitation-expired"),
    PROMOTION: (410, "promotion-expired"),
    LINK_REQUEST: (409, "link-request-decided"),
    PERSON_TRANSFER: (409, "person-transfer-decided"),
    GROUP_TRANSFER: (409, "group-transfer-decided"),
    JOIN_REQUEST: (409, "join-request-decided"),
    REMOVAL_REQUEST: (409, "removal-request-decided"),
    CLOSURE: (404, "not-found"),
    MERGER: (410, "merger-expired"),
}


async def create_request(kind: Kind, people: People) -> tuple[str, dict[str, Act]]:
    """Create a pending request of this kind. Return its id and its possible actions by name."""
    decider, requester, learner = [await people.register() for _ in range(3)]
    superior, org = await decider.create_org(), await requester.create_org()
    at = f"/v1/orgs/{org['id']}"
    reason = {"reason": "材料不全"}
    if kind is CHANGE_REQUEST:
        await certify(decider, superior, requester, org)
        request_id = get_body(await send_change_request(requester, org, kind="rename", name=fresh_org_name()), 201)[
            "id"
        ]
        received = f"/v1/orgs/{superior['id']}/change-requests/{request_id}"
        acts: dict[str, Act] = {
            "withdraw": lambda: requester.delete(f"{at}/change-requests/{request_id}"),
            "decline": lambda: decider.put(f"{received}/refusal", json=reason),
            "accept": lambda: decider.put(f"{received}/approval"),
        }
    elif kind is ADMIN_INVITATION:
        request_id = (await invite_admin(requester, org, learner))["id"]
        own = f"/v1/me/admin-invitations/{request_id}"
        acts = {
            "withdraw": lambda: requester.delete(f"{at}/admin-invitations/{request_id}"),
            "decline": lambda: learner.put(f"{own}/refusal"),
            "accept": lambda: learner.put(f"{own}/acceptance"),
        }
    elif kind is PROMOTION:
        unit = await add_unit(requester, org, "第一支部")
        body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": learner.phone}}
        request_id = get_body(await requester.post(f"{at}/promotions", json=body), 201)["id"]
        own = f"/v1/me/promotions/{request_id}"
        acts = {
            "withdraw": lambda: requester.delete(f"{at}/promotions/{request_id}"),
            "decline": lambda: learner.put(f"{own}/refusal"),
            "accept": lambda: learner.put(f"{own}/acceptance"),
        }
    elif kind is LINK_REQUEST:
        await add_member(requester, org, name=learner.name, phone=fresh_phone())
        request_id = get_body(await learner.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)["id"]
        acts = {
            "withdraw": lambda: learner.delete(f"/v1/me/link-requests/{request_id}"),
            "decline": lambda: requester.put(f"{at}/link-requests/{request_id}/refusal", json=reason),
            "accept": lambda: requester.put(f"{at}/link-requests/{request_id}/acceptance"),
        }
    elif kind in (JOIN_REQUEST, REMOVAL_REQUEST):
        if kind is REMOVAL_REQUEST:
            await add_member(requester, org, name=learner.name, phone=learner.phone)
        mine, received = f"/v1/me/{kind.name}s", f"{at}/{kind.name}s"
        request_id = get_body(await learner.post(mine, json={"org_id": org["id"]}), 201)["id"]
        acts = {
            "withdraw": lambda: learner.delete(f"{mine}/{request_id}"),
            "decline": lambda: requester.put(f"{received}/{request_id}/refusal", json=reason),
            "accept": lambda: requester.put(f"{received}/{request_id}/acceptance"),
        }
    elif kind is CLOSURE:
        await add_admin(requester, org, learner)
        request_id = get_body(await learner.put(f"{at}/closure"), 202)["id"]
        # The main admin can close the org without a request.
        acts = {
            "withdraw": lambda: learner.delete(f"{at}/closure"),
            "decline": lambda: requester.delete(f"{at}/closure"),
        }
    elif kind is MERGER:
        merger = get_body(await requester.post(f"{at}/mergers", json={"org_id": superior["id"]}), 201)
        request_id, preview = merger["id"], {"preview": merger["preview"]["version"]}
        received = f"/v1/orgs/{superior['id']}/mergers/{request_id}"
        acts = {
            "withdraw": lambda: requester.delete(f"{at}/mergers/{request_id}"),
            "decline": lambda: decider.put(f"{received}/refusal", json=reason),
            "accept": lambda: decider.put(f"{received}/acceptance", json=preview),
        }
    else:
        member = await add_member(requester, org)
        transfers, body = f"{kind.name}s", {"org_id": superior["id"]}
        asking = f"{at}/members/{member['id']}/transfers"
        if kind is GROUP_TRANSFER:
            asking, body = f"{at}/{transfers}", body | {"member_ids": [member["id"]]}
        request_id = get_body(await requester.post(asking, json=body), 201)["id"]
        received = f"/v1/orgs/{superior['id']}/{transfers}/{request_id}"
        acts = {
            "withdraw": lambda: requester.delete(f"{at}/{transfers}/{request_id}"),
            "decline": lambda: decider.put(f"{received}/refusal", json=reason),
            "accept": lambda: decider.put(f"{received}/acceptance"),
        }
    return request_id, acts


async def make_overdue(engine: AsyncEngine, kind: Kind, request_id: str) -> None:
    async with engine.begin() as connection:
        past = f"UPDATE {kind.table.__tablename__} SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": request_id})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.lifetime is not None], ids=lambda kind: kind.name)
async def test_overdue_request_cannot_be_withdrawn_declined_or_accepted(
    kind: Kind, people: People, engine: AsyncEngine, db: AsyncConnection
) -> None:
    request_id, acts = await create_request(kind, people)
    await make_overdue(engine, kind, request_id)
    state = text(f"SELECT state FROM {kind.table.__tablename__} WHERE id = :id")
    for stored in ("pending", "expired"):  # before and after the clean-up
        assert await db.scalar(state, {"id": request_id}) == stored
        for name, act in acts.items():
            answer = await act()
            problem = PROBLEMS[kind]
            if kind is LINK_REQUEST and stored == "expired" and name != "withdraw":
                problem = (404, "not-found")  # its name is erased, so it matches no row
            assert answer.status_code == problem[0], (name, stored, answer.text)
            assert get_refusal(answer) == problem
            assert await db.scalar(state, {"id": request_id}) == stored
        async with engine.begin() as connection:
            await expire_overdue(connection, 1000)


async def test_overdue_offer_is_not_found_by_its_invitee(people: People, engine: AsyncEngine) -> None:
    admin, person = await people.register(), await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "第一支部")
    body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": person.phone}}
    offer = get_body(await admin.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
    for kind, created, path in (
        (ADMIN_INVITATION, await invite_admin(admin, org, person), "/v1/me/admin-invitations"),
        (PROMOTION, offer, "/v1/me/promotions"),
    ):
        get_body(await person.get(f"{path}/{created['id']}"))
        await make_overdue(engine, kind, created["id"])
        assert get_refusal(await person.get(f"{path}/{created['id']}")) == (404, "not-found")


async def test_concurrent_withdrawal_and_acceptance_of_a_link_request_have_a_known_error(people: People) -> None:
    for _ in range(20):
        _, acts = await create_request(LINK_REQUEST, people)
        accepted, _ = await asyncio.gather(acts["accept"](), acts["withdraw"]())
        assert accepted.is_success or get_refusal(accepted)[1] in {"not-found", "link-request-decided"}, accepted.text


async def test_closing_an_account_erases_the_name_of_an_overdue_link_request(
    people: People, engine: AsyncEngine, db: AsyncConnection
) -> None:
    admin, person = await people.register(), await people.register()
    org = await admin.create_org()
    request_id = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)["id"]
    await make_overdue(engine, LINK_REQUEST, request_id)
    await close_account(person)
    row = await db.execute(text("SELECT state, name_key, pinyin FROM link_requests WHERE id = :id"), {"id": request_id})
    assert tuple(row.one()) == ("expired", None, None)


async def test_overdue_request_to_a_closing_org_expires(
    people: People, engine: AsyncEngine, db: AsyncConnection
) -> None:
    giver, taker = await people.register(), await people.register()
    org, to = await giver.create_org(), await taker.create_org()
    member = await add_member(giver, org)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}/transfers"
    request_id = get_body(await giver.post(path, json={"org_id": to["id"]}), 201)["id"]
    await make_overdue(engine, PERSON_TRANSFER, request_id)
    get_body(await taker.put(f"/v1/orgs/{to['id']}/closure"))
    row = await db.execute(
        text("SELECT state, reason, decided_by FROM person_transfers WHERE id = :id"), {"id": request_id}
    )
    assert tuple(row.one()) == ("expired", None, None)
    audited = "SELECT count(*) FROM audit_entries WHERE subject_id = :id AND action = 'person_transfer.declined'"
    assert await db.scalar(text(audited), {"id": request_id}) == 0
