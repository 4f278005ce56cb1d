"""The measured tree of orgs, generated with the shape of the real one or read from a file.

The real tree has 1 → 31 → 342 → 2,978 → 41,352 → 620,573 orgs on its six levels. The number of direct subordinates of
an org is lognormal; `_SPREAD` is the standard deviation of the logarithm by level.
"""

import csv
import gzip
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.core.search import Spelling, spell_title

LEVELS = (1, 31, 342, 2_978, 41_352, 620_573)
GROUPS = (50, 1_000, 20_000, 100_000)
MEMBERS = 5_000_000
_SPREAD = (0.0, 0.85, 0.53, 0.60, 0.82)
_WORDS = ("全国", "省", "市", "县", "镇", "村")
_LETTERS = ("quanguo", "sheng", "shi", "xian", "zhen", "cun")
# Members per org by level; the villages have the rest.
_PEOPLE = (100, 200, 150, 100, 12)
# The number of subordinates of the transferred org.
MOVED_SUBORDINATES = 55_000


@dataclass(slots=True)
class Node:
    """An org with `people` members, `descendants` orgs under it, and the index of its `parent` in the tree's list."""

    level: int
    parent: int | None
    code: str
    name: str
    spelling: Spelling
    people: int = 0
    descendants: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """Orgs in the order of their levels, the root first; `groups` are the indexes of the groups, by size."""

    nodes: list[Node]
    groups: dict[int, int]
    members: int


def make_tree(scale: int = 1, file: Path | None = None) -> Tree:
    """Return the tree at 1/`scale` of its size, or the regions of a file, with the people of each org."""
    rng = random.Random(20_260_101)
    nodes = _generate_nodes(rng, scale) if file is None else _read_nodes(file)
    for node in reversed(nodes):
        if node.parent is not None:
            nodes[node.parent].descendants += node.descendants + 1
    members = MEMBERS // scale
    sizes = [size if size == GROUPS[0] else max(size // scale, GROUPS[0] + order) for order, size in enumerate(GROUPS)]
    villages = [place for place, node in enumerate(nodes) if node.level == len(LEVELS) - 1]
    groups = dict(zip(sizes, villages[: len(sizes)], strict=True))
    _distribute_people(rng, nodes, groups, members)
    return Tree(nodes, groups, members)


def _generate_nodes(rng: random.Random, scale: int) -> list[Node]:
    nodes = [Node(0, None, "", "中共测量全国委员会", Spelling("zhonggongceliangquanguoweiyuanhui", "zgclqgwyh"))]
    parents = [0]
    for level, spread in enumerate(_SPREAD, 1):
        # At a smaller scale all levels shrink, and each org still has several subordinates.
        size = max(LEVELS[level] // scale, min(LEVELS[level], 4 * len(parents)))
        here = []
        for parent, count in zip(parents, _divide(rng, len(parents), size, spread), strict=True):
            for ordinal in range(1, count + 1):
                code = f"{nodes[parent].code}{_build_digits(level, ordinal)}"
                name = f"中共测量{code}{_WORDS[level]}委员会"
                letters = Spelling(f"zhonggongceliang{code}{_LETTERS[level]}weiyuanhui", f"zgcl{code[:1]}wyh")
                here.append(len(nodes))
                nodes.append(Node(level, parent, code, name, letters))
        parents = here
    return nodes


def _build_digits(level: int, ordinal: int) -> str:
    if level == 1:
        return str(10 + ordinal)
    return f"{ordinal:02d}" if level < 4 else f"{ordinal:03d}"


def _divide(rng: random.Random, parts: int, total: int, spread: float) -> list[int]:
    """Divide `total` into `parts` of lognormal sizes, each at least 1."""
    weights = [rng.lognormvariate(0, spread) for _ in range(parts)]
    whole, shares, given, summed = sum(weights), [], 0, 0.0
    for weight in weights:
        summed += weight
        upto = round((total - parts) * summed / whole)
        shares.append(1 + upto - given)
        given = upto
    return shares


def _read_nodes(file: Path) -> list[Node]:
    """Read `code,parent_code,name,level` of the levels 1 to 5 and add the root."""
    nodes = [Node(0, None, "", "中共全国委员会", spell_title("中共全国委员会"))]
    places = {"": 0}
    with gzip.open(file, "rt") as opened:
        rows = sorted(csv.DictReader(opened), key=lambda row: int(row["level"]))
    for row in rows:
        name = f"中共{row['name']}委员会"
        places[row["code"]] = len(nodes)
        nodes.append(Node(int(row["level"]), places[row["parent_code"]], row["code"], name, spell_title(name)))
    return nodes


def _distribute_people(rng: random.Random, nodes: Sequence[Node], groups: dict[int, int], members: int) -> None:
    """Set the number of people of each org, at least one, so that all member rows together are `members`. Some people
    are members of two or more orgs."""
    for size, place in groups.items():
        nodes[place].people = size
    villages = []
    for node in nodes:
        if node.people:
            continue
        if node.level < len(_PEOPLE):
            node.people = _PEOPLE[node.level]
        else:
            villages.append(node)
    settled = sum(node.people for node in nodes)
    left = round(members / (1 + SECOND + THIRD)) - settled
    for node, people in zip(villages, _divide(rng, len(villages), max(left, len(villages)), 0.8), strict=True):
        node.people = people


# One person in 33 is a member of a second org, one in 330 of a third.
SECOND, THIRD = 1 / 33, 1 / 330


def build_region_code(node: Node) -> str:
    """Return the region code of an org (GB/T 2260): six digits down to the county level, nine or twelve below it."""
    return node.code.ljust(6, "0")


def generate_org_rows(tree: Tree) -> Iterator[tuple[int, int, int | None, str, str, str, str, int, int, int]]:
    """Yield a row of the table `bench.orgs` for each org: n, level, parent, code, name, pinyin, initials, first person,
    people, descendants."""
    first = 1
    for n, node in enumerate(tree.nodes):
        yield (
            n,
            node.level,
            node.parent,
            build_region_code(node),
            node.name,
            *node.spelling,
            first,
            node.people,
            node.descendants,
        )
        first += node.people
