"""Calls about account recoveries."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from app.auth.errors import (
    AlreadyVerified,
    CodeRefused,
    IsOperator,
    MethodNotOffered,
    PhoneTaken,
    PictureRefused,
    RecoveryEnded,
    RecoveryOpen,
    VerificationOpen,
)
from app.auth.recoveries import queries
from app.auth.recoveries.recoveries import request_lost_account, request_phone_change, stop_recovery
from app.auth.recoveries.schemas import AccountRecoveryCreate, AccountRecoveryOut, PhoneChangeRecoveryCreate
from app.auth.verification.methods import build_redirect_url, require_method
from app.auth.verification.schemas import MAX_PROOF_BYTES
from app.authz.access import AsOwner, SignedIn
from app.authz.errors import RealNameRequired
from app.core.cipher import CipherDep
from app.database.db import ReadDb, TransactionalRoute, WriteDb
from app.database.paging import Page, Paging, paged_by
from app.web.errors import NotFound, TooManyRequests, build_problem_response, problems
from app.web.locations import set_location

router = APIRouter(prefix="/v1/me/account-recoveries", route_class=TransactionalRoute, tags=["me"])

RecoveryId = Annotated[UUID, Path(description="The recovery.")]


@router.post(
    "",
    status_code=201,
    summary="Get my account back by my real name",
    max_body_size=MAX_PROOF_BYTES,
    response_model=AccountRecoveryOut,
    responses=problems(
        RealNameRequired,
        AlreadyVerified,
        CodeRefused,
        IsOperator,
        RecoveryOpen,
        VerificationOpen,
        PhoneTaken,
        TooManyRequests,
        MethodNotOffered,
        PictureRefused,
    ),
)
async def create_account_recovery(
    request: Request, response: Response, db: WriteDb, cipher: CipherDep, scope: AsOwner, body: AccountRecoveryCreate
) -> AccountRecoveryOut | JSONResponse:
    """Call this for a person who no longer has the phone of their account. They prove their real name again: at a
    provider such as Alipay (open `redirect_url`) or by ID card, which an operator reviews. Then 72 hours pass. The
    account's present phone gets an SMS and each of its sessions a message, and each of them can stop the recovery.
    After that the account gets the new phone, and all of its sessions end.

    - `phone-change`: the person is still signed in to their account. Prove the new phone with a code first (`POST
      /v1/me/phone-codes`).
    - `lost-phone`: the person has lost access. They sign in with the new phone, which begins a new account, and call
      this there. The former account gets the phone of the new one. **The new account is closed then**, and its points
      stay with it.

    Read the recovery until its `state` is `done`. One recovery of a caller and of an account waits at a time. For seven
    days after the change the former phone can take the account back through an operator.
    """
    require_method(request, body.proof)
    if isinstance(body, PhoneChangeRecoveryCreate):
        made = await request_phone_change(db, cipher, scope, phone=body.phone, given=body.given, proof=body.proof)
        if isinstance(made, CodeRefused):
            return build_problem_response(request, made)
    else:
        made = await request_lost_account(db, cipher, scope, body.proof)
    recovery, reference = made
    set_location(response, f"{router.prefix}/{recovery.id}")
    return recovery.model_copy(update={"redirect_url": build_redirect_url(request, reference)})


@router.get("", summary="Recoveries of my account")
async def list_account_recoveries(
    db: ReadDb, scope: SignedIn, paging: Annotated[Paging, paged_by(UUID)]
) -> Page[AccountRecoveryOut]:
    """List the recoveries that the caller requested and those of the caller's account, the newest first. The call
    changes nothing."""
    return await queries.list_recoveries(db, scope, paging)


@router.get("/{recovery_id}", summary="One recovery of my account", responses=problems(NotFound))
async def read_account_recovery(db: ReadDb, scope: SignedIn, recovery_id: RecoveryId) -> AccountRecoveryOut:
    """Read this until the recovery ends. `proving`: the name is not proved yet. `waiting`: it takes effect at
    `effective_at`, and can be stopped. `done`, `refused`, `stopped` and `expired` are final.

    The call changes nothing.
    """
    return await queries.get_recovery(db, scope, recovery_id)


@router.put(
    "/{recovery_id}/stop",
    status_code=204,
    summary="Stop a recovery of my account",
    responses=problems(NotFound, RecoveryEnded),
)
async def put_account_recovery_stop(db: WriteDb, scope: AsOwner, recovery_id: RecoveryId) -> None:
    """Stop a recovery before it takes effect: one that the caller requested, or one of the caller's account that the
    caller did not request. The account keeps its phone. The SMS to that phone has a link that does the same.

    A recovery that is stopped already stays as it is.
    """
    await stop_recovery(db, scope, recovery_id)
