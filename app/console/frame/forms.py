"""What a page's form sends, checked by the same schemas as the API's bodies, and given back where it is wrong."""

import unicodedata
from collections.abc import Awaitable, Mapping, Set
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError

from app.console.frame.templates import part
from app.database.db import WriteDb
from app.web.errors import BadRequest, Invalid, Problem, UnsupportedMediaType

_MOST = 500
T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)

MaybeId = Annotated[UUID | None, BeforeValidator(lambda given: given or None)]
"""An id in an address; left empty it is none."""


class Form(dict[str, str]):
    """The fields of a form, each once; `all` gives those that are ticked more than once."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def all(self, name: str) -> list[str]:
        return [value for field, value in self._pairs if field == name]

    def given(self, *names: str) -> dict[str, str]:
        """These fields, those left empty apart."""
        return {name: self[name] for name in names if self.get(name, "").strip()}


async def _form(request: Request) -> Form:
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind not in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        if not await request.body():
            return Form([])
        raise UnsupportedMediaType
    read = await request.form(max_files=0, max_fields=1000)
    pairs = [(name, value) for name, value in read.multi_items() if isinstance(value, str)]
    if any("\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text) for pair in pairs for text in pair):
        raise BadRequest
    return Form(pairs)


PageForm = Annotated[Form, Depends(_form)]


def checked(model: type[Model], fields: Mapping[str, Any]) -> Model | ValidationError:
    """The fields as the model, or what is wrong with them."""
    try:
        return model.model_validate(fields)
    except ValidationError as wrong:
        return wrong


def fields_of(wrong: ValidationError) -> set[str]:
    return {str(error["loc"][0]) for error in wrong.errors() if error["loc"]}


_Ids = TypeAdapter(list[UUID])


def ids_of(form: Form, name: str) -> list[UUID]:
    """The ids that a field holds, each once, 500 at most. Raises Invalid where one is none."""
    try:
        return list(dict.fromkeys(_Ids.validate_python(form.all(name))))[:_MOST]
    except ValidationError:
        raise Invalid from None


Outcome = ValidationError | Problem | Set[str] | None
"""Why a form is shown: what is wrong with it (or the names of the fields that are), what refused it, or for the first
time."""


def show_form(request: Request, template: str, form: Form, outcome: Outcome = None, **shown: Any) -> HTMLResponse:
    """A dialog's form with what was typed, and what is wrong with it: `wrong` and `problem` of the template."""
    problem = outcome if isinstance(outcome, Problem) else None
    wrong: Set[str] = set()
    if isinstance(outcome, ValidationError):
        wrong = fields_of(outcome) or {"form"}
    elif isinstance(outcome, Set):
        wrong = outcome
    status = problem.status if problem else 422 if wrong else 200
    return part(request, template, status, form=form, wrong=wrong, problem=problem, **shown)


def is_typed(name: str, form: Form) -> bool:
    """Whether the name was typed that confirms an act: spaces, punctuation, width and case may be any keyboard's, and
    a copied name may bring its isolates along."""
    given = form.get("name", "")
    return given.strip() == name or _bare(given) == _bare(name) != ""


def _bare(name: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", name).casefold()))


async def refusal_of(db: WriteDb, done: Awaitable[T]) -> T | Problem:
    """What an operation gives, or why it refused; refused, it has changed nothing and the transaction goes on."""
    try:
        async with db.begin_nested():
            return await done
    except Problem as problem:
        return problem
