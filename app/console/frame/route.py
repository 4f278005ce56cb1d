"""The route of every page of the console."""

from collections.abc import Sequence

from fastapi import Request, Response

from app.console.frame.page_route import PageRoute
from app.console.frame.sign_in_code import show_sign_in_page
from app.console.frame.templates import ProblemContext, is_partial, render_page
from app.web.request_state import get_request_state


class KeyForm(ProblemContext, template="frame/key_form.html"):
    """The form that proves a security key in this session. `problem`: why the last proof was refused."""


class KeyDialog(KeyForm, template="frame/key_dialog.html"):
    """The same form in a dialog over the page, which keeps what the user has typed."""


class StepUpPage(KeyForm, template="frame/step_up.html"):
    """The page in place of the one that needs a key. `continued`: the address to which it goes on. `sent_fields`: the
    fields of the form that was sent there; the page sends them again. None if the address is read."""

    continued: str
    sent_fields: Sequence[tuple[str, str]] | None


class ConsoleRoute(PageRoute):
    cookie = "xuezu-console"
    home = "/console/"

    @staticmethod
    async def show_sign_in(request: Request) -> Response:
        return await show_sign_in_page(request)

    @staticmethod
    async def show_step_up(request: Request) -> Response:
        """Show the form that requests the security key (S16): in place of a page, or over the page that has requested a
        part or sent a form. After the proof the page's script repeats the request."""
        if is_partial(request):
            response = render_page(request, KeyDialog(), 403)
            response.headers.update({"HX-Retarget": "#key-body", "HX-Reswap": "innerHTML", "HX-Reselect": "#key-part"})
            return response
        query = f"?{request.url.query}" if request.url.query else ""
        sent_fields = None if request.method == "GET" else get_request_state(request).sent_fields
        return render_page(request, StepUpPage(continued=f"{request.url.path}{query}", sent_fields=sent_fields), 403)
