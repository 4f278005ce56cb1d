"""Creating the orgs of a confirmed load: set-based statements for one batch, in one transaction.

A batch has rows of one level, the highest that is left, so that the superiors exist. A row that has become impossible
since the preview is refused; nothing else is done than what the preview showed.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Interval, LargeBinary, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import build_record_statement
from app.blind_index.keys import BlindIndexer, lock_index_key
from app.core.cipher import Cipher
from app.database.rows import fetch_rows
from app.hierarchy import tree

BATCH_ROWS = 1000
"""Rows of one transaction. While it runs, less than a second, no other transaction can change the hierarchy."""
OFFER_LIFETIME = timedelta(days=180)
"""The time that the main admins of an old system have to register and accept. Other offers wait 14 days."""

# The first load finds empty tables. The trigger that refuses circles then keeps the plan that it made for an empty
# table: it read all edges for each new one, 14 s for 2,000 of them among 20,000.
_PLAN_FOR_LARGE_TABLES = text(
    "SELECT set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)"
)
_TAKE = text("""
CREATE TEMPORARY TABLE batch ON COMMIT DROP AS
SELECT r.row_no, r.new_id, r.offer_id, r.name, r.pinyin, r.initials, r.sort_key, r.kind, r.region_code, r.admin_name,
       r.phone_cipher, name_key(r.name) AS name_key, r.superior <> '' AS is_under,
       coalesce(r.superior_id, CASE WHEN p.outcome = 'created' THEN p.new_id END) AS superior_id,
       uuidv7() AS certification_id, NULL::text AS problem
FROM (
    SELECT * FROM org_load_rows
    WHERE load_id = :load_id AND outcome = 'create' AND level = (
        SELECT level FROM org_load_rows WHERE load_id = :load_id AND outcome = 'create' ORDER BY level, row_no LIMIT 1
    )
    ORDER BY level, row_no LIMIT :rows
) AS r
LEFT JOIN org_load_rows AS p ON p.load_id = :load_id AND p.row_no = r.superior_row
""")
_LOCK_SUPERIORS = text("""
SELECT count(*) FROM (
    SELECT id FROM orgs WHERE id IN (SELECT superior_id FROM batch) ORDER BY id FOR NO KEY UPDATE
) AS locked
""")
_FIND_PROBLEMS = text("""
UPDATE batch AS b SET problem = f.problem
FROM (
    SELECT b.row_no, CASE
        WHEN NOT b.is_under THEN (
            SELECT 'sibling-taken' FROM orgs AS o
            WHERE o.region_code = b.region_code AND name_key(o.name) = b.name_key AND o.status = 'live' AND NOT EXISTS (
                SELECT FROM certifications AS c WHERE c.subordinate_id = o.id AND c.state = 'live'
            ) LIMIT 1
        )
        WHEN NOT EXISTS (SELECT FROM orgs AS o WHERE o.id = b.superior_id AND o.status = 'live') THEN 'superior-gone'
        WHEN EXISTS (
            SELECT FROM certifications AS c
            WHERE c.superior_id = b.superior_id AND name_key(c.subordinate_name) = b.name_key AND c.state = 'live'
        ) THEN 'sibling-taken' END AS problem
    FROM batch AS b
) AS f
WHERE f.row_no = b.row_no AND f.problem IS NOT NULL
""")
_REFUSE = text("""
WITH refused AS (DELETE FROM batch WHERE problem IS NOT NULL RETURNING row_no, problem)
UPDATE org_load_rows AS r SET outcome = 'refused', problems = ARRAY[f.problem] FROM refused AS f
WHERE r.load_id = :load_id AND r.row_no = f.row_no
""")
_CREATE_ORGS = text("""
INSERT INTO orgs (id, name, pinyin, initials, sort_key, region_code, kind, created_by, load_id)
SELECT new_id, name, pinyin, initials, sort_key, region_code, kind, :user_id, :load_id FROM batch
""")
_CREATE_EDGES = text("""
INSERT INTO certifications
    (id, superior_id, subordinate_id, subordinate_name, state, requested_by, decided_by, decided_at, certified_at)
SELECT certification_id, superior_id, new_id, name, 'live', :user_id, :user_id, clock_timestamp(), clock_timestamp()
FROM batch WHERE superior_id IS NOT NULL
""")
_PHONES = text("SELECT row_no, offer_id, phone_cipher FROM batch WHERE phone_cipher IS NOT NULL")
_CREATE_OFFERS = text("""
INSERT INTO admin_invitations
    (id, org_id, requested_by, first_main_admin, phone_index, phone_cipher, invitee_name, expires_at)
SELECT b.offer_id, b.new_id, :user_id, true, given.phone_index, b.phone_cipher, b.admin_name, now() + :lifetime
FROM batch AS b JOIN unnest(:rows, :indexes) AS given (row_no, phone_index) ON given.row_no = b.row_no
""").bindparams(
    bindparam("rows", type_=ARRAY(Integer)),
    bindparam("indexes", type_=ARRAY(LargeBinary)),
    bindparam("lifetime", type_=Interval()),
)
_RECORD = build_record_statement("""
    SELECT new_id AS org_id, true AS is_own, 'org.created' AS action, 'org' AS subject_type, new_id AS subject_id,
           NULL::jsonb AS before, jsonb_build_object(
               'name', name, 'region_code', region_code, 'kind', kind, 'load_id', CAST(:load_id AS uuid)) AS after
    FROM batch
    UNION ALL
    SELECT o.org_id, o.org_id = b.new_id, 'certification.created', 'certification', b.certification_id, NULL,
           jsonb_build_object('superior_id', b.superior_id, 'subordinate_id', b.new_id)
    FROM batch AS b, LATERAL unnest(ARRAY[b.new_id, b.superior_id]) AS o (org_id) WHERE b.superior_id IS NOT NULL
    UNION ALL
    SELECT new_id, true, 'recovery.offered', 'admin_invitation', offer_id, NULL, NULL
    FROM batch WHERE phone_cipher IS NOT NULL
""")
# The phone is in the offer from now on.
_FINISH = text("""
UPDATE org_load_rows AS r
SET outcome = 'created', superior_id = b.superior_id, phone_cipher = NULL, cells_cipher = NULL
FROM batch AS b WHERE r.load_id = :load_id AND r.row_no = b.row_no
""")


class BatchResult(NamedTuple):
    """The number of rows of a batch that are created, and of those that are refused."""

    created: int
    refused: int


class _Phone(NamedTuple):
    row_no: int
    offer_id: UUID
    phone_cipher: bytes


async def create_next_orgs(db: AsyncConnection, cipher: Cipher, load_id: UUID, user_id: UUID) -> BatchResult:
    """Create the orgs of the next rows, with their edges, offers, audit entries and events. Return the numbers; both
    are 0 if no row is left.

    Locks the hierarchy, the superiors and the index key.
    """
    await tree.lock_hierarchy(db)
    parameters = {"load_id": load_id}
    await db.execute(_PLAN_FOR_LARGE_TABLES)
    await db.execute(_TAKE, parameters | {"rows": BATCH_ROWS})
    await db.execute(_LOCK_SUPERIORS)
    await db.execute(_FIND_PROBLEMS)
    refused = (await db.execute(_REFUSE, parameters)).rowcount
    await db.execute(_CREATE_ORGS, parameters | {"user_id": user_id})
    await db.execute(_CREATE_EDGES, {"user_id": user_id})
    await _create_offers(db, await lock_index_key(db, cipher), user_id)
    await db.execute(_RECORD, parameters | {"user_id": user_id})
    return BatchResult((await db.execute(_FINISH, parameters)).rowcount, refused)


async def _create_offers(db: AsyncConnection, indexer: BlindIndexer, user_id: UUID) -> None:
    def index_phones(phones: Sequence[_Phone]) -> list[bytes]:
        decrypt, index = indexer.cipher.decrypt_text, indexer.index_phone
        return [index(decrypt(phone.phone_cipher, phone.offer_id)) for phone in phones]

    phones = await fetch_rows(db, _PHONES, _Phone)
    if phones:
        values = {"rows": [phone.row_no for phone in phones], "indexes": await asyncio.to_thread(index_phones, phones)}
        await db.execute(_CREATE_OFFERS, values | {"user_id": user_id, "lifetime": OFFER_LIFETIME})
