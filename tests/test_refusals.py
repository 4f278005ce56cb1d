"""The refusals in the mission's table: each has its own problem, declared by its operation."""

import re

import httpx
import pytest
from fastapi import FastAPI

from app.main import MAX_BODY
from app.web.errors import MEDIA_TYPE
from tests.acts import get_refusal
from tests.inlining import inline_shared_parts
from tests.people import People, name_person

ORG = "/v1/orgs/{org_id}"
APPLY = f"POST {ORG}/applications"
CHANGES = f"POST {ORG}/change-requests"
ACCEPT_PROMOTION = "PUT /v1/me/promotions/{promotion_id}/acceptance"
ACCEPT_LINK = f"PUT {ORG}/link-requests/{{request_id}}/acceptance"
# row: the refusals with their status and their operations
REFUSED = {
    "S1": [
        (403, "real-name-required", ["POST /v1/orgs", "PUT /v1/me/admin-invitations/{invitation_id}/acceptance"]),
        (403, "real-name-required", ["PUT /v1/me/promotions/{promotion_id}/acceptance"]),
        (422, "invalid", ["POST /v1/me/verifications"]),  # the checksum or the date of an ID number
        (409, "id-number-taken", ["POST /v1/me/verifications"]),
    ],
    "S2": [
        (422, "unknown-region", ["POST /v1/orgs", f"PATCH {ORG}", "POST /v1/name-checks"]),
        (409, "sibling-name-taken", [f"PUT {ORG}/applications/{{application_id}}/approval", f"PATCH {ORG}", CHANGES]),
    ],
    "S3": [
        (422, slug, ["POST /v1/orgs", f"PATCH {ORG}", CHANGES, f"POST {ORG}/promotions"])
        for slug in ("name-suffix-typed", "name-kind-mismatch", "name-unshowable")
    ],
    "S4": [
        (403, "forbidden", [f"POST {ORG}/admin-invitations", f"DELETE {ORG}/admins/{{user_id}}"]),
        (409, "main-admin-stays", [f"DELETE {ORG}/admins/me"]),
        (403, "main-admin-only", [CHANGES]),
    ],
    "S5": [
        (409, "sole-admin", [CHANGES]),
        (409, "not-an-admin", [CHANGES]),
        (409, "change-request-stale", [f"PUT {ORG}/change-requests/{{request_id}}/approval"]),
    ],
    "S6": [
        (410, "invitation-expired", [APPLY]),
        (404, "invitation-unknown", [APPLY]),
        (409, "invitation-used-up", [APPLY]),
    ],
    "S7": [
        (409, "sibling-name-taken", [f"POST {ORG}/promotions", ACCEPT_PROMOTION]),
        (409, "promotion-open", [f"POST {ORG}/promotions"]),
        (409, "promotion-decided", [ACCEPT_PROMOTION, f"DELETE {ORG}/promotions/{{promotion_id}}"]),
        (410, "promotion-expired", [ACCEPT_PROMOTION]),
        (422, "unknown-unit", [f"POST {ORG}/promotions", f"POST {ORG}/units"]),
        (409, "unit-under-itself", [f"PATCH {ORG}/units/{{unit_id}}"]),
        (409, "unit-too-deep", [f"POST {ORG}/units", f"PATCH {ORG}/units/{{unit_id}}"]),
        (409, "unit-has-units", [f"DELETE {ORG}/units/{{unit_id}}"]),
        (409, "unit-has-people", [f"DELETE {ORG}/units/{{unit_id}}"]),
    ],
    "S8": [(409, "phone-exists", [f"POST {ORG}/members"])],
    "S9": [
        (422, slug, [f"POST {ORG}/imports"])
        for slug in ("file-empty", "file-type-unknown", "file-renamed", "file-encrypted", "file-damaged", "file-bomb")
    ]
    + [
        (413, "file-too-large", [f"POST {ORG}/imports"]),
        (409, "import-not-ready", [f"PUT {ORG}/imports/{{import_id}}/confirmation"]),
        (409, "import-not-rereadable", [f"PUT {ORG}/imports/{{import_id}}/reading"]),
        (409, "import-not-reversible", [f"PUT {ORG}/imports/{{import_id}}/reversal"]),
        (409, "import-edited-since", [f"PUT {ORG}/imports/{{import_id}}/reversal"]),
        (409, "import-row-edited", [f"PATCH {ORG}/imports/{{import_id}}/rows/{{row_id}}"]),
        (409, "row-not-undecided", [f"PUT {ORG}/imports/{{import_id}}/confirmation"]),
        (409, "import-preview-stale", [f"PUT {ORG}/imports/{{import_id}}/confirmation"]),
        (409, "removals-need-consent", [f"PUT {ORG}/imports/{{import_id}}/confirmation"]),
    ],
    "S10": [(409, "unit-name-taken", [f"POST {ORG}/units", f"PATCH {ORG}/units/{{unit_id}}"])],
    "S12": [(404, "not-found", [f"GET {ORG}/members", f"GET {ORG}/members/{{member_id}}"])],
    "S13": [(404, "not-found", [f"GET {ORG}/rankings"])],
    "S14": [(409, "would-close-circle", [APPLY, f"PUT {ORG}/applications/{{application_id}}/approval"])],
    "S16": [(401, "security-key-needed", [f"GET {ORG}", f"PATCH {ORG}", f"GET {ORG}/reports/overview"])],
    "S17": [(409, "party-members-only", [f"POST {ORG}/members"])],
    "S18": [
        (403, "real-name-required", ["POST /v1/me/link-requests"]),
        (409, "no-candidate", [ACCEPT_LINK]),
        (409, "several-candidates", [ACCEPT_LINK]),
        (409, "already-in-directory", ["POST /v1/me/link-requests", ACCEPT_LINK]),
        (409, "link-request-decided", [ACCEPT_LINK, f"PUT {ORG}/link-requests/{{request_id}}/refusal"]),
    ],
    # An org cannot be created for another person: the body has no field for one.
    "S19": [(422, "invalid", ["POST /v1/orgs"])],
    "S20": [
        (409, slug, [f"PUT {ORG}/transfers/{{transfer_id}}/acceptance"])
        for slug in ("would-close-circle", "preview-stale")
    ]
    + [
        (409, "transfer-open", [f"POST {ORG}/transfers"]),
        (409, "person-transfer-open", [f"POST {ORG}/members/{{member_id}}/transfers"]),
        (409, "member-is-admin", [f"POST {ORG}/members/{{member_id}}/transfers"]),
    ],
}
# An unregistered desktop client is refused with an OAuth error, which is not a problem document. The call that adds an
# admin to a unit is not in the document, because it never succeeds (`tests/orgs/test_unit_tree.py`).
NO_PROBLEM = {"S11", "S15"}


def test_every_row_of_the_table_is_tested() -> None:
    assert {*REFUSED, *NO_PROBLEM} == {f"S{number}" for number in range(1, 21)}


@pytest.mark.parametrize("row", REFUSED)
def test_refusals_of_the_table_are_declared_with_their_problem(app: FastAPI, row: str) -> None:
    paths = inline_shared_parts(app.openapi())["paths"]
    for status, slug, operations in REFUSED[row]:
        for operation in operations:
            method, path = operation.split()
            declared = paths[path][method.lower()]["responses"][str(status)]["content"][MEDIA_TYPE]["examples"]
            assert slug in declared, f"{operation} does not say that it is refused so"
            shown = declared[slug]
            assert re.search("[\u4e00-\u9fff]", shown["summary"]), f"{slug} has no Chinese title"
            assert shown["value"]["title"] in shown["summary"]
            assert shown["value"]["detail"], f"{slug} does not say what to do instead"


async def test_unacceptable_body_is_answered_with_a_problem(api: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    large = b'{"name": "' + bytes(MAX_BODY) + b'"}'
    as_json = {"Content-Type": "application/json"}
    assert get_refusal(await person.post("/v1/orgs", content=large, headers=as_json)) == (413, "body-too-large")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = await api.post("/oauth/token", content=large, headers=form)
    assert (refused.status_code, refused.json()["error"]) == (413, "invalid_request")
    for kind in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {}):
        answer = await person.post("/v1/orgs", content=b'{"name": "x", "region_code": "320102"}', headers=kind)
        assert get_refusal(answer) == (415, "unsupported-media-type")


async def test_impossible_times_are_refused(people: People) -> None:
    person = await people.register()
    org = await person.create_org()
    for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        for path in ("certifications", "audit"):
            answer = await person.get(f"/v1/orgs/{org['id']}/{path}", params={"since": at})
            assert get_refusal(answer) == (422, "invalid")


async def test_validation_error_points_to_its_place_in_the_body(people: People) -> None:
    person = await people.register(verified=False)
    body = name_person("王伟", "110105194912310021", "id-card")
    answer = await person.post("/v1/me/verifications", json=body)
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
        ("/id_number", "id-number-checksum")
    ]
    for body, said in (({"kind": person.phone}, "expected 'kind' to be one of"), ({}, "'kind' is missing")):
        answer = await person.post("/v1/me/account-recoveries", json=body)
        assert answer.json()["errors"][0]["detail"].startswith(said)
        assert person.phone not in answer.text
