"""What a person is advised of and never refused for (S2, S3, S14)."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.db import Readable
from app.orgs import names, queries
from app.orgs.names import Advice
from app.orgs.regions import level_of
from app.orgs.schemas import AdviceOut
from app.web.errors import english

NAME_EXISTS = Advice(
    "name-exists",
    "该地区已有同名学习组织:如为同一组织,请联系其管理员加入。",
    "An organisation of this name is in this region: if it is yours, ask its admin to let you in.",
)
LEVELS_DIFFER = Advice(
    "levels-differ",
    "您管理的学习组织不在同一层级:建议由不同的人分别管理。",
    "The organisations you administer are on different levels: better that different people do so.",
)


async def name_advice(db: Readable, name: str, region_code: str, but: UUID | None = None) -> list[Advice]:
    """About a name that is allowed, for an org (`but`) of that region."""
    advice = names.advice_of(name)
    if await queries.org_name_exists(db, name, region_code, but):
        advice.append(NAME_EXISTS)
    return advice


async def levels_advice(db: AsyncConnection, user_id: UUID) -> list[Advice]:
    """About all that the user administers now (S14)."""
    regions = await queries.list_administered_regions(db, user_id)
    return [LEVELS_DIFFER] if len({level_of(region) for region in regions}) > 1 else []


def advice_out(request: Request, advice: Sequence[Advice]) -> list[AdviceOut]:
    """In the caller's language."""
    in_english = english(request)
    return [
        AdviceOut(code=item.code, title=item.en if in_english else item.zh, proposed_name=item.proposed_name)
        for item in advice
    ]
