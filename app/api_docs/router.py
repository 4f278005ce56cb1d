"""The catalogue of all problems: the address that the `type` of a problem resolves to (RFC 9457 §3.1.1).

A program gets JSON, a browser a page. Both show titles and advice in both languages, whatever the language of the
caller, so that a program can be written against either.
"""

from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import Field

from app.api_docs.problem_schemas import list_problems
from app.authz.access import Public
from app.core.i18n import TAGS, get_locale, gettext, gettext_in
from app.database.db import TransactionalRoute
from app.database.paging import ItemList
from app.web.errors import NotFound, Problem, ProblemOut, problems
from app.web.schemas import Out

Answer = TypeVar("Answer")

router = APIRouter(route_class=TransactionalRoute, tags=["health"], dependencies=[Public])


class BothLanguages(Out):
    """A text in Chinese and in English."""

    zh: str
    en: str


class ExtensionMember(Out):
    """An additional member of a problem, which not all problems have (RFC 9457 §3.2)."""

    name: str
    description: str


class ProblemKindOut(Out):
    """A kind of problem (error) that the API can answer."""

    type: str = Field(description="The address of the kind, which is stable.", examples=["/problems/not-found"])
    status: int = Field(description="The HTTP status of an answer with it.")
    title: BothLanguages = Field(description="What is wrong.")
    advice: BothLanguages = Field(description="What to do about it; an answer has it as `detail`.")
    members: list[ExtensionMember] = Field(description="What an answer says beside that. A member may be absent.")


_HTML: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


@router.get("/problems", summary="List all problems", response_model=ItemList[ProblemKindOut], responses=_HTML)
async def list_problem_kinds(request: Request, response: Response) -> ItemList[ProblemKindOut] | HTMLResponse:
    """List every error that the service can answer, by name. A browser gets a page.

    Titles and advice are in Chinese and English. The list changes only with a release.
    """
    kinds = list(_index_kinds().values())
    return _answer(request, response, kinds, ItemList(items=kinds))


@router.get(
    "/problems/{slug}",
    summary="Read a problem",
    response_model=ProblemKindOut,
    responses=_HTML | problems(NotFound),
)
async def read_problem_kind(
    request: Request, response: Response, slug: Annotated[str, Path(description="The last part of a `type`.")]
) -> ProblemKindOut | HTMLResponse:
    """Explain one error: the `type` of a problem is this address. A browser gets a page.

    The title and the advice are in Chinese and English.
    """
    kind = _index_kinds().get(slug)
    if kind is None:
        raise NotFound
    return _answer(request, response, [kind], kind)


def _answer(
    request: Request, response: Response, kinds: Sequence[ProblemKindOut], body: Answer
) -> Answer | HTMLResponse:
    headers = {"Cache-Control": "public, max-age=3600", "Vary": "Accept, Accept-Encoding, Accept-Language"}
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_write_page(kinds), headers=headers)
    response.headers.update(headers)
    return body


@cache
def _index_kinds() -> dict[str, ProblemKindOut]:
    """Return the kinds of problems by their slugs, sorted."""
    return {kind.slug: _describe_kind(kind) for kind in sorted(list_problems(), key=lambda kind: kind.slug)}


def _describe_kind(kind: type[Problem]) -> ProblemKindOut:
    fields = kind.extension.model_fields if kind.extension is not None else {}
    if kind.slug == "invalid":
        fields = fields | {"errors": ProblemOut.model_fields["errors"]}
    members = [
        ExtensionMember(name=field.alias or name, description=field.description or "") for name, field in fields.items()
    ]
    return ProblemKindOut(
        type=f"/problems/{kind.slug}",
        status=kind.status,
        title=BothLanguages(zh=kind.title, en=gettext_in("en", kind.title)),
        advice=BothLanguages(zh=kind.advice, en=gettext_in("en", kind.advice)),
        members=members,
    )


_PAGE = """<!doctype html>
<html lang="{language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Xuezu</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem }}
section {{ border-top: 1px solid #8886; padding: .5rem 0 }}
h2 {{ font-size: 1.1rem; margin: .5rem 0 }}
p {{ margin: .25rem 0 }}
</style>
<h1><a href="/problems">{title}</a></h1>
{sections}
</html>
"""


def _write_page(kinds: Sequence[ProblemKindOut]) -> str:
    sections = "\n".join(_write_section(kind) for kind in kinds)
    return _PAGE.format(language=TAGS[get_locale()], title=escape(gettext("错误目录")), sections=sections)


def _write_section(kind: ProblemKindOut) -> str:
    address = escape(kind.type, quote=True)
    texts = [
        f'<p lang="{language}"><strong>{escape(title)}</strong> {escape(advice)}</p>'
        for language, title, advice in (
            (TAGS["zh"], kind.title.zh, kind.advice.zh),
            (TAGS["en"], f"{kind.title.en}.", kind.advice.en),
        )
    ]
    members = [
        f'<p lang="en"><code>{escape(member.name)}</code>: {escape(member.description)}</p>' for member in kind.members
    ]
    heading = f'<h2><a href="{address}"><code>{address}</code></a> · {kind.status}</h2>'
    return f"<section>{heading}{''.join(texts + members)}</section>"
