"""What a person is advised of and never refused for (S2, S3, S14)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.i18n import gettext
from app.database.db import Readable
from app.orgs import names, queries
from app.orgs.names import Advice
from app.orgs.regions import level_of
from app.orgs.schemas import AdviceOut


async def name_advice(db: Readable, name: str, region_code: str, but: UUID | None = None) -> list[Advice]:
    """About a name that is allowed, for an org (`but`) of that region."""
    advice = names.advice_of(name)
    if await queries.org_name_exists(db, name, region_code, but):
        advice.append(Advice("name-exists", gettext("该地区已有同名学习组织：如为同一组织，请联系其管理员加入。")))
    return advice


async def levels_advice(db: AsyncConnection, user_id: UUID) -> list[Advice]:
    """About all that the user administers now (S14)."""
    regions = await queries.list_administered_regions(db, user_id)
    if len({level_of(region) for region in regions}) < 2:
        return []
    return [Advice("levels-differ", gettext("您管理的学习组织不在同一层级：建议由不同的人分别管理。"))]


def advice_out(advice: Sequence[Advice]) -> list[AdviceOut]:
    """As a body has it."""
    return [AdviceOut.model_validate(item) for item in advice]
