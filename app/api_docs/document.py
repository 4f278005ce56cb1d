"""The OpenAPI document as a manual: tags in the mission's words, every error declared, one shape of problem.

What every route of a kind can answer is added here by what the route is (signed in, with a body, a creating POST), so
that no route can forget it; what only some can answer is declared on the route with `errors.problems(…)`.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from app.api_docs.examples import write_examples
from app.api_docs.pages import arrange_pages
from app.api_docs.words import describe_parameters
from app.authz.access import admission_of
from app.authz.errors import OrgClosed, StepUpNeeded
from app.authz.permissions import AFTER_CLOSING
from app.core.services import SETTINGS
from app.idempotency.replay import HEADER, KeyInUse, KeyReused
from app.web import errors

INTRODUCTION = """\
学习组织的目录、认证与报表服务 — the directory, certification and reporting service for learning organisations.

**Sign in**: the app by phone code, the console and desktop clients by QR scan (RFC 8628), services by client
credentials; all at `POST /oauth/token`, discovered at `/.well-known/oauth-authorization-server`.

**Try the calls here** with a token, got in three calls (in development, where the SMS gateway is simulated):

1. `POST /v1/phone-codes` with a phone. `make demo` prints its first administrator's: the examples here are theirs.
2. `GET /v1/simulator/sms?phone=…` shows the code that the phone has received.
3. `POST /oauth/token` with `grant_type=urn:xuezu:params:oauth:grant-type:phone-code`, `client_id=xuezu-app`,
   `phone` and `code` gives an `access_token`: paste it under *Authorize*.

After `make demo` the examples run as they stand: they name what the newest demo has left. Reload the page for fresh
ones. A few need what is told only once (a code, an invitation's token), a file or a security key.

**Errors** are RFC 9457 problems (`application/problem+json`): program against `type`, show `title` and `detail`
(Chinese, or English by `Accept-Language`). The OAuth endpoints answer in OAuth's own form (RFC 6749 §5.2).

**Conventions**: ids are UUIDv7; times RFC 3339; a day is a day in Asia/Shanghai; lists take `limit` and an opaque
`cursor`; every signed-in POST honours `Idempotency-Key`; 429 and 503 carry `Retry-After`.
What you may not see answers 404, as what does not exist does.
"""

TAGS = [
    ("sign-in", "登录:手机验证码、扫码(RFC 8628)、令牌、服务接入。"),
    ("me", "我的账号、实名认证、会话。"),
    ("orgs", "学习组织与地区、命名检查。"),
    ("units", "组织内的党总支、党支部、部门。"),
    ("admins", "主管理员与管理员。"),
    ("certification", "邀请、申请、认证。"),
    ("members", "党员与学员、激活。"),
    ("imports", "批量导入。"),
    ("exports", "导出文件:进度、下载、删除;各自的导出请求在其所属功能下。"),
    ("points", "积分(只追加的流水)。"),
    ("reports", "概况、趋势与组内排名。"),
    ("audit", "谁在何时做了什么。"),
    ("operator", "平台管理员:实名审核、密钥恢复、停用、服务接入。"),
    ("simulators", "仅开发环境:短信与支付宝的测试提供方。"),
    ("health", "存活与就绪。"),
]


def describe(app: FastAPI) -> None:
    """Give the app its OpenAPI document, made once when first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
    development: bool = SETTINGS.of(app).development
    arrange_pages(app, development=development)


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=INTRODUCTION,
        routes=app.routes,
        tags=[{"name": name, "description": description} for name, description in TAGS],
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = errors.ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {}) | {"ProblemOut": problem}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, route in api_routes(app):
        if route.include_in_schema:
            for method in route.methods or ():
                _complete(document["paths"][path][method.lower()], path, route, method)
    return write_examples(document, {})


def api_routes(app: FastAPI) -> Iterator[tuple[str, RouteContext]]:
    """Every route of the API by its path, with what its routers add to it."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute) and route.path_format is not None:
            yield route.path_format, route


def _complete(operation: dict[str, Any], path: str, route: RouteContext, method: str) -> None:
    """Add to an operation what follows from the route's kind: its general errors and the idempotency header."""
    describe_parameters(operation)
    # FastAPI's own summary is the function's name with a capital on each word.
    if operation["summary"] == str(route.name).replace("_", " ").title():
        operation["summary"] = operation["summary"].capitalize()
    responses = operation["responses"]
    for ending, media_type in PICTURES.items():
        if path.endswith(ending):
            responses["200"]["content"] = {media_type: {}}
    for media_type, shown in responses.get("200", {}).get("content", {}).items():
        if media_type != "application/json":
            shown.setdefault("schema", {"type": "string"})
    # FastAPI declares its own 422 body; ours is a problem. OAuth endpoints declare all their answers themselves.
    had_invalid = responses.pop("422", None)
    if path.startswith(("/oauth/", "/.well-known/")):
        return
    admission = admission_of(route.dependant)
    kinds: list[type[errors.Problem]] = [errors.Unavailable]
    if admission is not None and admission.kind != "public":
        kinds += [errors.Unauthorized, errors.Forbidden]
    if admission is not None and admission.kind == "org" and admission.needs not in AFTER_CLOSING:
        kinds += [OrgClosed]
    if route.dependant.path_params or "{org_id}" in path:
        kinds += [errors.NotFound]
    if admission is not None and admission.kind in ("org", "operator"):
        kinds += [StepUpNeeded]
    if admission is not None and admission.kind in ("user", "org", "operator") and method == "POST":
        kinds += [KeyInUse, errors.Invalid, KeyReused]
        operation.setdefault("parameters", []).append(IDEMPOTENCY_PARAMETER)
    if route.body_field is not None:
        kinds += [errors.BadRequest, errors.BodyTooLarge, errors.UnsupportedMediaType]
    if had_invalid or route.body_field is not None:
        kinds += [errors.Invalid]
    if had_invalid and errors.MEDIA_TYPE in had_invalid.get("content", {}):
        responses["422"] = had_invalid
        had_invalid["content"].pop("application/json", None)
    for status, entry in errors.problems(*kinds).items():
        known = responses.setdefault(str(status), entry)
        if known is not entry:
            shown = known["content"].setdefault(errors.MEDIA_TYPE, {"schema": errors.PROBLEM_SCHEMA})
            more = entry["content"][errors.MEDIA_TYPE]["examples"]
            shown["examples"] = more | shown.get("examples", {})
            known["description"] = " / ".join(f"`{slug}`" for slug in shown["examples"])
    operation["responses"] = dict(sorted(responses.items()))


PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}
IDEMPOTENCY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "Sent again with the same key and body within a day, the call gives the stored answer.",
}
