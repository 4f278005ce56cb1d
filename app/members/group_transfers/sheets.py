"""The people whom an uploaded sheet names, by name and phone. Nothing of the sheet is stored.

Sheets are hostile until proven otherwise: the child process of the imports reads them. A sheet of this size is read in
a fraction of a second, so the request waits for it, and no job and no stored file is necessary.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, any_, bindparam, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA
from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.access import OrgScope
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.core.i18n import gettext, gettext_noop
from app.core.names import make_name_key
from app.core.phones import PhoneRefused
from app.database.rows import fetch_rows
from app.members.group_transfers.errors import NameOrPhoneUnclear, TooManyPeopleInSheet
from app.members.group_transfers.schemas import MAX_PEOPLE, PeopleSheetOut, SheetPersonOut, UnmatchedRowOut
from app.members.imports.errors import (
    HeaderAmbiguous,
    HeaderDoubled,
    HeaderMerged,
    HeaderMissing,
    SheetRefused,
    TooManyRows,
)
from app.members.imports.reader import SheetReading, SheetRow
from app.members.imports.row_problems import get_problem_title
from app.members.imports.rows import read_number
from app.members.imports.schemas import CodeOut
from app.members.imports.sheet_contents import RowPlaces, get_remembered_headings, make_reading_out
from app.members.imports.uploads import inspect_upload
from app.members.imports.values.names import read_name
from app.members.imports.values.phones import read_phone
from app.members.names import NameRefused
from app.orgs.locks import lock_org_shared
from app.schema.members import Member
from app.web.errors import Unavailable

MAX_SHEET_BYTES = 5 << 20
READ_LIMITS = {"max_rows": MAX_PEOPLE, "memory_mb": 512, "cpu_seconds": 5}
_COLUMNS = ("name", "phone")
_UNCLEAR_HEADERS = (HeaderMissing, HeaderDoubled, HeaderAmbiguous, HeaderMerged)
# A request occupies a connection while its sheet is read. Other requests never wait for these: one more is refused.
_READERS = asyncio.Semaphore(2)

_TITLES: Mapping[str, str] = {
    "phone-not-in-directory": gettext_noop("通讯录中没有此手机号码"),
    "person-not-in-directory": gettext_noop("通讯录中没有此人"),
    "name-is-other": gettext_noop("通讯录中此手机号码的姓名不同"),
}

_NAMED = select(Member.id, Member.name, Member.phone_index, Member.phone_last4_index).where(
    Member.org_id == bindparam("org_id", type_=Uuid()),
    Member.removed_at.is_(None),
    or_(
        Member.phone_index == any_(bindparam("phones", type_=ARRAY(BYTEA))),
        Member.id == any_(bindparam("numbers", type_=ARRAY(Uuid))),
    ),
)


class _Person(NamedTuple):
    id: UUID
    name: str
    phone_index: bytes | None
    phone_last4_index: bytes | None


class _Row(NamedTuple):
    """What a row says: the index of the phone; without a phone the number of an exported row, and the index of the last
    four digits that a masked phone shows."""

    row_no: int
    hidden: bool
    name: str | None
    phone: bytes | None
    number: UUID | None
    last4: bytes | None
    problems: Sequence[str]


async def match_sheet(
    db: AsyncConnection, cipher: Cipher, scope: OrgScope, file_name: str, file: BinaryIO
) -> PeopleSheetOut:
    """Return the people of the org whom a sheet names, and the rows that name none, each with the reasons.

    A row names a person by the phone and the name; a row of an exported sheet, which has a masked phone or none, by its
    number and the name. Locks the org after the reading. Raises a SheetRefused, OrgClosed, Forbidden, and Unavailable
    if two other sheets are read at the same time.
    """
    kind = await asyncio.to_thread(inspect_upload, file_name, file)
    file.flush()
    os.lseek(file.fileno(), 0, os.SEEK_SET)  # the child process reads the descriptor, without the buffer of this one
    options = {"required": _COLUMNS, "remembered": await get_remembered_headings(db, scope.org_id)}
    reading = SheetReading(kind, file.fileno(), options)
    sheet_rows = await _read_rows(reading)
    await lock_org_shared(db, scope)
    indexer = await lock_index_key(db, cipher)
    rows = [_read_row(indexer, scope.org_id, row) for row in sheet_rows]
    people, unmatched = _match_rows(rows, await _list_named(db, scope.org_id, rows), RowPlaces(reading.result))
    shown = make_reading_out(reading.result, {})
    return PeopleSheetOut(
        people=people, unmatched=unmatched, skipped=shown.skipped, sheets_not_read=shown.sheets_not_read
    )


async def _read_rows(reading: SheetReading) -> list[SheetRow]:
    if _READERS.locked():
        raise Unavailable
    async with _READERS:
        try:
            return [row async for rows in reading.read_rows(**READ_LIMITS) for row in rows]
        except TooManyRows:
            raise TooManyPeopleInSheet from None
        except _UNCLEAR_HEADERS:
            raise NameOrPhoneUnclear from None
        except SheetRefused as refused:
            raise type(refused)() from None  # what else is known of it is for the preview of an import


def _read_row(indexer: BlindIndexer, org_id: UUID, row: SheetRow) -> _Row:
    problems: list[str] = []
    name = phone = number = last4 = None
    try:
        name = read_name(row.name).name
    except NameRefused as refused:
        problems.append(refused.code)
    try:
        read = read_phone(row.phone)
        phone = indexer.index_phone(read.phone) if read.phone else None
        number = read_number(row.number) if phone is None else None
        last4 = indexer.index_last4(org_id, read.masked) if read.masked else None
        if phone is None and number is None:
            problems.append("phone-masked" if read.masked else "phone-missing")
    except PhoneRefused as refused:
        problems.append(refused.code)
    return _Row(row.row_no, row.hidden, name, phone, number, last4, problems)


async def _list_named(db: AsyncConnection, org_id: UUID, rows: Iterable[_Row]) -> dict[bytes | UUID, _Person]:
    """Return the people by the index of the phone and by the id."""
    phones = [row.phone for row in rows if row.phone is not None]
    numbers = [row.number for row in rows if row.number is not None]
    found = await fetch_rows(db, _NAMED, _Person, {"org_id": org_id, "phones": phones, "numbers": numbers})
    by_phone: dict[bytes | UUID, _Person] = {each.phone_index: each for each in found if each.phone_index is not None}
    return by_phone | {each.id: each for each in found}


def _match_rows(
    rows: Iterable[_Row], named: Mapping[bytes | UUID, _Person], places: RowPlaces
) -> tuple[list[SheetPersonOut], list[UnmatchedRowOut]]:
    people: dict[UUID, SheetPersonOut] = {}
    unmatched = []
    for row in rows:
        key = row.phone or row.number
        person = named.get(key) if key is not None and not row.problems else None
        problems = row.problems or _list_differences(row, person, people)
        place = places.find(row.row_no)
        if person is None or problems:
            reasons = [CodeOut(code=each.partition(":")[0], title=_translate(each)) for each in problems]
            unmatched.append(UnmatchedRowOut(row=place, name=row.name, reasons=reasons))
        else:
            people[person.id] = SheetPersonOut(row=place, member_id=person.id, name=person.name, hidden=row.hidden)
    return list(people.values()), unmatched


def _list_differences(row: _Row, person: _Person | None, people: Mapping[UUID, SheetPersonOut]) -> list[str]:
    """Return why the row does not name this person."""
    if person is None:
        return ["person-not-in-directory" if row.phone is None else "phone-not-in-directory"]
    if row.phone is None and row.last4 != person.phone_last4_index:
        return ["person-not-in-directory"]
    if make_name_key(row.name or "") != make_name_key(person.name):
        return ["name-is-other" if row.phone is not None else "person-not-in-directory"]
    return ["row-repeated"] if person.id in people else []


def _translate(problem: str) -> str:
    return gettext(_TITLES[problem]) if problem in _TITLES else get_problem_title(problem)
