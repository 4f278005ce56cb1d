"""Advice to users. Advice never makes a call fail (S2, S3, S14)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.i18n import gettext
from app.database.db import Readable
from app.orgs import names, queries
from app.orgs.names import Advice
from app.orgs.regions import get_region_level
from app.orgs.schemas import AdviceOut


async def list_name_advice(db: Readable, name: str, region_code: str, org_id: UUID | None = None) -> list[Advice]:
    """Return the advice about an allowed name in a region. `org_id` is the org with this name, if it exists already."""
    advice = names.list_length_advice(name)
    if await queries.org_name_exists(db, name, region_code, org_id):
        advice.append(Advice("name-exists", gettext("该地区已有同名学习组织：如为同一组织，请联系其管理员加入。")))
    return advice


async def list_level_advice(db: AsyncConnection, user_id: UUID) -> list[Advice]:
    """Return advice if the user administers orgs of different levels (S14)."""
    regions = await queries.list_administered_regions(db, user_id)
    if len({get_region_level(region) for region in regions}) < 2:
        return []
    return [Advice("levels-differ", gettext("您管理的学习组织不在同一层级：建议由不同的人分别管理。"))]


def advice_out(advice: Sequence[Advice]) -> list[AdviceOut]:
    """Return the advice as part of a response body."""
    return [AdviceOut.model_validate(item) for item in advice]
