# ruff: noqa: S608 — the SQL is built from constants only
"""The people of an import, as they were before it, and the statements that return them there.

The merge wrote all its times in one transaction, and the import was finished at that time. A member whose version is
that of the end of the merge has not been edited since: all memberships that ended at the time or later were ended by
the merge, and those that began at the time were begun by it.
"""

from sqlalchemy import ARRAY, DateTime, LargeBinary, TextClause, Uuid, bindparam, text

from app.members.imports.merge import build_removal

_IS_ADMIN = """(
    EXISTS (SELECT FROM org_admins AS a WHERE a.org_id = :org_id AND a.user_id = m.user_id)
    OR EXISTS (SELECT FROM users AS u JOIN org_admins AS a ON a.org_id = :org_id AND a.user_id = u.id
               WHERE u.phone_index = m.phone_index)
)"""

_OF_IMPORT = f"""
SELECT c.member_id, c.outcome, c.name, c.before, c.after, c.new_phone, c.phone_cipher,
       coalesce(CAST(c.after ->> 'in_directory' AS boolean), true) AS remains,
       CASE WHEN m.id IS NULL OR m.version IS DISTINCT FROM c.version
                OR (m.removed_at IS NULL) <> coalesce(CAST(c.after ->> 'in_directory' AS boolean), true)
                THEN 'edited-since'
            WHEN c.new_phone AND {_IS_ADMIN} THEN 'is-admin'
            WHEN m.removed_at IS NOT NULL AND EXISTS (
                SELECT FROM members AS o WHERE o.org_id = :org_id AND o.phone_index = m.phone_index
                    AND o.removed_at IS NULL) THEN 'phone-taken' END AS reason
FROM import_changes AS c LEFT JOIN members AS m ON m.org_id = :org_id AND m.id = c.member_id
WHERE c.org_id = :org_id AND c.import_id = :import_id
UNION ALL
SELECT a.member_id, 'added', a.name, '{{}}', '{{}}', false, NULL, false,
       CASE WHEN m.id IS NULL OR m.version <> 1 OR m.removed_at IS NOT NULL THEN 'edited-since'
            WHEN {_IS_ADMIN} THEN 'is-admin' END
FROM (
    SELECT DISTINCT ON (member_id) member_id, name FROM import_rows
    WHERE org_id = :org_id AND import_id = :import_id AND outcome = 'added' ORDER BY member_id, row_no
) AS a LEFT JOIN members AS m ON m.org_id = :org_id AND m.id = a.member_id
"""
# A former phone can belong to a person whom the import has added: that person is removed first.
PEOPLE = f"""
WITH of_import AS NOT MATERIALIZED ({_OF_IMPORT}), taken AS (
    SELECT DISTINCT old.id
    FROM unnest(CAST(:old_ids AS uuid[]), CAST(:old_phones AS bytea[])) AS old (id, phone)
    JOIN members AS o ON o.org_id = :org_id AND o.phone_index = old.phone AND o.removed_at IS NULL
    WHERE o.id <> old.id AND NOT EXISTS (
        SELECT FROM of_import AS a WHERE a.member_id = o.id AND a.outcome = 'added' AND a.reason IS NULL)
)
SELECT p.member_id, p.outcome, p.name, p.before, p.after, p.new_phone, p.phone_cipher, p.remains,
       coalesce(p.reason, CASE WHEN taken.id IS NOT NULL THEN 'phone-taken' END) AS reason
FROM of_import AS p LEFT JOIN taken ON taken.id = p.member_id
"""
"""The people of an import, each with the reason why it is not undone for them, if there is one."""


def bind_people(statement: TextClause) -> TextClause:
    """Return a statement with `PEOPLE` whose parameters have types.

    `old_ids` are the people who have a new phone since the import, and `old_phones` the blind indexes of their former
    phones; a person can be among them more than once.
    """
    return statement.bindparams(
        bindparam("org_id", type_=Uuid()),
        bindparam("import_id", type_=Uuid()),
        bindparam("old_ids", type_=ARRAY(Uuid())),
        bindparam("old_phones", type_=ARRAY(LargeBinary())),
    )


FORMER_PHONES = text("""
SELECT member_id, phone_cipher FROM import_changes WHERE org_id = :org_id AND import_id = :import_id AND new_phone
""")
LOCK_MEMBERS = text(f"""
SELECT id FROM members
WHERE org_id = :org_id AND id IN (SELECT member_id FROM ({_OF_IMPORT}) AS people) ORDER BY id FOR UPDATE
""")
STAGE = bind_people(text(f"CREATE TEMPORARY TABLE undone ON COMMIT DROP AS {PEOPLE}"))
# Without statistics the planner compares each person with all memberships of the org.
ANALYZE = text("ANALYZE undone (member_id, outcome, reason)")
COUNT = text("""
SELECT count(*) FILTER (WHERE reason IS NULL) AS people, count(*) FILTER (WHERE reason IS NOT NULL) AS blocked
FROM undone
""")

OLD_PHONES = text("SELECT member_id, phone_cipher FROM undone WHERE new_phone AND reason IS NULL")
SET_PHONES = text("""
UPDATE members AS m
SET phone_cipher = given.cipher, phone_index = given.phone, phone_last4_index = given.last4,
    user_id = CASE WHEN given.phone IS NOT NULL THEN m.user_id END
FROM unnest(CAST(:ids AS uuid[]), CAST(:ciphers AS bytea[]), CAST(:phones AS bytea[]), CAST(:last4s AS bytea[]))
    AS given (id, cipher, phone, last4)
JOIN undone AS u ON u.member_id = given.id AND u.reason IS NULL
WHERE m.org_id = :org_id AND m.id = given.id
""")
# A person who had no phone is not active (S18).
END_ACTIVATIONS = text("""
UPDATE activations AS a SET until = greatest(now(), a.since)
FROM undone AS u JOIN members AS m ON m.org_id = :org_id AND m.id = u.member_id
WHERE u.new_phone AND u.reason IS NULL AND u.phone_cipher IS NULL
  AND a.org_id = :org_id AND a.member_id = u.member_id AND a.until IS NULL
""")
OLD_NAMES = text("SELECT member_id, before ->> 'name' AS name FROM undone WHERE before ? 'name' AND reason IS NULL")
SET_NAMES = text("""
UPDATE members AS m SET name = given.name, pinyin = given.pinyin, initials = given.initials
FROM unnest(CAST(:ids AS uuid[]), CAST(:names AS text[]), CAST(:pinyins AS text[]), CAST(:initials AS text[]))
    AS given (id, name, pinyin, initials)
WHERE m.org_id = :org_id AND m.id = given.id
""")
RESTORE_VALUES = text("""
UPDATE members AS m
SET party = coalesce(CAST(u.before ->> 'party' AS boolean), m.party),
    probationary = coalesce(CAST(u.before ->> 'probationary' AS boolean), m.probationary),
    post = CASE WHEN u.after ? 'post' THEN u.before ->> 'post' ELSE m.post END,
    removed_at = NULL, version = m.version + 1
FROM undone AS u
WHERE u.reason IS NULL AND u.outcome <> 'added' AND m.org_id = :org_id AND m.id = u.member_id
""")
_OF_UNDONE = """
FROM undone AS u
WHERE u.reason IS NULL AND u.outcome <> 'added' AND p.org_id = :org_id AND p.member_id = u.member_id
"""
END_MEMBERSHIPS = text(f"""
UPDATE unit_memberships AS p SET until = greatest(now(), p.since) {_OF_UNDONE} AND p.until IS NULL AND p.since = :at
""").bindparams(bindparam("at", type_=DateTime(timezone=True)))
RESTORE_MEMBERSHIPS = text("""
INSERT INTO unit_memberships (org_id, member_id, unit_id, position)
SELECT DISTINCT ON (p.member_id, p.unit_id) p.org_id, p.member_id, p.unit_id, p.position
FROM undone AS u JOIN unit_memberships AS p ON p.org_id = :org_id AND p.member_id = u.member_id
LEFT JOIN units ON units.org_id = p.org_id AND units.id = p.unit_id
WHERE u.reason IS NULL AND u.outcome <> 'added' AND p.until >= :at AND p.since <> :at
  AND (p.unit_id IS NULL OR units.removed_at IS NULL)
ORDER BY p.member_id, p.unit_id, p.until DESC
ON CONFLICT DO NOTHING
""").bindparams(bindparam("at", type_=DateTime(timezone=True)))
# Where the former units are removed, the person is at the org itself.
PLACE_AT_ORG = text("""
INSERT INTO unit_memberships (org_id, member_id, unit_id)
SELECT :org_id, u.member_id, NULL FROM undone AS u
WHERE u.reason IS NULL AND u.outcome <> 'added' AND NOT EXISTS (
    SELECT FROM unit_memberships AS p WHERE p.org_id = :org_id AND p.member_id = u.member_id AND p.until IS NULL
)
ON CONFLICT DO NOTHING
""")
REMOVE_ADDED = build_removal("SELECT member_id AS id FROM undone WHERE outcome = 'added' AND reason IS NULL")

# Units that the import has created and that are empty, from the lowest level up.
REMOVE_UNITS = text("""
UPDATE units AS u SET removed_at = clock_timestamp(), version = u.version + 1
FROM imports AS i
WHERE i.org_id = :org_id AND i.id = :import_id AND u.id = ANY (i.created_units) AND u.org_id = :org_id
  AND u.removed_at IS NULL AND u.version = 1
  AND NOT EXISTS (SELECT FROM units AS o WHERE o.org_id = :org_id AND o.parent_id = u.id AND o.removed_at IS NULL)
  AND NOT EXISTS (SELECT FROM unit_memberships AS p
                  WHERE p.org_id = :org_id AND p.unit_id = u.id AND p.until IS NULL)
  AND NOT EXISTS (SELECT FROM promotions AS p WHERE p.org_id = :org_id AND p.unit_id = u.id)
RETURNING u.id, u.name, u.kind
""")

RECORD_CHANGES = text("""
WITH entries AS (
    INSERT INTO audit_entries (org_id, user_id, client_id, address, request_id, action, subject_type, subject_id,
        before, after)
    SELECT :org_id, :user_id, :client_id, CAST(:address AS inet), :request_id,
           CASE WHEN outcome = 'added' THEN 'member.removed' WHEN outcome = 'changed' THEN 'member.edited'
                WHEN remains THEN 'member.moved' ELSE 'member.restored' END,
           'member', member_id,
           CASE WHEN outcome = 'added' THEN jsonb_build_object('name', name) ELSE after END,
           before || CASE WHEN new_phone THEN jsonb_build_object('phone', 'changed') ELSE '{}' END
               || jsonb_build_object('import_id', CAST(:import_id AS uuid), 'file_name', CAST(:file_name AS text))
    FROM undone WHERE reason IS NULL
    RETURNING id, org_id, action, subject_type, subject_id
)
INSERT INTO outgoing_events (type, org_id, subject_type, subject_id, audit_entry_id)
SELECT action, org_id, subject_type, subject_id, id FROM entries
""")
