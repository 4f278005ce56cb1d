"""Where one is signed in, and one's security keys (S16): sessions ended, keys registered, named, proved, removed."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from app.auth.accounts.queries import get_me, list_sessions
from app.auth.security_keys.keys import (
    KeyAnswer,
    RelyingParty,
    check_key,
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
    SecurityKeyUpdate,
)
from app.auth.sessions import end_session, end_sessions
from app.authz.access import SignedIn, UserScope
from app.console.frame.confirmations import Confirmation, confirmed
from app.console.frame.forms import Form, PageForm, checked, fields_of, is_typed
from app.console.frame.route import ConsoleRoute
from app.console.frame.standing import at_home
from app.console.frame.templates import page
from app.core.cipher import CipherDep
from app.core.i18n import gettext
from app.core.phones import mask
from app.core.services import SETTINGS
from app.database.db import Readable, ReadableDb, ReadDb, WriteDb
from app.database.paging import Paging
from app.web.errors import Invalid, NotFound, Problem

router = APIRouter(prefix="/console/security", route_class=ConsoleRoute, include_in_schema=False)

KeyId = Annotated[UUID, Path()]
HOME = "/console/security"
_ALL = Paging(200, None)


@router.get("")
async def show_security(request: Request, db: ReadDb, scope: SignedIn) -> Response:
    """My sessions and my keys."""
    return await _show(request, db, scope, None)


@confirmed(router, "/sessions/end-others")
async def end_others(request: Request, db: ReadableDb, scope: SignedIn) -> Confirmation:
    """Signs all other devices out, one's own name having been typed."""
    return Confirmation(
        title=gettext("退出其他所有设备"),
        says=gettext(
            "除当前设备外，手机和电脑上的登录都立即失效，未提交的内容会丢失；再次使用须重新扫码或输入验证码。"
        ),
        button=gettext("全部退出"),
        act=lambda db, _: end_sessions(
            db, scope.actor, scope.user_id, reason="signed-out", except_session=scope.session_id
        ),
        said=gettext("其他设备都已退出登录"),
        name=scope.verified_name or gettext("全部退出"),
    )


@confirmed(router, "/sessions/{session_id}/end")
async def end_one(
    request: Request, db: ReadableDb, scope: SignedIn, session_id: Annotated[UUID, Path()]
) -> Confirmation:
    """Signs one device out, its name having been typed; it may be this one."""
    one = next((one for one in (await list_sessions(db, scope, _ALL)).items if one.id == session_id), None)
    if one is None:
        raise NotFound
    here, device = session_id == scope.session_id, one.device or gettext("未知设备")
    return Confirmation(
        title=gettext("退出登录：{device}", device=device),
        says=gettext("这是您正在使用的设备；再次使用须重新扫码。")
        if here
        else gettext("该设备上的登录立即失效；再次使用须重新扫码或输入验证码。"),
        button=gettext("退出登录"),
        act=lambda db, _: end_session(db, scope.actor, session_id, reason="signed-out", of_user=scope.user_id),
        said=gettext("已退出登录"),
        name=device,
        leads_to=ConsoleRoute.home if here else None,
    )


@router.post("/challenges")
async def begin_challenge(
    request: Request, db: WriteDb, cipher: CipherDep, scope: SignedIn, form: PageForm
) -> Response:
    """What the browser asks the key, as its own script wants it."""
    body = checked(SecurityKeyChallengeCreate, form)
    if isinstance(body, ValidationError):
        raise Invalid
    me = await get_me(db, cipher, scope)
    challenge = await make_challenge(db, scope, _party(request), body.purpose, mask(me.phone))
    return JSONResponse({"id": str(challenge.id), "options": challenge.options})


@router.post("/keys")
async def add_key(request: Request, db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Registers the key that answered."""
    body = checked(SecurityKeyCreate, _answer_in(form, "name", "enrolment_code"))
    if isinstance(body, ValidationError):
        unnamed = "new" if "name" in fields_of(body) else ""
        return await _show(request, db, scope, None if unnamed else Invalid(), form, unnamed=unnamed)
    answer = KeyAnswer(body.challenge_id, body.credential.model_dump())
    made = await register_key(db, scope, _party(request), answer, name=body.name, enrolment_code=body.enrolment_code)
    return await _show(request, db, scope, made, form) if isinstance(made, Problem) else _back()


@router.post("/check")
async def prove_key(request: Request, db: WriteDb, scope: SignedIn, form: PageForm) -> Response:
    """Proves a key in this session, and goes on to the page that needed it."""
    back = form.get("back", "")
    back = back if back.startswith("/console/") and back.isascii() and "\\" not in back else HOME
    body = checked(SecurityKeyCheckPut, _answer_in(form))
    outcome: Any = Invalid()
    if not isinstance(body, ValidationError):
        outcome = await check_key(
            db, scope, _party(request), KeyAnswer(body.challenge_id, body.credential.model_dump())
        )
    if isinstance(outcome, Problem):
        return page(request, "frame/step_up.html", outcome.status, back=back, problem=outcome)
    return Response(status_code=303, headers={"Location": back})


@router.post("/keys/{key_id}/name")
async def name_key(request: Request, db: WriteDb, scope: SignedIn, key_id: KeyId, form: PageForm) -> Response:
    """Gives a key another name."""
    body = checked(SecurityKeyUpdate, {"name": form.get("name", "")})
    if isinstance(body, ValidationError):
        return await _show(request, db, scope, None, form, unnamed=str(key_id))
    await rename_key(db, scope, key_id, body.name)
    return _back()


@router.post("/keys/{key_id}/removal")
async def forget_key(request: Request, db: WriteDb, scope: SignedIn, key_id: KeyId, form: PageForm) -> Response:
    """Removes a key, its name having been typed, where one was proved a short while ago."""
    keys = (await list_security_keys(db, scope, _ALL)).items
    if any(key.id == key_id and not is_typed(key.name, form) for key in keys):
        return await _show(request, db, scope, None, form, misnamed=key_id)
    await remove_key(db, scope, key_id)
    return _back()


def _party(request: Request) -> RelyingParty:
    return RelyingParty.of(SETTINGS.of(request).issuer)


def _answer_in(form: Form, *names: str) -> dict[str, Any]:
    """What the key answered, as the page's script wrote it into the form."""
    try:
        credential = orjson.loads(form.get("credential", ""))
    except orjson.JSONDecodeError:
        credential = None
    return {"challenge_id": form.get("challenge_id", ""), "credential": credential, **form.given(*names)}


def _back() -> Response:
    return Response(status_code=303, headers={"Location": HOME})


async def _show(
    request: Request,
    db: Readable,
    scope: UserScope,
    problem: Problem | None,
    form: Mapping[str, str] = MappingProxyType({}),
    *,
    misnamed: UUID | None = None,
    unnamed: str = "",
) -> Response:
    """`misnamed` is the key whose name was typed wrong to remove it; `unnamed` the one whose new name is none."""
    shown = {
        **at_home(scope, "security"),
        "sessions": (await list_sessions(db, scope, _ALL)).items,
        "keys": (await list_security_keys(db, scope, _ALL)).items,
        "problem": problem,
        "form": form,
        "misnamed": misnamed,
        "unnamed": unnamed,
    }
    return page(
        request, "account/security.html", problem.status if problem else 422 if misnamed or unnamed else 200, **shown
    )
