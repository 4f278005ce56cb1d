"""The phone simulator is tested as the console's pages are: over ASGI, and in Chromium beside a console."""

from tests.console.conftest import open_screen, signed_in_phone, visitor

__all__ = ["open_screen", "signed_in_phone", "visitor"]
