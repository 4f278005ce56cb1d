"""Templates: rendering a page or a part of one, everything escaped."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from app.console.frame.advice import advice_on
from app.console.frame.assets import asset_url
from app.console.frame.words import words_of
from app.orgs.regions import path_of
from app.web.errors import NotFound

_loaders: list[BaseLoader] = [PackageLoader("app.console")]
_environment = Environment(
    loader=ChoiceLoader(_loaders),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {"asset_url": asset_url, "region": path_of}


def add_templates(package: str) -> None:
    """Let pages come from the templates of another package (the phone simulator's) too."""
    _loaders.append(PackageLoader(package))


def render(request: Request, template: str, **context: Any) -> Markup:
    """A template's text, escaped already."""
    words = words_of(request)
    standing: Mapping[str, Any] = {
        "t": words,
        "advice_on": partial(advice_on, words),
        "number": words.number,
        "number2": partial(words.number, digits=2),
        "percent": words.percent,
        "day": words.day,
        "month_day": words.month_day,
        "time": words.time,
        "place": words.place,
        "request": request,
        "path": request.url.path,
    }
    return Markup(_environment.get_template(template).render({**standing, **context}))  # noqa: S704 — autoescaped


def page(request: Request, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
    """A template as the answer."""
    return HTMLResponse(render(request, template, **context), status)


def part(request: Request, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
    """A template that is no page by itself, for the page that is shown. Raises NotFound where none is."""
    if request.method in {"GET", "HEAD"} and not is_partial(request):
        raise NotFound
    return page(request, template, status, **context)


def is_partial(request: Request) -> bool:
    """Whether htmx asks for a part of the page that is shown (going back in the history it asks for all of it)."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
