"""The calls by which providers of SMS say what has become of messages."""

import hmac
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request

from app.auth.errors import BadSignature
from app.authz.access import Public
from app.core.services import SETTINGS
from app.database.db import TransactionalRoute, WriteDb
from app.sms.providers.http_hook import is_hook_signed
from app.sms.receipts import (
    UnreadableReceipts,
    count_receipts,
    read_aliyun_receipts,
    read_hook_receipts,
    read_tencent_receipts,
)
from app.web.errors import BadRequest, NotFound, problems
from app.web.schemas import Out

router = APIRouter(prefix="/v1/sms-receipts", route_class=TransactionalRoute, tags=["sign-in"], dependencies=[Public])
_LIST = {"type": "array", "items": {"type": "object"}}


def _describe(example: Mapping[str, object]) -> dict[str, Any]:
    content = {"application/json": {"schema": _LIST, "example": [example]}}
    return {"requestBody": {"description": "As the provider's protocol says.", "content": content}}


class ReceiptsTakenOut(Out):
    """The answer that both providers expect: `code` for Alibaba Cloud, `result` for Tencent Cloud."""

    code: int = 0
    result: int = 0
    errmsg: str = "OK"


@router.post(
    "/hook",
    summary="Receipts of a gateway of one's own",
    responses=problems(BadRequest, BadSignature),
    openapi_extra=_describe({"template": "sign-in", "delivered": True}),
)
async def add_hook_receipts(request: Request, db: WriteDb) -> ReceiptsTakenOut:
    """The gateway of the operator's own says what has become of messages, signed as the service signs its calls
    (Standard Webhooks, with the same secret). Only counts are stored.
    """
    body = await request.body()
    if not is_hook_signed(request.headers, body):
        raise BadSignature
    try:
        await count_receipts(db, "hook", read_hook_receipts(body))
    except UnreadableReceipts:
        raise BadRequest from None
    return ReceiptsTakenOut()


@router.post(
    "/{provider}/{secret}",
    summary="Receipts of a provider of SMS",
    responses=problems(BadRequest, NotFound),
    openapi_extra=_describe({"out_id": "sign-in", "success": True, "err_code": "DELIVERED"}),
)
async def add_receipts(
    request: Request,
    db: WriteDb,
    provider: Annotated[Literal["aliyun", "tencent"], Path(description="The provider that calls.")],
    secret: Annotated[str, Path(max_length=200, description="The secret that the operator has set for receipts.")],
) -> ReceiptsTakenOut:
    """Alibaba Cloud or Tencent Cloud says what has become of messages. Their protocols have no signature, so the
    address has a secret. Only counts are stored: no phone, no message.
    """
    expected = SETTINGS.get(request).sms_receipt_secret
    if expected is None or not hmac.compare_digest(expected.get_secret_value().encode(), secret.encode()):
        raise NotFound
    read = read_aliyun_receipts if provider == "aliyun" else read_tencent_receipts
    try:
        await count_receipts(db, provider, read(await request.body()))
    except UnreadableReceipts:
        raise BadRequest from None
    return ReceiptsTakenOut()
