"""QR pictures: a reader decodes the picture to the text."""

import io

import zxingcpp
from PIL import Image

from app.core.qr import draw_png, draw_svg

TEXT = "http://localhost:8000/phone/scan?code=WDJB-MJHT"


async def test_png_decodes_to_its_text() -> None:
    picture = Image.open(io.BytesIO(await draw_png(TEXT)))
    assert [code.text for code in zxingcpp.read_barcodes(picture)] == [TEXT]


async def test_svg_has_the_same_modules_as_the_png() -> None:
    svg = (await draw_svg(TEXT)).decode()
    path = svg.split('<path d="')[1].split('"')[0]
    picture = Image.open(io.BytesIO(await draw_png(TEXT))).convert("L")
    modules = picture.width // 8
    drawn = Image.new("L", (modules, modules), 255)
    for run in path.strip("Mz").split("zM"):
        corner, width = run.split("h")[:2]
        x, y = (int(part) for part in corner.split())
        for dx in range(int(width.split("v")[0])):
            drawn.putpixel((x + dx, y), 0)
    small = picture.resize((modules, modules), Image.Resampling.NEAREST)
    assert list(drawn.tobytes()) == list(small.tobytes())
