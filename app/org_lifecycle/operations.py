"""Writes of orgs. Each function has the rule, the SQL, the audit entry and the outgoing event."""

from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.admins import change_requests
from app.admins.appointments import insert_admin
from app.audit_log.entries import record
from app.authz.access import OrgScope, UserScope
from app.core.cipher import Cipher
from app.core.search import spell_title
from app.core.sort_keys import make_sort_key
from app.members.admin_rows import ensure_admin_row
from app.orgs import names
from app.orgs.errors import PartyMemberRequired, UnknownRegion
from app.orgs.locks import lock_orgs_for_edit
from app.orgs.names import Kind
from app.orgs.regions import find_region
from app.orgs.schemas import OrgCreate, OrgUpdate
from app.schema.orgs import Org
from app.web.etags import ReadVersion, require_version


async def create_org(db: AsyncConnection, cipher: Cipher, user: UserScope, body: OrgCreate) -> UUID:
    """Create an org with the caller as its main admin (S2, S4, S8, S19). Return the org's id.

    The caller also gets a member row at the org itself. Raises RealNameRequired, PartyMemberRequired, UnknownRegion,
    or the first of the name's errors (S3).
    """
    user.require_real_name()
    if body.kind is Kind.PARTY and not user.party_member:
        raise PartyMemberRequired
    if find_region(body.region_code) is None:
        raise UnknownRegion
    for error in names.list_name_errors(body.name, body.kind):
        raise error
    org_id = await insert_org(db, user, name=body.name, region_code=body.region_code, kind=body.kind)
    await ensure_admin_row(db, cipher, user.actor, org_id, user.user_id)
    return org_id


async def insert_org(db: AsyncConnection, user: UserScope, *, name: str, region_code: str, kind: Kind) -> UUID:
    """Insert an org and the row of its main admin, with an audit entry. Return the org's id.

    It checks no rule: the calling function does that first.
    """
    org_id: UUID = (
        await db.execute(
            insert(Org)
            .values(
                name=name,
                **spell_title(name)._asdict(),
                sort_key=make_sort_key(name),
                region_code=region_code,
                kind=kind,
                main_admin_id=user.user_id,
                created_by=user.user_id,
            )
            .returning(Org.id)
        )
    ).scalar_one()
    await insert_admin(db, org_id, user.user_id)
    after = {"name": name, "region_code": region_code, "kind": kind}
    await record(db, user.actor, "org.created", org_id=org_id, subject=("org", org_id), after=after)
    return org_id


async def update_org(db: AsyncConnection, scope: OrgScope, body: OrgUpdate, version: ReadVersion) -> UUID | None:
    """Edit the org's card. Return the id of a change request if the new name needs the superior's consent, or None.

    A new name takes effect at once only if the org has no superior; otherwise it becomes a change request (S5). Raises
    EditedMeanwhile, UnknownRegion, the first of the name's errors (S3), SiblingNameTaken, ChangeRequestOpen.
    """
    org = (await lock_orgs_for_edit(db, scope))[scope.org_id]
    require_version(org.version, version)
    if body.region_code is not None and body.region_code != org.region_code:
        if find_region(body.region_code) is None:
            raise UnknownRegion
        await db.execute(
            update(Org).where(Org.id == scope.org_id).values(region_code=body.region_code, version=Org.version + 1)
        )
        await record(
            db,
            scope.actor,
            "org.updated",
            org_id=scope.org_id,
            subject=("org", scope.org_id),
            before={"region_code": org.region_code},
            after={"region_code": body.region_code},
        )
    if body.name is None or body.name == org.name:
        return None
    requested = await change_requests.request_rename(db, scope, org, body.name)
    return requested.id if requested.pending else None
