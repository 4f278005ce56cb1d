"""Rendering of templates, whole pages or parts. Everything is escaped."""

from dataclasses import dataclass, field, fields
from functools import partial
from pkgutil import iter_modules
from typing import Any, ClassVar, dataclass_transform

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import BaseLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

from app import console
from app.console.frame import formats
from app.console.frame.advice import get_advice
from app.console.frame.assets import build_asset_url
from app.console.frame.formats import get_zone
from app.core.calling_codes import list_calling_codes
from app.core.i18n import TAGS, get_locale, gettext, ngettext, number, pgettext, plural_forms
from app.orgs.regions import format_region_path
from app.web.errors import NotFound, Problem


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False, field_specifiers=(field,))
class Context:
    """The values of a template, by name: the fields and the properties of the class. A subclass names its template.

        class MemberDrawer(OrgContext, template="directory/member.html"):
            member: MemberOut

    Each template that a route renders has one class. `tests/console/test_templates.py` compares the names.
    """

    template: ClassVar[str]
    variables: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, template: str | None = None) -> None:
        if template is not None:
            cls.template = template
        dataclass(frozen=True, kw_only=True, eq=False)(cls)
        properties = (name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, property))
        declared = (declared_field.name for declared_field in fields(cls))  # type: ignore[arg-type]  # made a dataclass one line above
        cls.variables = tuple(dict.fromkeys((*declared, *properties)))

    def get_status(self) -> int:
        """Return the status of a response that shows these values."""
        return 200


class ProblemContext(Context):
    """A template that may show a refusal."""

    problem: Problem | None = None

    def get_status(self) -> int:
        return 200 if self.problem is None else self.problem.status


_packages = [f"{console.__name__}.{module.name}" for module in iter_modules(console.__path__) if module.ispkg]
_loaders: dict[str, BaseLoader] = {name.rpartition(".")[2]: PackageLoader(name) for name in _packages}
_environment = Environment(
    loader=PrefixLoader(_loaders),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=["jinja2.ext.i18n"],  # for `_` in templates
)
# `newstyle=False`: these functions insert the values themselves and escape all that is not Markup.
_environment.install_gettext_callables(gettext, ngettext, newstyle=False, pgettext=pgettext)  # type: ignore[attr-defined]  # added by the extension i18n
_environment.globals |= {
    "get_advice": get_advice,
    "asset_url": build_asset_url,
    "calling_codes": list_calling_codes,
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
    """Load templates of another package, such as the phone simulator, under the package's own name."""
    _loaders[package.rpartition(".")[2]] = PackageLoader(package)


def build_request_values(request: Request) -> dict[str, Any]:
    """Return the values that every template has: the reader's language and time zone, and the page's address.

    `path` is the address without its query.
    """
    zone = get_zone(request)
    query = f"?{request.url.query}" if request.url.query else ""
    return {
        "language": TAGS[get_locale()],
        "zone": zone,
        "time": partial(formats.format_moment, zone=zone),
        "path": request.url.path,
        "address": f"{request.url.path}{query}",
    }


def render_page(request: Request, context: Context, status: int | None = None) -> HTMLResponse:
    """Return the context's template as a response."""
    values = {**build_request_values(request), **{name: getattr(context, name) for name in context.variables}}
    rendered = _environment.get_template(context.template).render(values)
    return HTMLResponse(rendered, status or context.get_status())


def render_part(request: Request, context: Context) -> HTMLResponse:
    """Return a part of a page as a response. Raises NotFound for a GET that does not come from htmx."""
    if request.method in {"GET", "HEAD"} and not is_partial(request):
        raise NotFound
    return render_page(request, context)


def is_partial(request: Request) -> bool:
    """Return whether htmx requests a part of a page. A history restore requests the whole page."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
