"""The invariants as queries of the database (docs/RULES.md, invariants 1, 2 and 6; S18). Each finds violations."""

from collections.abc import Mapping

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

BROKEN = {
    "an org whose main admin is not one of its admins, or not verified": """
        SELECT o.id FROM orgs o WHERE NOT EXISTS (
            SELECT FROM org_admins a JOIN users u ON u.id = a.user_id
            WHERE a.org_id = o.id AND a.user_id = o.main_admin_id
            AND (u.verified_at IS NOT NULL OR o.status = 'closed' AND u.status = 'closed'))
    """,
    "an org with two superiors": """
        SELECT subordinate_id FROM certifications WHERE state = 'live' GROUP BY 1 HAVING count(*) > 1
    """,
    "an org that is its own ancestor": """
        WITH RECURSIVE walk (start, id) AS (
            SELECT subordinate_id, superior_id FROM certifications WHERE state = 'live'
            UNION
            SELECT w.start, c.superior_id FROM walk w JOIN certifications c ON c.subordinate_id = w.id
            WHERE c.state = 'live'
        ) SELECT start FROM walk WHERE start = id
    """,
    "a unit that is its own ancestor": """
        WITH RECURSIVE walk (org_id, start, id) AS (
            SELECT org_id, id, parent_id FROM units WHERE parent_id IS NOT NULL AND removed_at IS NULL
            UNION
            SELECT w.org_id, w.start, u.parent_id FROM walk w JOIN units u ON u.org_id = w.org_id AND u.id = w.id
            WHERE u.parent_id IS NOT NULL
        ) SELECT start FROM walk WHERE start = id
    """,
    "a closed org with an edge": """
        SELECT o.id FROM orgs o JOIN certifications c ON o.id IN (c.superior_id, c.subordinate_id)
        WHERE o.status = 'closed' AND c.state = 'live'
    """,
    "two siblings of one name": """
        SELECT c.superior_id FROM certifications c JOIN orgs o ON o.id = c.subordinate_id
        WHERE c.state = 'live' GROUP BY c.superior_id, o.name HAVING count(*) > 1
    """,
    "an edge that began before the edge to the former superior ended": """
        SELECT a.id FROM certifications a JOIN certifications b ON b.subordinate_id = a.subordinate_id AND b.id <> a.id
        WHERE a.certified_at < b.certified_at AND coalesce(a.ended_at, 'infinity') > b.certified_at
    """,
    "a pending new name or hand-over of an org without a superior": """
        SELECT r.id FROM change_requests r WHERE r.state = 'pending' AND r.expires_at > now() AND r.kind <> 'recovery'
        AND NOT EXISTS (SELECT FROM certifications c WHERE c.subordinate_id = r.org_id AND c.state = 'live')
    """,
    "a pending hand-over or recovery from another main admin than the org has": """
        SELECT r.id FROM change_requests r JOIN orgs o ON o.id = r.org_id
        WHERE r.state = 'pending' AND r.main_admin_before <> o.main_admin_id
        UNION ALL SELECT i.id FROM admin_invitations i JOIN orgs o ON o.id = i.org_id
        WHERE i.state = 'pending' AND i.main_admin_before <> o.main_admin_id
    """,
    "a request that a closed org made, or was to decide": """
        SELECT o.id FROM orgs o WHERE o.status = 'closed' AND (
            EXISTS (SELECT FROM certifications WHERE o.id IN (superior_id, subordinate_id) AND state = 'pending')
            OR EXISTS (SELECT FROM transfers WHERE o.id IN (org_id, from_id, to_id) AND state = 'pending')
            OR EXISTS (SELECT FROM person_transfers WHERE o.id IN (org_id, to_id) AND state = 'pending')
            OR EXISTS (SELECT FROM group_transfers WHERE o.id IN (org_id, to_id) AND state = 'pending')
            OR EXISTS (SELECT FROM change_requests WHERE o.id = org_id AND state = 'pending')
            OR EXISTS (SELECT FROM admin_invitations WHERE o.id = org_id AND state = 'pending')
            OR EXISTS (SELECT FROM promotions WHERE o.id = org_id AND state = 'pending')
            OR EXISTS (SELECT FROM link_requests WHERE o.id = org_id AND state = 'pending'))
    """,
    "a member of a removed unit": """
        SELECT p.member_id FROM unit_memberships p JOIN units u ON u.org_id = p.org_id AND u.id = p.unit_id
        WHERE p.until IS NULL AND u.removed_at IS NOT NULL
    """,
    "an admin who is not a member at the org itself": """
        SELECT a.user_id FROM org_admins a JOIN orgs o ON o.id = a.org_id JOIN users u ON u.id = a.user_id
        WHERE NOT (o.status = 'closed' AND u.status = 'closed')
        AND NOT EXISTS (SELECT FROM mergers g WHERE g.org_id = o.id AND g.state = 'accepted')
        AND NOT EXISTS (
            SELECT FROM members m JOIN unit_memberships p ON p.org_id = m.org_id AND p.member_id = m.id
            WHERE m.org_id = a.org_id AND m.user_id = a.user_id AND p.unit_id IS NULL AND p.until IS NULL)
    """,
    "an edge whose beginning is not in the audit of both orgs": """
        SELECT c.id FROM certifications c WHERE c.state IN ('live', 'ended') AND 2 > (
            SELECT count(DISTINCT e.org_id) FROM audit_entries e
            WHERE e.org_id IN (c.superior_id, c.subordinate_id) AND (
                (e.subject_id = c.id AND e.action = 'certification.created') OR e.action = 'transfer.accepted'))
    """,
    # A refused call changes nothing, so it has an audit entry but no event.
    "an audit entry without its event, or the reverse": """
        SELECT e.id FROM audit_entries e FULL JOIN outgoing_events o ON o.audit_entry_id = e.id
        WHERE (o.id IS NULL AND e.action <> 'request.refused') OR e.id IS NULL
    """,
}

# `owner` is the active user who has the phone of the row, if the verified name is the name of the row.
ROWS = {
    "a row that is not active through the account it should be": """
        SELECT m.org_id || ' ' || m.id FROM members m
        LEFT JOIN activations a ON a.org_id = m.org_id AND a.member_id = m.id AND a.until IS NULL
        LEFT JOIN users l ON l.id = a.user_id
        LEFT JOIN users owner ON owner.phone_index = m.phone_index AND m.removed_at IS NULL
            AND owner.status = 'active' AND (owner.verified_name IS NULL
                OR name_key(owner.verified_name) = name_key(m.name))
        WHERE m.user_id IS DISTINCT FROM a.user_id
            OR l.id IS NOT NULL AND (m.removed_at IS NOT NULL OR l.status <> 'active'
                OR a.consented_by IS NULL AND l.id IS DISTINCT FROM owner.id)
            OR l.id IS NULL AND owner.id IS NOT NULL
                AND NOT EXISTS (SELECT FROM members o WHERE o.org_id = m.org_id AND o.user_id = owner.id)
                AND NOT EXISTS (SELECT FROM activations u WHERE u.org_id = m.org_id AND u.member_id = m.id
                    AND u.user_id = owner.id AND u.undone_by IS NOT NULL)
    """,
    "a removed row with a unit membership, or a live row without one": """
        SELECT m.org_id || ' ' || m.id FROM members m WHERE (m.removed_at IS NULL) <> EXISTS (
            SELECT FROM unit_memberships p WHERE p.org_id = m.org_id AND p.member_id = m.id AND p.until IS NULL)
    """,
}


Violation = tuple[str, str]
"""The name of the broken invariant and the id of the row."""


async def find_violations(db: AsyncConnection) -> frozenset[Violation]:
    """Return what breaks an invariant now, for example rows that other tests in this database wrote by SQL."""
    return await _find(db, BROKEN)


async def assert_invariants(db: AsyncConnection, *, known: frozenset[Violation] = frozenset()) -> None:
    """Check the invariants of the whole database. `known` are violations from before the test."""
    _assert_none(await _find(db, BROKEN) - known)


async def assert_rows(db: AsyncConnection) -> None:
    """Check the rows of directories when no job or request is running, in a database that only the service has
    written."""
    _assert_none(await _find(db, ROWS))


def _assert_none(violations: frozenset[Violation]) -> None:
    assert not violations, sorted(violations)[:20]


async def _find(db: AsyncConnection, statements: Mapping[str, str]) -> frozenset[Violation]:
    return frozenset((row.what, row.id) for row in await db.execute(_build_query(statements)))


def _build_query(statements: Mapping[str, str]) -> TextClause:
    return text(
        " UNION ALL ".join(
            f"(SELECT '{what}' AS what, found.id::text FROM ({statement}) AS found (id))"
            for what, statement in statements.items()
        )
    )
