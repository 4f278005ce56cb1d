"""Staged rows: each row of a sheet is normalized and encrypted, or refused with codes.

A thread builds up to 200,000 of them, so the functions are synchronous and do not read the database.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

import orjson

from app.blind_index.keys import BlindIndexer
from app.core.cipher import Cipher
from app.core.phones import PhoneRefused
from app.core.search import spell_person
from app.core.text import contains_refused_characters
from app.members.encryption import encrypt_phone
from app.members.imports.reader import SheetRow
from app.members.imports.values.names import read_name
from app.members.imports.values.parties import read_party
from app.members.imports.values.phones import read_phone
from app.members.imports.values.units import UnitRefused, parse_units
from app.members.names import FORMULA_PREFIXES, NameRefused


class StagedRow(NamedTuple):
    """A row of `import_rows`: the columns in the order of COPY. Its outcome is not decided yet.

    A row names a person by the phone, by the number of a member row (`known_id`), or by both. A masked phone has no
    index, but an index of its last digits. A row without phone and masked phone is about a person who has none.
    """

    row_no: int
    new_member_id: UUID
    member_id: UUID | None
    name: str | None
    pinyin: str | None
    initials: str | None
    phone_cipher: bytes | None
    phone_index: bytes | None
    phone_last4_index: bytes | None
    masked_phone: str | None
    known_id: UUID | None
    unit_path: str | None
    party: bool | None
    probationary: bool | None
    post: str | None
    cells_cipher: bytes | None
    outcome: str
    problems: list[str]
    warnings: list[str]


_FIELDS = ("name", "phone", "unit", "party", "party_kind", "post", "number")
_NUMBER_LENGTH = 36
MAX_POST_LENGTH = 50
_ERROR_VALUE = re.compile(
    r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!|GETTING_DATA|FIELD!|BLOCKED!|UNKNOWN!|CONNECT!)|Err:[0-9]{3}"
)


def stage_rows(
    indexer: BlindIndexer, org_id: UUID, party_org: bool, rows: Iterable[SheetRow], ids: Iterable[UUID]
) -> list[StagedRow]:
    """Return one staged row for each sheet row, in the same order. Each staged row takes the next id of `ids`, and its
    cipher texts can be decrypted with that id only."""
    return [_stage_row(indexer, org_id, party_org, row, new_id) for row, new_id in zip(rows, ids, strict=False)]


def _stage_row(indexer: BlindIndexer, org_id: UUID, party_org: bool, row: SheetRow, new_id: UUID) -> StagedRow:
    problems = _list_unreadable(row)
    unreadable = {problem.partition(":")[2] for problem in problems}
    warnings = [mark for mark in row.marks if not mark.startswith("cell-date:")]
    name = phone = masked = path = None
    if "name" not in unreadable:
        try:
            name, name_warnings = read_name(row.name)
            warnings += name_warnings
        except NameRefused as refused:
            problems.append(refused.code)
    if "phone" not in unreadable:
        try:
            phone, masked, phone_warnings = read_phone(row.phone)
            warnings += phone_warnings
        except PhoneRefused as refused:
            problems.append(refused.code)
    if "unit" not in unreadable:
        try:
            path = parse_units(row.unit)
        except UnitRefused as refused:
            problems.append(refused.code)
    party, probationary, party_problems = read_party(
        "" if "party" in unreadable else row.party, "" if "party-kind" in unreadable else row.party_kind
    )
    problems += party_problems
    post = None if "post" in unreadable else row.post or None
    if post is not None and (
        len(post) > MAX_POST_LENGTH or contains_refused_characters(post) or post.startswith(FORMULA_PREFIXES)
    ):
        problems.append("post-unreadable")
    if party_org and party is False:
        problems.append("party-members-only")
    if row.hidden:
        warnings.append("row-hidden")
    pinyin, initials = spell_person(name) if name else (None, None)
    encrypted = encrypt_phone(indexer, org_id, new_id, phone) if phone else None
    last4 = encrypted["phone_last4_index"] if encrypted else indexer.index_last4(org_id, masked) if masked else None
    return StagedRow(  # by position, which takes half the time
        row.row_no,
        new_id,
        None if problems else new_id,
        name,
        pinyin,
        initials,
        encrypted and encrypted["phone_cipher"],
        encrypted and encrypted["phone_index"],
        last4,
        masked,
        read_number(row.number),
        path,
        party,
        probationary,
        post,
        encrypt_cells(indexer.cipher, new_id, row) if problems else None,
        "refused" if problems else "added",
        problems,
        warnings,
    )


def _list_unreadable(row: SheetRow) -> list[str]:
    """Return the problems of the cells that cannot be read: a spreadsheet program has put an error value in the cell,
    or has turned the text into a date."""
    problems = [mark for mark in row.marks if mark.startswith("cell-date:")]
    if "#" in (cells := "".join(row[2:9])) or "Err:" in cells:
        for field in _FIELDS:
            if _ERROR_VALUE.fullmatch(getattr(row, field)):
                problems.append(f"cell-error:{field.replace('_', '-')}")
    return problems


def read_number(text: str) -> UUID | None:
    """Return the member whose number (编号) an export of this service has written, or None for any other text."""
    try:
        return UUID(text) if len(text) == _NUMBER_LENGTH else None
    except ValueError:
        return None


def encrypt_cells(cipher: Cipher, new_id: UUID, row: SheetRow) -> bytes:
    """Encrypt the original cells of a refused row, for the sheet of refused rows."""
    cells = [_replace_surrogates(getattr(row, field)) for field in _FIELDS]
    return cipher.encrypt(orjson.dumps(cells), f"{new_id}/cells")


def decrypt_cells(cipher: Cipher, new_id: UUID, encrypted: bytes) -> list[str]:
    """Return the original cells: name, phone, unit, party, kind of party member, post, number."""
    cells: list[str] = orjson.loads(cipher.decrypt(encrypted, f"{new_id}/cells"))
    return cells + [""] * (len(_FIELDS) - len(cells))  # older imports have fewer cells


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
