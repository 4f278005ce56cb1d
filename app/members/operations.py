"""Writes of member rows. Each function has the rule, the SQL, the audit entry and the outgoing event of one write.

`unit_memberships` has the writes of unit memberships.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.core.search import spell_person
from app.database.db import on_constraint
from app.members import queries
from app.members.activation import ACTIVATION_DUE, activate_member, deactivate_member, lock_accounts_and_phones
from app.members.encryption import encrypt_phone_if_any
from app.members.errors import MemberWithoutPhone, PartyMembersOnly, PhoneExists
from app.members.locks import lock_member, require_not_admin
from app.members.schemas import MemberCreate, MemberOut, MemberUpdate
from app.members.superseded_requests import supersede_requests_of_removed
from app.messages.delivery import build_insert
from app.messages.kinds import MessageKind
from app.orgs.errors import UnknownUnit
from app.orgs.locks import lock_org_shared
from app.orgs.names import Kind
from app.schema.members import Member
from app.web.errors import Unavailable
from app.web.etags import ReadVersion

# One statement inserts the row, its unit memberships and its activation. The account is known before the insert,
# because the account and the phone are locked. If the phone is in the directory, nothing is inserted.
_ADD = text(f"""
WITH added AS (
    INSERT INTO members (
        org_id, id, user_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party,
        probationary, post
    )
    SELECT org_id, id, (SELECT u.id FROM users AS u WHERE {ACTIVATION_DUE}), name, :pinyin, :initials, :phone_cipher,
        phone_index, :phone_last4_index, :party, :probationary, :post
    FROM (
        SELECT CAST(:org_id AS uuid) AS org_id, CAST(:id AS uuid) AS id, CAST(:name AS text) AS name,
            CAST(:phone_index AS bytea) AS phone_index, CAST(NULL AS uuid) AS user_id,
            CAST(NULL AS timestamptz) AS removed_at
    ) AS m
    ON CONFLICT (org_id, phone_index) WHERE removed_at IS NULL DO NOTHING
    RETURNING org_id, id, user_id
), memberships AS (
    INSERT INTO unit_memberships (org_id, member_id, unit_id)
    SELECT DISTINCT org_id, id, unit_id FROM added, unnest(CAST(:units AS uuid[])) AS units (unit_id)
), activated AS (
    INSERT INTO activations (org_id, member_id, user_id)
    SELECT org_id, id, user_id FROM added WHERE user_id IS NOT NULL
), messages AS (
    {build_insert(MessageKind.ROW_LINKED, "FROM added AS s WHERE s.user_id IS NOT NULL AND s.user_id <> :actor_id")}
)
SELECT id FROM added
""")  # noqa: S608 — a constant


async def create_member(db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: MemberCreate) -> MemberOut:
    """Add a person to the org's directory. The row is active at once if a registered user has the phone.

    The row of a person without a mobile phone is never active. Several rows without a phone can have the same name.

    Locks the org, the account and the phone. Raises PhoneExists, which contains the member that has the phone;
    PartyMembersOnly; UnknownUnit; and Unavailable if another transaction links the account in the same org.
    """
    await lock_org_shared(db, scope)
    party = _get_party_flag(scope, True if body.probationary else body.party)
    indexer = await lock_index_key(db, cipher)
    index = None if body.phone is None else indexer.index_phone(body.phone)
    await lock_accounts_and_phones(db, index)
    about = {"party": party, "probationary": body.probationary, "post": body.post}
    units: Sequence[UUID | None] = body.unit_ids or [None]
    member_id = await insert_member(db, indexer, scope, name=body.name, phone=body.phone, about=about, units=units)
    if member_id is None:
        assert index is not None, "a row without a phone conflicts with none"
        raise await make_phone_exists(db, cipher, scope.org_id, index)
    return await queries.get_member(db, cipher, scope.org_id, member_id)


async def insert_member(
    db: AsyncConnection,
    indexer: BlindIndexer,
    scope: OrgScope,
    *,
    name: str,
    phone: str | None,
    about: Mapping[str, Any],
    units: Sequence[UUID | None],
) -> UUID | None:
    """Insert a person's row, with units (None: the org itself), activation and audit entry. `about` are the
    columns `party`, `probationary` and `post`.

    Return its id, or None if the directory has the phone.

    The caller has locked the org, the index key, the account and the phone, and has checked the rule about the party.
    Raises UnknownUnit, and Unavailable if another transaction links the account in the same org.
    """
    member_id = make_id()
    encrypted = encrypt_phone_if_any(indexer, scope.org_id, member_id, phone)
    row = {"org_id": scope.org_id, "id": member_id, **about, **_make_name_columns(name), **encrypted}
    with on_constraint(("unit_memberships_unit_fkey", UnknownUnit), ("members_org_id_user_id_key", Unavailable)):
        added = await db.scalar(_ADD, {**row, "units": units, "actor_id": scope.user.user_id})
    if added is None:
        return None
    after = {"name": name, "party": about["party"], "unit_ids": [str(unit) for unit in units if unit is not None]}
    after |= {column: value for column, value in about.items() if value}
    await record(db, scope.actor, "member.added", org_id=scope.org_id, subject=("member", member_id), after=after)
    return member_id


_WHICH = (Member.org_id == bindparam("of_org"), Member.id == bindparam("member_id"))
# The statement also sets the columns that its parameters name.
_UPDATE = update(Member).where(*_WHICH).values(version=Member.version + 1)
_NOW = select(func.clock_timestamp())
_REMOVE = text("""
WITH ended AS (
    UPDATE unit_memberships SET until = :now WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
)
UPDATE members SET removed_at = :now, version = version + 1 WHERE org_id = :org_id AND id = :member_id
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def update_member(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID, body: MemberUpdate, version: ReadVersion
) -> MemberOut:
    """Edit a row. The account and its points do not change (S20).

    Locks the org, the accounts and phones (the old and the new one), then the row. Raises NotFound, EditedMeanwhile,
    PhoneExists, PartyMembersOnly, and MemberIsAdmin if the phone of an admin's row would change.
    """
    await lock_org_shared(db, scope)
    indexer = await lock_index_key(db, cipher)
    # The row's phone and its new phone are locked before the row. Registration uses the same order.
    new = [] if body.phone is None else [indexer.index_phone(body.phone)]
    locked = await lock_accounts_and_phones(db, *new, of_member=(scope.org_id, member_id))
    before = await lock_member(db, scope.org_id, member_id, version)
    if before.phone_index not in locked:  # another transaction changed the phone between the two locks
        await lock_accounts_and_phones(db, before.phone_index)
    values: dict[str, Any] = {}
    if body.name is not None and body.name != before.name:
        values |= _make_name_columns(body.name)
    party = True if body.probationary else body.party
    if party is not None and party != before.party:
        values["party"] = _get_party_flag(scope, party)
    probationary = False if party is False else body.probationary
    if probationary is not None and probationary != before.probationary:
        values["probationary"] = probationary
    if body.has_post and body.post != before.post:
        values["post"] = body.post
    index = before.phone_index
    phone = encrypt_phone_if_any(indexer, scope.org_id, member_id, body.phone)
    if phone["phone_index"] != index and (body.phone is not None or body.no_phone):
        await require_not_admin(db, scope.org_id, before)
        index = phone["phone_index"]
        if index is None:
            await deactivate_member(db, scope.org_id, member_id)
        elif await queries.find_member_by_phone(db, cipher, scope.org_id, index) is not None:
            raise await make_phone_exists(db, cipher, scope.org_id, index)
        values |= phone
    if values:
        with on_constraint(("members_org_id_phone_index_key", PhoneExists)):
            await db.execute(_UPDATE, {"of_org": scope.org_id, "member_id": member_id, **values})
        if values.keys() - {"party", "probationary", "post"}:
            await activate_member(db, scope.org_id, member_id, active=before.user_id is not None and index is not None)
        shown = {name: values[name] for name in ("name", "party", "probationary", "post") if name in values}
        phone_change = {"phone": "removed" if index is None else "changed"} if index != before.phone_index else {}
        await record(
            db,
            scope.actor,
            "member.edited",
            org_id=scope.org_id,
            subject=("member", member_id),
            before={name: getattr(before, name) for name in shown},
            after=shown | phone_change,
        )
    return await queries.get_member(db, cipher, scope.org_id, member_id)


async def remove_member(db: AsyncConnection, scope: OrgScope, member_id: UUID, version: ReadVersion) -> None:
    """Remove a person from the directory. The account and its points do not change (S20).

    Locks the org and the row. Raises NotFound, EditedMeanwhile, MemberIsAdmin.
    """
    await lock_org_shared(db, scope)
    before = await lock_member(db, scope.org_id, member_id, version)
    await require_not_admin(db, scope.org_id, before)
    await deactivate_member(db, scope.org_id, member_id)
    # The time is read under the row lock: the previous lock holder may have added a unit membership after this
    # transaction started.
    now = await db.scalar(_NOW)
    await db.execute(_REMOVE, {"org_id": scope.org_id, "member_id": member_id, "now": now})
    await supersede_requests_of_removed(db, scope.org_id, scope.actor)
    subject = ("member", member_id)
    await record(db, scope.actor, "member.removed", org_id=scope.org_id, subject=subject, before={"name": before.name})


async def disclose_phone(db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID) -> str:
    """Return the whole phone number, and record the disclosure in the audit log. Raises NotFound, MemberWithoutPhone.

    Locks the org and the row.
    """
    await lock_org_shared(db, scope)
    row = await lock_member(db, scope.org_id, member_id, None)
    if row.phone_cipher is None:
        raise MemberWithoutPhone
    subject = ("member", member_id)
    await record(db, scope.actor, "member.phone_disclosed", org_id=scope.org_id, subject=subject)
    return cipher.decrypt_text(row.phone_cipher, member_id)


async def search_by_phone(db: AsyncConnection, cipher: Cipher, scope: OrgScope, phone: str) -> MemberOut | None:
    """Return the live row of the org that has the phone, or None. The audit log gets an entry, because the result
    reveals whose number it is.

    Locks the org and the index key.
    """
    await lock_org_shared(db, scope)
    indexer = await lock_index_key(db, cipher)
    found = await queries.find_member_by_phone(db, cipher, scope.org_id, indexer.index_phone(phone))
    subject = ("member", None if found is None else found.id)
    await record(db, scope.actor, "member.searched_by_phone", org_id=scope.org_id, subject=subject)
    return found


def _make_name_columns(name: str) -> dict[str, str]:
    return {"name": name, **spell_person(name)._asdict()}


def _get_party_flag(scope: OrgScope, given: bool | None) -> bool:
    """Return the party flag of a person: the given one, or the default of the org's kind. Raises PartyMembersOnly."""
    of_party = scope.org.kind == Kind.PARTY
    if of_party and given is False:
        raise PartyMembersOnly
    return of_party if given is None else given


async def make_phone_exists(db: AsyncConnection, cipher: Cipher, org_id: UUID, phone_index: bytes) -> PhoneExists:
    """Return the error with the member that has the phone and the call that copies them."""
    member = await queries.find_member_by_phone(db, cipher, org_id, phone_index)
    if member is None:  # another transaction removed the member between the two statements
        return PhoneExists()
    copy = {"method": "POST", "href": f"/v1/orgs/{org_id}/members/{member.id}/copies", "body": {"unit_id": "…"}}
    return PhoneExists(member=member.model_dump(mode="json"), copy=copy)
