"""Routes of transfers of several people between orgs (S20)."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.authz.access import Can, OrgScope
from app.authz.errors import OrgClosed
from app.authz.permissions import Permission
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.members.group_transfers import operations, queries
from app.members.group_transfers.errors import (
    GroupTransferDecided,
    GroupTransferOpen,
    NameOrPhoneUnclear,
    NobodyCanTransfer,
    TooManyPeopleInSheet,
)
from app.members.group_transfers.schemas import (
    GroupTransferAcceptance,
    GroupTransferCreate,
    GroupTransferCreated,
    GroupTransferOut,
    GroupTransferPersonOut,
    GroupTransferPreviewOut,
    GroupTransferRefusal,
    PeopleSheetOut,
)
from app.members.group_transfers.sheets import MAX_SHEET_BYTES, match_sheet
from app.members.imports.errors import (
    EncodingUnknown,
    FileBomb,
    FileDamaged,
    FileEmpty,
    FileEncrypted,
    FileExhausting,
    FileHasDtd,
    FileRenamed,
    FileTypeUnknown,
    NoRows,
    NoSheet,
)
from app.members.imports.upload_form import read_file_form
from app.members.links.errors import UnknownOrg
from app.members.transfers.errors import SameOrg
from app.orgs.errors import UnknownUnit
from app.web.errors import BadRequest, BodyTooLarge, Invalid, Unavailable, UnsupportedMediaType, problems
from app.web.locations import set_location

router = APIRouter(prefix="/v1/orgs/{org_id}/group-transfers", route_class=TransactionalRoute, tags=["members"])

Reader = Annotated[OrgScope, Can(Permission.MEMBERS_READ)]
Writer = Annotated[OrgScope, Can(Permission.MEMBERS_WRITE)]


@router.post(
    "/previews", summary="Check whom another org could be asked to take", responses=problems(UnknownOrg, SameOrg)
)
async def preview_group_transfer(scope: Writer, body: GroupTransferCreate, db: WriteDb) -> GroupTransferPreviewOut:
    """Say who of the chosen people a request would name, and who not and why. The call changes nothing. Whether
    a person is in the other org already is not said."""
    return await operations.preview_group_transfer(db, scope, body)


@router.post(
    "/sheets",
    summary="Find the members whom a sheet names",
    max_body_size=MAX_SHEET_BYTES,
    responses=problems(
        BadRequest,
        BodyTooLarge,
        UnsupportedMediaType,
        Invalid,
        Unavailable,
        EncodingUnknown,
        FileBomb,
        FileDamaged,
        FileEmpty,
        FileEncrypted,
        FileExhausting,
        FileHasDtd,
        FileRenamed,
        FileTypeUnknown,
        NoRows,
        NoSheet,
        NameOrPhoneUnclear,
        TooManyPeopleInSheet,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {
                                "type": "string",
                                "format": "binary",
                                "description": "xlsx, xls, ods or csv (UTF-8 or GB18030) with a column of names and "
                                "one of phones, under `姓名` and `手机号码` or other usual words for them. Other "
                                "columns do not matter.",
                            }
                        },
                    }
                }
            },
        }
    },
)
async def match_people_sheet(request: Request, scope: Writer, db: WriteDb, cipher: CipherDep) -> PeopleSheetOut:
    """Get the `member_ids` of the people of this org whom a sheet names, for `POST …/group-transfers`. The call changes
    nothing, and the sheet is not stored. It may have up to 1,000 people and 5 MB.

    A row names a person if the directory has its phone with its name. A row of a sheet that the directory exported may
    have a masked phone: its number (`编号`) and its name count. `unmatched` has the other rows, each with its place in
    the sheet and the reasons.
    """
    return await match_sheet(db, cipher, scope, *await read_file_form(request))


@router.post(
    "",
    summary="Ask another org to take several members",
    status_code=201,
    responses=problems(UnknownOrg, SameOrg, NobodyCanTransfer, GroupTransferOpen),
)
async def create_group_transfer(
    scope: Writer, body: GroupTransferCreate, db: WriteDb, response: Response
) -> GroupTransferCreated:
    """An admin requests that another org take up to 1,000 people of this org. No person moves until an admin of the
    other org accepts, within 30 days. The other org sees the names.

    Who cannot be transferred is left out: an admin of this org, a person of whom another transfer waits, and a person
    outside the party where the other org takes party members only. The answer names them with the reason. One request
    can wait between two orgs at a time.
    """
    transfer_id, excluded = await operations.create_group_transfer(db, scope, body)
    set_location(response, f"/v1/orgs/{scope.org_id}/group-transfers/{transfer_id}")
    created = await queries.get_group_transfer(db, scope.org_id, transfer_id)
    return GroupTransferCreated(**created.model_dump(), excluded=excluded)


@router.get("", summary="List transfers of several members")
async def list_group_transfers(
    scope: Reader,
    db: ReadDb,
    paging: Annotated[Paging, paged_by(UUID)],
    direction: Annotated[Literal["out", "in"] | None, Query(description="Only those that leave, or that come.")] = None,
) -> Page[GroupTransferOut]:
    """List the transfers of several people out of this org and into it, the newest first. The list has waiting and
    finished transfers. The call changes nothing."""
    return await queries.list_group_transfers(db, scope.org_id, paging, direction)


@router.get("/{transfer_id}", summary="Read a transfer of several members")
async def read_group_transfer(scope: Reader, transfer_id: UUID, db: ReadDb) -> GroupTransferOut:
    """Read one transfer of several people, with its state. Only the two orgs can read it. The call changes nothing."""
    return await queries.get_group_transfer(db, scope.org_id, transfer_id)


@router.get("/{transfer_id}/people", summary="List the people of a transfer")
async def list_group_transfer_people(
    scope: Reader, transfer_id: UUID, db: ReadDb, paging: Annotated[Paging, paged_by(int)]
) -> Page[GroupTransferPersonOut]:
    """List the people whom the transfer names, in the order of the request. While it waits, `obstacle` says who could
    not be transferred now; afterwards, who was not. The call changes nothing."""
    return await queries.list_group_transfer_people(db, scope.org_id, transfer_id, paging)


@router.delete(
    "/{transfer_id}",
    summary="Withdraw a transfer of several members",
    status_code=204,
    responses=problems(GroupTransferDecided),
)
async def withdraw_group_transfer(scope: Writer, transfer_id: UUID, db: WriteDb) -> None:
    """The org that requested the transfer withdraws it while it waits. No person moves."""
    await operations.withdraw_group_transfer(db, scope, transfer_id)


@router.put(
    "/{transfer_id}/acceptance",
    summary="Accept several members from another org",
    responses=problems(GroupTransferDecided, NobodyCanTransfer, UnknownUnit, OrgClosed),
)
async def accept_group_transfer(
    scope: Writer,
    transfer_id: UUID,
    db: WriteDb,
    cipher: CipherDep,
    body: GroupTransferAcceptance | None = None,
) -> GroupTransferOut:
    """Take the people in, into the units that are named or at the org itself. In one transaction they leave the other
    org; their accounts and points stay, and past days keep the units of that time.

    Who cannot be transferred stays in the other org, and the others come: `…/people` says of each why. A person who is
    in this directory already is one of them. A repeated call changes nothing and gets the same answer.
    """
    units = body.unit_ids if body is not None else []
    await operations.accept_group_transfer(db, cipher, scope, transfer_id, units)
    return await queries.get_group_transfer(db, scope.org_id, transfer_id)


@router.put(
    "/{transfer_id}/refusal",
    summary="Refuse several members from another org",
    status_code=204,
    responses=problems(GroupTransferDecided),
)
async def refuse_group_transfer(scope: Writer, transfer_id: UUID, body: GroupTransferRefusal, db: WriteDb) -> None:
    """Refuse all of them, with a reason that the admins of the other org read. They stay where they are."""
    await operations.refuse_group_transfer(db, scope, transfer_id, body.reason)
