"""Text that is too long or invisible, in every text field of a page.

The form is shown again with the typed text and the limit. A search reports that it finds nothing.
"""

import re
from collections.abc import Mapping
from html import unescape
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import add_admin, add_member, add_unit, certify, get_body, invite, send_application, send_change_request
from tests.auth.consoles import Console
from tests.console.conftest import ORIGIN, sign_in_to_phone
from tests.console.desk import OpenDesk
from tests.members.sheets import Work, check, xlsx
from tests.people import People, fresh_phone

LONG, UNSEEN = "名" * 500, "名\u202e单"
POST = "职务为 1 至 50 个字符"
PERSON, NAME, REASON = "姓名为 1 至 50 个字符", "名称为 1 至 100 个字符", "请填写 1 至 200 个字符"
FULL_NAME = f"{NAME}|名称含有控制字符或不可见字符"
ROW = {
    "name": "姓名超过 50 个字符|姓名含有控制字符",
    "phone": "不是有效的手机号码",
    "unit": "支部名称超过 100 个字符|支部名称含有控制字符",
}
PHONE, UNLIKE, SEARCHED = "请输入有效的手机号码", "与名称不一致", "提交的内容不符合要求"
_FIELD = re.compile(
    r'<(?:input|textarea) (?=[^>]*\bname="([^"{]+)")(?![^>]*type="(?:hidden|checkbox|radio|file|date|\{\{.*?)")'
)
_CODE_FIELD = re.compile(r"code_field\('(\w+)'")
_KEY = text(
    "INSERT INTO security_keys (user_id, name, credential_id, public_key, sign_count) "
    "VALUES (:user_id, '钥匙', uuid_send(uuidv7()), '\\x00', 0) RETURNING id"
)

_OPERATE = text("INSERT INTO operators (user_id, name) VALUES (:user_id, '平台')")
_PROVE = text("UPDATE sessions SET key_checked_at = now() WHERE user_id = :user_id")
OPERATORS = "/console/operators"


class Sent(NamedTuple):
    """The form of a text field: its address, its other fields, and a pattern of the error message."""

    template: str
    field: str
    to: str
    message: str
    others: Mapping[str, object] = {}
    keeps: bool = True
    """Whether what was typed is shown again: a secret is not."""
    by: str = "main"
    """Who sends the form: the main admin, a platform operator, or an operator without a key (`newcomer`)."""


def list_text_fields() -> set[tuple[str, str]]:
    """Return every text field of the templates."""
    return {
        (f"{source.parents[1].name}/{source.name}", field)
        for package in ("app.console", "devtools.phone")
        for source in Path(str(files(package))).rglob("templates/*.html")
        for pattern in (_FIELD, _CODE_FIELD)
        for field in pattern.findall(re.sub(r"\{%.*?%\}", "", source.read_text()))
    }


async def test_form_with_too_long_text_is_shown_again_with_the_limit(
    people: People, open_desk: OpenDesk, visitor: httpx.AsyncClient, db: AsyncConnection, worker: Work
) -> None:
    main, helper = await people.register(), await people.register()
    operator, newcomer = await people.register(), await people.register()
    org, subordinate, beyond = [await main.create_org() for _ in range(3)]
    unit = await add_unit(main, org, "第一支部")
    member = await add_member(main, org, unit)
    await certify(main, org, main, subordinate)
    await add_admin(main, org, helper)
    away = await invite(main, beyond, max_uses=9)
    applied = get_body(await send_application(main, await main.create_org(), (await invite(main, org))["token"]), 201)
    transfer = get_body(
        await main.post(f"/v1/orgs/{subordinate['id']}/transfers", json={"invitation_token": away["token"]}), 201
    )
    merging = await main.create_org()
    merger = get_body(await main.post(f"/v1/orgs/{merging['id']}/mergers", json={"org_id": org["id"]}), 201)
    renamed = get_body(await send_change_request(main, subordinate, kind="rename", name="中共测试区委员会"), 201)
    imported = await check(main, org["id"], worker, xlsx([("王伟", "1", "第一支部")]))
    key = await db.scalar(_KEY, {"user_id": main.user_id})
    await db.execute(_OPERATE, [{"user_id": each.user_id} for each in (operator, newcomer)])
    await db.commit()
    await sign_in_to_phone(visitor, main)
    waiting = re.search(r"/console/sign-in/([A-Z-]+)/events", (await visitor.get("/console/")).text)
    assert waiting is not None
    console, desktop = [
        (await visitor.post("/phone/scans", data={"code": code}, headers=ORIGIN)).headers["location"]
        for code in (waiting[1], (await Console.request(main.api)).scan_code)
    ]

    at, phone = f"/console/orgs/{org['id']}", {"phone": fresh_phone()}
    handle = {"handle": "kF2vG6n3QeXw0bYd8mRz1A"}
    row, certifying, keys = f"{at}/members/{member['id']}", f"{at}/certification", "/console/security/keys"
    naming = f"{certifying}/subordinates/{subordinate['id']}/recovery-offers"
    importing = f"{at}/imports/{imported['id']}/rows/2/edit"
    sent = [
        *(Sent("imports/import_row.html", name, importing, refused) for name, refused in ROW.items()),
        Sent("directory/new_member.html", "name", f"{at}/members", PERSON, phone),
        Sent("frame/phone_fields.html", "phone", f"{at}/members", PHONE, {"name": "王伟"}),
        Sent("directory/new_member.html", "post", f"{at}/members", POST, {"name": "王伟", **phone}),
        Sent("directory/member_form.html", "name", row, PERSON),
        Sent("directory/member_form.html", "post", row, POST, {"name": "王伟"}),
        Sent("directory/member.html", "position", f"{row}/units/{unit['id']}/position", "1 至 9999"),
        Sent("directory/new_join_link.html", "max_uses", f"{at}/join-links", "请填写 1 至 10000 的整数"),
        Sent("phone/join_org.html", "org_name", "/phone/join-org", "请填写名称并选择所在地区"),
        Sent("phone/link_requests.html", "org_name", "/phone/link-requests", "请填写名称并选择所在地区"),
        Sent(
            "frame/region_field.html", "region", "/phone/join-org", "请填写名称并选择所在地区", {"org_name": "某党委"}
        ),
        Sent("phone/join_org.html", "name", "/phone/join-org", PERSON, {"org_name": "某党委", "region_code": "320102"}),
        Sent("frame/phone_fields.html", "phone", row, PHONE, {"name": "王伟"}),
        Sent("directory/new_person_transfer.html", "org_name", f"{row}/transfers", NAME, {"region_code": "320102"}),
        Sent(
            "frame/region_field.html",
            "region",
            f"{row}/transfers",
            "请填写名称并选择所在地区",
            {"org_name": "某党委"},
        ),
        Sent(
            "directory/selection.html", "count", f"{at}/selection/removal", "与人数不一致", {"member_id": member["id"]}
        ),
        Sent(
            "directory/new_group_transfer.html",
            "org_name",
            f"{at}/group-transfers/previews",
            NAME,
            {"region_code": "320102", "member_id": member["id"]},
        ),
        Sent("directory/unit_form.html", "name", f"{at}/units", NAME),
        Sent("directory/unit_form.html", "name", f"{at}/units/{unit['id']}", NAME),
        Sent("frame/fields.html", "name", f"{at}/units/{unit['id']}/removal", UNLIKE),
        Sent("settings/naming_field.html", "new_name", f"{at}/settings/renames", FULL_NAME),
        Sent(
            "settings/naming_field.html",
            "new_name",
            f"{certifying}/promotions",
            FULL_NAME,
            {"unit_id": unit["id"], **phone},
        ),
        Sent("frame/phone_fields.html", "phone", f"{certifying}/promotions", PHONE, {"new_name": "某党委"}),
        Sent("settings/reason_field.html", "reason", f"{at}/settings/renames", REASON, {"new_name": "某党委"}),
        Sent(
            "settings/reason_field.html",
            "reason",
            f"{at}/settings/hand-overs",
            REASON,
            {"main_admin_id": helper.user_id},
        ),
        Sent("frame/phone_fields.html", "phone", f"{at}/settings/admin-invitations", PHONE),
        Sent("frame/confirmation_fields.html", "name", f"{at}/settings/closure", UNLIKE),
        Sent("frame/confirmation_fields.html", "reason", f"{at}/settings/received/{renamed['id']}/refusal", REASON),
        Sent("frame/confirmation_fields.html", "reason", f"{certifying}/applications/{applied['id']}/refusal", REASON),
        Sent(
            "certification/application_decisions.html",
            "reason",
            f"{certifying}/application-decisions/refusal",
            REASON,
            {"application_id": applied["id"], "count": "1"},
        ),
        Sent(
            "certification/application_decisions.html",
            "count",
            f"{certifying}/application-decisions/refusal",
            "与组织数不一致",
            {"application_id": applied["id"], "reason": "材料不全"},
        ),
        Sent("frame/confirmation_fields.html", "reason", f"{certifying}/transfers/{transfer['id']}/refusal", REASON),
        Sent(
            "frame/confirmation_fields.html",
            "reason",
            f"/phone/inbox/change-request/{org['id']}/{renamed['id']}/refusal",
            REASON,
        ),
        Sent("frame/phone_fields.html", "phone", naming, PHONE, {"reason": "离任"}),
        Sent("certification/recovery_offer.html", "reason", naming, REASON, phone),
        Sent("certification/apply.html", "link", f"{certifying}/applications/check", "邀请不存在或已撤销"),
        Sent(
            "certification/apply_check.html",
            "name",
            f"/console/orgs/{subordinate['id']}/certification/transfers",
            UNLIKE,
            {"link": away["link"]},
        ),
        Sent("certification/new_merger.html", "org_name", f"{certifying}/mergers", NAME, {"region_code": "320102"}),
        Sent(
            "frame/region_field.html",
            "region",
            f"{certifying}/mergers",
            "请填写名称并选择所在地区",
            {"org_name": "某党委"},
        ),
        Sent(
            "certification/merger_acceptance.html",
            "new_unit",
            f"{certifying}/mergers/{merger['id']}/acceptance",
            NAME,
            {"name": merger["org_name"], "preview": "0" * 32},
        ),
        Sent("frame/fields.html", "name", f"{certifying}/transfers/{transfer['id']}/release", UNLIKE),
        Sent("certification/new_invitation.html", "max_uses", f"{certifying}/invitations", "请填写 1 至 10000 的整数"),
        Sent("account/security.html", "name", keys, NAME),
        Sent("account/security.html", "enrolment_code", keys, SEARCHED, {"name": "钥匙"}, keeps=False, by="newcomer"),
        Sent("frame/phone_fields.html", "phone", f"{OPERATORS}/accounts", PHONE, by="operator"),
        Sent("frame/phone_fields.html", "phone", f"{OPERATORS}/phone-returns/codes", PHONE, by="operator"),
        Sent(
            "operators/phone_return_code.html",
            "code",
            f"{OPERATORS}/phone-returns",
            "请输入六位数字",
            phone,
            keeps=False,
            by="operator",
        ),
        Sent("operators/new_offer.html", "org_name", f"{OPERATORS}/recovery-offers", NAME, by="operator"),
        Sent(
            "frame/region_field.html",
            "region",
            f"{OPERATORS}/recovery-offers",
            "请填写名称并选择所在地区",
            {"org_name": "某党委", "reason": "离任", **phone},
            by="operator",
        ),
        Sent("operators/new_offer.html", "reason", f"{OPERATORS}/recovery-offers", REASON, by="operator"),
        Sent("frame/phone_fields.html", "phone", f"{OPERATORS}/recovery-offers", PHONE, by="operator"),
        Sent("operators/new_client.html", "name", f"{OPERATORS}/clients", NAME, by="operator"),
        Sent("account/security.html", "name", f"{keys}/{key}/name", NAME),
        Sent("account/security.html", "name", f"{keys}/{key}/removal", UNLIKE),
        Sent("frame/phone_fields.html", "phone", "/phone/codes", PHONE),
        Sent("phone/code.html", "code", "/phone/session", "验证码不正确或已过期", phone, keeps=False),
        Sent(
            "phone/recoveries.html", "code", "/phone/security/recoveries", "请输入六位数字", phone | handle, keeps=False
        ),
        Sent("phone/closure.html", "code", "/phone/security/closure", "请输入六位数字", handle, keeps=False),
        Sent("phone/proof_fields.html", "name", "/phone/verification/id-card", PERSON),
        Sent("phone/proof_fields.html", "id_number", "/phone/verification/id-card", "号码不正确", keeps=False),
        Sent("phone/scan.html", "code", "/phone/scans", "未找到"),
        Sent("phone/approve.html", "number", f"{console}/approval", "与电脑上显示的不一致", keeps=False),
        Sent("phone/approve.html", "user_code_end", f"{desktop}/approval", "与电脑上显示的不一致", keeps=False),
        Sent("phone/new_org.html", "name", "/phone/orgs", FULL_NAME, {"region_code": "320102"}),
        Sent("frame/region_field.html", "region", "/phone/orgs", "请填写名称并选择所在地区", {"name": "某党委"}),
    ]
    searches = {
        ("directory/directory_people.html", "q"): f"{at}/members",
        ("directory/directory.html", "wanted"): f"{at}/units/found",
        ("directory/unit_choices.html", "wanted"): f"{at}/unit-choices",
        ("certification/hierarchy.html", "wanted"): f"{at}/subordinates/found",
        ("certification/subordinates.html", "wanted"): f"{certifying}/subordinates",
    }
    assert list_text_fields() == {(sent_field.template, sent_field.field) for sent_field in sent} | set(searches)

    desks = {
        "main": (await open_desk(main)).visitor,
        "operator": (await open_desk(operator)).visitor,
        "newcomer": (await open_desk(newcomer)).visitor,
    }
    desk = desks["main"]
    await db.execute(_PROVE, {"user_id": operator.user_id})
    await db.commit()
    wrong: list[object] = []
    for typed in (LONG, UNSEEN):
        for sent_field in sent:
            browser = visitor if sent_field.to.startswith("/phone/") else desks[sent_field.by]
            headers = ORIGIN if sent_field.to.startswith(("/phone/", keys)) else ORIGIN | {"HX-Request": "true"}
            answer = await browser.post(
                sent_field.to, data={**sent_field.others, sent_field.field: typed}, headers=headers
            )
            shown = unescape(answer.text)
            seen = (
                400 <= answer.status_code < 500,
                f'name="{sent_field.field}"' in shown,
                re.search(sent_field.message, shown) is not None,
                typed in shown or not sent_field.keeps,
            )
            if not all(seen):
                wrong.append((sent_field.to, sent_field.field, typed[:5], answer.status_code, seen))
        for (_, field), path in searches.items():
            found = await desk.get(path, params={field: typed}, headers={"HX-Request": "true"})
            if (found.status_code, SEARCHED in found.text) not in {(422, True), (200, False)}:
                wrong.append((path, field, typed[:5], found.status_code))
    assert not wrong, "\n".join(map(str, wrong))


async def test_sheet_name_is_shown_without_invisible_characters(people: People) -> None:
    main = await people.register()
    at = f"/v1/orgs/{(await main.create_org())['id']}/imports"
    for given, shown in ((f"{LONG}.csv", f"{LONG[:196]}.csv"), (f"{UNSEEN}.csv", "名单.csv")):
        sheet = {"file": (given, "姓名,手机号码,支部名称\n".encode())}
        assert get_body(await main.post(at, files=sheet), 202)["file_name"] == shown
