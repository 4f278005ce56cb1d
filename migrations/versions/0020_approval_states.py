"""One set of states for the seven kinds of approval, and one name each for the requester and the time of the request.

`pending`, `accepted`, `declined`, `withdrawn`, `expired`, `superseded`; an accepted application is a certification,
which is `live` and later `ended`. The release before this one cannot read the new states: stop it first.
"""

from collections.abc import Iterator

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# Table: its columns that get another name.
COLUMNS = {
    "certifications": {"applied_by": "requested_by", "applied_at": "requested_at", "released_at": "ended_at"},
    "change_requests": {"asked_by": "requested_by", "asked_at": "requested_at"},
    "admin_invitations": {"invited_by": "requested_by", "invited_at": "requested_at"},
    "promotions": {"offered_by": "requested_by", "offered_at": "requested_at"},
    "link_requests": {"asked_at": "requested_at"},
    "transfers": {"asked_by": "requested_by", "asked_at": "requested_at"},
    "person_transfers": {"asked_by": "requested_by", "asked_at": "requested_at"},
}
# Table: what each old state is now; a state that keeps its name is not listed.
STATES = {
    "certifications": {"applied": "pending", "certified": "live", "refused": "declined", "released": "ended"},
    "change_requests": {"asked": "pending", "approved": "accepted", "refused": "declined", "stale": "superseded"},
    "admin_invitations": {"invited": "pending", "refused": "declined"},
    "promotions": {"offered": "pending", "refused": "declined"},
    "link_requests": {"asked": "pending", "refused": "declined"},
    # A transfer that the present superior has released waits for the new one: `released_at` says so.
    "transfers": {
        "asked": "pending",
        "released": "pending",
        "done": "accepted",
        "refused": "declined",
        "lapsed": "superseded",
    },
    "person_transfers": {"asked": "pending", "refused": "declined", "lapsed": "superseded"},
}
# Table: the constraints that speak of states, as they are from now on.
CHECKS = {
    "certifications": {
        "state": "state IN ('pending', 'live', 'ended', 'declined', 'withdrawn')",
        "live_name": "(state = 'live') = (subordinate_name IS NOT NULL)",
        "certified_at": "(state IN ('live', 'ended')) = (certified_at IS NOT NULL)",
        "ended_at": "(state = 'ended') = (ended_at IS NOT NULL)",
    },
    "change_requests": {
        "state": "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')",
        "decided": "(state = 'pending') = (decided_at IS NULL)",
    },
    "admin_invitations": {
        "state": "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')",
        "phone": "(state = 'pending') = (phone_cipher IS NOT NULL)",
    },
    "promotions": {
        "state": "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')",
        "phone": "(state = 'pending') = (phone_cipher IS NOT NULL)",
    },
    "link_requests": {
        "state": "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired')",
        "name": "(state = 'pending') = (name_key IS NOT NULL)",
        "decided": "(state = 'pending') = (decided_at IS NULL)",
    },
    "transfers": {
        "state": "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'superseded')",
        "decided": "(state = 'pending') = (decided_at IS NULL)",
    },
    "person_transfers": {
        "state": "state IN ('pending', 'accepted', 'declined', 'withdrawn', 'expired', 'superseded')",
        "decided": "(state = 'pending') = (decided_at IS NULL)",
    },
}
# Old name of an index: what it is from now on.
INDEXES = {
    "certifications_one_superior_key": (
        "UNIQUE INDEX certifications_one_superior_key ON certifications (subordinate_id) INCLUDE (superior_id) "
        "WHERE state = 'live'"
    ),
    "certifications_sibling_name_key": (
        "UNIQUE INDEX certifications_sibling_name_key ON certifications (superior_id, subordinate_name) "
        "WHERE state = 'live'"
    ),
    "certifications_one_application_key": (
        "UNIQUE INDEX certifications_one_open_key ON certifications (subordinate_id) WHERE state = 'pending'"
    ),
    "certifications_waiting_idx": (
        "INDEX certifications_waiting_idx ON certifications (superior_id, id) WHERE state = 'pending'"
    ),
    "change_requests_one_open_key": (
        "UNIQUE INDEX change_requests_one_open_key ON change_requests (org_id, kind) WHERE state = 'pending'"
    ),
    "admin_invitations_one_open_key": (
        "UNIQUE INDEX admin_invitations_one_open_key ON admin_invitations (phone_index, org_id) WHERE state = 'pending'"
    ),
    "promotions_one_open_key": (
        "UNIQUE INDEX promotions_one_open_key ON promotions (org_id, unit_id) WHERE state = 'pending'"
    ),
    "promotions_phone_index_idx": (
        "INDEX promotions_phone_index_idx ON promotions (phone_index) WHERE state = 'pending'"
    ),
    "link_requests_one_open_key": (
        "UNIQUE INDEX link_requests_one_open_key ON link_requests (org_id, user_id) WHERE state = 'pending'"
    ),
    "link_requests_waiting_idx": (
        "INDEX link_requests_waiting_idx ON link_requests (org_id, name_key) WHERE state = 'pending'"
    ),
    "transfers_one_open_key": "UNIQUE INDEX transfers_one_open_key ON transfers (org_id) WHERE state = 'pending'",
    "person_transfers_one_open_key": (
        "UNIQUE INDEX person_transfers_one_open_key ON person_transfers (org_id, member_id) WHERE state = 'pending'"
    ),
    "person_transfers_waiting_idx": (
        "INDEX person_transfers_waiting_idx ON person_transfers (to_id) WHERE state = 'pending'"
    ),
}

# The functions are as 0002 has them, but for the state of a live edge.
HIERARCHY = (
    """
CREATE OR REPLACE FUNCTION certifications_hierarchy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(517365660277);
    IF EXISTS (SELECT FROM orgs WHERE id IN (NEW.superior_id, NEW.subordinate_id) AND status <> 'live') THEN
        RAISE EXCEPTION 'a closed organisation has no edges'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'certifications_live_orgs';
    END IF;
    IF EXISTS (
        WITH RECURSIVE above (id) AS (
            SELECT NEW.superior_id
            UNION
            SELECT c.superior_id FROM certifications c JOIN above a ON c.subordinate_id = a.id
            WHERE c.state = 'live' AND c.id <> NEW.id
        )
        SELECT FROM above WHERE id = NEW.subordinate_id
    ) THEN
        RAISE EXCEPTION 'the edge would close a circle'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'certifications_no_circle';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE OR REPLACE FUNCTION orgs_closing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(517365660277);
    IF EXISTS (
        SELECT FROM certifications WHERE state = 'live' AND NEW.id IN (superior_id, subordinate_id)
    ) THEN
        RAISE EXCEPTION 'a closed organisation has no edges'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'orgs_closed_alone';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE TRIGGER certifications_begun BEFORE INSERT ON certifications
    FOR EACH ROW WHEN (NEW.state = 'live') EXECUTE FUNCTION certifications_hierarchy()
""",
    """
CREATE TRIGGER certifications_changed BEFORE UPDATE ON certifications
    FOR EACH ROW WHEN (NEW.state = 'live' AND (OLD.state, OLD.superior_id, OLD.subordinate_id)
        IS DISTINCT FROM (NEW.state, NEW.superior_id, NEW.subordinate_id))
    EXECUTE FUNCTION certifications_hierarchy()
""",
)


def upgrade() -> None:
    for statement in statements():
        op.execute(statement)


def statements() -> Iterator[str]:
    """In one transaction, with the service stopped: no process waits for these locks or reads the old names."""
    yield "DROP TRIGGER certifications_begun ON certifications"
    yield "DROP TRIGGER certifications_changed ON certifications"
    # No fact of the hierarchy changes, so none is appended.
    yield "ALTER TABLE certifications DISABLE TRIGGER USER"
    yield from _drop_old()
    # Two meanings of one word, and requests that no user could decide: both are set before the words change.
    yield ("UPDATE person_transfers SET state = 'expired' WHERE state = 'lapsed' AND decided_at >= expires_at")
    yield (
        "UPDATE change_requests AS r SET state = 'superseded', decided_at = now() "
        "WHERE r.state = 'asked' AND r.kind <> 'recovery' AND r.expires_at > now() AND NOT EXISTS "
        "(SELECT FROM certifications AS c WHERE c.subordinate_id = r.org_id AND c.state = 'certified')"
    )
    yield (
        "UPDATE promotions AS p SET state = 'superseded' FROM units AS u "
        "WHERE p.state = 'withdrawn' AND u.org_id = p.org_id AND u.id = p.unit_id AND u.removed_at <= p.decided_at"
    )
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            yield f"-- squawk-ignore renaming-column\nALTER TABLE {table} RENAME COLUMN {old} TO {new}"
            if old.endswith("_by"):
                renamed = f"RENAME CONSTRAINT {table}_{old}_fkey TO {table}_{new}_fkey"
                yield f"-- squawk-ignore renaming-object\nALTER TABLE {table} {renamed}"
    for table, states in STATES.items():
        cases = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in states.items())
        old_states = ", ".join(f"'{old}'" for old in states)
        yield f"UPDATE {table} SET state = CASE state {cases} END WHERE state IN ({old_states})"  # noqa: S608 — constants of this file
        yield f"ALTER TABLE {table} ALTER COLUMN state SET DEFAULT 'pending'"
    yield "ALTER TABLE certifications ENABLE TRIGGER USER"
    yield from HIERARCHY
    for table, checks in CHECKS.items():
        for name, condition in checks.items():
            constraint = f"ADD CONSTRAINT {table}_{name}_check CHECK ({condition})"
            yield f"-- squawk-ignore constraint-missing-not-valid\nALTER TABLE {table} {constraint}"
    for index in INDEXES.values():
        yield f"-- squawk-ignore require-concurrent-index-creation\nCREATE {index}"


def _drop_old() -> Iterator[str]:
    for table, checks in CHECKS.items():
        for name in checks:
            constraint = f"{table}_{'released_at' if name == 'ended_at' else name}_check"
            yield f"-- squawk-ignore ban-drop-constraint\nALTER TABLE {table} DROP CONSTRAINT {constraint}"
    for old in INDEXES:
        yield f"-- squawk-ignore require-concurrent-index-deletion\nDROP INDEX {old}"


def downgrade() -> None:
    raise NotImplementedError("two old states are one now: restore the backup made before the upgrade")
