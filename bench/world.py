"""The measured world: the tree's orgs, their people and thirty days of points, written by set-based statements.

It equals data that the service itself writes: every person has a phone, most are activated through an account, the main
admin of each org is one of its people, one person in 33 is a member of two or more orgs. The service's own rebuild
creates the derived data (memberships, totals, scores).

Only people of the groups have real phones. For all others the blind index is invented: they cannot be shown or found by
phone. Day rows have no ledger, as after the archiving of its old partitions.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.blind_index.keys import BlindIndexer
from app.core.calendar import today
from app.core.cipher import Cipher
from app.members.encryption import encrypt_phone
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.rebuild import rebuild_all
from bench.cost import BENCH, Cost, measure_cost
from bench.tree import THIRD, Tree, generate_org_rows

DAYS = 30
ACTIVE_EVERY = 3
"""An activated person has points on one day in three, so that 30 % of all people are active on a day."""

SURNAMES, SURNAMES_READ = "王李张刘陈杨赵黄周吴", "wang li zhang liu chen yang zhao huang zhou wu"
GIVEN, GIVEN_READ = "伟芳娜敏静丽强磊军洋", "wei fang na min jing li qiang lei jun yang"

# The id of the nth org, user or member row, as if they were created one after the other.
_IDS = """
CREATE SCHEMA bench;
CREATE FUNCTION bench.id(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('01900000-0000-7' || lpad(kind::text, 3, '0') || '-8000-' || lpad(to_hex(n), 12, '0'))::uuid;
CREATE TABLE bench.orgs (
    n int PRIMARY KEY, level int, parent int, region_code text, name text, pinyin text, initials text,
    first bigint, people int, descendants int
);
"""
ORG, USER, MEMBER, SECOND, THIRD_ROW, PLACE, ACTIVATION = range(7)


def build_org_id(n: int) -> UUID:
    return UUID(f"01900000-0000-7{ORG:03d}-8000-{n:012x}")


def build_user_id(n: int) -> UUID:
    return UUID(f"01900000-0000-7{USER:03d}-8000-{n:012x}")


# The first person of each org is its main admin; of the others one in ten never registered.
_ACTIVATED = "(p % 10 <> 0 OR p = o.first)"

_SPELLED = f"""
substr('{SURNAMES}', 1 + (p % 10)::int, 1) || substr('{GIVEN}', 1 + (p / 10 % 10)::int, 1)
    || substr('{GIVEN}', 1 + (p / 100 % 10)::int, 1) AS name,
split_part('{SURNAMES_READ}', ' ', 1 + (p % 10)::int) || split_part('{GIVEN_READ}', ' ', 1 + (p / 10 % 10)::int)
    || split_part('{GIVEN_READ}', ' ', 1 + (p / 100 % 10)::int) AS pinyin,
left(split_part('{SURNAMES_READ}', ' ', 1 + (p % 10)::int), 1)
    || left(split_part('{GIVEN_READ}', ' ', 1 + (p / 10 % 10)::int), 1)
    || left(split_part('{GIVEN_READ}', ' ', 1 + (p / 100 % 10)::int), 1) AS initials
"""

_USERS = f"""
INSERT INTO users (id, phone_cipher, phone_index, verified_name, verified_at, verification_method, party_member,
    created_at)
SELECT bench.id({USER}, p), '\\x00', decode(md5('phone' || p), 'hex'), name, now() - interval '90 days', 'alipay', true,
    now() - interval '90 days'
FROM (
    SELECT p, {_SPELLED} FROM bench.orgs AS o, generate_series(o.first, o.first + o.people - 1) AS p
    WHERE {_ACTIVATED} AND o.n % 2 = {{half}} ORDER BY o.n, p
) AS people
"""

_MEMBERS = f"""
INSERT INTO members (org_id, id, user_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party,
    created_at)
SELECT org_id, id, CASE WHEN activated THEN bench.id({USER}, p) END, name, pinyin, initials, '\\x00',
    decode(md5('phone' || p), 'hex'), decode(md5('last4' || p % 10000 || org_id), 'hex'), true,
    now() - interval '90 days'
FROM (
    SELECT bench.id({ORG}, o.n) AS org_id, bench.id({{kind}}, p) AS id, {_ACTIVATED.replace("o.first", "o.mine")}
        AS activated, p, {_SPELLED}
    FROM ({{who}}) AS o
) AS people
ORDER BY org_id, id
"""
_FIRST_ROWS = """
SELECT n, first AS mine, p FROM bench.orgs, generate_series(first, first + people - 1) AS p WHERE n % 2 = {half}
"""
# A second row is in the superior of the first org, or in any org; a third one in any other org.
_ELSEWHERE = """
SELECT n, mine, p FROM (
    SELECT CASE WHEN {which} = 2 AND p % 2 = 0 THEN coalesce(o.parent, o.n)
        ELSE abs(hashint8(p * {which})::bigint) % (SELECT count(*) FROM bench.orgs) END AS n, o.n AS home,
        o.parent AS above, o.first AS mine, p
    FROM bench.orgs AS o, generate_series(o.first, o.first + o.people - 1) AS p WHERE p % {every} = 0
) AS found WHERE n <> home AND ({which} = 2 OR n <> coalesce(above, -1)
    AND n <> abs(hashint8(p * 2)::bigint) % (SELECT count(*) FROM bench.orgs))
"""

_ORGS = (
    f"""
INSERT INTO orgs (id, name, pinyin, initials, sort_key, region_code, kind, main_admin_id, created_by, created_at)
SELECT bench.id({ORG}, n), name, pinyin, initials, pinyin || ' ' || name, region_code, 'party', bench.id({USER}, first),
    bench.id({USER}, first), now() - interval '90 days'
FROM bench.orgs ORDER BY n
""",
    f"""
INSERT INTO org_admins (org_id, user_id, since)
SELECT bench.id({ORG}, n), bench.id({USER}, first), now() - interval '90 days' FROM bench.orgs ORDER BY n
""",
    f"""
INSERT INTO certifications (superior_id, subordinate_id, subordinate_name, subordinate_sort_key, state, requested_by,
    requested_at, decided_by, decided_at, certified_at)
SELECT bench.id({ORG}, o.parent), bench.id({ORG}, o.n), o.name, o.pinyin || ' ' || o.name, 'live',
    bench.id({USER}, o.first), at,
    bench.id({USER}, above.first), at, at
FROM bench.orgs AS o JOIN bench.orgs AS above ON above.n = o.parent, (SELECT now() - interval '89 days') AS times (at)
ORDER BY o.n
""",
)

# The groups have a unit per hundred people, ten in each general branch; one person in ten is at the org itself.
_UNITS = f"""
INSERT INTO units (org_id, id, parent_id, name, kind, position, created_at)
SELECT bench.id({ORG}, n), bench.id({ORG}, n::bigint * 10000 + u),
    CASE WHEN u % 10 <> 0 THEN bench.id({ORG}, n::bigint * 10000 + u - u % 10) END,
    CASE WHEN u % 10 = 0 THEN '第' || u / 10 + 1 || '党总支' ELSE '第' || u || '党支部' END,
    CASE WHEN u % 10 = 0 THEN 'general-branch' ELSE 'branch' END, u, now() - interval '90 days'
FROM bench.orgs, generate_series(0, people / 100) AS u WHERE n = ANY ($1)
"""
_PLACES = f"""
INSERT INTO unit_memberships (org_id, id, member_id, unit_id, since)
SELECT m.org_id, bench.id({PLACE}, row_number() OVER ()), m.id, u.id, now() - interval '90 days'
FROM members AS m
LEFT JOIN bench.orgs AS o ON o.n = ANY ($1) AND bench.id({ORG}, o.n) = m.org_id
LEFT JOIN units AS u ON u.org_id = m.org_id AND right(m.id::text, 1) <> '0'
    AND u.id = bench.id({ORG}, o.n::bigint * 10000 + (hashtext(m.id::text) & 65535) % (o.people / 100 + 1))
ORDER BY m.org_id, m.id
"""
_ACTIVATIONS = f"""
INSERT INTO activations (org_id, id, member_id, user_id, since)
SELECT m.org_id, bench.id({ACTIVATION}, row_number() OVER ()), m.id, user_id, now() - interval '89 days'
FROM members AS m WHERE user_id IS NOT NULL ORDER BY m.org_id, m.id
"""

# One day in three of the thirty.
_EARNED = f"""
INSERT INTO bench.{{table}} (user_id, day, points, events)
SELECT * FROM (
    SELECT bench.id({USER}, p),
        $1::date - {DAYS - 1} + t * {ACTIVE_EVERY} + (hashint8(p * 16 + t) & 1023) % {ACTIVE_EVERY} AS day,
        1 + (hashint8(p * 16 + t) & 31), 1 + (p + t)::int % 4
    FROM bench.orgs AS o, generate_series(o.first, o.first + o.people - 1) AS p,
        generate_series(0, {DAYS // ACTIVE_EVERY - 1}) AS t
    WHERE {_ACTIVATED}
) AS earned WHERE day >= $2::date AND day < $3::date
"""


@dataclass(frozen=True, slots=True)
class World:
    """The orgs and users that the measurements use."""

    orgs: int
    members: int
    root: UUID
    county: UUID
    groups: dict[int, UUID]


class Stopwatch:
    """Prints the name of each step when it ends, with the seconds that it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, step: str) -> None:
        now = time.monotonic()
        print(f"  {step:<46}{now - self._began:>8.1f} s", flush=True)
        self._began = now


async def make_world(superuser_url: str, cipher: Cipher, tree: Tree, day: date) -> World:
    """Write the world of this day into a migrated, empty database."""
    said = Stopwatch()
    async with asyncpg.create_pool(superuser_url, min_size=2, max_size=2, setup=_disable_checks) as pool:
        async with pool.acquire() as db:
            await db.execute(_IDS)
            names = (
                "n",
                "level",
                "parent",
                "region_code",
                "name",
                "pinyin",
                "initials",
                "first",
                "people",
                "descendants",
            )
            await db.copy_records_to_table("orgs", schema_name="bench", records=generate_org_rows(tree), columns=names)
            await db.execute(
                "GRANT USAGE ON SCHEMA bench TO xuezu; GRANT SELECT ON bench.orgs TO xuezu; ANALYZE bench.orgs"
            )
        said("the tree")
        groups = list(tree.groups.values())
        written = (
            "orgs",
            "users",
            "members",
            "org_admins",
            "certifications",
            "units",
            "unit_memberships",
            "activations",
        )
        async with _drop_indexes(pool, written):
            await _run_in_parallel(pool, *(_USERS.format(half=half) for half in (0, 1)))
            said("users")
            first = (_MEMBERS.format(kind=MEMBER, who=_FIRST_ROWS.format(half=half)) for half in (0, 1))
            await _run_in_parallel(pool, *first)
            more = ((SECOND, 2, 33), (THIRD_ROW, 3, round(1 / THIRD)))
            await _run_in_parallel(
                pool,
                *(
                    _MEMBERS.format(kind=kind, who=_ELSEWHERE.format(which=which, every=every))
                    for kind, which, every in more
                ),
            )
            said("members")
            await _run_in_parallel(pool, *_ORGS)
            said("orgs, admins, certifications")
            await pool.execute(_UNITS, groups)
            await asyncio.gather(pool.execute(_PLACES, groups), pool.execute(_ACTIVATIONS))
            said("units, unit memberships, activations")
        said("their indexes")
        await _encrypt_group_phones(pool, cipher, groups)
        said("phones of the groups")
        # Up to yesterday: events of today go through the ledger, and a recount reads them there.
        await _write_days(pool, day - timedelta(days=1))
        said("day rows")
        await pool.execute("VACUUM ANALYZE")
        said("vacuum, analyze")
        return await find_world(pool)


SCAN = (
    "SELECT count(*), sum(points) FROM (SELECT user_id, sum(points) AS points FROM user_days GROUP BY user_id) AS sums"
)


async def build_totals(url: str, day: date, pids: Mapping[str, int]) -> tuple[Cost, Cost]:
    """Build the stored totals of the day and of the day a week before, and the scores of the day. Return the cost of
    the rebuild and of two scans of the day rows."""
    connection = await asyncpg.connect(url)
    try:
        await build_missing_days(connection, day - timedelta(days=7), tomorrow=False)
        await connection.execute("UPDATE stored_days SET scored = false")
        bounds = (day, day + timedelta(days=1))
        await connection.execute("SELECT make_partition('org_totals', $1, $2)", *bounds)
        await connection.execute("SELECT make_partition('org_scores', $1, $2)", *bounds)
        await connection.execute("INSERT INTO stored_days (day, scored) VALUES ($1, true)", day)
        took = await measure_rebuild(connection, pids)
        await connection.execute("ANALYZE memberships, tree_edges, org_totals, org_scores")
        return took
    finally:
        await connection.close()


async def build_today(url: str) -> None:
    """Build the stored totals of today, as the worker does at midnight. Measurements without a worker need it."""
    connection = await asyncpg.connect(url)
    try:
        while await run_cycle(connection):
            pass
        await build_missing_days(connection, today(), tomorrow=False)
    finally:
        await connection.close()


async def roll_up_and_drop_days(connection: asyncpg.Connection, day: date) -> None:
    """Roll up all pending deltas, and drop all stored days except today and the day a week before the world's `day`.

    The worker builds more days at midnight and from 22:00 on. Each day adds work to a rollup and a rebuild, so that the
    comparison would depend on the hour.
    """
    while await run_cycle(connection):
        pass
    await connection.execute("DELETE FROM stored_days WHERE day <> ALL ($1)", [day - timedelta(days=7), today()])
    await connection.execute("UPDATE stored_days SET scored = day = $1", today())


async def measure_rebuild(connection: asyncpg.Connection, pids: Mapping[str, int]) -> tuple[Cost, Cost]:
    """Return the cost of a full rebuild, and of two bare scans of the day rows, one before and one after it."""
    works = (lambda: connection.execute(SCAN), lambda: rebuild_all(connection), lambda: connection.execute(SCAN))
    took = []
    for work in works:
        with measure_cost(pids, "postgres", BENCH) as found:
            await work()
        took.append(found)
    return took[1], took[0] + took[2]


async def find_world(db: Any) -> World:
    """Return the world in the database."""
    county = await db.fetchval("SELECT n FROM bench.orgs WHERE level = 3 ORDER BY abs(descendants - 220), n LIMIT 1")
    groups = await db.fetch("SELECT org_id, count(DISTINCT id) AS units FROM units GROUP BY org_id")
    sizes = await db.fetch(
        f"SELECT n, people FROM bench.orgs WHERE bench.id({ORG}, n) = ANY ($1) ORDER BY people",
        [row["org_id"] for row in groups],
    )
    return World(
        orgs=await db.fetchval("SELECT count(*) FROM bench.orgs"),
        members=await db.fetchval("SELECT count(*) FROM members"),
        root=build_org_id(0),
        county=build_org_id(county),
        groups={row["people"]: build_org_id(row["n"]) for row in sizes},
    )


async def _disable_checks(connection: asyncpg.Connection) -> None:
    # Triggers and foreign keys are disabled: the generated data is consistent.
    await connection.execute(
        "SET session_replication_role = replica; SET maintenance_work_mem = '1GB'; SET work_mem = '256MB';"
        "SET synchronous_commit = off; SET jit = off"
    )


async def _run_in_parallel(pool: Any, *statements: str) -> None:
    await asyncio.gather(*(pool.execute(statement) for statement in statements))


@asynccontextmanager
async def _drop_indexes(pool: Any, tables: Sequence[str]) -> AsyncIterator[None]:
    """Drop the indexes of these tables that no constraint needs. After the `with` block create them again, two at a
    time."""
    found = await pool.fetch(
        """
        SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made_by FROM pg_index
        WHERE indrelid = ANY ($1::text[]::regclass[])
          AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = indexrelid)
        ORDER BY indrelid, indexrelid
        """,
        list(tables),
    )
    for index in found:
        await pool.execute(f"DROP INDEX {index['name']}")
    yield
    await _run_in_parallel(pool, *(index["made_by"] for index in found))


async def _encrypt_group_phones(pool: Any, cipher: Cipher, groups: list[int]) -> None:
    """Store encrypted phones and their blind indexes for the people of the groups, so that the phones can be shown and
    found."""
    async with pool.acquire() as db, db.transaction():
        await db.execute(
            "CREATE TEMP TABLE sealed (org_id uuid, id uuid, user_id uuid, phone_cipher bytea, phone_index bytea, "
            "last4 bytea, user_cipher bytea) ON COMMIT DROP"
        )
        found = await db.fetch(
            f"SELECT org_id, id, user_id FROM members WHERE org_id = ANY (SELECT bench.id({ORG}, n) FROM bench.orgs "
            "WHERE n = ANY ($1))",
            groups,
        )
        sealed = []
        for row in found:
            phone = f"199{row['id'].int % 2**48 % 10**8:08d}"
            columns = encrypt_phone(BlindIndexer(cipher), row["org_id"], row["id"], phone)
            of_user = cipher.encrypt(phone, row["user_id"]) if row["user_id"] else None
            sealed.append((*row, *columns.values(), of_user))
        await db.copy_records_to_table("sealed", records=sealed)
        await db.execute(
            "UPDATE members AS m SET phone_cipher = s.phone_cipher, phone_index = s.phone_index, "
            "phone_last4_index = s.last4 FROM sealed AS s WHERE m.org_id = s.org_id AND m.id = s.id"
        )
        # A member of several orgs has one phone: the other rows get it too.
        await db.execute(
            "UPDATE users AS u SET phone_cipher = s.user_cipher, phone_index = s.phone_index FROM sealed AS s "
            "WHERE u.id = s.user_id"
        )
        await db.execute(
            "UPDATE members AS m SET phone_index = u.phone_index FROM sealed AS s JOIN users AS u ON u.id = s.user_id "
            "WHERE m.user_id = u.id AND m.phone_index <> u.phone_index"
        )


async def _write_days(pool: Any, last: date) -> None:
    """Write the day rows by month, each month before its table becomes a partition."""
    months: list[date] = [(last - timedelta(days=DAYS - 1)).replace(day=1)]
    while (following := (months[-1] + timedelta(days=31)).replace(day=1)) <= last:
        months.append(following)

    async def write(since: date) -> None:
        before = (since + timedelta(days=31)).replace(day=1)
        table = f"user_days_{since:%Y%m%d}"
        async with pool.acquire() as db, db.transaction():
            await db.execute(f"CREATE TABLE bench.{table} (LIKE user_days INCLUDING DEFAULTS)")
            await db.execute(_EARNED.format(table=table), last, since, before)
            await db.execute(f"ALTER TABLE bench.{table} ADD PRIMARY KEY (user_id, day)")
            await db.execute(f"ALTER TABLE bench.{table} OWNER TO xuezu")
            await db.execute(f"ALTER TABLE bench.{table} SET SCHEMA partitions")
            await db.execute(
                f"ALTER TABLE user_days ATTACH PARTITION partitions.{table} FOR VALUES FROM ('{since}') TO ('{before}')"
            )

    await asyncio.gather(*(write(month) for month in months))
