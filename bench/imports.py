"""The measurement `import_100k`: an import of 100,000 people from the upload to its end, compared with a COPY and
merge."""

import asyncio
import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import httpx
import psutil
import xlsxwriter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.authz.access import OrgScope, UserScope
from app.blind_index.keys import BlindIndexer
from app.core.cipher import Cipher
from app.database.db import create_engine
from app.members.imports import progress
from app.members.imports.jobs import LARGE_BYTES
from app.members.imports.reader import SheetReading, SheetRow
from app.members.imports.rows import StagedRow, stage_rows
from app.members.operations import create_member
from app.members.schemas import MemberCreate
from app.orgs.queries import get_card
from app.schema.orgs import Unit
from bench.cost import BENCH, Cost, Round
from bench.loop_watch import read_longest_stall
from bench.people import create_org, register_person
from bench.rows import Row
from bench.service import Measured
from devtools.demo.people import fresh_name

UNITS = 300
SAMPLE = 2000  # rows that are written one by one; a twentieth of them at a smaller scale


def import_100k(measured: Measured) -> list[Row]:
    """Compare an import of 100,000 people with the reference in alternating rounds, each into a new org. Measure the
    memory of the API process too."""
    count = 100_000 // measured.scale.divisor
    bench = _Imports(measured)
    fewer = count // 10
    sample = SAMPLE if measured.scale.divisor == 1 else SAMPLE // 20
    ours, ours_fewer, reference, singly, read = [], [], [], [], []
    with bench.watched_api() as api:
        bench.measure_upload(api, _build_sheet(50))  # the first upload includes one-time compilation
        before = api.resident()
        for _ in range(max(2, measured.scale.rounds // 2)):
            sheet = _build_sheet(count)
            ours.append(bench.measure_upload(api, sheet))
            reading, rows, staged = asyncio.run(bench.read_sheet_in_child(sheet))
            reference.append(bench.measure_write(_copy_and_merge, staged))
            singly.append(bench.measure_single_adds(rows[:sample]))
            read.append(Round(reading, reading, {"reader": reading * 1000}))
            ours_fewer.append(bench.measure_upload(api, _build_sheet(fewer)))
        grown, stalled = api.peak() - before, read_longest_stall(api.lines)
    wholly, of_fewer = ([cost.each(sample / rows) for cost in singly] for rows in (count, fewer))
    added = "s; {:,} rows as POST …/members adds them, each in a transaction of its own; / their import"
    return [
        Row.from_rounds(
            "import_100k", ours, reference, 1.5, at_most=True, note=f"s; {count:,} rows; / COPY and a bare merge"
        ),
        Row.from_rounds("import_one_by_one", wholly, ours, 5, note=added.format(count)),
        Row.from_rounds("import_tenth", of_fewer, ours_fewer, 5, note=added.format(fewer)),
        Row.from_rounds(
            "import_reading", read, ours, 0.1, at_most=True, note="s; processor time of the child that reads"
        ),
        Row.from_figure(
            "import_api_stall", stalled, 50, note="ms; the longest time that its event loop did nothing else"
        ),
        Row.from_figure("import_api_growth", grown, 64, note="MB; over what it was resident with before"),
    ]


class _Api(NamedTuple):
    address: str
    pid: int
    lines: Path

    def resident(self) -> float:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # resets the peak
        self.lines.write_text("")
        return float(psutil.Process(self.pid).memory_info().rss) / (1 << 20)

    def peak(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


class _Imports:
    def __init__(self, measured: Measured) -> None:
        self._measured = measured

    @contextmanager
    def watched_api(self) -> Iterator[_Api]:
        lines = self._measured.directory / "watched.txt"
        lines.touch()
        with self._measured.run_process("watched", ("-m", "bench.loop_watch", str(lines)), "/readyz"):
            yield _Api(self._measured.addresses["watched"], self._measured.pids["watched"], lines)

    def _create_org(self) -> tuple[str, dict[str, str]]:
        """Create an org with units, as soon as the rollup has nothing left of the previous measurement. Return the
        org's id, and the Authorization header of its main admin, who is a new user."""
        asyncio.run(self._measured.wait_for_rollup())
        with httpx.Client(base_url=self._measured.ours, timeout=30) as service:
            person = register_person(self._measured, service)
            org = create_org(person)
        self._measured.query_value(_UNITS, UUID(org), UNITS - 1)
        return org, {"Authorization": f"Bearer {person.token}"}

    def measure_upload(self, api: _Api, sheet: bytes) -> Round:
        """Upload a sheet of people into a new org, confirm the import as soon as its preview is ready, and wait until
        it is done. Return the cost of the whole, from the first byte of the upload on."""
        org, headers = self._create_org()
        pause = progress.POLL_SECONDS if len(sheet) > LARGE_BYTES else 0.05  # as the console and the event stream
        with (
            httpx.Client(base_url=api.address, headers=headers, timeout=60) as client,
            self._measured.measure("watched", "worker", "postgres") as taken,
        ):
            sent = client.post(f"/v1/orgs/{org}/imports", files={"file": ("a.xlsx", sheet)}).raise_for_status()
            path = f"/v1/orgs/{org}/imports/{sent.json()['id']}"
            for wanted in ("ready", "done"):
                while (found := client.get(path).raise_for_status().json())["state"] != wanted:
                    assert found["state"] in {"uploaded", "checking", "confirmed", "merging"}, found["state"]
                    time.sleep(pause)
                if wanted == "ready":
                    client.put(f"{path}/confirmation", json={"preview": found["preview"]}).raise_for_status()
        assert found["counts"]["refused"] == 0, found["counts"]
        return taken.each()

    async def read_sheet_in_child(self, sheet: bytes) -> tuple[float, list[SheetRow], list[StagedRow]]:
        """Read the sheet in a child process. Return the child's processor time in seconds, the rows as typed, and the
        same rows staged (encrypted) for the reference."""
        file = self._measured.directory / "sheet.xlsx"
        file.write_bytes(sheet)
        rows: list[SheetRow] = []
        with file.open("rb") as opened:
            before = _get_seconds_of_children()
            async for batch in SheetReading("xlsx", opened.fileno()).read_rows():
                rows += batch
            reading = _get_seconds_of_children() - before
        cipher = Cipher(self._measured.settings)
        return reading, rows, stage_rows(BlindIndexer(cipher), uuid4(), True, rows, [uuid4() for _ in rows])

    def measure_write(
        self, write: Callable[[asyncpg.Connection, UUID, Sequence[StagedRow]], Any], rows: list[StagedRow]
    ) -> Round:
        """Write the staged rows into a new org in one transaction with `write`. Return the cost."""
        org, _ = self._create_org()

        async def run() -> Round:
            db = await asyncpg.connect(self._measured.superuser_url)
            try:
                with self._measured.measure("postgres", BENCH) as taken:
                    async with db.transaction():
                        await write(db, UUID(org), rows)
                return taken.each()
            finally:
                await db.close()

        return asyncio.run(run())

    def measure_single_adds(self, rows: Sequence[SheetRow]) -> Cost:
        """Add the people of these rows to a new org, one after the other. Return the cost.

        Each row is added by the operation for a single person, in its own transaction and without HTTP: unit look-up,
        check, encryption and index of the phone, look-up of its user, audit entry and delta rows.
        """
        org = UUID(self._create_org()[0])

        async def run() -> Cost:
            engine = create_engine(self._measured.settings)
            cipher = Cipher(self._measured.settings)
            try:
                async with engine.connect() as db:
                    scope = await _get_scope(db, org)
                with self._measured.measure("postgres", BENCH) as taken:
                    for row in rows:
                        async with engine.begin() as db:
                            unit = await db.scalar(select(Unit.id).where(Unit.org_id == org, Unit.name == row.unit))
                            body = MemberCreate(name=row.name, phone=row.phone, unit_ids=[unit])
                            await create_member(db, cipher, scope, body)
                return taken
            finally:
                await engine.dispose()

        return asyncio.run(run())


async def _get_scope(db: AsyncConnection, org_id: UUID) -> OrgScope:
    """Return the scope with which the org's main admin calls an operation."""
    card = await get_card(db, org_id)
    assert card.main_admin_id is not None, "the org was not loaded"
    user = UserScope(card.main_admin_id, uuid4(), "bench", (), "王伟", True, Actor(user_id=card.main_admin_id))
    return OrgScope(user, card, frozenset())


async def _copy_and_merge(db: asyncpg.Connection, org: UUID, staged: Sequence[StagedRow]) -> None:
    """Write people from staged rows without the checks of the service: COPY into a table without indexes, then a merge
    into each of the two tables of members. The planner has no statistics of the new org: a nested loop would compare
    every row with every other."""
    await db.execute("SET LOCAL enable_nestloop = off")
    await db.execute(f"CREATE TEMPORARY TABLE bare ({_BARE}) ON COMMIT DROP")
    await db.copy_records_to_table("bare", records=[_build_record(row) for row in staged])
    await db.execute("ANALYZE bare")
    await db.execute(_MERGE_MEMBERS, org)
    await db.execute(_MERGE_PLACES, org)


_UNITS = """
INSERT INTO units (org_id, name, kind)
SELECT $1, '第' || n || '党支部', 'branch' FROM generate_series(0, $2::int) AS n
"""
_BARE = "id uuid, name text, pinyin text, initials text, cipher bytea, index bytea, last4 bytea, unit text"
_COLUMNS = "org_id, id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party"
_KNOWN = "(org_id, phone_index) WHERE removed_at IS NULL DO UPDATE SET name = excluded.name"
_MERGE_MEMBERS = f"""
INSERT INTO members ({_COLUMNS})
SELECT $1, id, name, pinyin, initials, cipher, index, last4, true FROM bare ON CONFLICT {_KNOWN}
"""
_MERGE_PLACES = """
INSERT INTO unit_memberships (org_id, member_id, unit_id)
SELECT $1, m.id, u.id FROM bare AS b
JOIN members AS m ON m.org_id = $1 AND m.phone_index = b.index AND m.removed_at IS NULL
JOIN units AS u ON u.org_id = $1 AND u.name = b.unit
ON CONFLICT DO NOTHING
"""


def _build_record(row: StagedRow) -> tuple[Any, ...]:
    phone = (row.phone_cipher, row.phone_index, row.phone_last4_index)
    return (row.new_member_id, row.name, row.pinyin, row.initials, *phone, row.unit_path)


def _get_seconds_of_children() -> float:
    used = psutil.Process().cpu_times()
    return float(used.children_user + used.children_system)


def _build_sheet(count: int) -> bytes:
    """Return an xlsx sheet of people with unused phones in the units."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"constant_memory": True})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ("姓名", "手机号码", "支部名称"))
    chance = random.Random()
    for number, phone in enumerate(chance.sample(range(10**8), count)):
        sheet.write_row(number + 1, 0, (fresh_name(), f"199{phone:08d}", f"第{number % UNITS}党支部"))
    book.close()
    return content.getvalue()
