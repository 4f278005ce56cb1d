"""The QR code of the sign-in page and its device code, which the page's script never sees.

The device code is encrypted in a cookie whose path contains the user code, so two tabs can wait for two scans.
"""

import base64
import binascii

from fastapi import Request, Response
from markupsafe import Markup

from app.auth.device_flow.authorizations import StartedAuthorization, start_device_authorization
from app.auth.devices import describe_device
from app.auth.oauth.protocol import get_public_client
from app.authz.access import build_actor
from app.authz.cookies import is_secure
from app.console.frame.templates import Context, render_page
from app.core.app_links import build_scan_link
from app.core.cipher import CIPHER, Undecryptable
from app.core.qr import draw_svg
from app.core.services import SETTINGS
from app.database.db import ENGINE
from app.web.errors import NotFound

CLIENT = "xuezu-console"
WAIT_COOKIE = "xuezu-console-wait"
PATH = "/console/sign-in"


class SignInCard(Context, template="sign_in/sign_in_card.html"):
    """A code in one of its states. `renews`: the page requests the next code by itself when this one has expired."""

    state: str
    user_code: str
    renewals: int = 0
    renews: bool = False
    qr: Markup | None = None
    match_number: int | None = None
    scanner: str | None = None


class SignInPage(SignInCard, template="sign_in/sign_in.html"):
    """The sign-in page with its first code. `supported`: the console supports the browser."""

    supported: bool


async def show_sign_in_page(request: Request) -> Response:
    """Start a device authorization and show the sign-in page. The device code goes into the cookie."""
    started, qr = await _start_authorization(request)
    page = SignInPage(state="pending", user_code=started.user_code, qr=qr, supported=_is_supported(request))
    return _store_device_code(request, render_page(request, page), started)


async def show_new_code(request: Request, *, renewals: int) -> Response:
    """Start a device authorization and show its QR code. The device code goes into the cookie."""
    started, qr = await _start_authorization(request)
    card = SignInCard(state="pending", user_code=started.user_code, qr=qr, renewals=renewals)
    return _store_device_code(request, render_page(request, card), started)


async def _start_authorization(request: Request) -> tuple[StartedAuthorization, Markup]:
    """Start a device authorization, and draw its QR code."""
    async with ENGINE.get(request).begin() as db:
        client = await get_public_client(db, CLIENT)
        actor = build_actor(request, client_id=client.id)
        started = await start_device_authorization(db, actor, client, describe_device(request))
    picture = await draw_svg(build_scan_link(SETTINGS.get(request).issuer, started.scan_code))
    return started, Markup(picture.decode())  # noqa: S704 — the service drew it


def build_wait_cookie_name(request: Request) -> str:
    # The prefix `__Host-` requires the path `/`, but this cookie has a path of its own.
    return f"__Secure-{WAIT_COOKIE}" if is_secure(request) else WAIT_COOKIE


def _store_device_code(request: Request, response: Response, started: StartedAuthorization) -> Response:
    cipher = CIPHER.get(request)
    encrypted = cipher.encrypt(started.device_code, f"{WAIT_COOKIE} {started.user_code}")
    response.set_cookie(
        build_wait_cookie_name(request),
        base64.urlsafe_b64encode(encrypted).decode(),
        max_age=started.expires_in + 60,
        path=f"{PATH}/{started.user_code}",
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )
    return response


def get_device_code(request: Request, user_code: str) -> str:
    cipher = CIPHER.get(request)
    try:
        encrypted = base64.urlsafe_b64decode(request.cookies.get(build_wait_cookie_name(request), ""))
        return cipher.decrypt_text(encrypted, f"{WAIT_COOKIE} {user_code}")
    except (binascii.Error, ValueError, IndexError, Undecryptable):
        raise NotFound from None


def _is_supported(request: Request) -> bool:
    """Return whether the console supports the browser: every one except Internet Explorer."""
    agent = request.headers.get("user-agent", "")
    return "MSIE" not in agent and "Trident/" not in agent
