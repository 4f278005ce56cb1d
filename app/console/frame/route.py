"""The route of every page of the console."""

from fastapi import Request, Response

from app.console.frame.page_route import PageRoute
from app.console.frame.sign_in_code import offer_code
from app.console.frame.templates import is_partial, page


class ConsoleRoute(PageRoute):
    cookie = "xuezu-console"
    home = "/console/"

    @staticmethod
    async def sign_in(request: Request) -> Response:
        return await offer_code(request, "sign_in/sign_in.html", renewals=0)

    @staticmethod
    async def step_up(request: Request) -> Response:
        """The page that asks for the key, in the place of the one that needs it (S16)."""
        if is_partial(request):
            return Response(status_code=204, headers={"HX-Refresh": "true"})
        query = f"?{request.url.query}" if request.url.query else ""
        back = f"{request.url.path}{query}" if request.method == "GET" else "/console/security"
        return page(request, "frame/step_up.html", 403, back=back, problem=None)
