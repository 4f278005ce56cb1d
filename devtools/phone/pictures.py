"""QR codes in pictures. The browser sends the brightness of each pixel, and the server reads the code."""

import asyncio
from typing import Annotated

import zxingcpp
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.authz.access import SignedIn
from app.web.errors import Invalid
from devtools.phone.sign_in import PhoneRoute

router = APIRouter(prefix="/phone", route_class=PhoneRoute, include_in_schema=False)

SIDE = 1280
"""The longest side of a picture, in points: the browser makes larger ones smaller."""

Side = Annotated[int, Query(ge=16, le=SIDE)]


@router.post("/pictures", max_body_size=SIDE * SIDE)
async def read_picture(request: Request, scope: SignedIn, width: Side, height: Side) -> Response:
    """Return the text of the code in a picture of width × height pixels, one byte each; 204 without a code."""
    points = await request.body()
    if len(points) != width * height:
        raise Invalid
    text = await asyncio.to_thread(_read_text, points, width, height)
    return Response(status_code=204) if text is None else JSONResponse({"text": text})


def _read_text(points: bytes, width: int, height: int) -> str | None:
    found = zxingcpp.read_barcodes(
        memoryview(points).cast("B", (height, width)), formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
    )
    return found[0].text if found else None
