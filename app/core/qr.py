"""QR codes as pictures.

The mask is fixed: choosing the best of eight masks takes three quarters of the time, and a reader accepts any mask.
Pictures are drawn in a thread, outside the event loop.
"""

import asyncio
import struct
import zlib
from functools import lru_cache
from typing import Any

_MASK = 3
_QUIET = 4  # empty modules around the code (ISO/IEC 18004)
_PIXELS = 8  # pixels of one module in the PNG


@lru_cache(maxsize=256)
def _build_matrix(text: str) -> tuple[tuple[bool, ...], ...]:
    from qrcode.constants import ERROR_CORRECT_M  # takes 0.1 s: `http_server.warm_up` imports it after the start
    from qrcode.main import QRCode

    code: Any = QRCode(error_correction=ERROR_CORRECT_M, border=_QUIET, mask_pattern=_MASK)
    code.add_data(text)
    code.make(fit=True)
    return tuple(tuple(bool(module) for module in row) for row in code.get_matrix())


def _build_svg(text: str) -> bytes:
    matrix = _build_matrix(text)
    size = len(matrix)
    runs = []
    for y, row in enumerate(matrix):
        x = 0
        while x < size:
            start = x
            while x < size and row[x]:
                x += 1
            if x > start:
                runs.append(f"M{start} {y}h{x - start}v1h-{x - start}z")
            x += 1
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path d="{"".join(runs)}"/></svg>'
    ).encode()


def _build_png(text: str) -> bytes:
    matrix = _build_matrix(text)
    size = len(matrix) * _PIXELS
    lines = bytearray()
    for row in matrix:
        dots = "".join(("0" if module else "1") * _PIXELS for module in row)
        packed = int(dots.ljust(-(-size // 8) * 8, "1"), 2).to_bytes(-(-size // 8), "big")
        lines += (b"\x00" + packed) * _PIXELS
    header = struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)  # greyscale, one bit per pixel
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(lines), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


async def draw_svg(text: str) -> bytes:
    """Return the QR code of a text as an SVG picture."""
    return await asyncio.to_thread(_build_svg, text)


async def draw_png(text: str) -> bytes:
    """Return the QR code of a text as a PNG picture."""
    return await asyncio.to_thread(_build_png, text)
