"""The route of a page: known by its cookie, safe from other sites, never kept by a browser, refusing in pages.

What an API route answers with a problem, a page's route answers with a page that says the same: the sign-in where
nobody is signed in, a designed page for what is not there or not allowed, a notice where a part was asked for.
"""

from typing import ClassVar

from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from app.auth.sessions import touch_session
from app.authz.access import find_client_address
from app.authz.cookies import (
    accept_session_cookie,
    build_cookie_name,
    clear_session_cookie,
    find_cookie_session,
    is_renewal_due,
    set_session_cookie,
)
from app.authz.errors import ForeignOrigin, StepUpNeeded
from app.console.frame.formats import LANGUAGE
from app.console.frame.templates import is_partial, page
from app.core.i18n import as_locale, set_locale
from app.core.services import SETTINGS
from app.database.db import ENGINE, Handler, TransactionalRoute
from app.web.errors import Problem, Unauthorized, record_refusal, to_problem
from app.web.request_state import get_request_state

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SAFE = {"GET", "HEAD"}


class PageRoute(TransactionalRoute):
    """A page of one site: `cookie` names its session, `home` is its first page, `sign_in` shows its sign-in page."""

    cookie: ClassVar[str]
    home: ClassVar[str]

    @staticmethod
    async def sign_in(request: Request) -> Response:
        raise NotImplementedError

    @staticmethod
    async def step_up(request: Request) -> Response | None:
        """What asks for the security key; None where the site has no page for that."""
        return None

    def wrap_handler(self, handler: Handler) -> Handler:
        handler = super().wrap_handler(handler)

        async def answer(request: Request) -> Response:
            set_locale(as_locale(request.cookies.get(LANGUAGE)))
            accept_session_cookie(request, self.cookie)
            try:
                if request.method not in _SAFE:
                    _refuse_foreign(request)
                response = await handler(request)
                await self._renew(request, response)
            except Exception as error:
                response = await self._refusal(request, to_problem(error))
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return answer

    async def _renew(self, request: Request, response: Response) -> None:
        if "set-cookie" in response.headers or response.status_code >= 400:
            return
        carried = find_cookie_session(request)
        if carried is not None and is_renewal_due(carried):
            async with ENGINE.of(request).begin() as db:
                lives = await touch_session(db, carried.session_id, find_client_address(request))
            if lives:
                set_session_cookie(request, response, self.cookie, carried)

    async def _refusal(self, request: Request, problem: Problem) -> Response:
        record_refusal(request, problem)
        if isinstance(problem, Unauthorized):
            return await self._signed_out(request)
        if isinstance(problem, StepUpNeeded) and (shown := await self.step_up(request)):
            return shown
        if is_partial(request):
            return notice(request, problem)
        status = 403 if problem.status == 401 else problem.status
        request_id = get_request_state(request).request_id
        response = page(request, "frame/refused.html", status, problem=problem, request_id=request_id)
        response.headers.update({name: value for name, value in problem.headers.items() if name == "Retry-After"})
        return response

    async def _signed_out(self, request: Request) -> Response:
        response: Response
        if is_partial(request):
            # The page that asked for a part is loaded anew: the sign-in then stands in its place.
            response = Response(status_code=204, headers={"HX-Refresh": "true"})
        elif request.method in _SAFE:
            try:
                response = await self.sign_in(request)
            except Exception as error:
                return await self._refusal(request, to_problem(error))
        else:
            response = Response(status_code=303, headers={"Location": self.home})
        if build_cookie_name(request, self.cookie) in request.cookies:
            clear_session_cookie(request, response, self.cookie)
        return response


def notice(request: Request, problem: Problem) -> HTMLResponse:
    """A refusal as a notice on the page that is shown; what is there stays."""
    response = page(request, "frame/notice.html", problem.status, problem=problem)
    response.headers.update({"HX-Retarget": "#notices", "HX-Reswap": "afterbegin"})
    return response


def _refuse_foreign(request: Request) -> None:
    """Only this service's own pages send its forms. Browsers say whose page sends: Origin, or Sec-Fetch-Site."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    ours = {SETTINGS.of(request).issuer.partition("://")[2], request.headers.get("host")}
    same_site = site is None or site == "same-origin"
    same_origin = (origin is None and site is not None) or (origin or "").partition("://")[2] in ours
    if not (same_site and same_origin):
        raise ForeignOrigin
