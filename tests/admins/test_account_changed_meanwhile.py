"""An account is closed, or its user leaves the party, while the user becomes an admin: the request is refused."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import add_unit, get_body, get_refusal, invite_admin
from tests.meanwhile import Act, answer_after_change
from tests.people import People, Person, fresh_org_name

# As `close_account` leaves the row.
_CLOSE = """
UPDATE users SET status = 'closed', phone_index = NULL, phone_cipher = NULL, verified_name = NULL, verified_at = NULL,
    verification_method = NULL, id_number_index = NULL, party_member = false
WHERE id = :id
"""
# As `PATCH /v1/me` leaves it.
_LEAVE_PARTY = "UPDATE users SET party_member = false WHERE id = :id"


async def accept_invitation(founder: Person, person: Person) -> Act:
    org = await founder.create_org()
    invitation = await invite_admin(founder, org, person)
    return lambda: person.put(f"/v1/me/admin-invitations/{invitation['id']}/acceptance")


async def accept_promotion(founder: Person, person: Person) -> Act:
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": person.phone}}
    promotion = get_body(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
    return lambda: person.put(f"/v1/me/promotions/{promotion['id']}/acceptance")


async def create_org(_: Person, person: Person) -> Act:
    return lambda: person.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "320102"})


@pytest.mark.parametrize(
    ("change", "refusal"), [(_CLOSE, (401, "unauthorized")), (_LEAVE_PARTY, (403, "party-member-required"))]
)
@pytest.mark.parametrize("prepare", [accept_invitation, accept_promotion, create_org])
async def test_request_of_an_account_that_changes_meanwhile_is_refused(
    people: People,
    engine: AsyncEngine,
    prepare: Callable[[Person, Person], Awaitable[Act]],
    change: str,
    refusal: tuple[int, str],
) -> None:
    founder, person = await people.register(), await people.register()
    act = await prepare(founder, person)
    answer = await answer_after_change(engine, act, change, parameters={"id": person.user_id})
    assert get_refusal(answer) == refusal
    async with engine.connect() as db:
        administers = text("SELECT count(*) FROM org_admins WHERE user_id = :id")
        assert await db.scalar(administers, {"id": person.user_id}) == 0
