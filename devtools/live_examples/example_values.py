"""The values of the examples: the org of the newest demo, and the requests that wait in it.

The demo's org is found by its first subordinate, which no example renames, so that later imports, orgs and names change
nothing. The examples are calls of that org's main admin. For a decision with two outcomes, one example takes the newest
request of its kind and the other the oldest, so that both examples run.
"""

import random
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.certification.previews import compute_preview_version
from app.core.cipher import Cipher
from app.mergers import queries as mergers

_DEMO = """
WITH demo AS (
    SELECT o.id, o.main_admin_id AS admin, u.phone_index, u.phone_cipher
    FROM orgs AS first_subordinate JOIN LATERAL (
        SELECT superior_id FROM certifications WHERE subordinate_id = first_subordinate.id ORDER BY id LIMIT 1
    ) AS edge ON true
    JOIN orgs AS o ON o.id = edge.superior_id JOIN users AS u ON u.id = o.main_admin_id
    WHERE first_subordinate.name ~ '^中共示范街道[0-9]+号小区支部委员会$' AND o.status = 'live'
    ORDER BY first_subordinate.id DESC LIMIT 1
)
"""
_ORG = """
{demo}, leaf AS (
    SELECT u.id,
        EXISTS (SELECT FROM unit_memberships WHERE org_id = u.org_id AND unit_id = u.id AND until IS NULL) AS peopled,
        EXISTS (SELECT FROM promotions WHERE org_id = u.org_id AND unit_id = u.id AND state = 'pending') AS offered
    FROM units AS u JOIN demo ON demo.id = u.org_id
    WHERE u.removed_at IS NULL
      AND NOT EXISTS (SELECT FROM units WHERE org_id = u.org_id AND parent_id = u.id AND removed_at IS NULL)
), person AS (
    SELECT m.id, row_number() OVER (ORDER BY m.id DESC) AS position FROM members AS m JOIN demo ON demo.id = m.org_id
    WHERE m.removed_at IS NULL AND m.user_id IS NULL
      AND NOT EXISTS (SELECT FROM link_requests WHERE org_id = m.org_id AND name_key = name_key(m.name))
      AND NOT EXISTS (SELECT FROM person_transfers WHERE org_id = m.org_id AND member_id = m.id AND state = 'pending')
      AND NOT EXISTS (SELECT FROM group_transfer_people AS p WHERE p.org_id = m.org_id AND p.member_id = m.id)
    ORDER BY m.id DESC LIMIT 2
), own_org AS (
    SELECT o.id, edge.superior_id, edge.state FROM demo JOIN orgs AS o ON o.main_admin_id = demo.admin
    LEFT JOIN certifications AS edge ON edge.subordinate_id = o.id AND edge.state IN ('pending', 'live')
    WHERE o.id <> demo.id AND o.status = 'live'
), lower_org AS (
    SELECT edge.subordinate_id AS id FROM demo JOIN certifications AS edge ON edge.superior_id = demo.id
    JOIN orgs AS o ON o.id = edge.subordinate_id
    WHERE edge.state = 'live' AND o.main_admin_id <> demo.admin
)
SELECT demo.id AS org, demo.admin AS user, {columns} FROM demo
"""
_PHONE = text(f"{_DEMO} SELECT admin, phone_cipher FROM demo")  # noqa: S608 — a constant of this file

# Requests that wait for the demo's main admin: the source, and the order of its rows for each decision.
_PERSON = "FROM person WHERE position = "
_REQUESTS = (
    "FROM change_requests AS r JOIN lower_org ON lower_org.id = r.org_id WHERE r.state = 'pending' ORDER BY r.id"
)
_OWN_REQUEST = (
    "FROM change_requests AS r JOIN own_org ON own_org.id = r.org_id WHERE r.state = 'pending' ORDER BY r.id DESC"
)
_APPLICATIONS = "FROM certifications AS c WHERE c.superior_id = demo.id AND c.state = 'pending' ORDER BY c.id"
_OWN_APPLICATION = (
    "FROM certifications AS c JOIN own_org ON own_org.id = c.subordinate_id "
    "WHERE c.state = 'pending' ORDER BY c.id DESC"
)
_OUTGOING_TRANSFERS = (
    "FROM transfers AS t JOIN lower_org ON lower_org.id = t.org_id "
    "WHERE t.from_id = demo.id AND t.state = 'pending' AND t.released_at IS NULL ORDER BY t.id"
)
_INCOMING_TRANSFERS = (
    "FROM transfers AS t WHERE t.to_id = demo.id AND t.state = 'pending' AND t.released_at IS NOT NULL "
    "ORDER BY t.id DESC"
)
_OWN_TRANSFER = "FROM transfers AS t JOIN own_org ON own_org.id = t.org_id WHERE t.state = 'pending' ORDER BY t.id DESC"
_MERGERS = "FROM mergers AS m WHERE m.to_id = demo.id AND m.state = 'pending' ORDER BY m.id"
_OWN_MERGER = "FROM mergers AS m JOIN own_org ON own_org.id = m.org_id WHERE m.state = 'pending' ORDER BY m.id DESC"
_ADMIN_INVITATIONS = (
    "FROM admin_invitations AS i WHERE i.phone_index = demo.phone_index AND i.state = 'pending' ORDER BY i.id"
)
_OFFERED_PROMOTIONS = (
    "FROM promotions AS p WHERE p.phone_index = demo.phone_index AND p.state = 'pending' ORDER BY p.id"
)
_LINKS = "FROM link_requests AS r WHERE r.org_id = demo.id AND r.state = 'pending' ORDER BY r.id"
_JOINS = "FROM join_requests AS r WHERE r.org_id = demo.id AND r.state = 'pending' ORDER BY r.id"
_REMOVALS = "FROM removal_requests AS r WHERE r.org_id = demo.id AND r.state = 'pending' ORDER BY r.id"
_OWN_REMOVAL = "FROM removal_requests AS r WHERE r.user_id = demo.admin AND r.state = 'pending'"
_INCOMING_PEOPLE = "FROM person_transfers AS t WHERE t.to_id = demo.id AND t.state = 'pending' ORDER BY t.id"
_INCOMING_GROUPS = "FROM group_transfers AS t WHERE t.to_id = demo.id AND t.state = 'pending' ORDER BY t.id"
_EXPORTS = "FROM exports AS e WHERE e.org_id = demo.id AND e.created_by = demo.admin AND e.state = 'done' ORDER BY e.id"

_VALUES = {
    "unit": "id FROM leaf ORDER BY peopled, offered, id DESC",
    "peopled_unit": "id FROM leaf ORDER BY peopled DESC, id",
    "other_unit": "id FROM leaf WHERE NOT EXISTS (SELECT FROM unit_memberships AS p "
    "JOIN person ON person.id = p.member_id AND person.position = 1 WHERE p.unit_id = leaf.id AND p.until IS NULL) "
    "ORDER BY peopled DESC, id",
    "member": f"id {_PERSON} 1",
    "data_copy": "c.id FROM data_copies AS c WHERE c.user_id = demo.admin AND c.state = 'done'",
    "leaving_member": f"id {_PERSON} 2",
    "removed_member": "m.id FROM members AS m WHERE m.org_id = demo.id AND m.removed_at IS NOT NULL "
    "ORDER BY m.removed_at DESC",
    "import": "i.id FROM imports AS i WHERE i.org_id = demo.id AND i.state = 'done' ORDER BY i.id DESC",
    "open_import": "i.id FROM imports AS i WHERE i.org_id = demo.id AND i.state NOT IN ('done', 'refused', 'failed') "
    "ORDER BY i.id DESC",
    "coming_person": f"t.id {_INCOMING_PEOPLE} DESC",
    "person_to_refuse": f"t.id {_INCOMING_PEOPLE}",
    "coming_people": f"t.id {_INCOMING_GROUPS} DESC",
    "people_to_refuse": f"t.id {_INCOMING_GROUPS}",
    "leaving_people": "t.id FROM group_transfers AS t WHERE t.org_id = demo.id AND t.state = 'pending' ORDER BY t.id",
    "leaving_person": "t.id FROM person_transfers AS t WHERE t.org_id = demo.id AND t.state = 'pending' ORDER BY t.id",
    "active_member": "m.id FROM members AS m WHERE m.org_id = demo.id AND m.user_id IS NOT NULL "
    "AND NOT EXISTS (SELECT FROM org_admins AS a WHERE a.org_id = m.org_id AND a.user_id = m.user_id) ORDER BY m.id",
    "org_to_link": "o.id FROM orgs AS o WHERE o.status = 'live' AND NOT EXISTS "
    "(SELECT FROM members AS m WHERE m.org_id = o.id AND m.user_id = demo.admin) AND NOT EXISTS (SELECT FROM "
    "link_requests AS r WHERE r.org_id = o.id AND r.user_id = demo.admin AND r.state = 'pending') AND NOT EXISTS "
    "(SELECT FROM org_blocks AS b WHERE b.org_id = o.id AND b.user_id = demo.admin) ORDER BY o.id DESC",
    "my_link_request": "r.id FROM link_requests AS r WHERE r.user_id = demo.admin AND r.state = 'pending' "
    "ORDER BY r.id",
    "org_to_join": "o.id FROM orgs AS o WHERE o.status = 'live' AND NOT EXISTS "
    "(SELECT FROM members AS m WHERE m.org_id = o.id AND m.user_id = demo.admin) AND NOT EXISTS (SELECT FROM "
    "join_requests AS r WHERE r.org_id = o.id AND r.user_id = demo.admin AND r.state = 'pending') AND NOT EXISTS "
    "(SELECT FROM org_blocks AS b WHERE b.org_id = o.id AND b.user_id = demo.admin) ORDER BY o.id DESC",
    "my_join_request": "r.id FROM join_requests AS r WHERE r.user_id = demo.admin AND r.state = 'pending' "
    "ORDER BY r.id",
    "join_to_accept": f"r.id {_JOINS} DESC",
    "join_to_refuse": f"r.id {_JOINS}",
    "org_to_leave": "m.org_id FROM members AS m JOIN orgs AS o ON o.id = m.org_id WHERE m.user_id = demo.admin "
    "AND o.status = 'live' AND NOT EXISTS "
    "(SELECT FROM org_admins AS a WHERE a.org_id = o.id AND a.user_id = demo.admin) "
    f"AND NOT EXISTS (SELECT {_OWN_REMOVAL} AND r.org_id = o.id) ORDER BY o.id DESC",
    "my_removal_request": f"r.id {_OWN_REMOVAL} ORDER BY r.id",
    "removal_to_accept": f"r.id {_REMOVALS} DESC",
    "removal_to_refuse": f"r.id {_REMOVALS}",
    "org_to_block": "o.id FROM orgs AS o WHERE o.status = 'live' AND NOT EXISTS "
    "(SELECT FROM org_admins AS a WHERE a.org_id = o.id AND a.user_id = demo.admin) ORDER BY o.id",
    "blocked_org": "b.org_id FROM org_blocks AS b WHERE b.user_id = demo.admin ORDER BY b.org_id",
    "join_link": "l.id FROM join_links AS l WHERE l.org_id = demo.id AND l.revoked_at IS NULL ORDER BY l.id DESC",
    "message": "m.id FROM messages AS m WHERE m.user_id = demo.admin ORDER BY m.id DESC",
    "link_to_accept": f"r.id {_LINKS} DESC",
    "link_to_refuse": f"r.id {_LINKS}",
    "export": f"e.id {_EXPORTS} DESC",
    "export_to_delete": f"e.id {_EXPORTS}",
    "closing_org": "id FROM own_org WHERE state IS NULL AND NOT EXISTS (SELECT FROM certifications AS c "
    "WHERE c.superior_id = own_org.id AND c.state = 'live') ORDER BY id DESC",
    "closed_org": "c.org_id FROM closures AS c JOIN orgs AS o ON o.id = c.org_id WHERE o.status = 'closed' "
    "AND o.main_admin_id = demo.admin AND c.state = 'accepted' AND c.decided_at > now() - interval '7 days' "
    "ORDER BY c.id DESC",
    "subordinate": "lower_org.id FROM lower_org WHERE NOT EXISTS (SELECT FROM transfers AS t "
    "WHERE t.org_id = lower_org.id AND t.state = 'pending') ORDER BY lower_org.id",
    "resigning_org": "a.org_id FROM org_admins AS a JOIN orgs AS o ON o.id = a.org_id WHERE a.user_id = demo.admin "
    "AND o.main_admin_id <> demo.admin AND o.status = 'live' ORDER BY a.since DESC",
    "other_admin": "a.user_id FROM org_admins AS a WHERE a.org_id = demo.id AND a.user_id <> demo.admin",
    "sent_admin_invitation": "i.id FROM admin_invitations AS i WHERE i.org_id = demo.id AND i.state = 'pending' "
    "ORDER BY i.id DESC",
    "admin_invitation_to_accept": f"i.id {_ADMIN_INVITATIONS} DESC",
    "admin_invitation_to_refuse": f"i.id {_ADMIN_INVITATIONS}",
    "sent_promotion": "p.id FROM promotions AS p WHERE p.org_id = demo.id AND p.state = 'pending' ORDER BY p.id DESC",
    "promotion_to_accept": f"p.id {_OFFERED_PROMOTIONS} DESC",
    "promotion_to_refuse": f"p.id {_OFFERED_PROMOTIONS}",
    "request_to_approve": f"r.id {_REQUESTS} DESC",
    "request_to_refuse": f"r.id {_REQUESTS}",
    "my_request": f"r.id {_OWN_REQUEST}",
    "my_request_org": f"r.org_id {_OWN_REQUEST}",
    "application_to_approve": f"c.id {_APPLICATIONS} DESC",
    "application_to_refuse": f"c.id {_APPLICATIONS}",
    "my_application": f"c.id {_OWN_APPLICATION}",
    "my_application_org": f"c.subordinate_id {_OWN_APPLICATION}",
    "transfer_to_release": f"t.id {_OUTGOING_TRANSFERS} DESC",
    "transfer_to_refuse": f"t.id {_OUTGOING_TRANSFERS}",
    "transfer_to_accept": f"t.id {_INCOMING_TRANSFERS}",
    "my_transfer": f"t.id {_OWN_TRANSFER}",
    "my_transfer_org": f"t.org_id {_OWN_TRANSFER}",
    "merger_to_accept": f"m.id {_MERGERS} DESC",
    "merger_to_refuse": f"m.id {_MERGERS}",
    "my_merger": f"m.id {_OWN_MERGER}",
    "my_merger_org": f"m.org_id {_OWN_MERGER}",
    "merging_org": "id FROM own_org WHERE state IS NULL AND NOT EXISTS (SELECT FROM certifications AS c "
    "WHERE c.superior_id = own_org.id AND c.state = 'live') AND NOT EXISTS (SELECT FROM mergers AS m "
    "WHERE m.org_id = own_org.id AND m.state = 'pending') ORDER BY id",
    "invitation": "i.id FROM invitations AS i WHERE i.org_id = demo.id AND i.revoked_at IS NULL ORDER BY i.id DESC",
    "session": "s.id FROM sessions AS s WHERE s.user_id = demo.admin AND s.ended_at IS NULL "
    "ORDER BY s.client_id = 'xuezu-console' DESC, s.id",
    "verification": "v.id FROM verifications AS v WHERE v.user_id = demo.admin ORDER BY v.id DESC",
    "desktop": "c.id FROM oauth_clients AS c WHERE c.kind = 'device' AND c.revoked_at IS NULL "
    "ORDER BY c.created_at DESC",
    "attempt": "v.provider_token FROM verifications AS v WHERE v.state = 'started' AND v.provider_token IS NOT NULL "
    "ORDER BY v.id DESC",
}
_STATEMENT = text(
    _ORG.format(
        demo=_DEMO, columns=", ".join(f'(SELECT {source} LIMIT 1) AS "{name}"' for name, source in _VALUES.items())
    )
)
_MERGER = text("SELECT org_id, to_id FROM mergers WHERE id = :id")
_TRANSFERS = text("SELECT id, certification_id, from_id, to_id FROM transfers WHERE id = ANY (:ids)")


async def find_demo_phone(db: AsyncConnection, cipher: Cipher) -> str | None:
    """Return the phone of the first administrator of the newest demo, or None without a demo."""
    row = (await db.execute(_PHONE)).one_or_none()
    return None if row is None else cipher.decrypt_text(row.phone_cipher, row.admin)


async def find_example_values(db: AsyncConnection) -> dict[str, str]:
    """Return the values by their placeholder. A value that the database does not have is absent."""
    row = (await db.execute(_STATEMENT)).one_or_none()
    found: dict[str, Any] = {} if row is None else {name: value for name, value in row._mapping.items() if value}
    names = {found.get(name): name for name in ("transfer_to_release", "transfer_to_accept")}
    for transfer in (await db.execute(_TRANSFERS, {"ids": [id_ for id_ in names if id_ is not None]})).all():
        name = names[transfer.id].removeprefix("transfer_")
        found[f"{name}_preview"] = await compute_preview_version(db, transfer)
    if (merger_id := found.get("merger_to_accept")) is not None:
        merger = (await db.execute(_MERGER, {"id": merger_id})).one()
        found["merger_preview"] = await mergers.compute_preview_version(db, merger.org_id, merger.to_id)
    return {name: str(value) for name, value in found.items()} | _generate_values()


def _generate_values() -> dict[str, str]:
    """Return the values that must be new in each example: unused phones and the time."""
    digits = random.sample(range(10_000), 4)
    names = ("phone", "new_phone", "guest_phone", "invited_phone")
    phones = {name: f"1380013{number:04d}" for name, number in zip(names, digits, strict=True)}
    return phones | {"now": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
