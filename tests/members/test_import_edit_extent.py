"""An edit of one row of a preview decides only the rows that it affects, with the result of a full check (S9)."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.blind_index.keys import BlindIndexer
from app.core.cipher import Cipher
from app.core.phones import mask
from app.core.settings import Settings
from app.members.imports import previews
from app.members.imports.operations import lock_ready_import
from app.members.imports.previews import make_preview
from app.members.imports.staging.changes import store_affected_changes
from tests.acts import Json, add_member, add_unit, get_body
from tests.members.sheets import HEADER, Work, check, xlsx
from tests.people import People, Person, fresh_phone

NAMES = ("王伟", "王·伟", "李娜", "Li Na", "lina", "赵敏", "单于丹", "")
UNITS = ("甲", "乙", "第A部", "第a部", "丙", "甲;乙", "甲;丙", "")


class Preview:
    """The stored preview of an import, and the parts that an edit could leave as they were."""

    STORED = (
        "SELECT row_no, outcome, problems, warnings, related_rows, member_id FROM import_rows {of} ORDER BY row_no",
        "SELECT member_id, row_no, outcome, name, before, after, phone_cipher, new_phone FROM import_changes {of}"
        " ORDER BY member_id",
        "SELECT key, path, rows, first_row, choice, unit_id FROM import_units {of} ORDER BY key",
    )

    @classmethod
    async def read(cls, db: AsyncConnection, of: dict[str, UUID]) -> list[list[Row[Any]]]:
        where = "WHERE org_id = :org_id AND import_id = :import_id"
        return [list((await db.execute(text(statement.format(of=where)), of)).all()) for statement in cls.STORED]


async def assert_full_check_is_equal(engine: AsyncEngine, cipher: Cipher, org_id: UUID, import_id: UUID) -> None:
    async with engine.connect() as db:
        of = {"org_id": org_id, "import_id": import_id}
        counted = (
            "SELECT people, added, changed, moved, leaving, unchanged, refused, undecided, unidentified, rows_total,"
        )
        counts = (
            await db.execute(text(f"{counted} new_units, directory_digest FROM imports WHERE id = :import_id"), of)
        ).one()
        stored = await Preview.read(db, of)
        plan = (await lock_ready_import(db, org_id, import_id)).make_plan(org_id, import_id)
        full = (await make_preview(db, BlindIndexer(cipher), plan)).values
        assert dict(counts._mapping) == {name: full[name] for name in counts._mapping}
        assert stored == await Preview.read(db, of)
        await db.rollback()


async def make_directory(admin: Person, org: Json, chance: random.Random, phones: list[str]) -> list[Json]:
    """Add people with these names and with the first phones, and one without a phone. Return them."""
    units = [await add_unit(admin, org, name) for name in ("甲", "乙")]
    found = []
    for phone in (*phones[:4], None):
        place = chance.sample(units, chance.randint(0, 2))
        person = {"phone": phone} if phone else {"phone": None, "no_phone": True}
        found.append(await add_member(admin, org, *place, name=chance.choice(NAMES[:-1]), **person))
    return found


@pytest.mark.parametrize("seed", [1, 2])
async def test_edited_row_has_the_preview_of_a_full_check(
    people: People,
    engine: AsyncEngine,
    settings: Settings,
    worker: Work,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    chance = random.Random(seed)
    admin = await people.register()
    org = await admin.create_org()
    phones = [fresh_phone() for _ in range(7)]
    members = await make_directory(admin, org, chance, phones)
    phones.append(admin.phone)

    def choose_phone() -> str:
        phone = chance.choice(phones)
        return chance.choices((phone, mask(phone), "无手机", "1380"), (12, 2, 2, 1))[0]

    def choose_number() -> str:
        return str(chance.choice(members)["id"]) if chance.random() < 0.2 else ""

    rows = [(chance.choice(NAMES), choose_phone(), chance.choice(UNITS), choose_number()) for _ in range(14)]
    unknown = chance.choice(("create", "refuse"))
    checked = await check(admin, org["id"], worker, xlsx(rows, (*HEADER, "编号")), unknown_units=unknown)
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}"
    narrow: list[str] = []

    async def count_narrow(*arguments: Any) -> None:
        narrow.append("stored")
        await store_affected_changes(*arguments)

    monkeypatch.setattr(previews, "store_affected_changes", count_narrow)
    edits = 16
    for _ in range(edits):
        choices = {"name": chance.choice(NAMES), "phone": choose_phone(), "unit": chance.choice(UNITS)}
        changed = chance.sample(list(choices), chance.randint(1, 2))
        row_no = chance.randint(2, len(rows) + 1)
        get_body(await admin.patch(f"{path}/rows/{row_no}", json={name: choices[name] for name in changed}))
        await assert_full_check_is_equal(engine, Cipher(settings), UUID(org["id"]), UUID(checked["id"]))
    assert len(narrow) > edits // 2


async def test_edit_of_the_only_row_with_a_spelling_renames_the_new_unit_in_other_rows(
    people: People, engine: AsyncEngine, settings: Settings, worker: Work
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "甲")
    phones = {name: fresh_phone() for name in ("王伟", "李娜")}
    for name, phone in phones.items():
        await add_member(admin, org, unit, name=name, phone=phone)
    sheet = xlsx([("王伟", phones["王伟"], "第A部"), ("李娜", phones["李娜"], "第a部")])
    checked = await check(admin, org["id"], worker, sheet, unknown_units="create")
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}"
    for row_no, unit_path in ((2, "甲"), (2, "第A部"), (3, "甲"), (3, "第a部")):
        get_body(await admin.patch(f"{path}/rows/{row_no}", json={"unit": unit_path}))
        await assert_full_check_is_equal(engine, Cipher(settings), UUID(org["id"]), UUID(checked["id"]))
