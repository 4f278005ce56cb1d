"""Migration 0020 converts every old state to a new state and changes nothing else in a row. Migration 0021 stores which
transfers of people are superseded.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from app.database.migration import migrate

BEFORE, AFTER = "0019", "0020"
USER, SUPERIOR, ORG, LONELY, UNIT, REMOVED = (uuid4() for _ in range(6))

# For each table: the columns of each row, as SQL, and the state that the row must have after the migration.
ROWS: Mapping[str, list[tuple[dict[str, str], str]]] = {
    "certifications": [
        ({"state": "'applied'", "subordinate_id": "uuidv7()"}, "pending"),
        ({"state": "'certified'", "subordinate_name": "'甲'", "certified_at": "now()"}, "live"),
        ({"state": "'refused'", "decided_at": "now()", "reason": "'材料不全'"}, "declined"),
        ({"state": "'withdrawn'", "decided_at": "now()"}, "withdrawn"),
        ({"state": "'released'", "certified_at": "now()", "released_at": "now()"}, "ended"),
    ],
    "change_requests": [
        ({"state": "'asked'"}, "pending"),
        ({"state": "'asked'", "expires_at": "now() - interval '1 day'", "org_id": f"'{LONELY}'"}, "pending"),
        # No superior remained to decide it.
        ({"state": "'asked'", "org_id": f"'{LONELY}'", "kind": "'hand-over'", "names": "false"}, "superseded"),
        ({"state": "'asked'", "org_id": f"'{LONELY}'", "kind": "'recovery'", "names": "false"}, "pending"),
        ({"state": "'approved'", "decided_at": "now()"}, "accepted"),
        ({"state": "'refused'", "decided_at": "now()", "refusal": "'重名'"}, "declined"),
        ({"state": "'withdrawn'", "decided_at": "now()"}, "withdrawn"),
        ({"state": "'expired'", "decided_at": "now()"}, "expired"),
        ({"state": "'stale'", "decided_at": "now()"}, "superseded"),
    ],
    "admin_invitations": [
        ({"state": "'invited'", "phone_cipher": "'\\x01'"}, "pending"),
        ({"state": "'accepted'", "user_id": f"'{USER}'"}, "accepted"),
        ({"state": "'refused'"}, "declined"),
        ({"state": "'withdrawn'"}, "withdrawn"),
        ({"state": "'expired'"}, "expired"),
    ],
    "promotions": [
        ({"state": "'offered'", "phone_cipher": "'\\x01'"}, "pending"),
        ({"state": "'accepted'", "new_org_id": "uuidv7()", "decided_at": "now()"}, "accepted"),
        ({"state": "'refused'", "decided_at": "now()"}, "declined"),
        ({"state": "'withdrawn'", "decided_at": "now()"}, "withdrawn"),
        # The first was withdrawn together with its unit, the second before the unit was removed.
        ({"state": "'withdrawn'", "unit_id": f"'{REMOVED}'", "decided_at": "now()"}, "superseded"),
        ({"state": "'withdrawn'", "unit_id": f"'{REMOVED}'", "decided_at": "now() - interval '9 days'"}, "withdrawn"),
        ({"state": "'expired'", "decided_at": "now()"}, "expired"),
    ],
    "link_requests": [
        ({"state": "'asked'", "name_key": "'王'", "pinyin": "'wang'"}, "pending"),
        ({"state": "'accepted'", "decided_at": "now()"}, "accepted"),
        ({"state": "'refused'", "decided_at": "now()", "reason": "'不是本人'"}, "declined"),
        ({"state": "'withdrawn'", "decided_at": "now()"}, "withdrawn"),
        ({"state": "'expired'", "decided_at": "now()"}, "expired"),
    ],
    "transfers": [
        ({"state": "'asked'", "org_id": "uuidv7()"}, "pending"),
        ({"state": "'released'", "released_at": "now()", "released_by": f"'{USER}'"}, "pending"),
        ({"state": "'done'", "released_at": "now()", "decided_at": "now()"}, "accepted"),
        ({"state": "'refused'", "decided_at": "now()", "reason": "'不同意'"}, "declined"),
        ({"state": "'withdrawn'", "decided_at": "now()"}, "withdrawn"),
        ({"state": "'lapsed'", "decided_at": "now()"}, "superseded"),
    ],
    "person_transfers": [
        ({"state": "'asked'"}, "pending"),
        ({"state": "'accepted'", "new_member_id": "uuidv7()", "decided_at": "now()"}, "accepted"),
        ({"state": "'refused'", "decided_at": "now()", "reason": "'编制已满'"}, "declined"),
        ({"state": "'withdrawn'", "decided_at": "now()"}, "withdrawn"),
        ({"state": "'lapsed'", "decided_at": "now()"}, "superseded"),
        ({"state": "'lapsed'", "decided_at": "now()", "expires_at": "now() - interval '1 day'"}, "expired"),
    ],
}
# The default columns of each table's rows.
SOON = "now() + interval '9 days'"
ALWAYS: Mapping[str, dict[str, str]] = {
    "certifications": {"superior_id": f"'{SUPERIOR}'", "subordinate_id": f"'{ORG}'", "applied_by": f"'{USER}'"},
    "change_requests": {
        "org_id": f"'{ORG}'",
        "kind": "'rename'",
        "asked_by": f"'{USER}'",
        "expires_at": SOON,
    },
    "admin_invitations": {
        "org_id": f"'{ORG}'",
        "phone_index": "'\\x02'",
        "invited_by": f"'{USER}'",
        "expires_at": SOON,
    },
    "promotions": {
        "org_id": f"'{ORG}'",
        "unit_id": f"'{UNIT}'",
        "name": "'乙'",
        "region_code": "'320102'",
        "phone_index": "'\\x02'",
        "offered_by": f"'{USER}'",
        "expires_at": SOON,
    },
    "link_requests": {"org_id": f"'{ORG}'", "user_id": f"'{USER}'", "expires_at": SOON},
    "transfers": {
        "org_id": f"'{ORG}'",
        "from_id": f"'{SUPERIOR}'",
        "to_id": f"'{LONELY}'",
        "certification_id": "uuidv7()",
        "invitation_id": "uuidv7()",
        "asked_by": f"'{USER}'",
    },
    "person_transfers": {
        "org_id": f"'{ORG}'",
        "member_id": "uuidv7()",
        "to_id": f"'{SUPERIOR}'",
        "asked_by": f"'{USER}'",
        "expires_at": SOON,
    },
}
RENAMED = {
    **{f"{word}_by": "requested_by" for word in ("applied", "asked", "invited", "offered")},
    **{f"{word}_at": "requested_at" for word in ("applied", "asked", "invited", "offered")},
}


@pytest.fixture
async def database(server_url: str) -> AsyncIterator[str]:
    name = f"approvals_{uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    yield server_url.replace("/postgres?", f"/{name}?")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def test_migration_converts_every_state_and_loses_no_value(database: str) -> None:
    await asyncio.to_thread(migrate, database, BEFORE)
    connection = await asyncpg.connect(database)
    expected = await _insert_old_rows(connection)
    before = {table: await _rows(connection, table) for table in ROWS}
    count_before = await connection.fetchval("SELECT count(*) FROM edge_facts")

    await asyncio.to_thread(migrate, database, AFTER)
    await connection.reload_schema_state()
    for table, states in expected.items():
        after = await _rows(connection, table)
        assert {identity: row["state"] for identity, row in after.items()} == states, table
        for identity, row in before[table].items():
            names = RENAMED | ({"released_at": "ended_at"} if table == "certifications" else {})
            old = {names.get(name, name): value for name, value in row.items()}
            new = after[identity]
            changed = {name for name in old if old[name] != new[name]} - {"state"}
            assert changed <= ({"decided_at"} if states[identity] == "superseded" else set()), (table, row, new)
    assert await connection.fetchval("SELECT count(*) FROM edge_facts") == count_before
    released = await connection.fetchval(
        "SELECT count(*) FROM transfers WHERE state = 'pending' AND released_by = $1", USER
    )
    assert released == 1
    await connection.close()


async def test_hierarchy_triggers_after_migration_check_live_edges(database: str) -> None:
    await asyncio.to_thread(migrate, database, AFTER)
    connection = await asyncpg.connect(database)
    await _insert_org(connection, SUPERIOR)
    await _insert_org(connection, ORG)
    edge = (
        "INSERT INTO certifications (superior_id, subordinate_id, subordinate_name, state, requested_by, certified_at) "
        f"VALUES ($1, $2, '党支部', 'live', '{USER}', now())"
    )
    await connection.execute(edge, SUPERIOR, ORG)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="circle"):
        await connection.execute(edge, ORG, SUPERIOR)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="no edges"):
        await connection.execute("UPDATE orgs SET status = 'closed', closed_at = now() WHERE id = $1", SUPERIOR)
    await connection.execute("UPDATE certifications SET state = 'ended', ended_at = now(), subordinate_name = NULL")
    await connection.execute(edge, ORG, SUPERIOR)
    assert await connection.fetchval("SELECT count(*) FROM edge_facts") > 0
    await connection.close()


async def test_migration_stores_pending_transfers_of_departed_people_as_superseded(database: str) -> None:
    await asyncio.to_thread(migrate, database, "0020")
    connection = await asyncpg.connect(database)
    await connection.execute("SET session_replication_role = replica")
    # When the person left, when the transfer's time is over, and the state that it must have afterwards.
    left = "now() - interval '1 day'"
    cases = [("NULL", SOON, "pending"), (left, SOON, "superseded"), (left, "now() - interval '2 days'", "pending")]
    expected: dict[UUID, str] = {}
    for removed_at, expires_at, state in cases:
        member = await connection.fetchval(
            "INSERT INTO members (org_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party,"
            f" removed_at) VALUES ('{ORG}', '甲', '', '', '', uuid_send(uuidv7()), '', true, {removed_at}) RETURNING id"
        )
        transfer = await connection.fetchval(
            "INSERT INTO person_transfers (org_id, member_id, to_id, requested_by, expires_at)"
            f" VALUES ('{ORG}', '{member}', '{SUPERIOR}', '{USER}', {expires_at}) RETURNING id"
        )
        expected[transfer] = state
    await connection.execute("SET session_replication_role = DEFAULT")
    await asyncio.to_thread(migrate, database, "0021")
    after = await _rows(connection, "person_transfers")
    assert {identity: row["state"] for identity, row in after.items()} == expected
    await connection.close()


async def _insert_old_rows(connection: asyncpg.Connection) -> dict[str, dict[UUID, str]]:
    """Insert the rows. Return, by table and id, the state that each row must have after the migration. Most of the
    referenced rows do not exist."""
    expected: dict[str, dict[UUID, str]] = {}
    await connection.execute("SET session_replication_role = replica")
    for unit, removed in ((UNIT, "NULL"), (REMOVED, "now() - interval '1 day'")):
        columns = "org_id, id, name, kind, position, removed_at"
        values = f"'{ORG}', '{unit}', '支部', 'branch', 0, {removed}"
        await connection.execute(f"INSERT INTO units ({columns}) VALUES ({values})")
    for table, rows in ROWS.items():
        expected[table] = {}
        for own, state in rows:
            columns_ = ALWAYS[table] | own
            if table == "change_requests":
                named = columns_.pop("names", "true") == "true"
                names = {"name_before": "'甲'", "name_after": "'乙'"}
                people = {"main_admin_before": f"'{USER}'", "main_admin_after": "uuidv7()"}
                columns_ |= names if named else people
            inserted = (
                f"INSERT INTO {table} ({', '.join(columns_)}) VALUES ({', '.join(columns_.values())}) RETURNING id"
            )
            expected[table][await connection.fetchval(inserted)] = state
    await connection.execute("SET session_replication_role = DEFAULT")
    return expected


async def _insert_org(connection: asyncpg.Connection, org_id: UUID) -> None:
    await connection.execute(
        "INSERT INTO users (id, phone_index, verified_at) VALUES ($1, '\\x01', now()) ON CONFLICT DO NOTHING", USER
    )
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO orgs (id, name, pinyin, initials, region_code, kind, main_admin_id, created_by) "
            "VALUES ($1, '党支部', '', '', '320102', 'party', $2, $2)",
            org_id,
            USER,
        )
        await connection.execute("INSERT INTO org_admins (org_id, user_id) VALUES ($1, $2)", org_id, USER)


async def _rows(connection: asyncpg.Connection, table: str) -> dict[UUID, dict[str, Any]]:
    return {row["id"]: dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")}
