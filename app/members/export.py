"""Export of the directory to a file: one row for each person.

Phones are masked. An export with full phones is recorded in the audit log.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import record
from app.authz.access import OrgScope
from app.authz.permissions import Permission
from app.core.calendar import SHANGHAI
from app.core.cipher import Cipher
from app.core.i18n import gettext, gettext_noop, join_sentences
from app.core.phones import mask
from app.exports.kinds import Column, ExportKind, ExportRequest, Sheet
from app.exports.operations import create_export
from app.exports.schemas import ExportOut
from app.members.encryption import decrypt_phone
from app.members.member_list import MemberFilter, count_members, stream_members
from app.members.queries import MemberRow
from app.members.schemas import InactiveReason, MemberExportCreate, MemberOrder
from app.members.sheets import NO_PHONE
from app.orgs.unit_queries import list_unit_paths_by_id
from app.sheets.layout import Cell

BATCH_ROWS = 1000

_COLUMNS = (
    Column("name", gettext_noop("姓名")),
    Column("phone", gettext_noop("手机号码"), 18),
    Column("units", gettext_noop("支部名称"), 40),
    Column("party", gettext_noop("是否党员"), 12),
    Column("active", gettext_noop("激活状态"), 12),
    Column("inactive_reason", gettext_noop("未激活原因"), 28),
    Column("verified", gettext_noop("是否实名"), 12),
    Column("added", gettext_noop("加入日期"), 12),
    Column("party_kind", gettext_noop("党员类型"), 14),
    Column("post", gettext_noop("职务"), 18),
    Column("number", gettext_noop("编号"), 40),
)
_REASONS = {
    InactiveReason.NEVER_REGISTERED: gettext_noop("该号码从未注册"),
    InactiveReason.NAME_MISMATCH: gettext_noop("该号码的使用者实名与此姓名不同"),
    InactiveReason.ALREADY_IN_DIRECTORY: gettext_noop("该号码的使用者已在通讯录的另一条记录中激活"),
    InactiveReason.UNLINKED: gettext_noop("管理员已解除关联"),
    InactiveReason.PHONE_MISMATCH: gettext_noop("本人使用另一号码注册"),
    InactiveReason.NO_PHONE: gettext_noop("此人没有手机"),
    InactiveReason.BLOCKED: gettext_noop("本人不接受本组织的关联"),
    InactiveReason.PHONE_RECYCLED: gettext_noop("该号码已由他人使用"),
}


async def create_member_export(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, body: MemberExportCreate
) -> ExportOut:
    """Request an export of the people that match the filters. Raises TooManyExports."""
    question = body.model_dump(mode="json", exclude={"format"})
    audit_fields = {"phones": body.phones}
    created = await create_export(db, cipher, scope, MEMBERS, body.format, question, audit_fields=audit_fields)
    if body.phones == "full":
        await record(db, scope.actor, "member.phones_disclosed", org_id=scope.org_id, subject=("export", created.id))
    return created


async def _make_sheet(request: ExportRequest) -> Sheet:
    body = MemberExportCreate.model_validate(request.question)
    wanted = MemberFilter(**body.model_dump(exclude={"format", "phones", "order"}))
    order = body.order or (MemberOrder.NAME if wanted.unit_id is None else MemberOrder.POSITION)
    paths = await list_unit_paths_by_id(request.db, request.org_id)
    rows = await count_members(request.db, request.cipher, request.org_id, wanted)

    async def stream_batches() -> AsyncIterator[Sequence[Sequence[Cell]]]:
        found = stream_members(request.db, request.cipher, request.org_id, wanted, order, BATCH_ROWS)
        async for people in found:
            yield await asyncio.to_thread(_make_rows, request, people, paths, body.phones == "full")

    return Sheet(gettext("通讯录"), _COLUMNS, rows, stream_batches())


def _describe_party_kind(person: MemberRow) -> str:
    if person.probationary:
        return gettext_noop("预备党员")
    return gettext_noop("正式党员") if person.party else gettext_noop("非党员")


def _make_rows(
    request: ExportRequest, people: Sequence[MemberRow], paths: dict[UUID, str], full: bool
) -> list[list[Cell]]:
    return [_make_row(request, person, paths, full) for person in people]


def _make_row(request: ExportRequest, person: MemberRow, paths: dict[UUID, str], full: bool) -> list[Cell]:
    """Return the cells of a person; `full` shows the whole phone."""
    phone = decrypt_phone(request.cipher, person.phone_cipher, person.id)
    shown_phone = NO_PHONE if phone is None else phone if full else mask(phone)
    units = sorted(paths.get(UUID(unit["id"]), unit["name"]) for unit in person.units)
    if person.at_org:
        units.insert(0, gettext("管理组"))
    return [
        person.name,
        shown_phone,
        join_sentences(units),
        gettext("是") if person.party else gettext("否"),
        gettext("已激活") if person.active else gettext("未激活"),
        None if person.inactive_reason is None else gettext(_REASONS[InactiveReason(person.inactive_reason)]),
        gettext("是") if person.verified else gettext("否"),
        person.created_at.astimezone(SHANGHAI).date(),
        gettext(_describe_party_kind(person)),
        person.post,
        str(person.id),
    ]


MEMBERS = ExportKind("members", Permission.MEMBERS_READ, _make_sheet)
