"""Rules for all kinds of approval: their descriptions, their end when an org closes, their expiry."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.approvals.kinds import ADMIN_INVITATION, KINDS, LINK_REQUEST, PERSON_TRANSFER, PROMOTION, Kind
from app.approvals.reasons import ORG_CLOSED
from app.approvals.requests import expire_overdue
from app.core.i18n import gettext_in
from app.inbox.schemas import InboxOut
from app.schema.approvals import Approval
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
from tests.people import People, Person, fresh_org_name

NAMES = [kind.name for kind in KINDS]


def tables(of: type[Approval]) -> Iterator[type[Approval]]:
    for table in of.__subclasses__():
        yield from tables(table) if table.__dict__.get("__abstract__") else [table]


def test_every_approval_table_has_one_kind() -> None:
    assert sorted(table.__name__ for table in tables(Approval)) == sorted(kind.table.__name__ for kind in KINDS)
    assert len(set(NAMES)) == len(KINDS)
    entries = InboxOut.model_json_schema()["$defs"]["InboxEntryOut"]["properties"]["kind"]["enum"]
    assert set(entries) == {*NAMES, "recovery", "recovery-offer"}


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
async def test_unique_index_of_a_kind_has_its_unique_columns(kind: Kind, db: AsyncConnection) -> None:
    statement = """
        SELECT array_agg(a.attname::text), bool_and(i.indisunique), min(pg_get_expr(i.indpred, i.indrelid))
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indexrelid = to_regclass(:name)
    """
    name = f"{kind.table.__tablename__}_one_open_key"
    columns, unique, where = (await db.execute(text(statement), {"name": name})).one()
    assert set(columns) == {column.key for column in kind.unique_columns}
    assert (unique, where) == (True, "(state = 'pending'::text)")


class Closing:
    """An org that has made and received requests of every kind and is then closed."""

    def __init__(self, people: People, db: AsyncConnection) -> None:
        self._people, self._db = people, db
        self.requests: dict[str, str] = {}  # the ids by description

    async def set_up(self) -> None:
        register = self._people.register
        self.superior_admin, self.founder, self.second, self.other, self.learner = [await register() for _ in range(5)]
        self.superior, self.org = await self.superior_admin.create_org(), await self.founder.create_org()
        self.elsewhere, self.applicant = await self.other.create_org(), await self.other.create_org()
        self.coming = await self.other.create_org()
        await add_admin(self.founder, self.org, self.second)
        for org, person in ((self.org, self.founder), (self.coming, self.other)):
            await certify(self.superior_admin, self.superior, person, org)
        made = self.requests
        made["rename"] = get_body(
            await send_change_request(self.founder, self.org, kind="rename", name=fresh_org_name()), 201
        )["id"]
        made["recovery"] = get_body(await send_change_request(self.second, self.org, kind="recovery"), 201)["id"]
        made["own transfer"] = await self._transfer(self.founder, self.org, self.other, self.elsewhere)
        made["transfer to it"] = await self._transfer(self.other, self.coming, self.founder, self.org)
        token = (await invite(self.founder, self.org))["token"]
        made["application"] = get_body(await send_application(self.other, self.applicant, token), 201)["id"]
        made["invitation"] = (await invite_admin(self.founder, self.org, self.learner))["id"]
        unit = await add_unit(self.founder, self.org, "第一支部")
        offered = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": self.learner.phone}}
        path = f"/v1/orgs/{self.org['id']}/promotions"
        made["promotion"] = get_body(await self.founder.post(path, json=offered), 201)["id"]
        made["person who leaves"] = await self._person(self.founder, self.org, self.elsewhere)
        made["people who leave"] = await self._group(self.founder, self.org, self.elsewhere)
        made["people who come"] = await self._group(self.other, self.elsewhere, self.org)
        made["person who comes"] = await self._person(self.other, self.elsewhere, self.org)
        created = await self.learner.post("/v1/me/link-requests", json={"org_id": self.org["id"]})
        made["link"] = get_body(created, 201)["id"]

    async def _transfer(self, person: Person, org: Json, host: Person, to: Json) -> str:
        body = {"invitation_token": (await invite(host, to))["token"]}
        created: Json = get_body(await person.post(f"/v1/orgs/{org['id']}/transfers", json=body), 201)
        return str(created["id"])

    async def _person(self, person: Person, org: Json, to: Json) -> str:
        member = await add_member(person, org)
        path = f"/v1/orgs/{org['id']}/members/{member['id']}/transfers"
        return str(get_body(await person.post(path, json={"org_id": to["id"]}), 201)["id"])

    async def _group(self, person: Person, org: Json, to: Json) -> str:
        body = {"org_id": to["id"], "member_ids": [(await add_member(person, org))["id"]]}
        return str(get_body(await person.post(f"/v1/orgs/{org['id']}/group-transfers", json=body), 201)["id"])

    async def rows(self) -> dict[str, Json]:
        """Return the stored rows of all these requests, by description."""
        found: dict[str, Json] = {}
        for kind in KINDS:
            statement = f"SELECT id::text, to_jsonb(t) AS row FROM {kind.table.__tablename__} t WHERE id = ANY (:ids)"
            ids = list(self.requests.values())
            found |= {row.id: row.row for row in await self._db.execute(text(statement), {"ids": ids})}
        return {what: found[identity] for what, identity in self.requests.items()}


@pytest.fixture
async def closing(people: People, db: AsyncConnection) -> Closing:
    scene = Closing(people, db)
    await scene.set_up()
    return scene


async def test_closing_withdraws_own_requests_and_declines_received_ones(closing: Closing) -> None:
    assert {row["state"] for row in (await closing.rows()).values()} == {"pending"}
    get_body(await closing.founder.put(f"/v1/orgs/{closing.org['id']}/closure"))
    rows = await closing.rows()
    assert {what: row["state"] for what, row in rows.items()} == {
        "rename": "withdrawn",
        "recovery": "withdrawn",
        "own transfer": "superseded",  # because the certification that it would end has ended
        "transfer to it": "declined",
        "application": "declined",
        "invitation": "withdrawn",
        "promotion": "withdrawn",
        "person who leaves": "withdrawn",
        "people who leave": "withdrawn",
        "people who come": "declined",
        "person who comes": "declined",
        "link": "declined",
    }
    declined = ("transfer to it", "application", "person who comes", "people who come", "link")
    assert {rows[what]["reason"] for what in declined} == {ORG_CLOSED}
    assert {rows[what]["decided_by"] for what in declined} == {closing.founder.user_id}
    assert all(row["decided_at"] is not None for row in rows.values())
    assert [rows[what]["phone_cipher"] for what in ("invitation", "promotion")] == [None, None]
    assert (rows["link"]["name_key"], rows["link"]["pinyin"]) == (None, None)
    # The requester can read the reason and gets an event. Only the closed org's own audit names the person who closed.
    for org, action in (
        (closing.applicant, "application.declined"),
        (closing.coming, "transfer.declined"),
        (closing.elsewhere, "person_transfer.declined"),
    ):
        assert action in await list_actions(closing.other, org)
        audit = (await closing.other.get(f"/v1/orgs/{org['id']}/audit")).text
        assert closing.founder.user_id not in audit
    (request,) = await list_all(closing.learner, "/v1/me/link-requests")
    assert (request["state"], request["reason"]) == ("declined", gettext_in("en", ORG_CLOSED))
    for person in (closing.superior_admin, closing.other, closing.learner):
        assert get_body(await person.get("/v1/inbox"))["total"] == 0


async def test_overdue_requests_expire_and_personal_columns_are_erased(
    closing: Closing, engine: AsyncEngine, db: AsyncConnection
) -> None:
    overdue = {"rename", "invitation", "promotion", "person who leaves", "link"}
    for kind in KINDS:
        if kind.lifetime is not None:
            past = (
                f"UPDATE {kind.table.__tablename__} SET expires_at = now() - interval '1 second' WHERE id = ANY (:ids)"
            )
            await db.execute(text(past), {"ids": [closing.requests[what] for what in overdue]})
    before = await closing.rows()
    async with asyncio.timeout(20), engine.begin() as deciding:
        locked = "SELECT FROM promotions WHERE id = :id FOR UPDATE"
        await deciding.execute(text(locked), {"id": closing.requests["promotion"]})
        async with engine.begin() as connection:
            assert await expire_overdue(connection, 3) == 3
        async with engine.begin() as connection:
            assert await expire_overdue(connection, 1000) >= 1
        assert (await closing.rows())["promotion"]["state"] == "pending"  # a decision has locked it
    async with engine.begin() as connection:
        await expire_overdue(connection, 1000)
    rows = await closing.rows()
    assert {what for what, row in rows.items() if row["state"] == "expired"} == overdue
    for what, row in rows.items():
        if what in overdue:
            assert row["decided_at"] == row["expires_at"] == before[what]["expires_at"]
        else:
            assert row == before[what]
    for kind, what in ((ADMIN_INVITATION, "invitation"), (PROMOTION, "promotion"), (LINK_REQUEST, "link")):
        assert [rows[what][column.key] for column in kind.erased] == [None] * len(kind.erased)
    assert PERSON_TRANSFER.erased == ()
