"""The account through which a member row is active (S18).

A row is active while a registered user has its phone, unless the user's verified name differs from the row's name.
Phone numbers are recycled: where the names differ, nothing is linked without an admin's consent. A link with consent
lasts until it is undone. This module never changes an account or its points.
"""

import asyncio
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, LargeBinary, TextClause, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.blind_index.keys import lock_index_key
from app.core.cipher import Cipher
from app.database.db import on_constraint
from app.database.locks import Lock, build_lock_call, lock
from app.messages.delivery import build_insert
from app.messages.kinds import MessageKind
from app.queue.jobs import Busy, Job, Payload, Worker, enqueue
from app.web.errors import Unavailable

# Registering a phone and adding a row with it at the same time must not miss each other. Both lock the phone before
# they search for the other, so that the second transaction sees what the first one committed. A transaction that
# changes an account locks it. A transaction that works on a row therefore locks the account with its phone first, then
# the phone. All accounts are locked before the first phone; the phones are locked in the order of their indexes.
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
SELECT index, {build_lock_call(Lock.PHONE, "index")} FROM ordered
""").bindparams(  # noqa: S608 — a constant
    bindparam("indexes", type_=ARRAY(LargeBinary)),
    bindparam("org_id", type_=Uuid()),
    bindparam("member_id", type_=Uuid()),
    bindparam("account", type_=Uuid()),
)
_LOCK_PHONE_OF_USER = text("SELECT phone_index FROM users WHERE id = :user_id FOR SHARE")

NAMES_AGREE = "(u.verified_name IS NULL OR name_key(u.verified_name) = name_key(m.name))"

# Whether the open activation `a` of the row `m` is no longer valid.
_ACTIVATION_INVALID = f"""(
    u.status <> 'active'
    OR a.consented_by IS NULL AND (m.phone_index IS DISTINCT FROM u.phone_index OR NOT {NAMES_AGREE})
)"""
NOT_BLOCKED = "NOT EXISTS (SELECT FROM org_blocks AS b WHERE b.user_id = u.id AND b.org_id = {org})"
"""Whether the account `u` has not blocked an org."""
PHONE_LOST = """EXISTS (
    SELECT FROM activations AS lost WHERE lost.org_id = m.org_id AND lost.member_id = m.id AND lost.phone_lost
        AND lost.user_id IS DISTINCT FROM {user}
        AND NOT EXISTS (
            SELECT FROM member_phones AS h WHERE h.org_id = m.org_id AND h.member_id = m.id AND h.until > lost.until
        )
)"""
"""Whether the row `m` still has the number that its account (another one than `user`) has lost to another person."""
ACTIVATION_DUE = f"""(
    m.removed_at IS NULL AND m.user_id IS NULL
    AND u.phone_index = m.phone_index AND u.status = 'active' AND {NAMES_AGREE}
    AND {NOT_BLOCKED.format(org="m.org_id")}
    AND NOT EXISTS (SELECT FROM members AS o WHERE o.org_id = m.org_id AND o.user_id = u.id)
    AND NOT EXISTS (
        SELECT FROM activations AS undone WHERE undone.org_id = m.org_id AND undone.member_id = m.id
            AND undone.user_id = u.id AND undone.undone_by IS NOT NULL
    )
    AND NOT {PHONE_LOST.format(user="u.id")}
)"""  # noqa: S608 — a constant
"""Whether the row `m` should be active through the account `u`."""

# The row is locked before its activation. Removing and unlinking a member use the same order.
_UNLINK = """
WITH locked AS MATERIALIZED (
    SELECT m.org_id, m.id FROM members AS m
    JOIN activations AS a ON a.org_id = m.org_id AND a.member_id = m.id AND a.until IS NULL
    JOIN users AS u ON u.id = a.user_id
    WHERE {condition} AND {invalid}
    ORDER BY m.org_id, m.id FOR UPDATE OF m
), ended AS (
    UPDATE activations AS a SET until = clock_timestamp() FROM locked
    WHERE a.org_id = locked.org_id AND a.member_id = locked.id AND a.until IS NULL
    RETURNING a.org_id, a.member_id, a.user_id, a.consented_by
), inactive AS (
    UPDATE members AS m SET user_id = NULL FROM ended WHERE m.org_id = ended.org_id AND m.id = ended.member_id
), messages AS (
    {message}
)
SELECT org_id, member_id, consented_by FROM ended
"""

_LINK = """
WITH linked AS (
    UPDATE members AS m SET user_id = u.id
    FROM users AS u
    WHERE {condition} AND {due}
    RETURNING m.org_id, m.id, m.user_id
), messages AS (
    {message}
)
INSERT INTO activations (org_id, member_id, user_id) SELECT org_id, id, user_id FROM linked
"""
_UNLINKED = build_insert(
    MessageKind.ROW_UNLINKED, "FROM ended AS s JOIN users AS u ON u.id = s.user_id AND u.status = 'active'"
)
_LINKED = build_insert(MessageKind.ROW_LINKED, "FROM linked AS s")
_NO_MESSAGE = "SELECT"

_USERS_TO_ACTIVATE = """
SELECT u.id FROM members AS m JOIN activations AS a ON a.org_id = m.org_id AND a.member_id = m.id AND a.until IS NULL
JOIN users AS u ON u.id = a.user_id WHERE {condition} AND {invalid}
UNION
SELECT u.id FROM members AS m JOIN users AS u ON u.phone_index = m.phone_index WHERE {condition} AND {due}
"""
_TRANSACTIONS_WRITING_USERS = text("""
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND relation = 'users'::regclass
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


_DEACTIVATE = text(f"""
WITH ended AS (
    UPDATE activations SET until = clock_timestamp(), undone_by = :undone_by
    WHERE org_id = :org_id AND member_id = :member_id AND until IS NULL
    RETURNING org_id, user_id, consented_by
), inactive AS (
    UPDATE members SET user_id = NULL WHERE org_id = :org_id AND id = :member_id AND user_id IS NOT NULL
), removed_message AS (
    {build_insert(MessageKind.ROW_REMOVED, "FROM ended AS s WHERE :message AND CAST(:undone_by AS uuid) IS NULL")}
), unlinked_message AS (
    {build_insert(MessageKind.ROW_UNLINKED, "FROM ended AS s WHERE s.user_id <> CAST(:undone_by AS uuid)")}
)
SELECT user_id, consented_by FROM ended
""").bindparams(bindparam("undone_by", type_=Uuid()), bindparam("message", type_=Boolean()))  # noqa: S608 — a constant

_CONSENT_TO_OWN_ROWS = text("""
WITH locked AS MATERIALIZED (
    SELECT m.org_id, m.id FROM members AS m
    JOIN org_admins AS o ON o.org_id = m.org_id AND o.user_id = m.user_id
    WHERE m.user_id = :user_id ORDER BY m.org_id, m.id FOR UPDATE OF m
)
UPDATE activations AS a SET consented_by = a.user_id FROM locked
WHERE a.org_id = locked.org_id AND a.member_id = locked.id AND a.until IS NULL AND a.consented_by IS NULL
""")

ACTIVATE, ACTIVATE_ROWS = "activate_user", "activate_rows"
POLL_SECONDS = 0.05
MAX_POLLS = 600
"""The number of polls after which a transaction that writes an account counts as too slow."""


async def activate_user(db: AsyncConnection, cipher: Cipher, user_id: UUID, *previous_phones: bytes | None) -> None:
    """Bring the rows of every org in line with a user. Call it when a user registers, changes phone, is verified or
    leaves.

    Rows with the user's phone become active. Rows whose link to the user is no longer valid become inactive.
    `previous_phones` are the indexes of phones that the user had until now: a transaction that adds a row with such a
    phone at this moment still takes it for the user's phone.

    Locks the index key, the account, the phones and the rows.
    """
    await lock_index_key(db, cipher)
    await lock_phones(db, await db.scalar(_LOCK_PHONE_OF_USER, {"user_id": user_id}), *previous_phones)
    await activate_rows(db, "u.id = :user_id", {"user_id": user_id})


async def consent_to_own_rows(db: AsyncConnection, user_id: UUID) -> None:
    """Record an admin's own consent to the links of their rows in the orgs that they administer.

    Call it before the admin's phone changes. Every admin is in the directory (S8). Without the consent another admin
    could remove the row, and an admin without a row would remain.

    Locks the rows. The caller has locked the account and its phones.
    """
    await db.execute(_CONSENT_TO_OWN_ROWS, {"user_id": user_id})


async def lock_accounts_and_phones(
    db: AsyncConnection,
    *phone_indexes: bytes | None,
    account: UUID | None = None,
    of_member: tuple[UUID, UUID] | None = None,
) -> list[bytes | None]:
    """Lock these phones, and the accounts that have them, until the transaction ends. Return the phones' indexes.

    Call it before the rows are locked. `account` is locked too, whatever its phone is. `of_member` is the org and the
    id of a row whose phone is locked too. That phone is read before the locks are taken: the caller compares it again
    once the row is locked. None is a row without a phone, for which nothing is locked. The indexes must be the
    current ones: the caller has locked the index key (`lock_index_key`).
    """
    org_id, member_id = of_member or (None, None)
    given = {
        "indexes": [index for index in phone_indexes if index is not None],
        "org_id": org_id,
        "member_id": member_id,
        "account": account,
    }
    return list((await db.scalars(_LOCK_ACCOUNTS_AND_PHONES, given)).all())


async def lock_phones(db: AsyncConnection, *phone_indexes: bytes | None) -> None:
    """Lock only the phones; see `lock_accounts_and_phones`."""
    for index in sorted({index for index in phone_indexes if index is not None}):
        await lock(db, Lock.PHONE, index)


async def activate_member(
    db: AsyncConnection, org_id: UUID, member_id: UUID, *, active: bool, message: bool = True
) -> None:
    """Bring one row in line with the user who has its phone. Call it when a row is restored or edited.

    `active` says whether the row is active through an account so far. A user who is linked gets a message, unless
    `message` is False because the user is the one who acts. The caller has locked the phone
    (`lock_accounts_and_phones`), with it the index key, and the row. Raises Unavailable if another transaction links
    such an account in the same org.
    """
    condition, parameters = "m.org_id = :org_id AND m.id = :member_id", {"org_id": org_id, "member_id": member_id}
    if not active or await _end_invalid_activations(db, condition, parameters):
        await _link_due_rows(db, condition, parameters, _LINKED if message else _NO_MESSAGE)


async def activate_rows(db: AsyncConnection, condition: str, parameters: Mapping[str, Any]) -> None:
    """Bring the rows that match `condition` in line with the users who have their phones.

    `condition` is SQL over `members AS m` and `users AS u`. Locks no phone. The caller has locked the index key
    (`lock_index_key`), because a statement compares the indexes of two rows while it waits for one of them. A caller
    that adds many rows and has locked no phones calls `activate_committed_rows` after its commit. Raises Unavailable
    if another transaction links such an account in the same org.
    """
    await _end_invalid_activations(db, condition, parameters)
    await _link_due_rows(db, condition, parameters, _LINKED)


async def _end_invalid_activations(db: AsyncConnection, condition: str, parameters: Mapping[str, Any]) -> bool:
    """End the activations of these rows that are no longer valid. Return whether there were any."""
    ended = (await db.execute(_build_statement(_UNLINK, condition, _UNLINKED), parameters)).all()
    for row in ended:
        if row.consented_by is not None:
            # The user who has the row's phone was ignored while another user was linked to the row by consent.
            await enqueue_row_activations(db, row.org_id, row.member_id)
    return len(ended) > 0


async def _link_due_rows(db: AsyncConnection, condition: str, parameters: Mapping[str, Any], message: str) -> None:
    with on_constraint(("members_org_id_user_id_key", Unavailable)):
        await db.execute(_build_statement(_LINK, condition, message), parameters)


@cache
def _build_statement(template: str, condition: str, message: str) -> TextClause:
    return text(_fill_template(template, condition, message))


def _fill_template(template: str, condition: str, message: str = "") -> str:
    return template.format(condition=condition, invalid=_ACTIVATION_INVALID, due=ACTIVATION_DUE, message=message)


async def enqueue_user_activations(db: AsyncConnection, user_ids: Iterable[UUID]) -> None:
    """Enqueue a job for each of these users that runs `activate_user` after this transaction has committed.

    Use it for users whose link by consent ends in this transaction: another row of the org may have their phone and
    could not be active at the same time. A job does it because it locks the account and the phone before any row.
    """
    for user_id in user_ids:
        await enqueue(db, ACTIVATE, {"user_id": str(user_id)})


async def activate_committed_rows(
    engine: AsyncEngine, cipher: Cipher, org_id: UUID, member_ids: str, parameters: Mapping[str, Any]
) -> None:
    """Search again for users who have the phones of rows that an import has committed without locking the phones.

    `member_ids` is a SELECT that returns the `member_id` of these rows. A transaction that created or changed an
    account during the commit did not see the rows, and the import did not see its account. So this function first
    waits until all such transactions have ended. Transactions that start later see the rows. Raises Busy if one of
    them does not end in time.
    """
    await _wait_for_writers(engine)
    async with engine.begin() as db:
        await lock_index_key(db, cipher)
        await db.execute(text(f"CREATE TEMPORARY TABLE committed ON COMMIT DROP AS {member_ids}"), parameters)
        for statement in ("CREATE INDEX ON committed (member_id)", "ANALYZE committed"):
            await db.execute(text(statement))
        condition = "m.org_id = :org_id AND m.id IN (SELECT member_id FROM committed)"
        users = text(_fill_template(_USERS_TO_ACTIVATE, condition))
        await enqueue_user_activations(db, (await db.scalars(users, {"org_id": org_id})).all())


async def _wait_for_writers(engine: AsyncEngine) -> None:
    """Wait until every transaction that now writes an account has ended. Raises Busy after MAX_POLLS polls."""
    async with engine.connect() as db:
        await db.execution_options(isolation_level="AUTOCOMMIT")
        writing = set((await db.scalars(_TRANSACTIONS_WRITING_USERS)).all())
        for _ in range(MAX_POLLS):
            if not writing:
                return
            await asyncio.sleep(POLL_SECONDS)
            writing &= set((await db.scalars(_TRANSACTIONS_WRITING_USERS)).all())
    raise Busy


async def enqueue_row_activations(db: AsyncConnection, org_id: UUID, member_id: UUID | None = None) -> None:
    """Enqueue a job that runs `activate_committed_rows` after this transaction has committed.

    The job processes one row of the org, or all of them if `member_id` is None.
    """
    payload = {"org_id": str(org_id)} | ({"member_id": str(member_id)} if member_id else {})
    await enqueue(db, ACTIVATE_ROWS, payload)


async def _run_activate_user(worker: Worker, payload: Payload) -> None:
    async with worker.engine.begin() as db:
        await activate_user(db, worker.cipher, UUID(payload["user_id"]))


async def _run_activate_rows(worker: Worker, payload: Payload) -> None:
    parameters = {name: UUID(value) for name, value in payload.items()}
    rows = "SELECT id AS member_id FROM members WHERE org_id = :org_id"
    if "member_id" in parameters:
        rows += " AND id = :member_id"
    await activate_committed_rows(worker.engine, worker.cipher, parameters["org_id"], rows, parameters)


JOBS: Mapping[str, Job] = {ACTIVATE: Job(_run_activate_user), ACTIVATE_ROWS: Job(_run_activate_rows)}


async def deactivate_member(
    db: AsyncConnection, org_id: UUID, member_id: UUID, undone_by: UUID | None = None, *, message: bool = True
) -> None:
    """End the row's activation, with or without consent.

    Without `undone_by` the person leaves the directory, or (`message` False) has blocked the org. With it an admin
    undoes the link: the account is not linked to the row again without an admin's consent. The caller has locked the
    row.
    """
    parameters = {"org_id": org_id, "member_id": member_id, "undone_by": undone_by, "message": message}
    for row in (await db.execute(_DEACTIVATE, parameters)).all():
        if row.consented_by is not None:
            await enqueue_user_activations(db, [row.user_id])
            await enqueue_row_activations(db, org_id, member_id)
