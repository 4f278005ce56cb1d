"""What the mission's table says is refused: each with its own problem, declared where it is raised."""

import re

import pytest
from fastapi import FastAPI

from app.errors import MEDIA_TYPE

ORG = "/v1/orgs/{org_id}"
APPLY = f"POST {ORG}/applications"
CHANGES = f"POST {ORG}/change-requests"
# row: what is refused with which status, and by which operations
REFUSED = {
    "S1": [
        (403, "real-name-required", ["POST /v1/orgs", "PUT /v1/me/admin-invitations/{invitation_id}/acceptance"]),
        (403, "real-name-required", ["PUT /v1/me/promotions/{promotion_id}/acceptance"]),
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
    "S8": [(409, "phone-exists", [f"POST {ORG}/members"])],
    "S11": [(409, "unit-has-no-admins", [f"POST {ORG}/units/{{unit_id}}/admins"])],
    "S12": [(404, "not-found", [f"GET {ORG}/members", f"GET {ORG}/members/{{member_id}}"])],
    "S13": [(404, "not-found", [f"GET {ORG}/rankings"])],
    "S14": [(409, "would-close-circle", [APPLY, f"PUT {ORG}/applications/{{application_id}}/approval"])],
    "S16": [(401, "security-key-needed", [f"GET {ORG}", f"PATCH {ORG}", f"GET {ORG}/reports/overview"])],
    "S17": [(409, "party-members-only", [f"POST {ORG}/members"])],
    "S20": [
        (409, slug, [f"PUT {ORG}/transfers/{{transfer_id}}/acceptance"])
        for slug in ("would-close-circle", "preview-stale")
    ]
    + [(409, "transfer-open", [f"POST {ORG}/transfers"])],
}


@pytest.mark.parametrize("row", REFUSED)
def test_the_table_s_refusals_are_declared_with_their_problem(app: FastAPI, row: str) -> None:
    paths = app.openapi()["paths"]
    for status, slug, operations in REFUSED[row]:
        for operation in operations:
            method, path = operation.split()
            declared = paths[path][method.lower()]["responses"][str(status)]["content"][MEDIA_TYPE]["examples"]
            assert slug in declared, f"{operation} does not say that it is refused so"
            shown = declared[slug]
            assert re.search("[\u4e00-\u9fff]", shown["summary"]), f"{slug} has no Chinese title"
            assert shown["value"]["title"] in shown["summary"]
            assert shown["value"]["detail"], f"{slug} does not say what to do instead"
