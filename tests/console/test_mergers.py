"""Mergers over HTTP as a browser sends it (S20)."""

import re

from tests.acts import add_admin, add_unit, list_all
from tests.console.desk import HOSTILE, OpenDesk
from tests.people import People, fresh_org_name


async def test_merger_is_asked_for_refused_withdrawn_and_accepted(people: People, open_desk: OpenDesk) -> None:
    founder, host, helper = [await people.register() for _ in range(3)]
    small = await founder.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    large = await host.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    for admin, org in ((founder, small), (host, large)):
        await add_unit(admin, org, "第一支部")
    await add_admin(founder, small, helper)
    mine, theirs = await open_desk(founder), await open_desk(host)
    sent, received = (f"/console/orgs/{org['id']}/certification/mergers" for org in (small, large))
    assert "申请合并" not in await (await open_desk(helper)).page(sent)
    assert "申请合并" in await mine.page(sent)
    assert "接收组织的全称" in await mine.part(f"{sent}/new")
    assert "请填写名称并选择所在地区" in await mine.send(sent, 422, org_name=large["name"])
    named = {"org_name": large["name"], "region_code": large["region_code"]}
    mergers = []
    for _ in range(3):
        assert "已提出" in await mine.send(sent, **named)
        assert "已有待处理的合并申请" in await mine.send(sent, 409, **named)
        (waiting,) = set(re.findall(rf'href="{received}/([0-9a-f-]+)"', await theirs.page("/console/")))
        mergers.append(waiting)
        if len(mergers) == 1:
            assert "已拒绝" in await theirs.confirm(f"{received}/{waiting}/refusal", reason=f"不同意{HOSTILE}")
            assert HOSTILE in await mine.page(f"{sent}/{waiting}")
        if len(mergers) == 2:
            await theirs.part(f"{received}/{waiting}/withdrawal", 404)
            assert "申请已撤回" in await mine.confirm(f"{sent}/{waiting}/withdrawal")
    await mine.part(f"{sent}/{mergers[2]}/acceptance", 404)
    at = f"{received}/{mergers[2]}"
    assert "接受</button>" in await theirs.page(at)
    form = await theirs.part(f"{at}/acceptance")
    assert "两个组织有同名的支部：第一支部" in form
    preview = re.search(r'name="preview" value="([0-9a-f]+)"', form)
    assert preview is not None
    fields = {"preview": preview[1], "unit_id": "", "new_unit": "", "kind": "branch"}
    assert "与名称不一致" in await theirs.send(f"{at}/acceptance", 422, **fields, name="x")
    fields["name"] = small["name"]
    assert "两个组织有同名的支部" in await theirs.send(f"{at}/acceptance", 409, **fields)
    assert "已并入" in await theirs.send(f"{at}/acceptance", **fields | {"new_unit": "并入党支部"})
    assert "已完成" in await theirs.page(received)
    assert "转入的支部" in await mine.page(f"{sent}/{mergers[2]}")
    paths = [unit["path"] for unit in await list_all(host, f"/v1/orgs/{large['id']}/units")]
    assert paths == ["第一支部", "并入党支部", "并入党支部/第一支部"]
    assert "组织合并" in await mine.page(f"/console/orgs/{small['id']}/audit")
