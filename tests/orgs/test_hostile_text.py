"""Hostile texts as names and reasons: each is stored unchanged or refused, and never causes a status 500."""

import json

import pytest

from app.core.text import contains_refused_characters
from tests.acts import Json, add_unit, certify, get_body, invite, send_application, send_change_request
from tests.people import People, Person, fresh_phone

ALLOWED = (
    "中共😀村支部委员会",
    "中共𠀀𪚥村支部委员会",
    "中共Å村支部委员会",
    "中共<b>&'\"村支部委员会",
    "中共%00村支部委员会",
    "中共👨\u200d👩\u200d👧村支部委员会",
    "中共邊\U000e0100村支部委员会",
)
# Each has an invisible character. With it a name would look equal to another name, or the forbidden suffix (S3) would
# not be recognised.
INVISIBLE = (
    "中共\u3164村支部委员会",
    "中共村\u034f支部委员会",
    "中共村支部委员会\u200d",
    "中共村支部委员会学习管理组\ufe0f",
    "中共村支部委员会学习管理组\U000e0041",
    "村党外人士学习组织a\U000e0100",
)
HOSTILE = (
    "中共\u202e村支部委员会",
    "中共\u200f村支部委员会",
    "中共\u0000村支部委员会",
    "中共\u200b村支部委员会",
    "中共\ufeff村支部委员会",
    INVISIBLE[0],
    "中共\n村支部委员会",
    "中共\ud800村支部委员会",
    "村" * 500,
    "   ",
    "",
)


async def send(person: Person, method: str, path: str, body: Json) -> tuple[int, str]:
    """Send the body as JSON text, in which lone surrogates can be written. Return the status and the body."""
    headers = {"Content-Type": "application/json"}
    answer = await person.request(method, path, content=json.dumps(body), headers=headers)
    return answer.status_code, answer.text


@pytest.fixture(scope="module")
async def founder(people: People) -> Person:
    return await people.register()


async def test_hostile_name_or_reason_is_refused(founder: Person) -> None:
    superior, org = await founder.create_org(), await founder.create_org()
    await certify(founder, superior, founder, org)
    unit = await add_unit(founder, org, "第一支部")
    change_request = get_body(await send_change_request(founder, org, kind="rename", name="中共测试区委员会"), 201)
    application = get_body(
        await send_application(founder, await founder.create_org(), (await invite(founder, superior))["token"]), 201
    )
    path, up = f"/v1/orgs/{org['id']}", f"/v1/orgs/{superior['id']}"
    promotion = {"unit_id": unit["id"], "to": {"phone": fresh_phone()}}
    calls: tuple[tuple[str, str, Json, str], ...] = (
        ("POST", "/v1/orgs", {"region_code": "320102"}, "name"),
        ("POST", "/v1/name-checks", {"region_code": "320102"}, "name"),
        ("PATCH", path, {}, "name"),
        ("POST", f"{path}/change-requests", {"kind": "rename"}, "name"),
        ("POST", f"{path}/units", {}, "name"),
        ("PATCH", f"{path}/units/{unit['id']}", {}, "name"),
        ("POST", f"{path}/promotions", promotion, "name"),
        ("PUT", f"{up}/change-requests/{change_request['id']}/refusal", {}, "reason"),
        ("PUT", f"{up}/applications/{application['id']}/refusal", {}, "reason"),
    )
    wrong = []
    for text in HOSTILE:
        for method, url, body, field in calls:
            status, answer = await send(founder, method, url, body | {field: text})
            checked = url == "/v1/name-checks" and status == 200 and '"name-unshowable"' in answer
            if not (checked or status in (400, 422)) or (len(text) > 100 and text in answer):
                wrong.append((text[:20], method, url, status))
        for url in ("/v1/orgs", f"{path}/units"):
            response = await founder.get(url, params={"q": text} if "\ud800" not in text else {})
            if response.status_code not in (200, 422):
                wrong.append((text[:20], "GET", url, response.status_code))
    assert wrong == []
    card = get_body(await founder.get(path))
    assert (card["name"], card["version"]) == (org["name"], org["version"] + 1)  # only the certification changed it


def test_invisible_text_is_unshowable() -> None:
    assert [text for text in INVISIBLE if not contains_refused_characters(text)] == []


async def test_name_in_any_unicode_form_is_stored_normalized(founder: Person) -> None:
    composed = await founder.create_org(name="中共Å村支部委员会")
    assert (await founder.create_org(name="中共Å村支部委员会"))["name"] == composed["name"]


async def test_name_with_rare_characters_or_markup_is_stored_unchanged(founder: Person) -> None:
    for name in ALLOWED:
        org = await founder.create_org(name=name)
        assert org["name"] == name
        found = get_body(await founder.get("/v1/orgs", params={"q": name[2:5]}))["items"]
        assert name in [item["name"] for item in found]
        unit = await add_unit(founder, org, name)
        assert unit["name"] == name
