"""The HTTP call to an SMS provider."""

from typing import Any

import httpx

from app.provider_calls.client import Answer, Unanswered
from app.provider_calls.client import post as post_to_provider
from app.sms.gateway import Cause, NotSent


async def post(client: httpx.AsyncClient, path: str, **options: Any) -> Answer:
    """Send a POST and return the answer. Raises NotSent as unreachable where there is none."""
    try:
        return await post_to_provider(client, path, **options)
    except Unanswered as error:
        raise NotSent(Cause.UNREACHABLE, error.code) from None
