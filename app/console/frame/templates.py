"""Rendering of templates, whole pages or parts. Everything is escaped."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import BaseLoader, ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from app.console.frame import formats
from app.console.frame.advice import get_advice
from app.console.frame.assets import build_asset_url
from app.console.frame.formats import get_zone
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
    extensions=["jinja2.ext.i18n"],  # for `_` in templates
)
# `newstyle=False`: these functions insert the values themselves and escape all that is not Markup.
_environment.install_gettext_callables(gettext, ngettext, newstyle=False, pgettext=pgettext)  # type: ignore[attr-defined]
_environment.globals |= {
    "get_advice": get_advice,
    "asset_url": build_asset_url,
    "day": formats.format_day,
    "month_day": formats.format_month_day,
    "number": number,
    "number2": partial(number, digits=2),
    "percent": formats.format_percent,
    "place": formats.format_address,
    "plural_forms": plural_forms,
    "region": format_region_path,
    "short": formats.format_short,
}


def add_templates(package: str) -> None:
    """Load templates of another package, such as the phone simulator."""
    _loaders.append(PackageLoader(package))


def render_template(request: Request, template: str, **context: Any) -> Markup:
    """Return a rendered template, already escaped."""
    zone = get_zone(request)
    request_context: Mapping[str, Any] = {
        "language": TAGS[get_locale()],
        "zone": zone,
        "time": partial(formats.format_moment, zone=zone),
        "request": request,
        "path": request.url.path,
    }
    return Markup(_environment.get_template(template).render({**request_context, **context}))  # noqa: S704 — autoescaped


def render_page(request: Request, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
    """Return a rendered template as a response."""
    return HTMLResponse(render_template(request, template, **context), status)


def render_part(request: Request, template: str, status: int = 200, /, **context: Any) -> HTMLResponse:
    """Return a part of a page as a response. Raises NotFound for a GET that does not come from htmx."""
    if request.method in {"GET", "HEAD"} and not is_partial(request):
        raise NotFound
    return render_page(request, template, status, **context)


def is_partial(request: Request) -> bool:
    """Return whether htmx requests a part of a page. A history restore requests the whole page."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
