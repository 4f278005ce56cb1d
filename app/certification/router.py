"""Invitations, applications, certifications and the hierarchy around an org, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import RealNameRequired
from app.authz.permissions import Permission
from app.certification import application_decisions, operations, queries
from app.certification.errors import (
    AlreadyCertified,
    ApplicationDecided,
    ApplicationOpen,
    InvitationExpired,
    InvitationUnknown,
    InvitationUsedUp,
    WouldCloseCircle,
)
from app.certification.invitation_links import build_invitation_out
from app.certification.schemas import (
    ApplicationApprovals,
    ApplicationCreate,
    ApplicationCreated,
    ApplicationDecisionsCreate,
    ApplicationDecisionsOut,
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
from app.core.cipher import CipherDep
from app.core.qr import draw_svg
from app.core.services import SETTINGS
from app.core.text import Token
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import ItemList, Page, Paging, paged_by
from app.orgs.errors import SiblingNameTaken
from app.orgs.names import Kind
from app.orgs.regions import format_region_path
from app.schema.approvals import CertificationState
from app.web.errors import problems
from app.web.locations import set_location
from app.web.schemas import Instant

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["certification"])

Reader = Annotated[OrgScope, Can(Permission.CERTIFICATION_READ)]
Writer = Annotated[OrgScope, Can(Permission.CERTIFICATION_WRITE)]
InvitationProblems = problems(InvitationUnknown, InvitationExpired, InvitationUsedUp)


@router.post("/orgs/{org_id}/invitations", summary="Invite subordinates", status_code=201)
async def create_invitation(
    request: Request, response: Response, scope: Writer, body: InvitationCreate, db: WriteDb, cipher: CipherDep
) -> InvitationOut:
    """The superior creates a link and a QR code with which other orgs apply to be certified under it. The invitation
    has a time at which it expires, and a number of uses.

    The invitation alone certifies no org. Give the link or the picture (`…/qr.svg`) to the admins of the other orgs:
    they apply with it, and an admin of this org decides.
    """
    row = await operations.create_invitation(db, cipher, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/invitations/{row.id}")
    return build_invitation_out(row, cipher, SETTINGS.get(request).issuer)


@router.get("/orgs/{org_id}/invitations", summary="List invitations to subordinates")
async def list_invitations(
    request: Request, scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[InvitationOut]:
    """List the invitations of the org, the newest first, with the number of times that each was used. The call changes
    nothing."""
    found, address = await queries.list_invitations(db, scope.org_id, paging), SETTINGS.get(request).issuer
    return Page[InvitationOut].from_slice(found.map(lambda row: build_invitation_out(row, cipher, address)))


@router.get("/orgs/{org_id}/invitations/{invitation_id}", summary="Read an invitation of the org")
async def read_own_invitation(
    request: Request, scope: Reader, invitation_id: UUID, db: ReadDb, cipher: CipherDep
) -> InvitationOut:
    """Read one invitation of the org, with its link and the number of times that it was used. The call changes
    nothing."""
    row = await queries.get_invitation(db, scope.org_id, invitation_id)
    return build_invitation_out(row, cipher, SETTINGS.get(request).issuer)


@router.get(
    "/orgs/{org_id}/invitations/{invitation_id}/qr.svg",
    summary="QR code of an invitation",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "The QR code of the invitation's link."}},
)
async def draw_invitation(
    request: Request, scope: Reader, invitation_id: UUID, db: ReadDb, cipher: CipherDep
) -> Response:
    """Get the invitation as a picture of its QR code, to be shown or printed. The QR code contains the same address as
    the link. The call changes nothing."""
    row = await queries.get_invitation(db, scope.org_id, invitation_id)
    picture = await draw_svg(build_invitation_out(row, cipher, SETTINGS.get(request).issuer).link)
    return Response(picture, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.delete("/orgs/{org_id}/invitations/{invitation_id}", summary="Revoke an invitation", status_code=204)
async def revoke_invitation(scope: Writer, invitation_id: UUID, db: WriteDb) -> None:
    """Revoke an invitation: no org can apply with it from now on. Applications that were made with it stay pending."""
    await operations.revoke_invitation(db, scope, invitation_id)


@router.get("/invitations/{token}", summary="Read an invitation", responses=InvitationProblems)
async def read_invitation(
    _: SignedIn, token: Annotated[Token, Path(description="The token of an invitation's link.")], db: ReadDb
) -> InvitationCard:
    """Read which org invites, before applying with the token of its link. The call changes nothing, and does
    not count as a use of the invitation.

    If it has expired or was revoked, ask the superior for a new invitation.
    """
    row = await queries.get_live_invitation(db, token)
    return InvitationCard(
        org_id=row.org_id,
        org_name=row.org_name,
        org_kind=Kind(row.org_kind),
        org_region=format_region_path(row.region_code),
        expires_at=row.expires_at,
    )


@router.post(
    "/orgs/{org_id}/applications",
    summary="Apply for certification",
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
async def create_application(
    scope: Writer, body: ApplicationCreate, db: WriteDb, response: Response
) -> ApplicationCreated:
    """An admin applies, with the token of an invitation, to have this org certified under the org that invites. The
    admin's real name must be verified. The application waits until the superior decides.

    An org has at most one superior: if this org already has one, request a transfer instead. An org cannot be under
    itself. The same person may administer both orgs. The answer has advice if the superior is of a lower level, or an
    org of people outside the party.
    """
    application = await operations.create_application(db, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/certifications/{application.id}")
    return application


@router.get("/orgs/{org_id}/applications", summary="List applications")
async def list_applications(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    state: Annotated[CertificationState | None, Query(description="Only this state.")] = None,
) -> Page[ReceivedApplicationOut]:
    """List the applications that this org has received from other orgs, the newest first. Those with the state
    `pending` wait for a decision. The call changes nothing."""
    return await queries.list_received_applications(db, scope.org, state, paging)


@router.get("/orgs/{org_id}/applications/{application_id}", summary="Read an application")
async def read_application(scope: Reader, application_id: UUID, db: ReadDb) -> ReceivedApplicationOut:
    """Read one application that this org has received, with the card of the applicant org and the admin who applies on
    its behalf. The item in the inbox contains the path of this call in `href`. The call changes nothing."""
    return await queries.get_received_application(db, scope.org, application_id)


@router.delete(
    "/orgs/{org_id}/applications/{application_id}",
    summary="Withdraw an application",
    status_code=204,
    responses=problems(ApplicationDecided),
)
async def withdraw_application(scope: Writer, application_id: UUID, db: WriteDb) -> None:
    """The org withdraws its own application while the application is pending. The org remains without a superior and
    can apply again."""
    await operations.withdraw_application(db, scope, application_id)


@router.put(
    "/orgs/{org_id}/applications/{application_id}/approval",
    summary="Approve an application",
    responses=problems(ApplicationDecided, AlreadyCertified, SiblingNameTaken, WouldCloseCircle),
)
async def approve_application(scope: Writer, application_id: UUID, db: WriteDb) -> ApplicationOut:
    """The superior certifies the org. From now on the org is a direct subordinate, and from today it counts in the
    totals of the superior.

    If another subordinate has the same name (409 `sibling-name-taken`), rename one of the two first.
    """
    return await operations.approve_application(db, scope, application_id)


@router.put(
    "/orgs/{org_id}/applications/{application_id}/refusal",
    summary="Refuse an application",
    responses=problems(ApplicationDecided),
)
async def refuse_application(scope: Writer, application_id: UUID, body: RefusalCreate, db: WriteDb) -> ApplicationOut:
    """The superior refuses an application, with a reason that the admins of the applicant can read. Nothing changes,
    and the applicant can apply again."""
    return await operations.refuse_application(db, scope, application_id, body.reason)


@router.post("/orgs/{org_id}/application-decisions", summary="Decide several applications")
async def decide_applications(scope: Writer, body: ApplicationDecisionsCreate, db: WriteDb) -> ApplicationDecisionsOut:
    """The superior approves up to 200 applications with one call, or refuses them, all with one reason. Each one is
    decided as by the call for one: the answer says of each what has become of it, with the problem of the single call
    where it could not be decided. The others take effect. Of two applicants of one name the first is certified.

    All that take effect do so in one transaction. Applications that this org has decided in the same way before are
    unchanged and have no problem, so the call can be repeated.
    """
    if isinstance(body, ApplicationApprovals):
        outcomes = await application_decisions.approve_applications(db, scope, body.application_ids)
    else:
        outcomes = await application_decisions.refuse_applications(db, scope, body.application_ids, body.reason)
    return await application_decisions.describe_outcomes(db, scope, outcomes)


@router.get("/orgs/{org_id}/certifications", summary="List certifications")
async def list_certifications(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    since: Annotated[Instant | None, Query(description="Only those live or pending at this time or later.")] = None,
    until: Annotated[Instant | None, Query(description="Only those requested before this time.")] = None,
) -> Page[CertificationOut]:
    """List all certifications that this org has, had or has applied for, the newest first, each with the times between
    which it was live. The call changes nothing."""
    return await queries.list_certifications(db, scope.org_id, paging, queries.TimeRange(since, until))


@router.get("/orgs/{org_id}/certifications/{certification_id}", summary="Read a certification")
async def read_certification(scope: Reader, certification_id: UUID, db: ReadDb) -> CertificationOut:
    """Read one certification of this org under a superior, or its application while the application is pending. Both
    have the same id. The call changes nothing."""
    return await queries.get_certification(db, scope.org_id, certification_id)


@router.get("/orgs/{org_id}/subordinates", summary="List subordinates")
async def list_subordinates(
    scope: Annotated[OrgScope, Can(Permission.SUBORDINATES_READ)],
    db: ReadDb,
    paging: Annotated[Paging, paged_by(str, UUID)],
) -> Page[SubordinateOut]:
    """List the orgs that are certified directly under this one, by name. For their figures read `GET
    …/reports/subordinates`. The call changes nothing."""
    return await queries.list_subordinates(db, scope.org_id, paging)


@router.get("/orgs/{org_id}/superiors", summary="List superiors")
async def list_superiors(scope: Annotated[OrgScope, Can(Permission.ORG_READ)], db: ReadDb) -> ItemList[SuperiorOut]:
    """List all orgs above this one, the direct superior first. The list is empty for an org without a superior. The
    call changes nothing."""
    return ItemList(items=await queries.list_superiors(db, scope.org_id))
