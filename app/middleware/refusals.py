"""The answer of a layer that refuses a request before a route is found."""

from fastapi import Request, Response
from starlette.responses import JSONResponse

from app.core.i18n import gettext_in
from app.web.errors import Problem, build_problem_response


def build_refusal(request: Request, problem: Problem) -> Response:
    """Return the problem as a response, at the OAuth endpoints as an OAuth error (RFC 6749 §5.2)."""
    if request.scope["path"].startswith("/oauth/"):
        refused = {"error": "invalid_request", "error_description": gettext_in("en", problem.title)}
        return JSONResponse(refused, problem.status, {"Cache-Control": "no-store"})
    return build_problem_response(request, problem)
