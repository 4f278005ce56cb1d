"""The member row that every admin has in the directory of their org (S8)."""

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
from app.members.encryption import seal_phone
from app.members.errors import PhoneOfAnotherMember
from app.members.unit_memberships import add_to_units
from app.orgs.names import Kind
from app.schema.auth import User
from app.schema.members import Activation, Member
from app.schema.orgs import Org
from app.web.errors import Unavailable


class _Row(NamedTuple):
    id: UUID
    name: str
    user_id: UUID | None
    same_name: bool


async def place_admin(db: AsyncConnection, cipher: Cipher, actor: Actor, org_id: UUID, user_id: UUID) -> UUID:
    """Give an admin their row in the directory, placed at the org itself and active (S8). Returns the row's id.

    It is the row that is linked to the user; else the row with the user's phone, where it is linked to no user and its
    name agrees with the verified name; else a new row. The operation that makes the user an admin records that.

    Locks the account and the phone, then the row. Raises PhoneOfAnotherMember.
    """
    of_user = select(Member.id).where(Member.org_id == org_id, Member.user_id == user_id)
    member_id: UUID | None = await db.scalar(of_user)
    if member_id is None:
        member_id = await _create_or_take_row(db, cipher, actor, org_id, user_id)
    await add_to_units(db, org_id, member_id, [None])
    return member_id


async def _create_or_take_row(db: AsyncConnection, cipher: Cipher, actor: Actor, org_id: UUID, user_id: UUID) -> UUID:
    statement = select(User.phone_cipher, User.verified_name, User.party_member, Org.kind)
    user = (await db.execute(statement.join(Org, Org.id == org_id).where(User.id == user_id))).one()
    assert user.verified_name is not None, "only a verified person becomes an admin"
    new_id = make_id()
    indexer = await lock_index_key(db, cipher)
    sealed = seal_phone(indexer, org_id, new_id, cipher.decrypt_text(user.phone_cipher, user_id))
    await lock_accounts_and_phones(db, sealed["phone_index"])
    party = user.party_member or user.kind == Kind.PARTY
    named = {"name": user.verified_name, **spell_person(user.verified_name)._asdict()}
    member_id: UUID | None = await db.scalar(
        postgresql.insert(Member)
        .values(org_id=org_id, id=new_id, party=party, **named, **sealed)
        .on_conflict_do_nothing(
            index_elements=[Member.org_id, Member.phone_index], index_where=Member.removed_at.is_(None)
        )
        .returning(Member.id)
    )
    if member_id is None:
        member_id = await _take_row(db, actor, org_id, sealed["phone_index"], named)
    # Making them an admin is the consent that an undone link waits for.
    undone = (Activation.org_id == org_id, Activation.member_id == member_id, Activation.user_id == user_id)
    await db.execute(update(Activation).where(*undone, Activation.undone_by.is_not(None)).values(undone_by=None))
    await activate_member(db, org_id, member_id, active=False)
    return member_id


async def _take_row(db: AsyncConnection, actor: Actor, org_id: UUID, phone_index: bytes, named: dict[str, str]) -> UUID:
    """Take the row that has the phone: it gets the spelling of the verified name. Returns its id.

    Raises PhoneOfAnotherMember where it is linked to a user or has another name: it is another person's.
    """
    same_name = (func.name_key(Member.name) == func.name_key(named["name"])).label("same_name")
    found = (
        await db.execute(
            select(Member.id, Member.name, Member.user_id, same_name)
            .where(Member.org_id == org_id, Member.phone_index == phone_index, Member.removed_at.is_(None))
            .with_for_update()
        )
    ).one_or_none()
    if found is None:  # removed between the two statements
        raise Unavailable
    row = _Row(*found)
    if row.user_id is not None or not row.same_name:
        raise PhoneOfAnotherMember
    if row.name != named["name"]:
        of_row = (Member.org_id == org_id, Member.id == row.id)
        await db.execute(update(Member).where(*of_row).values(**named, version=Member.version + 1))
        await record(
            db,
            actor,
            "member.edited",
            org_id=org_id,
            subject=("member", row.id),
            before={"name": row.name},
            after={"name": named["name"]},
        )
    return row.id
