"""Staged rows: each row of a sheet is normalized and encrypted, or refused with codes.

A thread builds up to 200,000 of them, so the functions are synchronous and do not read the database.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

import orjson

from app.blind_index.keys import BlindIndexer
from app.core import names
from app.core.cipher import Cipher
from app.core.phones import PhoneRefused, normalize
from app.core.search import spell_person
from app.core.text import has_unshowable
from app.members.encryption import encrypt_phone
from app.members.imports.reader import SheetRow
from app.members.imports.row_problems import MAX_UNIT_DEPTH, MAX_UNIT_NAME_LENGTH
from app.members.names import FORMULA_PREFIXES, NameRefused, normalize_name
from app.members.sheets import NO_PHONE


class StagedRow(NamedTuple):
    """A row of `staged`: the columns in the order of COPY. `person_key` is the phone's index (package `staging`)."""

    row_no: int
    new_member_id: UUID
    name: str | None
    pinyin: str | None
    initials: str | None
    phone_cipher: bytes | None
    phone_index: bytes | None
    phone_last4_index: bytes | None
    unit_path: str | None
    party: bool | None
    probationary: bool | None
    post: str | None
    cells_cipher: bytes | None
    outcome: str | None
    problems: list[str] | None
    warnings: list[str] | None
    person_key: bytes | None


class UnitRefused(ValueError):
    """The text is not a path of units; `code` is the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


_PARTY_ANSWERS = {
    **dict.fromkeys(("是", "党员", "中共党员", "预备党员", "中共预备党员", "y", "yes", "true", "1", "√"), True),
    **dict.fromkeys(("否", "非党员", "不是", "群众", "n", "no", "false", "0", "×"), False),
}
_PROBATIONARY = frozenset(("预备党员", "中共预备党员"))
# The answers under 党员类型: in the party, and probationary.
_PARTY_KINDS: dict[str, tuple[bool | None, bool | None]] = {
    "": (None, None),
    **dict.fromkeys(("正式党员", "中共党员", "党员"), (True, False)),
    **dict.fromkeys(_PROBATIONARY, (True, True)),
    **dict.fromkeys(("非党员", "群众"), (False, False)),
}
MAX_POST_LENGTH = 50

# The clerk says that a person has no mobile phone. An empty cell does not: the number may be missing by mistake.
_NO_PHONE_ANSWERS = frozenset((NO_PHONE, "无手机号码", "无手机号", "没有手机", "no phone"))


def stage_rows(
    indexer: BlindIndexer, org_id: UUID, party_org: bool, rows: Iterable[SheetRow], ids: Iterable[UUID]
) -> list[StagedRow]:
    """Return a staged row for each row. Its id is the next of `ids`, and its cipher texts are bound to that id."""
    return [_stage_row(indexer, org_id, party_org, row, new_id) for row, new_id in zip(rows, ids, strict=False)]


def _stage_row(indexer: BlindIndexer, org_id: UUID, party_org: bool, row: SheetRow, new_id: UUID) -> StagedRow:
    problems: list[str] = []
    name = phone = path = None
    try:
        name = normalize_name(row.name)
    except NameRefused as refused:
        problems.append(refused.code)
    try:
        phone = None if row.phone.lower() in _NO_PHONE_ANSWERS else normalize(row.phone)
    except PhoneRefused as refused:
        problems.append(refused.code)
    try:
        path = parse_unit_path(row.unit)
    except UnitRefused as refused:
        problems.append(refused.code)
    party, probationary = _read_party(row, problems)
    post = row.post or None
    if post is not None and (len(post) > MAX_POST_LENGTH or has_unshowable(post) or post.startswith(FORMULA_PREFIXES)):
        problems.append("post-unreadable")
    if party_org and party is False:
        problems.append("party-members-only")
    spelling = spell_person(name) if name else None
    encrypted = encrypt_phone(indexer, org_id, new_id, phone) if phone else None
    return StagedRow(
        row_no=row.row_no,
        new_member_id=new_id,
        name=name,
        pinyin=spelling and spelling.pinyin,
        initials=spelling and spelling.initials,
        phone_cipher=encrypted and encrypted["phone_cipher"],
        phone_index=encrypted and encrypted["phone_index"],
        phone_last4_index=encrypted and encrypted["phone_last4_index"],
        unit_path=path,
        party=party,
        probationary=probationary,
        post=post,
        cells_cipher=encrypt_cells(indexer.cipher, new_id, row) if problems else None,
        outcome="refused" if problems else None,
        problems=problems or None,
        warnings=["row-hidden"] if row.hidden else None,
        person_key=encrypted and encrypted["phone_index"],
    )


def _read_party(row: SheetRow, problems: list[str]) -> tuple[bool | None, bool | None]:
    """Return the party flag and the probationary flag; None is what the row does not say. Add to `problems`."""
    answer, kind = row.party.strip().lower(), row.party_kind.strip()
    party, probationary = _PARTY_ANSWERS.get(answer), True if answer in _PROBATIONARY else None
    if party is None and answer:
        problems.append("party-unreadable")
    if kind not in _PARTY_KINDS:
        problems.append("party-kind-unreadable")
        return party, probationary
    of_kind, probationary_kind = _PARTY_KINDS[kind]
    if (None not in (party, of_kind) and party != of_kind) or (probationary and probationary_kind is False):
        problems.append("party-kind-contradiction")
    return of_kind if party is None else party, probationary if probationary_kind is None else probationary_kind


def encrypt_cells(cipher: Cipher, new_id: UUID, row: SheetRow) -> bytes:
    """Encrypt the original cells of a refused row, for the sheet of refused rows."""
    return cipher.encrypt(orjson.dumps([_replace_surrogates(text) for text in row[2:]]), f"{new_id}/cells")


def decrypt_cells(cipher: Cipher, new_id: UUID, encrypted: bytes) -> list[str]:
    """Return the original cells: name, phone, unit, party, kind of party member, post."""
    cells: list[str] = orjson.loads(cipher.decrypt(encrypted, f"{new_id}/cells"))
    return cells + [""] * (len(SheetRow._fields) - 2 - len(cells))  # older imports have four cells


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@lru_cache(maxsize=5000)
def parse_unit_path(text: str) -> str:
    """Return the path of units from the top down, `党总支/支部`, with normalized names. Raises UnitRefused."""
    parts = [part for part in map(names.normalize_name, text.replace("／", "/").split("/")) if part]
    if not parts:
        raise UnitRefused("unit-missing")
    if any(has_unshowable(part) for part in parts):
        raise UnitRefused("unit-unshowable")
    if any(len(part) > MAX_UNIT_NAME_LENGTH for part in parts):
        raise UnitRefused("unit-too-long")
    if len(parts) > MAX_UNIT_DEPTH:
        raise UnitRefused("unit-too-deep")
    if any(part.startswith(FORMULA_PREFIXES) for part in parts):
        raise UnitRefused("unit-formula")
    return "/".join(parts)
