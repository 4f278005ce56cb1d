"""Batches that are sent as gzip: what they unpack to is what counts, and nothing unpacks to more than a plain body."""

import gzip
import io
import json
import os
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.main import MAX_BODY
from app.points.gzip_bodies import MAX_MEMBERS, BrokenGzip, unpack
from app.web.errors import BodyTooLarge
from tests.people import People
from tests.points.services import PointsService, event

UNKNOWN = "00000000-0000-7000-8000-000000000000"


def batch(*events: dict[str, Any]) -> bytes:
    return json.dumps({"events": list(events or [event(UNKNOWN)])}).encode()


async def post(service: PointsService, body: bytes | AsyncIterator[bytes], encoding: str = "gzip") -> httpx.Response:
    headers = service.headers | {"Content-Type": "application/json", "Content-Encoding": encoding}
    return await service.api.post("/v1/point-events", content=body, headers=headers)


async def pieces(body: bytes, size: int = 1) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_a_gzip_batch_counts_as_its_plain_body(people: People, service: PointsService) -> None:
    person = await people.register(verified=False, party=False)
    sent = [event(person.user_id) for _ in range(1000)]
    answer = await post(service, gzip.compress(batch(*sent)))
    assert answer.status_code == 200
    assert answer.json()["counted"] == 1000
    assert await service.outcomes(*sent) == ["duplicate"] * 1000


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
async def test_names_of_gzip_are_accepted(service: PointsService, encoding: str) -> None:
    assert (await post(service, gzip.compress(batch()), encoding)).status_code == 200


async def test_an_identity_body_is_read_as_it_is(service: PointsService) -> None:
    assert (await post(service, batch(), "identity")).status_code == 200


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "br, gzip", "nonsense"])
async def test_other_encodings_are_refused_with_the_accepted_one(service: PointsService, encoding: str) -> None:
    answer = await post(service, gzip.compress(batch()), encoding)
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-content-encoding")
    assert answer.headers["accept-encoding"] == "gzip"


async def test_a_chunked_gzip_body_is_unpacked_across_its_pieces(service: PointsService) -> None:
    packed = gzip.compress(batch()) + gzip.compress(b" ")
    assert (await post(service, pieces(packed))).status_code == 200


async def test_concatenated_members_are_one_body(service: PointsService) -> None:
    body = batch()
    packed = b"".join([gzip.compress(body[:10]), gzip.compress(b""), gzip.compress(body[10:])])
    assert (await post(service, packed)).status_code == 200


async def test_more_members_than_allowed_are_refused(service: PointsService) -> None:
    packed = gzip.compress(batch()) + gzip.compress(b"") * (MAX_MEMBERS - 1)
    assert (await post(service, packed)).status_code == 200
    refused = await post(service, packed + gzip.compress(b""))
    assert (refused.status_code, refused.json()["type"]) == (400, "/problems/broken-gzip")


BROKEN = {
    "empty": b"",
    "not gzip": batch(),
    "zlib, not gzip": zlib.compress(batch()),
    "half a header": gzip.compress(batch())[:5],
    "truncated": gzip.compress(batch())[:-1],
    "truncated in the second member": gzip.compress(batch()) + gzip.compress(b" ")[:-4],
    "garbage behind it": gzip.compress(batch()) + b"garbage",
    "zeros behind it": gzip.compress(batch()) + bytes(8),
    "a wrong checksum": gzip.compress(batch())[:-8] + bytes(8),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_gzip_body_is_a_problem(service: PointsService, body: bytes) -> None:
    answer = await post(service, body)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/broken-gzip")


async def test_an_unpacked_body_is_judged_as_a_plain_one(service: PointsService) -> None:
    for body, expected in ((b"{", 400), (b"\xff", 400), (batch(event(UNKNOWN, points=0)), 422)):
        answer = await post(service, gzip.compress(body))
        assert answer.status_code == expected
        plain = await service.api.post(
            "/v1/point-events", content=body, headers=service.headers | {"Content-Type": "application/json"}
        )
        ignored = {"request_id": None}
        assert answer.json() | ignored == plain.json() | ignored


async def test_a_body_unpacks_to_as_much_as_a_plain_body_may_hold(service: PointsService) -> None:
    body = batch()
    assert (await post(service, gzip.compress(body.ljust(MAX_BODY)))).status_code == 200
    refused = await post(service, gzip.compress(body.ljust(MAX_BODY + 1)))
    assert (refused.status_code, refused.json()["type"]) == (413, "/problems/body-too-large")


async def test_a_packed_body_beyond_the_limit_is_refused_as_it_arrives(service: PointsService) -> None:
    packed = gzip.compress(os.urandom(MAX_BODY), 0)
    assert len(packed) > MAX_BODY
    refused = await post(service, pieces(packed, 1 << 16))
    assert (refused.status_code, refused.json()["type"]) == (413, "/problems/body-too-large")


def bomb() -> bytes:
    """One megabyte that unpacks to a gigabyte."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as packing:
        for _ in range(100):
            packing.write(bytes(10_000_000))
    return file.getvalue()


async def test_a_bomb_is_refused(service: PointsService) -> None:
    refused = await post(service, bomb())
    assert (refused.status_code, refused.json()["type"]) == (413, "/problems/body-too-large")


async def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    packed = bomb()
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            await unpack(pieces(packed, 1 << 16), MAX_BODY)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MAX_BODY


async def test_the_limit_counts_over_all_members() -> None:
    packed = gzip.compress(bytes(60)) + gzip.compress(bytes(41))
    assert await unpack(pieces(packed), 101) == bytes(101)
    with pytest.raises(BodyTooLarge):
        await unpack(pieces(packed), 100)


async def test_a_caller_without_a_token_is_refused(service: PointsService) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await service.api.post("/v1/point-events", content=gzip.compress(batch()), headers=headers)
    assert answer.status_code == 401


async def test_unpacking_nothing_is_broken() -> None:
    with pytest.raises(BrokenGzip):
        await unpack(pieces(b""), 100)
