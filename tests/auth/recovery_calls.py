"""Calls about account recoveries, and the worker's part of them."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.worker.retention import CLEAN_UPS, run_clean_up
from tests.acts import Json, get_body
from tests.auth.test_accounts import list_messages, request_change_code
from tests.people import People, Person, consent_at_alipay, fresh_id_card_number, name_person

PATH = "/v1/me/account-recoveries"
Work = Callable[[], Awaitable[None]]


async def consent(person: Person, made: Json, *, consents: bool = True) -> None:
    """Prove the name of a recovery with the simulated Alipay."""
    await consent_at_alipay(person.api, made["redirect_url"], consents=consents)


async def request_by_name(person: Person, id_number: str, *, name: str | None = None, **fields: Any) -> Json:
    """Request a recovery with a proof by Alipay."""
    body = {"kind": "lost-phone", "proof": name_person(name or person.name, id_number)} | fields
    made: Json = get_body(await person.post(PATH, json=body), 201)
    return made


async def request_change(person: Person, phone: str, id_number: str, *, name: str | None = None) -> Json:
    given = await request_change_code(person, phone)
    return await request_by_name(person, id_number, name=name, kind="phone-change", phone=phone, **given)


async def read(person: Person, made: Json) -> Json:
    found: Json = get_body(await person.get(f"{PATH}/{made['id']}"))
    return found


async def let_time_pass(db: AsyncConnection, made: Json, hours: int = 73) -> None:
    moved = "UPDATE account_recoveries SET effective_at = effective_at - make_interval(hours => :hours) WHERE id = :id"
    await db.execute(text(moved), {"id": made["id"], "hours": hours})


async def run_due(engine: AsyncEngine, worker: Work) -> None:
    """Run the scheduled jobs of the recoveries."""
    for entry in CLEAN_UPS:
        if "account-recoveries" in entry.name:
            await run_clean_up(engine, entry)
    await worker()


async def find_stop_link(person: Person) -> str:
    sent = [message["text"] for message in await list_messages(person.api, person.phone)]
    (found,) = [text for text in sent if "/stop-recovery?code=" in text]
    return str(parse_qs(urlsplit(found.partition("打开 ")[2].partition(" ")[0]).query)["code"][0])


async def create_verified(people: People) -> tuple[Person, str]:
    """Create a verified person. Return them with their ID number."""
    person, id_number = await people.register(verified=False), fresh_id_card_number()
    await people.verify(person, id_number)
    return person, id_number
