"""The measurement `write_member`: people are added over HTTP with all writes that the rules require, compared with a
bare insert."""

import asyncio
import json
from collections.abc import Callable

import asyncpg
import httpx

from bench import load
from bench.cost import Round, list_processes
from bench.people import create_org, register_person
from bench.requests import measure_requests
from bench.rows import Row
from bench.service import Measured

CONNECTIONS = 16
FIRST = 64  # the first requests, which prepare the statements of each connection

# Registered people of the groups with real phones: a new row for one of them is active immediately.
_PEOPLE = """
SELECT verified_name, '199' || lpad((('x' || right(id::text, 12))::bit(48)::bigint % 100000000)::text, 8, '0')
FROM users WHERE length(phone_cipher) > 1 AND id::text LIKE '01900000-0000-7001-%' ORDER BY id
"""
# The same row in the same indexes, without triggers and foreign keys.
_WRITTEN = """
DROP TABLE IF EXISTS bench.written;
CREATE TABLE bench.written (LIKE members INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING INDEXES);
GRANT INSERT, SELECT ON bench.written TO xuezu;
"""


def write_member(measured: Measured) -> list[Row]:
    """Measure the row `write_member`: registered people are added to a new org. The service writes the member row, the
    unit membership, the activation, the audit entry, the outgoing event and the delta rows."""
    bodies = asyncio.run(_build_bodies(measured))
    size = len(bodies) // (measured.scale.rounds + 1)
    with httpx.Client(base_url=measured.ours, timeout=30) as service:
        admin = register_person(measured, service)
        path = f"/v1/orgs/{create_org(admin)}/members"
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
            until = load.Until(2 * measured.scale.seconds, FIRST, pids=tuple(list_processes(measured.pids[process])))
            taken.append(measure_requests(measured, process, send(process, number, until)))
    return [
        Row.from_rounds(
            "write_member",
            rounds["serve"],
            rounds["reference"],
            0.15,
            note="requests/s; / a bare handler that inserts the row",
        )
    ]


async def _build_bodies(measured: Measured) -> list[bytes]:
    connection = await asyncpg.connect(measured.superuser_url)
    try:
        await connection.execute(_WRITTEN)
        return [json.dumps({"name": name, "phone": phone}).encode() for name, phone in await connection.fetch(_PEOPLE)]
    finally:
        await connection.close()
