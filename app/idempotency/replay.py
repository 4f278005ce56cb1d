"""`Idempotency-Key`: a POST that is sent again with its key gets the stored answer instead of a second effect.

Every signed-in POST honours the header (`app.authz.access` calls `replay_or_claim`): same key and same body give the
stored answer; another body is a 422; a first call still running is a 409. The answer is written in the transaction
of the write itself, encrypted, and only where it was committed: a refused call can simply be tried again.
"""

import hashlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Request, Response
from pydantic import StringConstraints, TypeAdapter, ValidationError
from sqlalchemy import LargeBinary, bindparam, insert, text
from starlette.datastructures import UploadFile

from app.core.cipher import CIPHER
from app.core.i18n import gettext, gettext_noop
from app.database.db import get_write_db
from app.schema.idempotency import IdempotencyKey
from app.web.errors import Conflict, Invalid, Problem
from app.web.forms import read_form
from app.web.request_state import get_request_state

HEADER = "Idempotency-Key"
_Key = TypeAdapter(Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")])


class KeyInUse(Conflict):
    slug = "idempotency-key-in-use"
    title = gettext_noop("相同请求正在处理")
    advice = gettext_noop("请稍后用相同的键重试。")

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class KeyReused(Problem):
    status, slug = 422, "idempotency-key-reused"
    title = gettext_noop("该键已用于另一请求")
    advice = gettext_noop("不同的请求请使用新的键。")


class _Answered(Exception):  # noqa: N818 — carries the stored answer out of the dependencies
    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


# The function tries the lock `IDEMPOTENCY_KEY`, and then looks for the answer in a statement of its own: it sees what a
# request with the key has committed.
_CLAIM = text("SELECT * FROM claim_idempotency_key(:digest)").bindparams(bindparam("digest", type_=LargeBinary))
_STORE = insert(IdempotencyKey)


async def replay_or_claim(request: Request, user_id: UUID) -> None:
    """Answer from the store, or claim the key until this transaction ends and store its answer at commit."""
    if request.method != "POST":
        return
    given = request.headers.get(HEADER)
    if given is None:
        return
    try:
        key = _Key.validate_python(given)
    except ValidationError:
        wrong = {
            "pointer": f"header/{HEADER}",
            "code": "pattern",
            "detail": gettext("须为 1 至 200 个可见的 ASCII 字符"),
        }
        raise Invalid(errors=[wrong]) from None
    digest = hashlib.sha256(f"user:{user_id}\n{key}".encode()).digest()
    asked = await _request_hash(request)
    db = await get_write_db(request)
    found = (await db.execute(_CLAIM, {"digest": digest})).one()
    if not found.free:
        raise KeyInUse
    cipher = CIPHER.of(request)
    if found.status is not None:
        if found.request_hash != asked:
            raise KeyReused
        body = cipher.decrypt(found.body_cipher, digest.hex())
        raise _Answered(Response(body, found.status, {"Idempotent-Replayed": "true"}, found.media_type))

    async def store(response: Response) -> None:
        if response.status_code >= 400:  # a refusal that left its trace
            return
        sealed = cipher.encrypt(bytes(response.body), digest.hex())
        row: dict[str, Any] = {
            "digest": digest,
            "request_hash": asked,
            "status": response.status_code,
            "media_type": response.headers.get("content-type"),
            "body_cipher": sealed,
        }
        await db.execute(_STORE, row)

    get_request_state(request).before_commit.append(store)


async def _request_hash(request: Request) -> bytes:
    seen = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        for name, value in (await read_form(request)).multi_items():
            seen.update(f"\n{name}=".encode())
            if isinstance(value, UploadFile):
                seen.update(f"{value.filename}\n".encode("utf-8", "replace"))
                await value.seek(0)
                while chunk := await value.read(1 << 20):
                    seen.update(chunk)
                await value.seek(0)
            else:
                seen.update(value.encode("utf-8", "replace"))
    else:
        seen.update(await request.body())
    return seen.digest()


def install_replay_handler(app: FastAPI) -> None:
    async def on_answered(_: Request, answered: Exception) -> Response:
        assert isinstance(answered, _Answered)
        return answered.response

    app.add_exception_handler(_Answered, on_answered)
