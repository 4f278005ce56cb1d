"""What waits for one person: as an admin of their orgs, and by their own phone.

One statement a kind, each begun at the person; together they are one list.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.core.db import Readable
from app.core.paging import Paging


def _person(name: str) -> str:
    """A person's name, which the inbox asks no key for: of an org whose admins need one (S16) its first character."""
    return f"CASE WHEN mine.demands_key THEN rpad(left({name}, 1), char_length({name}), '*') ELSE {name} END"


# kind, id, org (that the person acts for), subject (who asks), detail (what), at, step (of a transfer)
_WAITING = f"""
WITH mine AS (
    SELECT o.id, o.name, o.main_admin_id, o.region_code LIKE '%0000' AS demands_key
    FROM org_admins a JOIN orgs o ON o.id = a.org_id
    WHERE a.user_id = :user_id AND o.status = 'live'
), me AS (
    SELECT phone_index FROM users WHERE id = :user_id
), waiting AS (
    SELECT 'application' AS kind, c.id, mine.id AS org_id, mine.name AS org_name, s.name AS subject,
           NULL::text AS detail, c.applied_at AS at, NULL::text AS step
    FROM mine JOIN certifications c ON c.superior_id = mine.id AND c.state = 'applied'
    JOIN orgs s ON s.id = c.subordinate_id
  UNION ALL
    SELECT 'change-request', r.id, mine.id, mine.name, s.name, coalesce(r.name_after, r.kind), r.asked_at, NULL
    FROM mine JOIN certifications c ON c.superior_id = mine.id AND c.state = 'certified'
    JOIN change_requests r ON r.org_id = c.subordinate_id AND r.state = 'asked' AND r.expires_at > now()
    JOIN orgs s ON s.id = r.org_id
  UNION ALL
    SELECT 'recovery', r.id, mine.id, mine.name, mine.name, NULL, r.asked_at, NULL
    FROM mine JOIN change_requests r ON r.org_id = mine.id AND r.state = 'asked' AND r.expires_at > now()
    WHERE mine.main_admin_id = :user_id AND r.kind = 'recovery'
  UNION ALL
    SELECT 'transfer', t.id, mine.id, mine.name, s.name, other.name, t.asked_at, 'release'
    FROM mine JOIN transfers t ON t.from_id = mine.id AND t.state = 'asked'
    JOIN orgs s ON s.id = t.org_id JOIN orgs other ON other.id = t.to_id
  UNION ALL
    SELECT 'transfer', t.id, mine.id, mine.name, s.name, other.name, t.asked_at, 'acceptance'
    FROM mine JOIN transfers t ON t.to_id = mine.id AND t.state = 'released'
    JOIN orgs s ON s.id = t.org_id JOIN orgs other ON other.id = t.from_id
  UNION ALL
    SELECT 'link-request', r.id, mine.id, mine.name, {_person("u.verified_name")}, NULL, r.asked_at, NULL
    FROM mine JOIN link_requests r ON r.org_id = mine.id AND r.state = 'asked' AND r.expires_at > now()
    JOIN users u ON u.id = r.user_id AND u.status = 'active'
    WHERE EXISTS (
        SELECT FROM members m WHERE m.org_id = r.org_id AND m.removed_at IS NULL AND m.user_id IS NULL
        AND (m.pinyin = r.pinyin AND name_key(m.name) = r.name_key OR m.phone_index = u.phone_index)
    )
  UNION ALL
    SELECT 'person-transfer', t.id, mine.id, mine.name, s.name, {_person("m.name")}, t.asked_at, NULL
    FROM mine JOIN person_transfers t ON t.to_id = mine.id AND t.state = 'asked' AND t.expires_at > now()
    JOIN members m ON m.org_id = t.org_id AND m.id = t.member_id AND m.removed_at IS NULL
    JOIN orgs s ON s.id = t.org_id
  UNION ALL
    SELECT 'admin-invitation', i.id, NULL, NULL, s.name, NULL, i.invited_at, NULL
    FROM me JOIN admin_invitations i ON i.phone_index = me.phone_index AND i.state = 'invited'
    JOIN orgs s ON s.id = i.org_id WHERE i.expires_at > now()
  UNION ALL
    SELECT 'promotion', p.id, NULL, NULL, s.name, u.name, p.offered_at, NULL
    FROM me JOIN promotions p ON p.phone_index = me.phone_index AND p.state = 'offered'
    JOIN orgs s ON s.id = p.org_id JOIN units u ON u.org_id = p.org_id AND u.id = p.unit_id
    WHERE p.expires_at > now()
)
"""  # noqa: S608 — constants of this file
_LIST = text(
    f"{_WAITING} SELECT * FROM waiting "  # noqa: S608 — a constant of this file
    "WHERE CAST(:after AS uuid) IS NULL OR id < CAST(:after AS uuid) ORDER BY id DESC LIMIT :limit"
)
_COUNT = text(f"{_WAITING} SELECT kind, count(*) AS waiting FROM waiting GROUP BY kind")  # noqa: S608 — as above


async def list_waiting(db: Readable, user_id: UUID, paging: Paging) -> Sequence[Any]:
    """A page of what waits, newest first."""
    after = paging.after[0] if paging.after is not None else None
    parameters = {"user_id": user_id, "after": after, "limit": paging.limit + 1}
    return (await db.execute(_LIST, parameters)).all()


async def count_waiting(db: Readable, user_id: UUID) -> dict[str, int]:
    """How much waits, by kind."""
    return {row.kind: row.waiting for row in (await db.execute(_COUNT, {"user_id": user_id})).all()}
