# ruff: noqa: S608 — the SQL is built from constants only
"""Reversing a load: the orgs that it created are closed, as long as they are as the load left them.

Orgs are closed and not deleted, since the audit and the totals of past days name them. An org that is in use stays, and
so do its superiors.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.kinds import ADMIN_INVITATION, KINDS
from app.audit_log.entries import build_record_statement
from app.database.rows import fetch_rows
from app.hierarchy import tree
from app.org_loads.row_problems import MAX_LEVELS

BATCH_ORGS = 1000
SHOWN = 100
"""The most orgs in use that an error names."""

_WAITING = " OR ".join(
    f"EXISTS (SELECT FROM {kind.table.__tablename__} AS w WHERE w.{column.key} = o.id AND w.state = 'pending')"
    for kind in KINDS
    for column in kind.deciding_orgs
)
_IS_TAKEN_OVER = "o.main_admin_id IS NOT NULL"
_REASON = f"""
CASE WHEN {_IS_TAKEN_OVER} THEN 'taken-over'
     WHEN EXISTS (SELECT FROM members AS m WHERE m.org_id = o.id AND m.removed_at IS NULL) THEN 'has-people'
     WHEN EXISTS (SELECT FROM units AS u WHERE u.org_id = o.id AND u.removed_at IS NULL) THEN 'has-units'
     WHEN EXISTS (
         SELECT FROM certifications AS c JOIN orgs AS s ON s.id = c.subordinate_id
         WHERE c.superior_id = o.id AND c.state = 'live' AND s.load_id IS DISTINCT FROM o.load_id
     ) THEN 'has-subordinates'
     WHEN {_WAITING} THEN 'has-requests' END
"""
_CREATE_IN_USE = text(f"""
CREATE TEMPORARY TABLE in_use ON COMMIT DROP AS
SELECT id, reason FROM (
    SELECT o.id, {_REASON} AS reason FROM orgs AS o WHERE o.load_id = :load_id AND o.status = 'live'
) AS o
WHERE reason IS NOT NULL
""")
# An org with a subordinate that stays cannot be closed.
_ADD_SUPERIORS = text("""
INSERT INTO in_use
SELECT DISTINCT o.id, 'has-subordinates' FROM in_use AS u
JOIN certifications AS c ON c.subordinate_id = u.id AND c.state = 'live'
JOIN orgs AS o ON o.id = c.superior_id AND o.load_id = :load_id
WHERE NOT EXISTS (SELECT FROM in_use AS k WHERE k.id = o.id)
""")
_IN_USE = text("""
SELECT r.row_no, u.id AS org_id, u.reason, count(*) OVER () AS orgs
FROM in_use AS u LEFT JOIN org_load_rows AS r ON r.load_id = :load_id AND r.new_id = u.id
ORDER BY r.row_no, u.id LIMIT :most
""")


class OrgInUse(NamedTuple):
    """An org that cannot be closed. `orgs` is the number of all of them."""

    row_no: int | None
    org_id: UUID
    reason: str
    orgs: int


async def list_orgs_in_use(db: AsyncConnection, load_id: UUID) -> list[OrgInUse]:
    """Return the first orgs of the load that are in use, in the order of the sheet, each with the reason."""
    parameters = {"load_id": load_id}
    await db.execute(_CREATE_IN_USE, parameters)
    for _ in range(MAX_LEVELS):
        if not (await db.execute(_ADD_SUPERIORS, parameters)).rowcount:
            break
    return list(await fetch_rows(db, _IN_USE, OrgInUse, parameters | {"most": SHOWN}))


_ERASED = ", ".join(f"{column.key} = NULL" for column in ADMIN_INVITATION.erased)
_HAS_SUBORDINATES = "EXISTS (SELECT FROM certifications AS c WHERE c.superior_id = o.id AND c.state = 'live')"
# From the end of the sheet, where subordinates usually are.
_TAKE = text(f"""
CREATE TEMPORARY TABLE reversing ON COMMIT DROP AS
SELECT o.id FROM orgs AS o
WHERE o.load_id = :load_id AND o.status = 'live' AND NOT {_HAS_SUBORDINATES} AND ({_REASON}) IS NULL
ORDER BY o.id DESC LIMIT :most
""")
_LOCK = text("""
SELECT count(*) FROM (SELECT o.id FROM orgs AS o JOIN reversing AS r USING (id) ORDER BY o.id FOR UPDATE OF o) AS locked
""")
# Decided again under the lock: the offer may have been accepted before it came.
_KEEP_ORGS_IN_USE = text(f"""
DELETE FROM reversing AS r USING orgs AS o
WHERE o.id = r.id AND ({_REASON} IS NOT NULL OR o.status <> 'live' OR {_HAS_SUBORDINATES})
""")
_END_EDGES = text("""
CREATE TEMPORARY TABLE ended ON COMMIT DROP AS
WITH ended AS (
    UPDATE certifications AS c SET state = 'ended', subordinate_name = NULL, ended_at = clock_timestamp()
    FROM reversing AS r WHERE c.subordinate_id = r.id AND c.state = 'live'
    RETURNING c.id, c.superior_id, c.subordinate_id
)
SELECT * FROM ended
""")
# Without a message to the operator who made the offers: there may be a hundred thousand.
_WITHDRAW_OFFERS = text(f"""
CREATE TEMPORARY TABLE withdrawn ON COMMIT DROP AS
WITH withdrawn AS (
    UPDATE admin_invitations AS i
    SET state = 'withdrawn', decided_at = clock_timestamp(), {_ERASED}
    FROM reversing AS r WHERE i.org_id = r.id AND i.state = 'pending' AND i.expires_at > now()
    RETURNING i.id, i.org_id
)
SELECT * FROM withdrawn
""")
_CLOSE = text("""
UPDATE orgs AS o SET status = 'closed', closed_at = clock_timestamp(), version = version + 1
FROM reversing AS r WHERE o.id = r.id
""")
_RECORD = build_record_statement("""
    SELECT o.org_id, o.org_id = e.subordinate_id AS is_own, 'certification.ended' AS action,
           'certification' AS subject_type, e.id AS subject_id,
           jsonb_build_object('superior_id', e.superior_id, 'subordinate_id', e.subordinate_id) AS before,
           '{"cause": "org-closed"}'::jsonb AS after
    FROM ended AS e, LATERAL unnest(ARRAY[e.subordinate_id, e.superior_id]) AS o (org_id)
    UNION ALL
    SELECT org_id, true, 'recovery.withdrawn', 'admin_invitation', id, NULL, NULL FROM withdrawn
    UNION ALL
    SELECT id, true, 'org.closed', 'org', id, NULL, jsonb_build_object('load_id', CAST(:load_id AS uuid))
    FROM reversing
""")
_UPDATE_ROWS = text("""
UPDATE org_load_rows AS r SET outcome = 'reversed' FROM reversing AS v
WHERE r.load_id = :load_id AND r.new_id = v.id
""")


async def close_next_orgs(db: AsyncConnection, load_id: UUID, user_id: UUID) -> int | None:
    """Close the next orgs of the load that are not in use and have no subordinates. Return their number, or None if
    there is none left.

    The offers to be their main admin are withdrawn. Locks the hierarchy, then the orgs FOR UPDATE.
    """
    await tree.lock_hierarchy(db)
    parameters = {"load_id": load_id}
    await db.execute(_TAKE, parameters | {"most": BATCH_ORGS})
    if not (await db.execute(_LOCK)).scalar_one():
        return None
    await db.execute(_KEEP_ORGS_IN_USE)
    await db.execute(_END_EDGES)
    await db.execute(_WITHDRAW_OFFERS)
    closed = (await db.execute(_CLOSE)).rowcount
    await db.execute(_RECORD, parameters | {"user_id": user_id})
    await db.execute(_UPDATE_ROWS, parameters)
    return closed
