"""Advice to users. Advice never makes a call fail (S2, S3, S14)."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.i18n import gettext
from app.database.db import Readable
from app.orgs import names, queries
from app.orgs.names import Advice, Kind
from app.orgs.regions import Level, get_region_level
from app.orgs.schemas import AdviceOut


async def list_name_advice(db: Readable, name: str, region_code: str, org_id: UUID | None = None) -> list[Advice]:
    """Return the advice about an allowed name in a region. `org_id` is the org with this name, if it exists already."""
    advice = names.list_shortness_advice(name) + names.list_length_advice(name)
    found = await queries.find_org_by_name(db, name, region_code, org_id)
    if found is not None:
        title = gettext("该地区已有同名学习组织：如为同一组织，请在手机上申请加入，或联系其管理员。")
        advice.append(Advice("name-exists", title, org_id=found))
    return advice


async def list_level_advice(db: AsyncConnection, user_id: UUID) -> list[Advice]:
    """Return advice if the user administers orgs of different levels (S14)."""
    regions = await queries.list_administered_regions(db, user_id)
    if len({get_region_level(region) for region in regions}) < 2:
        return []
    return [Advice("levels-differ", gettext("您管理的学习组织不在同一层级：建议由不同的人分别管理。"))]


_LEVELS = list(Level)


class EdgeEnd(Protocol):
    """An org at one end of an edge of the hierarchy."""

    @property
    def kind(self) -> str: ...
    @property
    def region_code(self) -> str: ...


def list_edge_advice(superior: EdgeEnd, subordinate: EdgeEnd) -> list[Advice]:
    """Return advice about an unusual edge: a superior of a lower level, or of people outside the party (S14)."""
    advice: list[Advice] = []
    above, below = (_LEVELS.index(get_region_level(org.region_code)) for org in (superior, subordinate))
    if above > below:
        title = gettext("上级所在地区的层级低于下级：请核对上下级方向。")
        advice.append(Advice("superior-lower", title))
    if superior.kind == Kind.OUTSIDE_PARTY and subordinate.kind == Kind.PARTY:
        title = gettext("上级是党外人士学习组织，下级是党组织：请核对上级。")
        advice.append(Advice("superior-outside-party", title))
    return advice


def build_advice(advice: Sequence[Advice]) -> list[AdviceOut]:
    """Return the advice as part of a response body."""
    return [AdviceOut.model_validate(item) for item in advice]
