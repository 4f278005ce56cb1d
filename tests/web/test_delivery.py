"""Caching, answers that the caller has already, compression, and lists in If-Match."""

import gzip
import json

import httpx
import pytest

from app.middleware.delivery import MIN_COMPRESSED, accepts_gzip
from tests.acts import certify
from tests.people import People, Person

VARY = "Accept-Encoding, Accept-Language, Authorization"


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def path(admin: Person) -> str:
    return f"/v1/orgs/{(await admin.create_org())['id']}"


async def test_every_answer_says_how_it_may_be_stored(admin: Person, path: str, api: httpx.AsyncClient) -> None:
    for answer, stored in (
        (await admin.get(path), "private, no-cache"),
        (await admin.get(f"{path}/members"), "no-store"),
        (await admin.get("/v1/orgs/0"), "no-store"),
        (await api.get("/v1/me"), "no-store"),
        (await api.get("/nothing"), "no-store"),
        (await api.get("/livez"), "no-store"),
        (await api.get("/oauth/jwks"), "public, max-age=60"),
    ):
        assert answer.headers["cache-control"] == stored, answer.url
        assert answer.headers["vary"] == VARY
    page = await api.get("/console/")
    assert (page.headers["cache-control"], page.headers["vary"]) == (
        "no-store",
        "Accept-Encoding, Accept-Language, Cookie",
    )


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', '{} , "7-00"', "*", ', "a,b" ,{}'])
async def test_request_with_the_current_etag_is_answered_with_304(admin: Person, path: str, form: str) -> None:
    tag = (await admin.get(path)).headers["etag"]
    for method in ("GET", "HEAD"):
        headers = admin.headers | {"If-None-Match": form.format(tag)}
        answer = await admin.api.request(method, path, headers=headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["vary"] == VARY
        assert "content-type" not in answer.headers
        assert "content-length" not in answer.headers


@pytest.mark.parametrize("tag", ['"1"', '"1-00"', "1", '"', "", "W/*", '"x" "y"'])
async def test_read_with_another_or_malformed_etag_returns_the_body(admin: Person, path: str, tag: str) -> None:
    answer = await admin.api.get(path, headers=admin.headers | {"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.json()["id"] in path


async def test_etag_of_an_org_changes_when_the_org_is_certified(people: People) -> None:
    """The superior is shown with the org, and certifying the org does not edit it."""
    superior, subordinate = await people.register(), await people.register()
    above, below = await superior.create_org(), await subordinate.create_org()
    before = await subordinate.get(f"/v1/orgs/{below['id']}")
    await certify(superior, above, subordinate, below)
    headers = subordinate.headers | {"If-None-Match": before.headers["etag"]}
    after = await subordinate.api.get(f"/v1/orgs/{below['id']}", headers=headers)
    assert (after.status_code, after.json()["superior_id"]) == (200, above["id"])


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("{}", 200),
        ('"{version}"', 200),
        ('W/"{version}"', 200),
        ('"99", "{version}-ab"', 200),
        ("*", 200),
        ('"99", "98"', 412),
        ("{version}", 412),
        ('"{version}', 412),
        ("", 412),
    ],
)
async def test_if_match_header_is_read_as_a_list_of_etags(people: People, form: str, status: int) -> None:
    admin = await people.register()
    org = await admin.create_org()
    read = await admin.get(f"/v1/orgs/{org['id']}")
    headers = admin.headers | {"If-Match": form.format(read.headers["etag"], version=read.json()["version"])}
    answer = await admin.api.patch(f"/v1/orgs/{org['id']}", json={"name": org["name"] + "二"}, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.1", True),
        ("x-gzip", True),
        ("*", True),
        ("deflate, *;q=0.5", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("gzip;q=x", False),
    ],
)
def test_weights_in_accept_encoding_decide_about_compression(header: str, accepted: bool) -> None:
    assert accepts_gzip(header.encode()) is accepted


async def test_large_answer_is_compressed_for_who_accepts_it(live: str) -> None:
    async with httpx.AsyncClient(base_url=live) as client:
        plain = await client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        packed = await client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) * 4 < len(plain.content)
        assert packed.json()["info"] == plain.json()["info"]
        head = await client.head("/openapi.json", headers={"Accept-Encoding": "gzip"})
        assert (head.headers["content-encoding"], head.content) == ("gzip", b"")


async def test_small_answer_and_one_with_a_tag_are_not_compressed(admin: Person, path: str) -> None:
    for answer in (await admin.get(path), await admin.get(f"{path}/members")):
        assert len(answer.content) < MIN_COMPRESSED
        assert "content-encoding" not in answer.headers
    units = [await admin.post(f"{path}/units", json={"name": f"第{n}支部", "kind": "branch"}) for n in range(30)]
    assert {unit.status_code for unit in units} == {201}
    answer = await admin.get(f"{path}/units")
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.content) >= MIN_COMPRESSED
    assert len(json.dumps(answer.json())) > len(gzip.compress(answer.content))
