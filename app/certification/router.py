"""Invitations, applications, certifications and the hierarchy around an org, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import RealNameRequired
from app.authz.permissions import Permission
from app.certification import operations, queries
from app.certification.errors import (
    AlreadyCertified,
    ApplicationDecided,
    ApplicationOpen,
    InvitationExpired,
    InvitationUnknown,
    InvitationUsedUp,
    WouldCloseCircle,
)
from app.certification.queries import InvitationRow
from app.certification.schemas import (
    ApplicationCreate,
    ApplicationOut,
    CertificationOut,
    InvitationCard,
    InvitationCreate,
    InvitationOut,
    ReceivedApplicationOut,
    RefusalCreate,
    SubordinateOut,
    SuperiorOut,
)
from app.core.cipher import Cipher, CipherDep
from app.core.qr import draw_svg
from app.core.services import SETTINGS
from app.core.text import Token
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.orgs.errors import SiblingNameTaken
from app.orgs.names import Kind
from app.orgs.regions import path_of
from app.schema.approvals import CertificationState
from app.web.errors import problems
from app.web.schemas import Instant

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["certification"])

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
InvitationProblems = problems(InvitationUnknown, InvitationExpired, InvitationUsedUp)


@router.post("/orgs/{org_id}/invitations", status_code=201)
async def create_invitation(
    request: Request, scope: Writer, body: InvitationCreate, db: WriteDb, cipher: CipherDep
) -> InvitationOut:
    """Invite subordinates to apply for certification: a link and a QR code."""
    return invitation_out(request, cipher, await operations.create_invitation(db, cipher, scope, body))


@router.get("/orgs/{org_id}/invitations")
async def list_invitations(
    request: Request, scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[InvitationOut]:
    """The org's invitations, newest first."""
    found = await queries.list_invitations(db, scope.org_id, paging)
    return Page[InvitationOut].from_slice(found.map(lambda row: invitation_out(request, cipher, row)))


@router.get(
    "/orgs/{org_id}/invitations/{invitation_id}/qr.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "The QR code of the invitation's link."}},
)
async def draw_invitation(
    request: Request, scope: Reader, invitation_id: UUID, db: ReadDb, cipher: CipherDep
) -> Response:
    """The invitation as a QR code, to be shown or printed."""
    row = await queries.get_invitation(db, scope.org_id, invitation_id)
    picture = await draw_svg(invitation_out(request, cipher, row).link)
    return Response(picture, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.delete("/orgs/{org_id}/invitations/{invitation_id}", status_code=204)
async def revoke_invitation(scope: Writer, invitation_id: UUID, db: WriteDb) -> None:
    """Revoke an invitation: from now on its token names nothing."""
    await operations.revoke_invitation(db, scope, invitation_id)


@router.get("/invitations/{token}", responses=InvitationProblems)
async def read_invitation(
    _: SignedIn, token: Annotated[Token, Path(description="The token of an invitation's link.")], db: ReadDb
) -> InvitationCard:
    """Who invites: the card of the org, for whoever holds a live invitation."""
    row = await queries.get_live_invitation(db, token)
    return InvitationCard(
        org_id=row.org_id,
        org_name=row.org_name,
        org_kind=Kind(row.org_kind),
        org_region=path_of(row.region_code),
        expires_at=row.expires_at,
    )


@router.post(
    "/orgs/{org_id}/applications",
    status_code=201,
    responses=problems(
        RealNameRequired,
        InvitationUnknown,
        InvitationExpired,
        InvitationUsedUp,
        AlreadyCertified,
        ApplicationOpen,
        WouldCloseCircle,
    ),
)
async def create_application(scope: Writer, body: ApplicationCreate, db: WriteDb) -> ApplicationOut:
    """Apply for this org, with an invitation, to be certified under the org that invited."""
    return await operations.create_application(db, scope, body)


@router.get("/orgs/{org_id}/applications")
async def list_applications(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    state: Annotated[CertificationState | None, Query(description="Only this state.")] = None,
) -> Page[ReceivedApplicationOut]:
    """The applications made to this org, newest first; `pending` ones wait for a decision."""
    return await queries.list_received_applications(db, scope.org_id, state, paging)


@router.get("/orgs/{org_id}/applications/{application_id}")
async def read_application(scope: Reader, application_id: UUID, db: ReadDb) -> ReceivedApplicationOut:
    """An application made to this org; the inbox names it."""
    return await queries.get_received_application(db, scope.org_id, application_id)


@router.delete("/orgs/{org_id}/applications/{application_id}", status_code=204, responses=problems(ApplicationDecided))
async def withdraw_application(scope: Writer, application_id: UUID, db: WriteDb) -> None:
    """Withdraw this org's own application while it waits."""
    await operations.withdraw_application(db, scope, application_id)


@router.put(
    "/orgs/{org_id}/applications/{application_id}/approval",
    responses=problems(ApplicationDecided, AlreadyCertified, SiblingNameTaken, WouldCloseCircle),
)
async def approve_application(scope: Writer, application_id: UUID, db: WriteDb) -> ApplicationOut:
    """Certify the applicant under this org."""
    return await operations.approve_application(db, scope, application_id)


@router.put("/orgs/{org_id}/applications/{application_id}/refusal", responses=problems(ApplicationDecided))
async def refuse_application(scope: Writer, application_id: UUID, body: RefusalCreate, db: WriteDb) -> ApplicationOut:
    """Refuse the applicant, with a reason that its admins read."""
    return await operations.refuse_application(db, scope, application_id, body.reason)


@router.get("/orgs/{org_id}/certifications")
async def list_certifications(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    since: Annotated[Instant | None, Query(description="Only what still held or waited then or later.")] = None,
    until: Annotated[Instant | None, Query(description="Only what was applied for before then.")] = None,
) -> Page[CertificationOut]:
    """The certifications that this org has, had or applied for, newest first, each with its time range."""
    return await queries.list_certifications(db, scope.org_id, paging, queries.TimeRange(since, until))


@router.get("/orgs/{org_id}/subordinates")
async def list_subordinates(
    scope: Annotated[OrgScope, Can(Permission.SUBORDINATES_READ)],
    db: ReadDb,
    paging: Annotated[Paging, paged_by(str, UUID)],
) -> Page[SubordinateOut]:
    """The orgs certified directly under this one, by name."""
    return await queries.list_subordinates(db, scope.org_id, paging)


@router.get("/orgs/{org_id}/superiors")
async def list_superiors(scope: Annotated[OrgScope, Can(Permission.ORG_READ)], db: ReadDb) -> list[SuperiorOut]:
    """The chain above this org, the direct superior first."""
    return await queries.list_superiors(db, scope.org_id)


def invitation_out(request: Request, cipher: Cipher, row: InvitationRow) -> InvitationOut:
    token = cipher.decrypt_text(row.token_cipher, row.id)
    return InvitationOut(
        id=row.id,
        token=token,
        link=f"{SETTINGS.of(request).public_url}/phone/join?invitation={token}",
        expires_at=row.expires_at,
        max_uses=row.max_uses,
        uses=row.uses,
        revoked_at=row.revoked_at,
        created_at=row.created_at,
    )
