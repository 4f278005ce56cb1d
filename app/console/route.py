"""The route of every page of the console."""

from fastapi import Request, Response

from app.console.page_route import PageRoute
from app.console.sign_in_code import offer_code


class ConsoleRoute(PageRoute):
    cookie = "xuezu-console"
    home = "/console/"

    @staticmethod
    async def sign_in(request: Request) -> Response:
        return await offer_code(request, "sign_in.html", renewals=0)
