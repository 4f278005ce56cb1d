"""The worked example of docs/TOTALS.md: the test reads its tables, builds its world and compares the stored totals."""

import random
from collections.abc import AsyncIterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.calendar import SHANGHAI, today
from app.reports.rollup.cycle import build_missing_days
from app.reports.rollup.verify import find_differences
from app.schema.certification import Certification
from tests.conftest import migrated_database
from tests.databases import create_test_engine
from tests.reports.test_rollup import apply_all_deltas, create_viewer, earn
from tests.reports.world import MemberRow, Range, World, get_history_start, write_world

TOTALS = Path(__file__).parents[2] / "docs" / "TOTALS.md"
Table = list[dict[str, str]]


def read_table(name: str) -> Table:
    """Return the rows of the document's table after `<!-- table: NAME -->`, with the names of its columns as keys."""
    _, found, rest = TOTALS.read_text("utf-8").partition(f"<!-- table: {name} -->\n")
    assert found, name
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in rest.split("\n\n")[0].splitlines()
    ]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def parse_day_name(name: str, now: date) -> date:
    """Return the day that the document calls `D` (`now`), or for example `D-3` (three days earlier)."""
    return now - timedelta(days=int(name.removeprefix("D").removeprefix("-") or 0))


class Example:
    """The world that the document describes. `orgs`, `users` and `members` map the document's names to ids."""

    def __init__(self, viewer: UUID, now: date) -> None:
        self.world, self.now = World(viewer), now
        self.orgs: dict[str, UUID] = {}
        self.users: dict[str, UUID] = {}
        self.members: dict[tuple[UUID, UUID], tuple[str, str]] = {}
        always = Range(get_history_start(), None)
        for row in read_table("orgs"):
            self.orgs[row["org"]] = uuid4()
            self.world.add_org(self.orgs[row["org"]])
            if row["under"]:
                self.world.edges.append((self.orgs[row["under"]], self.orgs[row["org"]], always))
        for row in read_table("people"):
            user, phone = uuid4(), random.randbytes(16)
            self.users[row["person"]] = user
            self.world.users.append(user)
            for org in row["member of"].split(", "):
                activations = [(user, always)] if row["activated"] == "yes" else []
                member = MemberRow(self.orgs[org], uuid4(), phone, [(None, always)], activations)
                self.members[self.orgs[org], member.id] = (org, row["person"])
                self.world.rows.append(member)

    async def write_points(self, db: AsyncConnection, table: str) -> None:
        points = read_table(table)
        events = [
            (self.users[row["person"]], parse_day_name(row["day"], self.now), int(row["points"])) for row in points
        ]
        await earn(db, self.world, events)

    async def write_transfer(self, db: AsyncConnection) -> None:
        """Write the transfer of the document: the old certification ends today, and the new one begins."""
        (move,) = read_table("transfer")
        at = datetime.combine(self.now, time(), SHANGHAI)
        ended = await db.execute(
            text(
                "UPDATE certifications SET state = 'ended', ended_at = :at, subordinate_name = NULL "
                "WHERE subordinate_id = :org AND superior_id = :superior AND state = 'live'"
            ),
            {"at": at, "org": self.orgs[move["org"]], "superior": self.orgs[move["from"]]},
        )
        assert ended.rowcount == 1
        await db.execute(
            insert(Certification).values(
                superior_id=self.orgs[move["to"]],
                subordinate_id=self.orgs[move["org"]],
                subordinate_name=self.world.names[self.orgs[move["org"]]],
                state="live",
                requested_by=self.world.viewer,
                certified_at=at,
            )
        )

    async def read_totals(self, rollup: asyncpg.Connection, like: Table) -> Table:
        """Return the stored totals in the form of `like`, a table of the document: with the same rows and columns."""
        found = []
        for row in like:
            day = parse_day_name(row["day"], self.now)
            totals = await rollup.fetchrow(
                "SELECT * FROM org_totals WHERE org_id = $1 AND day = $2", self.orgs[row["org"]], day
            )
            figures = {name: str(totals[name] if totals else 0) for name in row if name not in ("org", "day")}
            found.append({"org": row["org"], "day": row["day"], **figures})
        return found

    async def read_scores(self, rollup: asyncpg.Connection) -> Table:
        """Return the stored scores of today, with the names of the document."""
        rows = await rollup.fetch("SELECT * FROM org_scores WHERE day = $1", self.now)
        found = []
        for row in rows:
            org, person = self.members[row["org_id"], row["member_id"]]
            found.append({"org": org, "person": person, "last_7": str(row["last_7"]), "total": str(row["total"])})
        return found


@pytest.fixture(scope="module")
def example_url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"xuezu_{worker_id}_example")


@pytest.fixture
async def own_engine(example_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_test_engine(example_url)
    yield engine
    await engine.dispose()


async def test_worked_example_equals_stored_totals(example_url: str, own_engine: AsyncEngine) -> None:
    example = Example(await create_viewer(own_engine), today())
    await write_world(own_engine, example.world)
    rollup = await asyncpg.connect(example_url)
    try:
        async with own_engine.begin() as db:
            await example.write_points(db, "points")
        await apply_all_deltas(rollup)
        await build_missing_days(rollup, example.now, tomorrow=False)
        before = read_table("before")
        assert await example.read_totals(rollup, before) == before

        async with own_engine.begin() as db:
            await example.write_points(db, "late point")
        await apply_all_deltas(rollup)
        late = read_table("after late point")
        assert await example.read_totals(rollup, late) == late
        assert sorted(await example.read_scores(rollup), key=str) == sorted(read_table("scores"), key=str)

        past = "SELECT * FROM org_totals WHERE day < $1 ORDER BY org_id, day"
        past_days = await rollup.fetch(past, example.now)
        async with own_engine.begin() as db:
            await example.write_transfer(db)
        await apply_all_deltas(rollup)
        moved = read_table("after transfer")
        assert await example.read_totals(rollup, moved) == moved
        assert await rollup.fetch(past, example.now) == past_days
        assert [found async for found in find_differences(rollup)] == []
    finally:
        await rollup.close()
