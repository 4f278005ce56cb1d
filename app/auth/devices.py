"""The description of a device: the browser and operating system in the User-Agent header of its requests.

The service reads the header itself and accepts no description from the caller. The person who scans a QR code compares
the description with the screen.
"""

import re
from ipaddress import IPv4Address, IPv6Address

from fastapi import Request
from pydantic import Field, computed_field

from app.auth.address_countries import describe_location
from app.web.schemas import Out

# The first match counts, because the header of an earlier browser also contains the names of later ones.
_BROWSERS = (
    ("微信", r"MicroMessenger/(\d+)"),
    ("360 浏览器", r"(?:QIHU|360SE|360EE)()"),
    ("QQ 浏览器", r"QQBrowser/(\d+)"),
    ("Edge", r"Edg(?:e|A|iOS)?/(\d+)"),
    ("Opera", r"OPR/(\d+)"),
    ("火狐 Firefox", r"(?:Firefox|FxiOS)/(\d+)"),
    ("Chrome", r"(?:Chrome|CriOS)/(\d+)"),
    ("Safari", r"Version/(\d+)[\d.]* (?:Mobile/\w+ )?Safari/"),
    ("Internet Explorer", r"(?:MSIE |Trident/.*rv:)(\d+)"),
)
_SYSTEMS = (
    ("鸿蒙 HarmonyOS", r"HarmonyOS|OpenHarmony"),
    ("Android", r"Android"),
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("macOS", r"Mac OS X"),
    ("Windows", r"Windows"),
    ("Linux", r"Linux|X11"),
)
_PRODUCT = re.compile(r"^[A-Za-z][A-Za-z0-9_.-]{0,29}(?:/\d[\d.]{0,15})?")


def describe_device(request: Request) -> str | None:
    """Return browser and system of a request, such as `Chrome 131 · Windows`; None if the header names neither."""
    agent = request.headers.get("user-agent", "")[:500]
    browser = next(
        (f"{name} {found[1]}".strip() for name, pattern in _BROWSERS if (found := re.search(pattern, agent))), None
    )
    system = next((name for name, pattern in _SYSTEMS if re.search(pattern, agent)), None)
    if browser or system:
        return " · ".join(part for part in (browser, system) if part)
    product = _PRODUCT.match(agent)
    return product[0].replace("/", " ") if product else None


class ObservedDevice(Out):
    """A device as the service observed it."""

    device: str | None = Field(
        description="Browser and system; null where it named none.", examples=["Chrome 131 · Windows"]
    )
    address: IPv4Address | IPv6Address | None = Field(description="From where it was last seen.")

    @computed_field(
        description="Where the address is, in the caller's language: a country, an inner network or this machine."
    )
    def place(self) -> str | None:
        return describe_location(self.address)
