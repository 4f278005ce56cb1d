"""Pictures of ID cards: made harmless, stored encrypted, seen by the reviewer alone, deleted with the decision."""

import base64
import io
import struct
import zlib
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.auth.errors import PictureRefused
from app.auth.verification.pictures import LONG_SIDE, MAX_PICTURE_BYTES, clean_picture
from app.worker.retention import CLEAN_UPS, run_clean_up
from tests.acts import get_body, get_refusal, list_all
from tests.auth.operator_accounts import create_operator
from tests.auth.recovery_calls import create_verified, request_by_name
from tests.people import People, Person, draw_picture, name_person

AT = "/v1/me/verifications"
Json = dict[str, Any]


@pytest.fixture
async def applicant(people: People) -> Person:
    return await people.register(verified=False)


@pytest.fixture
async def reviewer(app: FastAPI, people: People) -> Person:
    return await create_operator(app, people)


def show_card(person: Person, **pictures: bytes) -> dict[str, str]:
    encoded = {side: base64.b64encode(content).decode() for side, content in pictures.items()}
    return name_person(person.name, method="id-card") | encoded


async def submit(person: Person, **pictures: bytes) -> Json:
    made: Json = get_body(await person.post(AT, json=show_card(person, **pictures)), 201)
    return made


async def count_stored(db: AsyncConnection, made: Json) -> int:
    count = text("SELECT count(*) FROM verification_pictures WHERE verification_id = :id")
    found: int = (await db.execute(count, {"id": made["id"]})).scalar_one()
    return found


# What is stored


def test_picture_is_written_again_without_anything_but_its_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8825] = 6, "SecretPhoneMaker", {1: "N", 2: (39.0, 54.0, 26.0)}
    sent = draw_picture(400, 300, "JPEG", exif=exif, comment=b"SecretComment") + b"PK\x03\x04SecretArchive"
    cleaned = clean_picture(sent)
    assert b"Secret" in sent
    assert b"Secret" not in cleaned
    with Image.open(io.BytesIO(cleaned)) as found:
        assert (found.format, found.size, found.mode) == ("JPEG", (300, 400), "RGB"), "it is upright"
        assert not found.getexif()
        assert "comment" not in found.info


def test_picture_is_scaled_and_its_transparency_becomes_white() -> None:
    with Image.open(io.BytesIO(clean_picture(draw_picture(5000, 3000, "JPEG")))) as found:
        assert max(found.size) <= LONG_SIDE
    written = io.BytesIO()
    Image.new("LA", (400, 300), (0, 0)).save(written, "PNG")
    with Image.open(io.BytesIO(clean_picture(written.getvalue()))) as found:
        assert found.getpixel((1, 1)) == (255, 255, 255)


def build_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def build_png_bomb(width: int, height: int, *before: bytes) -> bytes:
    """Return a small PNG that says it is large."""
    head = build_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = build_chunk(b"IDAT", zlib.compress(b"\x00" * 1_000_000))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + pixels + build_chunk(b"IEND", b"")


def animate() -> bytes:
    written = io.BytesIO()
    frames = [Image.new("RGB", (320, 200), (shade, 0, 0)) for shade in (10, 200)]
    frames[0].save(written, "PNG", save_all=True, append_images=frames[1:])
    return written.getvalue()


REFUSED = {
    "an empty file": b"",
    "no picture": b"hello" * 100,
    "a page": b"<svg xmlns='http://www.w3.org/2000/svg' width='900' height='900'/>",
    "another format": draw_picture(320, 200, "GIF"),
    "a bomb of pixels": build_png_bomb(60_000, 60_000),
    "a bomb of pixels below the library's own limit": build_png_bomb(6_000, 5_000),
    "a bomb of text": build_png_bomb(320, 200, build_chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(90_000_000)))),
    "a file that ends early": draw_picture(1000, 800, "JPEG")[:900],
    "a damaged file": draw_picture(1000, 800).replace(b"IDAT", b"IDAX"),
    "a picture of few pixels": draw_picture(200, 120),
    "an animation": animate(),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_file_that_is_no_usable_picture_is_refused(kind: str) -> None:
    with pytest.raises(PictureRefused):
        clean_picture(REFUSED[kind])


async def test_refused_picture_is_422_and_stores_nothing(applicant: Person) -> None:
    for kind in ("no picture", "a bomb of pixels"):
        answer = await applicant.post(AT, json=show_card(applicant, back=REFUSED[kind]))
        assert get_refusal(answer) == (422, "picture-refused")
    assert get_body(await applicant.get(AT))["items"] == []


async def test_pictures_are_of_an_id_card_and_each_card_has_both(applicant: Person) -> None:
    card = name_person(applicant.name, method="id-card")
    for sent, pointers in (
        ({name: value for name, value in card.items() if name != "back"}, {"/back"}),
        (card | {"front": None}, {"/front"}),
        (card | {"front": "no base64!"}, {"/front"}),
        (card | {"front": base64.b64encode(b"x" * (MAX_PICTURE_BYTES + 3)).decode()}, {"/front"}),
        (card | {"method": "alipay"}, {"/front", "/back"}),
    ):
        answer = await applicant.post(AT, json=sent)
        assert get_refusal(answer) == (422, "invalid")
        assert {error["pointer"] for error in answer.json()["errors"]} == pointers
    huge = card | {"front": "A" * 6_000_000}
    assert (await applicant.post(AT, json=huge)).status_code == 413


async def test_pictures_are_stored_encrypted(applicant: Person, db: AsyncConnection) -> None:
    made = await submit(applicant, front=draw_picture(500, 300, "JPEG"))
    stored = text("SELECT content_cipher FROM verification_pictures WHERE verification_id = :id ORDER BY side")
    values = list(await db.scalars(stored, {"id": made["id"]}))
    assert len(values) == 2
    assert all(b"JFIF" not in value and value[1:12] == b"development" for value in values)


# Who sees them


async def test_reviewer_alone_sees_the_pictures_until_the_decision(
    app: FastAPI, people: People, applicant: Person, reviewer: Person, db: AsyncConnection
) -> None:
    made, other = await submit(applicant, front=draw_picture(500, 300)), await create_operator(app, people)
    at = f"/v1/operator/verifications/{made['id']}"
    front = f"{at}/pictures/front"
    assert get_refusal(await reviewer.get(front)) == (409, "not-your-review"), "the review has not begun"
    assert get_body(await reviewer.put(f"{at}/review"))["pictures"] == ["front", "back"]
    shown = await reviewer.get(front)
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
    assert (shown.headers["cache-control"], shown.headers["x-content-type-options"]) == ("no-store", "nosniff")
    with Image.open(io.BytesIO(shown.content)) as picture:
        assert picture.size == (500, 300)
    assert (await reviewer.get(f"{at}/pictures/back")).content != shown.content
    assert (await reviewer.get(f"{at}/pictures/left")).status_code == 422
    for person in (applicant, await people.register()):
        assert (await person.get(front)).status_code == 404
    assert (await people.api.get(front)).status_code == 401
    assert get_refusal(await other.get(front)) == (409, "not-your-review")
    entries = text(
        "SELECT user_id::text, after->>'side' FROM audit_entries "
        "WHERE subject_id = :id AND action = 'verification.picture_shown' ORDER BY at"
    )
    found = [tuple(row) for row in await db.execute(entries, {"id": made["id"]})]
    assert found == [(reviewer.user_id, "front"), (reviewer.user_id, "back")]
    get_body(await other.put(f"{at}/review"))
    assert get_refusal(await reviewer.get(front)) == (409, "not-your-review"), "another has taken the review"
    get_body(await other.put(f"{at}/approval"), 204)
    assert get_refusal(await other.get(front)) == (404, "not-found")
    assert await count_stored(db, made) == 0


@pytest.mark.parametrize("end", ["rejection", "closure", "clean-up"])
async def test_pictures_are_deleted_with_the_end_of_the_verification(
    applicant: Person, reviewer: Person, engine: AsyncEngine, db: AsyncConnection, end: str
) -> None:
    made = await submit(applicant)
    at = f"/v1/operator/verifications/{made['id']}"
    assert await count_stored(db, made) == 2
    (clean_up,) = [entry for entry in CLEAN_UPS if entry.name == "card-pictures"]
    await run_clean_up(engine, clean_up)
    assert await count_stored(db, made) == 2, "those that wait stay"
    if end == "rejection":
        get_body(await reviewer.put(f"{at}/review"))
        get_body(await reviewer.put(f"{at}/rejection", json={"reason": "unreadable"}), 204)
    elif end == "closure":
        await db.execute(text("DELETE FROM verifications WHERE id = :id"), {"id": made["id"]})
    else:
        await db.execute(text("UPDATE verifications SET state = 'rejected' WHERE id = :id"), {"id": made["id"]})
        assert await run_clean_up(engine, clean_up) == 2
    assert await count_stored(db, made) == 0


async def test_pictures_of_a_recovery_are_seen_and_go_with_it(
    people: People, reviewer: Person, db: AsyncConnection
) -> None:
    person, id_number = await create_verified(people)
    new = await people.register(verified=False, party=False, name=person.name)
    made = await request_by_name(new, id_number, proof=name_person(person.name, id_number, "id-card"))
    items = await list_all(reviewer, "/v1/operator/verifications", limit=200)
    card = [item for item in items if item["proves_recovery"]][-1]
    at = f"/v1/operator/verifications/{card['id']}"
    get_body(await reviewer.put(f"{at}/review"))
    assert (await reviewer.get(f"{at}/pictures/back")).status_code == 200
    get_body(await new.put(f"/v1/me/account-recoveries/{made['id']}/stop"), 204)
    assert await count_stored(db, card) == 0
    assert (await reviewer.get(f"{at}/pictures/back")).status_code == 404
