"""Writes of people's rows in an org's directory: the rule, the SQL, the audit entry and the outgoing event, in one
function each. Where people stand is `unit_memberships`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.core.search import spell_person
from app.database.db import on_constraint
from app.members import queries
from app.members.activation import DUE, activate_member, deactivate_member, lock_accounts_and_phones
from app.members.encryption import seal_phone
from app.members.errors import PartyMembersOnly, PhoneExists
from app.members.locks import lock_member, refuse_admin
from app.members.schemas import MemberCreate, MemberOut, MemberUpdate
from app.members.transfers.operations import supersede_transfers_of_removed
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_org_shared
from app.orgs.names import Kind
from app.schema.members import Member
from app.web.errors import Unavailable

# The row, where it stands, and what it is active through: the account is known before the row is written, as it and its
# phone are locked. Nothing is written where the phone is in the directory.
_ADD = text(f"""
WITH added AS (
    INSERT INTO members (
        org_id, id, user_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party
    )
    SELECT org_id, id, (SELECT u.id FROM users AS u WHERE {DUE}), name, :pinyin, :initials, :phone_cipher, phone_index,
        :phone_last4_index, :party
    FROM (
        SELECT CAST(:org_id AS uuid) AS org_id, CAST(:id AS uuid) AS id, CAST(:name AS text) AS name,
            CAST(:phone_index AS bytea) AS phone_index, CAST(NULL AS uuid) AS user_id,
            CAST(NULL AS timestamptz) AS removed_at
    ) AS m
    ON CONFLICT (org_id, phone_index) WHERE removed_at IS NULL DO NOTHING
    RETURNING org_id, id, user_id
), placed AS (
    INSERT INTO unit_memberships (org_id, member_id, unit_id)
    SELECT DISTINCT org_id, id, unit_id FROM added, unnest(CAST(:units AS uuid[])) AS units (unit_id)
), activated AS (
    INSERT INTO activations (org_id, member_id, user_id)
    SELECT org_id, id, user_id FROM added WHERE user_id IS NOT NULL
)
SELECT id FROM added
""")  # noqa: S608 — a constant


async def create_member(db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: MemberCreate) -> MemberOut:
    """Add a person by hand; active at once where a registered user holds the phone (S8, S17, S18).

    Raises PhoneExists with who has the phone, PartyMembersOnly, UnknownUnit.
    """
    await lock_org_shared(db, scope)
    party = _party_flag(scope, body.party)
    member_id = make_id()
    sealed = seal_phone(await lock_index_key(db, cipher), scope.org_id, member_id, body.phone)
    await lock_accounts_and_phones(db, sealed["phone_index"])
    units: Sequence[UUID | None] = body.unit_ids or [None]
    row = {"org_id": scope.org_id, "id": member_id, "party": party, **_named(body.name), **sealed}
    with on_constraint(("unit_memberships_unit_fkey", UnknownUnit), ("members_org_id_user_id_key", Unavailable)):
        added = await db.scalar(_ADD, {**row, "units": units})
    if added is None:
        raise await _phone_exists(db, cipher, scope.org_id, sealed["phone_index"])
    after = {"name": body.name, "party": party, "unit_ids": [str(unit) for unit in body.unit_ids]}
    await record(db, scope.actor, "member.added", org_id=scope.org_id, subject=("member", member_id), after=after)
    return await queries.get_member(db, cipher, scope.org_id, member_id)


_WHICH = (Member.org_id == bindparam("of_org"), Member.id == bindparam("member_id"))
# It sets the columns that it is run with.
_UPDATE = update(Member).where(*_WHICH).values(version=Member.version + 1)
_NOW = select(func.clock_timestamp())
_LEAVE = text("""
WITH left_places AS (
    UPDATE unit_memberships SET until = :now WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
)
UPDATE members SET removed_at = :now, version = version + 1 WHERE org_id = :org_id AND id = :member_id
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def update_member(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID, body: MemberUpdate, version: int | None
) -> MemberOut:
    """Edit a row; the account and its points stay as they are (S20).

    Raises NotFound, EditedMeanwhile, PhoneExists, PartyMembersOnly, MemberIsAdmin (an admin's phone is theirs).
    """
    await lock_org_shared(db, scope)
    indexer = await lock_index_key(db, cipher)
    # The row's phone and the one that it is to have, before the row itself, as registering does.
    new = [] if body.phone is None else [indexer.index_phone(body.phone)]
    locked = await lock_accounts_and_phones(db, *new, of_member=(scope.org_id, member_id))
    before = await lock_member(db, scope.org_id, member_id, version)
    if before.phone_index not in locked:  # changed between the two
        await lock_accounts_and_phones(db, before.phone_index)
    values: dict[str, Any] = {}
    if body.name is not None and body.name != before.name:
        values |= _named(body.name)
    if body.party is not None and body.party != before.party:
        values["party"] = _party_flag(scope, body.party)
    index = before.phone_index
    if body.phone is not None and indexer.index_phone(body.phone) != index:
        await refuse_admin(db, scope.org_id, before)
        sealed = seal_phone(indexer, scope.org_id, member_id, body.phone)
        index = sealed["phone_index"]
        if await queries.find_member_by_phone(db, cipher, scope.org_id, index) is not None:
            raise await _phone_exists(db, cipher, scope.org_id, index)
        values |= sealed
    if values:
        with on_constraint(("members_org_id_phone_index_key", PhoneExists)):
            await db.execute(_UPDATE, {"of_org": scope.org_id, "member_id": member_id, **values})
        if values.keys() != {"party"}:
            await activate_member(db, scope.org_id, member_id, active=before.user_id is not None)
        shown = {name: values[name] for name in ("name", "party") if name in values}
        phone = {"phone": "changed"} if index != before.phone_index else {}
        await record(
            db,
            scope.actor,
            "member.edited",
            org_id=scope.org_id,
            subject=("member", member_id),
            before={name: getattr(before, name) for name in shown},
            after=shown | phone,
        )
    return await queries.get_member(db, cipher, scope.org_id, member_id)


async def remove_member(db: AsyncConnection, scope: OrgScope, member_id: UUID, version: int | None) -> None:
    """Take a person out of the directory; the account and its points stay (S20). Raises NotFound, MemberIsAdmin."""
    await lock_org_shared(db, scope)
    before = await lock_member(db, scope.org_id, member_id, version)
    await refuse_admin(db, scope.org_id, before)
    await deactivate_member(db, scope.org_id, member_id)
    # Now that the row is held: whoever had it before may have placed the person after this transaction began.
    now = await db.scalar(_NOW)
    await db.execute(_LEAVE, {"org_id": scope.org_id, "member_id": member_id, "now": now})
    await supersede_transfers_of_removed(db, scope.org_id)
    subject = ("member", member_id)
    await record(db, scope.actor, "member.removed", org_id=scope.org_id, subject=subject, before={"name": before.name})


async def disclose_phone(db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID) -> str:
    """The whole phone number; that it was shown is audited in the same transaction. Raises NotFound."""
    await lock_org_shared(db, scope)
    row = await lock_member(db, scope.org_id, member_id, None)
    subject = ("member", member_id)
    await record(db, scope.actor, "member.phone_disclosed", org_id=scope.org_id, subject=subject)
    return cipher.decrypt_text(row.phone_cipher, member_id)


def _named(name: str) -> dict[str, str]:
    return {"name": name, **spell_person(name)._asdict()}


def _party_flag(scope: OrgScope, given: bool | None) -> bool:
    of_party = scope.org.kind == Kind.PARTY
    if of_party and given is False:
        raise PartyMembersOnly
    return of_party if given is None else given


async def _phone_exists(db: AsyncConnection, cipher: Cipher, org_id: UUID, phone_index: bytes) -> PhoneExists:
    member = await queries.find_member_by_phone(db, cipher, org_id, phone_index)
    if member is None:  # removed between the two statements
        return PhoneExists()
    copy = {"method": "POST", "href": f"/v1/orgs/{org_id}/members/{member.id}/copies", "body": {"unit_id": "…"}}
    return PhoneExists(member=member.model_dump(mode="json"), copy=copy)
