"""The route of a page: a session cookie, protection against CSRF, no caching, errors shown as pages.

Where an API route returns a problem document, a page's route returns HTML: the sign-in page for a caller without a
session, an error page for a missing or forbidden page, a notice for a partial request.
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
from app.authz.origin import is_own_origin
from app.console.frame.formats import LANGUAGE
from app.console.frame.templates import Context, is_partial, render_page
from app.core.i18n import parse_locale, set_locale
from app.database.db import ENGINE, Handler, TransactionalRoute
from app.idempotency.replay import KeyInUse, StoredAnswer
from app.web.errors import Problem, Unauthorized, build_problem, record_refusal
from app.web.request_state import get_request_state

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Vary": "Accept-Encoding, Accept-Language, Cookie",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SAFE = {"GET", "HEAD"}


class RefusalNotice(Context, template="frame/notice.html"):
    problem: Problem

    def get_status(self) -> int:
        return self.problem.status


class RefusalPage(Context, template="frame/refused.html"):
    problem: Problem
    request_id: str | None

    def get_status(self) -> int:
        return 403 if self.problem.status == 401 else self.problem.status


class PageRoute(TransactionalRoute):
    """A page of one site: `cookie` names its session, `home` is its first page, `show_sign_in` its sign-in page."""

    cookie: ClassVar[str]
    home: ClassVar[str]
    strict_query = False  # other programs add parameters to a page's address when people share it

    @staticmethod
    async def show_sign_in(request: Request) -> Response:
        raise NotImplementedError

    @staticmethod
    async def show_step_up(request: Request) -> Response | None:
        """Return the page that requests the security key; None if the site has no such page."""
        return None

    def wrap_handler(self, handler: Handler) -> Handler:
        handler = super().wrap_handler(handler)

        async def handle_page(request: Request) -> Response:
            set_locale(parse_locale(request.cookies.get(LANGUAGE)))
            accept_session_cookie(request, self.cookie)
            try:
                if request.method not in _SAFE:
                    _require_own_origin(request)
                response = await handler(request)
                await self._renew_session(request, response)
            except StoredAnswer as stored:
                response = stored.response
            except KeyInUse:
                # The same form is sent twice at once: the answer to the first one shows the outcome.
                response = Response(status_code=204)
            except Exception as error:
                response = await self._show_refusal(request, build_problem(error))
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handle_page

    async def _renew_session(self, request: Request, response: Response) -> None:
        if "set-cookie" in response.headers or response.status_code >= 400:
            return
        carried = find_cookie_session(request)
        if carried is not None and is_renewal_due(carried):
            async with ENGINE.get(request).begin() as db:
                is_live = await touch_session(db, carried.session_id, find_client_address(request))
            if is_live:
                set_session_cookie(request, response, self.cookie, carried)

    async def _show_refusal(self, request: Request, problem: Problem) -> Response:
        record_refusal(request, problem)
        if isinstance(problem, Unauthorized):
            return await self._show_sign_in(request)
        if isinstance(problem, StepUpNeeded) and (shown := await self.show_step_up(request)):
            return shown
        if is_partial(request):
            return show_refusal_notice(request, problem)
        request_id = get_request_state(request).request_id
        response = render_page(request, RefusalPage(problem=problem, request_id=request_id))
        response.headers.update({name: value for name, value in problem.headers.items() if name == "Retry-After"})
        return response

    async def _show_sign_in(self, request: Request) -> Response:
        response: Response
        if is_partial(request):
            # The page that requested the part loads again and shows the sign-in.
            response = Response(status_code=204, headers={"HX-Refresh": "true"})
        elif request.method in _SAFE:
            try:
                response = await self.show_sign_in(request)
            except Exception as error:
                return await self._show_refusal(request, build_problem(error))
        else:
            response = Response(status_code=303, headers={"Location": self.home})
        if build_cookie_name(request, self.cookie) in request.cookies:
            clear_session_cookie(request, response, self.cookie)
        return response


def is_plain_path(path: str) -> bool:
    """Return whether a path that a form sends can be the Location of an answer: in a header a line break would begin
    another one, and browsers read a backslash as a slash."""
    return path.isascii() and path.isprintable() and "\\" not in path


def show_refusal_notice(request: Request, problem: Problem) -> HTMLResponse:
    """Show a refusal as a notice and leave the rest of the page unchanged."""
    response = render_page(request, RefusalNotice(problem=problem))
    response.headers.update({"HX-Retarget": "#notices", "HX-Reswap": "afterbegin"})
    return response


def _require_own_origin(request: Request) -> None:
    """Require that the form comes from this service's own pages, by the headers Origin and Sec-Fetch-Site."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    same_site = site is None or site == "same-origin"
    same_origin = site is not None if origin is None else is_own_origin(request, origin)
    if not (same_site and same_origin):
        raise ForeignOrigin
