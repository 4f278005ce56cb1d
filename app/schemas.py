"""The two base models of the API's bodies."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """What a caller sends: unknown fields are refused, so that a misspelt one is not silently lost."""

    model_config = ConfigDict(extra="forbid", str_max_length=10_000, allow_inf_nan=False)


class Out(BaseModel):
    """What a caller gets; read straight off a row."""

    model_config = ConfigDict(from_attributes=True)
