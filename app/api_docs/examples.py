"""The example of each operation: the path, query and body that the first administrator of a demo sends.

A `Stored` names a row of the database, which is found when the document is served (`find_example_values` in
devtools). The committed document has a placeholder instead. An example that creates something gives it a name or phone
that no row has yet, so that the example can be run more than once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLACEHOLDERS: Mapping[str, str] = {
    "phone": "13800138000",
    "new_phone": "13800138001",
    "guest_phone": "13800138002",
    "invited_phone": "13800138003",
    "now": "2026-01-05T08:30:00Z",
    "to_release_preview": "0" * 32,
    "to_accept_preview": "0" * 32,
    "merger_preview": "0" * 32,
    "attempt": "3b1hZ0l8m0S9d2vQe6yXcg",
    "secret": "kF2vG6n3QeXw0bYd8mRz1A",
    "desktop": "device-5f2c9a1b7e30",
}
"""The placeholders in the committed document for values that only a database has."""
PLACEHOLDER_ID = "01900000-0000-7000-8000-000000000000"
"""The placeholder of an id."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A placeholder for a value of the database. `find_example_values` in devtools finds the value by the name."""

    name: str


@dataclass(frozen=True, slots=True)
class Example:
    """The example of a call: its body, and the values of its path and query parameters. Omitted path parameters have
    the values of `DEFAULT_VALUES`."""

    body: Mapping[str, Any] | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


DEFAULT_VALUES: Mapping[str, Any] = {
    "org_id": Stored("org"),
    "unit_id": Stored("unit"),
    "member_id": Stored("member"),
    "import_id": Stored("import"),
    "export_id": Stored("export"),
    "copy_id": Stored("data_copy"),
    "session_id": Stored("session"),
    "verification_id": Stored("verification"),
    "user_id": Stored("other_admin"),
    "subordinate_id": Stored("subordinate"),
    "request_id": Stored("request_to_approve"),
    "application_id": Stored("application_to_approve"),
    "transfer_id": Stored("transfer_to_release"),
    "merger_id": Stored("merger_to_accept"),
    "promotion_id": Stored("promotion_to_accept"),
    "invitation_id": Stored("invitation"),
    "link_id": Stored("join_link"),
    "message_id": Stored("message"),
    "offer_id": Stored("recovery_offer"),
    "scan_id": Stored("scan"),
    "key_id": Stored("security_key"),
    "user_code": "WDJB-MJHT",
    "client_id": "points",
    "attempt": Stored("attempt"),
    "token": PLACEHOLDERS["secret"],
    "phone": Stored("phone"),
}

_SECRET = PLACEHOLDERS["secret"]
_ORG = "/v1/orgs/{org_id}"
_PROOF = {"method": "alipay", "name": "李明", "id_number": "11010519491231002X"}
_CHALLENGE = {"challenge_id": Stored("challenge")}
_CREDENTIAL = {"id": "bWFkZS11cA", "rawId": "bWFkZS11cA", "type": "public-key"}
_REASON = {"reason": "名称与所在党组织全称不符"}
_SENT = {"invitation_id": Stored("sent_admin_invitation")}
_MY_REQUEST = {"org_id": Stored("my_request_org"), "request_id": Stored("my_request")}
_MY_MERGER = {"org_id": Stored("my_merger_org"), "merger_id": Stored("my_merger")}
_MY_TRANSFER = {"org_id": Stored("my_transfer_org"), "transfer_id": Stored("my_transfer")}

SIGN_IN: Mapping[str, Example] = {
    "POST /oauth/token": Example(
        {
            "grant_type": "urn:xuezu:params:oauth:grant-type:phone-code",
            "client_id": "xuezu-app",
            "phone": Stored("phone"),
            "code": "123456",
            "handle": _SECRET,
        }
    ),
    "POST /oauth/revoke": Example({"client_id": "xuezu-app", "token": _SECRET}),
    "POST /oauth/device_authorization": Example({"client_id": Stored("desktop")}),
    "PUT /v1/device-authorizations/{user_code}/ticket": Example({"device_code": _SECRET}),
    "POST /v1/scans": Example({"code": "kF2vG6n3QeXw0bYd"}),
    "PUT /v1/scans/{scan_id}/approval": Example({"user_code_end": "MJHT"}),
    "POST /v1/phone-codes": Example({"phone": Stored("phone")}),
    "POST /v1/sign-in-proofs": Example({"proof_token": _SECRET * 2, "proof": _PROOF}),
    "PATCH /v1/me": Example({"party_member": True}),
    "DELETE /v1/me/sessions": Example(values={"keep_current": True}),
    "POST /v1/me/verifications": Example(_PROOF),
    "POST /v1/verifications/{method}/notifications": Example(
        {"certify_id": _SECRET, "sign": _SECRET, "sign_type": "RSA2"}, values={"method": "alipay"}
    ),
    "POST /v1/me/phone-codes": Example({"phone": Stored("new_phone")}),
    "PUT /v1/me/phone": Example(
        {
            "phone": Stored("new_phone"),
            "code": "123456",
            "handle": _SECRET,
            "old_phone_code": "654321",
            "old_phone_handle": _SECRET,
        }
    ),
    "POST /v1/me/account-recoveries": Example({"kind": "lost-phone", "proof": _PROOF}),
    "PUT /v1/messages/read-mark": Example({}),
    "PUT /v1/me/closure": Example({"code": "123456", "handle": _SECRET}),
    "POST /v1/me/security-key-challenges": Example({"purpose": "registration"}),
    "POST /v1/me/security-keys": Example(
        {
            **_CHALLENGE,
            "name": "办公室的钥匙",
            "credential": {**_CREDENTIAL, "response": {"clientDataJSON": "e30", "attestationObject": "o2M"}},
        }
    ),
    "PATCH /v1/me/security-keys/{key_id}": Example({"name": "家里的钥匙"}),
    "PUT /v1/me/security-key-check": Example(
        {
            **_CHALLENGE,
            "credential": {
                **_CREDENTIAL,
                "response": {"clientDataJSON": "e30", "authenticatorData": "SZYN", "signature": "MEUC"},
            },
        }
    ),
    "POST /v1/simulator/clients": Example({"name": "积分系统", "scopes": ["point-events:write"]}),
    "POST /simulator/alipay/{attempt}": Example({"consents": True}),
}

OPERATORS: Mapping[str, Example] = {
    "PUT /v1/operator/verifications/{verification_id}/rejection": Example({"reason": "unreadable"}),
    "PUT /v1/operator/recoveries/{request_id}/refusal": Example({"reason": "主管理员仍在任"}),
    "POST /v1/operator/recovery-offers": Example(
        {"org_id": Stored("org"), "phone": Stored("invited_phone"), "reason": "组织已无管理员"}
    ),
    "POST /v1/operator/org-loads": Example({}),
    "PUT /v1/operator/org-loads/{load_id}/confirmation": Example({"preview": 1}),
    "PUT /v1/operator/org-loads/{load_id}/reversal": Example({"only_unused": False}),
    "POST /v1/operator/phone-return-codes": Example({"phone": Stored("phone")}),
    "POST /v1/operator/phone-returns": Example({"phone": Stored("phone"), "code": "123456", "handle": _SECRET}),
    "POST /v1/operator/account-searches": Example({"phone": Stored("phone")}),
    "POST /v1/operator/key-recoveries": Example({"phone": Stored("phone"), "reason": "lost"}),
    "POST /v1/operator/suspensions": Example({"phone": Stored("phone"), "reason": "security"}),
    "POST /v1/operator/clients": Example({"name": "积分系统", "kind": "service", "scopes": ["point-events:write"]}),
    "POST /v1/operator/clients/{client_id}/secrets": Example({"overlap_hours": 24}),
}

HEALTH: Mapping[str, Example] = {"GET /problems/{slug}": Example(values={"slug": "phone-exists"})}

ORGS: Mapping[str, Example] = {
    "GET /v1/regions": Example(values={"parent": "320100"}),
    "POST /v1/name-checks": Example({"name": "中国共产党江苏省委员会宣传部机关委员会", "region_code": "320102"}),
    "POST /v1/orgs": Example({"name": "中共江苏省委宣传部机关委员会", "region_code": "320102"}),
    "GET /v1/orgs": Example(values={"q": "示范街道"}),
    f"PATCH {_ORG}": Example({"name": "中共示范街道社区联合委员会"}),
    f"PUT {_ORG}/closure": Example(values={"org_id": Stored("closing_org")}),
    f"GET {_ORG}/closures": Example(values={"org_id": Stored("closed_org")}),
    f"DELETE {_ORG}/closure": Example(values={"org_id": Stored("closed_org")}),
    f"POST {_ORG}/units": Example({"name": "青年党支部", "kind": "branch"}),
    f"PATCH {_ORG}/units/{{unit_id}}": Example({"name": "宣传部党支部", "kind": "branch"}),
    f"DELETE {_ORG}/units/{{unit_id}}": Example(values={"move_people_to": Stored("peopled_unit")}),
    f"POST {_ORG}/promotions": Example(
        {
            "unit_id": Stored("peopled_unit"),
            "name": "中共示范街道第一社区支部委员会",
            "region_code": "320102",
            "to": {"phone": Stored("invited_phone")},
        }
    ),
    f"GET {_ORG}/promotions/{{promotion_id}}": Example(values={"promotion_id": Stored("sent_promotion")}),
    f"DELETE {_ORG}/promotions/{{promotion_id}}": Example(values={"promotion_id": Stored("sent_promotion")}),
    "PUT /v1/me/promotions/{promotion_id}/refusal": Example(values={"promotion_id": Stored("promotion_to_refuse")}),
    f"DELETE {_ORG}/admins/me": Example(values={"org_id": Stored("resigning_org")}),
    f"POST {_ORG}/admin-invitations": Example({"phone": Stored("invited_phone")}),
    f"GET {_ORG}/admin-invitations/{{invitation_id}}": Example(values=_SENT),
    f"DELETE {_ORG}/admin-invitations/{{invitation_id}}": Example(values=_SENT),
    **{
        f"{call}": Example(values={"invitation_id": Stored(f"admin_invitation_to_{answer}")})
        for call, answer in (
            ("GET /v1/me/admin-invitations/{invitation_id}", "accept"),
            ("PUT /v1/me/admin-invitations/{invitation_id}/acceptance", "accept"),
            ("PUT /v1/me/admin-invitations/{invitation_id}/refusal", "refuse"),
        )
    },
    f"POST {_ORG}/change-requests": Example(
        {"kind": "rename", "name": "中共示范街道中心社区委员会", "reason": "社区合并"}
    ),
    f"DELETE {_ORG}/change-requests/{{request_id}}": Example(values=_MY_REQUEST),
    f"PUT {_ORG}/change-requests/{{request_id}}/refusal": Example(
        _REASON, values={"request_id": Stored("request_to_refuse")}
    ),
}

MEMBERS: Mapping[str, Example] = {
    f"POST {_ORG}/members": Example({"name": "欧阳雪梅", "phone": Stored("guest_phone"), "unit_ids": [Stored("unit")]}),
    f"PATCH {_ORG}/members/{{member_id}}": Example({"name": "解晓东", "party": True}),
    f"DELETE {_ORG}/members/{{member_id}}": Example(values={"member_id": Stored("leaving_member")}),
    f"POST {_ORG}/members/{{member_id}}/restorations": Example(values={"member_id": Stored("removed_member")}),
    f"PUT {_ORG}/members/{{member_id}}/units": Example({"unit_ids": [Stored("peopled_unit")], "at_org": True}),
    f"PUT {_ORG}/members/{{member_id}}/units/{{unit_id}}/position": Example(
        {"position": 1}, values={"unit_id": Stored("peopled_unit")}
    ),
    f"POST {_ORG}/members/{{member_id}}/copies": Example({"unit_id": Stored("other_unit")}),
    f"POST {_ORG}/moves/reversals": Example(
        {"moved_at": "2026-01-01T00:00:00+08:00", "to_unit_id": Stored("other_unit")}
    ),
    f"POST {_ORG}/moves/previews": Example(
        {"from_unit_id": Stored("peopled_unit"), "to_unit_id": Stored("other_unit")}
    ),
    f"POST {_ORG}/moves": Example({"from_unit_id": Stored("peopled_unit"), "to_unit_id": Stored("other_unit")}),
    f"POST {_ORG}/members/{{member_id}}/transfers": Example({"org_id": Stored("subordinate")}),
    f"GET {_ORG}/person-transfers/{{transfer_id}}": Example(values={"transfer_id": Stored("coming_person")}),
    f"DELETE {_ORG}/person-transfers/{{transfer_id}}": Example(values={"transfer_id": Stored("leaving_person")}),
    f"PUT {_ORG}/person-transfers/{{transfer_id}}/acceptance": Example(
        {"unit_ids": [Stored("peopled_unit")]}, values={"transfer_id": Stored("coming_person")}
    ),
    f"PUT {_ORG}/person-transfers/{{transfer_id}}/refusal": Example(
        {"reason": "编制已满"}, values={"transfer_id": Stored("person_to_refuse")}
    ),
    f"POST {_ORG}/group-transfers": Example(
        {"org_id": Stored("subordinate"), "member_ids": [Stored("member"), Stored("leaving_member")]}
    ),
    f"POST {_ORG}/group-transfers/previews": Example(
        {"org_id": Stored("subordinate"), "member_ids": [Stored("member"), Stored("leaving_member")]}
    ),
    f"POST {_ORG}/group-transfers/sheets": Example({}),
    f"GET {_ORG}/group-transfers/{{transfer_id}}": Example(values={"transfer_id": Stored("coming_people")}),
    f"GET {_ORG}/group-transfers/{{transfer_id}}/people": Example(values={"transfer_id": Stored("coming_people")}),
    f"DELETE {_ORG}/group-transfers/{{transfer_id}}": Example(values={"transfer_id": Stored("leaving_people")}),
    f"PUT {_ORG}/group-transfers/{{transfer_id}}/acceptance": Example(
        {"unit_ids": [Stored("peopled_unit")]}, values={"transfer_id": Stored("coming_people")}
    ),
    f"PUT {_ORG}/group-transfers/{{transfer_id}}/refusal": Example(
        {"reason": "编制已满"}, values={"transfer_id": Stored("people_to_refuse")}
    ),
    "POST /v1/me/link-requests": Example({"org_id": Stored("org_to_link")}),
    "GET /v1/me/link-requests/{request_id}": Example(values={"request_id": Stored("my_link_request")}),
    "DELETE /v1/me/link-requests/{request_id}": Example(values={"request_id": Stored("my_link_request")}),
    f"GET {_ORG}/link-requests/{{request_id}}": Example(values={"request_id": Stored("link_to_accept")}),
    f"PUT {_ORG}/link-requests/{{request_id}}/acceptance": Example({}, values={"request_id": Stored("link_to_accept")}),
    f"PUT {_ORG}/link-requests/{{request_id}}/refusal": Example(
        {"reason": "请先到支部登记"}, values={"request_id": Stored("link_to_refuse")}
    ),
    "POST /v1/me/join-requests": Example({"org_id": Stored("org_to_join")}),
    "GET /v1/me/join-requests/{request_id}": Example(values={"request_id": Stored("my_join_request")}),
    "DELETE /v1/me/join-requests/{request_id}": Example(values={"request_id": Stored("my_join_request")}),
    f"GET {_ORG}/join-requests/{{request_id}}": Example(values={"request_id": Stored("join_to_accept")}),
    f"PUT {_ORG}/join-requests/{{request_id}}/acceptance": Example({}, values={"request_id": Stored("join_to_accept")}),
    f"PUT {_ORG}/join-requests/{{request_id}}/refusal": Example(
        {"reason": "请先到支部登记"}, values={"request_id": Stored("join_to_refuse")}
    ),
    "POST /v1/me/removal-requests": Example({"org_id": Stored("org_to_leave")}),
    "GET /v1/me/removal-requests/{request_id}": Example(values={"request_id": Stored("my_removal_request")}),
    "DELETE /v1/me/removal-requests/{request_id}": Example(values={"request_id": Stored("my_removal_request")}),
    f"GET {_ORG}/removal-requests/{{request_id}}": Example(values={"request_id": Stored("removal_to_accept")}),
    f"PUT {_ORG}/removal-requests/{{request_id}}/acceptance": Example(
        values={"request_id": Stored("removal_to_accept")}
    ),
    f"PUT {_ORG}/removal-requests/{{request_id}}/refusal": Example(
        {"reason": "请先办理组织关系转接"}, values={"request_id": Stored("removal_to_refuse")}
    ),
    "PUT /v1/me/blocked-orgs/{org_id}": Example(values={"org_id": Stored("org_to_block")}),
    "DELETE /v1/me/blocked-orgs/{org_id}": Example(values={"org_id": Stored("blocked_org")}),
    f"POST {_ORG}/join-links": Example({"expires_in_hours": 720, "max_uses": 100}),
    f"DELETE {_ORG}/members/{{member_id}}/activation": Example(values={"member_id": Stored("active_member")}),
    f"POST {_ORG}/members/phone-searches": Example({"phone": Stored("guest_phone")}),
    f"POST {_ORG}/members/exports": Example({"format": "xlsx", "active": False}),
    f"POST {_ORG}/reports/overview/exports": Example(
        {"format": "xlsx", "period": "30d", "sort": "points", "order": "desc"}
    ),
    f"POST {_ORG}/reports/trend/exports": Example({"format": "xlsx", "days": 30}),
    f"POST {_ORG}/reports/units/exports": Example({"format": "csv", "period": "7d"}),
    f"POST {_ORG}/rankings/exports": Example({"format": "xlsx", "by": "total"}),
    f"DELETE {_ORG}/exports/{{export_id}}": Example(values={"export_id": Stored("export_to_delete")}),
    f"POST {_ORG}/imports": Example({"mode": "add-and-update", "unknown_units": "create"}),
    f"PUT {_ORG}/imports/{{import_id}}/confirmation": Example({"preview": 1}),
    f"PUT {_ORG}/imports/{{import_id}}/reading": Example(
        {"columns": [{"heading": "联系方式", "field": "phone"}], "fill_units": True},
        values={"import_id": Stored("open_import")},
    ),
    f"PATCH {_ORG}/imports/{{import_id}}/rows/{{row_id}}": Example(
        {"phone": "13800138000"}, values={"import_id": Stored("open_import"), "row_id": 2}
    ),
    f"PUT {_ORG}/imports/{{import_id}}/units": Example(
        {"others": "create"}, values={"import_id": Stored("open_import")}
    ),
    f"PUT {_ORG}/imports/{{import_id}}/reversal": Example({"partial": True}),
    f"DELETE {_ORG}/imports/{{import_id}}": Example(values={"import_id": Stored("open_import")}),
}

CERTIFICATION: Mapping[str, Example] = {
    f"POST {_ORG}/subordinates/{{subordinate_id}}/recovery-offers": Example(
        {"phone": Stored("invited_phone"), "reason": "组织已无管理员"}
    ),
    f"POST {_ORG}/invitations": Example({"expires_in_hours": 72, "max_uses": 5}),
    f"POST {_ORG}/applications": Example({"invitation_token": _SECRET}),
    f"GET {_ORG}/certifications/{{certification_id}}": Example(
        values={"org_id": Stored("my_application_org"), "certification_id": Stored("my_application")}
    ),
    f"DELETE {_ORG}/applications/{{application_id}}": Example(
        values={"org_id": Stored("my_application_org"), "application_id": Stored("my_application")}
    ),
    f"POST {_ORG}/application-decisions": Example(
        {"decision": "approval", "application_ids": [Stored("application_to_approve")]}
    ),
    f"PUT {_ORG}/applications/{{application_id}}/refusal": Example(
        _REASON, values={"application_id": Stored("application_to_refuse")}
    ),
    f"POST {_ORG}/mergers": Example({"org_id": Stored("subordinate")}, values={"org_id": Stored("merging_org")}),
    f"DELETE {_ORG}/mergers/{{merger_id}}": Example(values=_MY_MERGER),
    f"PUT {_ORG}/mergers/{{merger_id}}/acceptance": Example(
        {"preview": Stored("merger_preview"), "new_unit": {"name": "并入党支部", "kind": "branch"}},
        values={"merger_id": Stored("merger_to_accept")},
    ),
    f"PUT {_ORG}/mergers/{{merger_id}}/refusal": Example(_REASON, values={"merger_id": Stored("merger_to_refuse")}),
    f"POST {_ORG}/transfers": Example({"invitation_token": _SECRET}),
    f"DELETE {_ORG}/transfers/{{transfer_id}}": Example(values=_MY_TRANSFER),
    f"PUT {_ORG}/transfers/{{transfer_id}}/release": Example({"preview": Stored("to_release_preview")}),
    f"PUT {_ORG}/transfers/{{transfer_id}}/acceptance": Example(
        {"preview": Stored("to_accept_preview")}, values={"transfer_id": Stored("transfer_to_accept")}
    ),
    f"PUT {_ORG}/transfers/{{transfer_id}}/refusal": Example(
        _REASON, values={"transfer_id": Stored("transfer_to_refuse")}
    ),
    "POST /v1/point-events": Example(
        {
            "events": [
                {
                    "event_id": "read-81f0c2",
                    "user_id": Stored("user"),
                    "points": 5,
                    "kind": "article",
                    "occurred_at": Stored("now"),
                }
            ]
        }
    ),
}

EXAMPLES: Mapping[str, Example] = {**SIGN_IN, **OPERATORS, **HEALTH, **ORGS, **MEMBERS, **CERTIFICATION}
