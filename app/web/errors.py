"""Errors as facts, and their one mapping to RFC 9457 problem details.

An error is a class named after the fact (`PhoneExists`). It has a status, a stable `type` slug, a title and advice. The
title and the advice are messages, translated into the caller's language. Routers declare their errors with
`problems(…)`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from app.core.database_errors import get_sqlstate, is_temporary
from app.core.i18n import get_locale, gettext, gettext_in, gettext_noop
from app.core.logs import TRACE_ID
from app.core.services import SETTINGS
from app.web.field_errors import list_field_errors
from app.web.request_state import get_request_state

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RESOURCE_METADATA = "/.well-known/oauth-protected-resource/v1"
"""Where the API describes itself to a client without a token (RFC 9728)."""


class Problem(Exception):
    """One kind of error. `extra` becomes extension members of the problem (RFC 9457 §3.2); `extension` is their
    model."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    advice: ClassVar[str]
    extension: ClassVar[type[BaseModel] | None] = None

    def __init__(self, *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(self.slug)
        self.headers = dict(headers or {})
        self.extra = extra


class BadRequest(Problem):
    status, slug = 400, "bad-request"
    title = gettext_noop("提交的内容无法识别")
    advice = gettext_noop("请检查请求内容是否为 UTF-8 编码的 JSON。")


class HeaderName(BaseModel):
    """Extension members: the header that is repeated."""

    header: str = Field(description="The name of the header, in lower case.", examples=["content-type"])


class RepeatedHeader(BadRequest):
    """400: a header that may occur once is sent twice. Two programs on the way could each use another of the two
    values."""

    slug, extension = "repeated-header", HeaderName
    title = gettext_noop("请求头重复")
    advice = gettext_noop("header 所示的请求头只能出现一次。")


class Unauthorized(Problem):
    status, slug = 401, "unauthorized"
    title = gettext_noop("请先登录")
    advice = gettext_noop("请携带有效的访问令牌；令牌过期请刷新。")

    def __init__(self, **extra: Any) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"}, **extra)


class Forbidden(Problem):
    status, slug = 403, "forbidden"
    title = gettext_noop("没有此操作的权限")
    advice = gettext_noop("请联系本组织的主管理员。")


class NotFound(Problem):
    status, slug = 404, "not-found"
    title = gettext_noop("未找到")
    advice = gettext_noop("请核对地址；您可能无权查看。")


class MethodNotAllowed(Problem):
    status, slug = 405, "method-not-allowed"
    title = gettext_noop("不支持此操作方式")
    advice = gettext_noop("请查看接口文档中该地址支持的方法。")


class Conflict(Problem):
    status, slug = 409, "conflict"
    title = gettext_noop("与现有数据冲突")
    advice = gettext_noop("请刷新后重试。")


class BodyTooLarge(Problem):
    status, slug = 413, "body-too-large"
    title = gettext_noop("提交的内容过大")
    advice = gettext_noop("请分批提交。")


class UnsupportedMediaType(Problem):
    status, slug = 415, "unsupported-media-type"
    title = gettext_noop("不支持的内容格式")
    advice = gettext_noop("请使用文档所示的 Content-Type。")


class Invalid(Problem):
    """422: the body or a parameter does not have the declared shape. `errors` names places, never values."""

    status, slug = 422, "invalid"
    title = gettext_noop("提交的内容不符合要求")
    advice = gettext_noop("请按 errors 中的提示修改。")


class TooManyRequests(Problem):
    status, slug = 429, "too-many-requests"
    title = gettext_noop("操作过于频繁")
    advice = gettext_noop("请稍后再试。")

    def __init__(self, retry_after: int = 60, **extra: Any) -> None:
        super().__init__(headers={"Retry-After": str(max(1, retry_after))}, **extra)


class ServerError(Problem):
    status, slug = 500, "server-error"
    title = gettext_noop("服务器内部错误")
    advice = gettext_noop("请稍后再试，并提供请求编号。")


class Unavailable(Problem):
    status, slug = 503, "unavailable"
    title = gettext_noop("服务暂不可用")
    advice = gettext_noop("请稍后再试。")

    def __init__(self, retry_after: int = 2, **extra: Any) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)}, **extra)


class FieldError(BaseModel):
    pointer: str = Field(description="JSON pointer into the body (RFC 6901), or `query/…`, `path/…`, `header/…`.")
    code: str = Field(description="Stable code of what is wrong there.")
    detail: str = Field(description="What is wrong, without the value that was sent.")


class ProblemOut(BaseModel):
    """An error as RFC 9457 gives it. `type` is stable: program against it, show `title` and `detail`."""

    type: str = Field(description="Stable slug, relative to the documentation.", examples=["/problems/not-found"])
    title: str = Field(description="What is wrong, in the language of Accept-Language (zh or en).")
    status: int
    detail: str | None = Field(default=None, description="What to do about it.")
    request_id: str | None = Field(default=None, description="Quote this when asking for help.")
    trace_id: str | None = Field(default=None, description="The trace (W3C Trace Context), where traces are on.")
    errors: list[FieldError] | None = Field(default=None, description="422 only: the places to correct.")


def problems(*kinds: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses=` of a route that raises these errors.

    The errors of one status share an entry. Each has its example and its title in both languages.
    """
    declared: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        entry = declared.setdefault(
            kind.status,
            {"description": "", "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA, "examples": {}}}},
        )
        slugs = entry["content"][MEDIA_TYPE]["examples"]
        slugs[kind.slug] = {"summary": f"{kind.title} · {gettext_in('en', kind.title)}", "value": _build_example(kind)}
    for entry in declared.values():
        entry["description"] = describe_problems(entry["content"][MEDIA_TYPE]["examples"])
    return declared


def describe_problems(examples: Mapping[str, Any]) -> str:
    """Return the description of a response: each possible problem, its meaning, and the remedy."""
    problems = {slug: shown["value"] for slug, shown in examples.items()}
    return "\n".join(f"- `{slug}`: {problem['title']}. {problem['detail']}" for slug, problem in problems.items())


PROBLEM_SCHEMA = {"$ref": "#/components/schemas/ProblemOut"}


def _build_example(kind: type[Problem]) -> dict[str, Any]:
    """Return the example of a problem, with those extension members that have an example of their own."""
    fields = kind.extension.model_fields if kind.extension is not None else {}
    return {
        "type": f"/problems/{kind.slug}",
        "title": gettext_in("en", kind.title),
        "status": kind.status,
        "detail": gettext_in("en", kind.advice),
        **{field.alias or name: field.examples[0] for name, field in fields.items() if field.examples},
    }


_REFUSALS = {401, 403, 404, 429}


def record_refusal(request: Request, problem: Problem) -> None:
    """Store the reason of a refusal (401, 403, 404 or 429) in the state of the request. The audit counts it later
    (`app.audit_log.refusals`)."""
    if problem.status in _REFUSALS:
        get_request_state(request).refusal = problem.slug


def build_problem_response(request: Request, problem: Problem) -> JSONResponse:
    """Return a problem as a response. Return it from a route instead of raising, if the transaction must commit.

    A 401 names the metadata of the API, with which a client finds out where tokens come from (RFC 9728 §5.1).
    """
    record_refusal(request, problem)
    body = describe_problem(problem, get_request_state(request).request_id, TRACE_ID.get())
    headers = problem.headers | {"Content-Language": get_locale()}
    if problem.status == 401:
        metadata = f'resource_metadata="{SETTINGS.get(request).issuer}{RESOURCE_METADATA}"'
        challenge = headers["WWW-Authenticate"]
        headers["WWW-Authenticate"] = f"{challenge}, {metadata}" if " " in challenge else f"{challenge} {metadata}"
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


def describe_problem(problem: Problem, request_id: str | None, trace_id: str | None = None) -> dict[str, Any]:
    """Return the members of the problem document (RFC 9457 §3), in the current language."""
    body: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": gettext(problem.title),
        "status": problem.status,
        "detail": gettext(problem.advice),
        "request_id": request_id,
        "trace_id": trace_id,
        **problem.extra,
    }
    return {name: value for name, value in body.items() if value is not None}


_BY_STATUS: dict[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        NotFound,
        MethodNotAllowed,
        BodyTooLarge,
        UnsupportedMediaType,
        Conflict,
        Forbidden,
    )
}


def build_problem(error: Exception) -> Problem:
    """Return the problem for an exception. Unexpected exceptions are logged without their text, which may quote
    data."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return BadRequest()
        if isinstance(error.body, bytes):  # FastAPI parses only bodies whose Content-Type is JSON
            return UnsupportedMediaType()
        return Invalid(errors=list_field_errors(error))
    if isinstance(error, HTTPException):
        problem = getattr(error, "problem", None)
        if isinstance(problem, Problem):  # a `BodyProblem`
            return problem
        kind = _BY_STATUS.get(error.status_code)
        if kind is None:
            return ServerError() if error.status_code >= 500 else BadRequest()
        return kind(headers=error.headers)
    if is_temporary(error):
        log.warning("database_unavailable", sqlstate=get_sqlstate(error), error=type(error).__name__)
        return Unavailable()
    # The statement and its parameters contain personal data: only the state and the class are logged.
    state = get_sqlstate(error)
    if state is not None:
        log.error("database_error", sqlstate=state, error=type(error).__name__, exc_info=_remove_text(error))
    else:
        log.error("unexpected_error", error=type(error).__name__, exc_info=_remove_text(error))
    return ServerError()


_DATABASE_ERRORS = (
    DBAPIError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    PoolTimeout,
    OSError,
)
"""The classes to which a temporary error can belong. Starlette raises an error of any other class again after the
answer."""


def install_error_handler(app: FastAPI) -> None:
    """Register the handler that answers every error of the service as a problem."""

    async def on_error(request: Request, error: Exception) -> Response:
        return build_problem_response(request, build_problem(error))

    for kind in (Problem, RequestValidationError, HTTPException, *_DATABASE_ERRORS, Exception):
        app.add_exception_handler(kind, on_error)


def _remove_text(error: Exception) -> Exception:
    """Return the error with its traceback and without its text, which may quote data."""
    hidden: Exception = type("Hidden" + type(error).__name__, (Exception,), {})()
    return hidden.with_traceback(error.__traceback__)
