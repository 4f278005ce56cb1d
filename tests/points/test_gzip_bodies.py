"""Batches that are sent as gzip: their content counts, and it has the same limit as a plain body."""

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
from app.web.errors import BodyTooLarge
from app.web.gzip_bodies import MAX_MEMBERS, BrokenGzip, decompress
from tests.people import People
from tests.points.services import PointsService, event

UNKNOWN = "00000000-0000-7000-8000-000000000000"


def batch(*events: dict[str, Any]) -> bytes:
    return json.dumps({"events": list(events or [event(UNKNOWN)])}).encode()


async def post(service: PointsService, body: bytes | AsyncIterator[bytes], encoding: str = "gzip") -> httpx.Response:
    headers = service.headers | {"Content-Type": "application/json", "Content-Encoding": encoding}
    return await service.api.post("/v1/point-events", content=body, headers=headers)


async def split_into_chunks(body: bytes, size: int = 1) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def join(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def test_gzip_batch_counts_like_plain_body(people: People, service: PointsService) -> None:
    person = await people.register(verified=False, party=False)
    sent = [event(person.user_id) for _ in range(1000)]
    answer = await post(service, gzip.compress(batch(*sent)))
    assert answer.status_code == 200
    assert answer.json()["counted"] == 1000
    assert await service.outcomes(*sent) == ["duplicate"] * 1000


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
async def test_every_name_of_gzip_is_accepted(service: PointsService, encoding: str) -> None:
    assert (await post(service, gzip.compress(batch()), encoding)).status_code == 200


async def test_identity_encoding_is_read_as_plain_body(service: PointsService) -> None:
    assert (await post(service, batch(), "identity")).status_code == 200


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "br, gzip", "nonsense"])
async def test_other_encodings_are_refused_and_accepted_one_is_named(service: PointsService, encoding: str) -> None:
    answer = await post(service, gzip.compress(batch()), encoding)
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-content-encoding")
    assert answer.headers["accept-encoding"] == "gzip"


async def test_gzip_body_in_chunks_is_decompressed(service: PointsService) -> None:
    compressed = gzip.compress(batch()) + gzip.compress(b" ")
    assert (await post(service, split_into_chunks(compressed))).status_code == 200


async def test_concatenated_gzip_members_are_one_body(service: PointsService) -> None:
    body = batch()
    compressed = b"".join([gzip.compress(body[:10]), gzip.compress(b""), gzip.compress(body[10:])])
    assert (await post(service, compressed)).status_code == 200


async def test_too_many_gzip_members_are_refused(service: PointsService) -> None:
    compressed = gzip.compress(batch()) + gzip.compress(b"") * (MAX_MEMBERS - 1)
    assert (await post(service, compressed)).status_code == 200
    refusal = await post(service, compressed + gzip.compress(b""))
    assert (refusal.status_code, refusal.json()["type"]) == (400, "/problems/broken-gzip")


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
async def test_broken_gzip_body_is_refused(service: PointsService, body: bytes) -> None:
    answer = await post(service, body)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/broken-gzip")


async def test_decompressed_body_has_same_errors_as_plain_body(service: PointsService) -> None:
    for body, expected in ((b"{", 400), (b"\xff", 400), (batch(event(UNKNOWN, points=0)), 422)):
        answer = await post(service, gzip.compress(body))
        assert answer.status_code == expected
        plain = await service.api.post(
            "/v1/point-events", content=body, headers=service.headers | {"Content-Type": "application/json"}
        )
        ignored = {"request_id": None}
        assert answer.json() | ignored == plain.json() | ignored


async def test_decompressed_body_has_same_limit_as_plain_body(service: PointsService) -> None:
    body = batch()
    assert (await post(service, gzip.compress(body.ljust(MAX_BODY)))).status_code == 200
    refusal = await post(service, gzip.compress(body.ljust(MAX_BODY + 1)))
    assert (refusal.status_code, refusal.json()["type"]) == (413, "/problems/body-too-large")


async def test_compressed_body_larger_than_limit_is_refused(service: PointsService) -> None:
    compressed = gzip.compress(os.urandom(MAX_BODY), 0)
    assert len(compressed) > MAX_BODY
    refusal = await post(service, split_into_chunks(compressed, 1 << 16))
    assert (refusal.status_code, refusal.json()["type"]) == (413, "/problems/body-too-large")


def make_bomb() -> bytes:
    """Return one megabyte that decompresses to a gigabyte."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as packing:
        for _ in range(100):
            packing.write(bytes(10_000_000))
    return file.getvalue()


async def test_gzip_bomb_is_refused(service: PointsService) -> None:
    refusal = await post(service, make_bomb())
    assert (refusal.status_code, refusal.json()["type"]) == (413, "/problems/body-too-large")


async def test_gzip_bomb_is_not_decompressed_beyond_limit() -> None:
    compressed = make_bomb()
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            await join(decompress(split_into_chunks(compressed, 1 << 16), MAX_BODY))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MAX_BODY


async def test_limit_counts_over_all_gzip_members() -> None:
    compressed = gzip.compress(bytes(60)) + gzip.compress(bytes(41))
    assert await join(decompress(split_into_chunks(compressed), 101)) == bytes(101)
    with pytest.raises(BodyTooLarge):
        await join(decompress(split_into_chunks(compressed), 100))


async def test_gzip_body_without_token_is_refused(service: PointsService) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await service.api.post("/v1/point-events", content=gzip.compress(batch()), headers=headers)
    assert answer.status_code == 401


async def test_empty_gzip_body_is_broken() -> None:
    with pytest.raises(BrokenGzip):
        await join(decompress(split_into_chunks(b""), 100))
