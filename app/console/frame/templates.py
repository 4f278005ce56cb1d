"""Templates: rendering a page or a part of one, everything escaped."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from app.console.frame import formats
from app.console.frame.advice import advice_on
from app.console.frame.assets import asset_url
from app.console.frame.formats import zone_of
from app.core.i18n import TAGS, get_locale, gettext, ngettext, number, pgettext, plural_forms
from app.orgs.regions import format_region_path
from app.web.errors import NotFound

_loaders: list[BaseLoader] = [PackageLoader("app.console")]
_environment = Environment(
    loader=ChoiceLoader(_loaders),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=["jinja2.ext.i18n"],  # `_` in templates
)
# Old style: the functions fill in the values themselves, and escape what is no markup.
_environment.install_gettext_callables(gettext, ngettext, newstyle=False, pgettext=pgettext)  # type: ignore[attr-defined]
_environment.globals |= {
    "advice_on": advice_on,
    "asset_url": asset_url,
    "day": formats.day,
    "month_day": formats.month_day,
    "number": number,
    "number2": partial(number, digits=2),
    "percent": formats.percent,
    "place": formats.place,
    "plural_forms": plural_forms,
    "region": format_region_path,
    "short": formats.short,
}


def add_templates(package: str) -> None:
    """Let pages come from the templates of another package (the phone simulator's) too."""
    _loaders.append(PackageLoader(package))


def render(request: Request, template: str, **context: Any) -> Markup:
    """A template's text, escaped already."""
    zone = zone_of(request)
    standing: Mapping[str, Any] = {
        "language": TAGS[get_locale()],
        "zone": zone,
        "time": partial(formats.moment, zone=zone),
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
