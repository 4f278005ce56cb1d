"""`write_member`: a person is added over HTTP, with everything that the rules want, beside a bare handler's insert."""

import asyncio
import json
from collections.abc import Callable

import asyncpg
import httpx

from bench import load
from bench.people import newcomer, org_of
from bench.requests import requests
from bench.rows import Row
from bench.service import Measured
from bench.taken import Round, family

CONNECTIONS = 16
FIRST = 64  # requests that prepare the statements of each connection

# Registered people of the groups, whose phones are known: a row that is added for one of them is active at once.
_PEOPLE = """
SELECT verified_name, '199' || lpad((('x' || right(id::text, 12))::bit(48)::bigint % 100000000)::text, 8, '0')
FROM users WHERE length(phone_cipher) > 1 AND id::text LIKE '01900000-0000-7001-%' ORDER BY id
"""
# The same row in the same indexes, without triggers and references.
_WRITTEN = """
DROP TABLE IF EXISTS bench.written;
CREATE TABLE bench.written (LIKE members INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING INDEXES);
GRANT INSERT, SELECT ON bench.written TO xuezu;
"""


def write_member(measured: Measured) -> list[Row]:
    """Registered people are added to a new org: row, place, activation, audit entry, event, facts for the rollup."""
    bodies = asyncio.run(_bodies(measured))
    size = len(bodies) // (measured.scale.rounds + 1)
    with httpx.Client(base_url=measured.ours, timeout=30) as service:
        admin = newcomer(measured, service)
        path = f"/v1/orgs/{org_of(admin)}/members"
    headers: dict[str, dict[str, str]] = {"serve": {"Authorization": f"Bearer {admin.token}"}, "reference": {}}
    rounds: dict[str, list[Round]] = {"serve": [], "reference": []}

    def send(process: str, number: int, until: load.Until) -> Callable[[], load.Load]:
        return lambda: load.post(
            measured.addresses[process] + path,
            headers[process],
            bodies[number * size : (number + 1) * size],
            b"",
            connections=CONNECTIONS,
            until=until,
        )

    for process in rounds:
        send(process, 0, load.Until(least=FIRST, most=FIRST))()
    for number in range(1, measured.scale.rounds + 1):
        for process, taken in rounds.items():
            until = load.Until(2 * measured.scale.seconds, FIRST, pids=tuple(family(measured.pids[process])))
            taken.append(requests(measured, process, send(process, number, until)))
    return [
        Row.of(
            "write_member",
            rounds["serve"],
            rounds["reference"],
            0.15,
            note="requests/s; / a bare handler that inserts the row",
        )
    ]


async def _bodies(measured: Measured) -> list[bytes]:
    connection = await asyncpg.connect(measured.superuser_url)
    try:
        await connection.execute(_WRITTEN)
        return [json.dumps({"name": name, "phone": phone}).encode() for name, phone in await connection.fetch(_PEOPLE)]
    finally:
        await connection.close()
