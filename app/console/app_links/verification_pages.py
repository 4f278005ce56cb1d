"""The addresses by which a person goes to the provider that proves their real name, and comes back, in any browser.

Coming back proves nothing: the service asks the provider for the result.
"""

from fastapi import APIRouter, Request, Response

from app.auth.verification.online import AttemptState, check_returned, open_attempt
from app.authz.access import Public, build_actor
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_page
from app.core.app_links import VERIFIED_PATH, VERIFY_PATH
from app.core.cipher import CipherDep
from app.core.services import SETTINGS
from app.database.db import ENGINE
from app.identity.provider import IDENTITY, IdentityFailed

router = APIRouter(route_class=ConsoleRoute, include_in_schema=False, dependencies=[Public])


UNAVAILABLE = "unavailable"


class VerificationPage(Context, template="app_links/verification.html"):
    """`state`: what has become of the attempt (AttemptState), or that the provider has not answered (UNAVAILABLE).
    `repeated` and `code` repeat the call."""

    state: str
    repeated: str = ""
    code: str = ""

    def get_status(self) -> int:
        return 503 if self.state == UNAVAILABLE else 200


@router.get(VERIFY_PATH)
async def begin(request: Request, cipher: CipherDep) -> Response:
    """Send the person on to the provider. A program that opens the address before them only begins the attempt."""
    code = request.query_params.get("code", "")
    try:
        found = await open_attempt(ENGINE.get(request), cipher, IDENTITY.get(request), SETTINGS.get(request), code)
    except IdentityFailed:
        return render_page(request, VerificationPage(state=UNAVAILABLE, repeated=VERIFY_PATH, code=code))
    if found is None:
        return render_page(request, VerificationPage(state=AttemptState.ENDED))
    headers = {"Location": found, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(status_code=303, headers=headers)


@router.get(VERIFIED_PATH)
async def come_back(request: Request, cipher: CipherDep) -> Response:
    """Ask for the result and show it."""
    code = request.query_params.get("code", "")
    providers, actor = IDENTITY.get(request), build_actor(request)
    try:
        state = await check_returned(ENGINE.get(request), cipher, providers, actor, code)
    except IdentityFailed:
        return render_page(request, VerificationPage(state=UNAVAILABLE, repeated=VERIFIED_PATH, code=code))
    return render_page(request, VerificationPage(state=state, repeated=VERIFIED_PATH, code=code))
