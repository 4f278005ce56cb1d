"""Recording the answers of a demo as the examples of answers in the OpenAPI document.

`make examples` sends each example of a request to a fresh demo and stores what it answers. What differs from run to run
is replaced, so that a new recording shows what has changed: ids are counted in the order of their first appearance,
times are rounded to hours around a fixed hour, phones and secrets have one value.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.api_docs.examples import PLACEHOLDERS
from app.api_docs.recorded_answers import RECORDED
from app.core.calendar import SHANGHAI

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
"""The hour at which every recording takes place, as its times say."""
_ROWS = 2  # of each list

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_PHONE = re.compile(r"(?<![\d*])1\d{10}(?!\d)")
_MASKED = re.compile(r"1\d\d\*{4}\d{4}")
_ORIGIN = re.compile(r"http://(127\.0\.0\.1|localhost)(:\d+)?")
_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{12,32}(?![0-9a-f])")
_USER_CODE = re.compile(r"\b[A-Z]{4}-[A-Z]{4}\b")
_SECRET = re.compile(r"(?=[\w.-]*[A-Z])(?=[\w.-]*[a-z])(?=[\w.-]*\d)[\w-]{20,}(\.[\w-]+)*", re.ASCII)


class Recording:
    """The answers of one run of the demo. Ids, times, phones and secrets are replaced by fixed values."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._ids: dict[str, str] = {}
        self._answers: dict[str, dict[str, Any]] = {}

    def add(self, call: str, status: int, body: Any) -> None:
        """Add the answer to a call (`GET /v1/me`)."""
        self._answers[call] = {str(status): self._replace(body)}

    def write(self) -> None:
        """Store the recording in place of the former one."""
        answers = dict(sorted(self._answers.items()))
        RECORDED.write_text(json.dumps(answers, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def _replace(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._replace(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self._replace(part) for part in value[:_ROWS]]
        return self._replace_text(value) if isinstance(value, str) else value

    def _replace_text(self, text: str) -> str:
        if _TIME.fullmatch(text):
            hours = round((datetime.fromisoformat(text) - self._now) / timedelta(hours=1))
            return (NOW + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
        if _DAY.fullmatch(text):
            return str(NOW.date() + (date.fromisoformat(text) - self._now.astimezone(SHANGHAI).date()))
        text = _ID.sub(self._count_id, text)
        text = _ORIGIN.sub("http://localhost:8000", text)
        text = _PHONE.sub(PLACEHOLDERS["phone"], _MASKED.sub("138****8000", text))
        if _ID.search(text) is None:
            text = _HEX.sub(lambda found: "0" * len(found[0]), text)
            text = _SECRET.sub(PLACEHOLDERS["secret"], text)
        return _USER_CODE.sub("WDJB-MJHT", text)

    def _count_id(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0], f"01900000-0000-7000-8000-{len(self._ids) + 1:012d}")
