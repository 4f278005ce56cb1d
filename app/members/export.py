"""The directory as a file: one row a person, phones masked unless whole ones were asked for, which is audited."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.authz.permissions import Permission
from app.core.calendar import SHANGHAI
from app.core.cipher import Cipher
from app.core.phones import mask
from app.exports.kinds import Asked, Column, ExportKind, Sheet
from app.exports.operations import create_export
from app.exports.schemas import ExportOut
from app.members import queries
from app.members.queries import MemberFilter, MemberRow
from app.members.schemas import InactiveReason, MemberExportCreate
from app.sheets.layout import Cell

BATCH = 1000

_COLUMNS = (
    Column("姓名", "name"),
    Column("手机号码", "phone", 18),
    Column("支部名称", "units", 40),
    Column("是否党员", "party member", 12),
    Column("激活状态", "active", 12),
    Column("未激活原因", "why inactive", 28),
    Column("是否实名", "verified", 12),
    Column("加入日期", "added on", 12),
)
_AT_ORG = ("学习管理组", "the organisation itself")
_YES, _NO = ("是", "yes"), ("否", "no")
_ACTIVE, _INACTIVE = ("已激活", "yes"), ("未激活", "no")
_REASONS = {
    InactiveReason.NEVER_REGISTERED: ("未注册", "never registered"),
    InactiveReason.NAME_MISMATCH: ("手机号持有人实名不符", "the phone's holder has another verified name"),
    InactiveReason.HERE_ALREADY: (
        "手机号持有人已在本通讯录另一行激活",
        "the phone's holder is active through another row here",
    ),
    InactiveReason.UNLINKED: ("管理员已解除关联", "unlinked by an admin"),
    InactiveReason.PHONE_MISMATCH: ("手机号与注册号码不一致", "registered with another phone"),
}


async def create_member_export(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: MemberExportCreate, *, english: bool
) -> ExportOut:
    """Have the people for whom the filters hold exported. Raises TooManyExports."""
    question = body.model_dump(mode="json", exclude={"format"})
    audited = {"phones": body.phones}
    made = await create_export(db, cipher, scope, MEMBERS, body.format, question, english=english, audited=audited)
    if body.phones == "full":
        await record(db, scope.actor, "member.phones_disclosed", org_id=scope.org_id, subject=("export", made.id))
    return made


async def _sheet(asked: Asked) -> Sheet:
    body = MemberExportCreate.model_validate(asked.question)
    wanted = MemberFilter(**body.model_dump(exclude={"format", "phones"}))
    paths = await queries.list_unit_paths_by_id(asked.db, asked.org_id)
    rows = await queries.count_members(asked.db, asked.cipher, asked.org_id, wanted)

    async def batches() -> AsyncIterator[Sequence[Sequence[Cell]]]:
        found = queries.stream_members(asked.db, asked.cipher, asked.org_id, wanted, BATCH)
        async for people in found:
            yield await asyncio.to_thread(_rows, asked, people, paths, body.phones == "full")

    return Sheet("成员", "Members", _COLUMNS, rows, batches())


def _rows(asked: Asked, people: Sequence[MemberRow], paths: dict[UUID, str], whole: bool) -> list[list[Cell]]:
    return [_row(asked, person, paths, whole) for person in people]


def _row(asked: Asked, person: MemberRow, paths: dict[UUID, str], whole: bool) -> list[Cell]:
    phone = asked.cipher.decrypt_text(person.phone_cipher, person.id)
    units = sorted(paths.get(UUID(unit["id"]), unit["name"]) for unit in person.units)
    if person.at_org:
        units.insert(0, _AT_ORG[asked.english])
    return [
        person.name,
        phone if whole else mask(phone),
        ";".join(units),
        (_YES if person.party else _NO)[asked.english],
        (_ACTIVE if person.active else _INACTIVE)[asked.english],
        None if person.inactive_reason is None else _REASONS[InactiveReason(person.inactive_reason)][asked.english],
        (_YES if person.verified else _NO)[asked.english],
        person.created_at.astimezone(SHANGHAI).date(),
    ]


MEMBERS = ExportKind("members", Permission.MEMBERS_READ, _sheet)
