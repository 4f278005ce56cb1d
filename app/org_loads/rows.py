"""Staged rows: each row of a sheet of orgs is normalized and encrypted, or refused with codes.

A thread builds up to a million of them, so the functions are synchronous and do not read the database.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple
from uuid import UUID

import orjson

from app.core.characters import replace_doubles
from app.core.cipher import Cipher
from app.core.names import make_name_key, normalize_name
from app.core.phones import PhoneRefused, normalize
from app.core.search import spell_title
from app.core.sort_keys import make_sort_key
from app.core.text import contains_refused_characters
from app.members import names as person_names
from app.members.imports.reader import CellRow
from app.members.names import FORMULA_PREFIXES, NameRefused
from app.org_loads.row_problems import MAX_NAME_LENGTH, MAX_NUMBER_LENGTH
from app.orgs.names import OUTSIDE_PARTY, Kind, list_name_errors
from app.orgs.regions import find_region, format_region_path, load_regions

REQUIRED = ("组织名称", "所在地区代码")
OPTIONAL = ("上级组织", "组织类型", "编号", "主管理员姓名", "主管理员手机号码")
MAX_SUPERIOR_LENGTH = 500


class Cells(NamedTuple):
    """The text of a row's cells, in the order of the headings."""

    name: str
    region: str
    superior: str
    kind: str
    number: str
    admin_name: str
    phone: str


class StagedRow(NamedTuple):
    """A row of the table `loading`: the columns in the order of COPY.

    Another row that names this row's org as its superior finds it by `name_key` or `path_key`.
    """

    row_no: int
    new_id: UUID
    offer_id: UUID
    number: str | None
    name: str | None
    pinyin: str | None
    initials: str | None
    sort_key: str | None
    kind: str | None
    region_code: str | None
    superior: str
    admin_name: str | None
    phone_cipher: bytes | None
    cells_cipher: bytes | None
    problems: Sequence[str]
    warnings: Sequence[str]
    name_key: str | None
    path_key: str | None
    superior_key: str | None
    superior_keys: Sequence[str]
    superior_uuid: UUID | None


_KINDS = {
    **dict.fromkeys(("党组织", "党组织学习组织", "是", "party"), Kind.PARTY),
    **dict.fromkeys((OUTSIDE_PARTY, "党外人士", "党外", "否", "outside-party"), Kind.OUTSIDE_PARTY),
}


def stage_rows(cipher: Cipher, rows: Iterable[CellRow], ids: Iterable[UUID]) -> list[StagedRow]:
    """Return one staged row for each sheet row, in the same order. Each staged row takes the next two ids of `ids`: one
    for the new org, one for the offer to its main admin."""
    numbered = iter(ids)
    return [_stage_row(cipher, row, next(numbered), next(numbered)) for row in rows]


def _stage_row(cipher: Cipher, row: CellRow, new_id: UUID, offer_id: UUID) -> StagedRow:
    cells = Cells._make(map(_replace_surrogates, row.cells))
    problems: list[str] = []
    name = _read_name(cells.name, problems)
    kind = _read_kind(cells.kind, name, problems)
    region = _read_region(cells.region, problems)
    number = _read_number(cells.number, problems)
    superior, keys = _read_superior(cells.superior, problems)
    admin_name, phone = _read_admin(cells, problems)
    spelling = spell_title(name) if name else None
    name_key = make_name_key(name) if name else None
    superior_key = "/".join(keys) or None
    return StagedRow(
        row_no=row.row_no,
        new_id=new_id,
        offer_id=offer_id,
        number=number,
        name=name,
        pinyin=spelling and spelling.pinyin,
        initials=spelling and spelling.initials,
        sort_key=make_sort_key(name) if name else None,
        kind=kind,
        region_code=region,
        superior=superior,
        admin_name=admin_name,
        phone_cipher=cipher.encrypt(phone, offer_id) if phone and not problems else None,
        cells_cipher=encrypt_cells(cipher, new_id, cells),
        problems=problems,
        warnings=["row-hidden"] if row.hidden else [],
        name_key=name_key,
        path_key=name_key if superior_key is None or name_key is None else f"{superior_key}/{name_key}",
        superior_key=superior_key,
        superior_keys=keys,
        superior_uuid=_parse_uuid(superior),
    )


def _read_name(cell: str, problems: list[str]) -> str | None:
    if contains_refused_characters(replace_doubles(cell)):
        problems.append("name-unshowable")
        return None
    name = normalize_name(cell)
    if not name:
        problems.append("org-name-missing")
    elif len(name) > MAX_NAME_LENGTH:
        problems.append("org-name-too-long")
    elif name.startswith(FORMULA_PREFIXES):
        problems.append("org-name-formula")
    else:
        return name
    return None


def _read_kind(cell: str, name: str | None, problems: list[str]) -> Kind | None:
    """Return the kind of the org as the cell gives it or, if the cell is empty, the kind that follows from the name."""
    if name is None:
        return None
    typed = _KINDS.get(normalize_name(cell).lower())
    if cell and typed is None:
        problems.append("kind-unreadable")
        return None
    kinds = [typed] if typed is not None else list(Kind)
    # The name counts as unchanged, so that it may have the suffix 学习管理组 (S3).
    allowed = [kind for kind in kinds if not list_name_errors(name, kind, present_name=name)]
    if not allowed:
        problems.append("name-kind-mismatch")
        return None
    return allowed[0]


def _read_region(cell: str, problems: list[str]) -> str | None:
    """Return the region code of a cell with a code, or with the names from the province down."""
    typed = normalize_name(cell)
    if not typed:
        problems.append("region-missing")
        return None
    region = find_region(typed) or find_region(_list_region_paths().get(typed, ""))
    if region is None:
        problems.append("unknown-region")
        return None
    return region.code


@cache
def _list_region_paths() -> Mapping[str, str]:
    """Return the code of each region by its path (江苏省南京市玄武区)."""
    return {normalize_name(format_region_path(code)): code for code in load_regions()}


def _read_number(cell: str, problems: list[str]) -> str | None:
    if len(cell) > MAX_NUMBER_LENGTH or contains_refused_characters(cell):
        problems.append("number-unreadable")
        return None
    return cell or None


@lru_cache(maxsize=5000)
def _split_superior(cell: str) -> tuple[str, ...]:
    parts = (make_name_key(normalize_name(part)) for part in cell.replace("／", "/").split("/"))
    return tuple(part for part in parts if part)


def _read_superior(cell: str, problems: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the superior as typed, and the keys of the names in its path, the highest org first."""
    if len(cell) > MAX_SUPERIOR_LENGTH or contains_refused_characters(replace_doubles(cell)):
        problems.append("superior-unreadable")
        return "", ()
    return cell, _split_superior(cell)


def _read_admin(cells: Cells, problems: list[str]) -> tuple[str | None, str | None]:
    """Return the name and the phone of the main admin, or None and None."""
    if not cells.admin_name and not cells.phone:
        return None, None
    if not cells.admin_name or not cells.phone:
        problems.append("admin-incomplete")
        return None, None
    name = phone = None
    try:
        name = person_names.normalize_name(cells.admin_name)
    except NameRefused:
        problems.append("admin-name-unreadable")
    try:
        phone = normalize(cells.phone)
    except PhoneRefused as refused:
        problems.append(refused.code)
    return name, phone


def _parse_uuid(text: str) -> UUID | None:
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def encrypt_cells(cipher: Cipher, new_id: UUID, cells: Cells) -> bytes:
    """Encrypt the cells as typed, for the sheet of refused rows."""
    return cipher.encrypt(orjson.dumps(list(cells)), f"{new_id}/cells")


def decrypt_cells(cipher: Cipher, new_id: UUID, encrypted: bytes) -> list[str]:
    """Return the cells as typed, in the order of the headings."""
    cells: list[str] = orjson.loads(cipher.decrypt(encrypted, f"{new_id}/cells"))
    return cells


def _replace_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
