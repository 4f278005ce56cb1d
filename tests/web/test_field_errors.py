"""Validation errors by field: in the caller's language, and without the values that were sent."""

from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.core.i18n import use_locale
from app.web.field_errors import list_field_errors
from app.web.schemas import Instant
from tests.people import People

SECRET = "13800138000"
BODY = {"name": "x" * 101, "region_code": SECRET, "kind": SECRET, "extra": SECRET}


async def test_field_errors_are_in_the_caller_s_language(people: People) -> None:
    person = await people.register()
    details: dict[str, dict[str, str]] = {}
    for language in ("zh", "en"):
        answer = await person.post("/v1/orgs", json=BODY, headers={"Accept-Language": language})
        assert answer.status_code == 422
        assert SECRET not in answer.text
        details[language] = {error["pointer"]: error["detail"] for error in answer.json()["errors"]}
    assert details["zh"] == {
        "/name": "不得超过 100 个字符",
        "/region_code": "格式不符",
        "/kind": "应为下列之一：'party'、'outside-party'",
        "/extra": "不接受此项",
    }
    assert details["en"] == {
        "/name": "has more than 100 characters",
        "/region_code": "does not have the declared pattern",
        "/kind": "expected one of 'party', 'outside-party'",
        "/extra": "not a field of this body or form",
    }


class _CountBody(BaseModel):
    count: int
    at: Instant


@pytest.mark.parametrize(
    ("given", "chinese", "english"),
    [
        ({}, ["缺少此项", "缺少此项"], ["is missing", "is missing"]),
        (
            {"count": "many", "at": "1999-01-01T00:00:00Z"},
            ["应为整数", "年份须为 2000 至 2999"],
            ["expected a whole number", "a year from 2000 to 2999"],
        ),
    ],
)
def test_error_types_of_pydantic_and_validators_have_both_languages(
    given: dict[str, Any], chinese: list[str], english: list[str]
) -> None:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(_CountBody).validate_python(given)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in raised.value.errors()]
    invalid = RequestValidationError(errors, body=given)
    assert [error["detail"] for error in list_field_errors(invalid)] == chinese
    with use_locale("en"):
        assert [error["detail"] for error in list_field_errors(invalid)] == english


async def test_details_of_wrong_types_are_in_chinese(people: People) -> None:
    """pydantic has its texts in English: those of types that a body can have wrong have one of ours."""
    admin = await people.register()
    org = (await admin.create_org())["id"]
    for path, body, detail in (
        ("invitations", {"expires_in_hours": "5"}, "应为整数"),
        ("invitations", {"max_uses": 1.5}, "应为整数"),
        ("members", {"name": "张三", "party": 1}, "应为 true 或 false"),
        ("reports/overview/exports", {"day": 20260131}, "应为日期，如 2026-01-31"),
    ):
        answer = await admin.post(f"/v1/orgs/{org}/{path}", json=body, headers={"Accept-Language": "zh"})
        assert detail in [error["detail"] for error in answer.json().get("errors", [])], answer.text
