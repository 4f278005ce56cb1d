"""The measurement `pages`: every page of the console and of the phone simulator, with the parts and dialogs that it
loads. Each is compared with the API call for the same data."""

import base64
import json
import time
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from app.authz.cookies import CookieSession
from app.core.calendar import today
from app.core.cipher import Cipher
from bench.flat_reads import compare_latencies
from bench.page_fixtures import Callers, PageFixtures, create_fixtures
from bench.requests import Target
from bench.rows import Row
from bench.service import Measured
from devtools.demo.people import Person

SHARE = 1 / 30
"""The part of the scale's seconds for each page: there are many pages, and tokens are valid for ten minutes."""
NO_PAGES = frozenset(
    {
        "/console/assets/{digest}/{name}",
        "/console/sign-in/{user_code}/events",
        "/console/operators/verifications/{verification_id}/pictures/{side}",
        "/verify",  # leads on to the provider
        "/console/orgs/{org_id}/imports/template",
        "/console/orgs/{org_id}/imports/{import_id}/changes.xlsx",
        "/console/orgs/{org_id}/imports/{import_id}/failed-rows.xlsx",
        "/console/orgs/{org_id}/exports/{export_id}/content",
        "/console/orgs/{org_id}/certification/invitations/{invitation_id}/qr.png",
        "/console/orgs/{org_id}/join-links/{link_id}/qr.png",
        "/console",
        "/phone",
        "/phone/open",
        "/phone/security/data/{copy_id}/content",
        "/console/{path:path}",
        "/phone/{path:path}",
    }
)
"""Routes without a page: files, a stream, redirects, and the answer for unknown addresses."""
BARE = "/livez"
"""The reference for public pages without an API call: an answer that reads nothing."""


class Page(NamedTuple):
    """A measured page: its address, the path of the API call with which it is compared (`call`), and the caller (`by`:
    a name in `Callers`, `anonymous` or `waiting`)."""

    address: str
    call: str
    by: str = "main"
    form: bytes | None = None
    """The form that is sent; None for a read."""


def pages(measured: Measured) -> list[Row]:
    """Compare the median latency of each page with that of its API call, in alternating rounds. There is no goal."""
    data, callers = create_fixtures(measured, list(measured.world.groups.values())[1])
    headers = _build_all_headers(measured, callers)
    rows = []
    for routes, more in ((build_pages(data), {}), (build_parts(data), {"HX-Request": "true"})):
        for name, page in routes.items():
            site = page.address.split("/")[1]
            ours = headers[page.by][site] | more
            reference = headers[page.by]["v1"]
            rows.append(
                compare_latencies(
                    measured,
                    f"page_{name}",
                    Target(page.address, ours, page.form),
                    Target(page.call, reference),
                    None,
                    p="p50_ms",
                    share=SHARE,
                )
            )
    return rows


def build_pages(data: PageFixtures) -> dict[str, Page]:
    """Return the pages by the names of their rows."""
    desk, own, of_subordinate = f"/console/orgs/{data.org}", f"/v1/orgs/{data.org}", f"/v1/orgs/{data.subordinate}"
    certifying, setting = f"{desk}/certification", f"{desk}/settings"
    inbox = "/phone/inbox"
    operating, operator = "/console/operators", "/v1/operator"
    of_client = f"{operator}/clients/{data.client}"
    return {
        # First, since a code is valid for three minutes.
        "sign_in": Page("/console/", f"/v1/device-authorizations/{data.ticketed}/qr.svg", "anonymous"),
        "sign_in_state": Page(f"/console/sign-in/{data.code}", f"/v1/device-authorizations/{data.ticketed}", "waiting"),
        "sign_in_code": Page("/console/sign-in/code", f"/v1/device-authorizations/{data.ticketed}/qr.svg", "anonymous"),
        "phone_scanned": Page(f"/phone/scans/{data.scan}", f"/v1/scans/{data.scan}"),
        "home": Page("/console/", "/v1/me/orgs"),
        "overview": Page(desk, f"{own}/reports/overview"),
        "members": Page(f"{desk}/members", f"{own}/members"),
        "subordinates": Page(f"{desk}/subordinates", f"{own}/subordinates"),
        "links": Page(f"{desk}/link-requests", f"{own}/link-requests"),
        "people_moving": Page(f"{desk}/person-transfers", f"{own}/person-transfers"),
        "groups_moving": Page(f"{desk}/group-transfers", f"{own}/group-transfers"),
        "group_moving": Page(
            f"{desk}/group-transfers/{data.coming_people}", f"{own}/group-transfers/{data.coming_people}"
        ),
        "removed": Page(f"{desk}/removed", f"{own}/members/removed"),
        "exports": Page(f"{desk}/exports", f"{own}/exports"),
        "imports": Page(f"{desk}/imports", f"{own}/units"),
        "import_history": Page(f"{desk}/imports/history", f"{own}/imports"),
        "import": Page(f"{desk}/imports/{data.imported}", f"{own}/imports/{data.imported}"),
        "reports": Page(f"{desk}/reports", f"{own}/reports/overview"),
        "above": Page(certifying, f"{own}/certifications"),
        "invitations": Page(f"{certifying}/invitations", f"{own}/invitations"),
        "invitation": Page(
            f"{certifying}/invitations/{data.invitation}", f"{own}/invitations/{data.invitation}/qr.svg"
        ),
        "applications": Page(f"{certifying}/applications", f"{own}/applications"),
        "below": Page(f"{certifying}/subordinates", f"{own}/subordinates"),
        "transfers": Page(f"{certifying}/transfers", f"{own}/transfers"),
        "transfer": Page(f"{certifying}/transfers/{data.transfer}", f"{own}/transfers/{data.transfer}"),
        "promotions": Page(f"{certifying}/promotions", f"{own}/promotions"),
        "settings": Page(setting, f"{own}/change-requests"),
        "admins": Page(f"{setting}/admins", f"{own}/admins"),
        "received": Page(f"{setting}/received", f"{own}/change-requests"),
        "offer_unit": Page(
            f"/console/offers/promotion/{data.promotion}", f"/v1/me/promotions/{data.promotion}", "invited"
        ),
        "offer_admin": Page(
            f"/console/offers/admin-invitation/{data.admin_invitation}",
            f"/v1/me/admin-invitations/{data.admin_invitation}",
            "invited",
        ),
        "mergers": Page(f"{certifying}/mergers", f"{own}/mergers"),
        "merger": Page(f"{certifying}/mergers/{data.merger}", f"{own}/mergers/{data.merger}"),
        "join_requests": Page(f"{desk}/join-requests", f"{own}/join-requests"),
        "join_links": Page(f"{desk}/join-links", f"{own}/join-links"),
        "join_link": Page(f"{desk}/join-links/{data.join_link}", f"{own}/join-links/{data.join_link}"),
        "removal_requests": Page(f"{desk}/removal-requests", f"{own}/removal-requests"),
        "memberships": Page("/console/memberships", "/v1/me/memberships"),
        "messages": Page("/console/messages", "/v1/messages"),
        "audit": Page(f"{desk}/audit", f"{own}/audit"),
        "security": Page("/console/security", "/v1/me/sessions"),
        "operator": Page(operating, f"{operator}/verifications", "operator"),
        "operator_cards": Page(f"{operating}/verifications", f"{operator}/verifications", "operator"),
        "operator_recoveries": Page(f"{operating}/recoveries", f"{operator}/recoveries", "operator"),
        "operator_offers": Page(f"{operating}/recovery-offers", f"{operator}/recovery-offers", "operator"),
        "operator_accounts": Page(f"{operating}/accounts", of_client, "operator"),
        "operator_account": Page(f"{operating}/accounts/{data.admin}", of_client, "operator"),
        "operator_phones": Page(f"{operating}/phone-returns", of_client, "operator"),
        "operator_clients": Page(f"{operating}/clients", f"{operator}/clients", "operator"),
        "open_scan": Page("/open/scan", BARE, "anonymous"),
        "open_join": Page("/open/join", BARE, "anonymous"),
        "open_join_org": Page("/open/join-org", BARE, "anonymous"),
        "stop_recovery": Page("/stop-recovery", BARE, "anonymous"),
        "verified": Page("/verified", BARE, "anonymous"),
        "phone_sign_in": Page("/phone/", BARE, "anonymous"),
        "phone": Page("/phone/", "/v1/me"),
        "phone_id_card": Page("/phone/verification/id-card", "/v1/me/verifications"),
        "phone_security": Page("/phone/security", "/v1/me/sessions"),
        "phone_change": Page("/phone/security/phone", "/v1/me"),
        "phone_closure": Page("/phone/security/closure", "/v1/me"),
        "phone_recoveries": Page("/phone/security/recoveries", "/v1/me/account-recoveries"),
        "phone_data": Page("/phone/security/data", "/v1/me"),
        "phone_points": Page("/phone/points", "/v1/me/points"),
        "phone_scan": Page("/phone/scan", "/v1/me"),
        "phone_regions": Page("/phone/regions?region=%E7%8E%84%E6%AD%A6", "/v1/regions?q=%E7%8E%84%E6%AD%A6"),
        "phone_new_org": Page("/phone/orgs/new", "/v1/me"),
        "phone_join": Page(f"/phone/join?invitation={data.token}", f"/v1/invitations/{data.token}"),
        "phone_ranking": Page(f"/phone/orgs/{data.org}/ranking", f"{own}/rankings"),
        "phone_inbox": Page(inbox, "/v1/inbox"),
        "phone_messages": Page("/phone/messages", "/v1/messages"),
        "phone_memberships": Page("/phone/memberships", "/v1/me/memberships"),
        "phone_join_org": Page("/phone/join-org", "/v1/me"),
        "phone_join_requests": Page("/phone/join-requests", "/v1/me/join-requests"),
        "phone_link_requests": Page("/phone/link-requests", "/v1/me/link-requests"),
        "phone_joining": Page(
            f"{inbox}/join-request/{data.org}/{data.join_request}", f"{own}/join-requests/{data.join_request}"
        ),
        "phone_removal": Page(
            f"{inbox}/removal-request/{data.org}/{data.removal_request}",
            f"{own}/removal-requests/{data.removal_request}",
        ),
        "phone_application": Page(
            f"{inbox}/application/{data.org}/{data.application}", f"{own}/applications/{data.application}"
        ),
        "phone_rename": Page(
            f"{inbox}/change-request/{data.org}/{data.rename}", f"{own}/change-requests/{data.rename}"
        ),
        "phone_recovery": Page(
            f"{inbox}/recovery/{data.subordinate}/{data.recovery}", f"{of_subordinate}/change-requests/{data.recovery}"
        ),
        "phone_transfer": Page(f"{inbox}/transfer/{data.org}/{data.transfer}", f"{own}/transfers/{data.transfer}"),
        "phone_link": Page(f"{inbox}/link-request/{data.org}/{data.link}", f"{own}/link-requests/{data.link}"),
        "phone_offer": Page(f"{inbox}/promotion/{data.promotion}", f"/v1/me/promotions/{data.promotion}", "invited"),
        "phone_coming": Page(
            f"{inbox}/person-transfer/{data.org}/{data.coming}", f"{own}/person-transfers/{data.coming}"
        ),
        "phone_group": Page(
            f"{inbox}/group-transfer/{data.org}/{data.coming_people}", f"{own}/group-transfers/{data.coming_people}"
        ),
    }


def build_parts(data: PageFixtures) -> dict[str, Page]:
    """Return the parts that a page loads later, and its dialogs, by the names of their rows. A confirmation is compared
    with the API call that reads its subject, or that reads the org."""
    desk, own, county = f"/console/orgs/{data.org}", f"/v1/orgs/{data.org}", f"/v1/orgs/{data.county}"
    certifying, setting = f"{desk}/certification", f"{desk}/settings"
    at_subordinate, of_subordinate = f"/console/orgs/{data.subordinate}", f"/v1/orgs/{data.subordinate}"
    row, of_row = f"{desk}/members/{data.member}", f"{own}/members/{data.member}"
    unit, of_unit = f"{desk}/units/{data.unit}", f"{own}/units/{data.unit}"
    moving, of_moving = f"{desk}/person-transfers", f"{own}/person-transfers"
    groups, of_groups = f"{desk}/group-transfers", f"{own}/group-transfers"
    imported, of_import = f"{desk}/imports/{data.imported}", f"{own}/imports/{data.imported}"
    link, of_link = f"{desk}/link-requests/{data.link}", f"{own}/link-requests/{data.link}"
    of_joining = f"{own}/join-requests/{data.join_request}"
    of_removal, of_merger = f"{own}/removal-requests/{data.removal_request}", f"{own}/mergers/{data.merger}"
    request, of_request = f"{setting}/received/{data.rename}", f"{own}/change-requests/{data.rename}"
    applied, of_applied = (
        f"{certifying}/applications/{data.application}",
        f"{own}/applications/{data.application}",
    )
    transfer, of_transfer = f"{certifying}/transfers/{data.transfer}", f"{own}/transfers/{data.transfer}"
    found, invited = "%E7%8E%8B%E4%BC%9F", f"{certifying}/invitations"
    away = f"link={data.away}".encode()
    operating, of_client = "/console/operators", f"/v1/operator/clients/{data.client}"
    account, orphan = f"{operating}/accounts/{data.admin}", f"{operating}/recoveries/{data.orphan_recovery}"
    client, offers = f"{operating}/clients/{data.client}", f"{operating}/recovery-offers"
    return {
        "glance": Page(f"{desk}/glance", f"{own}/reports/trend?days=7"),
        "people_found": Page(f"{desk}/members?q={found}", f"{own}/members?q={found}"),
        "member": Page(row, of_row),
        "member_form": Page(f"{row}/form", of_row),
        "member_units": Page(f"{row}/units", f"{own}/units"),
        "member_new": Page(f"{desk}/members/new", f"{own}/units"),
        "member_removal": Page(f"{row}/removal", of_row),
        "member_unlinking": Page(f"{row}/unlinking", of_row),
        "member_leaves": Page(f"{row}/transfers/new", of_row),
        "selection": Page(f"{desk}/selection", f"{own}/units", form=f"act=move&member_id={data.member}".encode()),
        "units": Page(f"{desk}/units", f"{own}/units"),
        "unit_level": Page(f"{desk}/units?parent={data.unit}", f"{own}/units"),
        "units_found": Page(f"{desk}/units/found?wanted=%E6%94%AF%E9%83%A8", f"{own}/units"),
        "unit_new": Page(f"{desk}/units/new", own),
        "unit_form": Page(f"{unit}/form", of_unit),
        "unit_removal": Page(f"{unit}/removal", of_unit),
        "unit_move": Page(f"{unit}/moves/new", of_unit),
        "tree_level": Page(f"/console/orgs/{data.county}/subordinates", f"{county}/subordinates", "superior_admin"),
        "orgs_found": Page(
            f"/console/orgs/{data.county}/subordinates/found?wanted={found}", f"/v1/orgs?q={found}", "superior_admin"
        ),
        "import_preview": Page(f"{imported}/preview", of_import),
        "import_reading": Page(f"{imported}/reading", of_import),
        "import_units": Page(f"{imported}/units", f"{of_import}/units"),
        "import_existing": Page(f"{imported}/units/existing?path=%E6%94%AF%E9%83%A8", f"{own}/units"),
        "import_rows": Page(f"{imported}/rows", f"{of_import}/rows"),
        "import_undecided": Page(f"{imported}/undecided", f"{of_import}/rows?outcome=undecided"),
        "import_row": Page(f"{imported}/rows/3/edit", f"{of_import}/rows"),
        "import_changes": Page(f"{imported}/changes", f"{of_import}/changes"),
        "import_removals": Page(f"{imported}/removals", of_import),
        "import_skipped": Page(
            f"{desk}/imports/{data.imported}/skipped-rows", f"{own}/imports/{data.imported}/summary"
        ),
        "import_reversal": Page(f"{desk}/imports/{data.finished}/reversal", f"{own}/imports/{data.finished}/reversal"),
        "import_blocked": Page(
            f"{desk}/imports/{data.finished}/blocked-people", f"{own}/imports/{data.finished}/reversal/blocked-people"
        ),
        "export_new": Page(f"{desk}/exports/new", f"{own}/members"),
        "export_deletion": Page(f"{desk}/exports/{data.export}/deletion", f"{own}/exports/{data.export}"),
        "report_rows": Page(
            f"/console/orgs/{data.county}/reports?sort=members",
            f"{county}/reports/subordinates?sort=members",
            "superior_admin",
        ),
        "trend": Page(f"{desk}/reports/trend?days=30&day={today()}", f"{own}/reports/trend?days=30"),
        "report_units": Page(f"{desk}/reports/units", f"{own}/reports/units"),
        "report_export": Page(f"{desk}/reports/exports/new", own),
        "person_regions": Page(f"{desk}/regions?region=%E7%8E%84%E6%AD%A6", "/v1/regions?q=%E7%8E%84%E6%AD%A6"),
        "person_comes": Page(f"{moving}/{data.coming}/acceptance", f"{of_moving}/{data.coming}"),
        "person_refused": Page(f"{moving}/{data.coming}/refusal", f"{of_moving}/{data.coming}"),
        "group_comes": Page(f"{groups}/{data.coming_people}/acceptance", f"{of_groups}/{data.coming_people}"),
        "group_refused": Page(f"{groups}/{data.coming_people}/refusal", f"{of_groups}/{data.coming_people}"),
        "group_stays": Page(f"{groups}/{data.leaving_people}/withdrawal", f"{of_groups}/{data.leaving_people}"),
        "people_of_sheet": Page(f"{groups}/sheets", own),
        "person_stays": Page(f"{moving}/{data.leaving}/withdrawal", f"{of_moving}/{data.leaving}"),
        "link_accepted": Page(f"{link}/acceptance", of_link),
        "link_refused": Page(f"{link}/refusal", of_link),
        "unit_choices": Page(f"{desk}/unit-choices", f"{own}/units"),
        "badges": Page("/console/badges", "/v1/messages/unread-count"),
        "join_accepted": Page(f"{desk}/join-requests/{data.join_request}/acceptance", of_joining),
        "join_refused": Page(f"{desk}/join-requests/{data.join_request}/refusal", of_joining),
        "join_link_new": Page(f"{desk}/join-links/new", f"{own}/units"),
        "join_link_ends": Page(f"{desk}/join-links/{data.join_link}/revocation", f"{own}/join-links/{data.join_link}"),
        "removal_accepted": Page(f"{desk}/removal-requests/{data.removal_request}/acceptance", of_removal),
        "removal_refused": Page(f"{desk}/removal-requests/{data.removal_request}/refusal", of_removal),
        "removal_requested": Page(f"/console/memberships/{data.org}/removal-request", "/v1/me/memberships"),
        "removal_withdrawn": Page(
            f"/console/memberships/{data.org}/removal-request/withdrawal", "/v1/me/memberships", "invited"
        ),
        "org_blocked": Page(f"/console/memberships/{data.org}/block", "/v1/me/memberships"),
        "org_unblocked": Page(f"/console/memberships/{data.blocked}/block/removal", "/v1/me/blocked-orgs", "invited"),
        "merger_new": Page(f"{certifying}/mergers/new", own),
        "merger_accepted": Page(f"{certifying}/mergers/{data.merger}/acceptance", of_merger),
        "merger_refused": Page(f"{certifying}/mergers/{data.merger}/refusal", of_merger),
        "merger_withdrawn": Page(
            f"/console/orgs/{data.merging}/certification/mergers/{data.merger}/withdrawal",
            f"/v1/orgs/{data.merging}/mergers/{data.merger}",
        ),
        "closure_withdrawn": Page(
            f"/console/orgs/{data.merging}/settings/closure/withdrawal", f"/v1/orgs/{data.merging}/closures"
        ),
        "reopening": Page(f"/console/orgs/{data.closed}/settings/reopening", f"/v1/orgs/{data.closed}/closures"),
        "rename": Page(f"{setting}/renames/new", own),
        "hand_over": Page(f"{setting}/hand-overs/new", f"{own}/admins"),
        "recovery": Page(f"{setting}/recoveries/new", f"{own}/admins", "other"),
        "change_withdrawn": Page(
            f"{at_subordinate}/settings/change-requests/{data.rename}/withdrawal",
            f"{of_subordinate}/change-requests/{data.rename}",
        ),
        "change_approved": Page(f"{request}/approval", of_request),
        "change_refused": Page(f"{request}/refusal", of_request),
        "closure": Page(f"{setting}/closure", own),
        "admin_new": Page(f"{setting}/admin-invitations/new", own),
        "admin_uninvited": Page(
            f"{setting}/admin-invitations/{data.admin_invitation}/withdrawal", f"{own}/admin-invitations"
        ),
        "admin_removal": Page(f"{setting}/admins/{data.admin}/removal", f"{own}/admins"),
        "admin_resigns": Page(f"{setting}/admins/me/resignation", own, "other"),
        "name_check": Page(f"{desk}/name-check?new_name=%E5%85%9A%E5%A7%94&of=new", own),
        "promotion_new": Page(f"{certifying}/promotions/new", f"{own}/units"),
        "promotion_back": Page(f"{certifying}/promotions/{data.promotion}/withdrawal", f"{own}/promotions"),
        "offer_refused": Page(
            f"/console/offers/promotion/{data.promotion}/refusal",
            f"/v1/me/promotions/{data.promotion}",
            "invited",
        ),
        "apply": Page(f"{certifying}/applications/new", "/v1/me/orgs"),
        "apply_check": Page(
            f"/console/orgs/{data.applicant}/certification/applications/check",
            f"/v1/invitations/{data.away}",
            form=away,
        ),
        "apply_withdrawn": Page(
            f"/console/orgs/{data.applicant}/certification/applications/{data.application}/withdrawal",
            f"/v1/orgs/{data.applicant}/certifications",
        ),
        "apply_approved": Page(f"{applied}/approval", of_applied),
        "apply_refused": Page(f"{applied}/refusal", of_applied),
        "invitation_new": Page(f"{invited}/new", own),
        "invitation_ends": Page(f"{invited}/{data.invitation}/revocation", f"{own}/invitations"),
        "recovery_offer": Page(
            f"{certifying}/subordinates/{data.subordinate}/recovery-offers/new", f"{own}/subordinates"
        ),
        "release": Page(f"{certifying}/subordinates/{data.subordinate}/release", f"{own}/subordinates"),
        "transfer_new": Page(f"{certifying}/transfers/new", "/v1/me/orgs"),
        "transfer_check": Page(
            f"{at_subordinate}/certification/transfers/check", f"{of_subordinate}/transfers/{data.transfer}", form=away
        ),
        "transfer_released": Page(f"{transfer}/release", of_transfer),
        "transfer_refused": Page(f"{transfer}/refusal", of_transfer),
        "transfer_withdrawn": Page(
            f"{at_subordinate}/certification/transfers/{data.transfer}/withdrawal",
            f"{of_subordinate}/transfers/{data.transfer}",
        ),
        "account_suspension": Page(f"{account}/suspension", of_client, "operator"),
        "account_restoration": Page(f"{account}/restoration", of_client, "operator"),
        "account_keys": Page(f"{account}/key-recovery", of_client, "operator"),
        "orphan_approved": Page(f"{orphan}/approval", "/v1/operator/recoveries", "operator"),
        "orphan_refused": Page(f"{orphan}/refusal", "/v1/operator/recoveries", "operator"),
        "offer_new": Page(f"{offers}/new", of_client, "operator"),
        "offer_regions": Page(
            f"{offers}/regions?region=%E7%8E%84%E6%AD%A6", "/v1/regions?q=%E7%8E%84%E6%AD%A6", "operator"
        ),
        "offer_withdrawn": Page(
            f"{offers}/{data.operator_offer}/withdrawal", "/v1/operator/recovery-offers", "operator"
        ),
        "client_new": Page("/console/operators/clients/new", of_client, "operator"),
        "client_secret_new": Page(f"{client}/secrets/new", of_client, "operator"),
        "client_revoked": Page(f"{client}/revocation", of_client, "operator"),
        "client_restored": Page(f"{client}/restoration", of_client, "operator"),
        "session_ends": Page(f"/console/security/sessions/{data.session}/end", "/v1/me/sessions"),
        "sessions_end": Page("/console/security/sessions/end-others", "/v1/me"),
    }


def _build_all_headers(measured: Measured, callers: Callers) -> Mapping[str, Mapping[str, dict[str, str]]]:
    """Return the request headers by the name of the caller, then by the site: `console`, `phone` or `v1` (the API)."""
    people = {name: getattr(callers, name) for name in ("main", "other", "superior_admin", "invited", "operator")}
    signed_in = {
        name: {"v1": {"Authorization": f"Bearer {person.token}"}}
        | {site: _build_headers(measured, person, site) for site in ("console", "phone")}
        for name, person in people.items()
    }
    anonymous: dict[str, dict[str, str]] = {"v1": {}, "console": {}, "phone": {}}
    waiting = {"v1": {"Cookie": callers.ticket}, "console": {"Cookie": callers.waits}}
    return signed_in | {"anonymous": anonymous, "waiting": waiting}


def _build_headers(measured: Measured, person: Person, site: str) -> dict[str, str]:
    """Return the headers of a signed-in person's browser for `site`: the session cookie, and the header that browsers
    send with a form of the same origin."""
    claims = json.loads(base64.urlsafe_b64decode(person.token.split(".")[1] + "=="))
    now = int(time.time())
    carried = CookieSession(
        user_id=UUID(claims["sub"]),
        session_id=claims["sid"],
        client_id="xuezu-app",
        idle_seconds=3600,
        renewed_at=now,
        ends_at=now + 3600,
    )
    sealed = Cipher(measured.settings).encrypt(carried.model_dump_json(), f"xuezu-{site}")
    value = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
    return {"Cookie": f"xuezu-{site}={value}", "Sec-Fetch-Site": "same-origin"}
