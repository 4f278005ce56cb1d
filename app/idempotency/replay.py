"""`Idempotency-Key`: a POST that is repeated with its key gets the stored answer and has no second effect.

Every POST of a signed-in user supports the header (`app.authz.access` calls `replay_or_claim`). The same key with the
same body gets the stored answer; another body is a 422; a first call that is still running is a 409. The answer is
stored encrypted, in the transaction of the write, so it is stored only if the write commits: a refused call can be
repeated. The script of the pages sends a key with each form, so that a form that is sent twice is one act.
"""

import hashlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Request, Response
from pydantic import StringConstraints, TypeAdapter, ValidationError
from sqlalchemy import LargeBinary, bindparam, insert, select, text
from starlette.datastructures import UploadFile

from app.core.cipher import CIPHER
from app.core.i18n import gettext, gettext_noop
from app.database.db import get_write_db
from app.schema.idempotency import IdempotencyKey
from app.web.errors import Conflict, Invalid, Problem
from app.web.forms import read_form
from app.web.request_state import get_request_state

HEADER = "Idempotency-Key"
_STORED_HEADERS = {"etag", "location", "hx-redirect", "hx-refresh", "hx-reswap", "hx-retarget", "hx-trigger"}
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


class StoredAnswer(Exception):  # noqa: N818 — ends the request in a dependency with the stored answer
    """A request is answered with `response`, the stored answer."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


# The function tries the lock `IDEMPOTENCY_KEY` and then reads the answer in a second statement, which sees the commit
# of an earlier request with the key.
_CLAIM = text("SELECT * FROM claim_idempotency_key(:digest)").bindparams(bindparam("digest", type_=LargeBinary))
_HEADERS = select(IdempotencyKey.headers).where(IdempotencyKey.digest == bindparam("digest"))
_STORE = insert(IdempotencyKey)


async def replay_or_claim(request: Request, user_id: UUID) -> None:
    """Answer with the stored answer, or lock the key until this transaction ends and store the answer at commit.

    Does nothing without the header or for another method. Raises Invalid, KeyInUse, KeyReused.
    """
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
    request_hash = await _hash_request(request)
    db = await get_write_db(request)
    found = (await db.execute(_CLAIM, {"digest": digest})).one()
    if not found.free:
        raise KeyInUse
    cipher = CIPHER.of(request)
    if found.status is not None:
        if found.request_hash != request_hash:
            raise KeyReused
        body = cipher.decrypt(found.body_cipher, digest.hex())
        stored_headers: dict[str, str] = (await db.execute(_HEADERS, {"digest": digest})).scalar_one()
        headers = stored_headers | {"Idempotent-Replayed": "true"}
        raise StoredAnswer(Response(body, found.status, headers, found.media_type))

    async def store(response: Response) -> None:
        if response.status_code >= 400:  # a refusal that commits its trace
            return
        encrypted = cipher.encrypt(bytes(response.body), digest.hex())
        row: dict[str, Any] = {
            "digest": digest,
            "request_hash": request_hash,
            "status": response.status_code,
            "media_type": response.headers.get("content-type"),
            "headers": {name: value for name, value in response.headers.items() if name in _STORED_HEADERS},
            "body_cipher": encrypted,
        }
        await db.execute(_STORE, row)

    get_request_state(request).before_commit.append(store)


async def _hash_request(request: Request) -> bytes:
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        for name, value in (await read_form(request)).multi_items():
            digest.update(f"\n{name}=".encode())
            if isinstance(value, UploadFile):
                digest.update(f"{value.filename}\n".encode("utf-8", "replace"))
                await value.seek(0)
                while chunk := await value.read(1 << 20):
                    digest.update(chunk)
                await value.seek(0)
            else:
                digest.update(value.encode("utf-8", "replace"))
    else:
        digest.update(await request.body())
    return digest.digest()


def install_replay_handler(app: FastAPI) -> None:
    """Register the handler that answers with a stored answer."""

    async def on_stored_answer(_: Request, stored: Exception) -> Response:
        assert isinstance(stored, StoredAnswer)
        return stored.response

    app.add_exception_handler(StoredAnswer, on_stored_answer)
