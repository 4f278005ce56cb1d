"""The calls around verifications that are not a user's own: the methods, and the providers' notifications."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import PlainTextResponse

from app.auth.errors import BadSignature, IdentityUnavailable
from app.auth.verification.methods import list_methods
from app.auth.verification.online import check_notified
from app.auth.verification.schemas import VerificationMethodOut
from app.authz.access import Public, build_actor
from app.core.cipher import CipherDep
from app.database.db import ENGINE, TransactionalRoute
from app.database.paging import ItemList
from app.identity.provider import IDENTITY, BadNotification, IdentityFailed
from app.web.errors import BodyTooLarge, NotFound, problems

MAX_NOTIFICATION_BYTES = 64 * 1024

router = APIRouter(route_class=TransactionalRoute, tags=["me"], dependencies=[Public])


@router.get("/v1/verification-methods", summary="Ways to verify a real name")
async def list_verification_methods(request: Request) -> ItemList[VerificationMethodOut]:
    """List the values that `method` can have where a person proves their real name, the one to offer first at the
    beginning. Read it before you show the choice: it depends on the installation.

    The call changes nothing.
    """
    return ItemList(items=list_methods(request))


# Not a TransactionalRoute: the provider is called between two transactions.
notifications_router = APIRouter(tags=["me"], dependencies=[Public])


@notifications_router.post(
    "/v1/verifications/{method}/notifications",
    summary="A provider notifies of a result",
    max_body_size=MAX_NOTIFICATION_BYTES,
    response_class=PlainTextResponse,
    responses=problems(NotFound, BadSignature, IdentityUnavailable, BodyTooLarge),
    openapi_extra={
        "requestBody": {
            "description": "As the provider's protocol says.",
            "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
        }
    },
)
async def notify(
    request: Request,
    cipher: CipherDep,
    method: Annotated[str, Path(pattern="^[a-z][a-z0-9-]{1,39}$", description="The provider's method.")],
) -> PlainTextResponse:
    """A provider says that a verification has a result. Only providers make this call; one without the provider's
    signature is refused. What it says decides nothing: the service asks the provider for the result.

    A notification that arrives twice counts once. Where the provider cannot be asked, the answer is 503, and it is to
    notify again.
    """
    providers = IDENTITY.get(request)
    if method not in providers:
        raise NotFound
    try:
        await check_notified(
            ENGINE.get(request), cipher, providers, build_actor(request), method, request.headers, await request.body()
        )
    except BadNotification:
        raise BadSignature from None
    except IdentityFailed:
        raise IdentityUnavailable from None
    return PlainTextResponse("success")
