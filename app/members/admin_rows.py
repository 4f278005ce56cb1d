"""The member row of each admin in the directory of their org (S8)."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor, record
from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.core.ids import make_id
from app.core.search import spell_person
from app.members.activation import activate_member, lock_accounts_and_phones
from app.members.blocks import lift_block
from app.members.encryption import encrypt_phone
from app.members.errors import PhoneOfAnotherMember
from app.members.unit_memberships import add_to_units
from app.orgs.names import Kind
from app.schema.auth import User
from app.schema.members import Activation, Member
from app.schema.orgs import Org
from app.web.errors import Unavailable


class _RowWithPhone(NamedTuple):
    """The live member row that has the admin's phone."""

    id: UUID
    name: str
    user_id: UUID | None
    same_name: bool


async def ensure_admin_row(db: AsyncConnection, cipher: Cipher, actor: Actor, org_id: UUID, user_id: UUID) -> UUID:
    """Ensure that an admin has an active row at the org itself (S8). Return the row's id.

    Becoming an admin is the user's own act, so it ends the user's block of the org.

    The row is the first of these: the row that is linked to the user; the row with the user's phone, if it is linked
    to no user and its name agrees with the verified name; a new row. The operation that makes the user an admin
    records the audit entry.

    Locks the account and the phone, then the row. Raises PhoneOfAnotherMember.
    """
    of_user = select(Member.id).where(Member.org_id == org_id, Member.user_id == user_id)
    member_id: UUID | None = await db.scalar(of_user)
    if member_id is None:
        await lift_block(db, user_id, org_id)
        member_id = await _create_or_claim_row(db, cipher, actor, org_id, user_id)
    await add_to_units(db, org_id, member_id, [None])
    return member_id


async def _create_or_claim_row(db: AsyncConnection, cipher: Cipher, actor: Actor, org_id: UUID, user_id: UUID) -> UUID:
    statement = select(User.phone_cipher, User.verified_name, User.party_member, Org.kind)
    user = (await db.execute(statement.join(Org, Org.id == org_id).where(User.id == user_id))).one()
    assert user.verified_name is not None, "only a verified person becomes an admin"
    new_id = make_id()
    indexer = await lock_index_key(db, cipher)
    phone = encrypt_phone(indexer, org_id, new_id, cipher.decrypt_text(user.phone_cipher, user_id))
    await lock_accounts_and_phones(db, phone["phone_index"])
    party = user.party_member or user.kind == Kind.PARTY
    name_columns = {"name": user.verified_name, **spell_person(user.verified_name)._asdict()}
    member_id: UUID | None = await db.scalar(
        postgresql.insert(Member)
        .values(org_id=org_id, id=new_id, party=party, **name_columns, **phone)
        .on_conflict_do_nothing(
            index_elements=[Member.org_id, Member.phone_index], index_where=Member.removed_at.is_(None)
        )
        .returning(Member.id)
    )
    if member_id is None:
        member_id = await _claim_row(db, actor, org_id, phone["phone_index"], name_columns)
    # An undone link needs an admin's consent. Making the user an admin is that consent.
    undone = (Activation.org_id == org_id, Activation.member_id == member_id, Activation.user_id == user_id)
    await db.execute(update(Activation).where(*undone, Activation.undone_by.is_not(None)).values(undone_by=None))
    await activate_member(db, org_id, member_id, active=False, message=False)
    return member_id


async def _claim_row(
    db: AsyncConnection, actor: Actor, org_id: UUID, phone_index: bytes, name_columns: dict[str, str]
) -> UUID:
    """Use the row that has the phone, and give it the spelling of the verified name. Return its id.

    Locks the row. Raises PhoneOfAnotherMember if it belongs to another person: it is linked to a user or has another
    name.
    """
    same_name = (func.name_key(Member.name) == func.name_key(name_columns["name"])).label("same_name")
    found = (
        await db.execute(
            select(Member.id, Member.name, Member.user_id, same_name)
            .where(Member.org_id == org_id, Member.phone_index == phone_index, Member.removed_at.is_(None))
            .with_for_update()
        )
    ).one_or_none()
    if found is None:  # another transaction removed the row between the two statements
        raise Unavailable
    row = _RowWithPhone(*found)
    if row.user_id is not None or not row.same_name:
        raise PhoneOfAnotherMember
    if row.name != name_columns["name"]:
        of_row = (Member.org_id == org_id, Member.id == row.id)
        await db.execute(update(Member).where(*of_row).values(**name_columns, version=Member.version + 1))
        await record(
            db,
            actor,
            "member.edited",
            org_id=org_id,
            subject=("member", row.id),
            before={"name": row.name},
            after={"name": name_columns["name"]},
        )
    return row.id
