"""Reads that are to cost the same however large the org is: overviews, rankings, members; pages beside the API."""

import base64
import json
import time
from datetime import timedelta
from uuid import UUID

import httpx

from app.auth.session_cookies import CarriedSession
from app.cipher import Cipher
from app.points.days import today
from bench import load
from bench.rows import Row
from bench.service import Measured

CONNECTIONS = 2  # latencies, not throughput: nobody waits for others


def overview_flat(measured: Measured) -> list[Row]:
    """The root's overview with its first page of subordinates, beside a county's."""
    world = measured.world
    large, small = ((f"/v1/orgs/{org}/reports/overview", _admin(measured, org)) for org in (world.root, world.county))
    return [_beside(measured, "overview_flat", large, small, 1.5, p="p50_ms")]


def rank_flat(measured: Measured) -> list[Row]:
    """A page and the caller's own place, in the largest group and in the smallest."""
    large, small = (
        (f"/v1/orgs/{org}/rankings", _admin(measured, org)) for org in (_groups(measured)[-1], _groups(measured)[0])
    )
    return [_beside(measured, "rank_flat", large, small, 3)]


def members_flat(measured: Measured) -> list[Row]:
    """The first page of the directory, and a search in it, in the largest group and in that of 1,000."""
    large, small = _groups(measured)[-1], _groups(measured)[1]
    headers = {org: _admin(measured, org) for org in (large, small)}
    asked = {"members_list": "", "members_search": "?q=%E7%8E%8B%E4%BC%9F", "members_pinyin": "?q=wang"}
    return [
        _beside(
            measured,
            name,
            (f"/v1/orgs/{large}/members{query}", headers[large]),
            (f"/v1/orgs/{small}/members{query}", headers[small]),
            2,
        )
        for name, query in asked.items()
    ]


def pages(measured: Measured) -> list[Row]:
    """The pages of a group of 1,000, and what they load by themselves, each beside the API's call of the same things;
    no goal is set."""
    org = _groups(measured)[1]
    api, cookies = _admin(measured, org), {site: _cookie(measured, org, site) for site in ("console", "phone")}
    desk, own, day = f"/console/orgs/{org}", f"/v1/orgs/{org}", today()
    beside = {
        "page_home": ("/console/", "/v1/me/orgs"),
        "page_glance": (f"{desk}/glance", f"{own}/reports/trend?days=7"),
        "page_overview": (desk, f"{own}/reports/overview"),
        "page_members": (f"{desk}/members", f"{own}/members"),
        "page_subordinates": (f"{desk}/subordinates", f"{own}/subordinates"),
        "page_links": (f"{desk}/link-requests", f"{own}/link-requests"),
        "page_people_moving": (f"{desk}/person-transfers", f"{own}/person-transfers"),
        "page_removed": (f"{desk}/removed", f"{own}/members/removed"),
        "page_exports": (f"{desk}/exports", f"{own}/exports"),
        "page_imports": (f"{desk}/imports", f"{own}/imports"),
        "page_reports": (f"{desk}/reports", f"{own}/reports/overview"),
        "page_trend": (f"{desk}/reports/trend?days=30&day={day}", f"{own}/reports/trend?days=30"),
        "page_report_units": (f"{desk}/reports/units", f"{own}/reports/units"),
        "page_above": (f"{desk}/certification", f"{own}/certifications"),
        "page_invitations": (f"{desk}/certification/invitations", f"{own}/invitations"),
        "page_applications": (f"{desk}/certification/applications", f"{own}/applications"),
        "page_below": (f"{desk}/certification/subordinates", f"{own}/subordinates"),
        "page_transfers": (f"{desk}/certification/transfers", f"{own}/transfers"),
        "page_promotions": (f"{desk}/certification/promotions", f"{own}/promotions"),
        "page_settings": (f"{desk}/settings", f"{own}/change-requests"),
        "page_admins": (f"{desk}/settings/admins", f"{own}/admins"),
        "page_received": (f"{desk}/settings/received", f"{own}/change-requests"),
        "page_audit": (f"{desk}/audit", f"{own}/audit"),
        "page_security": ("/console/security", "/v1/me/sessions"),
        "page_phone": ("/phone/", "/v1/me"),
        "page_phone_inbox": ("/phone/inbox", "/v1/inbox"),
        "page_phone_points": ("/phone/points", "/v1/me/points"),
        "page_phone_ranking": (f"/phone/orgs/{org}/ranking", f"{own}/rankings"),
    }
    parts = {"page_glance", "page_trend", "page_report_units"}
    return [
        _beside(
            measured,
            name,
            (page, cookies[page.split("/")[1]] | ({"HX-Request": "true"} if name in parts else {})),
            (call, api),
            None,
            p="p50_ms",
            share=1 / 4,
        )
        for name, (page, call) in beside.items()
    ]


def overview_vs_recount(measured: Measured) -> list[Row]:
    """The root's figures of a day that is not kept are counted from the sources; those of a kept day are read."""
    root = measured.world.root
    headers = _admin(measured, root)
    path = f"{measured.ours}/v1/orgs/{root}/reports/overview"
    recount, kept = [], []
    for _ in range(1 if measured.scale.divisor == 1 else 2):
        began = time.perf_counter()
        httpx.get(
            path, params={"day": str(today() - timedelta(days=1))}, headers=headers, timeout=1800
        ).raise_for_status()
        recount.append((time.perf_counter() - began) * 1000)
        kept.append(load.get(path, headers, connections=1, seconds=1).p50_ms)
    return [Row.of("overview_vs_recount", recount, kept, 1000, note="ms: a recount, p50 of a kept overview")]


def _beside(
    measured: Measured,
    name: str,
    ours: tuple[str, dict[str, str]],
    reference: tuple[str, dict[str, str]],
    goal: float | None,
    p: str = "p95_ms",
    share: float = 1,
) -> Row:
    """Latencies in rounds taken in turn, each of a `share` of the scale's seconds."""
    seconds = measured.scale.seconds * share
    figures: tuple[list[float], list[float]] = ([], [])
    for _ in range(measured.scale.rounds):
        for taken, (path, headers) in zip(figures, (ours, reference), strict=True):
            run = load.get(measured.ours + path, headers, connections=CONNECTIONS, seconds=seconds)
            taken.append(getattr(run, p))
    return Row.of(name, figures[0], figures[1], goal, at_most=True, note=f"{p.partition('_')[0]} in ms")


def _groups(measured: Measured) -> list[UUID]:
    return list(measured.world.groups.values())


def _admin(measured: Measured, org_id: UUID) -> dict[str, str]:
    return measured.sign_in(measured.main_admin(org_id))


def _cookie(measured: Measured, org_id: UUID, site: str) -> dict[str, str]:
    """The cookie, at the `console` or on the `phone`, of a new session of the org's main admin."""
    user_id = measured.main_admin(org_id)
    bearer = measured.sign_in(user_id)["Authorization"].removeprefix("Bearer ")
    claims = json.loads(base64.urlsafe_b64decode(bearer.split(".")[1] + "=="))
    now = int(time.time())
    carried = CarriedSession(
        user_id=user_id,
        session_id=claims["sid"],
        client_id="xuezu-app",
        idle_seconds=3600,
        renewed_at=now,
        ends_at=now + 3600,
    )
    sealed = Cipher(measured.settings).encrypt(carried.model_dump_json(), f"xuezu-{site}")
    return {"Cookie": f"xuezu-{site}={base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"}
