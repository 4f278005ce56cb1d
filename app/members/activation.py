"""Which account a member row is active through (S18).

A row is active while a registered user holds its phone, unless that user's verified name is another: numbers are
recycled, and then nothing is linked without an admin's consent. A consented link lasts until it is undone. The
account and its points are never touched from here.
"""

import asyncio
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, TextClause, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.database.locks import Lock, lock, lock_of_each
from app.queue.jobs import Busy, Job, Payload, Worker, enqueue
from app.web.errors import Unavailable

# Registering a phone and adding a row with it, at once, must not miss each other: both take the phone's lock before
# they look for the other, so that whoever comes second sees what the first committed. An account that changes is held
# by its change: who works on a row holds its phone's account against that, first of all, and then the phone.
# The phones are locked once all the accounts are, in the order of their indexes.
_LOCK_ACCOUNTS_AND_PHONES = text(f"""
WITH phones AS MATERIALIZED (
    SELECT unnest(:indexes) AS index
    UNION SELECT phone_index FROM members WHERE org_id = :org_id AND id = :member_id
), accounts AS MATERIALIZED (
    SELECT id FROM users WHERE phone_index = ANY (ARRAY(SELECT index FROM phones)) OR id = :account
    ORDER BY id FOR SHARE
), ordered AS MATERIALIZED (
    SELECT index FROM phones CROSS JOIN (SELECT count(*) FROM accounts) AS locked ORDER BY index
)
SELECT index, {lock_of_each(Lock.PHONE, "index")} FROM ordered
""").bindparams(  # noqa: S608 — a constant
    bindparam("indexes", type_=ARRAY(LargeBinary)),
    bindparam("org_id", type_=Uuid()),
    bindparam("member_id", type_=Uuid()),
    bindparam("account", type_=Uuid()),
)
_LOCK_PHONE_OF_USER = text("SELECT phone_index FROM users WHERE id = :user_id FOR SHARE")

NAMES_AGREE = "(u.verified_name IS NULL OR name_key(u.verified_name) = name_key(m.name))"

# Nothing stands behind the open activation `a` of the row `m` any more.
_UNFOUNDED = f"""(
    u.status <> 'active'
    OR a.consented_by IS NULL AND (m.phone_index IS DISTINCT FROM u.phone_index OR NOT {NAMES_AGREE})
)"""
DUE = f"""(
    m.removed_at IS NULL AND m.user_id IS NULL
    AND u.phone_index = m.phone_index AND u.status = 'active' AND {NAMES_AGREE}
    AND NOT EXISTS (SELECT FROM members AS o WHERE o.org_id = m.org_id AND o.user_id = u.id)
    AND NOT EXISTS (
        SELECT FROM activations AS undone WHERE undone.org_id = m.org_id AND undone.member_id = m.id
            AND undone.user_id = u.id AND undone.undone_by IS NOT NULL
    )
)"""  # noqa: S608 — a constant
"""Whether the row `m` is to be active through the account `u`."""

# The row is held before its activation, as by whoever removes or unlinks it.
_UNLINK = """
WITH held AS MATERIALIZED (
    SELECT m.org_id, m.id FROM members AS m
    JOIN activations AS a ON a.org_id = m.org_id AND a.member_id = m.id AND a.until IS NULL
    JOIN users AS u ON u.id = a.user_id
    WHERE {which} AND {unfounded}
    ORDER BY m.org_id, m.id FOR UPDATE OF m
), ended AS (
    UPDATE activations AS a SET until = clock_timestamp() FROM held
    WHERE a.org_id = held.org_id AND a.member_id = held.id AND a.until IS NULL
    RETURNING a.org_id, a.member_id, a.consented_by
), inactive AS (
    UPDATE members AS m SET user_id = NULL FROM ended WHERE m.org_id = ended.org_id AND m.id = ended.member_id
)
SELECT org_id, member_id, consented_by FROM ended
"""

_LINK = """
WITH linked AS (
    UPDATE members AS m SET user_id = u.id
    FROM users AS u
    WHERE {which} AND {due}
    RETURNING m.org_id, m.id, m.user_id
)
INSERT INTO activations (org_id, member_id, user_id) SELECT org_id, id, user_id FROM linked
"""

_OUT_OF_LINE = """
SELECT u.id FROM members AS m JOIN activations AS a ON a.org_id = m.org_id AND a.member_id = m.id AND a.until IS NULL
JOIN users AS u ON u.id = a.user_id WHERE {which} AND {unfounded}
UNION
SELECT u.id FROM members AS m JOIN users AS u ON u.phone_index = m.phone_index WHERE {which} AND {due}
"""
_WRITERS = text("""
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND relation = 'users'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


_DEACTIVATE = text("""
WITH ended AS (
    UPDATE activations SET until = clock_timestamp(), undone_by = :undone_by
    WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
    RETURNING user_id, consented_by
), inactive AS (
    UPDATE members SET user_id = NULL WHERE org_id = :org_id AND id = :member_id AND user_id IS NOT NULL
)
SELECT user_id, consented_by FROM ended
""").bindparams(bindparam("undone_by", type_=Uuid()))

_STAND_BY = text("""
WITH held AS MATERIALIZED (
    SELECT m.org_id, m.id FROM members AS m
    JOIN org_admins AS o ON o.org_id = m.org_id AND o.user_id = m.user_id
    WHERE m.user_id = :user_id ORDER BY m.org_id, m.id FOR UPDATE OF m
)
UPDATE activations AS a SET consented_by = a.user_id FROM held
WHERE a.org_id = held.org_id AND a.member_id = held.id AND a.until IS NULL AND a.consented_by IS NULL
""")

ACTIVATE, ACTIVATE_ROWS = "activate_user", "activate_rows"
PAUSE = 0.05
PATIENCE = 600
"""How many pauses long one account may be written."""


async def activate_user(db: AsyncConnection, cipher: Cipher, user_id: UUID, *let_go: bytes | None) -> None:
    """Bring every org's rows in line with a user: call it when one registers, changes phone, is verified or leaves.

    Rows with the user's phone turn active, those the user no longer stands behind turn inactive. `let_go` is the index
    of the phone that the user has had till now: who adds a row with it at this moment took it for theirs.
    """
    await lock_index_key(db, cipher)
    await lock_phones(db, await db.scalar(_LOCK_PHONE_OF_USER, {"user_id": user_id}), *let_go)
    await activate_where(db, "u.id = :user_id", {"user_id": user_id})


async def stand_by_own_rows(db: AsyncConnection, user_id: UUID) -> None:
    """An admin stands in the directory (S8): before their phone changes they consent themselves to be who their rows
    are in the orgs they administer. Else another admin could remove the row, and leave an admin who stands nowhere.

    The caller holds the account and its phones.
    """
    await db.execute(_STAND_BY, {"user_id": user_id})


async def lock_accounts_and_phones(
    db: AsyncConnection,
    *phone_indexes: bytes,
    account: UUID | None = None,
    of_member: tuple[UUID, UUID] | None = None,
) -> list[bytes]:
    """Lock these phones, and the accounts that have them, until the transaction ends: before the rows are locked.
    Returns the phones' indexes.

    `account` is one that is locked too, whatever phone it has. `of_member` is a row, by its org and id, whose phone is
    among them: as it was before the locks, so that the caller looks at it again once the row is locked. By the indexes
    that the phones have now: the caller holds the rotation (`lock_index_key`).
    """
    org_id, member_id = of_member or (None, None)
    given = {"indexes": list(phone_indexes), "org_id": org_id, "member_id": member_id, "account": account}
    return list((await db.scalars(_LOCK_ACCOUNTS_AND_PHONES, given)).all())


async def lock_phones(db: AsyncConnection, *phone_indexes: bytes | None) -> None:
    """Only the phones; see `lock_accounts_and_phones`."""
    for index in sorted({index for index in phone_indexes if index is not None}):
        await lock(db, Lock.PHONE, index)


async def activate_member(db: AsyncConnection, org_id: UUID, member_id: UUID, *, active: bool) -> None:
    """Bring one row in line with whoever holds its phone: call it when a row is restored or edited. `active` is whether
    it is active through an account so far.

    The caller holds the phone (`lock_accounts_and_phones`), and with it the rotation of indexes, and the row. Raises
    Unavailable where somebody else links such an account in the same org.
    """
    row, which = "m.org_id = :org_id AND m.id = :member_id", {"org_id": org_id, "member_id": member_id}
    if not active or await _end_unfounded(db, row, which):
        await _link_due(db, row, which)


async def activate_where(db: AsyncConnection, which: str, parameters: Mapping[str, Any]) -> None:
    """Bring the rows for which `which` holds (SQL over `members AS m` and `users AS u`) in line with their holders.

    Takes no lock but needs the rotation held (`lock_index_key`), as it compares indexes of two rows while it waits for
    one of them. Who brings in many rows at once, and holds no phones, calls `activate_again` after having committed.
    Raises Unavailable where somebody else links such an account in the same org.
    """
    await _end_unfounded(db, which, parameters)
    await _link_due(db, which, parameters)


async def _end_unfounded(db: AsyncConnection, which: str, parameters: Mapping[str, Any]) -> bool:
    """End the activations of these rows behind which nothing is any more. Returns whether there were any."""
    ended = (await db.execute(_statement(_UNLINK, which), parameters)).all()
    for row in ended:
        if row.consented_by is not None:
            # Whoever holds its phone was not looked at while another was linked to it by consent.
            await activate_rows_late(db, row.org_id, row.member_id)
    return len(ended) > 0


async def _link_due(db: AsyncConnection, which: str, parameters: Mapping[str, Any]) -> None:
    with on_constraint(("members_org_id_user_id_key", Unavailable)):
        await db.execute(_statement(_LINK, which), parameters)


@cache
def _statement(template: str, which: str) -> TextClause:
    return text(_filled(template, which))


def _filled(statement: str, which: str) -> str:
    return statement.format(which=which, unfounded=_UNFOUNDED, due=DUE)


async def activate_users_late(db: AsyncConnection, user_ids: Iterable[UUID]) -> None:
    """Have `activate_user` look for these users once this transaction has committed: for whose link by consent ends in
    it, as another row of the org may have their phone, and could not be active beside. It is a job's, since it holds
    the account and the phone before any row."""
    for user_id in user_ids:
        await enqueue(db, ACTIVATE, {"user_id": str(user_id)})


async def activate_again(
    engine: AsyncEngine, cipher: Cipher, org_id: UUID, member_ids: str, parameters: Mapping[str, Any]
) -> None:
    """Look once more for who holds the phones of rows that were brought in without holding them, and have committed:
    those of the org whose `member_id` the statement `member_ids` gives.

    An account that was being written at that moment did not see them, nor was it seen: so first everybody ends who was
    writing one. Whoever begins later sees the rows. Raises Busy where one of them does not come to an end.
    """
    await _see_writers_end(engine)
    async with engine.begin() as db:
        await lock_index_key(db, cipher)
        await db.execute(text(f"CREATE TEMPORARY TABLE late ON COMMIT DROP AS {member_ids}"), parameters)
        for statement in ("CREATE INDEX ON late (member_id)", "ANALYZE late"):
            await db.execute(text(statement))
        which = _filled(_OUT_OF_LINE, "m.org_id = :org_id AND m.id IN (SELECT member_id FROM late)")
        await activate_users_late(db, (await db.scalars(text(which), {"org_id": org_id})).all())


async def _see_writers_end(engine: AsyncEngine) -> None:
    async with engine.connect() as db:
        await db.execution_options(isolation_level="AUTOCOMMIT")
        writing = set((await db.scalars(_WRITERS)).all())
        for _ in range(PATIENCE):
            if not writing:
                return
            await asyncio.sleep(PAUSE)
            writing &= set((await db.scalars(_WRITERS)).all())
    raise Busy


async def activate_rows_late(db: AsyncConnection, org_id: UUID, member_id: UUID | None = None) -> None:
    """Have `activate_again` look at a row, or at all of the org's, once this transaction has committed."""
    which = {"org_id": str(org_id)} | ({"member_id": str(member_id)} if member_id else {})
    await enqueue(db, ACTIVATE_ROWS, which)


async def _activate_user_again(worker: Worker, payload: Payload) -> None:
    async with worker.engine.begin() as db:
        await activate_user(db, worker.cipher, UUID(payload["user_id"]))


async def _activate_rows(worker: Worker, payload: Payload) -> None:
    which = {name: UUID(value) for name, value in payload.items()}
    rows = "SELECT id AS member_id FROM members WHERE org_id = :org_id"
    if "member_id" in which:
        rows += " AND id = :member_id"
    await activate_again(worker.engine, worker.cipher, which["org_id"], rows, which)


JOBS: Mapping[str, Job] = {ACTIVATE: Job(_activate_user_again), ACTIVATE_ROWS: Job(_activate_rows)}


async def deactivate_member(db: AsyncConnection, org_id: UUID, member_id: UUID, undone_by: UUID | None = None) -> None:
    """End the row's activation, whatever it rests on.

    The person leaves; or an admin undoes the link (`undone_by`), and then the account is not linked to the row again
    without an admin's consent.
    """
    which = {"org_id": org_id, "member_id": member_id, "undone_by": undone_by}
    for row in (await db.execute(_DEACTIVATE, which)).all():
        if row.consented_by is not None:
            await activate_users_late(db, [row.user_id])
            await activate_rows_late(db, org_id, member_id)
