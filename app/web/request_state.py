"""The typed state of one request. Nothing reads `request.state`; a test checks that."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from starlette.types import Scope

_KEY = "xuezu.request_state"


@dataclass(slots=True)
class RequestState:
    """The values that belong to one request. Each field is written in one place and read in others."""

    request_id: str | None = None
    """Written by the request log. The answer, the log lines and the audit entries have it."""
    from_proxy: bool = False
    """Written by `middleware.caller_address`: a trusted proxy calls for itself, such as for a health check. Limits by
    address do not apply: it could name any address."""
    user_id: UUID | None = None
    """Written by `authz`: the caller."""
    refusal: str | None = None
    """Written where a request is refused: the problem's slug or OAuth's error. The audit log counts it."""
    session_cookie: str | None = None
    """Written by the route of a page: the name of the session cookie."""
    sent_fields: Sequence[tuple[str, str]] = ()
    """Written where a page's form is read: the fields of the form. The page that requests a security key sends them
    again."""
    open_db: Callable[[], Awaitable[Any]] | None = None
    """Written by the route: opens the request's connection at its first use (`app.database.db`)."""
    before_commit: list[Callable[[Response], Awaitable[None]]] = field(default_factory=list)
    """Written by dependencies: functions that use the finished answer inside the transaction."""


def get_request_state(source: Request | Scope) -> RequestState:
    """Return the state of this request; it is created at the first use."""
    scope: Scope = source if type(source) is dict else source.scope  # type: ignore[union-attr]  # `type(…) is dict` is faster than `isinstance`
    state: RequestState | None = scope.get(_KEY)
    if state is None:
        state = scope[_KEY] = RequestState()
    return state
