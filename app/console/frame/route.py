"""The route of every page of the console."""

from fastapi import Request, Response

from app.console.frame.page_route import PageRoute
from app.console.frame.sign_in_code import show_sign_in_page
from app.console.frame.templates import ProblemContext, is_partial, render_page


class StepUpPage(ProblemContext, template="frame/step_up.html"):
    back: str
    """The address of the page that requires the key."""


class ConsoleRoute(PageRoute):
    cookie = "xuezu-console"
    home = "/console/"

    @staticmethod
    async def show_sign_in(request: Request) -> Response:
        return await show_sign_in_page(request)

    @staticmethod
    async def show_step_up(request: Request) -> Response:
        """Show the page that requests the security key, in place of the page that requires it (S16)."""
        if is_partial(request):
            return Response(status_code=204, headers={"HX-Refresh": "true"})
        query = f"?{request.url.query}" if request.url.query else ""
        back = f"{request.url.path}{query}" if request.method == "GET" else "/console/security"
        return render_page(request, StepUpPage(back=back), 403)
