"""Why a request was declined: what the decider wrote, or what the service says where nobody did."""

from typing import Annotated

from pydantic import AfterValidator

from app.core.i18n import gettext, gettext_noop

ORG_CLOSED = gettext_noop("该组织已关闭")
"""The reason where the org that was to decide was closed."""


def shown_reason(reason: str | None) -> str | None:
    """A stored reason as its reader has it: a person's as it was written, the service's in the reader's language."""
    return gettext(ORG_CLOSED) if reason == ORG_CLOSED else reason


ShownReason = Annotated[str | None, AfterValidator(shown_reason)]
"""A reason in a body that goes out."""
