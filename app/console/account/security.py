"""Pages for the user's sessions and security keys (S16): end, register, rename, check, remove."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, BackgroundTasks, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError

from app.auth.accounts.accounts import get_phone
from app.auth.accounts.queries import get_me, get_session, list_sessions
from app.auth.accounts.schemas import SessionOut
from app.auth.operators.operators import is_operator
from app.auth.phone_codes.sms import send_notice
from app.auth.security_keys.keys import (
    KeyAnswer,
    RelyingParty,
    check_key,
    get_security_key,
    list_security_keys,
    make_challenge,
    register_key,
    remove_key,
    rename_key,
)
from app.auth.security_keys.schemas import (
    SecurityKeyChallengeCreate,
    SecurityKeyCheckPut,
    SecurityKeyCreate,
    SecurityKeyOut,
    SecurityKeyUpdate,
)
from app.auth.sessions import end_session, end_sessions
from app.authz.access import SignedIn, UserScope
from app.authz.errors import StepUpNeeded
from app.console.frame.confirmations import Confirmation, add_confirmation_routes
from app.console.frame.context import FrameContext, build_user_frame
from app.console.frame.forms import Form, PageForm, catch_problem, is_name_typed, list_wrong_fields, validate_fields
from app.console.frame.route import ConsoleRoute, KeyForm
from app.console.frame.templates import ProblemContext, render_page, render_part
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.core.phones import mask
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import CursorQuery, Page, Paging, read_paging
from app.sms.messages import Template
from app.web.errors import Invalid, Problem

router = APIRouter(prefix="/console/security", route_class=ConsoleRoute, include_in_schema=False)

KeyId = Annotated[UUID, Path()]
HOME = "/console/security"
_FIRST_PAGE = Paging(50, None)
_CURSOR: TypeAdapter[Any] = TypeAdapter(tuple[UUID])


class SecurityPage(FrameContext, ProblemContext, template="account/security.html"):
    """A page of the caller's sessions, and one of the keys.

    `only_key`: the caller has no other key than the shown one. `mistyped`: the key whose typed name is wrong.
    `unnamed`: the key whose new name is invalid; `new` for a new key.
    """

    sessions: Page[SessionOut]
    keys: Page[SecurityKeyOut]
    only_key: bool
    form: Mapping[str, str]
    mistyped: UUID | None
    unnamed: str
    needs_code: bool
    """Whether the first key needs an enrolment code, because the caller is a platform operator."""

    def get_status(self) -> int:
        if self.problem is not None:
            return 403 if self.problem.status == 401 else self.problem.status
        return 422 if self.mistyped or self.unnamed else 200


@router.get("")
async def show_security(
    request: Request,
    db: ReadDb,
    scope: SignedIn,
    cursor: CursorQuery = None,
    key_cursor: CursorQuery = None,
) -> Response:
    """Show the caller's sessions and security keys, fifty of each. `cursor` is for the sessions."""
    sessions, keys = (read_paging(_FIRST_PAGE.limit, given, _CURSOR) for given in (cursor, key_cursor))
    return await _show(request, db, scope, None, sessions=sessions, keys=keys)


@add_confirmation_routes(router, "/sessions/end-others")
async def confirm_end_of_other_sessions(request: Request, db: ReadableDb, scope: SignedIn) -> Confirmation:
    """End the caller's other sessions. The user types their own name to confirm."""
    return Confirmation(
        title=gettext("退出其他所有设备"),
        explanation=gettext(
            "除当前设备外，手机和电脑上的登录都立即失效，未提交的内容会丢失；再次使用须重新扫码或输入验证码。"
        ),
        button=gettext("全部退出"),
        operation=lambda db, _: end_sessions(
            db, scope.actor, scope.user_id, reason="signed-out", except_session=scope.session_id
        ),
        message=gettext("其他设备都已退出登录"),
        name=scope.verified_name or gettext("全部退出"),
    )


@add_confirmation_routes(router, "/sessions/{session_id}/end")
async def confirm_end_of_session(
    request: Request, db: ReadableDb, scope: SignedIn, session_id: Annotated[UUID, Path()]
) -> Confirmation:
    """End one session, which may be the current one. The user types the device's name to confirm."""
    session = await get_session(db, scope, session_id)
    here, device = session_id == scope.session_id, session.device or gettext("未知设备")
    return Confirmation(
        title=gettext("退出登录：{device}", device=device),
        explanation=gettext("这是您正在使用的设备；再次使用须重新扫码。")
        if here
        else gettext("该设备上的登录立即失效；再次使用须重新扫码或输入验证码。"),
        button=gettext("退出登录"),
        operation=lambda db, _: end_session(db, scope.actor, session_id, reason="signed-out", of_user=scope.user_id),
        message=gettext("已退出登录"),
        name=device,
        next_page=ConsoleRoute.home if here else None,
    )


@router.post("/challenges")
async def begin_challenge(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm
) -> Response:
    """Return a WebAuthn challenge as JSON for the page's script."""
    body = validate_fields(SecurityKeyChallengeCreate, form)
    if isinstance(body, ValidationError):
        raise Invalid
    me = await get_me(db, cipher, scope)
    challenge = await make_challenge(db, scope, _build_relying_party(request), body.purpose, mask(me.phone))
    return JSONResponse({"id": str(challenge.id), "options": challenge.options})


@router.post("/keys")
async def add_key(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm, tasks: BackgroundTasks
) -> Response:
    """Register the security key with which the browser answered the challenge."""
    body = validate_fields(SecurityKeyCreate, _parse_key_answer(form, "name", "enrolment_code"))
    if isinstance(body, ValidationError):
        unnamed = "new" if "name" in list_wrong_fields(body) else ""
        return await _show(request, db, scope, None if unnamed else Invalid(), form, unnamed=unnamed)
    answer = KeyAnswer(body.challenge_id, body.credential.model_dump())
    registration = register_key(
        db, scope, _build_relying_party(request), answer, name=body.name, enrolment_code=body.enrolment_code
    )
    created = await catch_problem(db, registration)
    if isinstance(created, StepUpNeeded):
        raise created
    if isinstance(created, Problem):
        return await _show(request, db, scope, created, form)
    send_notice(request, tasks, await get_phone(db, cipher, scope.user_id), Template.KEY_ADDED)
    return _redirect_home()


@router.post("/check")
async def check_key_for_page(request: Request, db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Check the answer of a security key for this session. The event `key-proved` makes the page's script repeat what
    needed the key."""
    body = validate_fields(SecurityKeyCheckPut, _parse_key_answer(form))
    outcome: Any = Invalid()
    if not isinstance(body, ValidationError):
        outcome = await check_key(
            db, scope, _build_relying_party(request), KeyAnswer(body.challenge_id, body.credential.model_dump())
        )
    if isinstance(outcome, Problem):
        return render_part(request, KeyForm(problem=outcome))
    return Response(status_code=204, headers={"HX-Trigger": "key-proved"})


@router.post("/keys/{key_id}/name")
async def name_key(request: Request, db: WriteDb, scope: SignedIn, key_id: KeyId, form: PageForm) -> Response:
    """Give a security key another name."""
    body = validate_fields(SecurityKeyUpdate, {"name": form.get("name", "")})
    if isinstance(body, ValidationError):
        return await _show(request, db, scope, None, form, unnamed=str(key_id))
    await rename_key(db, scope, key_id, body.name)
    return _redirect_home()


@router.post("/keys/{key_id}/removal")
async def delete_key(request: Request, db: WriteDb, scope: SignedIn, key_id: KeyId, form: PageForm) -> Response:
    """Remove a security key. The session must have proved a key recently. The user types the key's name to confirm."""
    if not is_name_typed((await get_security_key(db, scope, key_id)).name, form):
        return await _show(request, db, scope, None, form, mistyped=key_id)
    await remove_key(db, scope, key_id)
    return _redirect_home()


def _build_relying_party(request: Request) -> RelyingParty:
    return RelyingParty.from_issuer(SETTINGS.get(request).issuer)


def _parse_key_answer(form: Form, *names: str) -> dict[str, Any]:
    """Return the answer of the security key. The page's script has written it into the form as JSON."""
    try:
        credential = orjson.loads(form.get("credential", ""))
    except orjson.JSONDecodeError:
        credential = None
    return {"challenge_id": form.get("challenge_id", ""), "credential": credential, **form.get_filled(*names)}


def _redirect_home() -> Response:
    return Response(status_code=303, headers={"Location": HOME})


async def _show(
    request: Request,
    db: Readable,
    scope: UserScope,
    problem: Problem | None,
    form: Mapping[str, str] = MappingProxyType({}),
    *,
    mistyped: UUID | None = None,
    unnamed: str = "",
    sessions: Paging = _FIRST_PAGE,
    keys: Paging = _FIRST_PAGE,
) -> Response:
    found_keys = await list_security_keys(db, scope, keys)
    operates = await is_operator(db, scope.user_id)
    page = SecurityPage(
        frame=build_user_frame(scope, "security", is_operator=operates),
        sessions=await list_sessions(db, scope, sessions),
        keys=found_keys,
        only_key=keys.after is None and len(found_keys.items) == 1,
        problem=problem,
        form=form,
        mistyped=mistyped,
        unnamed=unnamed,
        needs_code=operates and keys.after is None and not found_keys.items,
    )
    return render_page(request, page)
