"""The two base models of API bodies, and field types that several bodies share."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

from app.core.i18n import gettext_noop


class Body(BaseModel):
    """A body that a caller sends. Unknown fields are refused, so that a misspelt field is an error."""

    model_config = ConfigDict(extra="forbid", str_max_length=10_000, allow_inf_nan=False)


class Out(BaseModel):
    """A body that a caller receives. It can be read from the attributes of a row."""

    model_config = ConfigDict(from_attributes=True)


def _require_year_in_range(at: datetime) -> datetime:
    if not 2000 <= at.year < 3000:
        raise ValueError(gettext_noop("年份须为 2000 至 2999"))
    return at


Instant = Annotated[AwareDatetime, AfterValidator(_require_year_in_range)]
"""A time with a zone in a caller's query. The year is 2000 to 2999, so that the time exists in every zone."""
