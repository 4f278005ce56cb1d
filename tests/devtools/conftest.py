"""Fixtures for the phone simulator: over ASGI, and in Chromium beside a console."""

from tests.console.conftest import open_screen, signed_in_phone, visitor

__all__ = ["open_screen", "signed_in_phone", "visitor"]
