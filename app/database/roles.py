"""The roles of the database: the SQL that makes them (`xuezu roles`).

The owner of the schema migrates it. The service and its worker need less: to read and write rows. A role with these
rights alone cannot change the schema, disable the triggers that make tables append-only, or change what is in them.
"""

import re

from app.core.settings import CannotStart

SERVICE = "xuezu_service"
AUDITOR = "xuezu_auditor"

_ROLES = """-- The roles of Xuezu. Run it after the first `xuezu migrate`, in its database, as a superuser or as the
-- owner of its tables with CREATEROLE; it can run again. Then make a user for the service and one for each auditor:
--   CREATE ROLE xuezu_app LOGIN PASSWORD '…' IN ROLE {service};
--   CREATE ROLE auditor_li LOGIN PASSWORD '…' IN ROLE {auditor};
DO $roles$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'public.audit_entries'::regclass);
    role name;
    entry record;
BEGIN
    FOREACH role IN ARRAY ARRAY['{service}', '{auditor}'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role);
    END LOOP;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    -- Imports and reports stage their rows in temporary tables.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO {service}', current_database());
    FOR entry IN
        SELECT c.oid::regclass AS name, EXISTS (
            SELECT FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
            WHERE t.tgrelid = c.oid AND p.proname = 'refuse_change' AND t.tgqual IS NULL
        ) AS append_only
        FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM {service}, {auditor}', entry.name);
        EXECUTE format(
            CASE
                WHEN entry.name = 'public.alembic_version'::regclass THEN 'GRANT SELECT ON %s TO {service}'
                WHEN entry.append_only THEN 'GRANT SELECT, INSERT ON %s TO {service}'
                ELSE 'GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO {service}'
            END,
            entry.name
        );
    END LOOP;
    GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {service};
    GRANT EXECUTE ON FUNCTION make_partition(text, date, date), drop_partition(text, text) TO {service};
    GRANT SELECT ON audit_trail, audit_seals TO {auditor};
    -- What later migrations make. A table that is append-only has triggers that refuse the rest.
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public '
        'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {service}', owner
    );
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {service}', owner
    );
END
$roles$;
"""


def build_roles_sql(service: str = SERVICE, auditor: str = AUDITOR) -> str:
    """Return the SQL that creates the two group roles and grants their rights. Raises CannotStart if a name is not a
    plain name of PostgreSQL."""
    for name in (service, auditor):
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) or name.startswith("pg_"):
            raise CannotStart(f"`{name}` is no name of a role: write lower-case letters, digits and underscores.")
    return _ROLES.format(service=service, auditor=auditor)
