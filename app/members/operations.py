"""Writes of people's rows in an org's directory: the rule, the SQL, the audit entry and the outgoing event, in one
function each. Where people stand is `places`.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.blind_index.keys import Indexing, lock_index_key
from app.core.cipher import Cipher
from app.core.search import spell_person
from app.database.db import on_constraint
from app.members import queries
from app.members.activation import activate_member, deactivate_member, lock_accounts_and_phones
from app.members.encryption import seal_phone
from app.members.errors import PartyMembersOnly, PhoneExists
from app.members.locks import lock_member, refuse_admin
from app.members.places import place
from app.members.schemas import MemberCreate, MemberOut, MemberUpdate
from app.members.transfers.operations import supersede_transfers_of_removed
from app.orgs.locks import lock_org_shared
from app.orgs.names import Kind
from app.schema.members import Member, Place


async def create_member(db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: MemberCreate) -> MemberOut:
    """Add a person by hand; active at once where a registered user holds the phone (S8, S17, S18).

    Raises PhoneExists with who has the phone, PartyMembersOnly, UnknownUnit.
    """
    await lock_org_shared(db, scope)
    party = _party_flag(scope, body.party)
    member_id: UUID = (await db.execute(select(func.uuidv7()))).scalar_one()
    sealed = seal_phone(await lock_index_key(db, cipher), scope.org_id, member_id, body.phone)
    await lock_accounts_and_phones(db, sealed["phone_index"])
    added = await db.scalar(
        insert(Member)
        .values(org_id=scope.org_id, id=member_id, party=party, **_named(body.name), **sealed)
        .on_conflict_do_nothing(
            index_elements=[Member.org_id, Member.phone_index], index_where=Member.removed_at.is_(None)
        )
        .returning(Member.id)
    )
    if added is None:
        raise await _phone_exists(db, cipher, scope.org_id, sealed["phone_index"])
    await place(db, scope.org_id, member_id, body.unit_ids or [None])
    await activate_member(db, scope.org_id, member_id)
    after = {"name": body.name, "party": party, "unit_ids": [str(unit) for unit in body.unit_ids]}
    await record(db, scope.actor, "member.added", org_id=scope.org_id, subject=("member", member_id), after=after)
    return await queries.get_member(db, cipher, scope.org_id, member_id)


async def update_member(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, member_id: UUID, body: MemberUpdate, version: int | None
) -> MemberOut:
    """Edit a row; the account and its points stay as they are (S20).

    Raises NotFound, EditedMeanwhile, PhoneExists, PartyMembersOnly, MemberIsAdmin (an admin's phone is theirs).
    """
    await lock_org_shared(db, scope)
    indexing = await lock_index_key(db, cipher)
    held = await _lock_phones_of(db, indexing, scope.org_id, member_id, body.phone)
    before = await lock_member(db, scope.org_id, member_id, version)
    if before.phone_index not in held:  # changed between the two
        await lock_accounts_and_phones(db, before.phone_index)
    values: dict[str, Any] = {}
    if body.name is not None and body.name != before.name:
        values |= _named(body.name)
    if body.party is not None and body.party != before.party:
        values["party"] = _party_flag(scope, body.party)
    index = before.phone_index
    if body.phone is not None and indexing.phone(body.phone) != index:
        await refuse_admin(db, scope.org_id, before)
        sealed = seal_phone(indexing, scope.org_id, member_id, body.phone)
        index = sealed["phone_index"]
        if await queries.find_member_by_phone(db, cipher, scope.org_id, index) is not None:
            raise await _phone_exists(db, cipher, scope.org_id, index)
        values |= sealed
    if values:
        with on_constraint(("members_org_id_phone_index_key", PhoneExists)):
            await db.execute(
                update(Member)
                .where(Member.org_id == scope.org_id, Member.id == member_id)
                .values(**values, version=Member.version + 1)
            )
        await activate_member(db, scope.org_id, member_id)
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
    now = await db.scalar(select(func.clock_timestamp()))
    await db.execute(
        update(Place)
        .where(Place.org_id == scope.org_id, Place.member_id == member_id, Place.until.is_(None))
        .values(until=now)
    )
    await db.execute(
        update(Member)
        .where(Member.org_id == scope.org_id, Member.id == member_id)
        .values(removed_at=now, version=Member.version + 1)
    )
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


async def _lock_phones_of(
    db: AsyncConnection, indexing: Indexing, org_id: UUID, member_id: UUID, new_phone: str | None
) -> list[bytes]:
    """Hold the row's phone and the one that it is to have, before the row itself, as who registers does; gives them."""
    indexes = [] if new_phone is None else [indexing.phone(new_phone)]
    before = select(Member.phone_index).where(Member.org_id == org_id, Member.id == member_id)
    indexes += (await db.scalars(before)).all()
    await lock_accounts_and_phones(db, *indexes)
    return indexes


async def _phone_exists(db: AsyncConnection, cipher: Cipher, org_id: UUID, phone_index: bytes) -> PhoneExists:
    member = await queries.find_member_by_phone(db, cipher, org_id, phone_index)
    if member is None:  # removed between the two statements
        return PhoneExists()
    copy = {"method": "POST", "href": f"/v1/orgs/{org_id}/members/{member.id}/copies", "body": {"unit_id": "…"}}
    return PhoneExists(member=member.model_dump(mode="json"), copy=copy)
