"""Fields of a page's form, validated by the schemas of the API's bodies; a form with errors is shown again."""

from collections.abc import Awaitable, Mapping, Set
from dataclasses import field
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError

from app.console.frame.templates import Context
from app.core.i18n import gettext_noop
from app.core.names import make_name_key
from app.database.db import WriteDb
from app.web.errors import BadRequest, Invalid, Problem, UnsupportedMediaType
from app.web.request_state import get_request_state
from app.web.schemas import TYPED_TEXT

_MAX_IDS = 500
T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

OptionalId = Annotated[UUID | None, BeforeValidator(lambda typed: typed or None)]
"""An id in a query string. An empty text is None."""


class Form(dict[str, str]):
    """The fields of a form, one value each; `get_all` returns every value of a repeated field."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def get_all(self, name: str) -> list[str]:
        return [value for field, value in self._pairs if field == name]

    def get_filled(self, *names: str) -> dict[str, str]:
        """Return these fields without the empty ones."""
        return {name: self[name] for name in names if self.get(name, "").strip()}


async def _read_form(request: Request) -> Form:
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        if not await request.body():
            return Form([])
        raise UnsupportedMediaType
    sent = await request.form(max_files=0, max_fields=1100)
    pairs = [(name, value) for name, value in sent.multi_items() if isinstance(value, str)]
    if any("\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text) for pair in pairs for text in pair):
        raise BadRequest
    get_request_state(request).sent_fields = pairs
    return Form(pairs)


PageForm = Annotated[Form, Depends(_read_form)]


def validate_fields(model: type[Model], fields: Mapping[str, Any]) -> Model | ValidationError:
    """Return the fields as a model, or the validation error."""
    try:
        return model.model_validate(fields, context=TYPED_TEXT)
    except ValidationError as wrong:
        return wrong


def list_wrong_fields(wrong: ValidationError) -> set[str]:
    return {str(error["loc"][0]) for error in wrong.errors() if error["loc"]}


class TooManyChosen(Invalid):
    """422: more than 500 people or units are chosen at once."""

    slug = "too-many-chosen"
    title = gettext_noop("一次最多选择 500 项")
    advice = gettext_noop("请分几次处理。")


_Ids = TypeAdapter(list[UUID])


def read_ids(form: Form, name: str, limit: int = _MAX_IDS) -> list[UUID]:
    """Return the distinct ids of a field. Raises Invalid if one is malformed, TooManyChosen for more than `limit`."""
    try:
        ids = list(dict.fromkeys(_Ids.validate_python(form.get_all(name))))
    except ValidationError:
        raise Invalid from None
    if len(ids) > limit:
        raise TooManyChosen
    return ids


Outcome = ValidationError | Problem | Set[str] | None
"""Why a form is shown again: its validation errors, the names of its wrong fields, or a refusal. None: shown first."""


class FormContext(Context):
    """A form with the typed values, and why it is shown again."""

    form: Form = field(default_factory=lambda: Form([]))
    outcome: Outcome = None

    @property
    def problem(self) -> Problem | None:
        """Return the problem that refused the form, or None."""
        return self.outcome if isinstance(self.outcome, Problem) else None

    @property
    def wrong(self) -> Set[str]:
        """Return the names of the wrong fields."""
        if isinstance(self.outcome, ValidationError):
            return list_wrong_fields(self.outcome) or {"form"}
        return self.outcome if isinstance(self.outcome, Set) else set()

    def get_status(self) -> int:
        return self.problem.status if self.problem else 422 if self.wrong else 200


def is_name_typed(name: str, form: Form) -> bool:
    """Return whether the form's `name` confirms an act.

    Spaces, punctuation, width and case may differ, and a copied name may contain bidirectional isolates.
    """
    typed = form.get("name", "")
    return typed.strip() == name or _normalize_name(typed) == _normalize_name(name) != ""


def _normalize_name(name: str) -> str:
    return "".join(filter(str.isalnum, make_name_key(name)))


async def catch_problem(db: WriteDb, operation: Awaitable[T]) -> T | Problem:
    """Return the operation's result, or the Problem that it raises.

    The Problem rolls the operation back to a savepoint; the transaction continues.
    """
    try:
        async with db.begin_nested():
            return await operation
    except Problem as problem:
        return problem
