"""What somebody may type where a name or a reason is asked for: shown as it is, or refused; never a 500."""

import json

import pytest

from app.core.text import has_unshowable
from tests.acts import Json, add_unit, apply, ask, certify, done, invite
from tests.people import People, Person, fresh_phone

KEPT = (
    "中共😀村支部委员会",
    "中共𠀀𪚥村支部委员会",
    "中共Å村支部委员会",
    "中共<b>&'\"村支部委员会",
    "中共%00村支部委员会",
    "中共👨\u200d👩\u200d👧村支部委员会",
    "中共邊\U000e0100村支部委员会",
)
# What shows as nothing: the name looks like another one, or the suffix that is not typed (S3) like none.
SHOWN_AS_NOTHING = (
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
    SHOWN_AS_NOTHING[0],
    "中共\n村支部委员会",
    "中共\ud800村支部委员会",
    "村" * 500,
    "   ",
    "",
)


async def send(person: Person, method: str, path: str, body: Json) -> tuple[int, str]:
    """As raw JSON: lone surrogates can be written in it."""
    headers = {"Content-Type": "application/json"}
    answer = await person.request(method, path, content=json.dumps(body), headers=headers)
    return answer.status_code, answer.text


@pytest.fixture(scope="module")
async def founder(people: People) -> Person:
    return await people.register()


async def test_hostile_text_is_refused_wherever_a_name_or_reason_is_taken(founder: Person) -> None:
    above, org = await founder.create_org(), await founder.create_org()
    await certify(founder, above, founder, org)
    unit = await add_unit(founder, org, "第一支部")
    asked = done(await ask(founder, org, kind="rename", name="中共测试区委员会"), 201)
    waiting = done(await apply(founder, await founder.create_org(), (await invite(founder, above))["token"]), 201)
    path, up = f"/v1/orgs/{org['id']}", f"/v1/orgs/{above['id']}"
    promotion = {"unit_id": unit["id"], "to": {"phone": fresh_phone()}}
    places: tuple[tuple[str, str, Json, str], ...] = (
        ("POST", "/v1/orgs", {"region_code": "320102"}, "name"),
        ("POST", "/v1/name-checks", {"region_code": "320102"}, "name"),
        ("PATCH", path, {}, "name"),
        ("POST", f"{path}/change-requests", {"kind": "rename"}, "name"),
        ("POST", f"{path}/units", {}, "name"),
        ("PATCH", f"{path}/units/{unit['id']}", {}, "name"),
        ("POST", f"{path}/promotions", promotion, "name"),
        ("PUT", f"{up}/change-requests/{asked['id']}/refusal", {}, "reason"),
        ("PUT", f"{up}/applications/{waiting['id']}/refusal", {}, "reason"),
    )
    wrong = []
    for text in HOSTILE:
        for method, place, body, field in places:
            status, said = await send(founder, method, place, body | {field: text})
            checked = place == "/v1/name-checks" and status == 200 and '"name-unshowable"' in said
            if not (checked or status in (400, 422)) or (len(text) > 100 and text in said):
                wrong.append((text[:20], method, place, status))
        for place in ("/v1/orgs", f"{path}/units"):
            answered = await founder.get(place, params={"q": text} if "\ud800" not in text else {})
            if answered.status_code not in (200, 422):
                wrong.append((text[:20], "GET", place, answered.status_code))
    assert wrong == []
    card = done(await founder.get(path))
    assert (card["name"], card["version"]) == (org["name"], org["version"] + 1)  # certified, and nothing since


def test_what_shows_as_nothing_is_unshowable() -> None:
    assert [text for text in SHOWN_AS_NOTHING if not has_unshowable(text)] == []


async def test_a_name_is_one_text_however_it_was_typed(founder: Person) -> None:
    composed = await founder.create_org(name="中共Å村支部委员会")
    assert (await founder.create_org(name="中共Å村支部委员会"))["name"] == composed["name"]


async def test_rare_characters_and_markup_are_kept_as_they_are(founder: Person) -> None:
    for name in KEPT:
        org = await founder.create_org(name=name)
        assert org["name"] == name
        found = done(await founder.get("/v1/orgs", params={"q": name[2:5]}))["items"]
        assert name in [item["name"] for item in found]
        unit = await add_unit(founder, org, name)
        assert unit["name"] == name
