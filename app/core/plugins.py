"""Plug-ins: code outside `app`. This module lists the plug-ins; each is imported when a setting or a command needs it.

`devtools/` has the phone simulator, the simulated providers, the live examples of the docs explorer and the demo. A
clone and the image's target `development` contain it; the production image does not. No module of `app` imports it.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from app.core.settings import CannotStart

if TYPE_CHECKING:  # commands import this module; FastAPI takes longer to import than they run
    from fastapi import FastAPI

SMS_PROVIDERS = "xuezu.sms_providers"
"""Factories `(Settings, AsyncEngine, Cipher) -> SmsGateway`."""
IDENTITY_PROVIDERS = "xuezu.identity_providers"
"""Factories `(Settings, Cipher) -> IdentityProvider`."""
TOOLS = "xuezu.tools"
"""`routes`: `(FastAPI) -> None` adds the routes of development; `demo`: `(arguments) -> exit code`."""

_ENTRY_POINTS = (
    EntryPoint("simulated", "devtools.providers.sms:SimulatedGateway", SMS_PROVIDERS),
    EntryPoint("simulated", "devtools.providers.alipay:SimulatedAlipay", IDENTITY_PROVIDERS),
    EntryPoint("routes", "devtools.routes:add_routes", TOOLS),
    EntryPoint("demo", "devtools.demo:main", TOOLS),
)


def load_plugin(group: str, name: str, *, needed_for: str) -> Any:
    """Import the plug-in that is listed in `group` under `name`, and return it: here, or as an entry point of another
    installed distribution. `needed_for` is the setting or command that needs it, for the error message. Raises
    CannotStart if the code of the plug-in is not installed."""
    own = [point for point in _ENTRY_POINTS if (point.group, point.name) == (group, name)]
    found = own or list(entry_points(group=group, name=name))
    if len(found) != 1:
        installed = "two installed distributions have it" if found else "no installed distribution has it"
        raise CannotStart(f"{needed_for} needs the entry point `{name}` of the group `{group}`, and {installed}.")
    try:
        return found[0].load()
    except ModuleNotFoundError as error:
        if not own:
            raise CannotStart(f"{needed_for} cannot be imported: {error.name} is not installed here.") from error
        raise CannotStart(
            f"{needed_for} needs the development tools, and {error.name} is not installed here: run it from a clone "
            "with `make`, or build the image's target `development`."
        ) from error


def load_development_routes() -> Callable[["FastAPI"], None]:
    """Import the function that adds the development routes to an app, and return it. Raises CannotStart if its code is
    not installed."""
    add_routes: Callable[[FastAPI], None] = load_plugin(TOOLS, "routes", needed_for="XUEZU_ENV=development")
    return add_routes
