"""Rules that every route must follow."""

import re
from collections.abc import Iterator

from fastapi import FastAPI

from app.api_docs.document import list_api_routes
from app.api_docs.introductions import TAGS
from app.authz.access import find_access_rule
from app.core.i18n import gettext_in
from app.web.errors import Problem
from tests.inlining import inline_shared_parts


def test_every_route_declares_its_access(app: FastAPI) -> None:
    walked = [(path, route) for path, route in list_api_routes(app) if not path.startswith(("/docs", "/redoc"))]
    assert len(walked) > 30
    for path, route in walked:
        assert find_access_rule(route.dependant) is not None, f"{path} has neither Can(…) nor another rule"


# The org names the caller's own row or block there.
OWN_ROWS = ("/v1/me/", "/console/memberships/", "/phone/memberships/")


def test_route_with_an_org_id_requires_a_permission_in_that_org(app: FastAPI) -> None:
    for path, route in list_api_routes(app):
        if "{org_id}" in path:
            rule = find_access_rule(route.dependant)
            assert rule is not None
            assert rule.kind == ("user" if path.startswith(OWN_ROWS) else "org"), path


def test_paths_are_nouns(app: FastAPI) -> None:
    verbs = re.compile(r"/(approve|refuse|confirm|accept|cancel|revoke|create|delete|update|reset|move)(/|$)")
    assert [
        path for path, _ in list_api_routes(app) if verbs.search(path) and path != "/oauth/revoke"
    ] == []  # RFC 7009's


def test_every_operation_is_documented(app: FastAPI) -> None:
    known = {name for name, _ in TAGS}
    for path, methods in inline_shared_parts(app.openapi())["paths"].items():
        for method, operation in methods.items():
            place = f"{method} {path}"
            assert operation.get("description"), f"{place} has no description"
            assert set(operation.get("tags", [])) <= known, f"{place} has a tag outside the mission's words"
            assert operation.get("tags"), f"{place} has no tag"
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")) and not path.startswith(("/oauth/", "/.well-known/")):
                    assert list(answer["content"]) == ["application/problem+json"], f"{place} {status}"


def test_operation_ids_are_unique(app: FastAPI) -> None:
    ids = [operation["operationId"] for methods in app.openapi()["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def _kinds(kind: type[Problem]) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)


def test_problem_has_slug_both_titles_and_advice(app: FastAPI) -> None:
    # A class without its own slug is an abstract base class.
    kinds = [kind for kind in _kinds(Problem) if hasattr(kind, "slug")]
    assert len(kinds) > 50
    slugs: dict[str, type[Problem]] = {}
    for kind in kinds:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind.slug), kind
        assert slugs.setdefault(kind.slug, kind) is kind, f"{kind} and {slugs[kind.slug]} share the slug {kind.slug}"
        title, advice = gettext_in("en", kind.title), gettext_in("en", kind.advice)
        assert re.search("[\u4e00-\u9fff]", kind.title), kind
        assert re.search("[\u4e00-\u9fff]", kind.advice), f"{kind} does not say what to do instead"
        assert title, kind
        assert advice, kind
        assert not re.search("[\u4e00-\u9fff]", title.replace("学习管理组", "")), kind
