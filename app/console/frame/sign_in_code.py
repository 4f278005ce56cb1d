"""The code on offer at the sign-in page, and its secret, which never reaches the page's script.

It lies sealed in a cookie for the path of its own code, so that two tabs wait for two scans.
"""

import base64
import binascii

from fastapi import Request, Response
from markupsafe import Markup

from app.auth.device_flow.authorizations import StartedAuthorization, start_device_authorization
from app.auth.device_flow.router import build_scan_uri
from app.auth.devices import describe_device
from app.auth.oauth.protocol import get_public_client
from app.authz.access import build_actor
from app.authz.cookies import is_secure
from app.console.frame.templates import page
from app.core.cipher import CIPHER, Undecryptable
from app.core.qr import draw_svg
from app.core.services import SETTINGS
from app.database.db import ENGINE
from app.web.errors import NotFound

CLIENT = "xuezu-console"
WAIT = "xuezu-console-wait"
PATH = "/console/sign-in"


async def offer_code(request: Request, template: str, *, renewals: int) -> Response:
    """A new code to scan, shown; its secret in the cookie."""
    async with ENGINE.of(request).begin() as db:
        client = await get_public_client(db, CLIENT)
        actor = build_actor(request, client_id=client.id)
        started = await start_device_authorization(db, actor, client, describe_device(request))
    picture = await draw_svg(build_scan_uri(SETTINGS.of(request).issuer, started.user_code))
    shown = {
        "state": "pending",
        "user_code": started.user_code,
        "qr": Markup(picture.decode()),  # noqa: S704 — drawn here
        "renewals": renewals,
        "supported": _is_supported(request),
    }
    response = page(request, template, **shown)
    _keep_secret(request, response, started)
    return response


def wait_name(request: Request) -> str:
    # Not `__Host-`: it holds for the path of its own code alone.
    return f"__Secure-{WAIT}" if is_secure(request) else WAIT


def _keep_secret(request: Request, response: Response, started: StartedAuthorization) -> None:
    cipher = CIPHER.of(request)
    sealed = cipher.encrypt(started.device_code, f"{WAIT} {started.user_code}")
    response.set_cookie(
        wait_name(request),
        base64.urlsafe_b64encode(sealed).decode(),
        max_age=started.expires_in + 60,
        path=f"{PATH}/{started.user_code}",
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )


def secret_of(request: Request, user_code: str) -> str:
    cipher = CIPHER.of(request)
    try:
        sealed = base64.urlsafe_b64decode(request.cookies.get(wait_name(request), ""))
        return cipher.decrypt_text(sealed, f"{WAIT} {user_code}")
    except (binascii.Error, ValueError, IndexError, Undecryptable):
        raise NotFound from None


def _is_supported(request: Request) -> bool:
    """Whether the browser is one that the console works in: none of Internet Explorer's."""
    agent = request.headers.get("user-agent", "")
    return "MSIE" not in agent and "Trident/" not in agent
