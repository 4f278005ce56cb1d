"""Notices after an action: a message, and events that make parts of the page load again."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from fastapi import Request
from fastapi.responses import HTMLResponse

from app.console.frame.templates import Context, render_page
from app.core.i18n import gettext
from app.web.errors import Problem


@dataclass(frozen=True, slots=True)
class Undo:
    """The address, button and fields of a form that undoes an action."""

    to: str
    button: str
    fields: Sequence[tuple[str, str]] = ()


class MessageNotice(Context, template="frame/done.html"):
    message: str
    undo: Undo | None


def show_message(request: Request, message: str, *changed: str, undo: Undo | None = None) -> HTMLResponse:
    """Show a message, close the dialog, and send the `changed` events that make parts of the page load again."""
    response = render_page(request, MessageNotice(message=message, undo=undo))
    triggers = orjson.dumps(dict.fromkeys(("close-dialogs", *changed))).decode()
    response.headers.update({"HX-Retarget": "#notices", "HX-Reswap": "afterbegin", "HX-Trigger": triggers})
    return response


def translate_title(problem: Problem) -> str:
    """Return a refusal's title in the reader's language."""
    return gettext(problem.title)
