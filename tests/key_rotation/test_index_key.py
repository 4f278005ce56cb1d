"""Rotating the index key beside everything that finds people by phone: killed, gone on with, and nobody is lost."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import LargeBinary, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit_log.entries import Actor
from app.blind_index.keys import require_index_keys
from app.core.calendar import today
from app.core.cipher import Cipher
from app.core.settings import CannotStart, Settings, make_key
from app.database.db import ENGINE, Table
from app.key_rotation.index_key import SHARED_COLUMNS, SINGLE_ROW_COLUMNS, NextKeyMissing, rotate_index_key
from app.main import create_app
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.verify import differences
from app.schema.members import Member
from app.worker.worker import run_worker
from tests.acts import Json, add_admin, add_member, add_unit, certify, done, invite_admin
from tests.conftest import migrated_database
from tests.members.sheets import check, merge, xlsx
from tests.people import People, Person, fresh_id_number, fresh_phone

ALL = (*SHARED_COLUMNS, *SINGLE_ROW_COLUMNS, Member.phone_index)

_ROTATE = """
import asyncio
from app.audit_log.entries import Actor
from app.commands.configuration import read_settings
from app.database.db import create_engine
from app.key_rotation.index_key import rotate_index_key
settings = read_settings()
engine = create_engine(settings)
asyncio.run(rotate_index_key(engine, settings, Actor(), lambda share: print(share, flush=True), step=1))
"""


def test_every_index_is_rotated() -> None:
    found = {
        f"{table.name}.{column.name}"
        for table in Table.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_index") and isinstance(column.type, LargeBinary)
    }
    assert {f"{column.class_.__tablename__}.{column.key}" for column in ALL} == found


@dataclass(frozen=True)
class Keys:
    """The settings of a process before a rotation, while it is under way, and after it."""

    before: Settings
    both: Settings
    after: Settings


@pytest.fixture
def keys(server_url: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    url = migrated_database(server_url, f"xuezu_{worker_id}_index_keys")
    before = Settings(
        database_url=SecretStr(url), data_dir=tmp_path_factory.mktemp("index-keys"), database_pool=12
    ).with_secrets()
    new = make_key()
    assert before.index_key is not None
    return Keys(
        before,
        before.model_copy(update={"next_index_key": SecretStr(new)}),
        before.model_copy(update={"index_key": SecretStr(f"{new},{before.index_key.get_secret_value()}")}),
    )


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, AsyncEngine]]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("127.0.0.1", 50000)),
            base_url="http://localhost:8000",
            headers={"Accept-Language": "en"},
        ) as api,
    ):
        yield api, ENGINE.of(app)


@dataclass
class Scene:
    """Two orgs, one under the other, with a row of everything that is found by a phone or an ID number."""

    admin: Person
    above: Json
    below: Json
    users: list[Person]
    active: Json
    twice: str
    renumbered: tuple[str, str]
    removed: Json
    waiting: Json
    import_id: str
    large_import_id: str

    def at(self, org: Json, member: Json, more: str = "") -> str:
        return f"/v1/orgs/{org['id']}/members/{member['id']}{more}"

    def through(self, api: httpx.AsyncClient) -> None:
        """From here on everybody calls this process."""
        for person in (self.admin, *self.users):
            person.api = api


async def make_scene(api: httpx.AsyncClient, work: Callable[[], Awaitable[None]]) -> Scene:
    people = People(api)
    admin = await people.register()
    users = [await people.register(verified=number == 0) for number in range(5)]
    above, below = await admin.create_org(), await admin.create_org()
    await certify(admin, above, admin, below)
    unit = await add_unit(admin, below, "一支部")
    active = await add_member(admin, below, unit, phone=users[1].phone)
    twice = fresh_phone()
    for org in (above, below):
        await add_member(admin, org, name="同一人", phone=twice)
    was, becomes = fresh_phone(), fresh_phone()
    renumbered = await add_member(admin, below, phone=was)
    await add_member(admin, above, phone=was)
    done(await admin.patch(f"/v1/orgs/{below['id']}/members/{renumbered['id']}", json={"phone": becomes}))
    removed = await add_member(admin, below, name="移出", phone=fresh_phone())
    done(await admin.delete(f"/v1/orgs/{below['id']}/members/{removed['id']}"), 204)
    await add_admin(admin, above, users[0])
    invited = await invite_admin(admin, below, users[2])
    offer = {"name": "中共测试县一支部委员会", "to": {"phone": users[3].phone}}
    done(await admin.post(f"/v1/orgs/{below['id']}/promotions", json=offer | {"unit_id": unit["id"]}), 201)
    card = {"method": "id-card", "name": users[4].name, "id_number": fresh_id_number()}
    done(await users[4].post("/v1/me/verifications", json=card), 201)
    rows = [("表中人", fresh_phone(), "一支部"), ("同一人", twice, "一支部")]
    imports = [await check(admin, below["id"], work, xlsx(rows))]
    rows = [("表中人", fresh_phone(), "一支部") for _ in range(30)]
    imports.append(await check(admin, below["id"], work, xlsx(rows)))
    ids = [one["id"] for one in imports]
    return Scene(admin, above, below, users, active, twice, (was, becomes), removed, invited, *ids)


async def confirm(scene: Scene, import_id: str, settings: Settings) -> Json:
    """Have an import merged that has been ready for long; gives its counts."""
    path = f"/v1/orgs/{scene.below['id']}/imports/{import_id}"
    done(await scene.admin.put(f"{path}/confirmation", json={}), 202)
    await run_worker(settings, until_idle=True)
    found: Json = done(await scene.admin.get(path))
    assert found["state"] == "done"
    return dict(found["counts"])


async def former_phones(engine: AsyncEngine) -> int:
    async with engine.connect() as db:
        return int(await db.scalar(text("SELECT count(*) FROM member_phones")) or 0)


async def totals_differ(url: str) -> list[Any]:
    """What differs in the totals from a recount, after everything that waits has been rolled up."""
    connection = await asyncpg.connect(url)
    try:
        while await run_cycle(connection):
            pass
        await build_missing_days(connection, today(), tomorrow=False)
        return [one async for one in differences(connection)]
    finally:
        await connection.close()


async def left(engine: AsyncEngine, length: int) -> dict[str, int]:
    """By column, how many indexes are not this long."""
    found = {}
    async with engine.connect() as db:
        for column in ALL:
            table, name = column.class_.__tablename__, column.key
            statement = f"SELECT count(*) FROM {table} WHERE octet_length({name}) <> {length}"
            found[f"{table}.{name}"] = await db.scalar(text(statement))
    return {name: count for name, count in found.items() if count}


def kill_in_the_middle(settings: Settings) -> int:
    """A rotation in a process of its own, killed (-9) once it has brought some values over; gives how many it said."""
    secrets = ("database_url", "data_keys", "index_key", "next_index_key")
    given = {f"XUEZU_{name.upper()}": getattr(settings, name).get_secret_value() for name in secrets}
    environment = os.environ | given | {"XUEZU_DATA_DIR": str(settings.data_dir)}
    with subprocess.Popen(
        [sys.executable, "-c", _ROTATE], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = 0
        for said, _ in enumerate(process.stdout, 1):
            if said == 12:
                process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return said


async def find_everybody(scene: Scene, api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """Everybody is who they were and where they were, by phone, by four digits, by what waits for them."""
    admin, below = scene.admin, scene.below
    async with engine.begin() as db:
        await db.execute(text("DELETE FROM rate_limits"))  # of codes: five a phone in half an hour

    async def sign_in(user: Person) -> None:
        again = await People(api).register(phone=user.phone, verified=False, party=False)
        assert again.user_id == user.user_id

    await asyncio.gather(*(sign_in(user) for user in scene.users))
    for phone in (scene.twice, scene.renumbered[1], scene.users[1].phone):
        refused = await admin.post(f"/v1/orgs/{below['id']}/members", json={"name": "又来", "phone": phone})
        assert refused.status_code == 409, (phone, refused.text)
        found = done(await admin.get(f"/v1/orgs/{below['id']}/members", params={"q": phone[-4:]}))["items"]
        assert refused.json()["member"]["id"] in [one["id"] for one in found]
    assert done(await admin.get(scene.at(below, scene.active)))["active"] is True
    (waits,) = done(await scene.users[2].get("/v1/inbox"))["items"]
    assert waits["kind"] == "admin-invitation"
    assert done(await scene.users[2].get(f"/v1/me/admin-invitations/{scene.waiting['id']}"))
    (offered,) = done(await scene.users[3].get("/v1/inbox"))["items"]
    assert offered["kind"] == "promotion"
    done(await admin.post(scene.at(below, scene.removed, "/restorations")), 201)
    done(await admin.delete(scene.at(below, scene.removed)), 204)


@pytest.mark.long
async def test_nobody_is_lost_and_nobody_is_twice(keys: Keys) -> None:
    url = keys.before.database_url
    assert url is not None
    async with served(keys.before) as (api, engine):
        scene = await make_scene(api, lambda: run_worker(keys.before, until_idle=True))
        await find_everybody(scene, api, engine)
        assert await totals_differ(url.get_secret_value()) == []
        # As long as a process does not know the new key, nothing is begun.
        async with served(keys.both) as (_, both):
            with pytest.raises(NextKeyMissing):
                await rotate_index_key(both, keys.both, Actor(), lambda _: None)
        assert await left(engine, 16) == {}
    async with served(keys.both) as (api, engine):
        scene.through(api)
        await find_everybody(scene, api, engine)
        before = await former_phones(engine)
        assert await asyncio.to_thread(kill_in_the_middle, keys.both) == 12
        assert await former_phones(engine) == before == 1  # nobody has another phone now
        in_the_middle = await left(engine, 16), await left(engine, 17)
        assert all(in_the_middle)
        await find_everybody(scene, api, engine)
        assert (await confirm(scene, scene.large_import_id, keys.both))["added"] == 30
        assert await totals_differ(url.get_secret_value()) == []
        async with engine.connect() as rollup, rollup.begin():
            await rollup.execute(text("LOCK TABLE stored_days IN EXCLUSIVE MODE"))  # as a rollup cycle does
            unfolded = await left(engine, 17)
            rotating = asyncio.create_task(rotate_index_key(engine, keys.both, Actor(), lambda _: None))
            await asyncio.wait({rotating}, timeout=0.3)
            assert await left(engine, 17) == unfolded
            rotating.cancel()
            await asyncio.gather(rotating, return_exceptions=True)
        await go_on_beside_writers(scene, keys, api, engine)
        assert await left(engine, 17) == {}
        await find_everybody(scene, api, engine)
    with pytest.raises(CannotStart, match="holds 1 keys"):
        await require_index_keys(keys.before)
    await require_index_keys(keys.both)
    await require_index_keys(keys.after)
    async with served(keys.after) as (api, engine):
        scene.through(api)
        await find_everybody(scene, api, engine)
        # The sheet that was checked before the rotation.
        counts = await confirm(scene, scene.import_id, keys.after)
        assert (counts["added"], counts["moved"], counts["refused"]) == (1, 1, 0)
        assert await totals_differ(url.get_secret_value()) == []
        assert await left(engine, 17) == {}
        async with engine.connect() as db:
            people = await db.scalars(text("SELECT DISTINCT person FROM memberships WHERE NOT activated"))
            index = Cipher(keys.after).phone_index(scene.twice)
            assert index[:16] in {person.bytes for person in people.all()}


async def go_on_beside_writers(scene: Scene, keys: Keys, api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """The rotation to its end, value by value, while phones come in from several sides at once."""
    admin, below, people = scene.admin, scene.below, People(api)
    url = keys.both.database_url
    assert url is not None
    path = f"/v1/orgs/{below['id']}/members"
    rotating = asyncio.create_task(rotate_index_key(engine, keys.both, Actor(), lambda _: None, step=4))

    async def take_one_phone_from_three_sides() -> None:
        phone = fresh_phone()
        body = {"name": "甲", "phone": phone}
        *added, _ = await asyncio.gather(
            admin.post(path, json=body),
            admin.post(path, json=body),
            people.register(phone=phone, verified=False, party=False),
        )
        assert sorted(answer.status_code for answer in added) == [201, 409]
        member = next(answer.json() for answer in added if answer.status_code == 201)
        assert done(await admin.get(scene.at(below, member)))["active"] is True

    async def change_phones() -> None:
        members = [await add_member(admin, org) for org in (scene.above, below)]
        body = {"phone": fresh_phone()}
        answers = await asyncio.gather(
            *(
                admin.patch(scene.at(org, member), json=body)
                for org, member in zip((scene.above, below), members, strict=True)
            )
        )
        assert [answer.status_code for answer in answers] == [200, 200]

    async def come_in_by_a_sheet() -> None:
        phone = fresh_phone()
        rows = [("表中人", phone, "一支部"), ("表中人", fresh_phone(), "一支部")]
        imported, added = await asyncio.gather(
            merge(admin, below["id"], lambda: run_worker(keys.both, until_idle=True), xlsx(rows)),
            admin.post(path, json={"name": "表中人", "phone": phone}),
        )
        assert imported["state"] == "done"
        assert added.status_code in (201, 409)

    async def run_cycles() -> None:
        assert await totals_differ(url.get_secret_value()) == []
        await asyncio.sleep(0.2)

    async def until_done(act: Callable[[], Awaitable[None]]) -> int:
        rounds = 0
        while not rotating.done():
            await act()
            rounds += 1
        return rounds

    acts = (take_one_phone_from_three_sides, change_phones, come_in_by_a_sheet, run_cycles)
    rounds = await asyncio.gather(*(until_done(act) for act in (*acts, lambda: find_everybody(scene, api, engine))))
    await rotating
    assert min(rounds) > 0
    async with engine.connect() as db:
        doubled = "SELECT org_id FROM members WHERE removed_at IS NULL GROUP BY org_id, phone_index HAVING count(*) > 1"
        assert (await db.execute(text(doubled))).all() == []
