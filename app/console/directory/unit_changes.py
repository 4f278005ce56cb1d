"""What a move of people changes, as text: from which units to which unit, and for whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from app.console.frame.notices import Undo
from app.console.frame.templates import Context
from app.core.cipher import Cipher
from app.core.i18n import gettext, join_words
from app.database.db import Readable
from app.members.queries import list_members_by_id
from app.members.transfers.schemas import MoveCreate, MoveOut
from app.members.transfers.unit_moves import Departure
from app.orgs.unit_queries import list_units_by_id

_MOST_GROUPS = 10
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class MovedGroup:
    """People who leave the same places. `names`: those of the first of them; `is_cut`: whether there are more."""

    places: str
    names: str
    is_cut: bool
    count: int


@dataclass(frozen=True, slots=True)
class PeopleMoves:
    """The groups of a move, the largest first, and its target. `left`: the number of people in the other groups."""

    groups: Sequence[MovedGroup]
    left: int
    target: str


class MovePreview(Context, template="directory/people_moves.html"):
    moves: PeopleMoves | None


async def describe_moves(
    db: Readable, cipher: Cipher, org_id: UUID, people: Sequence[Departure], target: UUID | Literal["org"] | None
) -> PeopleMoves:
    """Describe each person's move: the units that the person leaves, and the target (None: not chosen yet)."""
    grouped: dict[tuple[str, ...], list[UUID]] = {}
    for person in people:
        grouped.setdefault(tuple(sorted(person.places)), []).append(person.member_id)
    groups = sorted(grouped.items(), key=lambda group: -len(group[1]))
    named = [member for _, members in groups[:_MOST_GROUPS] for member in members[:_MOST_NAMES]]
    found = await list_members_by_id(db, cipher, org_id, named)
    ids = {UUID(place) for places, _ in groups[:_MOST_GROUPS] for place in places if place}
    units = await list_units_by_id(db, org_id, [*ids, *([target] if isinstance(target, UUID) else [])])
    paths = {"": gettext("管理组"), "org": gettext("管理组")} | {str(unit.id): unit.path for unit in units}
    shown = [
        MovedGroup(
            places=join_words(paths[place] for place in places if place in paths) or gettext("管理组（保留）"),
            names=join_words(found[member].name for member in members[:_MOST_NAMES] if member in found),
            is_cut=len(members) > _MOST_NAMES,
            count=len(members),
        )
        for places, members in groups[:_MOST_GROUPS]
    ]
    left = sum(len(members) for _, members in groups[_MOST_GROUPS:])
    return PeopleMoves(shown, left, paths.get(str(target), gettext("所选支部")))


def build_move_undo(org_id: UUID, moved: MoveOut, body: MoveCreate, people: Sequence[UUID]) -> Undo | None:
    """Return the form that undoes a move of these people. Without `people`, it undoes the move of all."""
    if moved.moved_at is None:
        return None
    fields = [("moved_at", moved.moved_at.isoformat()), ("to_unit_id", str(body.to_unit_id or ""))]
    fields += [("member_id", str(member)) for member in people]
    return Undo(f"/console/orgs/{org_id}/selection/reversals", gettext("撤销移动"), fields)
