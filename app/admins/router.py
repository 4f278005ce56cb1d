"""Who administers an org, over HTTP (S4, S11)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.admins import operations, queries
from app.admins.errors import (
    AdminInvitationDecided,
    AdminInvitationExpired,
    AdminInvitationOpen,
    AlreadyAdmin,
    AlreadyMainAdmin,
    InviteeNameDiffers,
    MainAdminStays,
    RecoveryOfferStale,
    UnknownMember,
)
from app.admins.invitees import Invitee
from app.admins.schemas import AdminInvitationOut, AdminOut, AdminshipOut, ReceivedAdminInvitationOut
from app.authz.access import Can, OrgScope, SignedIn
from app.authz.errors import OrgClosed, RealNameRequired
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import ItemList, Page, Paging, paged_by
from app.members.errors import MemberWithoutPhone, PhoneOfAnotherMember
from app.orgs.advice import build_advice, list_level_advice
from app.orgs.errors import PartyMemberRequired
from app.web.errors import Problem, build_problem_response, problems
from app.web.locations import set_location

router = APIRouter(prefix="/v1", route_class=TransactionalRoute, tags=["admins"])

Reader = Annotated[OrgScope, Can(Permission.ADMINS_READ)]
MainAdmin = Annotated[OrgScope, Can(Permission.ADMINS_WRITE)]
Resigning = Annotated[OrgScope, Can(Permission.ADMINS_RESIGN)]


@router.get("/orgs/{org_id}/admins", summary="List the admins")
async def list_admins(scope: Reader, db: ReadDb) -> ItemList[AdminOut]:
    """List the admins of the org, the main admin first. Only admins of the org can read this list. The call changes
    nothing."""
    return ItemList(items=await queries.list_admins(db, scope.org_id))


@router.delete(
    "/orgs/{org_id}/admins/me", summary="Resign as an admin", status_code=204, responses=problems(MainAdminStays)
)
async def resign(scope: Resigning, db: WriteDb) -> None:
    """The caller resigns as an admin of the org. The caller remains a member and has no rights of an admin from the
    next call on.

    The main admin is refused (409 `main-admin-stays`): hand the office over first, with `POST …/change-requests`.
    """
    await operations.resign(db, scope)


@router.delete(
    "/orgs/{org_id}/admins/{user_id}", summary="Remove an admin", status_code=204, responses=problems(MainAdminStays)
)
async def remove_admin(scope: MainAdmin, user_id: UUID, db: WriteDb) -> None:
    """The main admin removes another admin. The person remains a member and has no rights of an admin from the next
    call on.

    The main admin cannot be removed. If the main admin is no longer available, another admin requests a recovery with
    `POST …/change-requests`.
    """
    await operations.remove_admin(db, scope, user_id)


@router.post(
    "/orgs/{org_id}/admin-invitations",
    summary="Invite an admin",
    status_code=201,
    responses=problems(UnknownMember, MemberWithoutPhone, AlreadyAdmin, AdminInvitationOpen),
)
async def create_admin_invitation(
    scope: MainAdmin, body: Invitee, db: WriteDb, cipher: CipherDep, response: Response
) -> AdminInvitationOut:
    """The main admin invites a person, by phone or by member row, to become an admin. The person finds the invitation
    in the inbox for 14 days. Nothing changes until the person accepts.

    An invitation of a member is for the account that the member row is linked to. If the row has no account, only a
    user with the member's name can accept. The answer is the same for every phone, so it reveals nothing about a
    stranger. The real name is checked when the person accepts.
    """
    invitation_id = await operations.invite_admin(db, cipher, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/admin-invitations/{invitation_id}")
    return await queries.get_admin_invitation(db, cipher, scope.org_id, invitation_id)


@router.get("/orgs/{org_id}/admin-invitations", summary="List the invitations to admins")
async def list_admin_invitations(
    scope: Reader, db: ReadDb, cipher: CipherDep, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[AdminInvitationOut]:
    """List the admin invitations that this org has sent, the newest first, with their states. The call changes
    nothing."""
    return await queries.list_admin_invitations(db, cipher, scope.org_id, paging)


@router.get("/orgs/{org_id}/admin-invitations/{invitation_id}", summary="Read an invitation that was sent")
async def read_sent_admin_invitation(
    scope: Reader, invitation_id: UUID, db: ReadDb, cipher: CipherDep
) -> AdminInvitationOut:
    """Read one admin invitation that this org has sent. While its state is `pending`, the org can withdraw it. The call
    changes nothing."""
    return await queries.get_admin_invitation(db, cipher, scope.org_id, invitation_id)


@router.delete(
    "/orgs/{org_id}/admin-invitations/{invitation_id}",
    summary="Withdraw an invitation",
    status_code=204,
    responses=problems(AdminInvitationDecided, AdminInvitationExpired),
)
async def withdraw_admin_invitation(scope: MainAdmin, invitation_id: UUID, db: WriteDb) -> None:
    """Withdraw an invitation while it is pending; the person can no longer accept it. The present main admin also
    objects in this way to the offer of a recovery.

    An invitation that is decided or has expired cannot be withdrawn. If the person has accepted, remove the admin.
    """
    await operations.withdraw_admin_invitation(db, scope, invitation_id)


@router.get("/me/admin-invitations/{invitation_id}", summary="Read an invitation addressed to me")
async def read_admin_invitation(user: SignedIn, invitation_id: UUID, db: ReadDb) -> ReceivedAdminInvitationOut:
    """Read an invitation as the invited person: which org invites, and whether the invitation is a recovery. The item
    in the inbox contains the path of this call in `href`.

    The call changes nothing. Next, accept or refuse.
    """
    return await queries.get_received_admin_invitation(db, user.user_id, invitation_id)


@router.put(
    "/me/admin-invitations/{invitation_id}/acceptance",
    summary="Accept an invitation to be an admin",
    response_model=AdminshipOut,
    responses=problems(
        RealNameRequired,
        PartyMemberRequired,
        OrgClosed,
        AdminInvitationDecided,
        AdminInvitationExpired,
        AlreadyAdmin,
        AlreadyMainAdmin,
        InviteeNameDiffers,
        PhoneOfAnotherMember,
        RecoveryOfferStale,
    ),
)
async def accept_admin_invitation(
    request: Request, user: SignedIn, invitation_id: UUID, db: WriteDb, cipher: CipherDep
) -> AdminshipOut | JSONResponse:
    """The caller becomes an admin of the org that invites. If the caller has no row in the directory of the org, the
    row is created. A recovery makes the caller the main admin.

    The caller's real name must be verified, and in an org of the party the caller must have declared membership of the
    party. If the name in the invited member's row differs from the caller's, the invitation ends and the org is
    informed: its admins correct the name and send a new invitation.
    """
    org = await operations.accept_admin_invitation(db, cipher, user, invitation_id)
    if isinstance(org, Problem):
        return build_problem_response(request, org)
    advice = build_advice(await list_level_advice(db, user.user_id))
    return AdminshipOut(org_id=org.id, org_name=org.name, advice=advice)


@router.put(
    "/me/admin-invitations/{invitation_id}/refusal",
    summary="Refuse an invitation to be an admin",
    status_code=204,
    responses=problems(AdminInvitationDecided, AdminInvitationExpired),
)
async def refuse_admin_invitation(user: SignedIn, invitation_id: UUID, db: WriteDb) -> None:
    """The caller declines to become an admin. The invitation ends. The org learns only that the invitation was
    declined."""
    await operations.refuse_admin_invitation(db, user, invitation_id)
