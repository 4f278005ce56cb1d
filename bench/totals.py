"""The totals: the time of a rebuild, and their correctness after many edits."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import httpx

from app.reports.rollup.verify import find_differences
from bench.cost import Cost
from bench.rows import Row
from bench.service import Measured
from bench.world import build_org_id, measure_rebuild, roll_up_and_drop_days

EDITS = 1000  # a quarter of them at a smaller scale
FIRST_OF_LARGEST = "SELECT first FROM bench.orgs ORDER BY people DESC LIMIT 1"
AT_ONCE = 8
ADMINS = 40


def totals_rebuild(measured: Measured) -> list[Row]:
    """Measure the rows `totals_rebuild` and `totals_first_built`: the service's full rebuild of the totals, compared
    with one GROUP BY over the same day rows.

    `totals_rebuild` replaces existing totals, as when an operator runs the rebuild. `totals_first_built` fills an empty
    table; it was measured when the world was written.
    """
    figures = {
        "totals_rebuild": asyncio.run(_measure_rebuild_again(measured)),
        "totals_first_built": measured.first_built,
    }
    note = "s; two stored days, one with scores; / a scan of the day rows"
    return [
        Row.from_rounds(name, [rebuilt.each()], [scanned.each(2)], 5, at_most=True, note=note)
        for name, (rebuilt, scanned) in figures.items()
    ]


async def _measure_rebuild_again(measured: Measured) -> tuple[Cost, Cost]:
    connection = await asyncpg.connect(measured.url)
    try:
        await roll_up_and_drop_days(connection, measured.day)
        return await measure_rebuild(connection, measured.pids)
    finally:
        await connection.close()


def recount_equal(measured: Measured) -> list[Row]:
    """Measure the row `recount_equal`: many admins make random edits over HTTP, also transfers of orgs, while the
    worker rolls up. The figure is the number of differences between the stored totals and a recount afterwards."""
    rng = random.Random(7)
    count = measured.world.orgs
    orgs = [build_org_id(n) for n in rng.sample(range(count // 10, count), ADMINS)]
    headers = {org: measured.sign_in(measured.find_main_admin(org)) for org in orgs}
    done = asyncio.run(_edit_directories(measured, orgs, headers, rng))
    asyncio.run(measured.wait_for_rollup())
    found, seconds = asyncio.run(_count_differences(measured))
    return [Row("recount_equal", found, 1, found, 0, at_most=True, note=f"differences after {done}; {seconds:.0f} s")]


async def _edit_directories(
    measured: Measured, orgs: list[UUID], headers: dict[UUID, dict[str, str]], rng: random.Random
) -> str:
    people, first = max(measured.world.groups), await measured.fetch_value(FIRST_OF_LARGEST)
    done = {"added": 0, "removed": 0, "transfers": 0, "refused": 0}
    members: dict[UUID, list[str]] = {org: [] for org in orgs}
    left = EDITS if measured.scale.divisor == 1 else EDITS // 4

    async def call(api: httpx.AsyncClient, method: str, org: UUID, path: str, **body: object) -> httpx.Response:
        return await api.request(method, f"/v1/orgs/{org}{path}", json=body or None, headers=headers[org])

    async def edit_directory(api: httpx.AsyncClient) -> None:
        org = rng.choice(orgs)
        what = rng.random()
        if what < 0.02:
            moved = await _transfer(call, api, measured, org, rng.choice(orgs), headers)
            done["transfers" if moved else "refused"] += 1
        elif what < 0.35 and members[org]:
            answer = await call(api, "DELETE", org, f"/members/{members[org].pop()}")
            done["removed" if answer.status_code == 204 else "refused"] += 1
        else:
            # The phone of a person in the largest group, or an unused one.
            number = first + rng.randrange(people) if what < 0.7 else 90_000_000 + rng.randrange(9_999_999)
            person = {"name": "王伟伟", "phone": f"199{number % 10**8:08d}", "party": True}
            answer = await call(api, "POST", org, "/members", **person)
            done["added" if answer.status_code == 201 else "refused"] += 1
            if answer.status_code == 201:
                members[org].append(answer.json()["id"])

    async def edit_until_done(api: httpx.AsyncClient) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await edit_directory(api)

    async with httpx.AsyncClient(base_url=measured.ours, timeout=120) as api:
        await asyncio.gather(*(edit_until_done(api) for _ in range(AT_ONCE)))
    return ", ".join(f"{number} {name}" for name, number in done.items())


async def _transfer(
    call: Callable[..., Awaitable[httpx.Response]],
    api: httpx.AsyncClient,
    measured: Measured,
    org: UUID,
    to: UUID,
    headers: dict[UUID, dict[str, str]],
) -> bool:
    """Request, release and accept a transfer of `org` to `to`. Return False if a call is refused, for example because
    one org is already certified under the other."""
    if org == to:
        return False
    here = await measured.fetch_value(
        "SELECT superior_id FROM certifications WHERE subordinate_id = $1 AND state = 'live'", org
    )
    if here not in headers:
        headers[here] = await measured.sign_in_in_loop(
            await measured.fetch_value("SELECT main_admin_id FROM orgs WHERE id = $1", here)
        )
    token = (await call(api, "POST", to, "/invitations", max_uses=1)).json()["token"]
    created = await call(api, "POST", org, "/transfers", invitation_token=token)
    if created.status_code != 201:
        return False
    path, preview = f"/transfers/{created.json()['id']}", created.json()["preview"]["version"]
    released = await call(api, "PUT", here, f"{path}/release", preview=preview)
    accepted = await call(api, "PUT", to, f"{path}/acceptance", preview=preview)
    return bool(released.status_code == 200 and accepted.status_code == 200)


async def _count_differences(measured: Measured) -> tuple[int, float]:
    connection = await asyncpg.connect(measured.url, server_settings={"jit": "off"})
    began = time.monotonic()
    try:
        found = 0
        async for difference in find_differences(connection):
            found += 1
            if found <= 10:
                print(
                    f"    {difference.kind} {difference.key}: {difference.stored} / {difference.recounted}", flush=True
                )
        return found, time.monotonic() - began
    finally:
        await connection.close()
