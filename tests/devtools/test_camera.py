"""The phone's camera reads a code from the screen: a real stream in Chromium, of a picture drawn by the test."""

import asyncio
import io
from pathlib import Path

import pytest
from PIL import Image

from app.core.qr import draw_png
from tests.browser import HAND, Screen, chromium, screen
from tests.console.conftest import OpenScreen, SignIn
from tests.console.test_lapses import read_user_code
from tests.people import People

pytestmark = pytest.mark.browser


async def film(link: str) -> bytes:
    """Return a few frames of raw video (YUV4MPEG2, 640 × 480) that show a code off the centre."""
    made = io.BytesIO()
    made.write(await draw_png(link))
    code = Image.open(made).convert("L").resize((330, 330))
    view = Image.new("L", (640, 480), 96)
    view.paste(code, (170, 60))
    grey = bytes([128]) * (320 * 240 * 2)
    frame = b"FRAME\n" + view.tobytes() + grey
    return b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n" + frame * 3


async def allow(shown: Screen) -> None:
    await shown.context.grant_permissions(["camera"], origin=shown.watched.site)


@pytest.mark.long
async def test_camera_of_the_phone_page_scans_a_code(
    open_screen: OpenScreen, live: str, signed_in_phone: SignIn, people: People, tmp_path: Path
) -> None:
    person = await people.register()
    async with open_screen() as console:
        await console.go("/console/")
        view = tmp_path / "view.y4m"
        await asyncio.to_thread(view.write_bytes, await film(await read_user_code(console)))
        camera = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={view}")
        async with chromium(*camera) as seeing, screen(seeing, live, HAND) as phone:
            await allow(phone)
            await signed_in_phone(phone, person)
            await phone.go("/phone/scan")
            await phone.page.click("[data-camera]")
            await phone.page.wait_for_selector("#number")
            await console.page.wait_for_selector(".match")
            await phone.page.fill("#number", await console.page.inner_text(".match"))
            await phone.page.click("text=确认登录")
            await console.page.wait_for_selector("text=您好")
    async with open_screen(HAND) as blind:
        # Without a camera the page names the alternatives.
        await signed_in_phone(blind, person)
        await blind.go("/phone/scan")
        await blind.page.click("[data-camera]")
        await blind.page.wait_for_selector("text=无法使用摄像头")
