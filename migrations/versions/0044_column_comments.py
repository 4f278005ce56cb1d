"""Comments of columns in the words of the documentation, and comments for columns whose name does not say enough"""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

ADDED = {
    "orgs.name_grams": "characters and pairs of adjacent characters of the name, for the search",
    "orgs.pinyin": "the pinyin of the name",
    "orgs.initials": "the first letters of the pinyin",
    "orgs.sort_key": "the key of lists by name; empty: not computed yet",
    "orgs.region_code": "the administrative division code, 6, 9 or 12 digits",
    "orgs.main_admin_id": "an admin of the org; checked at commit",
    "orgs.version": "the number of changes of name, region, main admin, superior and status",
    "admin_invitations.user_id": "the account that accepted the offer",
    "admin_invitations.main_admin_before": "the main admin whom a recovery replaces; NULL: no recovery",
    "admin_invitations.superior_id": "the superior that made the recovery offer; NULL: a platform operator",
    "admin_invitations.phone_index": "the blind index of the invitee's phone",
    "admin_invitations.phone_cipher": "the encrypted phone; NULL once the offer is decided",
    "admin_invitations.expires_at": "from then on the request cannot be decided",
    "admin_invitations.decided_at": "when the state stopped being pending",
    "change_requests.name_before": "the name at the time of the request",
    "change_requests.name_after": "the requested name",
    "change_requests.main_admin_before": "the main admin at the time of the request",
    "change_requests.main_admin_after": "the requested main admin",
    "change_requests.reason": "the reason for the request",
    "change_requests.refusal": "the reason for the refusal",
    "change_requests.expires_at": "from then on the request cannot be decided",
    "change_requests.decided_at": "when the state stopped being pending",
    "closures.superior_id": "the superior of the org when it was closed",
    "closures.reopened_at": "when the closing was undone",
    "closures.reopened_by": "the user who undid the closing",
    "closures.expires_at": "from then on the request cannot be decided",
    "closures.decided_at": "when the state stopped being pending",
    "exports.kind": "the name of the ExportKind",
    "exports.failure": "the code of the failure",
    "exports.rows_total": "NULL: not counted yet",
    "exports.size": "in bytes",
    "exports.expires_at": "the row and its parts are deleted after this time",
    "units.parent_id": "NULL: directly under the org",
    "units.name_number": "0, except for siblings that had one name before migration 0031",
    "units.position": "the place among its siblings, from 0",
    "units.removed_at": "a removed unit stays for the unit memberships of past days",
    "certifications.subordinate_name": "a copy of the org's name while the edge is live, for the unique index",
    "certifications.subordinate_sort_key": "a copy of the org's sort key",
    "certifications.name_number": "0, except for siblings that had one name before migration 0031",
    "certifications.invitation_id": "NULL: no invitation, as after a promotion",
    "certifications.reason": "the reason for the refusal",
    "certifications.decided_at": "when the state stopped being pending",
    "export_parts.part": "the place of the part in the file, from 0",
    "export_parts.content_cipher": "encryption bound to the export and the part",
    "join_requests.expires_at": "from then on the request cannot be decided",
    "join_requests.decided_at": "when the state stopped being pending",
    "link_requests.expires_at": "from then on the request cannot be decided",
    "link_requests.decided_at": "when the state stopped being pending",
    "mergers.org_id": "the org that merges into another org and is closed",
    "mergers.to_id": "the receiving org",
    "mergers.unit_id": "the unit of the receiving org that the people joined; NULL: the org itself",
    "mergers.people": "the number of people transferred",
    "mergers.in_both": "the number of people who were in both orgs",
    "mergers.units": "the number of units transferred",
    "mergers.expires_at": "from then on the request cannot be decided",
    "mergers.decided_at": "when the state stopped being pending",
    "person_transfers.to_id": "the receiving org",
    "person_transfers.expires_at": "from then on the request cannot be decided",
    "person_transfers.decided_at": "when the state stopped being pending",
    "promotions.name": "the name of the new org",
    "promotions.region_code": "the region of the new org",
    "promotions.new_org_id": "the org that the acceptance created",
    "promotions.phone_index": "the blind index of the invitee's phone",
    "promotions.phone_cipher": "the encrypted phone; NULL once the offer is decided",
    "promotions.expires_at": "from then on the request cannot be decided",
    "promotions.decided_at": "when the state stopped being pending",
    "removal_requests.expires_at": "from then on the request cannot be decided",
    "removal_requests.decided_at": "when the state stopped being pending",
    "transfers.from_id": "the superior that the org leaves",
    "transfers.to_id": "the new superior",
    "transfers.certification_id": "the edge that the org leaves",
    "transfers.released_at": "when the present superior released the org",
    "transfers.reason": "the reason for the refusal",
    "transfers.decided_at": "when the state stopped being pending",
}
REPLACED = {
    "data_keys.key_check": (
        "tells the key from any other, and nothing of it",
        "identifies the key without disclosing it",
    ),
    "index_rotations.key_check": (
        "tells the key from any other, and nothing of it",
        "identifies the key without disclosing it",
    ),
    "index_rotations.moved_below": (
        "values whose index by the keys before is below this are indexed by the new key",
        "progress: values with a previous index below this one have their new index",
    ),
    "messages.org_id": ("the org that the text names", "the org in the text"),
    "messages.parameters": (
        "a reason, or counts; never a phone, never a text for display",
        "a reason or counts; never a phone or a text for display",
    ),
    "name_bookmarks.org_id": ("of orgs, the org itself", "for the table orgs, the id of the org itself"),
    "score_steps.kind": ("0: of seven days, 1: of all", "0: points of seven days, 1: points of all days"),
    "sessions.methods": ("amr, RFC 8176", "authentication methods (amr, RFC 8176)"),
    "verifications.reference": ("the provider's name for it", "the provider's id of the verification"),
    "admin_invitations.invitee_id": (
        "the account that the member row was linked to; else whoever has the phone",
        "the account linked to the member row; NULL: the user with the phone decides",
    ),
    "admin_invitations.invitee_name": (
        "the name of a member row without an account; the verified name of the user must agree with it",
        "the name in a member row without an account; the user's verified name must equal it",
    ),
    "admin_invitations.reason": ("why it was declined: name-differs", "the reason of a declined offer: name-differs"),
    "exports.permission": (
        "what whoever reads it must hold in the org at that moment",
        "the permission in the org that each download requires",
    ),
    "exports.english": (
        "not used: the job has the language; goes with the next release",
        "not used since migration 0026: the job has the language",
    ),
    "exports.question_cipher": (
        "what is asked for; it may name a person",
        "the encrypted filters of the request; they can contain a person's name",
    ),
    "imports.refusal": ("the code and what it is about", "the code of the problem and its parameters"),
    "imports.people": ("in the directory when it was checked", "the people in the directory at the check"),
    "units.last_day": ("of a temporary branch, in Shanghai", "the last day of a temporary branch (Asia/Shanghai)"),
    "units.end_reported_at": (
        "when the admins were told that the temporary branch has ended",
        "when the admins were notified of the end of the temporary branch",
    ),
    "activations.consented_by": (
        "the admin who linked it although phone or name differ",
        "the admin who linked the row although the phone or the name differs",
    ),
    "activations.undone_by": (
        "the admin who undid it: not linked again without consent",
        "the admin who undid the link; it is not made again without consent",
    ),
    "import_rows.new_member_id": (
        "what phone_cipher is bound to; a new member's id",
        "the id for a new member; the encryption of phone_cipher is bound to it",
    ),
    "import_rows.cells_cipher": (
        "the cells as typed, where they could not be read into the columns above",
        "the encrypted cells of a row that could not be parsed",
    ),
    "join_requests.member_id": (
        "the row of the person who was accepted",
        "the row that the acceptance created or linked",
    ),
    "person_transfers.new_member_id": (
        "their row in the org that took them in",
        "the row of the person in the receiving org",
    ),
    "promotions.invitee_id": (
        "the account that the member row was linked to; else whoever has the phone",
        "the account linked to the member row; NULL: the user with the phone decides",
    ),
    "promotions.invitee_name": (
        "the name of a member row without an account; the verified name of the user must agree with it",
        "the name in a member row without an account; the user's verified name must equal it",
    ),
    "promotions.reason": ("why it was declined: name-differs", "the reason of a declined offer: name-differs"),
    "unit_memberships.position": (
        "the place of the person in the unit, from 1; those without one follow by name",
        "the place of the person in the unit, from 1; NULL: after the others, by name",
    ),
}


def upgrade() -> None:
    for name, comment in ADDED.items():
        _write_comment(name, None, comment)
    for name, (before, after) in REPLACED.items():
        _write_comment(name, before, after)


def downgrade() -> None:
    for name, comment in ADDED.items():
        _write_comment(name, comment, None)
    for name, (before, after) in REPLACED.items():
        _write_comment(name, after, before)


def _write_comment(name: str, before: str | None, after: str | None) -> None:
    table, column = name.split(".")
    op.alter_column(table, column, comment=after, existing_comment=before)
