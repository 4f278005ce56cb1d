"""Confirmation dialogs: they explain an act before it runs, and require a typed name or a reason where needed."""

from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from pydantic import TypeAdapter, ValidationError

from app.console.frame.forms import Form, FormContext, PageForm, catch_problem, is_name_typed
from app.console.frame.notices import Undo, show_message
from app.console.frame.templates import render_part
from app.core.text import Reason
from app.database.db import WriteDb
from app.web.errors import Problem

PAGE_CHANGED = "page-changed"
_reason: TypeAdapter[str] = TypeAdapter(Reason)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The texts of a dialog in the reader's language, and the operation that runs on confirmation."""

    title: str
    explanation: str
    button: str
    operation: Callable[[WriteDb, str], Awaitable[Any]]
    """Run the operation in the transaction, with the reason or an empty text if no reason is requested."""
    message: str
    """The message after success."""
    name: str | None = None
    """The name that the user must type."""
    reason: str | None = None
    """The label of the reason that the user must give."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """The codes of the reasons to choose from, with their texts; empty where the user writes the reason."""
    danger: bool = True
    """The act takes something away from a person: it needs a typed name or an undo."""
    changed: str = PAGE_CHANGED
    """The parts of the page that load again."""
    next_page: str | None = None
    """The page to go to after success, if it is another one."""
    hidden_fields: Mapping[str, str] = field(default_factory=dict)
    """Hidden fields of the form."""
    details: str = ""
    """The address of a part that the dialog loads below its explanation, such as the people whom the act concerns."""
    undo: Undo | None = None
    """How the act is undone; offered in the message."""

    def __post_init__(self) -> None:
        if self.danger and not (self.name or self.undo):
            raise ValueError(f"Neither confirmed by a name nor taken back: {self.title}")


class ConfirmationDialog(FormContext, template="frame/confirmation.html"):
    confirmation: Confirmation


Question = TypeVar("Question", bound=Callable[..., Confirmation | Awaitable[Confirmation]])


def add_confirmation_routes(router: APIRouter, path: str) -> Callable[[Question], Question]:
    """Return a decorator that adds two routes for a dependency: GET shows the dialog, POST runs the operation."""

    def add_routes(question: Question) -> Question:
        @router.get(path)
        async def show(request: Request, confirmation: Annotated[Confirmation, Depends(question)]) -> Response:
            return render_part(request, ConfirmationDialog(confirmation=confirmation))

        @router.post(path)
        async def confirm(
            request: Request, db: WriteDb, confirmation: Annotated[Confirmation, Depends(question)], form: PageForm
        ) -> Response:
            return await _confirm(request, db, confirmation, form)

        return question

    return add_routes


async def run_confirmation(db: WriteDb, confirmation: Confirmation, form: Form) -> Problem | Set[str]:
    """Run the operation. Return an empty set on success, otherwise the refusal or the names of the wrong fields."""
    wrong = set()
    if confirmation.name is not None and not is_name_typed(confirmation.name, form):
        wrong.add("name")
    reason = ""
    if confirmation.reason is not None:
        try:
            reason = _reason.validate_python(form.get("reason", ""))
        except ValidationError:
            wrong.add("reason")
        if confirmation.reasons and reason not in confirmation.reasons:
            wrong.add("reason")
    if wrong:
        return wrong
    outcome = await catch_problem(db, confirmation.operation(db, reason))
    return outcome if isinstance(outcome, Problem) else wrong


async def _confirm(request: Request, db: WriteDb, confirmation: Confirmation, form: Form) -> Response:
    """Run the operation and show its message, or show the dialog again with the errors."""
    outcome = await run_confirmation(db, confirmation, form)
    if outcome:
        return render_part(request, ConfirmationDialog(form=form, outcome=outcome, confirmation=confirmation))
    response = show_message(request, confirmation.message, confirmation.changed, undo=confirmation.undo)
    if confirmation.next_page is not None:
        response.headers["HX-Redirect"] = confirmation.next_page
    return response
