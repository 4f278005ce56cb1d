"""Pictures of ID cards: made harmless when they come, stored encrypted, and shown to the reviewer alone.

A picture is decoded and written again as a JPEG, so that nothing of the file but its pixels is stored: no EXIF with a
place or a device, no second format behind the first. It is checked before it is decoded, and few are decoded at once,
so that neither a bomb nor a flood takes the memory. Table: `verification_pictures`.
"""

import asyncio
import io
import warnings
from collections.abc import Mapping
from typing import Literal
from uuid import UUID

from PIL import Image, ImageOps
from sqlalchemy import ColumnElement, bindparam, delete, exists, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import record
from app.auth.errors import NotYourReview, PictureRefused
from app.authz.access import OperatorScope
from app.core.cipher import Cipher
from app.schema.auth import Verification, VerificationPicture
from app.web.errors import NotFound

Side = Literal["front", "back"]
SIDES: tuple[Side, ...] = ("front", "back")
MAX_PICTURE_BYTES = 2_000_000
MAX_PIXELS = 20_000_000
"""The largest picture that is decoded: 60 MB in memory, 120 MB if its JPEG is progressive."""
MIN_WIDTH = 300
"""A card of fewer pixels cannot be read."""
LONG_SIDE = 2000
QUALITY = 85
_AT_ONCE = asyncio.Semaphore(1)

# The error of Pillow itself comes at twice this; `_check` refuses before it.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


def clean_picture(content: bytes) -> bytes:
    """Return the picture as a new JPEG, upright, of at most LONG_SIDE pixels a side, and with nothing but its pixels.

    Raises PictureRefused if it is no JPEG or PNG, is damaged, too large or too small.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as opened:
                _check(opened)
                opened.draft("RGB", (LONG_SIDE, LONG_SIDE))  # a large JPEG is decoded at a half, quarter or eighth
                opened.load()
                upright = ImageOps.exif_transpose(opened)
                upright.thumbnail((LONG_SIDE, LONG_SIDE))
                return _encode(upright)
    except PictureRefused:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError):
        raise PictureRefused from None


def _check(opened: Image.Image) -> None:
    too_large = opened.width * opened.height > MAX_PIXELS
    if too_large or max(opened.size) < MIN_WIDTH or getattr(opened, "n_frames", 1) != 1:
        raise PictureRefused


def _encode(picture: Image.Image) -> bytes:
    plain = Image.new("RGB", picture.size, "white")
    visible = picture.convert("RGBA") if "A" in picture.mode or "transparency" in picture.info else None
    plain.paste(picture if visible is None else visible, mask=visible)
    written = io.BytesIO()
    plain.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


async def clean_pictures(given: Mapping[Side, bytes]) -> dict[Side, bytes]:
    """Return the pictures as `clean_picture` does, in a thread and one at a time in this process. Raises
    PictureRefused."""
    async with _AT_ONCE:
        return {side: await asyncio.to_thread(clean_picture, content) for side, content in given.items()}


async def add_pictures(
    db: AsyncConnection, cipher: Cipher, verification_id: UUID, pictures: Mapping[Side, bytes]
) -> None:
    """Store the pictures, encrypted."""
    rows = [
        {
            "verification_id": verification_id,
            "side": side,
            "content_cipher": cipher.encrypt(content, build_picture_id(verification_id, side)),
        }
        for side, content in pictures.items()
    ]
    await db.execute(insert(VerificationPicture), rows)


def build_picture_id(verification_id: UUID, side: str) -> str:
    """Return the associated data to which a picture's cipher text is bound."""
    return f"{verification_id}/{side}"


async def erase_pictures(db: AsyncConnection, *conditions: ColumnElement[bool]) -> None:
    """Delete the pictures that match the conditions."""
    await db.execute(delete(VerificationPicture).where(*conditions))


_SIDES_OF = select(VerificationPicture.side).where(VerificationPicture.verification_id == bindparam("of_verification"))
_CONTENT = (
    select(VerificationPicture.content_cipher)
    .join(Verification, Verification.id == VerificationPicture.verification_id)
    .where(
        VerificationPicture.verification_id == bindparam("of_verification"),
        VerificationPicture.side == bindparam("of_side"),
        Verification.state == "under-review",
        Verification.reviewer_id == bindparam("reviewer_id"),
    )
    .with_for_update(read=True, of=Verification)
)
_BEING_REVIEWED = select(
    exists().where(
        Verification.id == bindparam("of_verification"),
        Verification.method == "id-card",
        Verification.state.in_(("submitted", "under-review")),
    )
)


async def list_sides(db: AsyncConnection, verification_id: UUID) -> list[Side]:
    """Return the sides of the card of which there are pictures, the front first."""
    stored = set(await db.scalars(_SIDES_OF, {"of_verification": verification_id}))
    return [side for side in SIDES if side in stored]


async def read_picture(
    engine: AsyncEngine, cipher: Cipher, scope: OperatorScope, verification_id: UUID, side: Side
) -> bytes:
    """Return a picture as a JPEG to the operator who reviews it, and write an audit entry.

    It has a transaction of its own, since a GET has none. Locks the verification FOR SHARE: no picture is shown after
    the decision. Raises NotFound, NotYourReview.
    """
    which = {"of_verification": verification_id, "of_side": side, "reviewer_id": scope.user.user_id}
    async with engine.begin() as db:
        found: bytes | None = await db.scalar(_CONTENT, which)
        if found is None:
            if await db.scalar(_BEING_REVIEWED, {"of_verification": verification_id}):
                raise NotYourReview
            raise NotFound
        subject = ("verification", verification_id)
        await record(db, scope.actor, "verification.picture_shown", subject=subject, after={"side": side})
        return cipher.decrypt(found, build_picture_id(verification_id, side))
