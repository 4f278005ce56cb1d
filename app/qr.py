"""QR codes, drawn off the event loop (one takes milliseconds of a processor)."""

import asyncio
import io

import qrcode
from qrcode.image.svg import SvgPathImage


async def draw_svg(content: str) -> bytes:
    """The QR code of a text as an SVG picture."""
    return await asyncio.to_thread(_svg, content)


def _svg(content: str) -> bytes:
    # A fixed mask spares trying all eight, which is most of the time.
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, mask_pattern=2, image_factory=SvgPathImage)
    code.add_data(content)
    code.make(fit=True)
    picture = io.BytesIO()
    code.make_image().save(picture)
    return picture.getvalue()
