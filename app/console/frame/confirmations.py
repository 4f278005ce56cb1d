"""What an act will do, said before it is done: in a dialog, confirmed by a name or given a reason where it must be."""

from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from pydantic import TypeAdapter, ValidationError

from app.console.frame.forms import Form, PageForm, is_typed, refusal_of, show_form
from app.console.frame.notices import Undo, done
from app.core.text import Reason
from app.database.db import WriteDb
from app.web.errors import Problem

PAGE_CHANGED = "page-changed"
_reason: TypeAdapter[str] = TypeAdapter(Reason)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A question with all that its dialog shows, in the reader's language already; and what is done on a yes."""

    title: str
    says: str
    button: str
    act: Callable[[WriteDb, str], Awaitable[Any]]
    """Does it in the transaction; it is given the reason, or an empty text where none is asked for."""
    said: str
    """What is said when it is done."""
    name: str | None = None
    """What has to be typed before it is done."""
    reason: str | None = None
    """The label of the reason that has to be given."""
    danger: bool = True
    """It takes from somebody what they have, or ends what they wait for: confirmed by a name, or taken back."""
    changed: str = PAGE_CHANGED
    """The parts of the page that show what is different now."""
    leads_to: str | None = None
    """The page that is shown when it is done, where it is another."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Fields that go along unseen."""
    undo: Undo | None = None
    """How it is taken back, offered at once."""

    def __post_init__(self) -> None:
        if self.danger and not (self.name or self.undo):
            raise ValueError(f"Neither confirmed by a name nor taken back: {self.title}")


Question = TypeVar("Question", bound=Callable[..., Confirmation | Awaitable[Confirmation]])


def confirmed(router: APIRouter, path: str) -> Callable[[Question], Question]:
    """Makes two routes of a question, which is written as a dependency: reading the path asks it, posting does it."""

    def routes_of(question: Question) -> Question:
        @router.get(path)
        async def ask(request: Request, asked: Annotated[Confirmation, Depends(question)]) -> Response:
            return show_form(request, "frame/confirmation.html", Form([]), asked=asked)

        @router.post(path)
        async def act(
            request: Request, db: WriteDb, asked: Annotated[Confirmation, Depends(question)], form: PageForm
        ) -> Response:
            return await _confirm(request, db, asked, form)

        return question

    return routes_of


async def outcome_of(db: WriteDb, asked: Confirmation, form: Form) -> Problem | Set[str]:
    """Does it, and gives nothing; or why it was refused, or the names of the fields that are wrong."""
    wrong = set()
    if asked.name is not None and not is_typed(asked.name, form):
        wrong.add("name")
    reason = ""
    if asked.reason is not None:
        try:
            reason = _reason.validate_python(form.get("reason", ""))
        except ValidationError:
            wrong.add("reason")
    if wrong:
        return wrong
    outcome = await refusal_of(db, asked.act(db, reason))
    return outcome if isinstance(outcome, Problem) else wrong


async def _confirm(request: Request, db: WriteDb, asked: Confirmation, form: Form) -> Response:
    """Does it and says so; or asks again, with what was wrong."""
    outcome = await outcome_of(db, asked, form)
    if outcome:
        return show_form(request, "frame/confirmation.html", form, outcome, asked=asked)
    response = done(request, asked.said, asked.changed, undo=asked.undo)
    if asked.leads_to is not None:
        response.headers["HX-Redirect"] = asked.leads_to
    return response
