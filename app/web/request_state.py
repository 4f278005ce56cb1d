"""What a request carries from its first layer to its last, typed. Nothing reads `request.state`; a test keeps it so."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from starlette.types import Scope

_KEY = "xuezu.request_state"


@dataclass(slots=True)
class RequestState:
    """Each field is written by one place and read by the others."""

    request_id: str | None = None
    """By the request log: the id of the answer, the log line and the audit entries."""
    user_id: UUID | None = None
    """By `authz`: who asks."""
    refusal: str | None = None
    """By whatever refuses: the problem's slug, or OAuth's error. Counted by the audit log."""
    session_cookie: str | None = None
    """By a page's route: the name of the cookie that carries the session."""
    open_db: Callable[[], Awaitable[Any]] | None = None
    """By the route: opens the request's connection when it is first asked for (`app.database.db`)."""
    before_commit: list[Callable[[Response], Awaitable[None]]] = field(default_factory=list)
    """By dependencies: what is done with the finished answer inside the transaction."""


def request_state(source: Request | Scope) -> RequestState:
    """The state of this request, made when it is first asked for."""
    scope: Scope = source if type(source) is dict else source.scope  # type: ignore[union-attr]
    state: RequestState | None = scope.get(_KEY)
    if state is None:
        state = scope[_KEY] = RequestState()
    return state
