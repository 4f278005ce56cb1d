"""Stylesheet, scripts, icon, and htmx from its wheel. An address contains a digest, so browsers cache it for good."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from app.authz.access import Public
from app.web.errors import NotFound

ROOT = "/console/assets"
_CSS = "text/css; charset=utf-8"
_JS = "text/javascript; charset=utf-8"
_BEHAVIOURS = (
    "page",
    "streams",
    "selection",
    "dialogs",
    "focus",
    "sending",
    "phones",
    "polls",
    "notices",
    "navigation",
    "fields",
    "links",
    "security_keys",
    "step_up",
)
"""The files of `static/js`, one behaviour each. They are joined to one module and share its names."""
_STYLES = (
    "tokens",
    "base",
    "frame",
    "arrangement",
    "headings",
    "cards",
    "tags",
    "buttons",
    "forms",
    "tables",
    "notices",
    "dialogs",
    "single",
    "phone",
    "directory",
    "imports",
    "reports",
    "audit",
    "certification",
    "operators",
    "utilities",
)
"""The files of `static/css`, one component each. The first declares the order of the cascade layers."""
_SOURCES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "console.css": ("app.console", tuple(f"static/css/{name}.css" for name in _STYLES), _CSS),
    "console.js": ("app.console", tuple(f"static/js/{name}.js" for name in _BEHAVIOURS), _JS),
    "icon.svg": ("app.console", ("static/icon.svg",), "image/svg+xml"),
    "htmx.js": ("js_lib_htmx", ("static/htmx/htmx.min.js",), _JS),
}
"""For each asset its package, the files that are joined to it, and its media type."""
_CACHED_FOR_GOOD = "public, max-age=31536000, immutable"

router = APIRouter(prefix=ROOT, include_in_schema=False, dependencies=[Public])


@dataclass(frozen=True, slots=True)
class Asset:
    media_type: str
    content: bytes
    gzipped: bytes
    digest: str


@cache
def _load_assets() -> dict[str, Asset]:
    found = {}
    for name, (package, paths, media_type) in _SOURCES.items():
        content = b"\n".join(files(package).joinpath(path).read_bytes() for path in paths)
        digest = hashlib.sha256(content).hexdigest()[:12]
        found[name] = Asset(media_type, content, gzip.compress(content, mtime=0), digest)
    return found


def add_asset(name: str, package: str, path: str, media_type: str) -> None:
    """Serve a file of another package, such as the phone simulator."""
    _SOURCES[name] = (package, (path,), media_type)
    _load_assets.cache_clear()


def build_asset_url(name: str) -> str:
    """Return an asset's address, which changes with its content."""
    return f"{ROOT}/{_load_assets()[name].digest}/{name}"


def read_asset_text(name: str) -> str:
    """Return an asset's content."""
    return _load_assets()[name].content.decode()


@router.get("/{digest}/{name}")
async def read_asset(request: Request, digest: str, name: str) -> Response:
    """Return a static file that a browser can cache for ever. Raises NotFound if the digest in the address is not the
    file's."""
    asset = _load_assets().get(name)
    if asset is None or asset.digest != digest:
        raise NotFound
    headers = {"Cache-Control": _CACHED_FOR_GOOD, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.gzipped, media_type=asset.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(asset.content, media_type=asset.media_type, headers=headers)
