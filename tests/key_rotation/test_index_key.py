"""Rotation of the index key beside all features that find people by phone: it survives a kill and loses no person."""

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
from app.blind_index.key_checks import require_keys
from app.core.calendar import today
from app.core.cipher import Cipher
from app.core.settings import CannotStart, Settings, make_key
from app.database.db import ENGINE, Table
from app.key_rotation.index_key import SHARED_COLUMNS, SINGLE_ROW_COLUMNS, NextKeyMissing, rotate_index_key
from app.main import create_app
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.verify import find_differences
from app.schema.members import Member
from app.worker.worker import run_worker
from tests.acts import Json, add_admin, add_member, add_unit, certify, get_body, invite_admin
from tests.conftest import migrated_database
from tests.members.sheets import check, merge, xlsx
from tests.people import People, Person, fresh_phone, name_person

ALL_COLUMNS = (*SHARED_COLUMNS, *SINGLE_ROW_COLUMNS, Member.phone_index)

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
    assert {f"{column.class_.__tablename__}.{column.key}" for column in ALL_COLUMNS} == found


@dataclass(frozen=True)
class Keys:
    """The settings of a process before, during and after a rotation."""

    before: Settings
    both: Settings
    after: Settings


@pytest.fixture
def keys(server_url: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    url = migrated_database(server_url, f"xuezu_{worker_id}_index_keys")
    before = Settings(
        database_url=SecretStr(url), data_dir=tmp_path_factory.mktemp("index-keys"), database_pool=12
    ).complete_secrets()
    new = make_key()
    assert before.index_key is not None
    return Keys(
        before,
        before.model_copy(update={"next_index_key": SecretStr(new)}),
        before.model_copy(update={"index_key": SecretStr(f"{new},{before.index_key.get_secret_value()}")}),
    )


@asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, AsyncEngine]]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("127.0.0.1", 50000)),
            base_url="http://localhost:8000",
            headers={"Accept-Language": "en"},
        ) as api,
    ):
        yield api, ENGINE.get(app)


@dataclass
class Scene:
    """A superior and its subordinate, with a row of each kind that is found by a phone or an ID number."""

    admin: Person
    superior: Json
    subordinate: Json
    users: list[Person]
    active: Json
    shared_phone: str
    renumbered: tuple[str, str]
    removed: Json
    waiting: Json
    import_id: str
    large_import_id: str

    def get_member_path(self, org: Json, member: Json, more: str = "") -> str:
        return f"/v1/orgs/{org['id']}/members/{member['id']}{more}"

    def use_process(self, api: httpx.AsyncClient) -> None:
        """Send all later requests of the scene's people to this process."""
        for person in (self.admin, *self.users):
            person.api = api


async def make_scene(api: httpx.AsyncClient, work: Callable[[], Awaitable[None]]) -> Scene:
    people = People(api)
    admin = await people.register()
    users = [await people.register(verified=number == 0) for number in range(5)]
    superior, subordinate = await admin.create_org(), await admin.create_org()
    await certify(admin, superior, admin, subordinate)
    unit = await add_unit(admin, subordinate, "一支部")
    active = await add_member(admin, subordinate, unit, phone=users[1].phone)
    shared_phone = fresh_phone()
    for org in (superior, subordinate):
        await add_member(admin, org, name="同一人", phone=shared_phone)
    old_phone, new_phone = fresh_phone(), fresh_phone()
    renumbered = await add_member(admin, subordinate, phone=old_phone)
    await add_member(admin, superior, phone=old_phone)
    get_body(await admin.patch(f"/v1/orgs/{subordinate['id']}/members/{renumbered['id']}", json={"phone": new_phone}))
    removed = await add_member(admin, subordinate, name="移出", phone=fresh_phone())
    get_body(await admin.delete(f"/v1/orgs/{subordinate['id']}/members/{removed['id']}"), 204)
    await add_admin(admin, superior, users[0])
    invited = await invite_admin(admin, subordinate, users[2])
    offer = {"name": "中共测试县一支部委员会", "to": {"phone": users[3].phone}}
    get_body(await admin.post(f"/v1/orgs/{subordinate['id']}/promotions", json=offer | {"unit_id": unit["id"]}), 201)
    card = name_person(users[4].name, method="id-card")
    get_body(await users[4].post("/v1/me/verifications", json=card), 201)
    rows = [("表中人", fresh_phone(), "一支部"), ("同一人", shared_phone, "一支部")]
    imports = [await check(admin, subordinate["id"], work, xlsx(rows))]
    rows = [(f"表中人{number}", fresh_phone(), "一支部") for number in range(30)]
    imports.append(await check(admin, subordinate["id"], work, xlsx(rows)))
    ids = [item["id"] for item in imports]
    return Scene(
        admin, superior, subordinate, users, active, shared_phone, (old_phone, new_phone), removed, invited, *ids
    )


async def confirm(scene: Scene, import_id: str, settings: Settings) -> Json:
    """Merge a staged import and return its counts."""
    path = f"/v1/orgs/{scene.subordinate['id']}/imports/{import_id}"
    get_body(await scene.admin.put(f"{path}/confirmation", json={"preview": 1}), 202)
    await run_worker(settings, until_idle=True)
    found: Json = get_body(await scene.admin.get(path))
    assert found["state"] == "done"
    return dict(found["counts"])


async def count_former_phones(engine: AsyncEngine) -> int:
    async with engine.connect() as db:
        return int(await db.scalar(text("SELECT count(*) FROM member_phones")) or 0)


async def list_total_differences(url: str) -> list[Any]:
    """Roll up all waiting facts, then return the differences between the totals and a recount."""
    connection = await asyncpg.connect(url)
    try:
        while await run_cycle(connection):
            pass
        await build_missing_days(connection, today(), tomorrow=False)
        return [difference async for difference in find_differences(connection)]
    finally:
        await connection.close()


async def count_indexes_of_other_length(engine: AsyncEngine, length: int) -> dict[str, int]:
    """Return the number of indexes with another length than `length`, by column. Columns without any are absent."""
    found = {}
    async with engine.connect() as db:
        for column in ALL_COLUMNS:
            table, name = column.class_.__tablename__, column.key
            statement = f"SELECT count(*) FROM {table} WHERE octet_length({name}) <> {length}"
            found[f"{table}.{name}"] = await db.scalar(text(statement))
    return {name: count for name, count in found.items() if count}


def kill_rotation_halfway(settings: Settings) -> int:
    """Run a rotation in its own process, kill it (-9) after 12 progress reports and return the number of reports."""
    secrets = ("database_url", "data_keys", "index_key", "next_index_key")
    given = {f"XUEZU_{name.upper()}": getattr(settings, name).get_secret_value() for name in secrets}
    environment = os.environ | given | {"XUEZU_DATA_DIR": str(settings.data_dir)}
    with subprocess.Popen(
        [sys.executable, "-c", _ROTATE], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        reported = 0
        for reported, _ in enumerate(process.stdout, 1):
            if reported == 12:
                process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    return reported


async def verify_scene(scene: Scene, api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """Assert that each person is found, unchanged, by phone, by four digits and by their waiting requests."""
    admin, subordinate = scene.admin, scene.subordinate
    async with engine.begin() as db:
        await db.execute(text("DELETE FROM rate_limits"))  # The limit is five codes per phone in half an hour.

    async def sign_in(user: Person) -> None:
        again = await People(api).register(phone=user.phone, verified=False, party=False)
        assert again.user_id == user.user_id

    await asyncio.gather(*(sign_in(user) for user in scene.users))
    for phone in (scene.shared_phone, scene.renumbered[1], scene.users[1].phone):
        refused = await admin.post(f"/v1/orgs/{subordinate['id']}/members", json={"name": "又来", "phone": phone})
        assert refused.status_code == 409, (phone, refused.text)
        found = get_body(await admin.get(f"/v1/orgs/{subordinate['id']}/members", params={"q": phone[-4:]}))["items"]
        assert refused.json()["member"]["id"] in [item["id"] for item in found]
    assert get_body(await admin.get(scene.get_member_path(subordinate, scene.active)))["active"] is True
    (waiting,) = get_body(await scene.users[2].get("/v1/inbox"))["items"]
    assert waiting["kind"] == "admin-invitation"
    assert get_body(await scene.users[2].get(f"/v1/me/admin-invitations/{scene.waiting['id']}"))
    (offered,) = get_body(await scene.users[3].get("/v1/inbox"))["items"]
    assert offered["kind"] == "promotion"
    get_body(await admin.post(scene.get_member_path(subordinate, scene.removed, "/restorations")), 201)
    get_body(await admin.delete(scene.get_member_path(subordinate, scene.removed)), 204)


@pytest.mark.long
async def test_index_key_rotation_during_writes_loses_and_duplicates_no_person(keys: Keys) -> None:
    url = keys.before.database_url
    assert url is not None
    async with serve(keys.before) as (api, engine):
        scene = await make_scene(api, lambda: run_worker(keys.before, until_idle=True))
        await verify_scene(scene, api, engine)
        assert await list_total_differences(url.get_secret_value()) == []
        # A rotation does not begin while a process lacks the new key.
        async with serve(keys.both) as (_, both):
            with pytest.raises(NextKeyMissing):
                await rotate_index_key(both, keys.both, Actor(), lambda _: None)
        assert await count_indexes_of_other_length(engine, 16) == {}
    async with serve(keys.both) as (api, engine):
        scene.use_process(api)
        await verify_scene(scene, api, engine)
        before = await count_former_phones(engine)
        assert await asyncio.to_thread(kill_rotation_halfway, keys.both) == 12
        assert await count_former_phones(engine) == before == 1  # no phone has changed
        lengths = await count_indexes_of_other_length(engine, 16), await count_indexes_of_other_length(engine, 17)
        assert all(lengths)
        await verify_scene(scene, api, engine)
        assert (await confirm(scene, scene.large_import_id, keys.both))["added"] == 30
        assert await list_total_differences(url.get_secret_value()) == []
        async with engine.connect() as rollup, rollup.begin():
            await rollup.execute(text("LOCK TABLE stored_days IN EXCLUSIVE MODE"))  # as a rollup cycle does
            before_lock = await count_indexes_of_other_length(engine, 17)
            rotating = asyncio.create_task(rotate_index_key(engine, keys.both, Actor(), lambda _: None))
            await asyncio.wait({rotating}, timeout=0.3)
            assert await count_indexes_of_other_length(engine, 17) == before_lock
            rotating.cancel()
            await asyncio.gather(rotating, return_exceptions=True)
        await finish_rotation_during_writes(scene, keys, api, engine)
        assert await count_indexes_of_other_length(engine, 17) == {}
        await verify_scene(scene, api, engine)
    with pytest.raises(CannotStart, match="has 1 keys"):
        await require_keys(keys.before)
    await require_keys(keys.both)
    await require_keys(keys.after)
    async with serve(keys.after) as (api, engine):
        scene.use_process(api)
        await verify_scene(scene, api, engine)
        # This sheet was checked before the rotation.
        counts = await confirm(scene, scene.import_id, keys.after)
        assert (counts["added"], counts["moved"], counts["refused"]) == (1, 1, 0)
        assert await list_total_differences(url.get_secret_value()) == []
        assert await count_indexes_of_other_length(engine, 17) == {}
        async with engine.connect() as db:
            people = await db.scalars(text("SELECT DISTINCT person FROM memberships WHERE NOT activated"))
            index = Cipher(keys.after).index_phone(scene.shared_phone)
            assert index[:16] in {person.bytes for person in people.all()}


async def finish_rotation_during_writes(scene: Scene, keys: Keys, api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    """Run the rotation to its end in steps of four values, while several writers add phones at the same time."""
    admin, subordinate, people = scene.admin, scene.subordinate, People(api)
    url = keys.both.database_url
    assert url is not None
    path = f"/v1/orgs/{subordinate['id']}/members"
    rotating = asyncio.create_task(rotate_index_key(engine, keys.both, Actor(), lambda _: None, step=4))

    async def use_one_phone_in_three_requests() -> None:
        phone = fresh_phone()
        body = {"name": "甲", "phone": phone}
        *added, _ = await asyncio.gather(
            admin.post(path, json=body),
            admin.post(path, json=body),
            people.register(phone=phone, verified=False, party=False),
        )
        assert sorted(answer.status_code for answer in added) == [201, 409]
        member = next(answer.json() for answer in added if answer.status_code == 201)
        assert get_body(await admin.get(scene.get_member_path(subordinate, member)))["active"] is True

    async def change_phones() -> None:
        members = [await add_member(admin, org) for org in (scene.superior, subordinate)]
        body = {"phone": fresh_phone()}
        answers = await asyncio.gather(
            *(
                admin.patch(scene.get_member_path(org, member), json=body)
                for org, member in zip((scene.superior, subordinate), members, strict=True)
            )
        )
        assert [answer.status_code for answer in answers] == [200, 200]

    async def import_a_sheet() -> None:
        phone = fresh_phone()
        rows = [("另一人", phone, "一支部"), ("又一人", fresh_phone(), "一支部")]
        imported, added = await asyncio.gather(
            merge(admin, subordinate["id"], lambda: run_worker(keys.both, until_idle=True), xlsx(rows)),
            admin.post(path, json={"name": "表中人", "phone": phone}),
        )
        assert imported["state"] == "done"
        assert added.status_code in (201, 409)

    async def run_cycles() -> None:
        assert await list_total_differences(url.get_secret_value()) == []
        await asyncio.sleep(0.2)

    async def repeat_until_done(action: Callable[[], Awaitable[None]]) -> int:
        rounds = 0
        while not rotating.done():
            await action()
            rounds += 1
        return rounds

    actions = (use_one_phone_in_three_requests, change_phones, import_a_sheet, run_cycles)
    rounds = await asyncio.gather(
        *(repeat_until_done(action) for action in (*actions, lambda: verify_scene(scene, api, engine)))
    )
    await rotating
    assert min(rounds) > 0
    async with engine.connect() as db:
        doubled = "SELECT org_id FROM members WHERE removed_at IS NULL GROUP BY org_id, phone_index HAVING count(*) > 1"
        assert (await db.execute(text(doubled))).all() == []
