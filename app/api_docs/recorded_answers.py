"""The examples of answers: what a demo has answered to the examples of requests (`make examples`)."""

import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded_answers.json"
"""The answers by call (`GET /v1/me`) and status. Ids, times, phones and secrets are placeholders."""


def write_recorded_answers(document: dict[str, Any]) -> None:
    """Write the recorded answers into an OpenAPI document. Operations that have none are left as they are."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, body in recorded.get(f"{method.upper()} {path}", {}).items():
                content = operation["responses"].get(status, {}).get("content", {}).get("application/json")
                if content is not None:
                    content["example"] = body
