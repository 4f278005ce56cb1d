"""The reasons of declined requests: a text by the decider, or a text by the service if there was no decider."""

from typing import Annotated

from pydantic import AfterValidator

from app.core.i18n import gettext, gettext_noop

ORG_CLOSED = gettext_noop("该组织已关闭")
"""The reason if the deciding org was closed."""


def translate_reason(reason: str | None) -> str | None:
    """Return the reason to display: the service's text in the reader's language, a person's text unchanged."""
    return gettext(ORG_CLOSED) if reason == ORG_CLOSED else reason


TranslatedReason = Annotated[str | None, AfterValidator(translate_reason)]
"""A reason in a response body."""
