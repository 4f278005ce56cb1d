"""What an act will do, said before it is done: in a dialog, confirmed by a name or given a reason where it must be."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from pydantic import TypeAdapter, ValidationError

from app.console.forms import Form, refusal_of
from app.console.notices import done
from app.console.rendering import part
from app.db import Db
from app.errors import Problem
from app.text import Reason

PAGE_CHANGED = "page-changed"
_reason: TypeAdapter[str] = TypeAdapter(Reason)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question with all that its dialog shows, in the reader's language already."""

    title: str
    says: str
    button: str
    to: str
    name: str | None = None
    """What has to be typed before it is done."""
    reason: str | None = None
    """The label of the reason that has to be given."""
    danger: bool = True
    kept: Mapping[str, str] = field(default_factory=dict)
    """Fields that go along unseen."""


def ask(request: Request, asked: Confirmation) -> HTMLResponse:
    """The dialog."""
    return _show(request, asked, Form([]), 200)


async def confirm(
    request: Request,
    db: Db,
    asked: Confirmation,
    form: Form,
    act: Callable[[str], Awaitable[Any]],
    said: str,
) -> HTMLResponse:
    """Does it (`act` is given the reason, or an empty text) and says so; or asks again, with what was wrong."""
    wrong = set()
    if asked.name is not None and form.get("name", "").strip() != asked.name:
        wrong.add("name")
    reason = ""
    if asked.reason is not None:
        try:
            reason = _reason.validate_python(form.get("reason", ""))
        except ValidationError:
            wrong.add("reason")
    if wrong:
        return _show(request, asked, form, 422, wrong=wrong)
    outcome = await refusal_of(db, act(reason))
    if isinstance(outcome, Problem):
        return _show(request, asked, form, outcome.status, problem=outcome)
    return done(request, said, PAGE_CHANGED)


def _show(
    request: Request,
    asked: Confirmation,
    form: Form,
    status: int,
    *,
    wrong: set[str] | None = None,
    problem: Problem | None = None,
) -> HTMLResponse:
    shown = {"asked": asked, "form": form, "wrong": wrong or set(), "problem": problem}
    return part(request, "confirmation.html", status, **shown)
