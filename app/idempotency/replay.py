"""`Idempotency-Key`: a POST that is repeated with its key gets the stored answer and has no second effect.

Every POST of a signed-in user supports the header (`app.authz.access` calls `replay_or_claim`, after it has authorized
the caller anew). The same key with the same request gets the stored answer, with its status, headers and body; another
request is a 422; a first call that is still running is a 409. Two bodies in JSON are the same if their values are. The
answer is stored encrypted, in the transaction of the write, so it is stored only if the write commits: a refused call
can be repeated. The script of the pages sends a key with each form: one that is sent twice is one act.

Nothing that discloses a phone or a secret is stored. A route says so with a decorator below its own:

- `@never_replayed` for a call that only discloses: its repeat is decided and audited as a call of its own.
- `@without_stored_answer` for a call that makes a secret: its repeat is refused (409) and audited, since a second
  secret would be a second effect.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl
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
_STORED_HEADERS = {
    *("cache-control", "content-disposition", "content-language", "etag", "location"),
    *("hx-redirect", "hx-refresh", "hx-reswap", "hx-retarget", "hx-trigger"),
}
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


class AnswerNotStored(Conflict):
    """409: a call with this key has succeeded. Its answer contained a secret, which is shown only once and is not
    stored."""

    slug = "answer-not-stored"
    title = gettext_noop("该请求已完成，其结果不再显示")
    advice = gettext_noop("含密钥的结果只显示一次；如未收到，请撤销后用新的键重新申请。")


Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_NEVER_REPLAYED: set[Callable[..., Any]] = set()
_WITHOUT_ANSWER: set[Callable[..., Any]] = set()


def never_replayed(endpoint: Endpoint) -> Endpoint:
    """Mark a route whose answers are never stored: every call is decided and audited, even with an Idempotency-Key."""
    _NEVER_REPLAYED.add(endpoint)
    return endpoint


def without_stored_answer(endpoint: Endpoint) -> Endpoint:
    """Mark a route whose answer has a secret. A repeat with the key of a done call raises AnswerNotStored."""
    _WITHOUT_ANSWER.add(endpoint)
    return endpoint


def stores_no_answer(endpoint: Callable[..., Any] | None) -> bool:
    """Return whether a repeat of this route raises AnswerNotStored."""
    return endpoint in _WITHOUT_ANSWER


class StoredAnswer(Exception):
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

    Does nothing without the header, for another method, and for a route that is never replayed. Raises Invalid,
    KeyInUse, KeyReused, AnswerNotStored.
    """
    endpoint = request.scope.get("endpoint")
    if request.method != "POST" or endpoint in _NEVER_REPLAYED:
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
    cipher = CIPHER.get(request)
    if found.status is not None:
        if found.request_hash != request_hash:
            raise KeyReused
        if endpoint in _WITHOUT_ANSWER:
            get_request_state(request).refusal = AnswerNotStored.slug  # the audit log counts it
            raise AnswerNotStored
        body = cipher.decrypt(found.body_cipher, digest.hex())
        stored_headers: dict[str, str] = (await db.execute(_HEADERS, {"digest": digest})).scalar_one()
        headers = stored_headers | {"Idempotent-Replayed": "true"}
        raise StoredAnswer(Response(body, found.status, headers, found.media_type))

    async def store(response: Response) -> None:
        if response.status_code >= 400:  # a refusal that commits its trace
            return
        answer = b"" if endpoint in _WITHOUT_ANSWER else bytes(response.body)
        encrypted = cipher.encrypt(answer, digest.hex())
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
    """Return a hash of what the request says: its address, and the value of its body."""
    query = json.dumps(sorted(parse_qsl(request.url.query, keep_blank_values=True, errors="replace")))
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{query}\n".encode())
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
    elif body := await request.body():
        # A body that FastAPI has parsed is JSON.
        parsed = await request.json() if hasattr(request, "_json") else None
        canonical = None if parsed is None else json.dumps(parsed, sort_keys=True, separators=(",", ":"))
        digest.update(body if canonical is None else canonical.encode())
    return digest.digest()


def install_replay_handler(app: FastAPI) -> None:
    """Register the handler that answers with a stored answer."""

    async def on_stored_answer(_: Request, stored: Exception) -> Response:
        assert isinstance(stored, StoredAnswer)
        return stored.response

    app.add_exception_handler(StoredAnswer, on_stored_answer)
