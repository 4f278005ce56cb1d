"""Queries and bodies are read strictly: what has two meanings, or none, is refused."""

import gzip
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError

from app.api_docs.document import list_api_routes
from app.database.db import TransactionalRoute
from app.members.schemas import MemberUnitsPut
from app.web.schemas import TYPED_TEXT, Body
from tests.people import People, Person


async def _post(person: Person, body: bytes, **headers: str) -> httpx.Response:
    sent = person.headers | {"Content-Type": "application/json"} | headers
    return await person.api.post("/v1/orgs", content=body, headers=sent)


@pytest.fixture(scope="module")
async def person(people: People) -> Person:
    return await people.register()


async def test_misspelt_parameter_is_refused_and_nothing_happens(people: People) -> None:
    person = await people.register()
    answer = await person.delete("/v1/me/sessions?keep_curent=true")
    assert answer.status_code == 422
    assert answer.json()["errors"][0] | {"detail": ""} == {
        "pointer": "query/keep_curent",
        "code": "extra_forbidden",
        "detail": "",
    }
    assert (await person.get("/v1/me")).status_code == 200


async def test_second_value_of_a_parameter_is_refused(person: Person) -> None:
    for path in ("/v1/inbox?limit=1&limit=2", "/v1/me/points?days=3&days=3"):
        answer = await person.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "repeated")


async def test_every_route_of_the_api_refuses_unknown_parameters(app: FastAPI, api: httpx.AsyncClient) -> None:
    walked = 0
    for path, route in list_api_routes(app):
        if not route.include_in_schema or path.startswith(("/simulator/", "/livez", "/readyz")):
            continue
        if path == "/v1/verifications/{method}/notifications":  # a provider may add parameters to its notifications
            continue
        assert issubclass(type(route.original_route), TransactionalRoute), path
        assert type(route.original_route).strict_query, path  # type: ignore[attr-defined]  # set on each class of routes
        method = next(iter(route.methods or ()))
        answer = await api.request(method, path.replace("{", "").replace("}", "") + "?no-such-parameter=1")
        oauth = path.startswith(("/oauth/", "/.well-known/"))
        assert answer.status_code == (400 if oauth else 422), (method, path)
        walked += 1
    assert walked > 100


@pytest.mark.parametrize(
    ("body", "slug"),
    [
        (b'{"name": "a", "name": "b"}', "repeated-key"),
        (b'{"name": {"a": 1, "a": 2}}', "repeated-key"),
        (b'{"name": NaN}', "bad-request"),
        (b'{"name": -Infinity}', "bad-request"),
        ('{"name": "组"}'.encode("gbk"), "bad-request"),
        ('{"name": "学"}'.encode("utf-16"), "bad-request"),
        ('{"name": "学"}'.encode("utf-32-le"), "bad-request"),
        (b"\xef\xbb\xbf{}", "bad-request"),
        (b"[" * 100_000, "bad-request"),
    ],
)
async def test_json_that_programs_read_differently_is_refused(person: Person, body: bytes, slug: str) -> None:
    answer = await _post(person, body)
    assert (answer.status_code, answer.json()["type"]) == (400, f"/problems/{slug}")


async def test_json_in_another_charset_is_refused(person: Person) -> None:
    for charset, status in (("utf-8", 422), ("UTF-8", 422), ('"utf-8"', 422), ("gbk", 415), ("utf-16", 415)):
        answer = await _post(person, b"{}", **{"Content-Type": f"application/json; charset={charset}"})
        assert answer.status_code == status, charset


async def test_compressed_body_is_read_by_every_route(person: Person) -> None:
    body = json.dumps({"name": "x" * 3000}).encode()
    for encoding, content, status, slug in (
        ("gzip", gzip.compress(body), 422, "invalid"),
        ("gzip", gzip.compress(bytes(3 << 20)), 413, "body-too-large"),
        ("gzip", body, 400, "broken-gzip"),
        ("br", body, 415, "unsupported-content-encoding"),
    ):
        answer = await _post(person, content, **{"Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")


async def test_oauth_form_can_be_compressed(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    content = gzip.compress(b"grant_type=password&client_id=none")
    answer = await api.post("/oauth/token", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    broken = await api.post("/oauth/token", content=b"x", headers=headers)
    assert (broken.status_code, broken.json()["error"]) == (400, "invalid_request")


async def test_number_in_place_of_a_time_or_day_is_refused(person: Person) -> None:
    for query in ("until=0", "until=1700000000", "until=2026-01-31T00:00:00Z", "until=1e3"):
        assert (await person.get(f"/v1/me/points?{query}")).status_code == 422, query
    org = (await person.create_org())["id"]
    for query in ("since=0", "since=1700000000", "since=2026-01-31"):
        assert (await person.get(f"/v1/orgs/{org}/audit?{query}")).status_code == 422, query
    assert (await person.get(f"/v1/orgs/{org}/audit?since=2026-01-31T00:00:00Z")).status_code == 200


class _Part(Body):
    count: int
    type: bool | None = None


class _Whole(Body):
    fields: list[_Part]
    ratio: float = 0.5


@pytest.mark.parametrize("wrong", ["5", 5.0, True, None, [5]])
def test_value_that_is_no_number_is_refused_at_any_depth(wrong: object) -> None:
    assert _Whole.model_validate({"fields": [{"count": 5, "type": True}], "ratio": 1}).ratio == 1
    with pytest.raises(ValidationError):
        _Whole.model_validate({"fields": [{"count": wrong}]})


@pytest.mark.parametrize("wrong", ["true", 1, 0.0, "on", "1"])
def test_number_or_text_in_place_of_a_boolean_is_refused(wrong: object) -> None:
    for model, fields in ((_Whole, {"fields": [{"count": 1, "type": wrong}]}), (MemberUnitsPut, {"at_org": wrong})):
        with pytest.raises(ValidationError):
            model.model_validate(fields)


def test_text_typed_into_a_form_becomes_a_number() -> None:
    typed: dict[str, Any] = {"fields": [{"count": "5", "type": "true"}]}
    assert _Whole.model_validate(typed, context=TYPED_TEXT).fields == [_Part(count=5, type=True)]


def _list_bodies(model: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for child in model.__subclasses__() for each in (child, *_list_bodies(child))]


def test_every_body_refuses_texts_in_place_of_numbers(app: FastAPI) -> None:
    checked = 0
    for body in _list_bodies(Body):
        for name, field in body.model_fields.items():
            if field.annotation in (int, bool, int | None, bool | None) and body.__module__.startswith("app."):
                with pytest.raises(ValidationError) as refused:
                    body.model_validate({name: "1"})
                codes = {error["type"] for error in refused.value.errors() if error["loc"][0] == name}
                assert codes & {"int_type", "bool_type"}, (body, name)
                checked += 1
    assert checked > 15
