"""What a page is told when something was done: a notice, and which parts of it are to be read anew."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from fastapi import Request
from fastapi.responses import HTMLResponse

from app.console.frame.templates import page
from app.core.i18n import gettext
from app.web.errors import Problem


@dataclass(frozen=True, slots=True)
class Undo:
    """Where a form is sent that takes back what was just done, and what it says."""

    to: str
    fields: Sequence[tuple[str, str]] = ()


def done(request: Request, said: str, *changed: str, undo: Undo | None = None) -> HTMLResponse:
    """A notice that it is done; the dialog closes, and parts that show what `changed` load themselves again."""
    response = page(request, "frame/done.html", said=said, undo=undo)
    triggers = orjson.dumps(dict.fromkeys(("close-dialogs", *changed))).decode()
    response.headers.update({"HX-Retarget": "#notices", "HX-Reswap": "afterbegin", "HX-Trigger": triggers})
    return response


def title_of(problem: Problem) -> str:
    """A refusal's title in the reader's language, for a form that is shown again."""
    return gettext(problem.title)
