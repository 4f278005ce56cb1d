"""The page of the link in an SMS that stops the recovery of an account, without a sign-in.

The link only shows the page: programs that look at links before a person does must not stop anything.
"""

from fastapi import APIRouter, Request, Response

from app.auth.recoveries.recoveries import stop_recovery_by_link
from app.authz.access import Public, build_actor
from app.console.frame.forms import PageForm
from app.console.frame.route import ConsoleRoute
from app.console.frame.templates import Context, render_page
from app.core.app_links import STOP_PATH
from app.database.db import WriteDb

router = APIRouter(route_class=ConsoleRoute, include_in_schema=False, dependencies=[Public])


class StopPage(Context, template="app_links/stop_recovery.html"):
    """`stopped` is None until the person has pressed the button; then whether the recovery was stopped."""

    code: str = ""
    stopped: bool | None = None


@router.get(STOP_PATH)
async def show_stop_page(request: Request) -> Response:
    """Show the button that stops the recovery. The page reads nothing from the database."""
    return render_page(request, StopPage(code=request.query_params.get("code", "")))


@router.post(STOP_PATH)
async def stop_by_link(request: Request, db: WriteDb, form: PageForm) -> Response:
    """Stop the recovery, and show whether that was still possible."""
    stopped = await stop_recovery_by_link(db, build_actor(request), form.get("code", ""))
    return render_page(request, StopPage(stopped=stopped))
