"""The pages' own style, script and picture, and htmx from its wheel: addressed by content, so that they are kept."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from app.authz.access import Public
from app.web.errors import NotFound

ROOT = "/console/assets"
_SOURCES = {
    "console.css": ("app.console", "static/console.css", "text/css; charset=utf-8"),
    "console.js": ("app.console", "static/console.js", "text/javascript; charset=utf-8"),
    "keys.js": ("app.console", "static/keys.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("app.console", "static/icon.svg", "image/svg+xml"),
    "htmx.js": ("js_lib_htmx", "static/htmx/htmx.min.js", "text/javascript; charset=utf-8"),
}
_KEPT = "public, max-age=31536000, immutable"

router = APIRouter(prefix=ROOT, include_in_schema=False, dependencies=[Public])


@dataclass(frozen=True, slots=True)
class Asset:
    media_type: str
    content: bytes
    zipped: bytes
    digest: str


@cache
def _assets() -> dict[str, Asset]:
    found = {}
    for name, (package, path, media_type) in _SOURCES.items():
        content = files(package).joinpath(path).read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:12]
        found[name] = Asset(media_type, content, gzip.compress(content, mtime=0), digest)
    return found


def add_asset(name: str, package: str, path: str, media_type: str) -> None:
    """Serve a file of another package (the phone simulator's) too."""
    _SOURCES[name] = (package, path, media_type)
    _assets.cache_clear()


def asset_url(name: str) -> str:
    """Where a page finds an asset; the address changes with the content."""
    return f"{ROOT}/{_assets()[name].digest}/{name}"


@router.get("/{digest}/{name}")
async def read_asset(request: Request, digest: str, name: str) -> Response:
    """An asset, to be kept for good; under another digest it is not there."""
    asset = _assets().get(name)
    if asset is None or asset.digest != digest:
        raise NotFound
    headers = {"Cache-Control": _KEPT, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.zipped, media_type=asset.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(asset.content, media_type=asset.media_type, headers=headers)
