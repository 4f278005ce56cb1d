"""The phone simulator: ID card, inbox, and codes read out of pictures; over HTTP."""

import io
import re
from urllib.parse import parse_qs, urlsplit

import httpx
from PIL import Image

from app.console.site import routers
from app.qr import draw_png
from app.settings import Environment, Settings
from tests.acts import add_member, add_unit, apply, done, invite, invite_admin
from tests.console.conftest import ORIGIN, pick_up
from tests.people import People, fresh_id_number


async def test_an_id_card_is_handed_in_and_waits(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register(verified=False)
    await pick_up(visitor, person)
    path = "/phone/verification/id-card"
    number = fresh_id_number()
    wrong = number[:-1] + ("0" if number[-1] != "0" else "1")
    refused = await visitor.post(path, data={"name": "王小明", "id_number": wrong}, headers=ORIGIN)
    assert refused.status_code == 422
    assert 'value="王小明"' in refused.text
    assert wrong not in refused.text
    handed_in = await visitor.post(path, data={"name": "王小明", "id_number": number}, headers=ORIGIN)
    assert handed_in.status_code == 303, handed_in.text
    assert "等待审核" in (await visitor.get("/phone/")).text
    again = await visitor.post(path, data={"name": "王小明", "id_number": number}, headers=ORIGIN)
    assert (again.status_code, "正在审核" in again.text) == (409, True)


async def test_the_inbox_is_answered_on_the_phone(visitor: httpx.AsyncClient, people: People) -> None:
    main, person = await people.register(), await people.register()
    org, mine = await main.create_org(), await person.create_org()
    unit = await add_unit(main, org, "第九党支部")
    await add_member(main, org, unit)
    await invite_admin(main, org, person)
    offer = {"unit_id": unit["id"], "to": {"phone": person.phone}, "name": f"{org['name'][:-3]}第九支部委员会"}
    done(await main.post(f"/v1/orgs/{org['id']}/promotions", json=offer), 201)
    third = await people.register()
    below = await third.create_org()
    done(await apply(third, below, (await invite(person, mine))["token"]), 201)
    await pick_up(visitor, person)
    assert re.search(r"消息 <span class=\"tag red\">3<", (await visitor.get("/phone/")).text)
    shown = (await visitor.get("/phone/inbox")).text
    for name in (org["name"], "第九党支部", below["name"]):
        assert name in shown
    forms = re.findall(r'action="(/phone/inbox/[^"]+/(?:acceptance|approval))"', shown)
    assert len(forms) == 3
    for form in forms:
        answered = await visitor.post(form, headers=ORIGIN)
        assert answered.status_code == 303, answered.text
    assert "没有要处理的消息" in (await visitor.get("/phone/inbox")).text
    again = await visitor.post(forms[0], headers=ORIGIN)
    assert again.status_code in {404, 409}
    administered = {one["name"] for one in done(await person.get("/v1/me/orgs"))}
    assert {org["name"], offer["name"]} <= administered


async def points_of(text: str) -> tuple[bytes, dict[str, int]]:
    made = io.BytesIO()
    made.write(await draw_png(text))
    picture = Image.open(made).convert("L")
    return picture.tobytes(), {"width": picture.width, "height": picture.height}


async def test_a_code_is_read_out_of_a_picture(visitor: httpx.AsyncClient, people: People) -> None:
    points, size = await points_of("http://localhost:8000/phone/scan?code=WDJB-MJHT")
    unknown = await visitor.post("/phone/pictures", params=size, content=points, headers=ORIGIN)
    assert unknown.status_code == 303  # to the sign-in
    await pick_up(visitor, await people.register())
    read = await visitor.post("/phone/pictures", params=size, content=points, headers=ORIGIN)
    assert read.json() == {"text": "http://localhost:8000/phone/scan?code=WDJB-MJHT"}
    nothing = await visitor.post("/phone/pictures", params=size, content=bytes(len(points)), headers=ORIGIN)
    assert nothing.status_code == 204
    for wrong, status in (({"width": 16, "height": 16}, 422), ({"width": 9999, "height": 1}, 422)):
        refused = await visitor.post("/phone/pictures", params=wrong, content=points, headers=ORIGIN)
        assert refused.status_code == status


async def test_a_pasted_link_leads_where_it_says(visitor: httpx.AsyncClient, people: People) -> None:
    main = await people.register()
    org = await main.create_org()
    link = (await invite(main, org))["link"]
    await pick_up(visitor, await people.register())
    followed = await visitor.post("/phone/scans", data={"code": link}, headers=ORIGIN)
    assert followed.status_code == 303
    assert parse_qs(urlsplit(followed.headers["location"]).query) == parse_qs(urlsplit(link).query)
    assert org["name"] in (await visitor.get(followed.headers["location"])).text
    wrong = await visitor.post("/phone/scans", data={"code": "http://evil.example/"}, headers=ORIGIN)
    assert wrong.status_code == 404
    assert "http://evil.example/" in wrong.text


def test_there_is_no_such_phone_in_production(settings: Settings) -> None:
    production = settings.model_copy(update={"env": Environment.PRODUCTION})
    assert any(router.prefix.startswith("/phone") for router in routers(settings))
    assert not any(router.prefix.startswith("/phone") for router in routers(production))
