"""The two base models of the API's bodies, and what more than one of them holds."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

from app.core.i18n import gettext_noop


class Body(BaseModel):
    """What a caller sends: unknown fields are refused, so that a misspelt one is not silently lost."""

    model_config = ConfigDict(extra="forbid", str_max_length=10_000, allow_inf_nan=False)


class Out(BaseModel):
    """What a caller gets; read straight off a row."""

    model_config = ConfigDict(from_attributes=True)


def _within_reach(at: datetime) -> datetime:
    if not 2000 <= at.year < 3000:
        raise ValueError(gettext_noop("年份须为 2000 至 2999"))
    return at


Instant = Annotated[AwareDatetime, AfterValidator(_within_reach)]
"""A time that a caller asks about, with its zone: of a year from 2000 to 2999, so that it exists in every zone."""
